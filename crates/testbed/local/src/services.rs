//! The AWS services that are played here, since the emulator has them too coarsely or not at all.

pub mod caller;
pub mod codedeploy;
pub mod codepipeline;
pub mod events;
pub mod hook;
pub mod lambda;
pub(crate) mod quotas;
pub mod tether;
