//! CodePipeline as a pure state machine, EventBridge patterns, and the reading of infra/*.yaml.
