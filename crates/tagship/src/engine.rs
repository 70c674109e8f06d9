//! The machinery: from an event to a job, and the loop that observes, asks a planner, and acts.

mod job;
pub use job::{Caller, Died, Invocation, Refused, Request};

pub mod admission;
pub use admission::{Gate, Launching, Removing, Standing, Sweeping, Turning, Word};

mod memo;
pub use memo::{Memo, Memory, TOKEN_MAX, Watched};

mod planner;
pub use planner::{Decision, First, Planner, Situation, View, execution_of};

mod after;
pub use after::after;

mod run;
pub use run::{Applied, Look, Outcome, Port, STALE_SECS, THROTTLED_SECS, UNAVAILABLE_SECS, YIELD_SECS, run};
