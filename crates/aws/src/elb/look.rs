//! The pair and its switches for a person who looks once: the calls of [`super::routing`] in two rounds fewer, since what
//! carries the service's tags tells the balancer before the groups do.

use super::test_rule::{Forwarder, apart};
use super::{
    DESCRIBE_LISTENERS, DESCRIBE_RULES, PAGE, default_action, group, groups, listener_name, of_rule, targets_in,
};
use crate::Cloud;
use crate::error::{Called, required};
use aws_sdk_elasticloadbalancingv2::types::{Listener, TargetGroup};
use futures_util::future::try_join_all;
use std::collections::BTreeSet;
use tagship::settings::Selector;
use tagship::{Error, Routing, ServiceRole, TAG_TEST};

/// Resources of Elastic Load Balancing, and alarms.
const KINDS: [&str; 2] = ["elasticloadbalancing", "cloudwatch:alarm"];
const GROUP: &str = ":targetgroup/";

/// What carries a service's own tags.
pub(crate) struct Own {
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

/// The pair as the selector finds it, and its switches.
pub(crate) async fn look(cloud: &Cloud, role: &ServiceRole, selector: &Selector, own: &Own) -> Result<Routing, Error> {
    let arns: Vec<String> = match *selector == Selector::service(role) {
        true => own.service.iter().filter(|arn| arn.contains(GROUP)).cloned().collect(),
        false => super::tagged(cloud, &["elasticloadbalancing:targetgroup"], selector).await?,
    };
    if arns.len() != 2 {
        // No pair: that is said before switches or targets matter.
        let groups =
            groups(cloud, &arns).await?.iter().map(|found| group(found, Vec::new())).collect::<Result<_, _>>()?;
        return Ok(Routing { groups, switches: Vec::new(), untagged: BTreeSet::new(), tests: Vec::new() });
    }
    let known = own.balancers();
    let healths = try_join_all(arns.iter().map(|arn| targets_in(cloud, arn, arn, None)));
    let (found, healths, listeners) = tokio::try_join!(groups(cloud, &arns), healths, listeners(cloud, &known))?;
    let missing: BTreeSet<String> = found
        .iter()
        .flat_map(|group| group.load_balancer_arns())
        .filter(|arn| !known.contains(*arn))
        .cloned()
        .collect();
    // Where no switch is tagged, only the groups tell their balancer.
    let more = if missing.is_empty() { Vec::new() } else { self::listeners(cloud, &missing).await? };
    let all: Vec<Listener> = listeners.into_iter().chain(more).collect();
    let forwarders = try_join_all(all.iter().map(|listener| forwarders(cloud, listener, &arns))).await?;
    let (switches, tests) = apart(forwarders.into_iter().flatten().collect(), &own.tests);
    let of = |found: &TargetGroup| {
        let at = arns.iter().position(|arn| found.target_group_arn() == Some(arn));
        group(found, at.and_then(|at| healths.get(at).cloned()).unwrap_or_default())
    };
    let untagged = arns.iter().chain(switches.iter().map(|switch| &switch.arn)).filter(|arn| !own.tagged(arn));
    Ok(Routing {
        groups: found.iter().map(of).collect::<Result<_, _>>()?,
        untagged: untagged.cloned().collect(),
        switches,
        tests,
    })
}

async fn listeners(cloud: &Cloud, balancers: &BTreeSet<String>) -> Result<Vec<Listener>, Error> {
    let of = async |balancer: &String| {
        let request = cloud.elb().describe_listeners().load_balancer_arn(balancer).page_size(PAGE);
        let mut pages = request.into_paginator().items().send();
        let mut listeners = Vec::new();
        while let Some(listener) = pages.next().await {
            listeners.push(listener.called(DESCRIBE_LISTENERS, balancer)?);
        }
        Ok::<_, Error>(listeners)
    };
    Ok(try_join_all(balancers.iter().map(of)).await?.into_iter().flatten().collect())
}

/// Of one listener: its rules, and its default action.
async fn forwarders(cloud: &Cloud, listener: &Listener, groups: &[String]) -> Result<Vec<Forwarder>, Error> {
    let arn = required(listener.listener_arn(), DESCRIBE_LISTENERS, "ListenerArn")?;
    let name = listener_name(listener);
    let mut found: Vec<Forwarder> = default_action(listener, groups)?.into_iter().collect();
    let mut rules = cloud.elb().describe_rules().listener_arn(arn).page_size(PAGE).into_paginator().items().send();
    while let Some(rule) = rules.next().await {
        found.extend(of_rule(&name, &rule.called(DESCRIBE_RULES, &name)?, groups)?);
    }
    Ok(found)
}
