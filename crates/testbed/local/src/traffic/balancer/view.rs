//! What one node knows: which request goes where. Pure.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use tagship_cloud::state::{Action, InstanceState, State, TargetState, WeightedGroup};
use wildmatch::WildMatch;

/// A registered target as a node reaches it. The id is part of it, so that a later instance with
/// the same address is another endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Endpoint {
    pub(super) id: String,
    pub(super) address: SocketAddr,
}

/// Where a request goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision<'a> {
    Forward {
        group: &'a str,
        endpoint: &'a Endpoint,
    },
    /// The chosen group has no target.
    NoTarget {
        group: &'a str,
    },
    Respond {
        status: u16,
        body: &'a str,
    },
}

/// Listeners by ARN and, by group, the targets that get requests.
#[derive(Debug)]
pub(super) struct View {
    listeners: HashMap<String, Vec<Choice>>,
    groups: HashMap<String, Vec<Endpoint>>,
}

/// A rule, or the default, which has no condition.
#[derive(Debug)]
struct Choice {
    hosts: Vec<WildMatch>,
    paths: Vec<WildMatch>,
    headers: Vec<(String, Vec<WildMatch>)>,
    action: Action,
}

impl View {
    pub(super) fn of(state: &State) -> Self {
        let addresses = addresses(state);
        let groups = state
            .target_groups
            .iter()
            .map(|group| {
                let with = |wanted: &dyn Fn(TargetState) -> bool| -> Vec<Endpoint> {
                    group
                        .targets
                        .iter()
                        .filter(|target| wanted(target.state))
                        .filter_map(|target| {
                            let ip = addresses.get(target.id.as_str()).copied();
                            Some(Endpoint {
                                id: target.id.clone(),
                                address: (ip.or_else(|| target.id.parse().ok())?, target.port).into(),
                            })
                        })
                        .collect()
                };
                let mut endpoints = with(&|state| state == TargetState::Healthy);
                if endpoints.is_empty() {
                    // ALB fails open: no healthy target means all of them.
                    endpoints = with(&|state| state != TargetState::Draining);
                }
                (group.arn.clone(), endpoints)
            })
            .collect();
        let listeners = state
            .listeners
            .iter()
            .map(|listener| {
                let mut rules: Vec<_> = listener.rules.iter().collect();
                rules.sort_by_key(|rule| rule.priority);
                let choices = rules
                    .into_iter()
                    .map(|rule| Choice {
                        hosts: rule.hosts.iter().map(|host| WildMatch::new(&host.to_ascii_lowercase())).collect(),
                        paths: rule.paths.iter().map(|path| WildMatch::new(path)).collect(),
                        headers: rule
                            .headers
                            .iter()
                            .map(|header| {
                                let values =
                                    header.values.iter().map(|value| WildMatch::new(&value.to_ascii_lowercase()));
                                (header.name.clone(), values.collect())
                            })
                            .collect(),
                        action: terminal(&rule.actions),
                    })
                    .chain([Choice {
                        hosts: Vec::new(),
                        paths: Vec::new(),
                        headers: Vec::new(),
                        action: terminal(&listener.default),
                    }])
                    .collect();
                (listener.arn.clone(), choices)
            })
            .collect();
        Self { listeners, groups }
    }

    /// Decides for one request; `draw(n)` gives a number below `n`, `turn(group, n)` the next
    /// target's index of a group of `n`.
    pub(super) fn decide(
        &self,
        listener: &str,
        host: &str,
        path: &str,
        header: impl Fn(&str) -> Option<String>,
        draw: impl FnOnce(u32) -> u32,
        turn: impl FnOnce(&str, usize) -> usize,
    ) -> Decision<'_> {
        // A port is no part of a host condition.
        let host = host.split(':').next().unwrap_or_default();
        let host = host.to_ascii_lowercase();
        let fits = |patterns: &[WildMatch], text: &str| {
            patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(text))
        };
        let named = |(name, values): &(String, Vec<WildMatch>)| {
            header(name).is_some_and(|value| fits(values, &value.to_ascii_lowercase()))
        };
        let choice = self
            .listeners
            .get(listener)
            .into_iter()
            .flatten()
            .find(|c| fits(&c.hosts, &host) && fits(&c.paths, path) && c.headers.iter().all(named));
        match choice.map(|choice| &choice.action) {
            Some(Action::Forward { groups, .. }) => {
                let Some(group) = draw_group(groups, draw) else {
                    return Decision::NoTarget { group: "" };
                };
                match self.groups.get(group).map(Vec::as_slice) {
                    Some(endpoints @ [_, ..]) => Decision::Forward {
                        group,
                        endpoint: &endpoints[turn(group, endpoints.len()) % endpoints.len()],
                    },
                    _ => Decision::NoTarget { group },
                }
            }
            Some(Action::FixedResponse { status, body }) => Decision::Respond { status: *status, body },
            Some(Action::Other) => Decision::Respond { status: 501, body: "this action is not played on one machine" },
            // The node hasn't heard of the listener yet.
            None => Decision::Respond { status: 503, body: "no such listener yet" },
        }
    }

    /// Every target that may get a request.
    pub(super) fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.groups.values().flatten()
    }
}

/// The addresses of the instances that still have one.
pub(crate) fn addresses(state: &State) -> HashMap<&str, IpAddr> {
    state
        .instances
        .iter()
        .filter(|instance| instance.state != InstanceState::Terminated)
        .map(|instance| (instance.id.as_str(), IpAddr::V4(instance.ip)))
        .collect()
}

/// The action that answers; those before it authenticate.
fn terminal(actions: &[Action]) -> Action {
    actions.iter().find(|action| !matches!(action, Action::Other)).cloned().unwrap_or(Action::Other)
}

/// A group by weight, whether it has targets or not, as ALB does; `None` if all weights are 0.
fn draw_group(groups: &[WeightedGroup], draw: impl FnOnce(u32) -> u32) -> Option<&str> {
    let total = groups.iter().map(|group| group.weight).sum();
    if let [only] = groups {
        // The weight of a single group says nothing.
        return Some(&only.arn);
    }
    let mut left = if total == 0 { return None } else { draw(total) };
    groups
        .iter()
        .find(|group| {
            let here = left < group.weight;
            left = left.saturating_sub(group.weight);
            here
        })
        .map(|group| group.arn.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(targets: serde_json::Value, weights: [u32; 2], host: &str, draw: u32, want: &str) {
        let health = json!({"path": "/", "port": "traffic-port", "interval_secs": 5, "timeout_secs": 2,
            "healthy": 2, "unhealthy": 2, "matcher": "200"});
        let group = |arn: &str, targets: serde_json::Value| {
            json!({"arn": arn, "name": arn, "port": 80, "health": health,
                "deregistration_delay_secs": 1, "targets": targets})
        };
        let instance = |n: u8| json!({"id": format!("i-{n}"), "ip": format!("127.16.0.{n}"), "state": "running"});
        let state: State = serde_json::from_value(json!({
            "instances": [instance(1), instance(2)],
            "target_groups": [group("a", targets), group("b", json!([]))],
            "listeners": [{"arn": "l", "load_balancer": "lb", "port": 80, "protocol": "HTTP",
                "default": [{"type": "fixed-response", "status": 404, "body": "none"}],
                "rules": [
                    {"arn": "r2", "priority": 2, "hosts": ["*.example.com"], "actions": [
                        {"type": "authenticate-oidc"},
                        {"type": "forward", "groups": [
                            {"arn": "a", "weight": weights[0]}, {"arn": "b", "weight": weights[1]}]}]},
                    {"arn": "r1", "priority": 1, "hosts": ["old.example.com"],
                        "actions": [{"type": "fixed-response", "status": 410}]},
                ]}]
        }))
        .expect("a state");
        let view = View::of(&state);
        let got = match view.decide("l", host, "/", |_| None, |_| draw, |_, _| 0) {
            Decision::Forward { endpoint, .. } => endpoint.id.clone(),
            Decision::NoTarget { group } => format!("none in {group}"),
            Decision::Respond { status, .. } => status.to_string(),
        };
        assert_eq!(got, want);
    }

    fn target(n: u8, state: &str) -> serde_json::Value {
        json!({"id": format!("i-{n}"), "port": 80, "state": state})
    }

    #[test]
    fn healthy_targets_come_first_and_none_means_all() {
        let web = "web.example.com";
        check(json!([target(1, "unhealthy"), target(2, "healthy")]), [1, 0], web, 0, "i-2");
        check(json!([target(1, "initial"), target(2, "healthy")]), [1, 0], web, 0, "i-2");
        check(json!([target(1, "unhealthy")]), [1, 0], web, 0, "i-1");
        check(json!([target(1, "draining")]), [1, 0], web, 0, "none in a");
        check(json!([]), [1, 0], web, 0, "none in a");
    }

    #[test]
    fn weights_choose_the_group_whether_it_can_serve_or_not() {
        let web = "web.example.com";
        let one = || json!([target(1, "healthy")]);
        check(one(), [60, 40], web, 59, "i-1");
        check(one(), [60, 40], web, 60, "none in b");
        check(one(), [0, 1], web, 0, "none in b");
        check(one(), [0, 0], web, 0, "none in ");
    }

    #[test]
    fn the_first_rule_that_matches_the_host_answers() {
        let one = || json!([target(1, "healthy")]);
        check(one(), [1, 0], "WEB.example.com:8080", 0, "i-1");
        check(one(), [1, 0], "old.example.com", 0, "410");
        check(one(), [1, 0], "example.org", 0, "404");
    }
}
