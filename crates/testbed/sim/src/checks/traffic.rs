//! Rules 1 to 4: who is asked, who gets weight, and who may be taken away.

use super::names::live_key;
use super::steps::better;
use super::{Act, Checks, UNSEEN};
use crate::cloud::Cloud;
use crate::past::{Ms, Past, SECOND};
use std::collections::BTreeSet;
use tagship::{Action, Health, Job, Phase, ReleaseId, ServiceRole, Step};

impl Checks {
    /// Rule 1, at every instant and for every request that the switches could route: both nodes, all groups
    /// with weight, all targets that a request may reach. If the world broke an instance, only
    /// requests to that instance may fail; a switch that a person has set is the person's.
    pub fn instant(&mut self, cloud: &Cloud, touched: &BTreeSet<ServiceRole>) {
        for role in touched {
            self.named(cloud, role);
        }
        let services = touched.iter().filter_map(|role| cloud.services.get(role));
        for arn in services.flat_map(|service| &service.switches) {
            let Some(switch) = cloud.switches.get(arn) else { continue };
            for (node, delay) in cloud.nature.nodes.into_iter().enumerate() {
                let seen = cloud.now - delay;
                let Some(weights) = switch.weights.at(seen) else { continue };
                let by_hand = switch.by_hand.is_some_and(|at| at >= switch.weights.began(seen));
                for (group, _) in weights.iter().filter(|(_, weight)| *weight > 0) {
                    self.requests(cloud, (arn, node), &switch.service, group, by_hand);
                }
            }
        }
    }

    fn requests(&mut self, cloud: &Cloud, (switch, node): (&str, usize), role: &ServiceRole, arn: &str, by_hand: bool) {
        let Some(group) = cloud.groups.get(arn) else { return };
        let counted = || group.targets.iter().filter(|(_, target)| target.counts());
        let healthy: Vec<&String> = counted()
            .filter(|(_, target)| *target.health.now() == Some(Health::Healthy))
            .map(|((id, _), _)| id)
            .collect();
        // A group with only unhealthy targets fails open.
        let reached: Vec<&String> =
            if healthy.is_empty() { counted().map(|((id, _), _)| id).collect() } else { healthy };
        let broken =
            |id: &String| cloud.instances.get(id).is_none_or(|it| it.hurt.is_some() || it.face.now().service.is_none());
        let serves = reached.iter().any(|id| cloud.serves(id));
        if serves {
            self.served.insert((switch.to_owned(), node));
        } else if by_hand {
            // Nothing there can serve: whoever takes it over from the person finds it so.
            self.served.remove(&(switch.to_owned(), node));
        }
        if by_hand || !self.served.contains(&(switch.to_owned(), node)) {
            return;
        }
        if reached.is_empty() {
            if !group.targets.keys().any(|(id, _)| broken(id)) {
                self.broken(cloud.now, 1, role, format!("empty {arn}"), || {
                    format!("{} has weight and no targets", group.name)
                });
            }
            return;
        }
        for id in reached {
            if !cloud.serves(id) && !broken(id) && !group.targets.keys().any(|(id, _)| broken(id)) {
                self.broken(cloud.now, 1, role, format!("{arn} {id}"), || {
                    format!("requests through {switch} reach {id} in {}, which doesn't serve", group.name)
                });
            }
        }
    }

    /// Rule 2. What the world does between the look and the change counts as it was at the look.
    pub(super) fn weights(&mut self, cloud: &Cloud, act: Act<'_>, switch: &str, weights: &[(String, u32, u32)]) {
        let Some(found) = cloud.switches.get(switch) else { return };
        let role = &act.job.role;
        let from = act.looked - cloud.nature.lag;
        // What changed in the very millisecond may have changed right after it was compared.
        let seen = [act.sent - 1, act.sent].into_iter().filter_map(|at| found.weights.at(at));
        let expected =
            |is: &Vec<(String, u32)>| weights.iter().all(|(arn, expected, _)| is.contains(&(arn.clone(), *expected)));
        let compared = seen.into_iter().any(expected);
        // Two that do the same at the same time overwrite nothing.
        let same = weights.iter().all(|(arn, _, to)| found.weights.now().contains(&(arn.clone(), *to)));
        if !compared && !same {
            self.broken(cloud.now, 2, role, format!("compared {switch} {}", act.job.release), || {
                format!("{} of {} overwrites weights that it didn't expect", act.job.action, act.job.release.short())
            });
        }
        for (arn, _, to) in weights {
            let was = found.weights.now().iter().find(|(group, _)| group == arn).map_or(0, |(_, weight)| *weight);
            let Some(group) = cloud.groups.get(arn).filter(|_| was == 0 && *to > 0) else { continue };
            // A person may take a tag away meanwhile.
            let is_of = |id: &String, release: &ReleaseId| {
                let faces = cloud.instances.get(id).map(|it| it.face.since(from));
                faces.into_iter().flatten().any(|face| face.release.as_ref() == Some(release))
            };
            let healthy = |health: &Past<Option<Health>>| health.since(from).any(|is| *is == Some(Health::Healthy));
            let forward = act.job.action == Action::Shift
                && group.targets.iter().any(|((id, _), target)| target.counts() && is_of(id, &act.job.release));
            let mut good = 0;
            let mut serves = false;
            let mut bad = Vec::new();
            for ((id, _), target) in group.targets.iter().filter(|(_, target)| target.counts()) {
                let own = is_of(id, &act.job.release);
                // Where the predecessor can't serve, also one whose tag a person took away.
                serves |= healthy(&target.health);
                if healthy(&target.health) && (own || !forward) {
                    good += 1;
                } else if target.health.changed() < from && !target.stranger {
                    bad.push(id.clone());
                }
            }
            let lost = group.targets.iter().any(|(_, target)| target.health.changed() >= from);
            let count = cloud.holds.get(role).map_or(1, |(hold, _)| hold.settings.count);
            // While the traffic is divided: if its predecessor can't serve, the release gets everything.
            let rescued = weights.iter().all(|(other, _, rest)| other == arn || *rest == 0)
                && cloud.holds.get(role).is_some_and(|(hold, _)| hold.split.is_some())
                && better(cloud, arn, weights, from);
            let whole = bad.is_empty() && (good == count || lost);
            let right = if forward { whole || (serves && rescued) } else { good > 0 || lost };
            if !right {
                let (key, to) = (format!("{switch} {}", act.job.release), &group.name);
                self.broken(cloud.now, 2, role, key, || {
                    format!(
                        "{} of {} gives {} weight with {good} of {count} good targets; bad: {bad:?}",
                        act.job.action,
                        act.job.release.short(),
                        to
                    )
                });
            }
        }
    }

    /// Park is asked to leave nothing that serves.
    pub(super) fn parked(&mut self, cloud: &Cloud, role: &ServiceRole) {
        let named = live_key(role);
        let of_role = |arn: &String| cloud.switches.get(arn).is_some_and(|it| it.service == *role);
        self.served.retain(|(switch, _)| *switch != named && !of_role(switch));
    }

    /// Rules 3 and 4, and draining. Park is exempt; so is what the world has broken before; and what a
    /// person gave weight to by hand a moment ago, nobody could know.
    pub(super) fn removal(&mut self, cloud: &Cloud, act: Act<'_>, id: &str, target: Option<(&String, u16)>) {
        let Job { role, release, action, .. } = act.job;
        let Some(instance) = cloud.instances.get(id) else { return };
        if *action == Action::Park {
            return;
        }
        let over = !instance.exists() || matches!(act.step, Step::Stop { .. }) && !instance.alive();
        if instance.hurt.is_some() || over {
            return;
        }
        let settings = cloud.holds.get(role).map(|(hold, _)| &hold.settings);
        let settle = settings.map_or(15, |settings| settings.timeouts.settle_secs);
        let settle = Ms::from(settle) * SECOND;
        self.named_removal(cloud, act, id, settle);
        self.tested(cloud, act, id, target.map(|(group, _)| group), settle);
        let from = cloud.now - settle;
        let weighted = cloud.weighted_since(from);
        let by_hand = cloud
            .switches
            .values()
            .any(|switch| switch.service == *role && switch.by_hand.is_some_and(|at| at > cloud.now - settle - UNSEEN));
        let serving = cloud.groups.iter().filter(|(_, group)| group.service == *role).find(|(arn, group)| {
            weighted.contains(arn.as_str())
                && target.is_none_or(|(is, _)| is == *arn)
                && group.targets.iter().any(|((of, _), it)| {
                    of == id && it.health.since(from).flatten().any(|health| *health != Health::Draining)
                })
        });
        if let Some((_, group)) = serving.filter(|_| !by_hand) {
            let name = group.name.clone();
            self.broken(cloud.now, 3, role, format!("{id} {}", act.step), || {
                format!(
                    "{action} of {} removes {id} from {name}, which has or had weight within SETTLE",
                    release.short()
                )
            });
        }
        let of = instance.face.now().release.clone();
        let previous = cloud.holds.get(role).and_then(|(hold, _)| hold.previous.clone()).and_then(|it| it.release);
        let phase = cloud.holds.get(role).map(|(hold, _)| hold.phase);
        if of.is_some() && of == previous && phase != Some(Phase::Approved) && of.as_ref() != Some(release) {
            self.broken(cloud.now, 4, role, format!("retired {id}"), || {
                format!("{action} of {} removes {id} of its predecessor before the final approval", release.short())
            });
        }
        let ended_at = self.turned.get(&(role.clone(), release.clone())).copied();
        if *action == Action::Discard
            && let Some(turned) = ended_at
            && target.is_none()
            && cloud.holds.get(role).is_some_and(|(hold, _)| hold.previous.is_some())
            && cloud.now - turned < settle
        {
            self.broken(cloud.now, 3, role, format!("early {id}"), || {
                format!("discard of {} removes {id} less than SETTLE after the phase", release.short())
            });
        }
        let drain = Ms::from(settings.map_or(30, |settings| settings.drain_secs)) * SECOND;
        let drain = drain.min(cloud.nature.deregistration);
        let groups = cloud.groups.values().filter(|group| group.service == *role);
        let draining = groups.flat_map(|group| &group.targets).find_map(|((of, _), it)| {
            // What a describe could still show as never registered, nobody knows to drain; it has served nobody.
            let since = it.deregistered.filter(|at| of == id && *at - it.registered > cloud.nature.lag)?;
            (cloud.now - since < drain).then_some(since)
        });
        if let Some(since) = draining.filter(|_| target.is_none()) {
            self.broken(cloud.now, 3, role, format!("drain {id}"), || {
                format!("{id} ends {} ms after it was deregistered", cloud.now - since)
            });
        }
    }
}
