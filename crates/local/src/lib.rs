//! A whole pipeline on one machine: the real Lambda binaries against a local cloud.

pub mod balancer;
pub mod dns;
pub mod gateway;
pub mod load;
pub mod moto;
pub mod probe;
pub mod service;
pub mod setup;
pub mod state;
