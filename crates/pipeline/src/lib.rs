//! CodePipeline as a pure state machine, EventBridge patterns, and the reading of infra/*.yaml.

pub mod template;

pub mod pipeline;

pub mod pattern;
pub mod rule;
