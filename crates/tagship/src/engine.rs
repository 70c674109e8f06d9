//! The machinery: from an event to a job, and the loop that observes, asks a planner, and acts.

mod job;
pub use job::{Caller, Died, Invocation, Occasion, Refused, Request};

pub mod admission;
pub use admission::{Gate, Launching, Removing, Standing, Sweeping, Turning, Word};

mod memo;
pub use memo::{Memo, Memory, TOKEN_MAX, Watched};

mod planner;
pub use planner::{Decision, First, Planner, Situation, View, execution_of};

mod after;
pub use after::after;

mod port;
pub use port::{Applied, Look, Port};

mod run;
pub use run::{Outcome, STALE_SECS, THROTTLED_SECS, UNAVAILABLE_SECS, YIELD_SECS, run};
