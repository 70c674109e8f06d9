//! CodePipeline and CodeDeploy as pure state machines, EventBridge patterns, IAM policies, and the reading of infra/*.yaml.

pub mod template;

pub mod pipeline;

pub mod execution;

pub mod variables;

pub mod change;

pub mod effect;
pub mod engine;
pub mod refusal;
pub mod report;

pub mod pattern;
pub mod rule;

pub mod policy;

pub mod deployment;
