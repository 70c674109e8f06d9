//! What a step makes of the world that was observed, where AWS's answer alone tells it.

use super::port::Applied;
use crate::{Called, Enrolled, Health, InstanceState, NameChange, Step, World};

/// The world after a step that succeeded; none if that has to be looked at. What a describe would show is never
/// ahead of this: AWS answers once it has taken the change.
pub fn after(mut world: World, step: &Step, applied: &Applied) -> Option<World> {
    let state = |world: &mut World, ids: &[String], state: InstanceState| {
        for instance in world.instances.iter_mut().filter(|instance| ids.contains(&instance.id)) {
            instance.state = state;
        }
    };
    match step {
        // The bucket isn't part of the world.
        Step::WriteHold { .. }
        | Step::WriteEnded(_)
        | Step::DeleteHold { .. }
        | Step::Abandon { .. }
        | Step::StopExecution { .. } => {}
        Step::Terminate { instances } => state(&mut world, instances, InstanceState::ShuttingDown),
        Step::Stop { instances } => state(&mut world, instances, InstanceState::Stopping),
        Step::TagRetired { instances, by } => {
            for instance in world.instances.iter_mut().filter(|instance| instances.contains(&instance.id)) {
                instance.retired_by = Some(by.clone());
            }
        }
        Step::DisassociateAddress { address, .. } => {
            for found in world.addresses.iter_mut().filter(|found| found.id == *address) {
                (found.association, found.instance) = (None, None);
            }
        }
        Step::ReleaseAddress { address } => world.addresses.retain(|found| found.id != *address),
        Step::ChangeNames { changes, .. } => {
            for change in changes {
                let (NameChange::Upsert(record) | NameChange::Delete(record)) = change;
                world.names.retain(|found| found.name != record.name);
                if let NameChange::Upsert(record) = change {
                    world.names.push(record.clone());
                }
            }
            world.names.sort();
        }
        Step::FilterDeployments { .. } => world.filtered = true,
        Step::Deregister { group, targets } => {
            let groups = world.routing.iter_mut().flat_map(|routing| &mut routing.groups);
            for target in groups.filter(|found| found.arn == *group).flat_map(|found| &mut found.targets) {
                if targets.contains(&(target.id.clone(), target.port)) {
                    target.health = Health::Draining;
                }
            }
        }
        Step::SetWeights { switch, weights, .. } => {
            let switches = world.routing.iter_mut().flat_map(|routing| &mut routing.switches);
            for found in switches.filter(|found| found.arn == *switch).flat_map(|found| &mut found.weights) {
                if let Some((_, _, weight)) = weights.iter().find(|(group, _, _)| *group == found.0) {
                    found.1 = *weight;
                }
            }
        }
        Step::WriteRoster { roster, .. } => {
            let etag = applied.etag.clone()?;
            world.roster = Some(Box::new(Enrolled { roster: (**roster).clone(), etag }));
        }
        Step::PointTest { rule, to, .. } => {
            let rules = world.routing.iter_mut().flat_map(|routing| &mut routing.tests);
            for found in rules.filter(|found| found.arn == *rule) {
                found.groups = vec![to.clone()];
            }
        }
        Step::CallHook(call) => world.hook = Some(Called { id: call.id, answer: None }),
        Step::Launch(_) => {
            // The same token answers with the same instances.
            let known = |id: &str| world.instances.iter().any(|instance| instance.id == id);
            let new: Vec<_> = applied.launched.iter().filter(|instance| !known(&instance.id)).cloned().collect();
            if new.is_empty() {
                return None;
            }
            world.instances.extend(new);
        }
        // What these bring about has ids, states or health of its own.
        Step::AllocateAddress { .. }
        | Step::AssociateAddress { .. }
        | Step::CreateDeployment { .. }
        | Step::StopDeployment { .. }
        | Step::Register { .. } => return None,
    }
    Some(world)
}

#[cfg(test)]
mod tests;
