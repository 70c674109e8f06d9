//! Where a new service would stand, as Elastic Load Balancing and EC2 describe it.

use super::Account;
use crate::error::Called;
use crate::offer;
use aws_sdk_ec2::types::Filter;
use aws_sdk_elasticloadbalancingv2::types::{ActionTypeEnum, ProtocolEnum};
use std::collections::BTreeSet;
use tagship::settings::Settings;
use tagship::{Error, Offer};

/// A load balancer, with what is around it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Site {
    /// The listeners that were asked for.
    pub listeners: Vec<Listener>,
    /// The names of the load balancers that they are on.
    pub balancers: BTreeSet<String>,
    /// Their VPC.
    pub vpc: String,
    /// Their security groups.
    pub groups: Vec<String>,
    /// The zones that all of them have enabled.
    pub zones: BTreeSet<String>,
    /// The subnets of the VPC.
    pub subnets: Vec<Subnet>,
}

/// A listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Its ARN.
    pub arn: String,
    /// `HTTP`, `HTTPS`.
    pub protocol: String,
    /// Whether what no rule takes is sent to HTTPS.
    pub redirects: bool,
    /// The places of its rules, and the host names that each takes.
    pub rules: Vec<(u32, Vec<String>)>,
}

/// A subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// Its id.
    pub id: String,
    /// Its zone.
    pub zone: String,
    /// Its range, and its name if it has one.
    pub words: String,
}

impl Account {
    /// What is around these listeners.
    ///
    /// # Errors
    ///
    /// If there is no such listener, or one of the descriptions is refused.
    pub async fn site(&self, listeners: &[String]) -> Result<Site, Error> {
        const LISTENERS: &str = "elasticloadbalancing:DescribeListeners";
        const BALANCERS: &str = "elasticloadbalancing:DescribeLoadBalancers";
        let name = || tagship::listed(listeners.iter().map(String::as_str));
        let request = self.cloud.elb().describe_listeners().set_listener_arns(Some(listeners.to_vec()));
        let found = request.send().await.called(LISTENERS, name())?;
        let arns: BTreeSet<&str> = found.listeners().iter().filter_map(|it| it.load_balancer_arn()).collect();
        let arns = arns.into_iter().map(str::to_owned).collect();
        let request = self.cloud.elb().describe_load_balancers().set_load_balancer_arns(Some(arns));
        let balancers = request.send().await.called(BALANCERS, name())?;
        let zones = balancers.load_balancers().iter().map(|balancer| {
            let zones = balancer.availability_zones().iter().filter_map(|zone| zone.zone_name().map(str::to_owned));
            zones.collect::<BTreeSet<String>>()
        });
        let mut site = Site { zones: zones.reduce(|all, more| &all & &more).unwrap_or_default(), ..Site::default() };
        for balancer in balancers.load_balancers() {
            site.balancers.extend(balancer.load_balancer_name().map(str::to_owned));
            site.vpc = balancer.vpc_id().unwrap_or_default().to_owned();
            site.groups.extend_from_slice(balancer.security_groups());
        }
        for listener in found.listeners() {
            let Some(arn) = listener.listener_arn() else { continue };
            let redirects = listener.default_actions().iter().any(|action| {
                action.r#type() == Some(&ActionTypeEnum::Redirect)
                    && action.redirect_config().and_then(|it| it.protocol()) == Some("HTTPS")
            });
            site.listeners.push(Listener {
                arn: arn.to_owned(),
                protocol: listener.protocol().map(ProtocolEnum::as_str).unwrap_or_default().to_owned(),
                redirects,
                rules: self.rules(arn).await?,
            });
        }
        let filter = Filter::builder().name("vpc-id").values(&site.vpc).build();
        let mut pages = self.cloud.ec2().describe_subnets().filters(filter).into_paginator().items().send();
        while let Some(subnet) = pages.next().await {
            let subnet = subnet.called("ec2:DescribeSubnets", &site.vpc)?;
            let name = subnet.tags().iter().find(|tag| tag.key() == Some("Name")).and_then(|tag| tag.value());
            let words = [subnet.cidr_block(), name].into_iter().flatten().collect::<Vec<_>>().join(" ");
            let zone = subnet.availability_zone().unwrap_or_default().to_owned();
            site.subnets.extend(subnet.subnet_id().map(|id| Subnet { id: id.to_owned(), zone, words }));
        }
        site.subnets.sort_by(|one, other| (&one.zone, &one.id).cmp(&(&other.zone, &other.id)));
        Ok(site)
    }

    /// The places of a listener's rules, and the host names that each takes.
    async fn rules(&self, listener: &str) -> Result<Vec<(u32, Vec<String>)>, Error> {
        let mut pages = self.cloud.elb().describe_rules().listener_arn(listener).into_paginator().items().send();
        let mut rules = Vec::new();
        while let Some(rule) = pages.next().await {
            let rule = rule.called("elasticloadbalancing:DescribeRules", listener)?;
            let hosts = rule.conditions().iter().filter(|it| it.field() == Some("host-header")).flat_map(|it| {
                // The form of old rules, or that of new ones.
                it.host_header_config().map(|config| config.values()).filter(|it| !it.is_empty()).unwrap_or(it.values())
            });
            let hosts = hosts.cloned().collect();
            // The default action has no place.
            rules.extend(rule.priority().and_then(|priority| priority.parse().ok()).map(|place| (place, hosts)));
        }
        Ok(rules)
    }

    /// These settings with every selector looked up.
    ///
    /// # Errors
    ///
    /// If a selector finds nothing, or AWS refuses.
    pub async fn looked_up(&self, settings: Settings) -> Result<Settings, Error> {
        let offer = Offer { settings, user_data: None };
        Ok(offer::looked_up(&self.cloud, offer, offer::Asks::Person).await?.settings)
    }
}
