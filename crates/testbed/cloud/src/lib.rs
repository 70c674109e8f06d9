//! An AWS account on one machine: the emulator, the one address in front of it, who may do what there, the network, and
//! an account to release into. Nothing plays instances, functions or pipelines here: tagship-local does.

mod call;
pub mod gateway;
pub mod iam;
pub mod moto;
pub mod network;
pub mod service;
pub mod setup;
pub mod state;
pub mod validate;
