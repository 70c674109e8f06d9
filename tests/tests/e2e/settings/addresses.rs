//! Settings as the first generation wrote them, everything found by tags; addresses of the release's own; retired
//! instances kept stopped; a type that one subnet is out of. And people's hands in between.

use super::Service;
use std::collections::BTreeSet;
use tagship_local::artifact::Variant;
use tagship_local::gateway::Record;
use tagship_local::state::{Instance, InstanceState, TargetState};
use tagship_tests::notices;
use tagship_tests::releases::{LOOK, Releases, ZONE};

pub(super) async fn addresses_of_its_own(service: Service<'_>) {
    let own = service.releases;
    service.set(&first_generation(own));
    let first = spread_over_what_has_room(own).await;
    let second = kept_apart_from_a_stranger(own, &first).await;
    let third = rid_of_what_a_lost_reply_left(own).await;
    own.reaches(&first, InstanceState::Terminated).await;
    own.reaches(&second, InstanceState::Stopped).await;
    given_back_by_a_rejected_release(own, &third).await;
}

fn first_generation(own: Releases<'_>) -> String {
    for (subnet, name) in own.local.account.subnets.iter().zip(["app-a", "app-b"]) {
        own.aws(&format!("ec2 create-tags --resources {subnet} --tags Key=Name,Value={name}"));
    }
    let profile = &own.local.account.services[own.role].instance_profile;
    format!(
        "{{
            # the first generation's way
            'PIPELINE': 'own', 'SUBNET': 'tag:Name=app-?', 'SG': 'tag:tagship:service=OWN_PRODUCT',
            'AMI': 'tag:Name=application-*', 'INSTANCE_TYPE': \"['c5.large', 't3.micro']\",
            'INSTANCE_PROFILE': '{profile}', 'EIP': 'True', 'COUNT': 2, 'KEEP': 'stop', 'DRAIN': 2, 'ZONE': '{ZONE}',
            'DEPLOY': {{'VIA': 'codedeploy', 'APPLICATION': 'own', 'GROUP': 'OWN_PRODUCT'}},
            'TIMEOUTS': {{'BOOT': 60, 'INSTALL': 60, 'HEALTHY': 30, 'WATCH': 1, 'SETTLE': 15}},
        }}"
    )
}

/// One instance in each subnet, of the first type that it has room for; an address for each.
async fn spread_over_what_has_room(own: Releases<'_>) -> String {
    let first = own.succeed("o1").await;
    let place = |instance: Instance| (instance.subnet, instance.instance_type);
    let places: BTreeSet<(String, String)> = own.fleet(&first).into_iter().map(place).collect();
    let subnets = &own.local.account.subnets;
    let wanted = [(&subnets[0], "t3.micro"), (&subnets[1], "c5.large")];
    assert_eq!(places, wanted.map(|(subnet, kind)| (subnet.clone(), kind.to_owned())).into());
    assert_eq!(own.addressed(), own.ids(&first));
    first
}

/// Somebody's instance in the free group: two releases never share one. The predecessor is stopped, without address.
async fn kept_apart_from_a_stranger(own: Releases<'_>, first: &str) -> String {
    let stranger = own.launches(&own.local.account.subnets[0], &[]).await;
    let free = own.free_group(first);
    own.aws(&format!("elbv2 register-targets --target-group-arn {free} --targets Id={stranger}"));
    let second = own.succeed("o2").await;
    let targets: BTreeSet<String> = {
        let state = own.local.states.borrow();
        let group = state.target_groups.iter().find(|group| group.arn == free).expect("the group");
        let counted = group.targets.iter().filter(|target| target.state != TargetState::Draining);
        counted.map(|target| target.id.clone()).collect()
    };
    assert_eq!(targets, own.ids(&second));
    own.reaches(first, InstanceState::Stopped).await;
    for instance in own.fleet(first) {
        assert_eq!(instance.tags["tagship:retired-by"], second, "{}", instance.id);
    }
    assert_eq!(own.addressed(), own.ids(&second));
    assert_eq!(own.named("live"), own.ips(&second));
    second
}

/// One instance and one address too many, as a lost reply leaves them.
async fn rid_of_what_a_lost_reply_left(own: Releases<'_>) -> String {
    let local = own.local;
    let unnamed = own.refuses("provision", "route53", "ChangeResourceRecordSets");
    let third = own.upload("o3", Variant::Healthy).await;
    local.until(|state| state.instances.iter().filter(|instance| own.is_of(&third, instance)).count() == 2).await;
    let tags = ["tagship:service", own.role, "tagship:release", &third];
    own.launches(&local.account.subnets[0], &tags).await;
    // Launched in the same second, any of the three is the youngest.
    let gone = |instance: &Instance| own.is_of(&third, instance) && instance.state == InstanceState::Terminated;
    local.until(|state| state.instances.iter().any(gone)).await;
    let fleet: Vec<Instance> = own.fleet(&third).into_iter().filter(|instance| !gone(instance)).collect();
    let fleet: BTreeSet<String> = fleet.into_iter().map(|instance| instance.id).collect();
    assert_eq!(fleet.len(), 2);
    own.allocates(&tags);
    // Whichever of the three isn't in use yet.
    own.releases_an_address("provision").await;
    local.gateway.faults().remove(unnamed);
    own.succeeds(&third).await;
    assert_eq!(own.addressed(), fleet);
    third
}

/// A candidate that is rejected; while it waits, by the rules of infra/tagship.yaml, sweep asks about whoever holds a
/// service, and people have been told of each stage.
async fn given_back_by_a_rejected_release(own: Releases<'_>, live: &str) {
    let local = own.local;
    let before = own.addressed();
    assert!(before.is_subset(&own.ids(live)), "{before:?}");
    let rejected = own.upload("o4", Variant::Healthy).await;
    own.asked(&rejected, "QaApproval").await;
    assert_eq!(own.addresses().len(), 4, "two fleets' worth");
    let asks = |record: &Record| {
        record.caller == "cleanup" && ["ListPipelineExecutions", "GetPipelineExecution"].contains(&&*record.operation)
    };
    while !local.gateway.recorder().records().iter().any(asks) {
        tokio::time::sleep(LOOK).await;
    }
    let told = notices::messages(local).into_iter().filter(|message| message.topic == "tagship-chat");
    let retired = told.filter(|message| message.text.contains("ok: own-product retire of"));
    assert_eq!(retired.count(), 3, "o1, o2 and o3");
    own.reject(&rejected, "QaApproval").await;
    own.ends(&rejected, "Failed", "discarded").await;
    assert_eq!(own.addressed(), before);
}
