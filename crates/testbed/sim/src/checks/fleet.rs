//! Rules 6 and 9, and that nothing is launched twice: whose instances, targets, addresses and names there are.

use super::{Act, Checks};
use crate::cloud::Cloud;
use crate::past::SECOND;
use std::collections::BTreeSet;
use tagship::settings::Keep;
use tagship::{Action, Ended, HowEnded, InstanceState, Job, ReleaseId, ServiceRole, Step};

impl Checks {
    /// Rule 9. A stranger that a person adds is the person's.
    pub(super) fn sharing(&mut self, cloud: &Cloud, act: Act<'_>, arn: &str, instances: &[String]) {
        let Some(group) = cloud.groups.get(arn) else { return };
        let release = |id: &String| cloud.instances.get(id).and_then(|it| it.face.now().release.clone());
        let from = act.looked - cloud.nature.lag;
        let others = group.targets.iter().filter(|(_, it)| it.counts() && !it.stranger && it.health.changed() < from);
        let mut releases: BTreeSet<_> = others.filter_map(|((id, _), _)| release(id)).collect();
        releases.extend(instances.iter().filter_map(release));
        if releases.len() > 1 {
            let who: Vec<_> = releases.iter().map(|release| release.short().to_owned()).collect();
            self.broken(cloud.now, 9, &act.job.role, format!("{arn} {who:?}"), || {
                format!("{} has targets of {}", group.name, who.join(" and "))
            });
        }
    }

    /// Nothing is launched twice: a release has as many instances as COUNT, and one for each that the world broke.
    pub(super) fn fleet(&mut self, cloud: &Cloud, role: &ServiceRole, release: &ReleaseId) {
        let launched = cloud.launched_for(role).map(|(_, it)| it);
        let fleet: Vec<_> =
            launched.filter(|it| it.of(role) && it.face.now().release.as_ref() == Some(release)).collect();
        let broken = fleet.iter().filter(|instance| instance.hurt.is_some()).count();
        let count = cloud.holds.get(role).map_or(0, |(hold, _)| hold.settings.count as usize);
        let surplus = fleet.len().saturating_sub(count + broken);
        // Who has met a want of capacity tries another type; who hasn't seen it yet, the same again.
        let short = self.short.contains(release) || fleet.iter().any(|instance| instance.short);
        if surplus > 0 && !short {
            let launched = fleet.len();
            self.broken(cloud.now, 7, role, format!("surplus {release}"), || {
                format!("{launched} instances were launched for {} of {count}, {broken} broke", release.short())
            });
        }
    }

    /// POSTMORTEM: while an instance of a failed release is left to look at, discard takes none of them nor what they are
    /// reached by; and it says that they are kept only once they are in no group. What a describe may hide is excused.
    pub(super) fn postmortem(&mut self, cloud: &Cloud, act: Act<'_>) {
        let Job { role, release, action: Action::Discard, .. } = act.job else { return };
        let Some((hold, _)) = cloud.holds.get(role).filter(|(hold, _)| hold.release == *release) else { return };
        let Some(turned) = self.turned.get(&(role.clone(), release.clone())).copied() else { return };
        let from = act.looked - cloud.nature.lag;
        let seen = |id: &String| {
            let found = cloud.instances.get(id).filter(|it| it.launched < from && it.exists());
            found.is_some_and(|it| it.of(role) && it.face.now().release.as_ref() == Some(release))
        };
        if let Step::WriteHold { hold: new, .. } = act.step
            && hold.kept_until.is_none()
            && new.kept_until.is_some()
        {
            // What a person made serve in the live group stays there.
            let weighted = |arn: &String| {
                let mut weights = cloud.switches.values().flat_map(|switch| switch.weights.now());
                weights.any(|(group, weight)| group == arn && *weight > 0)
            };
            let groups = cloud.groups.iter().filter(|(arn, _)| !weighted(arn));
            let targets = groups.flat_map(|(_, group)| &group.targets);
            let mut in_group = targets.filter(|((id, _), it)| it.counts() && it.health.changed() < from && seen(id));
            if let Some(((id, _), _)) = in_group.next() {
                self.other(cloud.now, role, format!("{} is said to be kept, but {id} is in a group", release.short()));
            }
        }
        let kept = SECOND * i64::from(hold.settings.timeouts.postmortem_secs);
        if cloud.now >= turned + kept || !cloud.instances.keys().any(seen) {
            return;
        }
        let taken = match act.step {
            Step::Terminate { instances } | Step::Stop { instances } => instances.iter().any(seen),
            Step::DisassociateAddress { address, .. } | Step::ReleaseAddress { address } => {
                let found = cloud.addresses.get(address).and_then(|it| it.face.now().as_ref());
                found.is_some_and(|face| face.associated.as_ref().is_some_and(|(_, id)| seen(id)))
            }
            _ => false,
        };
        if taken {
            let what = format!("{} of {}, which is to be kept for {kept} ms", act.step, release.short());
            self.other(cloud.now, role, what);
        }
    }

    /// Rule 6, when the marker is written. What lost its tags by hand is nobody's.
    pub(super) fn remains(&mut self, cloud: &Cloud, job: &Job, ended: &Ended) {
        let role = &job.role;
        let release = &ended.release;
        let gone = |of: &ReleaseId| match ended.how {
            HowEnded::Approved => of != release,
            HowEnded::Discarded => of == release,
            HowEnded::Parked => true,
            HowEnded::Kept => false,
        };
        let keep = cloud.holds.get(role).is_some_and(|(hold, _)| hold.settings.keep == Keep::Stop);
        let mut left = Vec::new();
        let mut ips = BTreeSet::new();
        for (id, instance) in cloud.launched_for(role) {
            let face = instance.face.now();
            if face.service.as_ref() != Some(role) || !face.release.as_ref().is_some_and(gone) {
                continue;
            }
            ips.insert(instance.ip.as_str());
            let stopped = matches!(face.state, InstanceState::Stopping | InstanceState::Stopped);
            let kept = keep && stopped && face.retired_by.as_ref() == Some(release);
            if instance.exists() && !kept && !instance.protected {
                left.push(format!("instance {id}"));
            }
            for group in cloud.groups.values() {
                if group.targets.iter().any(|((of, _), target)| of == id && target.counts() && !target.stranger) {
                    left.push(format!("target {id} in {}", group.name));
                }
            }
        }
        // Unless another has, or had, the address too.
        for instance in cloud.instances.values() {
            if !instance.face.now().release.as_ref().is_some_and(gone) || !instance.of(role) {
                ips.remove(instance.ip.as_str());
            }
        }
        for (id, address) in &cloud.addresses {
            if let Some(face) = address.face.now()
                && face.service.as_ref() == Some(role)
                && face.release.as_ref().is_some_and(gone)
            {
                left.push(format!("address {id}"));
            }
        }
        let label = format!(".{}.", role.label());
        for record in cloud.records.values().filter(|record| record.name.contains(&label)) {
            if record.values.iter().any(|value| ips.contains(value.as_str())) {
                left.push(format!("name {}", record.name));
            }
        }
        // A release that is called approved is live, unless a person has turned a switch since.
        for switch in cloud.switches.values().filter(|it| it.service == *role && ended.how == HowEnded::Approved) {
            let weighted = switch.weights.now().iter().filter(|(_, weight)| *weight > 0);
            let elsewhere = weighted.filter_map(|(arn, _)| cloud.groups.get(arn)).find(|group| {
                let counted = group.targets.iter().filter(|(_, it)| it.counts() && !it.stranger);
                let mut others = counted.filter_map(|((id, _), _)| cloud.instances.get(id));
                others.any(|it| it.of(role) && it.face.now().release.as_ref().is_some_and(|of| of != release))
            });
            if let Some(group) = elsewhere.filter(|_| switch.by_hand.is_none()) {
                left.push(format!("{} on {}", switch.label, group.name));
            }
        }
        if !left.is_empty() {
            self.broken(cloud.now, 6, role, format!("{release}"), || {
                format!("{} ended as {} and leaves {}", release.short(), ended.how.as_str(), left.join(", "))
            });
        }
    }
}
