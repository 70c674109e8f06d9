//! What a person can run: each module is the command of its name.

pub mod bench;
pub mod demo;
pub mod up;
