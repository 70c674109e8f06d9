//! The world as one observation found it, in our own nouns.

use super::build::Build;
use super::counts::Figures;
use super::hold::Artifact;
use super::hook::Called;
use super::noun::ReleaseId;
use super::parts::Parts;
use super::roster::Enrolled;
use super::routing::Routing;
use super::settings::Settings;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// One observation. A part that wasn't read is empty here; a planner sees it through a [`crate::View`], which tells
/// the two apart.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct World {
    /// When the observation began.
    pub now: Timestamp,
    /// When it had been made; the loop says so.
    pub seen: Timestamp,
    /// What was read.
    pub read: Parts,
    /// Every instance that carries the service's tag, terminated ones too as long as EC2 shows them.
    pub instances: Vec<Instance>,
    /// The pair and the switches; none where the service has no load balancer.
    pub routing: Option<Routing>,
    /// Addresses with the service's tag, and those of its pool.
    pub addresses: Vec<Address>,
    /// Records under the service's name in its zone.
    pub names: Vec<Record>,
    /// Whether the deployment group's tag filter is this release's already.
    pub filtered: bool,
    /// The newest deployment of this release, by its description.
    pub deployment: Option<Deployment>,
    /// The artifact that a new deployment would install.
    pub artifact: Option<Found<Artifact>>,
    /// The settings as the variable says them now, resolved.
    pub offer: Option<Offer>,
    /// The text of `USER_DATA` as the variable says it now. May hold secrets.
    pub user_data: Option<UserData>,
    /// The image's devices.
    pub devices: Option<Devices>,
    /// The execution that is asked about: [`crate::execution_of`].
    pub holder: Option<Execution>,
    /// The alarms that the settings name, by name.
    pub alarms: Vec<Alarm>,
    /// What the balancer counted of the pair since the traffic was divided, as far as CloudWatch knows by now.
    pub figures: Figures,
    /// The roster of the live fleet; none before the first approval.
    pub roster: Option<Box<Enrolled>>,
    /// The call of a hook that this process has made last; only it knows of it.
    pub hook: Option<Called>,
    /// The load balancer, as far as a launch has to fit it; none where the pair is on none.
    pub balancer: Option<Balancer>,
}

/// The load balancer, as far as a launch has to fit it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Balancer {
    /// The zones that it is in; of several balancers those that all of them are in.
    pub zones: BTreeSet<String>,
    /// The zone of each subnet that the settings name.
    pub subnets: BTreeMap<String, String>,
    /// How many targets a load balancer of this account may have; none if AWS doesn't say.
    pub targets: Option<u32>,
    /// Names of groups with stickiness of their own. Read where the settings divide the traffic.
    pub sticky: Vec<String>,
}

/// What an image says of its devices.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Devices {
    /// What it calls its root device; none if it has none.
    pub root: Option<String>,
    /// Those with volumes that would outlive their instance, and the volumes' sizes in GiB.
    pub lasting: BTreeMap<String, u32>,
}

/// The text of `USER_DATA`, which may hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct UserData(pub String);

impl std::fmt::Debug for UserData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UserData(…)")
    }
}

impl World {
    /// Since when at the latest what this observation found has lasted. While it was made, which takes as long as AWS
    /// throttles, another invocation may have brought it about.
    pub fn since(&self) -> Timestamp {
        self.seen.max(self.now)
    }

    /// The instances of a release, gone ones too.
    pub fn fleet<'a>(&'a self, release: &'a ReleaseId) -> impl Iterator<Item = &'a Instance> {
        self.instances.iter().filter(move |instance| instance.release.as_ref() == Some(release))
    }

    /// Adds what was read later.
    pub fn add(&mut self, parts: Parts, more: Self) {
        let Self {
            instances,
            routing,
            addresses,
            names,
            filtered,
            deployment,
            artifact,
            offer,
            user_data,
            devices,
            holder,
            alarms,
            figures,
            roster,
            balancer,
            hook,
            now: _,
            seen: _,
            read: _,
        } = more;
        self.read = self.read.and(parts);
        if parts.has(Parts::INSTANCES) {
            self.instances = instances;
        }
        if parts.has(Parts::ROUTING) {
            self.routing = routing;
        }
        if parts.has(Parts::ADDRESSES) {
            self.addresses = addresses;
        }
        if parts.has(Parts::NAMES) {
            self.names = names;
        }
        if parts.has(Parts::FILTER) {
            self.filtered = filtered;
        }
        if parts.has(Parts::DEPLOYMENT) {
            self.deployment = deployment;
        }
        if parts.has(Parts::ARTIFACT) {
            self.artifact = artifact;
        }
        if parts.has(Parts::OFFER) {
            self.offer = offer;
        }
        if parts.has(Parts::USER_DATA) {
            self.user_data = user_data;
        }
        if parts.has(Parts::IMAGE) {
            self.devices = devices;
        }
        if parts.has(Parts::HOLDER) {
            self.holder = holder;
        }
        if parts.has(Parts::ALARMS) {
            self.alarms = alarms;
        }
        if parts.has(Parts::FIGURES) {
            self.figures = figures;
        }
        if parts.has(Parts::ROSTER) {
            self.roster = roster;
        }
        if parts.has(Parts::BALANCER) {
            self.balancer = balancer;
        }
        if parts.has(Parts::HOOK) {
            self.hook = hook;
        }
    }
}

/// Something that was looked for and is there, or the reason why not (a sentence for the operator).
pub type Found<T> = Result<T, String>;

/// Validated settings, and the secret part beside them. In a [`World`] every selector is resolved to ids.
#[derive(Clone, PartialEq)]
pub struct Offer {
    /// As the hold will carry them.
    pub settings: Settings,
    /// The text whose SHA-256 the settings carry. May hold secrets.
    pub user_data: Option<String>,
}

impl std::fmt::Debug for Offer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Offer").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// An EC2 instance of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// `i-…`
    pub id: String,
    /// The release in its tag; none where somebody removed it.
    pub release: Option<ReleaseId>,
    /// EC2's state.
    pub state: InstanceState,
    /// `subnet-…`; EC2 forgets it once terminated.
    pub subnet: Option<String>,
    /// The type it was launched as.
    pub instance_type: String,
    /// The primary private address.
    pub private_ip: Option<String>,
    /// When it was launched.
    pub launched_at: Timestamp,
    /// The release that retired and stopped it.
    pub retired_by: Option<ReleaseId>,
    /// EC2's reason for its state, where it gives one: `Client.InternalError`.
    pub reason: Option<String>,
    /// Whether it died because AWS had no capacity for it after all.
    pub short: bool,
    /// The client token that it was launched with.
    pub client_token: Option<String>,
    /// What people call its release's build.
    pub build: Option<Build>,
}

impl Instance {
    /// Pending or running.
    pub fn alive(&self) -> bool {
        matches!(self.state, InstanceState::Pending | InstanceState::Running)
    }

    /// Terminated, or on the way there.
    pub fn gone(&self) -> bool {
        matches!(self.state, InstanceState::ShuttingDown | InstanceState::Terminated)
    }
}

/// EC2's instance states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InstanceState {
    /// Booting.
    Pending,
    /// Up.
    Running,
    /// On the way to terminated.
    ShuttingDown,
    /// Gone.
    Terminated,
    /// On the way to stopped.
    Stopping,
    /// Kept.
    Stopped,
}

/// An Elastic IP address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// `eipalloc-…`
    pub id: String,
    /// The public address.
    pub public_ip: String,
    /// The release that it was allocated for; none for a pool's.
    pub release: Option<ReleaseId>,
    /// `eipassoc-…` while associated.
    pub association: Option<String>,
    /// The instance that it is associated with.
    pub instance: Option<String>,
}

/// An A record of the private zone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// Without a dot at the end.
    pub name: String,
    /// Private addresses, sorted.
    pub values: Vec<String>,
    /// Seconds.
    pub ttl: u32,
}

/// A CodeDeploy deployment of a release.
#[derive(Debug, Clone, PartialEq)]
pub struct Deployment {
    /// `d-…`
    pub id: String,
    /// How far.
    pub state: DeploymentState,
    /// When it was created.
    pub created_at: Timestamp,
    /// CodeDeploy's own explanation, if it failed: code and message.
    pub error: Option<String>,
    /// What each instance did. Read once the deployment has ended.
    pub targets: Vec<Installed>,
    /// `3 succeeded, 1 in progress`, for the waiting message.
    pub overview: String,
    /// Whether an instance has begun: its agent has asked for it.
    pub begun: bool,
}

/// Where a deployment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeploymentState {
    /// Created, queued, in progress, baking, ready.
    Running,
    /// CodeDeploy calls it a success: with AllAtOnce one instance is enough for that.
    Succeeded,
    /// Failed.
    Failed,
    /// Stopped.
    Stopped,
}

/// What a deployment did on one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// The instance.
    pub instance: String,
    /// Whether it succeeded.
    pub succeeded: bool,
    /// If not: event, script, message and the tail of the log, as the agent told them.
    pub diagnostics: Option<String>,
}

/// A CloudWatch alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: AlarmState,
    /// Since when; none if it isn't there.
    pub since: Option<Timestamp>,
    /// In CloudWatch's words.
    pub reason: String,
}

/// An alarm's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlarmState {
    /// All is well.
    Ok,
    /// It rings.
    Alarm,
    /// INSUFFICIENT_DATA: no alarm, and said.
    NoData,
    /// CloudWatch doesn't show it.
    Missing,
}

/// A pipeline execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// Where it stands.
    pub state: ExecutionState,
    /// When CodePipeline last touched it; none if it was not found.
    pub updated_at: Option<Timestamp>,
    /// What people call the build that it releases.
    pub build: Option<Build>,
}

/// Where a pipeline execution stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecutionState {
    /// In progress.
    Running,
    /// A person has stopped it: it ends once its running actions have, or at once if they are abandoned.
    Stopping,
    /// Succeeded.
    Succeeded,
    /// Failed, stopped, superseded or cancelled.
    Ended,
    /// CodePipeline knows no such execution, or no such pipeline.
    NotFound,
}
