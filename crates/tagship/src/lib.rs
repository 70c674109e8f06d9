//! The judgement of tagship: jobs, settings, tags, and one planner an action. Knows no SDK.
//!
//! Every invocation runs the same loop ([`run()`]): observe the world through a [`Port`], let a pure planner decide,
//! apply one [`Step`], look again. Folders in reading order: `model`, the nouns; `engine`, the machinery; `policy`, the
//! judgement; `report`, what is told. Each uses only those before it.

#[cfg(test)]
pub(crate) mod testing;

mod model;
pub(crate) use model::words::duration;
pub use model::{
    Act, Action, Address, Alarm, AlarmState, Approval, Artifact, Back, Balancer, Build, CallId, Called, Change,
    Changes, Counted, Counts, Deployment, DeploymentState, Devices, Does, Done, Ended, Ending, Enrolled, Error,
    Execution, ExecutionState, Figures, Found, Frozen, Group, Health, Held, Hold, Holding, HookAnswer, HookCall,
    HookRun, HookTold, HowEnded, INSTANCES_A_CALL, Installed, Instance, InstanceState, Job, Kind, Launch,
    NAMES_A_BATCH, NameChange, Offer, Parts, PastRelease, PastRun, Phase, Pipeline, Previous, ROSTERS, Record,
    ReleaseId, Report, Roster, Routing, Run, RunStatus, ServiceRole, Split, Stage, StageName, Step, Stood, Switch,
    TAG_BUILD, TAG_RELEASE, TAG_RETIRED_BY, TAG_SERVICE, TAG_TEST, TARGETS_A_CALL, Target, TestRule, UserData, World,
    bounded, called, counted, ended_key, hold_key, listed, name_tag, roster_key,
};
pub use model::{format, names, settings};

pub mod engine;
pub use engine::{
    Applied, Caller, Decision, Died, First, Invocation, Look, Memo, Occasion, Outcome, Planner, Port, Refused, Request,
    STALE_SECS, Situation, THROTTLED_SECS, UNAVAILABLE_SECS, View, YIELD_SECS, execution_of, run,
};

mod policy;
pub use policy::actions::{self, Function, Visit};
pub use policy::{cleanup, compare, deploy, pair, provision, route};

mod report;
pub use report::{ground, history, metrics, notify, patience, plan, served, status};
