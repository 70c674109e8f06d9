//! What the local cloud holds, as one snapshot: instances, listeners, target groups and zones.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A snapshot of the emulator's state, `GET /tagship/state`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Every instance that is still visible, terminated ones too.
    pub instances: Vec<Instance>,
    /// The load balancers' listeners.
    pub listeners: Vec<Listener>,
    /// Target groups with their targets.
    pub target_groups: Vec<TargetGroup>,
    /// Hosted zones.
    pub zones: Vec<Zone>,
}

/// One EC2 instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// `i-…`.
    pub id: String,
    /// The private address, in the VPC (127.16.0.0/16 to 127.31.0.0/16).
    pub ip: std::net::Ipv4Addr,
    /// Where it is in its life.
    pub state: InstanceState,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// `subnet-…`.
    #[serde(default)]
    pub subnet: String,
    /// E.g. `t3.micro`.
    #[serde(rename = "type", default)]
    pub instance_type: String,
    /// The decoded user data.
    #[serde(default)]
    pub user_data: Option<String>,
}

/// EC2's instance states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// Booting.
    Pending,
    /// Booted.
    Running,
    /// Being terminated.
    ShuttingDown,
    /// Gone, still visible.
    Terminated,
    /// Being stopped.
    Stopping,
    /// Stopped: its disk is kept.
    Stopped,
}

/// One listener of a load balancer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// The listener's ARN.
    pub arn: String,
    /// The load balancer's ARN.
    pub load_balancer: String,
    /// The port as configured, e.g. 80; not the port that is bound here.
    pub port: u16,
    /// `HTTP` or `HTTPS`.
    pub protocol: String,
    /// What is done when no rule matches.
    pub default: Vec<Action>,
    /// The rules without the default.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// One listener rule; all of its conditions have to match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// The rule's ARN.
    pub arn: String,
    /// 1 is looked at first.
    pub priority: u32,
    /// Host patterns, one of which has to match; empty: any host.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Path patterns, one of which has to match; empty: any path.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Headers, each of which has to match.
    #[serde(default)]
    pub headers: Vec<Header>,
    /// What is done then.
    pub actions: Vec<Action>,
}

/// A header that a request has to have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Patterns, one of which has to match.
    pub values: Vec<String>,
}

/// What a rule does with a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Action {
    /// Passes it on to one of the groups.
    Forward {
        /// The groups and their weights.
        groups: Vec<WeightedGroup>,
        /// How long a client stays with a group; `None`: not at all.
        #[serde(default)]
        stickiness_secs: Option<u64>,
    },
    /// Answers it.
    FixedResponse {
        /// The HTTP status.
        status: u16,
        /// The body.
        #[serde(default)]
        body: String,
    },
    /// Authentication, redirects and whatever else AWS has.
    #[serde(other)]
    Other,
}

impl Action {
    /// The groups that it forwards to.
    pub fn groups(&self) -> &[WeightedGroup] {
        match self {
            Action::Forward { groups, .. } => groups,
            Action::FixedResponse { .. } | Action::Other => &[],
        }
    }
}

/// A group of a forward action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightedGroup {
    /// The target group's ARN.
    pub arn: String,
    /// 0 to 999.
    pub weight: u32,
}

/// A target group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetGroup {
    /// The group's ARN.
    pub arn: String,
    /// The group's name.
    pub name: String,
    /// The port of targets registered without one.
    pub port: u16,
    /// The group's tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// How its targets are checked.
    pub health: HealthCheck,
    /// How long a deregistered target stays `draining`, in seconds.
    pub deregistration_delay_secs: u64,
    /// What is registered.
    #[serde(default)]
    pub targets: Vec<Target>,
}

/// A target group's health check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// E.g. `/health`.
    pub path: String,
    /// `traffic-port` or a number.
    pub port: String,
    /// From one check to the next, in seconds.
    pub interval_secs: u64,
    /// How long an answer may take, in seconds.
    pub timeout_secs: u64,
    /// Passes in a row that make an unhealthy target healthy.
    pub healthy: u32,
    /// Failures in a row that make a target unhealthy.
    pub unhealthy: u32,
    /// The statuses that pass, e.g. `200`, `200,202` or `200-299`.
    pub matcher: String,
}

/// A registered target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The instance's id.
    pub id: String,
    /// Where it listens.
    pub port: u16,
    /// Its health.
    pub state: TargetState,
}

/// ELB's target states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetState {
    /// Registered, not yet checked often enough.
    Initial,
    /// Passes its checks.
    Healthy,
    /// Fails its checks.
    Unhealthy,
    /// Deregistered; gets no new requests.
    Draining,
    /// Its group is in no rule.
    Unused,
}

/// A hosted zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// `Z…`.
    pub id: String,
    /// Its name, with or without the last dot.
    pub name: String,
    /// Whether only the VPC sees it.
    pub private: bool,
    /// Its record sets.
    #[serde(default)]
    pub records: Vec<RecordSet>,
}

/// A record set of a zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordSet {
    /// The full name, with or without the last dot.
    pub name: String,
    /// `A`, `CNAME`, ….
    #[serde(rename = "type")]
    pub record_type: String,
    /// Seconds.
    pub ttl: u32,
    /// E.g. addresses.
    pub values: Vec<String>,
}
