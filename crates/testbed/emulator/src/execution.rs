//! What an execution of a pipeline is made of: its status, its place, the runs of its actions.

use crate::change::Outcome;
use crate::pipeline::Id;
use crate::variables::Variables;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// One execution of the pipeline: for tagship, one release.
#[derive(Clone, Debug)]
pub struct Execution {
    /// Its id.
    pub id: Id,
    /// How it stands.
    pub status: Status,
    /// Where it is, or was when it ended.
    pub place: Place,
    /// What started it.
    pub trigger: Trigger,
    /// The execution that it takes a stage back to. It runs that stage alone, with the revisions, artifacts and
    /// variables of that execution.
    pub rollback: Option<Id>,
    /// When it started.
    pub started: Timestamp,
    /// When anything of it last changed.
    pub updated: Timestamp,
    /// The reason given to stop it.
    pub stop_reason: Option<String>,
    /// The revision that each source action took.
    pub revisions: Vec<(Id, Revision)>,
    /// The artifacts so far, by name.
    pub artifacts: BTreeMap<String, Artifact>,
    /// The output variables so far.
    pub variables: Variables,
    /// How each stage that it entered stands.
    pub stages: Vec<Option<Status>>,
    /// The runs of its actions, oldest first.
    pub runs: Vec<Run>,
    /// The object that a source action is to take instead of the newest.
    pub(crate) overrides: BTreeMap<String, Override>,
    /// Which actions of the stage at hand need not run (again).
    pub(crate) done: Vec<bool>,
    /// The first run of the present attempt at the stage.
    pub(crate) attempt: usize,
    /// When it entered the stage at hand.
    pub(crate) entered: Timestamp,
}

/// How an execution or a stage stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words are AWS's")]
pub enum Status {
    InProgress,
    Succeeded,
    Failed,
    Stopping,
    Stopped,
    Superseded,
    Cancelled,
}

impl Status {
    /// AWS's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "InProgress",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Stopping => "Stopping",
            Self::Stopped => "Stopped",
            Self::Superseded => "Superseded",
            Self::Cancelled => "Cancelled",
        }
    }

    /// Whether nothing more happens.
    pub fn ended(self) -> bool {
        !matches!(self, Self::InProgress | Self::Stopping)
    }
}

impl Execution {
    /// AWS's word for what kind of execution it is.
    pub fn kind(&self) -> &'static str {
        if self.rollback.is_some() { "ROLLBACK" } else { "STANDARD" }
    }
}

/// Where an execution is: a stage's index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Waiting to be let into the stage.
    Before(usize),
    /// Inside the stage.
    Inside(usize),
}

/// What started an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// AWS's word: `StartPipelineExecution`, `CloudWatchEvent`, `ManualRollback`.
    pub kind: &'static str,
    /// Who or what it was: an ARN.
    pub detail: String,
}

/// The object that a source action is to take instead of the newest under its key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Override {
    /// The object's version.
    pub version: Option<String>,
    /// The object's key.
    pub key: Option<String>,
}

/// A version of a source object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// The object's version.
    pub version: String,
    /// The object's entity tag.
    pub etag: String,
    /// What the object says of itself, in its metadata `codepipeline-artifact-revision-summary`.
    pub summary: Option<String>,
}

/// An artifact that is passed from action to action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Its name in the pipeline.
    pub name: String,
    /// The bucket that it lies in.
    pub bucket: String,
    /// The object's key.
    pub key: String,
    /// The source's revision.
    pub revision: Option<String>,
}

/// One run of one action.
#[derive(Clone, Debug)]
pub struct Run {
    /// The id of this run.
    pub id: Id,
    /// The stage's index.
    pub stage: usize,
    /// The action's index in the stage.
    pub action: usize,
    /// How it stands.
    pub status: RunStatus,
    /// When it began.
    pub started: Timestamp,
    /// When its status or summary last changed.
    pub changed: Timestamp,
    /// Who gave the result: a person's ARN, of an approval.
    pub updated_by: Option<String>,
    /// What it reported of itself.
    pub outcome: Outcome,
    /// What went wrong.
    pub error: Option<String>,
    /// How far it is, 0 to 100.
    pub percent: Option<u8>,
    /// The configuration, variables resolved.
    pub configuration: BTreeMap<String, String>,
    /// The variables that it set.
    pub outputs: BTreeMap<String, String>,
    /// What it waits for.
    pub(crate) waits: Waits,
}

impl Run {
    /// The token that the approval's result must carry, while it is open.
    pub fn token(&self) -> Option<&Id> {
        match &self.waits {
            Waits::Approval { token, .. } => Some(token),
            _ => None,
        }
    }
}

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words are AWS's")]
pub enum RunStatus {
    InProgress,
    Succeeded,
    Failed,
    Abandoned,
}

impl RunStatus {
    /// AWS's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "InProgress",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Abandoned => "Abandoned",
        }
    }
}

/// What a run in progress waits for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Waits {
    /// The source object's copy, or a job's result; silence until then fails it.
    Job { id: Id, until: Timestamp },
    /// The time to invoke the function again.
    Again { token: String, at: Timestamp },
    /// A person.
    Approval { token: Id, until: Timestamp },
    /// Nothing: it has ended.
    Nothing,
}

impl Waits {
    /// When time alone changes something.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        match self {
            Self::Job { until, .. } | Self::Approval { until, .. } => Some(*until),
            Self::Again { at, .. } => Some(*at),
            Self::Nothing => None,
        }
    }
}
