//! The port over the AWS SDKs, and the Lambda handler.
//!
//! Only this crate knows SDK types, the environment and the clock. [`Aws`] is generic over its planner, so that a binary
//! links only the operations that its planners read ([`tagship::Planner::READS`]) and change
//! ([`tagship::Planner::CHANGES`]). A file a service; `error.rs` has the one table of error codes.

// What only people's command uses is there for the functions as well, unused.
#![cfg_attr(not(feature = "account"), allow(dead_code))]

mod error;

mod cloud;
pub use cloud::Cloud;

mod port;
pub use port::Aws;

mod holds;

mod ec2;

mod elb;

mod route53;

mod cloudwatch;

mod hooks;

mod codedeploy;

mod codepipeline;

mod artifact;

mod offer;

mod events;

mod metrics;

mod handler;
pub use handler::{ServeError, serve};

#[cfg(feature = "account")]
mod account;
#[cfg(feature = "account")]
pub use account::{
    Account, EventRule, Foreseen, INSTANCE_ROLES, Listener, Log, Opened, Own, Person, Site, Stored, Subnet, Uploaded,
    Watched,
};
