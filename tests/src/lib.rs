//! What the end-to-end tests share: a person's tools, a service's releases, jobs without a pipeline, deaths and leaks.

pub mod death;
pub mod desk;
pub mod leak;
pub mod person;
pub mod releases;
