//! What the end-to-end tests share: a browser, a person's tools, a service's releases, jobs without a pipeline, stories
//! side by side, the local cloud as a process, forms of JSON, deaths, leaks, privileges, metrics, notices and words.

pub mod browser;
pub mod death;
pub mod desk;
pub mod forms;
pub mod hands;
pub mod leak;
pub mod metrics;
pub mod notices;
pub mod person;
pub mod privileges;
pub mod releases;
pub mod stories;
pub mod terminal;
pub mod up;
pub mod variables;
pub mod words;
