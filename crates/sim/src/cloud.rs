//! The cloud's truth: what there is, and how it changes by itself.

mod nouns;

pub use self::nouns::{
    Address, AddressFace, Build, Deployment, Face, Group, Instance, Nature, Service, Switch, Target, Turn,
};

use crate::past::{HOUR, MINUTE, Ms, Past, timestamp};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use tagship::settings::{Eip, Settings, TargetGroup};
use tagship::{Artifact, DeploymentState, Ended, Health, Hold, InstanceState, Record, ReleaseId, ServiceRole};

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
    /// What RunInstances answered before: client token and subnet → instances, type.
    pub tokens: BTreeMap<(String, String), (Vec<String>, String)>,
    /// What is left, by subnet and type; plenty where nothing is said.
    pub capacity: BTreeMap<(String, String), u32>,
    /// What each release's artifact is like.
    pub builds: BTreeMap<ReleaseId, Build>,
    /// What will happen by itself.
    pub due: Vec<(Ms, Turn)>,
    /// Counts everything that changed, so that nothing is checked twice.
    pub version: u64,
    serial: u32,
}

impl Cloud {
    /// An empty account.
    pub fn new(seed: u64, nature: Nature) -> Self {
        Self {
            now: 0,
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
            nature,
            services: BTreeMap::new(),
            instances: BTreeMap::new(),
            groups: BTreeMap::new(),
            switches: BTreeMap::new(),
            addresses: BTreeMap::new(),
            records: BTreeMap::new(),
            deployments: BTreeMap::new(),
            filters: BTreeMap::new(),
            holds: BTreeMap::new(),
            ended: BTreeMap::new(),
            tokens: BTreeMap::new(),
            capacity: BTreeMap::new(),
            builds: BTreeMap::new(),
            due: Vec::new(),
            version: 0,
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
                let arn = format!("arn:rule/{label}-{n}");
                let switch = Switch {
                    label: format!("{label} {}", if n == 0 { "HTTP:80 default".into() } else { format!("rule {n}") }),
                    default_action: n == 0,
                    service: role.clone(),
                    weights: Past::new(0, vec![(groups[0].clone(), 100), (groups[1].clone(), 0)]),
                    by_hand: None,
                };
                self.switches.insert(arn.clone(), switch);
                arns.push(arn);
            }
        }
        if let Eip::Pool(_) = settings.eip {
            // Two fleets' worth, as DESIGN.md says.
            for _ in 0..2 * settings.count {
                self.add_address(AddressFace { service: Some(role.clone()), release: None, associated: None });
            }
        }
        self.services.insert(role.clone(), Service { settings, groups, switches: arns });
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

    /// Lets something happen.
    pub fn turn(&mut self, turn: &Turn) {
        self.version += 1;
        let now = self.now;
        match turn {
            Turn::Boot(id) => {
                let fails = self.nature.boot_fails > 0.0 && self.rng.random_bool(self.nature.boot_fails);
                let Some(instance) = self.instances.get_mut(id) else { return };
                if instance.face.now().state != InstanceState::Pending {
                    return;
                }
                if fails {
                    instance.hurt = Some(now);
                    instance.face.alter(now, |face| face.state = InstanceState::Terminated);
                } else {
                    instance.face.alter(now, |face| face.state = InstanceState::Running);
                }
            }
            Turn::Gone(id) => self.settle(id, InstanceState::ShuttingDown, InstanceState::Terminated),
            Turn::Stopped(id) => self.settle(id, InstanceState::Stopping, InstanceState::Stopped),
            Turn::Probe(arn, key) => {
                let serves = self.serves(&key.0);
                let used = self.switches.values().any(|s| s.weights.now().iter().any(|(group, _)| group == arn));
                let Some(target) = self.groups.get_mut(arn).and_then(|group| group.targets.get_mut(key)) else {
                    return;
                };
                if target.counts() {
                    let health = match (used, serves) {
                        (false, _) => Health::Unused,
                        (true, true) => Health::Healthy,
                        (true, false) => Health::Unhealthy,
                    };
                    target.health.set(now, Some(health));
                }
            }
            Turn::Drained(arn, key) => {
                let Some(target) = self.groups.get_mut(arn).and_then(|group| group.targets.get_mut(key)) else {
                    return;
                };
                if *target.health.now() == Some(Health::Draining) {
                    target.health.set(now, None);
                }
            }
            Turn::Installed(deployment, id) => self.installed(deployment, id),
        }
    }

    fn settle(&mut self, id: &str, from: InstanceState, to: InstanceState) {
        let now = self.now;
        let Some(instance) = self.instances.get_mut(id) else { return };
        if instance.face.now().state != from {
            return;
        }
        instance.face.alter(now, |face| face.state = to);
        if to == InstanceState::Terminated {
            for address in self.addresses.values_mut() {
                address.face.alter(now, |face| {
                    if let Some(face) = face
                        && face.associated.as_ref().is_some_and(|(_, instance)| instance == id)
                    {
                        face.associated = None;
                    }
                });
            }
        }
    }

    fn installed(&mut self, deployment: &str, id: &str) {
        let now = self.now;
        let up = self.instances.get(id).is_some_and(|i| i.face.now().state == InstanceState::Running);
        let Some(found) = self.deployments.get_mut(deployment) else { return };
        if *found.state.now() != DeploymentState::Running {
            return;
        }
        let release = found.release.clone();
        let first = found.targets.keys().next().is_some_and(|first| first == id);
        let build = self.builds.get(&release).copied().unwrap_or_default();
        let succeeded = match build {
            Build::Good | Build::Unhealthy => up,
            Build::FailsOnOne => up && !first,
            Build::Hangs => false,
        };
        found.targets.insert(id.to_owned(), Some(succeeded));
        if found.targets.values().all(Option::is_some) {
            // AllAtOnce calls it a success if one instance succeeded (FACTS.md).
            let any = found.targets.values().any(|succeeded| *succeeded == Some(true));
            found.state.set(now, if any { DeploymentState::Succeeded } else { DeploymentState::Failed });
        }
        if succeeded {
            if let Some(instance) = self.instances.get_mut(id) {
                instance.app = Some(release);
            }
            self.probe(id);
        }
    }

    /// How long a deployment takes on one instance: a hook that hangs is killed after an hour, CodeDeploy's own limit.
    pub fn install_range(&self, release: &ReleaseId) -> (Ms, Ms) {
        if self.build(release) == Build::Hangs { (HOUR, HOUR + MINUTE) } else { self.nature.install }
    }

    /// The balancer will see what became of an instance.
    pub fn probe(&mut self, id: &str) {
        let keys: Vec<_> = self
            .groups
            .iter()
            .flat_map(|(arn, group)| group.targets.keys().map(move |key| (arn.clone(), key.clone())))
            .filter(|(_, key)| key.0 == id)
            .collect();
        for (arn, key) in keys {
            self.later(self.nature.probe, Turn::Probe(arn, key));
        }
    }

    /// The world breaks an instance: it dies, or a person terminates it.
    pub fn hurt(&mut self, id: &str) {
        let now = self.now;
        self.version += 1;
        if let Some(instance) = self.instances.get_mut(id).filter(|instance| instance.alive()) {
            instance.hurt.get_or_insert(now);
            self.terminate(id);
        }
    }

    /// An instance is told to end; its targets leave their groups.
    pub fn terminate(&mut self, id: &str) {
        let now = self.now;
        let Some(instance) = self.instances.get_mut(id).filter(|instance| instance.exists()) else { return };
        instance.face.alter(now, |face| face.state = InstanceState::ShuttingDown);
        self.later(self.nature.shutdown, Turn::Gone(id.to_owned()));
        let keys: Vec<_> = self
            .groups
            .iter()
            .flat_map(|(arn, group)| group.targets.iter().map(move |(key, target)| (arn, key, target)))
            .filter(|(_, key, target)| key.0 == id && target.counts())
            .map(|(arn, key, _)| (arn.clone(), key.clone()))
            .collect();
        for (arn, key) in keys {
            self.deregister(&arn, &key);
        }
    }

    /// A target leaves its group.
    pub fn deregister(&mut self, arn: &str, key: &(String, u16)) {
        let now = self.now;
        let Some(target) = self.groups.get_mut(arn).and_then(|group| group.targets.get_mut(key)) else { return };
        if target.counts() {
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
                target.deregistered = None;
            }
            None => {
                let health = Past::new(now, Some(Health::Initial));
                group.targets.insert(key.clone(), Target { health, stranger, deregistered: None });
            }
        }
        self.later(self.nature.probe, Turn::Probe(arn.to_owned(), key));
    }

    /// The service's names lie under this.
    pub fn names_under(&self, role: &ServiceRole) -> Option<String> {
        let zone = self.services.get(role)?.settings.zone.as_ref()?;
        Some(format!(".{}.{zone}", role.label()))
    }

    /// When a hold was taken, a deployment created and so on: the time as AWS would say it.
    pub fn timestamp(&self) -> jiff::Timestamp {
        timestamp(self.now)
    }
}
