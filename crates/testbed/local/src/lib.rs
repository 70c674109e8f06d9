//! A whole pipeline on one machine: the real Lambda binaries against a local cloud.

mod cloud;
mod instance;
mod services;
mod traffic;

mod local;

pub mod artifact;
pub mod leftovers;
pub mod ops;
pub mod validate;

pub mod commands;

pub use cloud::{gateway, iam, moto, network, service, setup, state};
pub use instance::{agent, instances, processes};
pub use local::{Error, Line, Local, Plan, Play};
pub use services::{caller, codedeploy, codepipeline, events, lambda, tether};
pub use traffic::{balancer, dns, load, probe};
