//! Scale: many services of one account release at the same time, and what that costs beyond what AWS takes itself.

use crate::cloud::{Answers, Cloud, Nature};
use crate::day::{Day, Requested};
use crate::limits::Limits;
use crate::past::{HOUR, MINUTE, Ms, SECOND};
use crate::plan::{Plan, ReleasePlan, ServicePlan, Vote};
use std::collections::BTreeMap;
use std::fmt;
use tagship::settings::{Choice, Compare, Shift};
use tagship::{HowEnded, ReleaseId, ServiceRole};

/// So many services, each with a release live, release fleets of so many at once; everybody approves at once.
#[derive(Debug, Clone)]
pub struct Scale {
    /// Services.
    pub services: usize,
    /// Instances of each.
    pub count: u32,
    /// By which steps the traffic moves, with an alarm heard and the errors compared meanwhile; at once without any.
    pub shift: Shift,
    /// The account's limits.
    pub limits: Limits,
}

/// What it came to.
#[derive(Debug)]
pub struct Scaled {
    /// What was asked for.
    pub scale: Scale,
    /// Releases that were approved and have replaced their predecessors.
    pub finished: usize,
    /// From the first provision to the end of the last execution.
    pub took: Ms,
    /// What AWS takes by itself, see [`Scaled::floor`].
    pub floor: Ms,
    /// How much of the floor is the account's limit of launches.
    pub launches: Ms,
    /// Requests by operation.
    pub requests: BTreeMap<&'static str, Requested>,
    /// Broken rules.
    pub violations: usize,
}

impl Scale {
    fn plan(&self) -> Plan {
        let service = |n: usize| {
            let mut service = ServicePlan::new(&format!("S{n:03}_PRODUCT"), self.count);
            let votes = ["QaApproval", "FinalApproval"].map(|approval| (approval.to_owned(), Vote::Grant(0)));
            service.releases = vec![ReleasePlan { votes: votes.into(), ..ReleasePlan::at(SECOND) }];
            service.settled = true;
            if !self.shift.at_once() {
                service.settings.shift = self.shift.clone();
                service.settings.alarms = Choice::Ids(vec![format!("{}-5xx", service.role)]);
                service.settings.compare = Some(Compare::default());
            }
            service
        };
        let nature = Nature {
            limits: self.limits.clone(),
            // As AWS answers on an ordinary day; RunInstances takes 1.5 s (docs/AWS.md#ec2).
            answers: Answers { hold: (10, 30), look: (40, 160), change: (80, 400), back: (5, 20) },
            ..Nature::default()
        };
        Plan {
            nature,
            services: (0..self.services).map(service).collect(),
            calm: 0,
            patience: 24 * HOUR,
            timeout: 15 * MINUTE,
            ..Plan::quiet(1)
        }
    }

    /// Lives that day.
    pub fn live(&self) -> Scaled {
        let plan = self.plan();
        let mut day = Day::new(plan.clone(), false);
        day.live();
        let releases = day.releases();
        let approved = |(role, release, _): &&(ServiceRole, ReleaseId, Ms)| {
            let ended = day.cloud.ended.get(&(role.clone(), release.clone()));
            ended.is_some_and(|ended| ended.how == HowEnded::Approved)
        };
        let began = releases.iter().filter_map(|(role, release, _)| day.began.get(&(role.clone(), release.clone())));
        let began = began.min().copied().unwrap_or_default();
        let ended = releases.iter().map(|(_, _, ended)| *ended).max().unwrap_or_default();
        let slowest = releases.iter().map(|(role, release, _)| floor(&day.cloud, role, release)).max();
        let launches = self.launches();
        let mut requests: BTreeMap<&'static str, Requested> = BTreeMap::new();
        for ((_, operation), of_action) in &day.requests {
            requests.entry(*operation).or_default().add(*of_action);
        }
        Scaled {
            scale: self.clone(),
            finished: releases.iter().filter(approved).count(),
            took: ended - began,
            floor: slowest.unwrap_or_default() + launches,
            launches,
            requests,
            violations: day.checks.violations.len(),
        }
    }

    /// How long the account's bucket of instances takes to let the last fleet in.
    fn launches(&self) -> Ms {
        let instances = self.services as f64 * f64::from(self.count);
        let rate = self.limits.instances;
        ((instances - rate.burst).max(0.0) / rate.per_sec * SECOND as f64) as Ms
    }
}

/// What no release can do without: the slowest boot, the install, the slowest first health check, and the
/// seconds that its settings prescribe: the steps, WATCH after the shift, DRAIN before its predecessor ends.
fn floor(cloud: &Cloud, role: &ServiceRole, release: &ReleaseId) -> Ms {
    let fleet = || cloud.launched_for(role).filter(|(_, it)| it.face.now().release.as_ref() == Some(release));
    let boot = fleet().filter_map(|(_, it)| Some(it.up? - it.launched)).max();
    let deployment = cloud.deployments.values().find(|it| it.service == *role && it.release == *release);
    let install = deployment.map(|it| it.state.changed() - it.created);
    let targets = cloud.groups.values().filter(|group| group.service == *role).flat_map(|group| &group.targets);
    let own = targets.filter(|((id, _), _)| fleet().any(|(own, _)| own == id));
    let healthy = own.filter_map(|(_, it)| Some(it.healthy? - it.registered)).max();
    let settings = cloud.services.get(role).map(|service| &service.settings);
    let prescribed =
        settings.map(|it| (it.shift.secs() as Ms + Ms::from(it.timeouts.watch_secs + it.drain_secs)) * SECOND);
    [boot, install, healthy, prescribed].into_iter().flatten().sum()
}

impl Scaled {
    /// How much longer it took than AWS and the settings make it take: 1 is as fast as can be.
    pub fn overhead(&self) -> f64 {
        self.took as f64 / self.floor.max(1) as f64
    }

    /// Requests that AWS refused for being too many.
    pub fn throttled(&self) -> u64 {
        self.requests.values().map(|it| it.throttled).sum()
    }
}

impl fmt::Display for Scaled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Scale { services, count, .. } = self.scale;
        let steps: Vec<String> = self.scale.shift.steps.iter().map(|step| format!("{} %", step.percent)).collect();
        let steps = if steps.is_empty() { String::new() } else { format!(", in steps of {}", steps.join(", ")) };
        let secs = |ms: Ms| ms / SECOND;
        writeln!(f, "{services} services × {count} instances{steps}: {} releases finished", self.finished)?;
        writeln!(
            f,
            "  {} s of virtual time, {:.3} × the floor of {} s, {} s of which are the account's limit of launches",
            secs(self.took),
            self.overhead(),
            secs(self.floor),
            secs(self.launches)
        )?;
        let made: u64 = self.requests.values().map(|it| it.made).sum();
        let a_release = |n: u64| n as f64 / services as f64;
        writeln!(f, "  {:.1} requests a release, {} throttled in all", a_release(made), self.throttled())?;
        for (operation, requested) in &self.requests {
            writeln!(f, "  {:>9.1}  {operation} ({} throttled)", a_release(requested.made), requested.throttled)?;
        }
        write!(f, "  violations: {}", self.violations)
    }
}
