//! The judgement: one planner an action, and what they share.

pub mod names;

pub mod pair;

pub mod traffic;

pub mod provision;

pub mod deploy;

pub mod route;

pub mod removal;

pub mod cleanup;

#[cfg(test)]
mod launch_story;
