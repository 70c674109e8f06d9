//! What a service is at, as people look at it: one pure read model for tables, JSON and the page.
//!
//! Serialised it is the command's JSON: fields are only ever added, lists of words may grow.

mod next;
mod row;
#[cfg(test)]
mod tests;

use crate::settings::HookPoint;
use crate::{
    Action, Alarm, AlarmState, Approval, Build, Group, Health, Hold, Instance, InstanceState, Phase, Pipeline, Record,
    ReleaseId, Routing, ServiceRole, Stage,
};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

pub use next::Next;
use next::Now;
pub use row::{Place, Standing};

/// What was read of a service. A part that couldn't be read is none, and named in `unavailable`.
#[derive(Debug, Clone, Default)]
pub struct Seen<'a> {
    /// When it was read.
    pub now: Timestamp,
    /// The service's hold; none if it has none.
    pub hold: Option<&'a Hold>,
    /// Every instance with the service's tag.
    pub instances: Option<&'a [Instance]>,
    /// The pair and its switches; none without a load balancer.
    pub routing: Option<&'a Routing>,
    /// The records of the private zone.
    pub names: Option<&'a [Record]>,
    /// The alarms that the hold, or else the settings, name.
    pub alarms: Option<&'a [Alarm]>,
    /// The pipeline.
    pub pipeline: Option<&'a Pipeline>,
    /// The parts that couldn't be read.
    pub unavailable: Vec<Unavailable>,
}

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

/// What was seen of a service, for people.
pub fn status(service: &ServiceRole, seen: &Seen<'_>) -> Status {
    let stage = seen.pipeline.and_then(|pipeline| pipeline.stage_of(service.as_str()));
    let approval = stage.and_then(Stage::approval).filter(|open| open.services.contains(&service.as_str()));
    let held = seen.hold.map(held);
    let instances = seen.instances.unwrap_or_default();
    let live = live(instances, seen.hold);
    let running = stage.and_then(|stage| {
        let act = stage.running()?;
        let run = act.last.as_ref()?;
        Some(Running {
            action: act.name.clone(),
            release: stage.latest.clone()?,
            since: run.since,
            says: run.summary.clone(),
        })
    });
    let frozen = stage.and_then(|stage| stage.frozen.as_ref()).map(|frozen| Closed {
        reason: frozen.reason.clone(),
        by: frozen.by.clone(),
        since: frozen.since,
    });
    let asked = approval.as_ref().map(asked);
    let going = running.is_some() || stage.is_some_and(|stage| stage.status == "InProgress");
    Status {
        at: seen.now,
        service: service.to_string(),
        pipeline: seen
            .pipeline
            .map(|pipeline| pipeline.name.clone())
            .or_else(|| seen.hold.map(|hold| hold.pipeline.clone())),
        releases: releases(instances, live.as_ref(), seen),
        switches: seen.routing.map(|routing| switches(routing, instances)).unwrap_or_default(),
        actions: seen.pipeline.map(row::row).unwrap_or_default(),
        names: seen.names.unwrap_or_default().iter().map(name).collect(),
        alarms: seen.alarms.unwrap_or_default().iter().map(rings).collect(),
        next: next::next(
            service.as_str(),
            held.as_ref(),
            asked.as_ref(),
            Now { going, frozen: frozen.is_some(), live: live.is_some() },
        ),
        unavailable: seen.unavailable.clone(),
        live,
        held,
        running,
        approval: asked,
        frozen,
    }
}

/// The live release as the tags tell it: of those with instances that were not retired and are no candidate's, the newest.
/// Who has the traffic the weights say; where nobody moves them it is the same release.
pub fn live(instances: &[Instance], hold: Option<&Hold>) -> Option<ReleaseId> {
    // Until its last weight has moved, who holds is a candidate; when it goes back too.
    let candidate = hold
        .filter(|hold| hold.phase != Phase::Approved && (hold.moved_at.is_none() || hold.back.is_some()))
        .map(|hold| &hold.release);
    let mut newest: BTreeMap<&ReleaseId, Timestamp> = BTreeMap::new();
    for instance in instances.iter().filter(|instance| instance.alive() && instance.retired_by.is_none()) {
        let Some(release) = instance.release.as_ref().filter(|release| Some(*release) != candidate) else { continue };
        let launched = newest.entry(release).or_insert(instance.launched_at);
        *launched = (*launched).max(instance.launched_at);
    }
    newest.into_iter().max_by_key(|(_, launched)| *launched).map(|(release, _)| release.clone())
}

fn releases(instances: &[Instance], live: Option<&ReleaseId>, seen: &Seen<'_>) -> Vec<Release> {
    let mut fleets: BTreeMap<&ReleaseId, Vec<&Instance>> = BTreeMap::new();
    for instance in instances.iter().filter(|instance| !instance.gone()) {
        fleets.extend(instance.release.as_ref().filter(|release| !fleets.contains_key(release)).map(|it| (it, vec![])));
        if let Some(fleet) = instance.release.as_ref().and_then(|release| fleets.get_mut(release)) {
            fleet.push(instance);
        }
    }
    if let Some(hold) = seen.hold {
        fleets.entry(&hold.release).or_default();
    }
    let holder = seen.hold.map(|hold| &hold.release);
    let mut releases: Vec<(Timestamp, Release)> = fleets
        .into_iter()
        .map(|(release, fleet)| {
            let role = if Some(release) == live {
                Role::Live
            } else if Some(release) == holder {
                Role::Candidate
            } else {
                Role::Retired
            };
            let instances: Vec<Member> = fleet.iter().map(|instance| member(instance, seen.routing)).collect();
            let healthy = seen.routing.map(|_| instances.iter().filter(|it| it.health == Some("healthy")).count());
            let launched = fleet.iter().map(|instance| instance.launched_at).max();
            // Who holds without instances has just begun.
            let launched = launched.unwrap_or(seen.now);
            let written = seen.hold.filter(|hold| hold.release == *release).and_then(|hold| hold.build.as_ref());
            let build = written.or_else(|| fleet.iter().find_map(|instance| instance.build.as_ref())).cloned();
            (launched, Release { release: release.clone(), build, role, instances, healthy })
        })
        .collect();
    releases.sort_by_key(|(launched, _)| std::cmp::Reverse(*launched));
    releases.into_iter().map(|(_, release)| release).collect()
}

fn member(instance: &Instance, routing: Option<&Routing>) -> Member {
    let targets = routing.into_iter().flat_map(|routing| &routing.groups).flat_map(|group| &group.targets);
    let target = targets.filter(|target| target.id == instance.id).min_by_key(|target| !target.counts());
    Member {
        id: instance.id.clone(),
        state: state(instance.state),
        address: instance.private_ip.clone(),
        health: target.map(|target| health(target.health)),
        reason: target.and_then(|it| it.reason.clone()).or_else(|| instance.reason.clone()).filter(|it| !it.is_empty()),
    }
}

fn state(state: InstanceState) -> &'static str {
    match state {
        InstanceState::Pending => "pending",
        InstanceState::Running => "running",
        InstanceState::ShuttingDown => "shutting-down",
        InstanceState::Terminated => "terminated",
        InstanceState::Stopping => "stopping",
        InstanceState::Stopped => "stopped",
    }
}

fn health(health: Health) -> &'static str {
    match health {
        Health::Initial => "initial",
        Health::Healthy => "healthy",
        Health::Unhealthy => "unhealthy",
        Health::Unused => "unused",
        Health::Draining => "draining",
        Health::Unavailable => "unavailable",
    }
}

fn switches(routing: &Routing, instances: &[Instance]) -> Vec<Weights> {
    let of = |group: &Group| -> Option<ReleaseId> {
        let mut counts: BTreeMap<&ReleaseId, usize> = BTreeMap::new();
        for target in group.targets.iter().filter(|target| target.counts()) {
            let release = instances.iter().find(|it| it.id == target.id).and_then(|it| it.release.as_ref());
            *counts.entry(release?).or_default() += 1;
        }
        counts.into_iter().max_by_key(|(_, count)| *count).map(|(release, _)| release.clone())
    };
    let by_arn: BTreeMap<&str, (&Group, Option<ReleaseId>)> =
        routing.groups.iter().map(|group| (group.arn.as_str(), (group, of(group)))).collect();
    let weights = |switch: &crate::Switch| {
        let total: u32 = switch.weights.iter().map(|(_, weight)| weight).sum();
        let weight = |(arn, weight): &(String, u32)| {
            let ours = by_arn.get(arn.as_str());
            Weight {
                group: ours.map_or_else(|| arn.clone(), |(group, _)| group.name.clone()),
                weight: *weight,
                percent: (weight * 100).checked_div(total).unwrap_or_default(),
                release: ours.and_then(|(_, release)| release.clone()),
            }
        };
        Weights { switch: switch.label.clone(), groups: switch.weights.iter().map(weight).collect() }
    };
    routing.switches.iter().map(weights).collect()
}

fn held(hold: &Hold) -> Held {
    let steps = &hold.settings.shift.steps;
    let step = hold.split.as_ref().filter(|split| split.step < steps.len()).map(|split| Step {
        step: split.step + 1,
        of: steps.len(),
        percent: split.to,
        since: split.since,
        until: split.since.map(|since| {
            since + jiff::SignedDuration::from_secs(steps.get(split.step).map_or(0, |step| step.bake_secs.into()))
        }),
    });
    // What goes back isn't called any more.
    let hook = hold.calling().filter(|_| hold.back.is_none() && hold.phase == Phase::Open).map(|(hook, run)| Hook {
        function: hook.function.clone(),
        point: run.point,
        since: run.since,
        until: run.since + jiff::SignedDuration::from_secs(hold.settings.timeouts.hook_secs.into()),
    });
    Held {
        release: hold.release.clone(),
        phase: hold.phase,
        since: hold.since,
        step,
        hook,
        moved_at: hold.moved_at,
        going_back: hold.back.as_ref().map(|back| back.why.clone()),
    }
}

fn asked(approval: &Approval<'_>) -> Asked {
    let (approving, rejecting) = match approval.begins {
        Some(Action::Shift) => ("sends it the traffic", "removes it; the traffic stays where it is"),
        Some(Action::Retire) => ("removes what it replaced", "gives all traffic back at once, and removes it"),
        Some(Action::Provision) => ("prepares it for the next service of the pipeline", "removes it"),
        _ => ("lets the pipeline go on", "ends the release, and removes it"),
    };
    Asked {
        approval: approval.action.to_owned(),
        release: approval.release.clone(),
        since: approval.since,
        approving,
        rejecting,
    }
}

fn name(record: &Record) -> Name {
    Name { name: record.name.clone(), addresses: record.values.clone() }
}

fn rings(alarm: &Alarm) -> Rings {
    let state = match alarm.state {
        AlarmState::Ok => "ok",
        AlarmState::Alarm => "alarm",
        AlarmState::NoData => "no data",
        AlarmState::Missing => "missing",
    };
    Rings { name: alarm.name.clone(), state, since: alarm.since }
}
