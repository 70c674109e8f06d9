//! More than a page, more than a batch.

use crate::account::{Account, ROLE};
use aws_sdk_elasticloadbalancingv2::types::Tag;
use std::collections::BTreeSet;
use tagship::settings::{Selector, TargetGroup};
use tagship::{Health, NAMES_A_BATCH, NameChange, Record, Step, TAG_SERVICE, TARGETS_A_CALL, names};

#[tokio::test]
async fn a_fleet_of_a_thousand_is_registered_and_seen() {
    let account = Account::set_up().await;
    let release = account.release().await;
    // The emulator takes its time over each instance, and a changing call has 10 s.
    for n in 0..10 {
        release.apply(release.launch(&account.subnets[n % 2], 100, &format!("token-{n}"))).await.expect("launched");
    }
    let ids: Vec<String> = release.observe().await.instances.into_iter().map(|instance| instance.id).collect();
    assert_eq!(ids.len(), 1_000);
    let group = account.stack.target_groups[1].clone();
    for ids in ids.chunks(TARGETS_A_CALL) {
        let step = Step::Register { group: group.clone(), instances: ids.to_vec(), port: 8080 };
        release.apply(step).await.expect("registered");
    }
    let routing = release.observe().await.routing.expect("routing");
    let group = routing.groups.into_iter().find(|found| found.arn == group).expect("the group");
    let registered: BTreeSet<String> = group.targets.iter().map(|target| target.id.clone()).collect();
    assert_eq!(registered, ids.iter().cloned().collect());
    assert!(group.targets.iter().all(|target| matches!(target.health, Health::Healthy | Health::Initial)));
    release.apply(Step::Terminate { instances: ids }).await.expect("terminated");
}

#[tokio::test]
async fn instances_come_in_pages() {
    let account = Account::set_up().await;
    let release = account.release().await;
    for n in 0..11 {
        release.apply(release.launch(&account.subnets[n % 2], 100, &format!("token-{n}"))).await.expect("launched");
    }
    assert_eq!(release.observe().await.instances.len(), 1_100);
}

#[tokio::test]
async fn six_hundred_names_are_written_and_read() {
    let account = Account::set_up().await;
    let release = account.release().await;
    let zone = release.settings().zone.clone().expect("a zone");
    let base = names::Names::Live.fleet_name(&crate::account::role(), &zone);
    let mut wanted: Vec<Record> = (1..=600)
        .map(|n| Record {
            name: format!("{n}.{base}"),
            values: vec![format!("127.16.{}.{}", n / 250, n % 250 + 1)],
            ttl: names::TTL_SECS,
        })
        .collect();
    for records in wanted.chunks(NAMES_A_BATCH) {
        let changes = records.iter().cloned().map(NameChange::Upsert).collect();
        release.apply(Step::ChangeNames { zone: zone.clone(), changes }).await.expect("written");
    }
    let mut found = release.observe().await.names;
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted);
    for records in wanted.chunks(NAMES_A_BATCH) {
        let changes = records.iter().cloned().map(NameChange::Delete).collect();
        release.apply(Step::ChangeNames { zone: zone.clone(), changes }).await.expect("deleted");
    }
    assert_eq!(release.observe().await.names, []);
}

/// How many groups a selector finds among those of 45 services more.
#[tokio::test]
async fn a_pair_is_found_among_many_groups() {
    let account = Account::set_up().await;
    let elb = aws_sdk_elasticloadbalancingv2::Client::new(&account.sdk);
    // Over a page of GetResources (100), and over a call's ARNs (20).
    for n in 0..105 {
        let tag = Tag::builder().key(TAG_SERVICE).value(format!("OTHER_{n}")).build();
        let kind = aws_sdk_elasticloadbalancingv2::types::TargetTypeEnum::Lambda;
        elb.create_target_group().name(format!("other-{n}")).target_type(kind).tags(tag).send().await.expect("a group");
    }
    let mut release = account.release().await;
    for (selector, count) in [(format!("tag:{TAG_SERVICE}={ROLE}"), 2), (format!("tag:{TAG_SERVICE}=MZUM_*"), 2)] {
        release.select(&selector);
        let routing = release.observe().await.routing.expect("routing");
        assert_eq!((routing.groups.len(), routing.switches.len()), (count, 2), "{selector}");
    }
    release.select(&format!("tag:{TAG_SERVICE}=*"));
    let routing = release.observe().await.routing.expect("routing");
    assert_eq!((routing.groups.len(), routing.switches.len()), (107, 0));
    release.select("tag:nobody=*");
    assert_eq!(release.observe().await.routing.expect("routing").groups, []);
}

impl crate::account::Release<'_> {
    /// Another pair.
    fn select(&mut self, selector: &str) {
        let selector = Selector::try_from(selector.to_owned()).expect("a selector");
        let held = self.holding.held.as_mut().expect("a hold");
        held.hold.settings.target_group = TargetGroup::Pair(selector);
    }
}
