//! What the engine wants done.

use crate::change::Change;
use crate::execution::Artifact;
use crate::pipeline::Id;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// What the engine wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Copy a source object; the answer is [`crate::engine::Engine::fetched`] or [`crate::engine::Engine::job_failed`].
    Fetch(Fetch),
    /// Invoke a function, asynchronously; it answers with [`crate::engine::Engine::job_succeeded`] or
    /// [`crate::engine::Engine::job_failed`].
    Invoke(Job),
    /// Tell people of an approval; the answer is [`crate::engine::Engine::approve`].
    Ask(Approval),
    /// Tell EventBridge.
    Changed(Change),
}

/// A source action at work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// What the answer names.
    pub job: Id,
    /// The bucket to look in.
    pub bucket: String,
    /// The object's key.
    pub key: String,
    /// The version; the newest if none is given.
    pub version: Option<String>,
    /// What the copy is called in the pipeline.
    pub artifact: String,
}

/// A job for a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its id, new with each continuation.
    pub id: Id,
    /// The action's configuration, variables resolved.
    pub configuration: BTreeMap<String, String>,
    /// The input artifacts.
    pub inputs: Vec<Artifact>,
    /// The token that the job before it handed back.
    pub continuation: Option<String>,
}

/// A question to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// The execution.
    pub execution: Id,
    /// The stage's name.
    pub stage: Id,
    /// The action's name.
    pub action: Id,
    /// What the answer must carry.
    pub token: Id,
    /// When it expires.
    pub until: Timestamp,
    /// `NotificationArn`, `CustomData`, `ExternalEntityLink`, variables resolved.
    pub configuration: BTreeMap<String, String>,
}
