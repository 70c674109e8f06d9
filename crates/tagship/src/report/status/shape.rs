//! What a status says, as it is serialised.

use super::{Next, Place};
use crate::settings::HookPoint;
use crate::{Build, Phase, ReleaseId};
use jiff::Timestamp;
use serde::Serialize;

/// A part that couldn't be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unavailable {
    /// Which: `instances`, `switches`.
    pub part: &'static str,
    /// The permission that lacks, as IAM names it; none if it is something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission: Option<String>,
    /// Why.
    pub why: String,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// When it was read.
    pub at: Timestamp,
    /// The service role.
    pub service: String,
    /// Its pipeline, where one is known.
    pub pipeline: Option<String>,
    /// The release that is live, by the tags of its instances.
    pub live: Option<ReleaseId>,
    /// Its releases, the newest first.
    pub releases: Vec<Release>,
    /// The weights of each switch.
    pub switches: Vec<Weights>,
    /// The actions of its pipeline, in their order; of others' services too where they share it.
    pub actions: Vec<Place>,
    /// Who holds the service, and how far it is.
    pub held: Option<Held>,
    /// What runs in the pipeline.
    pub running: Option<Running>,
    /// For whose answer it waits.
    pub approval: Option<Asked>,
    /// Why nothing may enter its stage.
    pub frozen: Option<Closed>,
    /// Releases that wait before its stage, the next first.
    pub queued: Vec<Queued>,
    /// Names in the private zone.
    pub names: Vec<Name>,
    /// Alarms that are heeded.
    pub alarms: Vec<Rings>,
    /// What a person can do now.
    pub next: Vec<Next>,
    /// What couldn't be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unavailable: Vec<Unavailable>,
}

/// A release that has instances, or holds the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// Its id.
    pub release: ReleaseId,
    /// What people call its build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<Build>,
    /// What it is to the service.
    pub role: Role,
    /// Its instances, gone ones left out.
    pub instances: Vec<Member>,
    /// How many of them are healthy targets; none where there is no load balancer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthy: Option<usize>,
}

/// What a release is to its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It serves.
    Live,
    /// It is being released.
    Candidate,
    /// It was replaced, and is kept.
    Retired,
}

impl Role {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Candidate => "candidate",
            Self::Retired => "retired",
        }
    }
}

/// An instance of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// `i-…`
    pub id: String,
    /// EC2's word: `running`.
    pub state: &'static str,
    /// Its private address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The balancer's word: `healthy`; none if it is no target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<&'static str>,
    /// Its reason code: `Target.FailedHealthChecks`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How a switch divides its traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Weights {
    /// For people: `HTTPS:443 rule 10 (web.example.com)`.
    pub switch: String,
    /// Its groups, those of others too.
    pub groups: Vec<Weight>,
}

/// A group's part of a switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Weight {
    /// The group's name, or its ARN where it isn't one of the pair.
    pub group: String,
    /// Its weight, 0 to 999.
    pub weight: u32,
    /// Of the switch's traffic, rounded down.
    pub percent: u32,
    /// The release that most of its targets are of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseId>,
}

/// The hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// Who holds.
    pub release: ReleaseId,
    /// How far it has been decided.
    pub phase: Phase,
    /// Since when.
    pub since: Timestamp,
    /// The step of a gradual shift: its percentage, and since when it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<Step>,
    /// The hook that is being called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook: Option<Hook>,
    /// When the last weight had moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved_at: Option<Timestamp>,
    /// Why the traffic goes back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub going_back: Option<String>,
}

/// A step of a gradual shift.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Which, counted from 1.
    pub step: usize,
    /// Of how many.
    pub of: usize,
    /// The candidate's percentage.
    pub percent: u32,
    /// Since when every switch has it; none while it is being given.
    pub since: Option<Timestamp>,
    /// Until when it is held at the least.
    pub until: Option<Timestamp>,
}

/// A hook that is being called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hook {
    /// Its function.
    pub function: String,
    /// When in a shift.
    pub point: HookPoint,
    /// Since when.
    pub since: Timestamp,
    /// Until when it has to succeed.
    pub until: Timestamp,
}

/// An action that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Running {
    /// The pipeline's name for it.
    pub action: String,
    /// The execution.
    pub release: ReleaseId,
    /// Since when.
    pub since: Option<Timestamp>,
    /// What it says of itself.
    pub says: Option<String>,
}

/// An open approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// The approval's name.
    pub approval: String,
    /// The release that waits.
    pub release: ReleaseId,
    /// Since when.
    pub since: Option<Timestamp>,
    /// What approving it does.
    pub approving: &'static str,
    /// What rejecting it does.
    pub rejecting: &'static str,
}

/// A disabled transition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Closed {
    /// Why.
    pub reason: String,
    /// Who closed it.
    pub by: Option<String>,
    /// Since when.
    pub since: Option<Timestamp>,
}

/// A release that waits before the stage: until it is free, and its door open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Queued {
    /// Its id.
    pub release: ReleaseId,
}

/// A name of the private zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Name {
    /// `candidate.web-product.cd.internal`
    pub name: String,
    /// The addresses that it leads to.
    pub addresses: Vec<String>,
}

/// An alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rings {
    /// Its name.
    pub name: String,
    /// CloudWatch's word, in lower case: `ok`, `alarm`, `no data`, `missing`.
    pub state: &'static str,
    /// Since when.
    pub since: Option<Timestamp>,
}
