//! A private zone that people delete in mid-release and make again under its name: the hold has the old one's id.

use crate::account::Account;
use aws_sdk_route53::Client;
use aws_sdk_route53::types::HostedZoneConfig;
use tagship::{Kind, NameChange, Record, Step};

fn record() -> Record {
    Record { name: "live.mzum-web-product.cd.internal".to_owned(), values: vec!["127.16.1.4".to_owned()], ttl: 10 }
}

fn change(change: NameChange) -> Step {
    Step::ChangeNames { zone: "cd.internal".to_owned(), changes: vec![change] }
}

/// Deletes the zone, which has to be empty, and makes it again.
async fn made_again(route53: &Client, serial: &str) {
    let zones = route53.list_hosted_zones_by_name().dns_name("cd.internal").send().await.expect("zones");
    let id = zones.hosted_zones().first().expect("a zone").id().to_owned();
    let zone = route53.get_hosted_zone().id(&id).send().await.expect("a zone");
    route53.delete_hosted_zone().id(&id).send().await.expect("deleted");
    let private = HostedZoneConfig::builder().private_zone(true).build();
    let vpc = zone.vpcs().first().cloned();
    let again = route53.create_hosted_zone().name("cd.internal").caller_reference(serial).set_vpc(vpc);
    let again = again.hosted_zone_config(private).send().await.expect("made again");
    assert_ne!(again.hosted_zone().map(|zone| zone.id().to_owned()), Some(id));
}

#[tokio::test]
async fn a_zone_that_was_made_again_is_found_by_its_name() {
    let account = Account::set_up().await;
    let (release, route53) = (account.release().await, Client::new(&account.sdk));
    let named = async |expected: &[Record]| assert_eq!(release.observe().await.names, expected);
    named(&[]).await;

    // Seen by a look.
    made_again(&route53, "1").await;
    named(&[]).await;
    release.apply(change(NameChange::Upsert(record()))).await.expect("changed");
    named(&[record()]).await;

    // Seen by a change: what it was decided by was of the old zone, so it is looked at again first.
    release.apply(change(NameChange::Delete(record()))).await.expect("changed");
    made_again(&route53, "2").await;
    let refused = release.apply(change(NameChange::Upsert(record()))).await.expect_err("the zone is gone");
    assert_eq!((refused.kind, refused.code.as_deref()), (Kind::Conflict, Some("NoSuchHostedZone")), "{refused}");
    named(&[]).await;
    release.apply(change(NameChange::Upsert(record()))).await.expect("changed");
    named(&[record()]).await;
}
