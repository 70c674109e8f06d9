//! Processes that die: functions in the middle of a change, instances in the middle of the watch.

use std::collections::BTreeSet;
use std::time::Duration;
use tagship_local::artifact::Variant;
use tagship_local::codepipeline::ARTIFACT_SECRET;
use tagship_local::setup::REGION;
use tagship_local::{Line, Local, Plan};
use tagship_tests::death::{Death, Sentence};
use tagship_tests::leak::Ear;
use tagship_tests::notices;
use tagship_tests::releases::{Releases, cloud, start};
use tagship_tests::words::says;

const fn after(function: &'static str, service: &'static str, operation: &'static str, nth: u64) -> Death {
    Death { function, service, operation, nth }
}

fn line() -> Line {
    Line::quick("web", "WEB_PRODUCT", "web.example.com", 10)
}

/// A cloud whose Lambda retries soon.
async fn mortal() -> Local {
    let retry_after = vec![Duration::from_millis(300); 2];
    start(Plan { retry_after, ..Plan::new(vec![line()]) }).await
}

fn sentence(local: &Local, deaths: &[Death]) -> Vec<Sentence> {
    deaths.iter().map(|death| death.await_at(local)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_release_survives_its_functions() {
    let (local, line) = (mortal().await, line());
    let (web, ear) = (Releases::of(&local, &line), Ear::open(&local));
    // Lambda tries an invocation three times: each may die twice.
    let releases = [
        vec![
            after("provision", "s3", "PutObject", 1),
            after("provision", "ec2", "RunInstances", 1),
            after("deploy", "codedeploy", "UpdateDeploymentGroup", 1),
            after("deploy", "codedeploy", "CreateDeployment", 1),
            after("route", "s3", "PutObject", 1),
            after("route", "codepipeline", "PutJobSuccessResult", 1),
            after("cleanup", "s3", "PutObject", 1),
            after("cleanup", "s3", "DeleteObject", 1),
        ],
        vec![
            after("provision", "ec2", "RunInstances", 2),
            after("provision", "route53", "ChangeResourceRecordSets", 1),
            after("deploy", "elasticloadbalancing", "RegisterTargets", 1),
            after("route", "elasticloadbalancing", "ModifyRule", 1),
            after("route", "elasticloadbalancing", "ModifyRule", 2),
            after("cleanup", "elasticloadbalancing", "DeregisterTargets", 1),
            after("cleanup", "ec2", "TerminateInstances", 1),
        ],
    ];
    let mut load = None;
    for (n, deaths) in releases.iter().enumerate() {
        let sentences = sentence(&local, deaths);
        let version = format!("r{}", n + 1);
        let release = web.succeed(&version).await;
        web.assert_alone(&release).await;
        sentences.iter().for_each(Sentence::assert_carried_out);
        assert_eq!(web.fleet(&release).len(), 2, "a release that dies launches no second fleet");
        if load.is_none() {
            load = Some(web.load("web.example.com").await);
        }
    }
    assert_eq!(load.expect("load").stop().await.failures, []);
    ear.assert_no_leak(&local, &[ARTIFACT_SECRET], None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_release_is_rolled_back_whoever_dies() {
    let (local, line) = (mortal().await, line());
    let (web, ear) = (Releases::of(&local, &line), Ear::open(&local));
    let r1 = web.succeed("r1").await;
    let load = web.load("web.example.com").await;
    let r2 = web.upload("r2", Variant::Healthy).await;
    web.asked(&r2, "QaApproval").await;
    let moving = sentence(&local, &[after("route", "s3", "PutObject", 2)]);
    web.approve(&r2, "QaApproval").await;
    web.asked(&r2, "FinalApproval").await;
    moving.iter().for_each(Sentence::assert_carried_out);
    let sentences = sentence(
        &local,
        &[
            after("route", "elasticloadbalancing", "ModifyRule", 1),
            after("cleanup", "elasticloadbalancing", "DeregisterTargets", 1),
            after("cleanup", "ec2", "TerminateInstances", 1),
        ],
    );
    web.reject(&r2, "FinalApproval").await;
    web.ends(&r2, "Failed", "discarded").await;
    sentences.iter().for_each(Sentence::assert_carried_out);
    web.assert_alone(&r1).await;
    assert_eq!(load.stop().await.failures, []);
    ear.assert_no_leak(&local, &[ARTIFACT_SECRET], None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_function_always_dies_fails_at_once_and_people_are_told() {
    let (local, line) = (mortal().await, line());
    let (web, mut ear) = (Releases::of(&local, &line), Ear::open(&local));
    // Lambda tries three times.
    let sentences: Vec<_> = (1..=3).map(|nth| after("deploy", "s3", "GetObject", nth).await_at(&local)).collect();
    let release = web.upload("r1", Variant::Healthy).await;
    let (kind, message) = web.fails(&release, "Deploy").await;
    sentences.iter().for_each(Sentence::assert_carried_out);
    assert_eq!(kind, "SystemUnavailable");
    says("deploy", &message, &["function tagship-deploy was tried 3 times for deploy", "Look at its log, for request"]);
    web.marked(&release, "discarded").await;
    let told = ear
        .events()
        .iter()
        .any(|event| event["detail-type"] == "Stage Failed" && event["detail"]["message"] == message);
    assert!(told, "no event tells it");
    ear.assert_no_leak(&local, &[ARTIFACT_SECRET], None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_dies_in_the_watch_sends_the_traffic_back() {
    // Long enough for the health check to see it, and shorter than a person would take.
    let mut line = line();
    line.settings["TIMEOUTS"]["WATCH"] = 15.into();
    line.settings["TOPIC"] = format!("arn:aws:sns:{REGION}:123456789012:tagship").into();
    let local = cloud(vec![line.clone()]).await;
    notices::may_be_told(&local, &line.product.service_role);
    let (web, mut ear) = (Releases::of(&local, &line), Ear::open(&local));
    let r1 = web.succeed("r1").await;
    let r2 = web.upload("r2", Variant::Healthy).await;
    web.approve(&r2, "QaApproval").await;
    web.goes_live(&r2).await;
    let victim = web.fleet(&r2).swap_remove(0).id;
    local.unplug(&victim);
    web.ends(&r2, "Failed", "discarded").await;
    let (kind, message) = web.failures(&r2).await["Route"].clone();
    assert_eq!(kind, "JobFailed");
    says("route", &message, &[&victim, "back"]);
    web.assert_alone(&r1).await;

    // People are told, and what needs them stands out.
    let events = ear.events().iter().filter(|event| event["source"] == "tagship");
    let events: Vec<_> = events.collect();
    let kinds: BTreeSet<_> = events.iter().filter_map(|event| event["detail-type"].as_str()).collect();
    assert_eq!(kinds, BTreeSet::from(["Release Rolled Back", "Stage Failed", "Stage Succeeded"]));
    for event in &events {
        notices::told(&local, event).await;
    }
    let own = notices::messages(&local).into_iter().filter(|message| message.caller == "route");
    let own: Vec<_> = own.map(|message| (message.subject.unwrap_or_default(), message.text)).collect();
    for (subject, release, words) in [
        ("ok: web-product shift of", &r1, "What to do next: Watch it."),
        ("FAILED: web-product shift of", &r2, "What to do next: Correct what the message names."),
        ("ROLLED BACK: web-product rollback of", &r2, "What to do next: Nothing urgent: the previous release serves."),
    ] {
        let subject = format!("{subject} {}", &release[..8]);
        let (_, text) = own.iter().find(|(found, _)| *found == subject).unwrap_or_else(|| panic!("{subject}: {own:?}"));
        let link = format!(
            "https://{REGION}.console.aws.amazon.com/codesuite/codepipeline/pipelines/web/executions/{release}"
        );
        says(&subject, text, &[&subject, words, &link]);
    }
}
