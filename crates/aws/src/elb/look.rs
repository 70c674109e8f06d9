//! The pair and its switches for a person who looks once: what [`super::routing`] finds, in fewer calls and rounds, since
//! what carries the service's tags tells the balancer before the groups do.

use super::test_rule::{Forwarder, apart};
use super::{DESCRIBE_LISTENERS, DESCRIBE_RULES, PAGE, default_action, listener_name, of_rule, targets_in};
use crate::Cloud;
use crate::error::{Called, required};
use aws_sdk_elasticloadbalancingv2::types::{Listener, Rule, TargetGroup};
use futures_util::future::try_join_all;
use std::collections::BTreeSet;
use tagship::settings::Selector;
use tagship::{Error, Group, Routing, ServiceRole, TAG_TEST};

/// Resources of Elastic Load Balancing, and alarms.
const KINDS: [&str; 2] = ["elasticloadbalancing", "cloudwatch:alarm"];
const GROUP: &str = ":targetgroup/";

/// What carries a service's own tags.
pub struct Own {
    /// With the service's tag: groups, rules, listeners, alarms.
    service: BTreeSet<String>,
    /// Rules for its test traffic.
    tests: BTreeSet<String>,
}

/// Finds it; two calls at once.
pub(crate) async fn own(cloud: &Cloud, role: &ServiceRole) -> Result<Own, Error> {
    let test = Selector { parts: vec![(TAG_TEST.to_owned(), role.to_string())] };
    let of_service = Selector::service(role);
    let (service, tests) =
        tokio::try_join!(super::tagged(cloud, &KINDS, &of_service), super::tagged(cloud, &KINDS[..1], &test))?;
    Ok(Own { service: service.into_iter().collect(), tests: tests.into_iter().collect() })
}

impl Own {
    /// The names of the alarms that the selector finds, if it is the one by which this was found.
    pub(crate) fn alarms(&self, role: &ServiceRole, selector: &Selector) -> Option<Vec<String>> {
        let names = self.service.iter().filter_map(|arn| arn.split_once(":alarm:")).map(|(_, name)| name.to_owned());
        (*selector == Selector::service(role)).then(|| names.collect())
    }

    /// The balancers that its listeners and rules are of.
    fn balancers(&self) -> BTreeSet<String> {
        self.service.union(&self.tests).filter_map(|arn| balancer(arn)).collect()
    }

    fn tagged(&self, arn: &str) -> bool {
        self.service.contains(arn) || self.tests.contains(arn)
    }
}

/// Of `arn:aws:elasticloadbalancing:…:listener-rule/app/main/50dc6c495c0c9188/f2f7dc8efc522ab2/9683b2d02a6cabee`, or of
/// the listener's: `arn:aws:elasticloadbalancing:…:loadbalancer/app/main/50dc6c495c0c9188`.
fn balancer(arn: &str) -> Option<String> {
    let (account, path) = arn.rsplit_once(':')?;
    let mut parts = path.split('/');
    let kind = parts.next().filter(|kind| matches!(*kind, "listener" | "listener-rule"))?;
    let [family, name, id] = [parts.next()?, parts.next()?, parts.next()?];
    (!kind.is_empty()).then(|| format!("{account}:loadbalancer/{family}/{name}/{id}"))
}

/// The pair as the selector finds it, and its switches. Of a group the port isn't asked for: 0.
pub(crate) async fn look(cloud: &Cloud, role: &ServiceRole, selector: &Selector, own: &Own) -> Result<Routing, Error> {
    let pair = async {
        let arns: Vec<String> = match *selector == Selector::service(role) {
            true => own.service.iter().filter(|arn| arn.contains(GROUP)).cloned().collect(),
            false => super::tagged(cloud, &["elasticloadbalancing:targetgroup"], selector).await?,
        };
        // Without a pair neither switches nor targets matter.
        let asked = if arns.len() == 2 { arns.as_slice() } else { &[] };
        let targets = try_join_all(asked.iter().map(|arn| targets_in(cloud, arn, arn, None))).await?;
        Ok((arns, targets))
    };
    let known = own.balancers();
    let ((arns, targets), mut listened) = tokio::try_join!(pair, listened(cloud, &known))?;
    let mut targets = targets.into_iter();
    let named = |arn: &String| Group {
        arn: arn.clone(),
        name: name(arn).to_owned(),
        port: 0,
        targets: targets.next().unwrap_or_default(),
    };
    let groups: Vec<Group> = arns.iter().map(named).collect();
    if groups.len() != 2 {
        return Ok(Routing { groups, switches: Vec::new(), untagged: BTreeSet::new(), tests: Vec::new() });
    }
    let mut found = forwarders(&listened, &arns)?;
    // A group is of one balancer at most: one that is led to from there is of no other. Where no switch is tagged, only
    // the groups tell their balancer.
    let met = |arn: &String| found.iter().any(|each| each.switch.weights.iter().any(|(group, _)| group == arn));
    let strangers: Vec<String> = arns.iter().filter(|arn| !met(arn)).cloned().collect();
    if !strangers.is_empty() {
        let of: Vec<TargetGroup> = super::groups(cloud, &strangers).await?;
        let balancers = of.iter().flat_map(|group| group.load_balancer_arns()).filter(|arn| !known.contains(*arn));
        listened = self::listened(cloud, &balancers.cloned().collect()).await?;
        found.extend(forwarders(&listened, &arns)?);
    }
    let (switches, tests) = apart(found, &own.tests);
    let untagged = arns.iter().chain(switches.iter().map(|switch| &switch.arn)).filter(|arn| !own.tagged(arn));
    Ok(Routing { untagged: untagged.cloned().collect(), groups, switches, tests })
}

/// `web-a` of `arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/web-a/73e2d6bc24d8a067`.
fn name(arn: &str) -> &str {
    arn.split('/').nth(1).unwrap_or(arn)
}

/// The listeners of these balancers, each with its rules.
async fn listened(cloud: &Cloud, balancers: &BTreeSet<String>) -> Result<Vec<(Listener, Vec<Rule>)>, Error> {
    let of = async |balancer: &String| {
        let request = cloud.elb().describe_listeners().load_balancer_arn(balancer).page_size(PAGE);
        let mut pages = request.into_paginator().items().send();
        let mut listeners = Vec::new();
        while let Some(listener) = pages.next().await {
            listeners.push(listener.called(DESCRIBE_LISTENERS, balancer)?);
        }
        try_join_all(listeners.into_iter().map(async |listener| {
            let rules = rules(cloud, &listener).await?;
            Ok::<_, Error>((listener, rules))
        }))
        .await
    };
    Ok(try_join_all(balancers.iter().map(of)).await?.into_iter().flatten().collect())
}

async fn rules(cloud: &Cloud, listener: &Listener) -> Result<Vec<Rule>, Error> {
    let arn = required(listener.listener_arn(), DESCRIBE_LISTENERS, "ListenerArn")?;
    let name = listener_name(listener);
    let mut pages = cloud.elb().describe_rules().listener_arn(arn).page_size(PAGE).into_paginator().items().send();
    let mut rules = Vec::new();
    while let Some(rule) = pages.next().await {
        rules.push(rule.called(DESCRIBE_RULES, &name)?);
    }
    Ok(rules)
}

/// Rules and default actions that name one of the groups.
fn forwarders(listened: &[(Listener, Vec<Rule>)], groups: &[String]) -> Result<Vec<Forwarder>, Error> {
    let mut found = Vec::new();
    for (listener, rules) in listened {
        let name = listener_name(listener);
        found.extend(default_action(listener, groups)?);
        for rule in rules {
            found.extend(of_rule(&name, rule, groups)?);
        }
    }
    Ok(found)
}
