//! A whole pipeline on one machine: the real Lambda binaries against a local cloud.

pub mod service;
pub mod state;
