//! What is told: notices for people, metrics for dashboards.

pub mod notify;

pub mod metrics;
