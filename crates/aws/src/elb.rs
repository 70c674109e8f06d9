//! The load balancer: the pair, its targets, and every switch that forwards to it.

mod change;
mod fit;
#[cfg(feature = "account")]
mod look;
mod test_rule;
pub(crate) use change::{deregister, register, set_weights};
pub(crate) use fit::balancer;
#[cfg(feature = "account")]
pub use look::Own;
#[cfg(feature = "account")]
pub(crate) use look::{look, own};
pub(crate) use test_rule::point;

use crate::Cloud;
use crate::error::{Called, required};
use aws_sdk_elasticloadbalancingv2::types::{
    Action, ForwardActionConfig, Listener, Rule, TargetGroup, TargetGroupStickinessConfig, TargetGroupTuple,
    TargetHealthStateEnum, TargetTypeEnum,
};
use aws_sdk_resourcegroupstagging::types::{ResourceTagMapping, TagFilter};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tagship::settings::Selector;
use tagship::{Error, Group, Health, Routing, ServiceRole, Switch, TAG_SERVICE, TAG_TEST, Target};
use test_rule::{Forwarder, apart};

/// Target groups a call; AWS names no limit for ARNs, this is its limit for load balancers.
const GROUPS_A_CALL: usize = 20;
/// Resources a DescribeTags, AWS's most.
const TAGS_A_CALL: usize = 20;
/// Listeners or rules a page, AWS's most.
const PAGE: i32 = 400;

/// So long an invocation goes by the groups, listeners and rules that it has found. Their targets, health and weights
/// are read at each look.
const KNOWN: Duration = Duration::from_secs(60);
/// Rules or listeners that are described by their ARNs in one call; AWS names no limit.
const SWITCHES_A_CALL: usize = 50;

/// What an invocation has found of a pair.
pub(crate) struct Known {
    found: Mutex<Option<Arc<Found>>>,
    life: Duration,
}

impl Default for Known {
    fn default() -> Self {
        Self::lasting(KNOWN)
    }
}

struct Found {
    at: Instant,
    selector: Selector,
    groups: [TargetGroup; 2],
    /// Listeners whose default action is a switch: ARN and name.
    listeners: Vec<(String, String)>,
    /// Rules that are switches or for tests: ARN, and the name of their listener.
    rules: Vec<(String, String)>,
    /// Those for tests.
    tests: BTreeSet<String>,
    /// Groups and switches without the service's tag.
    untagged: BTreeSet<String>,
}

impl Known {
    /// Which groups and switches there are is looked for again after this time.
    pub(crate) fn lasting(life: Duration) -> Self {
        Self { found: Mutex::default(), life }
    }

    fn get(&self, selector: &Selector) -> Option<Arc<Found>> {
        let known = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        known.clone().filter(|found| found.selector == *selector && found.at.elapsed() < self.life)
    }

    /// The pair as it was found last: each group's ARN, and its balancer's.
    pub(crate) fn pair(&self, selector: &Selector) -> Vec<(String, String)> {
        let known = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.as_ref().filter(|found| found.selector == *selector);
        let groups = found.iter().flat_map(|found| &found.groups);
        groups
            .filter_map(|group| Some((group.target_group_arn.clone()?, group.load_balancer_arns().first()?.clone())))
            .collect()
    }

    fn set(&self, found: Found) {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(found));
    }
}

/// The pair as the selector finds it, and its switches.
pub(crate) async fn routing(
    cloud: &Cloud,
    role: &ServiceRole,
    selector: &Selector,
    known: &Known,
) -> Result<Routing, Error> {
    if let Some(found) = known.get(selector) {
        let [a, b] = &found.groups;
        let (in_a, in_b, forwarders) =
            tokio::try_join!(targets(cloud, a), targets(cloud, b), forwarders_again(cloud, &found))?;
        let (groups, untagged) = (vec![group(a, in_a)?, group(b, in_b)?], found.untagged.clone());
        let (switches, tests) = apart(forwarders, &found.tests);
        return Ok(Routing { groups, switches, untagged, tests });
    }
    let at = Instant::now();
    let arns = tagged(cloud, &["elasticloadbalancing:targetgroup"], selector).await?;
    let found = match <[TargetGroup; 2]>::try_from(groups(cloud, &arns).await?) {
        Ok(pair) => pair,
        Err(others) => {
            // No pair: that is said before switches or targets matter.
            let groups = others.iter().map(|group| self::group(group, Vec::new())).collect::<Result<_, _>>()?;
            return Ok(Routing { groups, switches: Vec::new(), untagged: BTreeSet::new(), tests: Vec::new() });
        }
    };
    for group in &found {
        if group.target_type() != Some(&TargetTypeEnum::Instance) {
            return Err(Error::configuration(format!(
                "TARGET_GROUP: {} is of type {}: the pair's groups must be of type instance",
                group.target_group_name().unwrap_or_default(),
                group.target_type().map_or("unknown", |kind| kind.as_str()),
            )));
        }
    }
    let [a, b] = &found;
    let balancers: BTreeSet<&String> = found.iter().flat_map(|group| group.load_balancer_arns()).collect();
    let (in_a, in_b, forwarders) =
        tokio::try_join!(targets(cloud, a), targets(cloud, b), forwarders(cloud, &balancers, &arns))?;
    let groups = vec![group(a, in_a)?, group(b, in_b)?];
    let of = |default_action: bool| {
        let those = forwarders.iter().filter(move |found| found.switch.default_action == default_action);
        those.map(|found| (found.switch.arn.clone(), found.listener.clone())).collect()
    };
    let (listeners, rules) = (of(true), of(false));
    let both = arns.iter().chain(forwarders.iter().map(|found| &found.switch.arn));
    let Tagged { untagged, tests } = tags(cloud, role, &both.cloned().collect::<Vec<_>>()).await?;
    known.set(Found {
        at,
        selector: selector.clone(),
        groups: found,
        listeners,
        rules,
        untagged: untagged.clone(),
        tests: tests.clone(),
    });
    let (switches, tests) = apart(forwarders, &tests);
    Ok(Routing { groups, switches, untagged, tests })
}

/// What tags say of groups and rules.
struct Tagged {
    /// Those that lack the service's tag.
    untagged: BTreeSet<String>,
    /// Rules for the service's test traffic.
    tests: BTreeSet<String>,
}

async fn tags(cloud: &Cloud, role: &ServiceRole, arns: &[String]) -> Result<Tagged, Error> {
    const ACTION: &str = "elasticloadbalancing:DescribeTags";
    let (mut untagged, mut tests) = (arns.iter().cloned().collect::<BTreeSet<_>>(), BTreeSet::new());
    for arns in arns.chunks(TAGS_A_CALL) {
        let sent = cloud.elb().describe_tags().set_resource_arns(Some(arns.to_vec())).send().await;
        let resources = || tagship::listed(arns.iter().map(String::as_str));
        for found in sent.called(ACTION, resources())?.tag_descriptions() {
            let ours =
                |key| found.tags().iter().any(|tag| tag.key() == Some(key) && tag.value() == Some(role.as_str()));
            let Some(arn) = found.resource_arn() else { continue };
            let is_test = ours(TAG_TEST);
            if is_test {
                tests.insert(arn.to_owned());
            }
            if is_test || ours(TAG_SERVICE) {
                untagged.remove(arn);
            }
        }
    }
    Ok(Tagged { untagged, tests })
}

/// What has these tags. GetResources knows exact values only: for a pattern it is asked for the key, and the pattern is
/// matched here.
pub(crate) async fn tagged(cloud: &Cloud, kinds: &[&str], selector: &Selector) -> Result<Vec<String>, Error> {
    let filters = selector.parts.iter().map(|(key, pattern)| {
        let exact = (!pattern.contains(['*', '?'])).then(|| vec![pattern.clone()]);
        TagFilter::builder().key(key).set_values(exact).build()
    });
    let request = cloud
        .tagging()
        .get_resources()
        .set_resource_type_filters(Some(kinds.iter().map(|kind| (*kind).to_owned()).collect()))
        .set_tag_filters(Some(filters.collect()))
        .resources_per_page(100);
    let mut resources = request.into_paginator().items().send();
    let mut arns = Vec::new();
    while let Some(resource) = resources.next().await {
        let resource: ResourceTagMapping = resource.called("tag:GetResources", selector)?;
        let tags: Vec<(String, String)> =
            resource.tags().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect();
        if selector.matches(&tags) {
            arns.extend(resource.resource_arn);
        }
    }
    arns.sort();
    Ok(arns)
}

async fn groups(cloud: &Cloud, arns: &[String]) -> Result<Vec<TargetGroup>, Error> {
    let mut groups = Vec::new();
    for arns in arns.chunks(GROUPS_A_CALL) {
        let request = cloud.elb().describe_target_groups().set_target_group_arns(Some(arns.to_vec()));
        let mut pages = request.into_paginator().items().send();
        while let Some(group) = pages.next().await {
            let resource = || tagship::listed(arns.iter().map(String::as_str));
            groups.push(group.called("elasticloadbalancing:DescribeTargetGroups", resource())?);
        }
    }
    Ok(groups)
}

fn group(found: &TargetGroup, targets: Vec<Target>) -> Result<Group, Error> {
    const ACTION: &str = "elasticloadbalancing:DescribeTargetGroups";
    Ok(Group {
        arn: required(found.target_group_arn(), ACTION, "TargetGroupArn")?.to_owned(),
        name: required(found.target_group_name(), ACTION, "TargetGroupName")?.to_owned(),
        // A group of Lambda functions has none.
        port: found.port().map_or(Ok(0), |number| port(number, ACTION))?,
        targets,
    })
}

fn port(port: i32, action: &str) -> Result<u16, Error> {
    required(u16::try_from(port).ok(), action, "a port that is one")
}

async fn targets(cloud: &Cloud, group: &TargetGroup) -> Result<Vec<Target>, Error> {
    let name = group.target_group_name().unwrap_or_default();
    targets_in(cloud, group.target_group_arn().unwrap_or_default(), name, group.port()).await
}

/// Of the group with this ARN. Not paged.
async fn targets_in(cloud: &Cloud, arn: &str, name: &str, usual: Option<i32>) -> Result<Vec<Target>, Error> {
    const ACTION: &str = "elasticloadbalancing:DescribeTargetHealth";
    let request = cloud.elb().describe_target_health().target_group_arn(arn);
    let answer = request.send().await.called(ACTION, name)?;
    let mut targets = Vec::new();
    for found in answer.target_health_descriptions() {
        let target = required(found.target(), ACTION, "Target")?;
        let health = found.target_health();
        targets.push(Target {
            id: required(target.id(), ACTION, "Id")?.to_owned(),
            port: port(required(target.port().or(usual), ACTION, "Port")?, ACTION)?,
            health: match health.and_then(|health| health.state()) {
                Some(TargetHealthStateEnum::Initial) => Health::Initial,
                Some(TargetHealthStateEnum::Healthy) => Health::Healthy,
                Some(TargetHealthStateEnum::Unhealthy | TargetHealthStateEnum::UnhealthyDraining) => Health::Unhealthy,
                Some(TargetHealthStateEnum::Unused) => Health::Unused,
                Some(TargetHealthStateEnum::Draining) => Health::Draining,
                _ => Health::Unavailable,
            },
            reason: health.and_then(|health| health.reason()).map(|reason| reason.as_str().to_owned()),
            description: health.and_then(|health| health.description()).map(str::to_owned),
        });
    }
    Ok(targets)
}

/// Rules and default actions that name one of the groups.
async fn forwarders(cloud: &Cloud, balancers: &BTreeSet<&String>, groups: &[String]) -> Result<Vec<Forwarder>, Error> {
    let mut found = Vec::new();
    for balancer in balancers {
        let request = cloud.elb().describe_listeners().load_balancer_arn(balancer.as_str()).page_size(PAGE);
        let mut listeners = request.into_paginator().items().send();
        while let Some(listener) = listeners.next().await {
            let listener = listener.called(DESCRIBE_LISTENERS, balancer)?;
            let arn = required(listener.listener_arn(), DESCRIBE_LISTENERS, "ListenerArn")?;
            let name = listener_name(&listener);
            found.extend(default_action(&listener, groups)?);
            let request = cloud.elb().describe_rules().listener_arn(arn).page_size(PAGE);
            let mut rules = request.into_paginator().items().send();
            while let Some(rule) = rules.next().await {
                let rule = rule.called(DESCRIBE_RULES, &name)?;
                found.extend(of_rule(&name, &rule, groups)?);
            }
        }
    }
    Ok(found)
}

/// Those that were found before, as they are now.
async fn forwarders_again(cloud: &Cloud, known: &Found) -> Result<Vec<Forwarder>, Error> {
    let groups: Vec<String> = known.groups.iter().filter_map(|group| group.target_group_arn.clone()).collect();
    let mut found = Vec::new();
    for some in known.listeners.chunks(SWITCHES_A_CALL) {
        let arns = some.iter().map(|(arn, _)| arn.clone()).collect();
        let answer = cloud.elb().describe_listeners().set_listener_arns(Some(arns)).send().await;
        for listener in answer.called(DESCRIBE_LISTENERS, &some[0].1)?.listeners() {
            found.extend(default_action(listener, &groups)?);
        }
    }
    for some in known.rules.chunks(SWITCHES_A_CALL) {
        let arns = some.iter().map(|(arn, _)| arn.clone()).collect();
        let answer = cloud.elb().describe_rules().set_rule_arns(Some(arns)).send().await;
        for rule in answer.called(DESCRIBE_RULES, &some[0].1)?.rules() {
            let listener = some.iter().find(|(arn, _)| rule.rule_arn() == Some(arn)).map_or("", |(_, name)| name);
            found.extend(of_rule(listener, rule, &groups)?);
        }
    }
    Ok(found)
}

fn default_action(listener: &Listener, groups: &[String]) -> Result<Option<Forwarder>, Error> {
    let arn = required(listener.listener_arn(), DESCRIBE_LISTENERS, "ListenerArn")?;
    let name = listener_name(listener);
    let switch = switch(arn, true, format!("{name} default action"), listener.default_actions(), groups);
    Ok(switch.map(|switch| Forwarder::new(&name, switch, None)))
}

fn of_rule(listener: &str, rule: &Rule, groups: &[String]) -> Result<Option<Forwarder>, Error> {
    // The default rule is the listener's default action.
    if rule.is_default() == Some(true) {
        return Ok(None);
    }
    let arn = required(rule.rule_arn(), DESCRIBE_RULES, "RuleArn")?;
    let switch = switch(arn, false, rule_name(listener, rule), rule.actions(), groups);
    Ok(switch.map(|switch| Forwarder::new(listener, switch, Some(rule))))
}

const DESCRIBE_LISTENERS: &str = "elasticloadbalancing:DescribeListeners";
const DESCRIBE_RULES: &str = "elasticloadbalancing:DescribeRules";

fn listener_name(listener: &Listener) -> String {
    let protocol = listener.protocol().map_or("listener", |protocol| protocol.as_str());
    format!("{protocol}:{}", listener.port().unwrap_or_default())
}

fn rule_name(listener: &str, rule: &Rule) -> String {
    let hosts: Vec<&str> = test_rule::hosts(rule.conditions()).collect();
    let priority = rule.priority().unwrap_or("?");
    match hosts.is_empty() {
        true => format!("{listener} rule {priority}"),
        false => format!("{listener} rule {priority} ({})", tagship::listed(hosts)),
    }
}

/// A list has at most one forward action, the last.
fn switch(arn: &str, default_action: bool, label: String, actions: &[Action], groups: &[String]) -> Option<Switch> {
    let weights = actions.iter().find_map(weights)?;
    let stickiness = actions.iter().filter_map(Action::forward_config).filter_map(|config| {
        config.target_group_stickiness_config().filter(|stickiness| stickiness.enabled() == Some(true))
    });
    let seconds =
        |config: &TargetGroupStickinessConfig| u32::try_from(config.duration_seconds().unwrap_or_default()).ok();
    let sticky_secs = stickiness.map(|config| seconds(config).unwrap_or_default()).max();
    weights.iter().any(|(arn, _)| groups.contains(arn)).then(|| Switch {
        arn: arn.to_owned(),
        default_action,
        label,
        sticky: sticky_secs.is_some(),
        sticky_secs: sticky_secs.unwrap_or_default(),
        weights,
    })
}

/// What an action forwards to; none if it doesn't. A group alone may be written without a weight: 1 is AWS's default.
fn weights(action: &Action) -> Option<Vec<(String, u32)>> {
    let tuples = action.forward_config().map(ForwardActionConfig::target_groups).unwrap_or_default();
    if tuples.is_empty() {
        return action.target_group_arn().map(|arn| vec![(arn.to_owned(), 1)]);
    }
    let weight = |tuple: &TargetGroupTuple| {
        let weight = tuple.weight().and_then(|weight| u32::try_from(weight).ok()).unwrap_or(1);
        Some((tuple.target_group_arn()?.to_owned(), weight))
    };
    Some(tuples.iter().filter_map(weight).collect())
}
