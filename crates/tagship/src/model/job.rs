//! What is asked for: an action on a release of a service.

use super::hold::Artifact;
use super::noun::{Action, ReleaseId, ServiceRole};

/// What is to be done, for whom.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// The service.
    pub role: ServiceRole,
    /// The release.
    pub release: ReleaseId,
    /// Its pipeline; empty where a direct invocation doesn't say it.
    pub pipeline: String,
    /// What.
    pub action: Action,
    /// The action's input artifact, where there is one.
    pub input: Option<Artifact>,
}
