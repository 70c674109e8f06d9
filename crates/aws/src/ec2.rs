//! EC2: instances, addresses, and what settings select by tag.

use crate::Cloud;
use crate::cloud::timestamp;
use crate::error::{Called, refused, required};
use aws_sdk_ec2::types::{
    BlockDeviceMapping, DomainType, EbsBlockDevice, Filter, HttpTokensState, IamInstanceProfileSpecification,
    InstanceMetadataOptionsRequest, InstanceStateName, ResourceType, Tag, TagSpecification, VolumeType,
};
use aws_smithy_types::base64;
use std::collections::BTreeMap;
use tagship::settings::{Ami, Choice, Eip, Image, Selector};
use tagship::{
    Address, Build, Devices, Error, Instance, InstanceState, Kind, Launch, ReleaseId, ServiceRole, TAG_BUILD,
    TAG_RELEASE, TAG_RETIRED_BY, TAG_SERVICE,
};

/// Instances a page. EC2 gives up to 1,000, but one takes some 20 KB while its page is read.
const PAGE: i32 = 500;

fn of_service(role: &ServiceRole) -> Filter {
    Filter::builder().name(format!("tag:{TAG_SERVICE}")).values(role.as_str()).build()
}

/// EC2's own filters know `*` and `?`; a selector has no backslash, which would escape there.
fn filters(selector: &Selector) -> Vec<Filter> {
    let part = |(key, pattern): &(String, String)| Filter::builder().name(format!("tag:{key}")).values(pattern).build();
    selector.parts.iter().map(part).collect()
}

fn tag<'a>(tags: &'a [Tag], key: &str) -> Option<&'a str> {
    tags.iter().find(|tag| tag.key() == Some(key))?.value()
}

fn release(tags: &[Tag], key: &str) -> Option<ReleaseId> {
    tag(tags, key)?.to_owned().try_into().ok()
}

/// Every instance that carries the service's tag.
pub(crate) async fn instances(cloud: &Cloud, role: &ServiceRole) -> Result<Vec<Instance>, Error> {
    let request = cloud.ec2().describe_instances().filters(of_service(role)).max_results(PAGE);
    let mut pages = request.into_paginator().send();
    let mut instances = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.called("ec2:DescribeInstances", role)?;
        for found in page.reservations().iter().flat_map(|reservation| reservation.instances()) {
            instances.push(instance(found, "ec2:DescribeInstances")?);
        }
    }
    Ok(instances)
}

/// Every instance that carries any service's tag, with its service.
pub(crate) async fn instances_of_all(cloud: &Cloud) -> Result<Vec<(ServiceRole, Instance)>, Error> {
    let tagged = Filter::builder().name("tag-key").values(TAG_SERVICE).build();
    let mut pages = cloud.ec2().describe_instances().filters(tagged).max_results(PAGE).into_paginator().send();
    let mut instances = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.called("ec2:DescribeInstances", TAG_SERVICE)?;
        for found in page.reservations().iter().flat_map(|reservation| reservation.instances()) {
            let role = tag(found.tags(), TAG_SERVICE).and_then(|role| ServiceRole::try_from(role.to_owned()).ok());
            if let Some(role) = role {
                instances.push((role, instance(found, "ec2:DescribeInstances")?));
            }
        }
    }
    Ok(instances)
}

fn instance(found: &aws_sdk_ec2::types::Instance, action: &str) -> Result<Instance, Error> {
    let id = required(found.instance_id(), action, "instanceId")?;
    let state = match found.state().and_then(|state| state.name()) {
        Some(InstanceStateName::Pending) => InstanceState::Pending,
        Some(InstanceStateName::Running) => InstanceState::Running,
        Some(InstanceStateName::ShuttingDown) => InstanceState::ShuttingDown,
        Some(InstanceStateName::Terminated) => InstanceState::Terminated,
        Some(InstanceStateName::Stopping) => InstanceState::Stopping,
        Some(InstanceStateName::Stopped) => InstanceState::Stopped,
        other => {
            let message = format!("instance {id} is in state {other:?}, which tagship doesn't know");
            return Err(Error::new(Kind::Bug, message));
        }
    };
    let reason = found.state_reason();
    let gone = matches!(state, InstanceState::ShuttingDown | InstanceState::Terminated);
    let short = gone
        && reason.is_some_and(|reason| {
            refused("ec2:RunInstances", id, reason.code(), reason.message()).kind == Kind::Capacity
        });
    Ok(Instance {
        id: id.to_owned(),
        release: release(found.tags(), TAG_RELEASE),
        state,
        subnet: found.subnet_id().map(str::to_owned),
        instance_type: found.instance_type().map(|name| name.as_str().to_owned()).unwrap_or_default(),
        private_ip: found.private_ip_address().map(str::to_owned),
        launched_at: timestamp(required(found.launch_time(), action, "launchTime")?),
        retired_by: release(found.tags(), TAG_RETIRED_BY),
        reason: reason.and_then(|reason| reason.code()).filter(|code| !code.is_empty()).map(str::to_owned),
        short,
        client_token: found.client_token().filter(|token| !token.is_empty()).map(str::to_owned),
        build: tag(found.tags(), TAG_BUILD).map(|build| Build::from(build.to_owned())),
    })
}

/// Addresses with the service's tag: those of a release, and those that the pool's selector matches.
pub(crate) async fn addresses(cloud: &Cloud, role: &ServiceRole, setting: &Eip) -> Result<Vec<Address>, Error> {
    // Not paged, and few: the quota is 5 a Region by default.
    let found = cloud.ec2().describe_addresses().filters(of_service(role)).send().await;
    let mut addresses = Vec::new();
    for address in found.called("ec2:DescribeAddresses", role)?.addresses() {
        let release = release(address.tags(), TAG_RELEASE);
        if release.is_none() {
            let Eip::Pool(selector) = setting else { continue };
            let pair = |tag: &Tag| Some((tag.key()?.to_owned(), tag.value()?.to_owned()));
            if !selector.matches(&address.tags().iter().filter_map(pair).collect::<Vec<_>>()) {
                continue;
            }
        }
        addresses.push(Address {
            id: required(address.allocation_id(), "ec2:DescribeAddresses", "allocationId")?.to_owned(),
            public_ip: required(address.public_ip(), "ec2:DescribeAddresses", "publicIp")?.to_owned(),
            release,
            association: address.association_id().filter(|id| !id.is_empty()).map(str::to_owned),
            instance: address.instance_id().filter(|id| !id.is_empty()).map(str::to_owned),
        });
    }
    Ok(addresses)
}

/// Ids of the subnets that a selector matches; none for ids, which need no looking up.
pub(crate) async fn subnets(cloud: &Cloud, choice: &Choice) -> Result<Vec<String>, Error> {
    let Choice::Tags(selector) = choice else { return Ok(Vec::new()) };
    let request = cloud.ec2().describe_subnets().set_filters(Some(filters(selector)));
    let mut pages = request.into_paginator().items().send();
    let mut ids = Vec::new();
    while let Some(subnet) = pages.next().await {
        ids.extend(subnet.called("ec2:DescribeSubnets", selector)?.subnet_id);
    }
    Ok(ids)
}

/// The zone of each of these subnets.
pub(crate) async fn zones(cloud: &Cloud, subnets: &[String]) -> Result<BTreeMap<String, String>, Error> {
    let request = cloud.ec2().describe_subnets().set_subnet_ids(Some(subnets.to_vec()));
    let resource = || tagship::listed(subnets.iter().map(String::as_str));
    let answer = request.send().await.called("ec2:DescribeSubnets", resource())?;
    Ok(answer.subnets.unwrap_or_default().into_iter().filter_map(|it| it.subnet_id.zip(it.availability_zone)).collect())
}

/// Ids of the security groups that a selector matches; none for ids.
pub(crate) async fn security_groups(cloud: &Cloud, choice: &Choice) -> Result<Vec<String>, Error> {
    let Choice::Tags(selector) = choice else { return Ok(Vec::new()) };
    let request = cloud.ec2().describe_security_groups().set_filters(Some(filters(selector)));
    let mut pages = request.into_paginator().items().send();
    let mut ids = Vec::new();
    while let Some(group) = pages.next().await {
        ids.extend(group.called("ec2:DescribeSecurityGroups", selector)?.group_id);
    }
    Ok(ids)
}

/// The available images that a selector matches. Tags are seen by their own account only, so no stranger's image
/// can match.
pub(crate) async fn images(cloud: &Cloud, ami: &Ami) -> Result<Vec<Image>, Error> {
    let Ami::Tags(selector) = ami else { return Ok(Vec::new()) };
    let available = Filter::builder().name("state").values("available").build();
    let request = cloud.ec2().describe_images().set_filters(Some(filters(selector))).filters(available);
    let mut pages = request.into_paginator().items().send();
    let mut images = Vec::new();
    while let Some(image) = pages.next().await {
        let image = image.called("ec2:DescribeImages", selector)?;
        let created = image.creation_date().and_then(|date| date.parse().ok());
        if let (Some(id), Some(created)) = (image.image_id, created) {
            images.push(Image { created, id });
        }
    }
    Ok(images)
}

fn specification(kind: ResourceType, tags: &[(String, String)]) -> TagSpecification {
    let tags = tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
    TagSpecification::builder().resource_type(kind).set_tags(Some(tags)).build()
}

/// IMDSv2 alone. A container on the instance is one hop more.
fn metadata(hops: u32) -> InstanceMetadataOptionsRequest {
    let hops = i32::try_from(hops).unwrap_or(1);
    InstanceMetadataOptionsRequest::builder()
        .http_tokens(HttpTokensState::Required)
        .http_put_response_hop_limit(hops)
        .build()
}

/// RunInstances: exactly `count` or none. Answers with what was launched.
pub(crate) async fn launch(cloud: &Cloud, launch: &Launch) -> Result<Vec<Instance>, Error> {
    let root = launch
        .volume
        .iter()
        .map(|(device, volume)| goes_with_it(device, volume.size_gib, Some(volume.r#type.as_str().into())));
    let lasting = launch.lasting.iter().map(|(device, size)| goes_with_it(device, *size, None));
    let volumes: Vec<BlockDeviceMapping> = root.chain(lasting).collect();
    // EC2 counts in i32; COUNT is at most 1,000.
    let count = i32::try_from(launch.count).unwrap_or(i32::MAX);
    let tagged = [ResourceType::Instance, ResourceType::Volume, ResourceType::NetworkInterface];
    let request = cloud
        .ec2_changes()
        .run_instances()
        .min_count(count)
        .max_count(count)
        .client_token(&launch.client_token)
        .image_id(&launch.ami)
        .instance_type(launch.instance_type.as_str().into())
        .subnet_id(&launch.subnet)
        .set_security_group_ids(Some(launch.security_groups.clone()))
        .iam_instance_profile(IamInstanceProfileSpecification::builder().name(&launch.instance_profile).build())
        .metadata_options(metadata(launch.imds_hops))
        .set_key_name(launch.key_name.clone())
        .set_user_data(launch.user_data.as_ref().map(base64::encode))
        .set_block_device_mappings((!volumes.is_empty()).then_some(volumes))
        .set_tag_specifications(Some(tagged.into_iter().map(|kind| specification(kind, &launch.tags)).collect()));
    let what = format!("{} × {} in {}", launch.count, launch.instance_type, launch.subnet);
    let answer = request.send().await.called("ec2:RunInstances", what)?;
    answer.instances().iter().map(|found| instance(found, "ec2:RunInstances")).collect()
}

/// An image's devices; none if EC2 doesn't know it.
pub(crate) async fn devices(cloud: &Cloud, ami: &str) -> Result<Option<Devices>, Error> {
    let images = cloud.ec2().describe_images().image_ids(ami).send().await.called("ec2:DescribeImages", ami)?;
    Ok(images.images().first().map(|image| {
        let lasting = image.block_device_mappings().iter().filter_map(|mapping| {
            let ebs = mapping.ebs().filter(|ebs| ebs.delete_on_termination() == Some(false))?;
            Some((mapping.device_name()?.to_owned(), u32::try_from(ebs.volume_size()?).ok()?))
        });
        Devices { root: image.root_device_name().map(str::to_owned), lasting: lasting.collect() }
    }))
}

/// A volume that is deleted with its instance. What isn't said of it is as the image has it.
fn goes_with_it(device: &str, size_gib: u32, r#type: Option<VolumeType>) -> BlockDeviceMapping {
    let ebs = EbsBlockDevice::builder()
        .volume_size(i32::try_from(size_gib).unwrap_or(i32::MAX))
        .set_volume_type(r#type)
        .delete_on_termination(true)
        .build();
    BlockDeviceMapping::builder().device_name(device).ebs(ebs).build()
}

fn listed(ids: &[String]) -> String {
    tagship::listed(ids.iter().map(String::as_str))
}

/// TerminateInstances.
pub(crate) async fn terminate(cloud: &Cloud, ids: &[String]) -> Result<(), Error> {
    let request = cloud.ec2_changes().terminate_instances().set_instance_ids(Some(ids.to_vec()));
    request.send().await.called("ec2:TerminateInstances", listed(ids))?;
    Ok(())
}

/// StopInstances.
pub(crate) async fn stop(cloud: &Cloud, ids: &[String]) -> Result<(), Error> {
    let request = cloud.ec2_changes().stop_instances().set_instance_ids(Some(ids.to_vec()));
    request.send().await.called("ec2:StopInstances", listed(ids))?;
    Ok(())
}

/// CreateTags: who retired these instances.
pub(crate) async fn tag_retired(cloud: &Cloud, ids: &[String], by: &ReleaseId) -> Result<(), Error> {
    let tag = Tag::builder().key(TAG_RETIRED_BY).value(by.as_str()).build();
    let request = cloud.ec2_changes().create_tags().set_resources(Some(ids.to_vec())).tags(tag);
    request.send().await.called("ec2:CreateTags", listed(ids))?;
    Ok(())
}

/// AllocateAddress.
pub(crate) async fn allocate(cloud: &Cloud, tags: &[(String, String)]) -> Result<(), Error> {
    let tags = specification(ResourceType::ElasticIp, tags);
    let request = cloud.ec2_changes().allocate_address().domain(DomainType::Vpc).tag_specifications(tags);
    request.send().await.called("ec2:AllocateAddress", "a new address")?;
    Ok(())
}

/// AssociateAddress, which would take an address from another instance if it weren't told not to.
pub(crate) async fn associate(cloud: &Cloud, address: &str, instance: &str) -> Result<(), Error> {
    let request = cloud.ec2_changes().associate_address().allocation_id(address).instance_id(instance);
    let sent = request.allow_reassociation(false).send().await;
    sent.called("ec2:AssociateAddress", format!("{address} and {instance}"))?;
    Ok(())
}

/// DisassociateAddress.
pub(crate) async fn disassociate(cloud: &Cloud, address: &str, association: &str) -> Result<(), Error> {
    let sent = cloud.ec2_changes().disassociate_address().association_id(association).send().await;
    sent.called("ec2:DisassociateAddress", address)?;
    Ok(())
}

/// ReleaseAddress.
pub(crate) async fn release_address(cloud: &Cloud, address: &str) -> Result<(), Error> {
    cloud.ec2_changes().release_address().allocation_id(address).send().await.called("ec2:ReleaseAddress", address)?;
    Ok(())
}
