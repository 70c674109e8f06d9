//! What a launch has to fit: the balancer's zones and limit, and the stickiness of its groups.

use crate::Cloud;
use crate::ec2;
use crate::error::{Called, required};
use aws_sdk_elasticloadbalancingv2::types::LoadBalancer;
use std::collections::BTreeSet;
use tagship::settings::Settings;
use tagship::{Balancer, Error};

/// AWS's name of the limit.
const TARGETS: &str = "targets-per-application-load-balancer";

/// Of a pair's groups, each with its balancer; none where it is on no balancer.
pub(crate) async fn balancer(
    cloud: &Cloud,
    pair: &[(String, String)],
    settings: &Settings,
) -> Result<Option<Balancer>, Error> {
    if pair.is_empty() {
        return Ok(None);
    }
    let groups: Vec<&str> = if settings.shift.at_once() { Vec::new() } else { pair.iter().map(first).collect() };
    let (zones, subnets, targets, sticky) = tokio::try_join!(
        zones(cloud, pair),
        ec2::zones(cloud, settings.subnet.ids()),
        limit(cloud),
        sticky(cloud, &groups)
    )?;
    Ok(Some(Balancer { zones, subnets, targets, sticky }))
}

fn first((group, _): &(String, String)) -> &str {
    group
}

async fn zones(cloud: &Cloud, pair: &[(String, String)]) -> Result<BTreeSet<String>, Error> {
    let arns: BTreeSet<String> = pair.iter().map(|(_, balancer)| balancer.clone()).collect();
    let resource = || tagship::listed(arns.iter().map(String::as_str));
    let request = cloud.elb().describe_load_balancers().set_load_balancer_arns(Some(arns.iter().cloned().collect()));
    let answer = request.send().await.called("elasticloadbalancing:DescribeLoadBalancers", resource())?;
    let of = |balancer: &LoadBalancer| -> BTreeSet<String> {
        balancer.availability_zones().iter().filter_map(|zone| zone.zone_name().map(str::to_owned)).collect()
    };
    let each = answer.load_balancers().iter().map(of);
    Ok(each.reduce(|all, more| &all & &more).unwrap_or_default())
}

async fn limit(cloud: &Cloud) -> Result<Option<u32>, Error> {
    const ACTION: &str = "elasticloadbalancing:DescribeAccountLimits";
    let answer = cloud.elb().describe_account_limits().page_size(400).send().await.called(ACTION, "this account")?;
    let limit = answer.limits().iter().find(|limit| limit.name() == Some(TARGETS));
    limit.map(|limit| required(limit.max().and_then(|max| max.parse().ok()), ACTION, "Max")).transpose()
}

/// The names of those with stickiness of their own.
async fn sticky(cloud: &Cloud, groups: &[&str]) -> Result<Vec<String>, Error> {
    let mut sticky = Vec::new();
    for group in groups {
        let answer = cloud.elb().describe_target_group_attributes().target_group_arn(*group).send().await;
        let answer = answer.called("elasticloadbalancing:DescribeTargetGroupAttributes", group)?;
        let on = |key: Option<&str>, value: Option<&str>| key == Some("stickiness.enabled") && value == Some("true");
        if answer.attributes().iter().any(|attribute| on(attribute.key(), attribute.value())) {
            sticky.push(name(group).to_owned());
        }
    }
    Ok(sticky)
}

/// `web-a` of `…:targetgroup/web-a/0123456789abcdef`.
fn name(arn: &str) -> &str {
    arn.split('/').nth(1).unwrap_or(arn)
}
