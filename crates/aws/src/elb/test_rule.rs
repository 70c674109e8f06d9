//! Rules for test traffic: told from switches by their tag, read with their conditions, led from group to group.

use super::{DESCRIBE_RULES, weights};
use crate::Cloud;
use crate::error::Called;
use aws_sdk_elasticloadbalancingv2::types::{Rule, RuleCondition};
use std::collections::BTreeSet;
use tagship::{Error, Kind, Switch, TestRule};

/// A rule or default action that forwards to the pair: a switch, unless its tag says that it is for tests.
pub(super) struct Forwarder {
    /// Its listener's name: `HTTPS:443`.
    pub(super) listener: String,
    pub(super) switch: Switch,
    /// Whom it is for, and how they get in.
    pub(super) conditions: Vec<RuleCondition>,
}

impl Forwarder {
    pub(super) fn new(listener: &str, switch: Switch, rule: Option<&Rule>) -> Self {
        let conditions = rule.map(|rule| rule.conditions().to_vec()).unwrap_or_default();
        Self { listener: listener.to_owned(), switch, conditions }
    }

    fn test(self, others: &[Self]) -> TestRule {
        let Self { listener, switch, conditions } = self;
        let fallback = || {
            let same = others.iter().filter(|other| other.listener == listener);
            same.flat_map(|other| hosts(&other.conditions)).find(plain).map(str::to_owned)
        };
        let host = hosts(&conditions).find(plain).map(str::to_owned).or_else(fallback);
        let headers = || conditions.iter().filter_map(RuleCondition::http_header_config);
        let sources = || conditions.iter().filter_map(RuleCondition::source_ip_config);
        let mut doors: Vec<String> = headers()
            .filter_map(|header| header.http_header_name())
            .map(|name| format!("with header {name}"))
            .collect();
        doors.extend(
            sources().map(|source| format!("from {}", tagship::listed(source.values().iter().map(String::as_str)))),
        );
        TestRule {
            groups: switch.weights.iter().filter(|(_, weight)| *weight > 0).map(|(arn, _)| arn.clone()).collect(),
            address: [vec![url(&listener, host.as_deref())], doors].concat().join(" "),
            open: TestRule::open(headers().map(|header| header.values()), sources().map(|source| source.values())),
            arn: switch.arn,
            label: switch.label,
        }
    }
}

/// The host names of a rule.
pub(super) fn hosts(conditions: &[RuleCondition]) -> impl Iterator<Item = &str> {
    let values = conditions.iter().filter(|condition| condition.field() == Some("host-header")).flat_map(|condition| {
        match condition.host_header_config() {
            Some(config) if !config.values().is_empty() => config.values(),
            _ => condition.values(),
        }
    });
    values.map(String::as_str)
}

/// A name without a wildcard.
fn plain(host: &&str) -> bool {
    !host.contains(['*', '?'])
}

/// `https://web.example.com` of `HTTPS:443`.
fn url(listener: &str, host: Option<&str>) -> String {
    let Some(host) = host else { return format!("the load balancer's {listener}") };
    match listener.split_once(':') {
        Some(("HTTPS", "443")) => format!("https://{host}"),
        Some(("HTTP", "80")) => format!("http://{host}"),
        Some((protocol, port)) => format!("{}://{host}:{port}", protocol.to_ascii_lowercase()),
        None => host.to_owned(),
    }
}

/// Switches, and the rules that are for tests.
pub(super) fn apart(found: Vec<Forwarder>, tests: &BTreeSet<String>) -> (Vec<Switch>, Vec<TestRule>) {
    let (tests, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|each| tests.contains(&each.switch.arn));
    let tests = tests.into_iter().map(|each| each.test(&others)).collect();
    (others.into_iter().map(|each| each.switch).collect(), tests)
}

/// ModifyRule: the whole action list, read right before, forwarding to this group alone.
pub(crate) async fn point(cloud: &Cloud, rule: &str, label: &str, from: &[String], to: &str) -> Result<(), Error> {
    let answer = cloud.elb_bound().describe_rules().rule_arns(rule).send().await.called(DESCRIBE_RULES, label)?;
    let found = answer.rules.unwrap_or_default().into_iter().next().and_then(|rule| rule.actions);
    let pointed = found.and_then(|mut actions| {
        let forward = actions.iter_mut().find(|action| weights(action).is_some())?;
        let is = weights(forward)?.into_iter().filter(|(_, weight)| *weight > 0).map(|(group, _)| group);
        if !is.eq(from.iter().cloned()) {
            return None;
        }
        (forward.target_group_arn, forward.forward_config) = (Some(to.to_owned()), None);
        super::change::keep_secrets(&mut actions);
        Some(actions)
    });
    let actions = pointed.ok_or_else(|| {
        Error::new(Kind::Conflict, format!("{label} isn't as it was when the change was decided: looking again"))
    })?;
    let request = cloud.elb_changes().modify_rule().rule_arn(rule).set_actions(Some(actions));
    request.send().await.called("elasticloadbalancing:ModifyRule", label)?;
    Ok(())
}
