//! What a service is at, as people look at it: one pure read model for tables, JSON and the page.
//!
//! Serialised it is the command's JSON: fields are only ever added, lists of words may grow.

mod next;
mod row;
mod shape;
#[cfg(test)]
mod tests;

use crate::{
    Action, Alarm, AlarmState, Approval, Build, Group, Health, Hold, Instance, InstanceState, Phase, Pipeline, Record,
    ReleaseId, Routing, ServiceRole, Stage,
};
use jiff::Timestamp;
use std::collections::BTreeMap;

pub use next::Next;
use next::Now;
pub use row::{Place, Standing};
pub use shape::{
    Asked, Closed, Held, Hook, Member, Name, Queued, Release, Rings, Role, Running, Status, Step, Unavailable, Weight,
    Weights,
};

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
    let queued = stage.map(|stage| &stage.waiting).into_iter().flatten();
    let releases = releases(instances, live.as_ref(), seen);
    let asked = approval.as_ref().map(|approval| asked(approval, seen, &releases));
    let going = running.is_some() || stage.is_some_and(|stage| stage.status == "InProgress");
    Status {
        at: seen.now,
        service: service.to_string(),
        pipeline: seen
            .pipeline
            .map(|pipeline| pipeline.name.clone())
            .or_else(|| seen.hold.map(|hold| hold.pipeline.clone())),
        releases,
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
        queued: queued.map(|release| Queued { release: release.clone() }).collect(),
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

/// What people call a release's build: as its hold has it, else the tags of its instances.
pub fn build<'a>(release: &ReleaseId, instances: &'a [Instance], hold: Option<&'a Hold>) -> Option<&'a Build> {
    let written = hold.filter(|hold| hold.release == *release).and_then(|hold| hold.build.as_ref());
    let tagged = || instances.iter().filter(|it| it.release.as_ref() == Some(release)).find_map(|it| it.build.as_ref());
    written.or_else(tagged)
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
            let members: Vec<Member> = fleet.iter().map(|instance| member(instance, seen.routing)).collect();
            let healthy = seen.routing.map(|_| members.iter().filter(|it| it.health == Some("healthy")).count());
            let launched = fleet.iter().map(|instance| instance.launched_at).max();
            // Who holds without instances has just begun.
            let launched = launched.unwrap_or(seen.now);
            let build = build(release, instances, seen.hold).cloned();
            (launched, Release { release: release.clone(), build, role, instances: members, healthy })
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

fn asked(approval: &Approval<'_>, seen: &Seen<'_>, releases: &[Release]) -> Asked {
    let hold = seen.hold.filter(|hold| hold.release == *approval.release);
    let predecessor = hold.and_then(|hold| hold.previous.as_ref()).and_then(|previous| previous.release.as_ref());
    let healthy = releases.iter().find(|it| Some(&it.release) == predecessor).and_then(|it| it.healthy);
    let unreachable = seen.routing.is_some() && seen.instances.is_some() && healthy.unwrap_or_default() == 0;
    let (approving, rejecting) = match approval.begins {
        Some(Action::Shift) => ("sends it the traffic", "removes it; the traffic stays where it is"),
        Some(Action::Retire) if hold.is_some() && predecessor.is_none() => (
            "keeps it live; it replaced nothing",
            "ends the release, but it stays live: there is nothing to go back to",
        ),
        Some(Action::Retire) if predecessor.is_some() && unreachable => {
            ("removes what it replaced", "ends the release, but it stays live: its predecessor has no healthy target")
        }
        Some(Action::Retire) => ("removes what it replaced", "moves all traffic back, and removes it"),
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
