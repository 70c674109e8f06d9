//! Taking fleets away: deregister, names, drain, addresses, then stop or terminate. One step at a time, from
//! whatever is still there.

use super::postmortem;
use crate::engine::Memory;
use crate::names::{self, Names};
use crate::settings::TargetGroup;
use crate::{
    Address, Decision, Deployment, DeploymentState, Error, First, Group, Health, Held, Hold, INSTANCES_A_CALL,
    Instance, InstanceState, Kind, Parts, ReleaseId, Routing, Situation, Step, TARGETS_A_CALL, counted,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::ops::ControlFlow::{Break, Continue};

/// What is taken away, and what stays.
#[derive(Debug)]
pub struct Removal<'a> {
    /// Instances to remove.
    pub doomed: BTreeSet<&'a str>,
    /// The releases that they belong to: whose addresses go, even of instances that are gone.
    pub releases: BTreeSet<&'a ReleaseId>,
    /// Those whose instances are kept stopped, and by whom they are replaced.
    pub stop_by: Option<&'a ReleaseId>,
    /// The addresses that the `live` names are left with; none leaves those names alone.
    pub live: Option<Vec<String>>,
    /// Whether the job's own release goes, on which something may be being installed.
    pub installs: bool,
    /// The hold of a failed release that is kept first, out of every group, for as long as its settings say.
    pub kept: Option<&'a Held>,
}

/// What those remember that remove something.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RemovalMemory {
    /// Since when the release, or what it replaced, has been seen without weight, each time that somebody looked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weightless_since: Option<Timestamp>,
    /// Since when test traffic has been seen to lead to the approved release, without a break.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tested_since: Option<Timestamp>,
    /// Since when all that goes has been deregistered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deregistered_since: Option<Timestamp>,
    /// Since when an approved release has had too few healthy targets to replace the one before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poor_since: Option<Timestamp>,
    /// Instances that a person has protected against termination: they are left behind.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub protected: Vec<String>,
}

impl Memory for RemovalMemory {
    /// That they are protected is found out again.
    fn shorten(&mut self) -> bool {
        self.protected.pop().is_some()
    }
}

/// What a refusal tells: a protected instance would hold the service for ever. AWS names it in quotes, and refuses all
/// for the one.
pub(super) fn spared(refused: &Step, error: &Error, memory: &RemovalMemory) -> Option<RemovalMemory> {
    let (Step::Terminate { instances } | Step::Stop { instances }) = refused else { return None };
    if error.kind != Kind::Protected {
        return None;
    }
    let is_named = |id: &&String| error.message.contains(&format!("'{id}'"));
    let mut named: Vec<String> = instances.iter().filter(is_named).cloned().collect();
    if named.is_empty() {
        named.clone_from(instances);
    }
    let mut memory = memory.clone();
    memory.protected.extend(named);
    Some(memory)
}

type Chosen = Option<(Step, &'static str)>;

impl Removal<'_> {
    /// Goes on once all is gone.
    pub fn done(&self, now: &Situation<'_>, hold: &Hold, memory: &mut RemovalMemory) -> First<()> {
        let first = |chosen: Chosen| match chosen {
            Some((step, why)) => Break(Decision::act(step, why)),
            None => Continue(()),
        };
        if self.installs {
            first(deployment(now.world.deployment()?))?;
        }
        let pair = hold.settings.target_group != TargetGroup::None;
        if pair {
            let targets = self.targets(now.world.routing()?);
            if targets.is_some() {
                // What is deregistered later drains later.
                memory.deregistered_since = None;
            }
            first(targets)?;
        }
        if let Some(held) = self.kept {
            if let (Some(zone), Some(live)) = (hold.settings.zone.as_deref(), &self.live) {
                let changes = names::toward(now.world.names()?, &now.job.role, zone, Names::Live, live);
                first(names::batch(zone, changes).map(|step| (step, "the live names keep only addresses that serve")))?;
            }
            postmortem::keep(now, held)?;
        }
        now.world.need(Parts::ADDRESSES.and(Parts::NAMES.when(hold.settings.zone.is_some())))?;
        if let Some(zone) = hold.settings.zone.as_deref() {
            first(self.names(now, zone)?)?;
        }
        if pair {
            self.drain(now, now.world.routing()?, hold, memory)?;
        }
        first(self.addresses(now.world.addresses()?))?;
        first(self.instances(now, hold, &memory.protected)?)
    }

    fn targets(&self, routing: &Routing) -> Chosen {
        let group = routing.groups.iter().find_map(|group| {
            let targets: Vec<(String, u16)> = group
                .targets
                .iter()
                .filter(|target| target.counts() && self.doomed.contains(target.id.as_str()))
                .map(|target| (target.id.clone(), target.port))
                .take(TARGETS_A_CALL)
                .collect();
            (!targets.is_empty()).then(|| (group.arn.clone(), targets))
        });
        group.map(|(group, targets)| (Step::Deregister { group, targets }, "what goes gets no more requests"))
    }

    /// Waits DRAIN seconds from the first look at which all is deregistered; the balancer says `draining` for
    /// its whole deregistration delay, even when no connection is left.
    fn drain(&self, now: &Situation<'_>, routing: &Routing, hold: &Hold, memory: &mut RemovalMemory) -> First<()> {
        let targets = routing.groups.iter().flat_map(|group| &group.targets);
        let draining = targets
            .filter(|target| target.health == Health::Draining && self.doomed.contains(target.id.as_str()))
            .count();
        if draining == 0 || self.standing(now.world.instances()?).next().is_none() {
            return Continue(());
        }
        let since = *memory.deregistered_since.get_or_insert(now.world.since());
        match now.left(since, hold.settings.drain_secs) {
            Some((until, left)) => {
                Break(Decision::wait_until(until, format!("{} to drain, {left} s more", counted(draining, "target"))))
            }
            None => Continue(()),
        }
    }

    fn names(&self, now: &Situation<'_>, zone: &str) -> First<Chosen> {
        let existing = now.world.names()?;
        let mut changes = names::toward(existing, &now.job.role, zone, Names::Candidate, &[]);
        if let Some(live) = &self.live {
            changes.extend(names::toward(existing, &now.job.role, zone, Names::Live, live));
        }
        Continue(names::batch(zone, changes).map(|step| (step, "names keep only addresses that stay")))
    }

    fn addresses(&self, addresses: &[Address]) -> Chosen {
        addresses.iter().find_map(|address| {
            let own = address.release.as_ref().is_some_and(|release| self.releases.contains(release));
            let borrowed = address.instance.as_deref().is_some_and(|instance| self.doomed.contains(instance));
            match &address.association {
                Some(association) if own || borrowed => Some((
                    Step::DisassociateAddress { address: address.id.clone(), association: association.clone() },
                    "its instance goes",
                )),
                None if own => {
                    Some((Step::ReleaseAddress { address: address.id.clone() }, "it was allocated for what goes"))
                }
                _ => None,
            }
        })
    }

    fn instances(&self, now: &Situation<'_>, hold: &Hold, protected: &[String]) -> First<Chosen> {
        let instances = now.world.instances()?;
        let ids = |chosen: &dyn Fn(&Instance) -> bool| -> Option<Vec<String>> {
            let ids: Vec<String> = self
                .standing(instances)
                .filter(|instance| !protected.contains(&instance.id) && chosen(instance))
                .map(|instance| instance.id.clone())
                .take(INSTANCES_A_CALL)
                .collect();
            (!ids.is_empty()).then_some(ids)
        };
        if let Some(by) = self.stop_by {
            let runs = |instance: &Instance| instance.state == InstanceState::Running;
            // Tagged first: nobody would find a stopped instance without the tag.
            if let Some(instances) = ids(&|instance| runs(instance) && instance.retired_by.as_ref() != Some(by)) {
                let step = Step::TagRetired { instances, by: by.clone() };
                return Continue(Some((step, "kept, until the next release retires it")));
            }
            if let Some(instances) = ids(&runs) {
                return Continue(Some((Step::Stop { instances }, "kept stopped")));
            }
        }
        // EC2 stops none that boots. One that doesn't come up isn't worth keeping.
        let boots = |instance: &&Instance| self.stop_by.is_some() && instance.state == InstanceState::Pending;
        let left = |instance: &Instance| now.left(instance.launched_at, hold.settings.timeouts.boot_secs);
        if let Some((until, left)) = self.standing(instances).filter(boots).filter_map(left).max() {
            return Break(Decision::wait_until(until, format!("an instance that goes to boot, {left} s more at most")));
        }
        let kept = |instance: &Instance| {
            let tagged = self.stop_by.is_some() && instance.retired_by.as_ref() == self.stop_by;
            tagged && instance.state != InstanceState::Pending
        };
        let terminate = ids(&|instance| !kept(instance)).map(|instances| Step::Terminate { instances });
        Continue(terminate.map(|step| (step, "nobody needs it any more")))
    }

    /// Doomed instances that still exist.
    fn standing<'w>(&'w self, instances: &'w [Instance]) -> impl Iterator<Item = &'w Instance> {
        instances.iter().filter(|instance| !instance.gone() && self.doomed.contains(instance.id.as_str()))
    }
}

/// Even one whose instances are all gone: while CodeDeploy waits for them, the next release can't install.
fn deployment(deployment: Option<&Deployment>) -> Chosen {
    let running = deployment.filter(|deployment| deployment.state == DeploymentState::Running)?;
    Some((Step::StopDeployment { deployment: running.id.clone() }, "nothing more is installed on what goes"))
}

/// Instances that are counted targets of a group that some switch gives weight to: never removed.
pub fn serving(routing: &Routing) -> BTreeSet<&str> {
    let weighted = |group: &&Group| routing.switches.iter().any(|switch| switch.weight(&group.arn).unwrap_or(0) > 0);
    let targets = routing.groups.iter().filter(weighted).flat_map(|group| &group.targets);
    targets.filter(|target| target.counts()).map(|target| target.id.as_str()).collect()
}
