//! What the end-to-end tests share: a person's tools, a service's releases, jobs without a pipeline, deaths, leaks,
//! privileges, metrics and notices.

pub mod death;
pub mod desk;
pub mod leak;
pub mod metrics;
pub mod notices;
pub mod person;
pub mod privileges;
pub mod releases;
