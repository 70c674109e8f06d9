//! What the end-to-end tests share: a person's tools, a service's releases, jobs without a pipeline, deaths, leaks and
//! privileges.

pub mod death;
pub mod desk;
pub mod leak;
pub mod person;
pub mod privileges;
pub mod releases;
