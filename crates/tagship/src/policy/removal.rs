//! Taking fleets away: deregister, drain, names, addresses, then stop or terminate. One step at a time, from
//! whatever is still there.

use crate::names::{self, Names};
use crate::{Decision, DeploymentState, Health, Hold, Instance, Memo, ReleaseId, Routing, Situation, Step, World};
use crate::{INSTANCES_A_CALL, TARGETS_A_CALL};
use jiff::SignedDuration;
use std::collections::BTreeSet;

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
}

impl<'a> Removal<'a> {
    /// The next step, or what is waited for; none once all is gone.
    pub fn next(&self, now: &Situation<'_>, hold: &Hold, memo: &mut Memo) -> Option<Decision> {
        let world = now.world;
        self.deployment(now)
            .or_else(|| self.targets(world))
            .map(|(step, why)| Decision::act(step, why))
            .or_else(|| self.drain(world, hold, memo))
            .or_else(|| {
                self.names(now, hold)
                    .or_else(|| self.addresses(world))
                    .or_else(|| self.instances(world))
                    .map(|(step, why)| Decision::act(step, why))
            })
    }

    /// Even one whose instances are all gone: while CodeDeploy waits for them, the next release can't install.
    fn deployment(&self, now: &Situation<'_>) -> Option<(Step, &'static str)> {
        let deployment = now.world.install.as_ref()?.deployment.as_ref()?;
        (deployment.state == DeploymentState::Running && self.releases.contains(&now.job.release)).then(|| {
            (Step::StopDeployment { deployment: deployment.id.clone() }, "nothing more is installed on what goes")
        })
    }

    fn targets(&self, world: &World) -> Option<(Step, &'static str)> {
        let group = world.routing.iter().flat_map(|routing| &routing.groups).find_map(|group| {
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
    fn drain(&self, world: &World, hold: &Hold, memo: &mut Memo) -> Option<Decision> {
        let draining = world
            .routing
            .iter()
            .flat_map(|routing| &routing.groups)
            .flat_map(|group| &group.targets)
            .filter(|target| target.health == Health::Draining && self.doomed.contains(target.id.as_str()))
            .count();
        if draining == 0 || self.standing(world).next().is_none() {
            return None;
        }
        let since = *memo.since.get_or_insert(world.since());
        let left = SignedDuration::from_secs(i64::from(hold.settings.drain_secs)) - world.now.duration_since(since);
        (left > SignedDuration::ZERO)
            .then(|| Decision::Wait(format!("{draining} targets to drain, {} s more", left.as_secs() + 1)))
    }

    fn names(&self, now: &Situation<'_>, hold: &Hold) -> Option<(Step, &'static str)> {
        let zone = hold.settings.zone.as_deref()?;
        let existing = &now.world.names;
        let mut changes = names::toward(existing, &now.job.role, zone, Names::Candidate, &[]);
        if let Some(live) = &self.live {
            changes.extend(names::toward(existing, &now.job.role, zone, Names::Live, live));
        }
        names::batch(zone, changes).map(|step| (step, "names lead only to what stays"))
    }

    fn addresses(&self, world: &World) -> Option<(Step, &'static str)> {
        world.addresses.iter().find_map(|address| {
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

    fn instances(&self, world: &World) -> Option<(Step, &'static str)> {
        let ids = |chosen: &dyn Fn(&Instance) -> bool| -> Option<Vec<String>> {
            let ids: Vec<String> = self
                .standing(world)
                .filter(|instance| chosen(instance))
                .map(|instance| instance.id.clone())
                .take(INSTANCES_A_CALL)
                .collect();
            (!ids.is_empty()).then_some(ids)
        };
        if let Some(by) = self.stop_by {
            // Tagged first: a stopped instance without the tag would be nobody's.
            if let Some(instances) = ids(&|instance| instance.alive() && instance.retired_by.as_ref() != Some(by)) {
                return Some((
                    Step::TagRetired { instances, by: by.clone() },
                    "kept, until the next release retires it",
                ));
            }
            if let Some(instances) = ids(&|instance| instance.alive()) {
                return Some((Step::Stop { instances }, "kept stopped"));
            }
        }
        let kept = |instance: &Instance| self.stop_by.is_some() && instance.retired_by.as_ref() == self.stop_by;
        let instances = ids(&|instance| !kept(instance))?;
        Some((Step::Terminate { instances }, "nobody needs it any more"))
    }

    /// Doomed instances that still exist.
    fn standing<'w>(&'w self, world: &'w World) -> impl Iterator<Item = &'w Instance> {
        world.instances.iter().filter(|instance| !instance.gone() && self.doomed.contains(instance.id.as_str()))
    }
}

/// Instances that are counted targets of a group that some switch gives weight to: never removed.
pub fn serving(routing: Option<&Routing>) -> BTreeSet<&str> {
    let Some(routing) = routing else { return BTreeSet::new() };
    routing
        .groups
        .iter()
        .filter(|group| routing.switches.iter().any(|switch| switch.weight(&group.arn).unwrap_or(0) > 0))
        .flat_map(|group| group.targets.iter().filter(|target| target.counts()))
        .map(|target| target.id.as_str())
        .collect()
}
