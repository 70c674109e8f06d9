//! The judgement: one planner an action, and what they share.

pub mod pair;

pub mod compare;

mod test_traffic;

mod confirm;

pub mod provision;

pub mod deploy;

pub mod route;

pub mod cleanup;

pub mod actions;
