//! A deterministic cloud in virtual time that tries to break every rule of safety.
//!
//! It drives the real loop and planners of `tagship` and the real engine of `tagship-emulator` from one seed.

pub mod past;

pub mod plan;

pub mod limits;

mod apply;
pub mod cloud;
mod observe;
mod people;

pub mod checks;

pub mod requests;

pub mod invocation;
pub mod pipes;
pub mod port;

pub mod coverage;
pub mod day;
pub mod foresight;

pub mod mistake;
mod wrong;

pub mod story;

pub mod chance;
pub mod explore;
pub mod report;

pub mod scale;
