//! Test traffic: rules by which people and hooks reach the candidate through the real balancer, before it is live.

use crate::{Group, Routing, Step, TestRule, listed};

/// What a person has to do about a rule that lets anybody in.
pub(super) fn fault(rule: &TestRule) -> Option<String> {
    rule.open.then(|| {
        format!(
            "{} is a rule for test traffic (tagship:test) and open to everybody: give it a condition on a header that only \
             testers send, or on source addresses other than 0.0.0.0/0",
            rule.label
        )
    })
}

/// The first change that leads every rule to this group; none if they lead there.
pub(super) fn toward(routing: &Routing, group: &Group) -> Option<Step> {
    let elsewhere = |rule: &&TestRule| rule.groups != [group.arn.as_str()];
    routing.tests.iter().find(elsewhere).map(|rule| Step::PointTest {
        rule: rule.arn.clone(),
        label: rule.label.clone(),
        from: rule.groups.clone(),
        to: group.arn.clone(),
    })
}

/// Whether a rule leads to this group.
pub(super) fn leads(routing: &Routing, group: &str) -> bool {
    routing.tests.iter().any(|rule| rule.groups.iter().any(|arn| arn == group))
}

/// Where people find the candidate; `none` without a rule.
pub(super) fn address(routing: Option<&Routing>) -> String {
    listed(routing.into_iter().flat_map(|routing| &routing.tests).map(|rule| rule.address.as_str()))
}
