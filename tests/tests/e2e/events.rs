//! Events at their worst: lost, and doubled.

use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use tagship_local::Line;
use tagship_local::artifact::{Variant, pack};
use tagship_tests::desk::{Desk, Verdict, artifact};
use tagship_tests::leak::Ear;
use tagship_tests::metrics;
use tagship_tests::releases::{Releases, cloud};

fn line() -> Line {
    Line::quick("web", "WEB_PRODUCT", "web.example.com", 10)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_whose_end_got_lost_is_discarded_for_the_next_release() {
    let line = line();
    let local = cloud(vec![line.clone()]).await;
    let (web, mut ear) = (Releases::of(&local, &line), Ear::open(&local));
    local.events.set_deliveries(Arc::new(|_, event| usize::from(event["source"] != "aws.codepipeline")));
    let r1 = web.upload("r1", Variant::HookFails).await;
    assert_eq!(local.ops.await_end(web.pipeline, &r1).await.expect("an end"), "Failed");
    let r2 = web.upload("r2", Variant::Healthy).await;
    web.asked(&r2, "QaApproval").await;
    assert_eq!(web.marker(&r1).await, "discarded");
    let events = ear.events();
    let abandoned = events.iter().find(|event| event["detail-type"] == "Release Abandoned").expect("an event");
    assert_eq!((&abandoned["detail"]["release"], &abandoned["detail"]["action"]), (&json!(r1), &json!("discard")));
    let counted = metrics::lines(&local, "provision");
    assert!(counted.iter().any(|line| line["ReleaseAbandoned"] == 1 && line["release"] == r1), "{counted:?}");
    web.succeeds(&r2).await;
    web.assert_alone(&r2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_event_twice_at_once_has_one_effect() {
    let line = line();
    let local = cloud(vec![line.clone()]).await;
    let (web, desk) = (Releases::of(&local, &line), Desk::open(&local));
    let bucket = &local.account.services[web.role].bucket;
    local.ops.upload(bucket, "app.zip", pack("r1", Variant::Healthy).expect("a zip")).await.expect("an upload");
    let release = uuid::Uuid::new_v4().to_string();
    let parameters = json!({"serviceRole": web.role, "release": release, "pipeline": web.pipeline}).to_string();
    for (stage, inputs) in [
        ("provision", json!([])),
        ("deploy", artifact(bucket, "app.zip")),
        ("route", json!([])),
        ("cleanup", json!([])),
    ] {
        let end = desk.job(&local, stage, Some(&parameters), inputs, 2).await;
        assert!(matches!(end, Verdict::Succeeded(_)), "{stage}: {end:?}");
    }
    web.assert_alone(&release).await;
    assert_eq!(web.fleet(&release).len(), 2);
    let records = local.gateway.recorder().records();
    let effects = |operation: &str| -> Vec<_> {
        let of = records.iter().filter(|record| record.operation == operation && record.status == Some(200));
        of.map(|record| record.request.body.clone().unwrap_or_default()).collect()
    };
    // One launch for each subnet: a second call with the same token is answered with the first one's instances.
    assert_eq!(effects("RunInstances").into_iter().collect::<BTreeSet<_>>().len(), 2);
    assert_eq!(effects("CreateDeployment").len(), 1);
    // One call for each switch, or two with the same content.
    assert_eq!(effects("ModifyRule").into_iter().collect::<BTreeSet<_>>().len(), 2);
}
