//! The nine rules of safety, each checked where it could break; beside each, what the world may do to it.

use crate::cloud::Cloud;
use crate::past::{Ms, Past, SECOND};
use std::collections::{BTreeMap, BTreeSet};
use tagship::settings::Keep;
use tagship::{Action, Ended, Health, HowEnded, InstanceState, Job, NameChange, Phase, ReleaseId, ServiceRole, Step};

/// A right that was read may be used this much later: 4 s to read it and 10 s to change something by it.
const LATE: Ms = 14 * SECOND;

/// What the world did to an instance may go unseen for so long: two probes and a describe's lag.
const UNSEEN: Ms = 60 * SECOND;

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// When.
    pub at: Ms,
    /// Which of DESIGN.md's rules.
    pub rule: u8,
    /// Whose.
    pub role: Option<ServiceRole>,
    /// What happened.
    pub what: String,
}

/// A change about to be made.
#[derive(Debug, Clone, Copy)]
pub struct Act<'a> {
    /// By whom.
    pub job: &'a Job,
    /// What.
    pub step: &'a Step,
    /// When the observation began that it was decided by.
    pub looked: Ms,
}

/// The checkers, with what they remember.
#[derive(Debug, Default)]
pub struct Checks {
    /// What was found; nothing twice.
    pub violations: Vec<Violation>,
    holds: BTreeMap<ServiceRole, Past<Option<(ReleaseId, Phase)>>>,
    /// When each hold turned to ending.
    turned: BTreeMap<(ServiceRole, ReleaseId), Ms>,
    /// Switches, and the node, that have served once.
    served: BTreeSet<(String, usize)>,
    /// Releases that met a want of capacity: another try may come too many.
    pub short: BTreeSet<ReleaseId>,
    version: u64,
    seen: BTreeSet<(u8, String)>,
    /// Client tokens: for which release, under which hold.
    tokens: BTreeMap<String, (ReleaseId, jiff::Timestamp)>,
}

impl Checks {
    fn broken(&mut self, at: Ms, rule: u8, role: &ServiceRole, key: impl Into<String>, what: impl FnOnce() -> String) {
        if self.seen.insert((rule, key.into())) {
            self.violations.push(Violation { at, rule, role: Some(role.clone()), what: what() });
        }
    }

    /// What is neither: a mistake that no rule names, such as an outcome of kind `Bug`.
    pub fn other(&mut self, at: Ms, role: &ServiceRole, what: String) {
        self.broken(at, 7, role, what.clone(), || what);
    }

    /// A job that makes change after change (rule 8).
    pub fn endless(&mut self, at: Ms, role: &ServiceRole, what: String) {
        self.broken(at, 8, role, what.clone(), || what);
    }

    /// Right before a change.
    pub fn before(&mut self, cloud: &Cloud, act: Act<'_>) {
        self.right(cloud, act);
        self.ownership(cloud, act);
        match act.step {
            Step::SetWeights { switch, weights, .. } => self.weights(cloud, act, switch, weights),
            Step::Deregister { group, targets } => {
                for (id, port) in targets {
                    self.removal(cloud, act, id, Some((group, *port)));
                }
            }
            Step::Terminate { instances } | Step::Stop { instances } => {
                for id in instances {
                    self.removal(cloud, act, id, None);
                }
            }
            Step::Register { group, instances, .. } => self.sharing(cloud, act, group, instances),
            Step::Launch(launch) => {
                let since = cloud.holds.get(&act.job.role).map_or(cloud.timestamp(), |(hold, _)| hold.since);
                let is = (launch.release.clone(), since);
                let was = self.tokens.entry(launch.client_token.clone()).or_insert_with(|| is.clone()).clone();
                if was != is {
                    self.broken(cloud.now, 7, &act.job.role, launch.client_token.clone(), || {
                        format!("{} launches with a token of {}", is.0.short(), was.0.short())
                    });
                }
            }
            Step::WriteEnded(ended) => self.remains(cloud, act.job, ended),
            Step::DeleteHold { .. } => {
                let key = (act.job.role.clone(), act.job.release.clone());
                let freed = cloud
                    .holds
                    .get(&act.job.role)
                    .is_some_and(|(hold, _)| cloud.ended.contains_key(&(act.job.role.clone(), hold.release.clone())));
                if !freed && cloud.holds.contains_key(&act.job.role) && !cloud.ended.contains_key(&key) {
                    self.broken(cloud.now, 7, &act.job.role, "delete", || {
                        format!("{} deletes a hold whose release has no marker", act.job.release.short())
                    });
                }
            }
            _ => {}
        }
    }

    /// Right after a change.
    pub fn after(&mut self, cloud: &Cloud, act: Act<'_>) {
        let role = &act.job.role;
        let is = cloud.holds.get(role).map(|(hold, _)| (hold.release.clone(), hold.phase));
        let log = self.holds.entry(role.clone()).or_insert_with(|| Past::new(0, None));
        let was = log.now().clone();
        if let (Some((before, from)), Some((after, to))) = (&was, &is)
            && before == after
            && from != to
        {
            if *from != Phase::Open {
                let what = format!("the hold of {} went from {from:?} to {to:?}", after.short());
                log.set(cloud.now, is.clone());
                return self.other(cloud.now, role, what);
            }
            if *to == Phase::Ending {
                self.turned.insert((role.clone(), after.clone()), cloud.now);
            }
        }
        let robbed = match (&was, &is) {
            (Some((before, _)), Some((after, _))) if before != after => {
                !cloud.ended.contains_key(&(role.clone(), before.clone()))
            }
            _ => false,
        };
        log.set(cloud.now, is);
        if robbed {
            let what = format!("{} takes the hold of a release that hasn't ended", act.job.release.short());
            self.other(cloud.now, role, what);
        }
        if let Step::Launch(launch) = act.step {
            self.fleet(cloud, role, &launch.release);
        }
    }

    /// Only the holder changes anything, by a phase that allows it (DESIGN.md, the hold). A call that is
    /// late acts by a right that was read up to 14 s ago.
    fn right(&mut self, cloud: &Cloud, act: Act<'_>) {
        if matches!(
            act.step,
            Step::WriteHold { .. } | Step::DeleteHold { .. } | Step::WriteEnded(_) | Step::Abandon { .. }
        ) {
            return;
        }
        let Job { role, release, action, .. } = act.job;
        let allowed = |phase: Phase| match action {
            Action::Provision | Action::Deploy | Action::Shift => phase == Phase::Open,
            Action::Retire => phase == Phase::Approved,
            Action::Discard => phase != Phase::Open,
            Action::Rollback | Action::Park | Action::Sweep => phase == Phase::Ending,
        };
        let had = self.holds.get(role).is_some_and(|log| {
            log.since(cloud.now - LATE).flatten().any(|(holder, phase)| holder == release && allowed(*phase))
        });
        if !had {
            let is = self.holds.get(role).and_then(|log| log.now().clone());
            self.broken(cloud.now, 7, role, format!("right {action} {release}"), || {
                format!(
                    "{action} of {} changes something ({}) without the right to: hold {is:?}",
                    release.short(),
                    act.step
                )
            });
        }
    }

    /// Rule 5. A person may remove the tag between look and change.
    fn ownership(&mut self, cloud: &Cloud, act: Act<'_>) {
        let role = &act.job.role;
        let from = act.looked - cloud.nature.lag;
        let instance = |id: &String| {
            cloud
                .instances
                .get(id)
                .is_some_and(|it| it.face.since(from).any(|face| face.service.as_ref() == Some(role)))
        };
        let address = |id: &String| {
            let found = cloud.addresses.get(id);
            found.is_some_and(|it| it.face.since(from).flatten().any(|face| face.service.as_ref() == Some(role)))
        };
        let group = |arn: &String| cloud.groups.get(arn).is_some_and(|group| group.service == *role);
        let label = format!(".{}.", role.label());
        let ours = match act.step {
            Step::Terminate { instances } | Step::Stop { instances } | Step::TagRetired { instances, .. } => {
                instances.iter().all(instance)
            }
            Step::Register { group: arn, instances, .. } => group(arn) && instances.iter().all(instance),
            Step::Deregister { group: arn, .. } => group(arn),
            Step::AssociateAddress { address: id, instance: to } => address(id) && instance(to),
            Step::DisassociateAddress { address: id, .. } | Step::ReleaseAddress { address: id } => address(id),
            Step::SetWeights { switch, .. } => cloud.switches.get(switch).is_some_and(|it| it.service == *role),
            Step::StopDeployment { deployment } => {
                cloud.deployments.get(deployment).is_some_and(|it| it.service == *role)
            }
            Step::ChangeNames { changes, .. } => changes.iter().all(|change| {
                let (NameChange::Upsert(record) | NameChange::Delete(record)) = change;
                record.name.contains(&label)
            }),
            _ => true,
        };
        if !ours {
            self.broken(cloud.now, 5, role, act.step.to_string(), || {
                format!(
                    "{} of {}: {} touches what isn't the service's",
                    act.job.action,
                    act.job.release.short(),
                    act.step
                )
            });
        }
    }

    /// Rule 2. What the world does between the look and the change counts as it was at the look.
    fn weights(&mut self, cloud: &Cloud, act: Act<'_>, switch: &str, weights: &[(String, u32, u32)]) {
        let Some(found) = cloud.switches.get(switch) else { return };
        let role = &act.job.role;
        let from = act.looked - cloud.nature.lag;
        for (arn, _, to) in weights {
            let was = found.weights.now().iter().find(|(group, _)| group == arn).map_or(0, |(_, weight)| *weight);
            let Some(group) = cloud.groups.get(arn).filter(|_| was == 0 && *to > 0) else { continue };
            let release = |id: &String| cloud.instances.get(id).and_then(|it| it.face.now().release.clone());
            let healthy = |health: &Past<Option<Health>>| health.since(from).any(|is| *is == Some(Health::Healthy));
            let forward = act.job.action == Action::Shift
                && group
                    .targets
                    .iter()
                    .any(|((id, _), target)| target.counts() && release(id).as_ref() == Some(&act.job.release));
            let mut good = 0;
            let mut bad = Vec::new();
            for ((id, _), target) in group.targets.iter().filter(|(_, target)| target.counts()) {
                let own = release(id).as_ref() == Some(&act.job.release);
                if healthy(&target.health) && (own || !forward) {
                    good += 1;
                } else if target.health.changed() < from && !target.stranger {
                    bad.push(id.clone());
                }
            }
            let lost = group.targets.iter().any(|(_, target)| target.health.changed() >= from);
            let count = cloud.holds.get(role).map_or(1, |(hold, _)| hold.settings.count);
            let right = if forward { bad.is_empty() && (good == count || lost) } else { good > 0 || lost };
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

    /// Rules 3 and 4, and draining. Park is exempt; so is what the world has broken before; and what a
    /// person gave weight to by hand a moment ago, nobody could know.
    fn removal(&mut self, cloud: &Cloud, act: Act<'_>, id: &str, target: Option<(&String, u16)>) {
        let Job { role, release, action, .. } = act.job;
        let Some(instance) = cloud.instances.get(id) else { return };
        if *action == Action::Park {
            // Who parks wants nothing to serve any more.
            self.served.retain(|(switch, _)| cloud.switches.get(switch).is_none_or(|it| it.service != *role));
            return;
        }
        if instance.hurt.is_some() || !instance.exists() {
            return;
        }
        let settings = cloud.holds.get(role).map(|(hold, _)| &hold.settings);
        let settle = settings.map_or(15, |settings| settings.timeouts.settle_secs);
        let settle = Ms::from(settle) * SECOND;
        let from = cloud.now - settle;
        let weighted = cloud.weighted_since(from);
        let by_hand = cloud
            .switches
            .values()
            .any(|switch| switch.service == *role && switch.by_hand.is_some_and(|at| at > cloud.now - settle - UNSEEN));
        let serving = cloud.groups.iter().find(|(arn, group)| {
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
        let draining = cloud.groups.values().flat_map(|group| &group.targets).find_map(|((of, _), it)| {
            let since = it.deregistered.filter(|_| of == id)?;
            (cloud.now - since < drain).then_some(since)
        });
        if let Some(since) = draining.filter(|_| target.is_none()) {
            self.broken(cloud.now, 3, role, format!("drain {id}"), || {
                format!("{id} ends {} ms after it was deregistered", cloud.now - since)
            });
        }
    }

    /// Rule 9. A stranger that a person adds is the person's.
    fn sharing(&mut self, cloud: &Cloud, act: Act<'_>, arn: &str, instances: &[String]) {
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
    fn fleet(&mut self, cloud: &Cloud, role: &ServiceRole, release: &ReleaseId) {
        let fleet: Vec<_> = cloud
            .instances
            .values()
            .filter(|it| it.of(role) && it.face.now().release.as_ref() == Some(release))
            .collect();
        let broken = fleet.iter().filter(|instance| instance.hurt.is_some()).count();
        // A describe may show a death and hide the replacement of the one before: surplus, which is removed.
        if fleet.iter().any(|instance| instance.hurt.is_some_and(|at| cloud.now - at < UNSEEN)) {
            return;
        }
        let count = cloud.holds.get(role).map_or(0, |(hold, _)| hold.settings.count as usize);
        if fleet.len() > count + broken && !self.short.contains(release) {
            let launched = fleet.len();
            self.broken(cloud.now, 7, role, format!("surplus {release}"), || {
                format!("{launched} instances were launched for {} of {count}, {broken} broke", release.short())
            });
        }
    }

    /// Rule 6, when the marker is written. What lost its tags by hand is nobody's.
    fn remains(&mut self, cloud: &Cloud, job: &Job, ended: &Ended) {
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
        for (id, instance) in &cloud.instances {
            let face = instance.face.now();
            if face.service.as_ref() != Some(role) || !face.release.as_ref().is_some_and(gone) {
                continue;
            }
            ips.insert(instance.ip.as_str());
            let stopped = matches!(face.state, InstanceState::Stopping | InstanceState::Stopped);
            let kept = keep && stopped && face.retired_by.as_ref() == Some(release);
            if instance.exists() && !kept {
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
                others.any(|it| it.of(role) && it.face.now().release.as_ref() != Some(release))
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

    /// Rule 1, at every instant and for every request that the switches could route: both nodes, all groups
    /// with weight, all targets that a request may reach. An instance that the world broke may cost its own
    /// requests; a switch that a person has set is the person's.
    pub fn instant(&mut self, cloud: &Cloud) {
        if self.version == cloud.version {
            return;
        }
        self.version = cloud.version;
        for (arn, switch) in &cloud.switches {
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
        if reached.iter().any(|id| cloud.serves(id)) {
            self.served.insert((switch.to_owned(), node));
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

    /// Rule 8, once the day is over.
    pub fn end(&mut self, cloud: &Cloud, unfinished: &[String]) {
        for what in unfinished {
            self.violations.push(Violation { at: cloud.now, rule: 8, role: None, what: what.clone() });
        }
        for (role, (hold, _)) in &cloud.holds {
            let what = format!("the hold of {} by {} ({:?}) was never freed", role, hold.release.short(), hold.phase);
            self.violations.push(Violation { at: cloud.now, rule: 8, role: Some(role.clone()), what });
        }
    }
}
