//! How the release ends that holds the service now: the next one comes after it.

use super::foreseen::State;
use super::{Basis, Line, What};
use crate::engine::after;
use crate::names::{self, Names};
use crate::{Applied, Hold, InstanceState, Phase, ReleaseId, World};
use std::collections::BTreeSet;

impl State {
    /// The holder ends: approved if it has all the traffic, else discarded. Nobody knows.
    pub(super) fn free(&mut self) {
        let other = |held: &crate::Held| held.hold.release != self.release && !held.free();
        if !self.held.as_ref().is_some_and(other) {
            return;
        }
        let Some(held) = self.held.take() else { return };
        let hold = held.hold;
        let approved = match hold.phase {
            Phase::Approved => true,
            Phase::Open => hold.moved_at.is_some() && hold.back.is_none(),
            Phase::Ending => false,
        };
        let says = format!(
            "release {} ends; from here on it is planned as if it were {}",
            hold.release,
            if approved { "approved" } else { "rejected" }
        );
        self.lines.push(Line::new(What::Happens, Basis::Unknown, says));
        let gone = |release: &ReleaseId| (*release == hold.release) != approved;
        if !approved {
            give_back(&mut self.world, &hold);
        }
        remove(&mut self.world, gone);
        self.name(&hold);
    }

    /// The live names lead to what is left, and nobody is a candidate.
    fn name(&mut self, hold: &Hold) {
        let Some(zone) = hold.settings.zone.as_deref() else { return };
        let alive = self.world.instances.iter().filter(|instance| instance.alive() && instance.release.is_some());
        let left: Vec<String> = alive.filter_map(|instance| instance.private_ip.clone()).collect();
        for (which, ips) in [(Names::Candidate, &[][..]), (Names::Live, &left[..])] {
            let changes = names::toward(&self.world.names, &self.role, zone, which, ips);
            let step = names::batch(zone, changes);
            let world = std::mem::take(&mut self.world);
            self.world = match step {
                Some(step) => after(world.clone(), &step, &Applied::default()).unwrap_or(world),
                None => world,
            };
        }
    }
}

/// All weight of a release that is rejected goes to the other group.
fn give_back(world: &mut World, hold: &Hold) {
    let (Some(own), Some(routing)) = (&hold.group, &mut world.routing) else { return };
    for switch in &mut routing.switches {
        let moved: u32 = switch.weights.iter().filter(|(arn, _)| arn == own).map(|(_, weight)| *weight).sum();
        let groups: BTreeSet<&String> = routing.groups.iter().map(|group| &group.arn).collect();
        for (arn, weight) in switch.weights.iter_mut().filter(|(arn, _)| groups.contains(arn)) {
            *weight = if arn == own { 0 } else { *weight + moved };
        }
    }
}

/// These releases' instances are gone, and their targets and addresses with them.
fn remove(world: &mut World, gone: impl Fn(&ReleaseId) -> bool) {
    let mut ids = BTreeSet::new();
    for instance in world.instances.iter_mut().filter(|instance| instance.release.as_ref().is_some_and(&gone)) {
        instance.state = InstanceState::Terminated;
        ids.insert(instance.id.clone());
    }
    for group in world.routing.iter_mut().flat_map(|routing| &mut routing.groups) {
        group.targets.retain(|target| !ids.contains(&target.id));
    }
    world.addresses.retain(|address| !address.release.as_ref().is_some_and(&gone));
    for address in world.addresses.iter_mut().filter(|it| it.instance.as_ref().is_some_and(|id| ids.contains(id))) {
        (address.association, address.instance) = (None, None);
    }
}
