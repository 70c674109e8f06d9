//! The rules of safety, each checked where it could break; beside each, what the world may do to it.

mod fleet;
mod hooks;
mod names;
mod steps;
mod tests;
mod traffic;

use crate::cloud::Cloud;
use crate::past::{MINUTE, Ms, Past, SECOND, timestamp};
use std::collections::{BTreeMap, BTreeSet};
use tagship::{Action, Execution, ExecutionState, HowEnded, Job, NameChange, Phase, ReleaseId, ServiceRole, Step};

/// A right that was read may be used this much later: 4 s to read it and 10 s to change something by it.
const LATE: Ms = 14 * SECOND;

/// What the world did to an instance may go unseen for so long: two probes and a describe's lag.
const UNSEEN: Ms = 60 * SECOND;

/// Between releases a live name may lead to a dead instance for so long: three sweeps.
const UNCOUNTED: Ms = 15 * MINUTE;

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// When.
    pub at: Ms,
    /// Which of the rules of docs/RULES.md.
    pub rule: u8,
    /// Whose.
    pub role: Option<ServiceRole>,
    /// What happened.
    pub what: String,
}

/// Looks that follow each other may be so far apart: what came and went between two of them, nobody has seen.
const UNWATCHED: Ms = 30 * SECOND;

/// A change about to be made.
#[derive(Debug, Clone, Copy)]
pub struct Act<'a> {
    /// By whom.
    pub job: &'a Job,
    /// What.
    pub step: &'a Step,
    /// When the observation began that it was decided by; no earlier than the loop goes by.
    pub looked: Ms,
    /// When it was sent.
    pub sent: Ms,
}

/// The checkers, with what they remember.
#[derive(Debug, Default)]
pub struct Checks {
    /// What was found; nothing twice.
    pub violations: Vec<Violation>,
    holds: BTreeMap<ServiceRole, Past<Option<(ReleaseId, Phase)>>>,
    /// Who has ever held.
    held: BTreeSet<(ServiceRole, ReleaseId)>,
    /// When each hold turned to ending.
    turned: BTreeMap<(ServiceRole, ReleaseId), Ms>,
    /// When each release's hold said that its traffic goes back.
    turned_back: steps::TurnedBack,
    /// The alarms that there were when each release took the hold: others are none of its business.
    heard: BTreeMap<ReleaseId, Vec<String>>,
    /// Which calls of hooks have succeeded.
    passed: hooks::Passed,
    /// Switches, and the node, that have served once.
    served: BTreeSet<(String, usize)>,
    /// Releases that met a want of capacity: another try may come too many.
    pub short: BTreeSet<ReleaseId>,
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

    /// Whether the release has ever held the service.
    pub fn held(&self, role: &ServiceRole, release: &ReleaseId) -> bool {
        self.held.contains(&(role.clone(), release.clone()))
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
        self.postmortem(cloud, act);
        if act.job.action == Action::Park {
            self.parked(cloud, &act.job.role);
            let product = cloud.services.get(&act.job.role).is_none_or(|service| !service.settings.pre_product);
            if product && !matches!(act.step, Step::WriteEnded(_) | Step::DeleteHold { .. }) {
                self.other(cloud.now, &act.job.role, format!("a product is parked: {}", act.step));
            }
        }
        if let Step::WriteHold { hold, .. } = act.step
            && let Some(own) = cloud.services.get(&act.job.role).and_then(|service| service.settings.pipeline.as_ref())
            && *own != hold.pipeline
        {
            let what = format!("pipeline {} holds a service of {own}", hold.pipeline);
            self.other(cloud.now, &act.job.role, what);
        }
        match act.step {
            // A write by an older entity tag has no effect.
            Step::WriteHold { hold, etag } if etag.as_ref() == cloud.holds.get(&act.job.role).map(|(_, etag)| etag) => {
                if act.job.action == Action::Provision {
                    self.heard.insert(hold.release.clone(), hold.settings.alarms.ids().to_vec());
                }
                self.stepped(cloud, act, hold);
                self.hooked(cloud, act, hold);
            }
            Step::SetWeights { switch, weights, .. } => {
                self.weights(cloud, act, switch, weights);
                self.divided(cloud, act, switch, weights);
                self.unhooked(cloud, act, switch, weights);
            }
            Step::PointTest { to, .. } => self.pointed(cloud, act, to),
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
            Step::ChangeNames { changes, .. } => self.naming(cloud, act, changes),
            // The first marker counts; what comes later is refused. One that finds an open hold came while the hold was
            // taken: its discard isn't over before that hold is freed.
            Step::WriteEnded(ended) => {
                let held = cloud
                    .holds
                    .get(&act.job.role)
                    .is_some_and(|(hold, _)| hold.release == ended.release && hold.phase == Phase::Open);
                if !cloud.ended.contains_key(&(act.job.role.clone(), ended.release.clone())) {
                    self.tests_left(cloud, &act.job.role, ended);
                }
                if !held && !cloud.ended.contains_key(&(act.job.role.clone(), ended.release.clone())) {
                    self.remains(cloud, act.job, ended);
                }
            }
            Step::DeleteHold { .. } => {
                if let Some((hold, _)) = cloud.holds.get(&act.job.role).filter(|(hold, _)| hold.phase == Phase::Open)
                    && let Some(ended) = cloud.ended.get(&(act.job.role.clone(), hold.release.clone()))
                    && ended.how == HowEnded::Discarded
                {
                    self.remains(cloud, act.job, ended);
                }
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

    /// Right before a change that somebody asked for directly, if CodePipeline says so of the release's execution: an
    /// event alone neither approves nor aborts.
    pub fn believed(&mut self, cloud: &Cloud, act: Act<'_>, execution: &Execution) {
        let Job { role, release, action, .. } = act.job;
        let own = cloud.holds.get(role).filter(|(hold, _)| hold.release == *release);
        let ends = match act.step {
            Step::WriteHold { hold, .. } => {
                hold.release == *release
                    && hold.phase != Phase::Open
                    && own.is_some_and(|(is, _)| is.phase == Phase::Open)
            }
            // The first marker counts: what comes later is refused.
            Step::WriteEnded(ended) => {
                own.is_none() && !cloud.ended.contains_key(&(role.clone(), ended.release.clone()))
            }
            _ => false,
        };
        // What has changed since it was looked at, nobody could know.
        let unchanged = execution.updated_at.is_none_or(|at| at < timestamp(act.looked));
        let fits = match action {
            Action::Retire => execution.state == ExecutionState::Succeeded,
            Action::Park => !matches!(execution.state, ExecutionState::Running | ExecutionState::Stopping),
            _ => matches!(execution.state, ExecutionState::Ended | ExecutionState::NotFound),
        };
        if ends && unchanged && !fits {
            let what =
                format!("{action} of {} was asked for directly, and it is {:?}", release.short(), execution.state);
            self.broken(cloud.now, 7, role, format!("believed {action} {release}"), || what);
        }
    }

    /// Right after a change.
    pub fn after(&mut self, cloud: &Cloud, act: Act<'_>) {
        let role = &act.job.role;
        let is = cloud.holds.get(role).map(|(hold, _)| (hold.release.clone(), hold.phase));
        if let Some((hold, _)) = cloud.holds.get(role) {
            self.goes_back(cloud.now, role, hold);
        }
        self.held.extend(is.iter().map(|(holder, _)| (role.clone(), holder.clone())));
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

    /// Only the holder changes anything, by a phase that allows it (docs/RULES.md#the-hold). A call that is
    /// late acts by a right that was read up to 14 s ago.
    fn right(&mut self, cloud: &Cloud, act: Act<'_>) {
        if matches!(
            act.step,
            Step::WriteHold { .. }
                | Step::DeleteHold { .. }
                | Step::WriteEnded(_)
                | Step::Abandon { .. }
                | Step::StopExecution { .. }
        ) {
            return;
        }
        let Job { role, release, action, .. } = act.job;
        // Between releases sweep looks after the names of the live fleet.
        let free = || self.holds.get(role).is_none_or(|log| log.since(cloud.now - LATE).any(Option::is_none));
        if *action == Action::Sweep && free() {
            return;
        }
        let allowed = |phase: Phase| match action {
            Action::Provision | Action::Deploy | Action::Shift | Action::Guard => phase == Phase::Open,
            Action::Retire => phase == Phase::Approved,
            // Marked while it took the hold: its discard, or park, removes what it launched.
            Action::Discard | Action::Park if phase == Phase::Open => {
                cloud.ended.contains_key(&(role.clone(), release.clone()))
            }
            Action::Discard => true,
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
            // Tags are looked up once a minute.
            Step::SetWeights { switch, .. } => cloud
                .switches
                .get(switch)
                .is_some_and(|it| it.service == *role && it.untagged.is_none_or(|at| at > act.looked - 60 * SECOND)),
            Step::PointTest { rule, .. } => cloud.tests.get(rule).is_some_and(|it| it.service == *role),
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

    /// Rule 8, once the day is over.
    pub fn end(&mut self, cloud: &Cloud, unfinished: &[String]) {
        self.undivided(cloud);
        for (role, id, since) in cloud.dead_names().into_iter().filter(|(.., since)| cloud.now - since > UNCOUNTED) {
            let what = format!(
                "{id} has been dead for {} s, and the live name of {role} still leads there",
                (cloud.now - since) / SECOND
            );
            self.violations.push(Violation { at: cloud.now, rule: 14, role: Some(role), what });
        }
        for what in unfinished {
            self.violations.push(Violation { at: cloud.now, rule: 8, role: None, what: what.clone() });
        }
        for (role, (hold, _)) in &cloud.holds {
            let what = format!("the hold of {} by {} ({:?}) was never freed", role, hold.release.short(), hold.phase);
            self.violations.push(Violation { at: cloud.now, rule: 8, role: Some(role.clone()), what });
        }
    }
}
