//! The cloud's truth: what there is, and how it changes by itself.

use crate::past::{HOUR, MINUTE, Ms, Past, SECOND, timestamp};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use tagship::settings::{Eip, Settings, TargetGroup};
use tagship::{Artifact, DeploymentState, Ended, Health, Hold, InstanceState, Launch, Record, ReleaseId, ServiceRole};

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
    /// Private addresses of instances that are gone, by subnet: a subnet gives the lowest again.
    pub freed: BTreeSet<(String, String)>,
    /// What RunInstances was asked before, by client token and subnet.
    pub tokens: BTreeMap<(String, String), Launch>,
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

/// How the cloud behaves: ranges in milliseconds, and odds.
#[derive(Debug, Clone)]
pub struct Nature {
    /// Pending to running (FACTS.md: measured 5 s).
    pub boot: (Ms, Ms),
    /// The odds that an instance never gets to running.
    pub boot_fails: f64,
    /// A deployment on one instance.
    pub install: (Ms, Ms),
    /// A change of serving to the health that the balancer sees, at interval 5–10 s.
    pub probe: (Ms, Ms),
    /// Shutting down to terminated.
    pub shutdown: (Ms, Ms),
    /// The deregistration delay of every group (FACTS.md: the state stays draining for all of it).
    pub deregistration: Ms,
    /// How far behind a describe may be.
    pub lag: Ms,
    /// How late the balancer's two nodes see a weight; AWS publishes no figure.
    pub nodes: [Ms; 2],
    /// Addresses that may be allocated (FACTS.md: 5 by default).
    pub addresses: usize,
}

impl Default for Nature {
    fn default() -> Self {
        Self {
            boot: (4 * SECOND, 30 * SECOND),
            boot_fails: 0.0,
            install: (5 * SECOND, 60 * SECOND),
            probe: (SECOND, 20 * SECOND),
            shutdown: (5 * SECOND, 40 * SECOND),
            deregistration: 30 * SECOND,
            lag: 0,
            nodes: [0, 3 * SECOND],
            addresses: 50,
        }
    }
}

/// A service as ops set it up.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its variable, selectors resolved.
    pub settings: Settings,
    /// The pair; empty without a load balancer.
    pub groups: Vec<String>,
    /// Its switches.
    pub switches: Vec<String>,
}

/// What an artifact is like once installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Build {
    /// It serves.
    #[default]
    Good,
    /// It fails its health check.
    Unhealthy,
    /// It can't be installed on one of the instances.
    FailsOnOne,
    /// Its hook never ends.
    Hangs,
    /// It isn't in the bucket (any more).
    Missing,
}

/// An instance.
#[derive(Debug, Clone)]
pub struct Instance {
    /// What a describe says, now and before.
    pub face: Past<Face>,
    /// The primary private address.
    pub ip: String,
    /// Where.
    pub subnet: String,
    /// As what.
    pub instance_type: String,
    /// When.
    pub launched: Ms,
    /// With which client token.
    pub client_token: Option<String>,
    /// The release whose artifact is installed.
    pub app: Option<ReleaseId>,
    /// When the world broke it: a death, an illness, a person, a boot that failed.
    pub hurt: Option<Ms>,
    /// It fails its health check for now.
    pub sick: bool,
}

/// What a describe says of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Face {
    /// `tagship:service`
    pub service: Option<ServiceRole>,
    /// `tagship:release`
    pub release: Option<ReleaseId>,
    /// `tagship:retired-by`
    pub retired_by: Option<ReleaseId>,
    /// The state.
    pub state: InstanceState,
}

impl Instance {
    /// Whether it carries the service's tag.
    pub fn of(&self, role: &ServiceRole) -> bool {
        self.face.now().service.as_ref() == Some(role)
    }

    /// Pending or running.
    pub fn alive(&self) -> bool {
        matches!(self.face.now().state, InstanceState::Pending | InstanceState::Running)
    }

    /// Neither terminated nor on the way.
    pub fn exists(&self) -> bool {
        !matches!(self.face.now().state, InstanceState::ShuttingDown | InstanceState::Terminated)
    }
}

/// A target group.
#[derive(Debug, Clone)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its service's tag.
    pub service: ServiceRole,
    /// Its port.
    pub port: u16,
    /// Targets by instance and port; those that are gone stay as long as a describe may lag.
    pub targets: BTreeMap<(String, u16), Target>,
}

/// A target.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its health; none once it is gone.
    pub health: Past<Option<Health>>,
    /// Registered by a person.
    pub stranger: bool,
    /// When it was deregistered.
    pub deregistered: Option<Ms>,
}

impl Target {
    /// Registered, and not draining.
    pub fn counts(&self) -> bool {
        self.health.now().is_some_and(|health| health != Health::Draining)
    }
}

/// A rule or default action.
#[derive(Debug, Clone)]
pub struct Switch {
    /// For people.
    pub label: String,
    /// A listener's default action.
    pub default_action: bool,
    /// Its service.
    pub service: ServiceRole,
    /// Group and weight, now and before.
    pub weights: Past<Vec<(String, u32)>>,
    /// When a person last changed it.
    pub by_hand: Option<Ms>,
}

/// An Elastic IP address.
#[derive(Debug, Clone)]
pub struct Address {
    /// What a describe says.
    pub face: Past<Option<AddressFace>>,
    /// The public address.
    pub public_ip: String,
}

/// What a describe says of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressFace {
    /// `tagship:service`
    pub service: Option<ServiceRole>,
    /// `tagship:release`; none for a pool's.
    pub release: Option<ReleaseId>,
    /// Association and instance.
    pub associated: Option<(String, String)>,
}

/// A deployment.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// The service that its group belongs to.
    pub service: ServiceRole,
    /// From its description.
    pub release: ReleaseId,
    /// When it was created.
    pub created: Ms,
    /// How far.
    pub state: Past<DeploymentState>,
    /// Its instances, and what became of each.
    pub targets: BTreeMap<String, Option<bool>>,
}

/// A thing that happens by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// An instance is up, or never will be.
    Boot(String),
    /// An instance is gone.
    Gone(String),
    /// An instance is stopped.
    Stopped(String),
    /// The balancer has looked.
    Probe(String, (String, u16)),
    /// A deregistered target is gone.
    Drained(String, (String, u16)),
    /// A deployment is over on one instance.
    Installed(String, String),
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
            freed: BTreeSet::new(),
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
                    self.freed.insert((instance.subnet.clone(), instance.ip.clone()));
                } else {
                    instance.face.alter(now, |face| face.state = InstanceState::Running);
                }
            }
            Turn::Gone(id) => self.settle(id, InstanceState::ShuttingDown, InstanceState::Terminated),
            Turn::Stopped(id) => self.settle(id, InstanceState::Stopping, InstanceState::Stopped),
            Turn::Probe(arn, key) => {
                let serves = self.serves(&key.0);
                let runs = |it: &Instance| it.face.now().state == InstanceState::Running;
                let used = self.used(arn) && self.instances.get(&key.0).is_some_and(runs);
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
            self.freed.insert((instance.subnet.clone(), instance.ip.clone()));
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
            Build::Hangs | Build::Missing => false,
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
        let stopped = instance.face.now().state == InstanceState::Stopped;
        instance.face.alter(now, |face| face.state = InstanceState::ShuttingDown);
        if stopped {
            // Nothing has to shut down.
            self.settle(id, InstanceState::ShuttingDown, InstanceState::Terminated);
        } else {
            self.later(self.nature.shutdown, Turn::Gone(id.to_owned()));
        }
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

    /// Whether some switch names the group.
    pub fn used(&self, arn: &str) -> bool {
        self.switches.values().any(|switch| switch.weights.now().iter().any(|(group, _)| group == arn))
    }

    /// A target leaves its group; one that isn't in use has nothing to drain.
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
        Some(names_under(role, self.services.get(role)?.settings.zone.as_ref()?))
    }

    /// When a hold was taken, a deployment created and so on: the time as AWS would say it.
    pub fn timestamp(&self) -> jiff::Timestamp {
        timestamp(self.now)
    }
}

/// A service's names in a zone end with this.
pub(crate) fn names_under(role: &ServiceRole, zone: &str) -> String {
    format!(".{}.{zone}", role.label())
}
