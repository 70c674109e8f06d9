//! The machinery: from an event to a job, and the loop that observes, asks a planner, and acts.

mod stage;
pub(crate) use stage::First;
pub use stage::{Decision, Done, Ending, Job, Memo, Reads, Report, Situation, Stage};

mod run;
pub use run::{Look, Outcome, Port, STALE_SECS, THROTTLED_SECS, UNAVAILABLE_SECS, YIELD_SECS, run};

mod job;
pub use job::{Caller, Invocation, Refused, Request};
