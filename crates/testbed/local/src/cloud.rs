//! The cloud itself: the emulator, the one address in front of it, who may do what there, the network, and an account.

pub(crate) mod call;
pub mod gateway;
pub mod iam;
pub mod moto;
pub mod network;
pub mod service;
pub mod setup;
pub mod state;
