//! The judgement of tagship: jobs, settings, tags, and one planner a stage. Knows no SDK.
//!
//! Every invocation runs the same loop ([`run()`]): observe the world through a [`Port`], let a pure
//! planner decide, apply one [`Step`], look again. Modules are declared in reading order.

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod launch_story;

mod noun;
pub use noun::*;

mod error;
pub use error::*;

pub mod settings;

mod hold;
pub use hold::*;

mod world;
pub use world::*;

pub mod names;

pub mod pair;

mod step;
pub use step::*;

mod stage;
pub use stage::*;

mod run;
pub use run::*;

mod job;
pub use job::*;

pub mod notify;

pub mod metrics;

pub mod provision;

pub mod deploy;

pub mod cleanup;
pub mod removal;

pub mod route;

pub mod traffic;
