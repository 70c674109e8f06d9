//! The cloud's nouns: what there is in an account, each with what a describe says of it.

use crate::limits::Limits;
use crate::past::{MINUTE, Ms, Past, SECOND};
use std::collections::BTreeMap;
use tagship::settings::Settings;
use tagship::{Health, InstanceState, ReleaseId, ServiceRole};

/// How the cloud behaves: ranges in milliseconds, and odds.
#[derive(Debug, Clone)]
pub struct Nature {
    /// Pending to running (5 s were measured, docs/AWS.md#ec2).
    pub boot: (Ms, Ms),
    /// The odds that an instance never gets to running.
    pub boot_fails: f64,
    /// The odds that it stays pending for ever.
    pub boot_hangs: f64,
    /// A deployment on one instance.
    pub install: (Ms, Ms),
    /// A change of serving to the health that the balancer sees, at interval 5–10 s.
    pub probe: (Ms, Ms),
    /// Shutting down to terminated.
    pub shutdown: (Ms, Ms),
    /// The deregistration delay of every group: a target is draining for all of it (docs/AWS.md).
    pub deregistration: Ms,
    /// How far behind a describe may be.
    pub lag: Ms,
    /// How late the balancer's two nodes see a weight; AWS publishes no figure.
    pub nodes: [Ms; 2],
    /// Addresses that may be allocated (5 by default, docs/AWS.md#ec2).
    pub addresses: usize,
    /// How late the balancer's figures come; none if they never do.
    pub figures: Option<Ms>,
    /// How often it may be asked.
    pub limits: Limits,
    /// How soon it answers.
    pub answers: Answers,
}

/// How long a call is under way, in milliseconds.
#[derive(Debug, Clone)]
pub struct Answers {
    /// Reading the hold.
    pub hold: (Ms, Ms),
    /// An observation: its requests are made at once, or in short chains.
    pub look: (Ms, Ms),
    /// A change.
    pub change: (Ms, Ms),
    /// From a call's effect to the caller.
    pub back: (Ms, Ms),
}

impl Default for Answers {
    /// Slower than AWS usually is.
    fn default() -> Self {
        Self { hold: (20, 400), look: (20, 400), change: (20, 800), back: (20, 200) }
    }
}

impl Default for Nature {
    fn default() -> Self {
        Self {
            boot: (4 * SECOND, 30 * SECOND),
            boot_fails: 0.0,
            boot_hangs: 0.0,
            install: (5 * SECOND, 60 * SECOND),
            probe: (SECOND, 20 * SECOND),
            shutdown: (5 * SECOND, 40 * SECOND),
            deregistration: 30 * SECOND,
            lag: 0,
            nodes: [0, 3 * SECOND],
            addresses: 50,
            figures: Some(2 * MINUTE),
            limits: Limits::default(),
            answers: Answers::default(),
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
    /// Requests a minute of its users.
    pub requests: u64,
    /// Its rules for test traffic.
    pub tests: Vec<String>,
    /// Listeners of its balancer: the rules of each are read by a call of its own.
    pub listeners: usize,
}

/// What an artifact is like once installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Build {
    /// It serves.
    #[default]
    Good,
    /// It fails its health check.
    Unhealthy,
    /// It passes that, and answers an error to a fifth of its users' requests.
    Errs,
    /// It can't be installed on one of the instances.
    FailsOnOne,
    /// Its hook never ends.
    Hangs,
    /// Its image has no agent.
    NoAgent,
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
    /// When it was running.
    pub up: Option<Ms>,
    /// With which client token.
    pub client_token: Option<String>,
    /// The release whose artifact is installed.
    pub app: Option<ReleaseId>,
    /// When the world broke it: a death, an illness, a person, a boot that failed.
    pub hurt: Option<Ms>,
    /// AWS had no capacity for it after all.
    pub short: bool,
    /// A person has protected it against termination.
    pub protected: bool,
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

    /// Neither terminated nor about to be.
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
    /// When it was registered.
    pub registered: Ms,
    /// When it was healthy first.
    pub healthy: Option<Ms>,
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
    /// Since when it has lacked the service's tag.
    pub untagged: Option<Ms>,
    /// When a person last took that tag away.
    pub withheld: Option<Ms>,
}

/// A listener rule for test traffic.
#[derive(Debug, Clone)]
pub struct TestRule {
    /// Its service.
    pub service: ServiceRole,
    /// The groups that it leads to, now and before.
    pub groups: Past<Vec<String>>,
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
    /// The agent of one instance takes a deployment up.
    Fetched(String, String),
    /// It has carried out what it can of it.
    Installed(String, String),
    /// CodeDeploy looks for agents that have been silent for too long.
    Patience(String),
}
