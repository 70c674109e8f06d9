//! What a launch stands on, as EC2 and Elastic Load Balancing describe it.

use super::Account;
use crate::error::Called;
use aws_sdk_ec2::types::{Filter, IpPermission};
use std::collections::{BTreeMap, BTreeSet};
use tagship::ground::{Door, Ground, Image, Profile, VCPUS, Wall};
use tagship::settings::{Ami, Settings};
use tagship::{Error, Routing};

impl Account {
    /// What the fleet of these settings, selectors looked up, would stand on.
    ///
    /// # Errors
    ///
    /// If one of the descriptions is refused.
    pub async fn ground(&self, settings: &Settings, routing: Option<&Routing>) -> Result<Ground, Error> {
        let (image, (types, vcpus), subnets, walls, before, profile, quota) = tokio::try_join!(
            self.image(settings),
            self.types(settings),
            self.subnets(settings),
            self.walls(settings),
            self.before(routing),
            self.profile(settings),
            self.quota()
        )?;
        let vpcs: BTreeSet<String> = subnets.values().cloned().collect();
        let (routed, endpoints) = tokio::try_join!(self.routed(&subnets, &vpcs), self.endpoints(&vpcs))?;
        Ok(Ground { image, types, vcpus, quota, profile, subnets, walls, before, routed, endpoints })
    }

    async fn image(&self, settings: &Settings) -> Result<Option<Image>, Error> {
        let Ami::Id(ami) = &settings.ami else { return Ok(None) };
        let sent = self.cloud.ec2().describe_images().image_ids(ami).send().await;
        let Some(found) = there(sent.called("ec2:DescribeImages", ami))? else { return Ok(None) };
        let image = found.images().first().map(|image| Image {
            state: image.state().map(|state| state.as_str().to_owned()).unwrap_or_default(),
            architecture: image.architecture().map(|it| it.as_str().to_owned()).unwrap_or_default(),
        });
        Ok(image)
    }

    /// One call: a filter, unlike a list, takes a type that isn't there.
    async fn types(&self, settings: &Settings) -> Result<Types, Error> {
        let names = settings.instance_type.clone();
        let filter = Filter::builder().name("instance-type").set_values(Some(names)).build();
        let mut pages = self.cloud.ec2().describe_instance_types().filters(filter).into_paginator().items().send();
        let (mut types, mut vcpus) = Types::default();
        while let Some(found) = pages.next().await {
            let found = found.called("ec2:DescribeInstanceTypes", "INSTANCE_TYPE")?;
            let able = found.processor_info().map(|info| info.supported_architectures()).unwrap_or_default();
            let able = able.iter().map(|it| it.as_str().to_owned()).collect();
            let Some(kind) = found.instance_type() else { continue };
            let count = found.v_cpu_info().and_then(|info| u32::try_from(info.default_v_cpus()?).ok());
            vcpus.extend(count.map(|count| (kind.as_str().to_owned(), count)));
            types.insert(kind.as_str().to_owned(), able);
        }
        Ok((types, vcpus))
    }

    async fn profile(&self, settings: &Settings) -> Result<Option<Profile>, Error> {
        let name = &settings.instance_profile;
        let sent = self.cloud.iam().get_instance_profile().instance_profile_name(name).send().await;
        match sent.called("iam:GetInstanceProfile", name) {
            Ok(found) => Ok(found
                .instance_profile
                .map(|profile| Profile { role_path: profile.roles().first().map(|role| role.path().to_owned()) })),
            Err(error) if error.code.as_deref() == Some("NoSuchEntity") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// None where Service Quotas doesn't know it: it isn't in every Region.
    async fn quota(&self) -> Result<Option<u32>, Error> {
        let sent = self.cloud.quotas().get_service_quota().service_code("ec2").quota_code(VCPUS).send().await;
        match sent.called("servicequotas:GetServiceQuota", VCPUS) {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number of vCPUs")]
            Ok(found) => Ok(found.quota.and_then(|quota| quota.value).map(|value| value as u32)),
            Err(error) if error.code.as_deref() == Some("NoSuchResourceException") => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn subnets(&self, settings: &Settings) -> Result<BTreeMap<String, String>, Error> {
        let filter = Filter::builder().name("subnet-id").set_values(Some(settings.subnet.ids().to_vec())).build();
        let sent = self.cloud.ec2().describe_subnets().filters(filter).send().await;
        let found = sent.called("ec2:DescribeSubnets", "SUBNET")?;
        Ok(found.subnets.unwrap_or_default().into_iter().filter_map(|it| it.subnet_id.zip(it.vpc_id)).collect())
    }

    async fn walls(&self, settings: &Settings) -> Result<BTreeMap<String, Wall>, Error> {
        let filter = Filter::builder().name("group-id").set_values(Some(settings.sg.ids().to_vec())).build();
        let sent = self.cloud.ec2().describe_security_groups().filters(filter).send().await;
        let found = sent.called("ec2:DescribeSecurityGroups", "SG")?;
        let wall = |group: &aws_sdk_ec2::types::SecurityGroup| {
            let doors = group.ip_permissions().iter().filter_map(door).collect();
            Some((group.group_id()?.to_owned(), Wall { vpc: group.vpc_id().unwrap_or_default().to_owned(), doors }))
        };
        Ok(found.security_groups().iter().filter_map(wall).collect())
    }

    /// The security groups of the load balancers that the pair is on.
    async fn before(&self, routing: Option<&Routing>) -> Result<BTreeSet<String>, Error> {
        let arns: Vec<String> = routing.into_iter().flat_map(|it| &it.groups).map(|group| group.arn.clone()).collect();
        if arns.is_empty() {
            return Ok(BTreeSet::new());
        }
        let sent = self.cloud.elb().describe_target_groups().set_target_group_arns(Some(arns)).send().await;
        let groups = sent.called("elasticloadbalancing:DescribeTargetGroups", "the pair")?;
        let on: BTreeSet<&str> =
            groups.target_groups().iter().flat_map(|it| it.load_balancer_arns()).map(String::as_str).collect();
        if on.is_empty() {
            return Ok(BTreeSet::new());
        }
        let on = on.into_iter().map(str::to_owned).collect();
        let sent = self.cloud.elb().describe_load_balancers().set_load_balancer_arns(Some(on)).send().await;
        let found = sent.called("elasticloadbalancing:DescribeLoadBalancers", "the pair's load balancer")?;
        Ok(found.load_balancers().iter().flat_map(|it| it.security_groups()).cloned().collect())
    }

    /// The subnets whose route table, their own or else their VPC's main one, has a default route.
    async fn routed(
        &self,
        subnets: &BTreeMap<String, String>,
        vpcs: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, Error> {
        let filter = Filter::builder().name("vpc-id").set_values(Some(vpcs.iter().cloned().collect())).build();
        let mut pages = self.cloud.ec2().describe_route_tables().filters(filter).into_paginator().items().send();
        let (mut own, mut main) = (BTreeMap::new(), BTreeMap::new());
        while let Some(table) = pages.next().await {
            let table = table.called("ec2:DescribeRouteTables", "the subnets' VPC")?;
            let default = table.routes().iter().any(|route| {
                route.destination_cidr_block() == Some("0.0.0.0/0")
                    && route.state().is_none_or(|state| state.as_str() == "active")
            });
            for association in table.associations() {
                match association.subnet_id() {
                    Some(subnet) => drop(own.insert(subnet.to_owned(), default)),
                    None if association.main() == Some(true) => {
                        main.extend(table.vpc_id().map(|vpc| (vpc.to_owned(), default)));
                    }
                    None => {}
                }
            }
        }
        let has = |(subnet, vpc): &(&String, &String)| *own.get(*subnet).or(main.get(*vpc)).unwrap_or(&false);
        Ok(subnets.iter().filter(has).map(|(subnet, _)| subnet.clone()).collect())
    }

    /// The VPCs with endpoints for the commands of CodeDeploy's agent and for S3.
    async fn endpoints(&self, vpcs: &BTreeSet<String>) -> Result<BTreeSet<String>, Error> {
        let filter = Filter::builder().name("vpc-id").set_values(Some(vpcs.iter().cloned().collect())).build();
        let mut pages = self.cloud.ec2().describe_vpc_endpoints().filters(filter).into_paginator().items().send();
        let mut found: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        while let Some(endpoint) = pages.next().await {
            let endpoint = endpoint.called("ec2:DescribeVpcEndpoints", "the subnets' VPC")?;
            let name = endpoint.service_name().unwrap_or_default();
            let service =
                ["codedeploy-commands-secure", "s3"].into_iter().find(|end| name.ends_with(&format!(".{end}")));
            if let (Some(vpc), Some(service)) = (endpoint.vpc_id(), service) {
                found.entry(vpc.to_owned()).or_default().insert(service);
            }
        }
        Ok(found.into_iter().filter(|(_, services)| services.len() == 2).map(|(vpc, _)| vpc).collect())
    }
}

/// Architectures and vCPUs, by instance type.
type Types = (BTreeMap<String, BTreeSet<String>>, BTreeMap<String, u32>);

/// Nothing, where the answer is that there is no such thing.
fn there<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.code.as_deref().is_some_and(|code| code.ends_with(".NotFound")) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a rule lets in over TCP; none if it is about another protocol.
fn door(rule: &IpPermission) -> Option<Door> {
    let port = |port: Option<i32>, all: u16| port.and_then(|port| u16::try_from(port).ok()).unwrap_or(all);
    let ports = match rule.ip_protocol()? {
        "-1" => (0, u16::MAX),
        "tcp" | "6" => (port(rule.from_port(), 0), port(rule.to_port(), u16::MAX)),
        _ => return None,
    };
    let groups = rule.user_id_group_pairs().iter().filter_map(|pair| pair.group_id().map(str::to_owned));
    let addresses =
        !rule.ip_ranges().is_empty() || !rule.ipv6_ranges().is_empty() || !rule.prefix_list_ids().is_empty();
    Some(Door { ports, groups: if addresses { BTreeSet::new() } else { groups.collect() } })
}
