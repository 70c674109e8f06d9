//! What is told: notices for people, metrics for dashboards, and what a service is at.

pub mod notify;

pub mod metrics;

pub mod history;

pub mod served;

pub mod status;

pub mod plan;

pub mod ground;

pub mod patience;
