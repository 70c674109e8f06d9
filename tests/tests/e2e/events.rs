//! Events at their worst: lost, and doubled. Two services, told side by side in one cloud.

use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use tagship_local::Line;
use tagship_local::artifact::{Variant, pack};
use tagship_tests::desk::{Desk, Verdict, artifact};
use tagship_tests::leak::Ear;
use tagship_tests::metrics;
use tagship_tests::releases::{Releases, cloud};
use tagship_tests::stories;

#[tokio::test(flavor = "multi_thread")]
async fn events_that_are_lost_or_doubled_do_no_harm() {
    let lines = [
        Line::quick("web", "WEB_PRODUCT", "web.example.com", 10),
        Line::quick("shop", "SHOP_PRODUCT", "shop.example.com", 20),
    ];
    let local = cloud(lines.to_vec()).await;
    // The ends of executions are told to nobody.
    local.events.set_deliveries(Arc::new(|_, event| usize::from(event["source"] != "aws.codepipeline")));
    let [web, shop] = [0, 1].map(|n| Releases::of(&local, &lines[n]));
    stories!(
        a_holder_whose_end_got_lost_is_discarded_for_the_next_release(web),
        the_same_event_twice_at_once_has_one_effect(shop),
    );
}

async fn a_holder_whose_end_got_lost_is_discarded_for_the_next_release(web: Releases<'_>) {
    let (local, mut ear) = (web.local, Ear::open(web.local));
    let r1 = web.upload("r1", Variant::HookFails).await;
    assert_eq!(local.ops.await_end(web.pipeline, &r1).await.expect("an end"), "Failed");
    let r2 = web.upload("r2", Variant::Healthy).await;
    web.asked(&r2, "QaApproval").await;
    web.marked(&r1, "discarded").await;
    let events = ear.events();
    let abandoned = events.iter().find(|event| event["detail-type"] == "Release Abandoned").expect("an event");
    assert_eq!((&abandoned["detail"]["release"], &abandoned["detail"]["action"]), (&json!(r1), &json!("discard")));
    let counted = metrics::lines(local, "provision");
    assert!(counted.iter().any(|line| line["ReleaseAbandoned"] == 1 && line["release"] == r1), "{counted:?}");
    web.succeeds(&r2).await;
    web.assert_alone(&r2).await;
}

async fn the_same_event_twice_at_once_has_one_effect(shop: Releases<'_>) {
    let (local, desk) = (shop.local, Desk::open(shop.local));
    let service = &local.account.services[shop.role];
    local.ops.upload(&service.bucket, "app.zip", pack("r1", Variant::Healthy).expect("a zip")).await.expect("uploaded");
    let release = uuid::Uuid::new_v4().to_string();
    let parameters = json!({"serviceRole": shop.role, "release": release, "pipeline": shop.pipeline}).to_string();
    for (stage, inputs) in [
        ("provision", json!([])),
        ("deploy", artifact(&service.bucket, "app.zip")),
        ("route", json!([])),
        ("cleanup", json!([])),
    ] {
        let end = desk.job(local, stage, Some(&parameters), inputs, 2).await;
        assert!(matches!(end, Verdict::Succeeded(_)), "{stage}: {end:?}");
    }
    shop.assert_alone(&release).await;
    assert_eq!(shop.fleet(&release).len(), 2);
    let records = local.gateway.recorder().records();
    // Of this release: its id is in what is launched and deployed, its service's rules are its own.
    let rules: Vec<_> = service.rules.iter().filter_map(|rule| rule.rsplit('/').next()).collect();
    let effects = |operation: &str| -> Vec<_> {
        let of = records.iter().filter(|record| record.operation == operation && record.status == Some(200));
        let bodies = of.map(|record| record.request.body.clone().unwrap_or_default());
        bodies.filter(|body| body.contains(&release) || rules.iter().any(|rule| body.contains(rule))).collect()
    };
    // One launch for each subnet: a second call with the same token is answered with the first one's instances.
    assert_eq!(effects("RunInstances").into_iter().collect::<BTreeSet<_>>().len(), 2);
    assert_eq!(effects("CreateDeployment").len(), 1);
    // One call for each switch, or two with the same content.
    assert_eq!(effects("ModifyRule").into_iter().collect::<BTreeSet<_>>().len(), 2);
}
