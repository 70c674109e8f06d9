//! What a planner is asked, and what it may answer: a situation in, a decision out.

use crate::{Action, Artifact, Error, Holding, Kind, ReleaseId, ServiceRole, Step, Verdict, World, traffic};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// What is to be done, for whom.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// The service.
    pub role: ServiceRole,
    /// The release.
    pub release: ReleaseId,
    /// Its pipeline.
    pub pipeline: String,
    /// What.
    pub action: Action,
    /// The action's input artifact, where there is one.
    pub input: Option<Artifact>,
}

/// What a stage reads. A part that isn't read is empty in its [`World`], and its calls aren't linked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reads {
    /// The settings variable, with its selectors resolved.
    pub settings: bool,
    /// The holder's execution, if the holder is another release.
    pub holder: bool,
    /// Instances.
    pub instances: bool,
    /// Groups, switches, targets' health.
    pub routing: bool,
    /// Addresses.
    pub addresses: bool,
    /// Names.
    pub names: bool,
    /// Deployment group and deployments.
    pub install: bool,
    /// The artifact: whether it exists, which version.
    pub artifact: bool,
}

impl Reads {
    /// Only the bucket.
    pub const NOTHING: Self = Self {
        settings: false,
        holder: false,
        instances: false,
        routing: false,
        addresses: false,
        names: false,
        install: false,
        artifact: false,
    };
}

/// One action's planner: pure, without clock, environment, SDK or async.
pub trait Stage {
    /// What it needs to see.
    const READS: Reads;

    /// The next step, or why there is none now.
    fn decide(now: &Situation<'_>, memo: &mut Memo) -> Decision;
}

/// All that a planner may judge by.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// What is asked for.
    pub job: &'a Job,
    /// The bucket's word.
    pub holding: &'a Holding,
    /// The table of phases' word on the two: [`Verdict::Refuse`] and [`Verdict::Nothing`] never reach a planner.
    pub verdict: Verdict,
    /// The world.
    pub world: &'a World,
}

impl<'a> Situation<'a> {
    /// The release's own hold, as read; none if it doesn't hold.
    pub fn held(&self) -> Option<&'a crate::Held> {
        self.holding.held.as_ref().filter(|held| held.hold.release == self.job.release)
    }

    /// What an event tells of what was seen: the release's fleet, the service's names, the switches' weights.
    pub(crate) fn report(&self) -> Report {
        let fleet = self.world.fleet(&self.job.release).filter(|instance| !instance.gone());
        Report {
            instances: fleet.map(|instance| instance.id.clone()).collect(),
            names: self.world.names.iter().map(|record| record.name.clone()).collect(),
            weights: traffic::weights(self),
            ..Report::default()
        }
    }

    /// The failure, with what an event tells of what was seen.
    pub(crate) fn seen_by(&self, mut error: Error) -> Error {
        let left_behind = std::mem::take(&mut error.report.left_behind);
        *error.report = Report { left_behind, ..self.report() };
        error
    }

    /// A failure that says what of the release is left behind, who removes it, and what to do next.
    pub(crate) fn give_up(&self, kind: Kind, message: impl std::fmt::Display) -> Decision {
        Decision::Fail(self.leaving_all(Error::new(kind, message.to_string())))
    }

    /// Why a change was not made, with what an event tells of what was seen. Where the release can't go on by it,
    /// the message says what is left behind.
    pub(crate) fn unchanged(&self, error: Error) -> Error {
        let retried = error.kind.passes();
        let discarded = matches!(self.job.action, Action::Provision | Action::Deploy | Action::Shift);
        self.seen_by(if discarded && !retried && self.held().is_some() { self.leaving_all(error) } else { error })
    }

    fn leaving_all(&self, error: Error) -> Error {
        let release = &self.job.release;
        let instances: Vec<&str> = self
            .world
            .fleet(release)
            .filter(|instance| !instance.gone())
            .map(|instance| instance.id.as_str())
            .collect();
        let own = self.world.addresses.iter().filter(|address| address.release.as_ref() == Some(release));
        let addresses: Vec<&str> = own.map(|address| address.public_ip.as_str()).collect();
        let deployment = self.world.install.as_ref().and_then(|install| install.deployment.as_ref());
        let mut left = Vec::new();
        if !instances.is_empty() {
            left.push(format!("{} instances ({})", instances.len(), crate::listed(instances)));
        }
        if !addresses.is_empty() {
            left.push(format!("{} addresses ({})", addresses.len(), crate::listed(addresses)));
        }
        if let Some(running) = deployment.filter(|deployment| deployment.state == crate::DeploymentState::Running) {
            left.push(format!("deployment {}, still running", running.id));
        }
        left.push("the hold".to_owned());
        // After a list of problems, a paragraph of its own.
        let gap = if error.message.contains('\n') { "\n" } else { ". " };
        let message = error.message.trim_end_matches(['.', '\n']);
        let message = format!(
            "{message}{gap}Left behind of release {release}: {}; the end of the pipeline execution has them discarded. \
             Then start a new execution",
            left.join(", ")
        );
        Error { message, ..error }.leaving(left)
    }

    /// The step that changes the release's own hold.
    pub fn rewrite(held: &crate::Held, change: impl FnOnce(&mut crate::Hold)) -> Step {
        let mut hold = held.hold.clone();
        change(&mut hold);
        Step::WriteHold { hold: Box::new(hold), etag: Some(held.etag.clone()) }
    }
}

/// What a planner decides.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Make this one change, then look again.
    Do {
        /// The change.
        step: Step,
        /// For logs and stories.
        why: &'static str,
        /// Set on the last change of all: what it ends with.
        then: Option<Box<Done>>,
    },
    /// Nothing to change yet, and what is waited for.
    Wait(String),
    /// Nothing to do before somebody else is done: CodePipeline's console is told so soon.
    Yield(String),
    /// The end.
    Done(Done),
    /// Can't go on.
    Fail(Error),
}

/// What there is to go on with, or a break: the decision that comes first.
pub(crate) type First<T> = ControlFlow<Decision, T>;

impl Decision {
    /// A mistake in tagship itself comes first.
    pub(crate) fn bug<T>(message: impl std::fmt::Display) -> First<T> {
        ControlFlow::Break(Self::Fail(Error::new(Kind::Bug, format!("tagship: {message}"))))
    }

    /// Make this change.
    pub fn act(step: Step, why: &'static str) -> Self {
        Self::Do { step, why, then: None }
    }

    /// Delete the hold, and that was all.
    pub fn last(held: &crate::Held, done: Done) -> Self {
        let step = Step::DeleteHold { etag: held.etag.clone() };
        Self::Do { step, why: "the release has ended: the service is free", then: Some(Box::new(done)) }
    }
}

/// A job's success.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Done {
    /// Whether there was nothing (left) to do.
    pub nothing: bool,
    /// What was done, for people.
    pub message: String,
    /// Output variables: name, value.
    pub outputs: Vec<(&'static str, String)>,
    /// For the event.
    pub report: Report,
}

/// What a stage's event tells beyond its message (DESIGN: events and notifications).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// How it ended, where that isn't plain success.
    #[serde(skip)]
    pub ending: Ending,
    /// Instance ids.
    pub instances: Vec<String>,
    /// Names in the zone.
    pub names: Vec<String>,
    /// Switch label → `group=weight, …`.
    pub weights: std::collections::BTreeMap<String, String>,
    /// What is left behind, a sentence each.
    pub left_behind: Vec<String>,
}

/// Which event a success becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ending {
    /// `Stage Succeeded`
    #[default]
    Succeeded,
    /// `Release Rolled Back`
    RolledBack,
    /// `Release Kept`
    Kept,
}

/// What can't be observed again: carried from round to round, and in CodePipeline's continuation token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memo {
    /// The token's version.
    v: u8,
    /// When the action began.
    pub began: Timestamp,
    /// Capacity found exhausted: subnet, type, AWS's reason.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub exhausted: Vec<(String, String, String)>,
    /// Since when a state that the stage waits on has lasted (what that is, is the stage's to say).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub since: Option<Timestamp>,
    /// Since when the release has been seen without weight, without a break.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub weightless: Option<Timestamp>,
    /// Rounds in a row with too few healthy targets, or another fleet than `COUNT`.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub dips: u8,
    /// Why shift gave the traffic back: once it has, the targets no longer tell.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub watched: Option<String>,
    /// Since when AWS has been unavailable or has refused for a conflict, without a break.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unavailable: Option<Timestamp>,
    /// Seconds in all for which AWS has refused this action's requests for being too many.
    #[serde(skip_serializing_if = "is_none", default)]
    pub throttled_secs: u32,
    /// When the holder was last said to be abandoned.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub abandoned: Option<Timestamp>,
}

fn is_zero(n: &u8) -> bool {
    *n == 0
}

fn is_none(secs: &u32) -> bool {
    *secs == 0
}

impl Memo {
    /// The longest continuation token that CodePipeline takes, in characters.
    pub const MAX_TOKEN: usize = 2_048;

    /// Nothing known yet.
    pub fn new(now: Timestamp) -> Self {
        Self {
            v: 1,
            began: now,
            exhausted: Vec::new(),
            since: None,
            weightless: None,
            dips: 0,
            watched: None,
            unavailable: None,
            throttled_secs: 0,
            abandoned: None,
        }
    }

    /// From a continuation token; one of another version, or one that can't be read, is as none.
    pub fn from_token(token: &str) -> Option<Self> {
        serde_json::from_str(token).ok().filter(|memo: &Self| memo.v == 1)
    }

    /// As a continuation token. What doesn't fit is forgotten, oldest first: it will be found out again.
    pub fn to_token(&self) -> String {
        let mut memo = self.clone();
        loop {
            let token = serde_json::to_string(&memo).unwrap_or_default();
            if token.len() <= Self::MAX_TOKEN || memo.exhausted.is_empty() {
                return token;
            }
            memo.exhausted.remove(0);
        }
    }
}
