//! The nouns: what is read from AWS, what is decided, and how failures are told. No judgement.

pub(crate) mod words;
pub(crate) use words::quoted;
pub use words::{bounded, counted, listed};

mod build;
pub use build::Build;

mod noun;
pub use noun::{
    Action, ReleaseId, ServiceRole, StageName, TAG_BUILD, TAG_RELEASE, TAG_RETIRED_BY, TAG_SERVICE, TAG_TEST, name_tag,
};

mod done;
pub use done::{Done, Ending, Report};

mod error;
pub use error::{Error, Kind};

pub mod settings;

pub mod format;
pub(crate) use format::VERSION;

mod hold;
pub use hold::{
    Artifact, Back, Ended, Held, Hold, Holding, HowEnded, Phase, Previous, Split, Stood, called, ended_key, hold_key,
};

mod hook;
pub use hook::{CallId, Called, HookAnswer, HookCall, HookRun, HookTold};

mod counts;
pub use counts::{Counted, Counts, Figures};

mod roster;
pub use roster::{Enrolled, ROSTERS, Roster, roster_key};

mod job;
pub use job::Job;

mod pipeline;
pub use pipeline::{Act, Approval, Does, Frozen, PastRelease, PastRun, Pipeline, Run, RunStatus, Stage};

mod parts;
pub use parts::Parts;

mod routing;
pub use routing::{Group, Health, Routing, Switch, Target};

mod world;
pub use world::{
    Address, Alarm, AlarmState, Balancer, Deployment, DeploymentState, Devices, Execution, ExecutionState, Found,
    Installed, Instance, InstanceState, Offer, Record, UserData, World,
};

mod test_rule;
pub use test_rule::TestRule;

mod change;
pub use change::{Change, Changes};

mod step;
pub use step::{INSTANCES_A_CALL, Launch, NAMES_A_BATCH, NameChange, Step, TARGETS_A_CALL};

pub mod names;
