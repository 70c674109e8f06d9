//! The cloud's truth: what there is, and how it changes by itself.

mod deployments;
pub use self::deployments::Deployment;
mod figures;
mod hooks;
pub use self::hooks::HOOKS;
mod life;
mod nouns;
mod settled;

pub use self::nouns::{
    Address, AddressFace, Answers, Build, Face, Group, Instance, Nature, Service, Switch, Target, TestRule, Turn,
};

use crate::limits::Buckets;
use crate::past::{HOUR, Ms, Past, timestamp};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use tagship::settings::{Eip, HookPoint, Settings, TargetGroup};
use tagship::{
    AlarmState, Artifact, Ended, Health, Hold, InstanceState, Launch, Record, ReleaseId, Roster, ServiceRole,
};

/// One account and Region.
#[derive(Debug)]
pub struct Cloud {
    /// The virtual time.
    pub now: Ms,
    /// The cloud's own chance.
    pub rng: Xoshiro256PlusPlus,
    /// How it behaves.
    pub nature: Nature,
    /// The services, by role.
    pub services: BTreeMap<ServiceRole, Service>,
    /// Instances, by id.
    pub instances: BTreeMap<String, Instance>,
    /// Target groups, by ARN.
    pub groups: BTreeMap<String, Group>,
    /// Switches, by ARN.
    pub switches: BTreeMap<String, Switch>,
    /// Rules for test traffic.
    pub tests: BTreeMap<String, TestRule>,
    /// Addresses, by allocation id.
    pub addresses: BTreeMap<String, Address>,
    /// A records, by name.
    pub records: BTreeMap<String, Record>,
    /// Deployments, by id.
    pub deployments: BTreeMap<String, Deployment>,
    /// Each service's deployment group: the release of its tag filter.
    pub filters: BTreeMap<ServiceRole, ReleaseId>,
    /// Holds with their entity tags.
    pub holds: BTreeMap<ServiceRole, (Hold, String)>,
    /// Markers of ended releases.
    pub ended: BTreeMap<(ServiceRole, ReleaseId), Ended>,
    /// Rosters of live fleets with their entity tags.
    pub rosters: BTreeMap<ServiceRole, (Roster, String)>,
    /// Private addresses of instances that are gone, by subnet: a subnet gives the lowest again.
    pub freed: BTreeSet<(String, String)>,
    /// What RunInstances was asked before, by client token and subnet.
    pub tokens: BTreeMap<(String, String), Launch>,
    /// The capacity that is left, by subnet and type; where there is no entry, there is plenty.
    pub capacity: BTreeMap<(String, String), u32>,
    /// What each release's artifact is like.
    pub builds: BTreeMap<ReleaseId, Build>,
    /// CloudWatch's alarms, by name.
    pub alarms: BTreeMap<String, Past<AlarmState>>,
    /// What will happen by itself.
    pub due: Vec<(Ms, Turn)>,
    /// The account's token buckets.
    pub buckets: Buckets,
    /// The instances whose addresses `live.…` holds, now and before, of services that are reached by name only: those
    /// that had them when the name was changed. An address that was nobody's stands for itself.
    pub live: BTreeMap<ServiceRole, Past<Vec<String>>>,
    /// The services of which something has changed since the checkers looked.
    pub touched: BTreeSet<ServiceRole>,
    /// Every instance that was launched for a service.
    launched: BTreeMap<ServiceRole, Vec<String>>,
    /// How often each hook was called, by release, point and number.
    pub(crate) hook_calls: BTreeMap<(ServiceRole, ReleaseId, HookPoint, usize), usize>,
    serial: u32,
}

impl Cloud {
    /// An empty account.
    pub fn new(seed: u64, nature: Nature) -> Self {
        Self {
            now: 0,
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
            services: BTreeMap::new(),
            instances: BTreeMap::new(),
            groups: BTreeMap::new(),
            switches: BTreeMap::new(),
            tests: BTreeMap::new(),
            addresses: BTreeMap::new(),
            records: BTreeMap::new(),
            deployments: BTreeMap::new(),
            filters: BTreeMap::new(),
            holds: BTreeMap::new(),
            ended: BTreeMap::new(),
            rosters: BTreeMap::new(),
            freed: BTreeSet::new(),
            tokens: BTreeMap::new(),
            capacity: BTreeMap::new(),
            builds: BTreeMap::new(),
            alarms: BTreeMap::new(),
            due: Vec::new(),
            buckets: Buckets::new(nature.limits.clone()),
            live: BTreeMap::new(),
            touched: BTreeSet::new(),
            launched: BTreeMap::new(),
            nature,
            hook_calls: BTreeMap::new(),
            serial: 0,
        }
    }

    /// Sets up a service: a pair with all weight on the first group, behind so many switches.
    pub fn add_service(&mut self, role: &ServiceRole, settings: Settings, switches: usize) {
        let label = role.label();
        let pair = matches!(settings.target_group, TargetGroup::Pair(_));
        let mut groups = Vec::new();
        let mut arns = Vec::new();
        if pair {
            for side in ["a", "b"] {
                let arn = format!("arn:tg/{label}-{side}");
                let group = Group {
                    name: format!("{label}-{side}"),
                    service: role.clone(),
                    port: 8080,
                    targets: BTreeMap::new(),
                };
                self.groups.insert(arn.clone(), group);
                groups.push(arn);
            }
            for n in 0..switches {
                let kind = if n == 0 { "listener" } else { "listener-rule" };
                let arn = format!("arn:{kind}/{label}-{n}");
                let switch = Switch {
                    label: format!("{label} {}", if n == 0 { "HTTP:80 default".into() } else { format!("rule {n}") }),
                    default_action: n == 0,
                    service: role.clone(),
                    weights: Past::new(0, vec![(groups[0].clone(), 100), (groups[1].clone(), 0)]),
                    by_hand: None,
                    untagged: None,
                    withheld: None,
                };
                self.switches.insert(arn.clone(), switch);
                arns.push(arn);
            }
        }
        if !pair {
            self.live.insert(role.clone(), Past::new(0, Vec::new()));
        }
        if let Eip::Pool(_) = settings.eip {
            // Enough for two fleets: the new one gets its addresses before the old one gives up its own.
            for _ in 0..2 * settings.count {
                self.add_address(AddressFace { service: Some(role.clone()), release: None, associated: None });
            }
        }
        for name in settings.alarms.ids() {
            self.alarms.insert(name.clone(), Past::new(0, AlarmState::Ok));
        }
        let tests = Vec::new();
        self.services
            .insert(role.clone(), Service { settings, groups, switches: arns, tests, requests: 6_000, listeners: 1 });
    }

    /// The name of the alarm that a service heeds.
    pub fn alarm(&self, role: &ServiceRole) -> Option<String> {
        self.services.get(role)?.settings.alarms.ids().first().cloned()
    }

    /// Gives a service's balancer a rule for test traffic, which leads to its first group.
    pub fn add_test(&mut self, role: &ServiceRole) {
        let Some(service) = self.services.get_mut(role) else { return };
        let Some(group) = service.groups.first() else { return };
        let arn = format!("arn:listener-rule/{}-test", role.label());
        let groups = Past::new(0, vec![group.clone()]);
        self.tests.insert(arn.clone(), TestRule { service: role.clone(), groups, by_hand: None });
        service.tests.push(arn);
    }

    /// A new number.
    pub fn serial(&mut self) -> u32 {
        self.serial += 1;
        self.serial
    }

    /// Chance within a range.
    pub fn between(&mut self, (low, high): (Ms, Ms)) -> Ms {
        if low >= high { low } else { self.rng.random_range(low..=high) }
    }

    /// Lets something happen later.
    pub fn later(&mut self, range: (Ms, Ms), turn: Turn) {
        let at = self.now + self.between(range);
        self.due.push((at, turn));
    }

    /// Whether an instance answers requests well.
    pub fn serves(&self, id: &str) -> bool {
        self.instances.get(id).is_some_and(|instance| {
            instance.face.now().state == InstanceState::Running
                && !instance.sick
                && instance.app.as_ref().is_some_and(|release| self.build(release) != Build::Unhealthy)
        })
    }

    /// What a release's artifact is like.
    pub fn build(&self, release: &ReleaseId) -> Build {
        self.builds.get(release).copied().unwrap_or_default()
    }

    /// The artifact that a release would install.
    pub fn artifact(&self, release: &ReleaseId) -> Artifact {
        Artifact {
            bucket: "artifacts".into(),
            key: format!("{}.zip", release.short()),
            version: Some(release.short().to_owned()),
            etag: None,
        }
    }

    /// Everything that a switch gives weight to, or gave since then.
    pub fn weighted_since(&self, at: Ms) -> BTreeSet<&str> {
        let weights = self.switches.values().flat_map(|switch| switch.weights.since(at));
        weights.flatten().filter(|(_, weight)| *weight > 0).map(|(group, _)| group.as_str()).collect()
    }

    /// Whether some switch names the group.
    pub fn used(&self, arn: &str) -> bool {
        self.switches.values().any(|switch| switch.weights.now().iter().any(|(group, _)| group == arn))
    }

    /// A target leaves its group. One that gets no traffic has nothing to drain.
    pub fn deregister(&mut self, arn: &str, key: &(String, u16)) {
        let now = self.now;
        let used = self.used(arn);
        let Some(target) = self.groups.get_mut(arn).and_then(|group| group.targets.get_mut(key)) else { return };
        if target.counts() && !used {
            target.health.set(now, None);
        } else if target.counts() {
            target.health.set(now, Some(Health::Draining));
            target.deregistered = Some(now);
            let delay = self.nature.deregistration;
            self.later((delay, delay), Turn::Drained(arn.to_owned(), key.clone()));
        }
    }

    /// A target enters a group.
    pub fn register(&mut self, arn: &str, key: (String, u16), stranger: bool) {
        let now = self.now;
        let Some(group) = self.groups.get_mut(arn) else { return };
        match group.targets.get_mut(&key) {
            Some(target) if target.counts() => return,
            Some(target) => {
                target.health.set(now, Some(Health::Initial));
                target.registered = now;
                target.healthy = None;
                target.deregistered = None;
            }
            None => {
                let health = Past::new(now, Some(Health::Initial));
                let target = Target { health, registered: now, healthy: None, stranger, deregistered: None };
                group.targets.insert(key.clone(), target);
            }
        }
        self.later(self.nature.probe, Turn::Probe(arn.to_owned(), key));
    }

    /// The instances that were launched for a service, those that are gone included, by id.
    pub fn launched_for(&self, role: &ServiceRole) -> impl DoubleEndedIterator<Item = (&String, &Instance)> {
        self.launched.get(role).into_iter().flatten().filter_map(|id| self.instances.get_key_value(id))
    }

    /// The service's instance that has a private address, or had it last.
    pub fn with_ip(&self, role: &ServiceRole, ip: &str) -> Option<&String> {
        self.launched_for(role).rev().find(|(_, instance)| instance.ip == ip).map(|(id, _)| id)
    }

    /// How many instances a describe of the service shows.
    pub fn described(&self, role: &ServiceRole) -> usize {
        self.launched_for(role).filter(|(_, instance)| !self.forgotten(instance)).count()
    }

    /// EC2 forgets an instance about an hour after it was terminated (docs/AWS.md#ec2).
    pub fn forgotten(&self, instance: &Instance) -> bool {
        instance.face.now().state == InstanceState::Terminated && self.now - instance.face.changed() > HOUR
    }

    /// Remembers for which service an instance was launched.
    pub fn index(&mut self, id: &str) {
        if let Some(role) = self.instances.get(id).and_then(|it| it.face.now().service.clone()) {
            self.launched.entry(role).or_default().push(id.to_owned());
        }
    }

    /// `live.<service>.<zone>`
    pub fn live_name(&self, role: &ServiceRole) -> Option<String> {
        Some(format!("live{}", self.names_under(role)?))
    }

    /// The service's names lie under this.
    pub fn names_under(&self, role: &ServiceRole) -> Option<String> {
        Some(names_under(role, self.services.get(role)?.settings.zone.as_ref()?))
    }

    /// When a hold was taken, a deployment created and so on: the time as AWS would say it.
    pub fn timestamp(&self) -> jiff::Timestamp {
        timestamp(self.now)
    }
}

/// The private address of the `n`th instance.
pub(crate) fn ip(n: u32) -> String {
    format!("10.{}.{}.{}", n / 62_500, n / 250 % 250, n % 250 + 1)
}

/// A service's names in a zone end with this.
pub(crate) fn names_under(role: &ServiceRole, zone: &str) -> String {
    format!(".{}.{zone}", role.label())
}
