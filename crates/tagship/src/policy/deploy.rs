//! Deploy: installs the artifact on the fleet, registers it in the free group, and waits until it is healthy.

mod install;
mod targets;
#[cfg(test)]
mod tests;

use crate::engine::{Gate, Memory, Standing, admission};
use crate::model::words::is_or_are;
use crate::names::Names;
use crate::policy::pair::Pair;
use crate::policy::test_traffic;
use crate::settings::TargetGroup;
use crate::{
    Action, AlarmState, Artifact, Change, Changes, Decision, Done, First, Group, Held, Instance, InstanceState, Kind,
    Parts, Planner, Report, Situation, counted, listed,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::ops::ControlFlow::{Break, Continue};

/// How many looks in a row must find another fleet than `COUNT` running instances before deploy fails. Describes lag, and
/// a second provision may still be removing its surplus.
const LOOKS: u8 = 10;

/// Seconds between two looks at the fleet while something is installed on it.
const FLEET_EVERY_SECS: u32 = 20;

/// The planner of deploy.
#[derive(Debug)]
pub struct Deploy;

/// What deploy remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeployMemory {
    /// Looks in a row that found another fleet than `COUNT` running instances.
    pub incomplete_looks: u8,
    /// When the fleet was last found to be whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub whole_at: Option<Timestamp>,
    /// Since when the candidate's group has been seen without weight, each time that somebody looked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weightless_since: Option<Timestamp>,
    /// Since when the whole fleet has been registered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registered_since: Option<Timestamp>,
    /// The deployment that has been found to have succeeded on every instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub installed: Option<Installation>,
}

/// A deployment that has succeeded on every instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installation {
    /// `d-…`
    pub id: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// The instances, sorted.
    pub instances: Vec<String>,
}

impl Memory for DeployMemory {
    /// The deployment is read again.
    fn shorten(&mut self) -> bool {
        self.installed.take().is_some()
    }
}

impl Planner for Deploy {
    const ACTION: Action = Action::Deploy;
    const READS: Parts = Parts::INSTANCES
        .and(Parts::ROUTING)
        .and(Parts::FILTER)
        .and(Parts::DEPLOYMENT)
        .and(Parts::ARTIFACT)
        .and(Parts::ALARMS);
    const CHANGES: Changes = Changes::of(&[Change::Install, Change::Register, Change::Deregister, Change::Test]);
    type Entry<'a> = &'a Held;
    type Memory = DeployMemory;

    fn admit(standing: Standing<'_>) -> Gate<&Held> {
        admission::deploy(standing)
    }

    fn decide<'a>(now: &Situation<'a>, held: &'a Held, memory: &mut DeployMemory) -> First<Done> {
        if held.hold.previous.is_some() {
            // A late invocation: by now the free group is its predecessor's.
            let done = late(now, held)?;
            return Continue(Done { nothing: true, ..done });
        }
        let artifact = artifact(now, held, memory)?;
        let installed = install::installed(now, held, memory, artifact)?;
        let healthy = match pair(now, held)? {
            None => None,
            Some(pair) => {
                let group = free_group(now, &pair, held, &installed.instances)?;
                memory.weightless_since.get_or_insert(now.world.since());
                targets::healthy(now, held, memory, &installed.instances, group)?;
                Some((installed.instances.len(), group))
            }
        };
        let alarms = ringing(now, held)?;
        // The last look is at the fleet: nothing has been looked at since that could tell that an instance has died.
        whole(now, held, memory)?;
        if let Some((_, group)) = healthy
            && let Some(step) = test_traffic::toward(now.world.routing()?, group)
        {
            return Break(Decision::act(step, "the candidate is healthy: test traffic goes to it"));
        }
        // CodeDeploy may tell whole seconds.
        let already = installed.created_at.as_second() < now.began.as_second();
        let preface = if already { "already deployed: " } else { "" };
        let (ids, deployment) = (installed.instances, Some(installed.id));
        Continue(done(now, held, Ended { preface, artifact: Some(artifact), ids, deployment, healthy, alarms }))
    }
}

fn pair<'a>(now: &Situation<'a>, held: &Held) -> First<Option<Pair<'a>>> {
    let setting = &held.hold.settings.target_group;
    if *setting == TargetGroup::None {
        return Continue(None);
    }
    match Pair::judge(now.world.routing()?, setting) {
        Ok(pair) => Continue(Some(pair)),
        Err(error) => Break(now.give_up(error.kind, error)),
    }
}

/// The candidate's group: no switch gives weight to it, and none did when the artifact was chosen.
fn free_group<'a>(now: &Situation<'_>, pair: &Pair<'a>, held: &Held, fleet: &[impl AsRef<str>]) -> First<&'a Group> {
    let group = match pair.candidate() {
        Ok(group) => group,
        Err(error) => return Break(now.give_up(error.kind, error)),
    };
    let weighted = pair.other(group);
    let fleet: BTreeSet<&str> = fleet.iter().map(AsRef::as_ref).collect();
    let registered = pair.group_of(&fleet).is_some_and(|home| home.arn == weighted.arn);
    if registered || held.hold.group.as_ref().is_some_and(|arn| *arn == weighted.arn) {
        let weights: Vec<String> =
            pair.routing.weights().into_iter().map(|(switch, weights)| format!("{switch}: {weights}")).collect();
        return Break(now.give_up(
            Kind::Configuration,
            format!(
                "{} has this release's instances or was chosen for them, and has the weight already ({}). Somebody else \
                 changed weights or targets: set the weights back to the group of the release that is live",
                weighted.name,
                weights.join("; ")
            ),
        ));
    }
    Continue(group)
}

/// The fleet's ids, sorted, if exactly `COUNT` instances run. Deploy replaces none of them.
fn whole<'a>(now: &Situation<'a>, held: &Held, memory: &mut DeployMemory) -> First<Vec<&'a str>> {
    let count = held.hold.settings.count as usize;
    let fleet = now.world.fleet(&now.job.release)?;
    let running = |instance: &&&Instance| instance.state == InstanceState::Running;
    let mut ids: Vec<&str> = fleet.iter().filter(running).map(|instance| instance.id.as_str()).collect();
    if ids.len() == count && fleet.iter().filter(|instance| instance.alive()).count() == count {
        memory.incomplete_looks = 0;
        memory.whole_at = Some(now.world.now());
        ids.sort_unstable();
        return Continue(ids);
    }
    let others: Vec<String> = fleet
        .iter()
        .filter(|instance| !running(instance))
        .map(|instance| match &instance.reason {
            Some(reason) => format!("{} is {:?} ({reason})", instance.id, instance.state),
            None => format!("{} is {:?}", instance.id, instance.state),
        })
        .collect();
    let run = if ids.len() == 1 { "runs" } else { "run" };
    let mut found = format!("{} of this release {run}, COUNT is {count}", counted(ids.len(), "instance"));
    if !others.is_empty() {
        found = format!("{found}: {}", listed(others.iter().map(String::as_str)));
    }
    memory.incomplete_looks = memory.incomplete_looks.saturating_add(1);
    Break(if memory.incomplete_looks < LOOKS {
        Decision::wait(format!("the fleet to be complete; {found}"))
    } else {
        now.give_up(Kind::Release, format!("{found}. Deploy doesn't replace instances"))
    })
}

/// Whether it is time to look at the fleet again, while CodeDeploy works on it.
fn unseen(now: &Situation<'_>, memory: &DeployMemory) -> bool {
    memory.incomplete_looks > 0 || memory.whole_at.is_none_or(|at| now.left(at, FLEET_EVERY_SECS).is_none())
}

/// What is installed, and where it will serve: chosen once, and written down before anything else is changed.
fn artifact<'a>(now: &Situation<'_>, held: &'a Held, memory: &mut DeployMemory) -> First<&'a Artifact> {
    if let Some(artifact) = &held.hold.artifact {
        return Continue(artifact);
    }
    let routed = held.hold.settings.target_group != TargetGroup::None;
    now.world.need(Parts::INSTANCES.and(Parts::ARTIFACT).and(Parts::ROUTING.when(routed)))?;
    let fleet = whole(now, held, memory)?;
    let group = match pair(now, held)? {
        None => None,
        Some(pair) => Some(free_group(now, &pair, held, &fleet)?.arn.clone()),
    };
    Break(match now.world.artifact()? {
        Some(Ok(found)) => {
            let step = Situation::rewrite(held, |hold| {
                hold.artifact = Some(found.clone());
                hold.group = group;
            });
            Decision::act(step, "what is installed is chosen once")
        }
        Some(Err(why)) => now.give_up(Kind::Release, why),
        None => now.give_up(
            Kind::Configuration,
            "there is nothing to install: give the deploy action an input artifact, or set ARTIFACT",
        ),
    })
}

/// What deploy ends with.
struct Ended<'a> {
    preface: &'static str,
    artifact: Option<&'a Artifact>,
    ids: Vec<String>,
    deployment: Option<String>,
    healthy: Option<(usize, &'a Group)>,
    alarms: String,
}

/// A late invocation tells what it finds.
fn late(now: &Situation<'_>, held: &Held) -> First<Done> {
    let hold = &held.hold;
    let routed = hold.settings.target_group != TargetGroup::None;
    now.world.need(Parts::INSTANCES.and(Parts::DEPLOYMENT).and(Parts::ROUTING.when(routed)))?;
    let running = |instance: &&Instance| instance.state == InstanceState::Running;
    let fleet = now.world.fleet(&hold.release)?;
    let mut ids: Vec<String> = fleet.into_iter().filter(running).map(|instance| instance.id.clone()).collect();
    ids.sort_unstable();
    let own: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
    let routing = if routed { Some(now.world.routing()?) } else { None };
    let pair = routing.and_then(|routing| Pair::of(routing, &hold.settings.target_group).ok());
    let healthy = pair.and_then(|pair| pair.group_of(&own)).map(|group| {
        let targets = targets::own(group, &hold.settings, |id| own.contains(id));
        (targets.filter(targets::is_healthy).count(), group)
    });
    let deployment = now.world.deployment()?.map(|deployment| deployment.id.clone());
    let preface = "already deployed, the shift has begun: ";
    Continue(done(
        now,
        held,
        Ended {
            preface,
            artifact: hold.artifact.as_ref(),
            ids: ids.clone(),
            deployment,
            healthy,
            alarms: ringing(now, held)?,
        },
    ))
}

/// Alarms that ring before any traffic moves: the person who approves decides what they mean.
fn ringing(now: &Situation<'_>, held: &Held) -> First<String> {
    if held.hold.settings.alarms.ids().is_empty() {
        return Continue("none are set up".to_owned());
    }
    let rings = now.world.alarms()?.iter().filter(|alarm| alarm.state == AlarmState::Alarm);
    let rings = rings.map(|alarm| match alarm.since {
        Some(since) => format!("{} has been ringing since {since:.0}", alarm.name),
        None => format!("{} is ringing", alarm.name),
    });
    let rings: Vec<String> = rings.collect();
    Continue(if rings.is_empty() { "none is ringing".to_owned() } else { listed(rings.iter().map(String::as_str)) })
}

fn done(now: &Situation<'_>, held: &Held, ended: Ended<'_>) -> Done {
    let Ended { preface, artifact, ids, deployment, healthy, alarms } = ended;
    let artifact = artifact.map_or("none".to_owned(), Artifact::to_string);
    let deployment = deployment.unwrap_or_else(|| "none".to_owned());
    let instances = counted(ids.len(), "instance");
    let mut message = format!("{preface}{artifact} is installed on {instances} (deployment {deployment})");
    if let Some((healthy, group)) = healthy {
        let are = is_or_are(healthy, healthy);
        message.push_str(&format!(", {} {are} healthy in {}", counted(healthy, "target"), group.name));
    }
    let healthy = healthy.map_or("none".to_owned(), |(healthy, _)| healthy.to_string());
    let name = held.hold.settings.zone.as_ref().map(|zone| Names::Candidate.fleet_name(&now.job.role, zone));
    Done {
        message,
        outputs: vec![
            ("DeploymentId", deployment),
            ("HealthyTargets", healthy),
            ("Artifact", artifact),
            ("TestAddress", test_traffic::address(now.world.as_read().routing.as_ref())),
            ("Alarms", alarms),
        ],
        report: Report { names: name.into_iter().collect(), instances: ids, ..now.report() },
        ..Done::default()
    }
}
