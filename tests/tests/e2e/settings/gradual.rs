//! Traffic that moves in steps, and what sends it back: an alarm in a step, an alarm while an approval is open, a
//! stop, more errors than the predecessor's.

use super::Service;
use super::test_traffic::reached_before_it_is_live;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tagship_local::artifact::Variant;
use tagship_local::state::{Action, InstanceState, Target, TargetState};
use tagship_tests::releases::Releases;
use tagship_tests::words::says;

pub(super) async fn traffic_in_steps(service: Service<'_>) {
    let shop = service.releases;
    let steps = |bake: u32| json!({"STEPS": [{"WEIGHT": 25, "BAKE": bake}, {"WEIGHT": 50, "BAKE": 1}]});
    let set = |bake, alarms: &str| {
        let changes = json!({"COUNT": 1, "SHIFT": steps(bake), "ALARMS": alarms, "COMPARE": true});
        service.set(&shop.offered(changes).to_string());
    };
    alarm(shop);
    set(1, "tag:tagship:service=STEPS_PRODUCT");
    let first = shop.succeed("g1").await;
    reached_before_it_is_live(shop, "steps.example.com", "g1", "tested").await;
    let second = every_step_is_seen(shop, &first).await;
    alarm_while_an_approval_is_open(shop, &second).await;
    set(600, "steps-5xx");
    alarm_in_a_step(shop, &second).await;
    stopped_in_a_step(shop, &second).await;
    compared_in_a_step(shop, &second).await;
}

/// The service's alarm, found by its tag.
fn alarm(shop: Releases<'_>) {
    shop.aws(&format!(
        "cloudwatch put-metric-alarm --alarm-name steps-5xx --namespace AWS/ApplicationELB --metric-name \
         HTTPCode_Target_5XX_Count --statistic Sum --period 60 --evaluation-periods 1 --threshold 10 \
         --comparison-operator GreaterThanThreshold --tags Key=tagship:service,Value={}",
        shop.role
    ));
    rings(shop, "OK");
}

fn rings(shop: Releases<'_>, state: &str) {
    shop.aws(&format!(
        "cloudwatch set-alarm-state --alarm-name steps-5xx --state-value {state} --state-reason by-hand"
    ));
}

/// The weights of a release's group and of the other, on every switch; none while the switches disagree.
fn weights(shop: Releases<'_>, release: &str) -> Option<(u32, u32)> {
    let fleet = shop.ids(release);
    let state = shop.local.states.borrow();
    let service = &shop.local.account.services[shop.role];
    let pair = &service.target_groups;
    let holds = |target: &Target| fleet.contains(&target.id) && target.state != TargetState::Draining;
    let own = state.target_groups.iter().find(|group| pair.contains(&group.arn) && group.targets.iter().any(holds))?;
    let rules = state.listeners.iter().flat_map(|listener| &listener.rules);
    let switches = rules.filter(|rule| service.rules.contains(&rule.arn));
    let forwards = switches.flat_map(|rule| &rule.actions).filter_map(|action| match action {
        Action::Forward { groups, .. } if groups.iter().any(|group| group.arn == own.arn) => Some(groups),
        _ => None,
    });
    let shares: BTreeSet<(u32, u32)> = forwards
        .map(|groups| {
            let of =
                |mine: bool| groups.iter().filter(|group| (group.arn == own.arn) == mine).map(|it| it.weight).sum();
            (of(true), of(false))
        })
        .collect();
    if shares.len() == 1 { shares.first().copied() } else { None }
}

async fn until_weights(shop: Releases<'_>, release: &str, wanted: (u32, u32)) {
    shop.local.until(|_| weights(shop, release) == Some(wanted)).await;
}

async fn every_step_is_seen(shop: Releases<'_>, first: &str) -> String {
    let second = shop.upload("g2", Variant::Healthy).await;
    shop.approve(&second, "QaApproval").await;
    until_weights(shop, &second, (25, 75)).await;
    until_weights(shop, &second, (50, 50)).await;
    until_weights(shop, &second, (100, 0)).await;
    shop.approve(&second, "FinalApproval").await;
    shop.ends(&second, "Succeeded", "approved").await;
    shop.reaches(first, InstanceState::Terminated).await;
    second
}

/// CloudWatch's event makes guard give the traffic back and stop the execution, so that nobody approves it.
async fn alarm_while_an_approval_is_open(shop: Releases<'_>, live: &str) {
    let release = shop.upload("g3", Variant::Healthy).await;
    shop.approve(&release, "QaApproval").await;
    shop.asked(&release, "FinalApproval").await;
    rings(shop, "ALARM");
    until_weights(shop, live, (100, 0)).await;
    shop.ends(&release, "Stopped", "discarded").await;
    rings(shop, "OK");
}

async fn alarm_in_a_step(shop: Releases<'_>, live: &str) {
    let release = shop.upload("g4", Variant::Healthy).await;
    shop.approve(&release, "QaApproval").await;
    until_weights(shop, &release, (25, 75)).await;
    rings(shop, "ALARM");
    let (_, message) = shop.fails(&release, "Route").await;
    says("g4", &message, &["alarm steps-5xx is in ALARM", "the traffic is back with", live]);
    shop.marked(&release, "discarded").await;
    rings(shop, "OK");
}

/// Without abandon: the action would go on to its end.
async fn stopped_in_a_step(shop: Releases<'_>, live: &str) {
    let release = shop.upload("g5", Variant::Healthy).await;
    shop.approve(&release, "QaApproval").await;
    until_weights(shop, &release, (25, 75)).await;
    let stop: Value = json!({"pipelineName": shop.pipeline, "pipelineExecutionId": release, "reason": "not now"});
    shop.local.ops.pipeline("StopPipelineExecution", stop).await.expect("stopped");
    until_weights(shop, live, (100, 0)).await;
    shop.marked(&release, "discarded").await;
}

/// By the balancer's own figures: no alarm rings. Users get its errors, and no request is lost.
async fn compared_in_a_step(shop: Releases<'_>, live: &str) {
    let load = shop.load("steps.example.com").await;
    let release = shop.upload("g6", Variant::Errs).await;
    shop.approve(&release, "QaApproval").await;
    let (_, message) = shop.fails(&release, "Route").await;
    says("g6", &message, &["the release fails more often than its predecessor", "the traffic is back with", live]);
    until_weights(shop, live, (100, 0)).await;
    shop.marked(&release, "discarded").await;
    let tally = load.stop().await;
    assert_eq!(tally.failures, []);
    assert!(tally.errors.contains_key("g6"), "nobody was hit: {tally:?}");
}
