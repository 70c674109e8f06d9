//! Where a service's traffic goes: the pair of target groups, their targets, and the switches.

use super::test_rule::TestRule;
use std::collections::{BTreeMap, BTreeSet};

/// The two target groups and every switch that forwards to one of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Routing {
    /// Groups that the selector found: two, if all is well.
    pub groups: Vec<Group>,
    /// Rules and default actions that name one of the groups.
    pub switches: Vec<Switch>,
    /// ARNs of those groups and switches that lack the service's tag: they are for others to change.
    pub untagged: BTreeSet<String>,
    /// Rules for test traffic: no switches, and nobody's weights count them.
    pub tests: Vec<TestRule>,
}

impl Routing {
    /// The weights as they stand, for events: switch → `web-a=100, web-b=0`.
    pub fn weights(&self) -> BTreeMap<String, String> {
        let of = |switch: &Switch| {
            let weight = |group: &Group| format!("{}={}", group.name, switch.weight(&group.arn).unwrap_or(0));
            (switch.label.clone(), self.groups.iter().map(weight).collect::<Vec<_>>().join(", "))
        };
        self.switches.iter().map(of).collect()
    }
}

/// A target group with the health of its targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// Its own port.
    pub port: u16,
    /// Its targets.
    pub targets: Vec<Target>,
}

/// A registered target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The instance.
    pub id: String,
    /// The port.
    pub port: u16,
    /// The state.
    pub health: Health,
    /// The reason code: `Target.ResponseCodeMismatch`.
    pub reason: Option<String>,
    /// In the balancer's words: `Health checks failed with these codes: [503]`.
    pub description: Option<String>,
}

impl Target {
    /// Draining targets are no targets any more, for any rule.
    pub fn counts(&self) -> bool {
        self.health != Health::Draining
    }
}

/// A target's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Health {
    /// Being registered, or not yet checked.
    Initial,
    /// Serving.
    Healthy,
    /// Failing its checks.
    Unhealthy,
    /// In no rule, in a zone that isn't enabled, or stopped.
    Unused,
    /// Deregistered; finishing its requests.
    Draining,
    /// Health checks are off, or anything that AWS adds later.
    Unavailable,
}

/// A listener rule, or a listener's default action, that forwards to a group of the pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch {
    /// The rule's ARN, or the listener's for a default action.
    pub arn: String,
    /// Whether it is a listener's default action.
    pub default_action: bool,
    /// For people: `HTTPS:443 rule 10 (web.example.com)`.
    pub label: String,
    /// What it forwards to, weights 0–999, groups that aren't ours included.
    pub weights: Vec<(String, u32)>,
    /// Whether group stickiness is on.
    pub sticky: bool,
    /// How long a client's cookie keeps it on its group, in seconds; 0 if stickiness is off.
    pub sticky_secs: u32,
}

impl Switch {
    /// The weight of a group; none if the switch doesn't name it.
    pub fn weight(&self, group: &str) -> Option<u32> {
        self.weights.iter().find(|(arn, _)| arn == group).map(|(_, weight)| *weight)
    }
}
