//! What a launch stands on: the image, the types, the subnets, the security groups, and the way from the load balancer to
//! the instances and from them to AWS. Checked before a release, each problem with what to do.

#[cfg(test)]
mod tests;

use crate::settings::Settings;
use crate::{counted, listed};
use std::collections::{BTreeMap, BTreeSet};

/// Service Quotas' code for the vCPUs of on-demand instances of the usual families (A, C, D, H, I, M, R, T, Z).
pub const VCPUS: &str = "L-1216C47A";

/// What was found of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ground {
    /// The image; none if there is no such image for this account.
    pub image: Option<Image>,
    /// The architectures of each instance type that the Region has.
    pub types: BTreeMap<String, BTreeSet<String>>,
    /// The vCPUs of each of them.
    pub vcpus: BTreeMap<String, u32>,
    /// How many vCPUs of the usual families may run in this account and Region; none if it couldn't be read.
    pub quota: Option<u32>,
    /// The instance profile; none if there is no such profile.
    pub profile: Option<Profile>,
    /// The VPC of each subnet that is there.
    pub subnets: BTreeMap<String, String>,
    /// The security groups of the instances that are there.
    pub walls: BTreeMap<String, Wall>,
    /// The security groups of the load balancer; none without one.
    pub before: BTreeSet<String>,
    /// The subnets that have a default route.
    pub routed: BTreeSet<String>,
    /// The VPCs that have endpoints for both CodeDeploy and S3.
    pub endpoints: BTreeSet<String>,
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// EC2's word: `available`, `pending`, `failed`.
    pub state: String,
    /// `x86_64`, `arm64`; empty where EC2 doesn't say.
    pub architecture: String,
}

/// An instance profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The path of its role; none if it has no role.
    pub role_path: Option<String>,
}

/// A security group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wall {
    /// Its VPC.
    pub vpc: String,
    /// What it lets in.
    pub doors: Vec<Door>,
}

/// What a rule of a security group lets in over TCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Door {
    /// The ports, first and last.
    pub ports: (u16, u16),
    /// From these security groups; none if from addresses.
    pub groups: BTreeSet<String>,
}

/// What isn't as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// A release would fail.
    pub errors: Vec<String>,
    /// A release may fail.
    pub warnings: Vec<String>,
}

/// All that is wrong with it, for resolved settings, the ports of the pair's groups, and the path of the roles that
/// provision may pass.
pub fn problems(ground: &Ground, settings: &Settings, ports: &BTreeSet<u16>, passed: &str) -> Found {
    let mut found = Found::default();
    found.errors.extend(image(ground, settings));
    found.errors.extend(types(ground, settings));
    found.errors.extend(places(ground, settings));
    found.errors.extend(walls(ground, settings, ports));
    found.errors.extend(profile(ground, settings, passed));
    found.errors.extend(quota(ground, settings));
    found.warnings.extend(ways_out(ground, settings));
    found
}

fn image(ground: &Ground, settings: &Settings) -> Option<String> {
    let ami = String::from(settings.ami.clone());
    match &ground.image {
        None => {
            Some(format!("AMI: there is no {ami} in this Region for this account: correct AMI, or share the image"))
        }
        Some(image) if image.state != "available" => {
            Some(format!("AMI: {ami} is {}: wait until it is available, or correct AMI", image.state))
        }
        Some(_) => None,
    }
}

fn types(ground: &Ground, settings: &Settings) -> Vec<String> {
    let each = settings.instance_type.iter();
    let problem = |kind: &String| match (ground.types.get(kind), &ground.image) {
        (None, _) => Some(format!("INSTANCE_TYPE: this Region has no {kind}: correct INSTANCE_TYPE")),
        (Some(able), Some(image)) if !image.architecture.is_empty() && !able.contains(&image.architecture) => {
            Some(format!(
                "INSTANCE_TYPE: {kind} can't boot {}, which is for {}: write a type of that architecture, or another image",
                String::from(settings.ami.clone()),
                image.architecture
            ))
        }
        _ => None,
    };
    each.filter_map(problem).collect()
}

/// Subnets and security groups that are there, in one VPC.
fn places(ground: &Ground, settings: &Settings) -> Vec<String> {
    let mut problems = Vec::new();
    let missing = settings.subnet.ids().iter().filter(|id| !ground.subnets.contains_key(*id));
    problems.extend(missing.map(|id| format!("SUBNET: there is no {id}: correct SUBNET")));
    let missing = settings.sg.ids().iter().filter(|id| !ground.walls.contains_key(*id));
    problems.extend(missing.map(|id| format!("SG: there is no {id}: correct SG")));
    let vpcs: BTreeSet<&str> = ground.subnets.values().map(String::as_str).collect();
    if vpcs.len() > 1 {
        let vpcs = listed(vpcs.iter().copied());
        problems.push(format!("SUBNET: its subnets are in {vpcs}: a fleet is in one VPC"));
    }
    for (id, wall) in ground.walls.iter().filter(|(_, wall)| !vpcs.is_empty() && !vpcs.contains(wall.vpc.as_str())) {
        let vpcs = listed(vpcs.iter().copied());
        problems.push(format!("SG: {id} is in {}, the subnets are in {vpcs}: name a group of their VPC", wall.vpc));
    }
    problems
}

/// Whether the load balancer reaches the port of each group.
fn walls(ground: &Ground, settings: &Settings, ports: &BTreeSet<u16>) -> Vec<String> {
    if ground.before.is_empty() || ground.walls.is_empty() {
        return Vec::new();
    }
    let opens = |door: &Door, port: u16| {
        let from = door.groups.is_empty() || !door.groups.is_disjoint(&ground.before);
        from && (door.ports.0..=door.ports.1).contains(&port)
    };
    let open = |port: u16| ground.walls.values().flat_map(|wall| &wall.doors).any(|door| opens(door, port));
    let wanted: BTreeSet<u16> = settings.port.map_or_else(|| ports.clone(), |port| BTreeSet::from([port]));
    let (Some(wall), Some(before)) = (ground.walls.keys().next(), ground.before.first()) else { return Vec::new() };
    let closed = wanted.into_iter().filter(|port| !open(*port));
    closed
        .map(|port| {
            format!(
                "SG: nothing lets the load balancer ({before}) in to port {port}, so no target would become healthy: aws \
                 ec2 authorize-security-group-ingress --group-id {wall} --protocol tcp --port {port} --source-group {before}"
            )
        })
        .collect()
}

/// Whether provision can launch with the instance profile: it may pass roles on one path alone.
fn profile(ground: &Ground, settings: &Settings, passed: &str) -> Option<String> {
    let name = &settings.instance_profile;
    match ground.profile.as_ref().map(|profile| profile.role_path.as_deref()) {
        None => Some(format!(
            "INSTANCE_PROFILE: there is no {name}: correct INSTANCE_PROFILE, or deploy infra/service.yaml, which makes one"
        )),
        Some(None) => Some(format!(
            "INSTANCE_PROFILE: {name} has no role, so the CodeDeploy agent may read nothing: aws iam \
             add-role-to-instance-profile --instance-profile-name {name} --role-name ROLE"
        )),
        Some(Some(path)) if !path.starts_with(passed) => Some(format!(
            "INSTANCE_PROFILE: the role of {name} is on path {path}, and provision may pass roles on {passed} alone: make a \
             role there, or deploy infra/tagship.yaml with InstanceRolePath={path}"
        )),
        Some(Some(_)) => None,
    }
}

/// Whether two fleets may run, as they do from provision to the final approval. The families that are bought for what they
/// accelerate have quotas of their own, which aren't read.
fn quota(ground: &Ground, settings: &Settings) -> Option<String> {
    const USUAL: [char; 9] = ['a', 'c', 'd', 'h', 'i', 'm', 'r', 't', 'z'];
    let accelerated = |kind: &str| ["dl", "inf", "hpc", "trn"].iter().any(|family| kind.starts_with(family));
    let usual = settings.instance_type.iter().filter(|kind| kind.starts_with(USUAL) && !accelerated(kind));
    let (vcpus, kind) = usual.filter_map(|kind| Some((ground.vcpus.get(kind)?, kind))).min()?;
    let needed = settings.count.saturating_mul(2).saturating_mul(*vcpus);
    let quota = ground.quota.filter(|quota| needed > *quota)?;
    Some(format!(
        "COUNT: two fleets of {} {kind} have {needed} vCPUs, and this account may run {quota} of the usual families in all: \
         aws service-quotas request-service-quota-increase --service-code ec2 --quota-code {VCPUS} --desired-value {}",
        settings.count,
        needed.saturating_add(quota)
    ))
}

/// Instances that reach neither CodeDeploy nor S3 install nothing.
fn ways_out(ground: &Ground, settings: &Settings) -> Option<String> {
    let closed: Vec<&str> = settings
        .subnet
        .ids()
        .iter()
        .filter(|id| ground.subnets.get(*id).is_some_and(|vpc| !ground.endpoints.contains(vpc)))
        .filter(|id| !ground.routed.contains(*id))
        .map(String::as_str)
        .collect();
    (!closed.is_empty()).then(|| {
        format!(
            "SUBNET: {} ({}) without a default route, in a VPC without endpoints for CodeDeploy and S3: instances \
             there may not reach them, and then they install nothing. Route it to a NAT gateway, or make endpoints",
            counted(closed.len(), "subnet"),
            listed(closed.iter().copied())
        )
    })
}
