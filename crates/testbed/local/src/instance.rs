//! EC2's instances as processes of this machine: their life, the agent that installs on them, and their end.

pub mod agent;
pub mod instances;
pub mod processes;
