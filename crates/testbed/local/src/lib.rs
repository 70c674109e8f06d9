//! A whole pipeline on one machine: the real Lambda binaries against a local cloud.

mod instance;
mod services;
mod traffic;

mod local;

pub mod artifact;
pub mod leftovers;
pub mod ops;

pub mod commands;

pub use instance::{agent, instances, processes};
pub use local::{Error, Line, Local, Plan, Play, command};
pub use services::{caller, codedeploy, codepipeline, events, hook, lambda, tether};
pub use traffic::{balancer, dns, load, probe};

// The account that all of it plays in.
pub use tagship_cloud::{gateway, iam, moto, network, service, setup, state, validate};
