//! The judgement of tagship: jobs, settings, tags, and one planner an action. Knows no SDK.
//!
//! Every invocation runs the same loop ([`run()`]): observe the world through a [`Port`], let a pure planner decide,
//! apply one [`Step`], look again. Modules are declared in reading order: a module uses those above it.

#[cfg(test)]
pub(crate) mod testing;

mod model;
pub use model::settings;
pub use model::{
    Action, Address, Artifact, Deployment, DeploymentState, Ended, Error, Execution, ExecutionState, Found, Group,
    Health, Held, Hold, Holding, HowEnded, INSTANCES_A_CALL, Install, Installed, Instance, InstanceState, Kind, Launch,
    NAMES_A_BATCH, NameChange, Offer, Phase, Previous, Record, ReleaseId, Routing, ServiceRole, StageName, Step,
    Switch, TAG_RELEASE, TAG_RETIRED_BY, TAG_SERVICE, TARGETS_A_CALL, Target, Verdict, World, admit, bounded, counted,
    ended_key, hold_key, listed, name_tag,
};

mod engine;
pub(crate) use engine::First;
pub use engine::{
    Caller, Decision, Done, Ending, Invocation, Job, Look, Memo, Outcome, Port, Reads, Refused, Report, Request,
    STALE_SECS, Situation, Stage, THROTTLED_SECS, UNAVAILABLE_SECS, YIELD_SECS, run,
};

mod policy;
pub use policy::{cleanup, deploy, names, pair, provision, removal, route, traffic};

mod report;
pub use report::{metrics, notify};
