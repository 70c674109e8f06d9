//! The local cloud's parts against real sockets and processes, without moto and AWS.
#![allow(clippy::unwrap_used, missing_docs)]

mod agents;
mod artifact;
mod backend;
mod balancer;
mod cloud;
mod codedeploy;
mod dns;
mod probe;
mod states;
