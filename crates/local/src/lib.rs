//! A whole pipeline on one machine: the real Lambda binaries against a local cloud.

pub mod agent;
pub mod artifact;
pub mod balancer;
pub mod bench;
pub mod caller;
pub mod codedeploy;
pub mod codepipeline;
pub mod demo;
pub mod dns;
pub mod events;
pub mod gateway;
pub mod instances;
pub mod lambda;
pub mod leftovers;
pub mod load;
pub mod moto;
pub mod network;
pub mod ops;
pub mod person;
pub mod probe;
pub mod processes;
pub mod service;
pub mod setup;
pub mod state;
pub mod tether;
pub mod up;
