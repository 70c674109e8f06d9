//! The names of things: service roles, releases, and what is derived from them.

use super::words::quoted;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The tag that says whose a resource is; its value is a service role.
pub const TAG_SERVICE: &str = "tagship:service";
/// The tag that says which release created a resource.
pub const TAG_RELEASE: &str = "tagship:release";
/// The tag that says what people call the release's build, where the artifact says it.
pub const TAG_BUILD: &str = "tagship:build";
/// The tag on a listener rule for test traffic; its value is a service role.
pub const TAG_TEST: &str = "tagship:test";
/// The tag on an instance kept stopped: the release that replaced it.
pub const TAG_RETIRED_BY: &str = "tagship:retired-by";

/// A service's name, e.g. `MZUM_WEB_PRODUCT`: also the name of its settings variable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceRole(String);

impl ServiceRole {
    /// The role as ops wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Lower case with dashes, as names of instances and DNS labels have it: `mzum-web-product`.
    pub fn label(&self) -> String {
        self.0.to_ascii_lowercase().replace('_', "-")
    }
}

impl TryFrom<String> for ServiceRole {
    type Error = String;

    /// Lambda's own rule for a variable's name, `[a-zA-Z][a-zA-Z0-9_]+`, and a label that DNS accepts.
    fn try_from(name: String) -> Result<Self, String> {
        let mut chars = name.chars();
        let well_formed = chars.next().is_some_and(|c| c.is_ascii_alphabetic())
            && name.len() >= 2
            && chars.all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !well_formed {
            return Err(format!(
                "{} is no service role: it takes the form [a-zA-Z][a-zA-Z0-9_]+, as the name of a Lambda variable does",
                quoted(&name)
            ));
        }
        if name.len() > 63 || name.ends_with('_') {
            return Err(format!(
                "service role {} can't be a DNS label: at most 63 characters, and no underscore at the end",
                quoted(&name)
            ));
        }
        Ok(Self(name))
    }
}

impl From<ServiceRole> for String {
    fn from(role: ServiceRole) -> Self {
        role.0
    }
}

impl fmt::Display for ServiceRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A release's id: the CodePipeline execution id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReleaseId(String);

impl ReleaseId {
    /// The id in full.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first eight characters, as people and names use it.
    pub fn short(&self) -> &str {
        &self.0[..self.0.len().min(8)]
    }
}

impl TryFrom<String> for ReleaseId {
    type Error = String;

    /// An execution id is a UUID; anything that is safe in a tag, an S3 key and a name is accepted.
    fn try_from(id: String) -> Result<Self, String> {
        let safe = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if (1..=64).contains(&id.len()) && id.chars().all(safe) {
            Ok(Self(id))
        } else {
            Err(format!(
                "{} is no release: it is the pipeline execution's id, #{{codepipeline.PipelineExecutionId}}",
                quoted(&id)
            ))
        }
    }
}

impl From<ReleaseId> for String {
    fn from(id: ReleaseId) -> Self {
        id.0
    }
}

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an instance of a release is called: `mzum-web-product-1a2b3c4d`.
pub fn name_tag(role: &ServiceRole, release: &ReleaseId) -> String {
    format!("{}-{}", role.label(), release.short())
}

/// What a job or a direct invocation asks for. Each function accepts its own: see [`Action::stage`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Launch the fleet and name it.
    Provision,
    /// Install the artifact and wait for healthy targets.
    Deploy,
    /// Move every switch to the candidate, and watch.
    Shift,
    /// Give the traffic back to the previous release.
    Rollback,
    /// Give it back because an alarm rings or a person stops the execution.
    Guard,
    /// Remove what the approved release replaced.
    Retire,
    /// Remove a rejected candidate.
    Discard,
    /// Empty a pre-product environment.
    Park,
    /// Find holds that nobody ended.
    Sweep,
}

impl Action {
    /// The Lambda function that this action belongs to.
    pub fn stage(self) -> StageName {
        match self {
            Action::Provision => StageName::Provision,
            Action::Deploy => StageName::Deploy,
            Action::Shift | Action::Rollback | Action::Guard => StageName::Route,
            Action::Retire | Action::Discard | Action::Park | Action::Sweep => StageName::Cleanup,
        }
    }

    /// The output variables that its success sets, always: an approval whose text names a missing one fails.
    pub fn variables(self) -> &'static [&'static str] {
        match self {
            Action::Provision => &["InstanceIds", "PrivateIps", "CandidateName"],
            Action::Deploy => &["DeploymentId", "HealthyTargets", "Artifact", "TestAddress", "Alarms"],
            Action::Shift | Action::Rollback => &["LiveRelease", "PreviousRelease"],
            Action::Retire | Action::Discard | Action::Park => &["Terminated"],
            Action::Guard | Action::Sweep => &[],
        }
    }

    /// As written in UserParameters.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Provision => "provision",
            Action::Deploy => "deploy",
            Action::Shift => "shift",
            Action::Rollback => "rollback",
            Action::Guard => "guard",
            Action::Retire => "retire",
            Action::Discard => "discard",
            Action::Park => "park",
            Action::Sweep => "sweep",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One of the four Lambda functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StageName {
    /// Launches.
    Provision,
    /// Installs and registers.
    Deploy,
    /// Moves traffic.
    Route,
    /// Removes.
    Cleanup,
}

impl StageName {
    /// All four, in the order of a release.
    pub const ALL: [Self; 4] = [Self::Provision, Self::Deploy, Self::Route, Self::Cleanup];

    /// The function's name, as in events and log lines.
    pub fn as_str(self) -> &'static str {
        match self {
            StageName::Provision => "provision",
            StageName::Deploy => "deploy",
            StageName::Route => "route",
            StageName::Cleanup => "cleanup",
        }
    }

    /// The actions that this function takes; the first is the default.
    pub fn actions(self) -> &'static [Action] {
        match self {
            StageName::Provision => &[Action::Provision],
            StageName::Deploy => &[Action::Deploy],
            StageName::Route => &[Action::Shift, Action::Rollback, Action::Guard],
            StageName::Cleanup => &[Action::Retire, Action::Discard, Action::Park, Action::Sweep],
        }
    }
}

impl fmt::Display for StageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
