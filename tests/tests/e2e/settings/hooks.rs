//! Hooks: functions of the team's own, which ask the release's instances before the first weight moves and after the last.

use super::Service;
use serde_json::{Value, json};
use tagship_local::artifact::Variant;
use tagship_tests::releases::Releases;
use tagship_tests::words::says;

/// The hook's function.
pub(super) const SMOKE_TEST: &str = "smoke-test";

pub(super) async fn hooks_decide(service: Service<'_>) {
    let shop = service.releases;
    let asks = |path: &str| json!([{"FUNCTION": SMOKE_TEST, "DETAILS": {"port": port(shop), "path": path}}]);
    let set = |before: Value, after: Value| {
        let changes = json!({"COUNT": 1, "HOOKS": {"BEFORE_SHIFT": before, "AFTER_SHIFT": after}});
        service.set(&shop.offered(changes).to_string());
    };
    set(asks("/"), asks("/"));
    let live = passed(shop).await;
    failed_before_the_shift(shop, &live).await;
    set(asks("/health"), asks("/"));
    failed_after_the_shift(shop, &live).await;
}

/// The port of the application.
fn port(shop: Releases<'_>) -> u16 {
    let state = shop.local.states.borrow();
    let pair = &shop.local.account.services[shop.role].target_groups;
    state.target_groups.iter().find(|group| pair.contains(&group.arn)).expect("a group").port
}

/// Each hook is called until it isn't IN_PROGRESS any more.
async fn passed(shop: Releases<'_>) -> String {
    let release = shop.upload("h1", Variant::Healthy).await;
    shop.succeeds(&release).await;
    let answers = answers(shop);
    let statuses: Vec<&str> = answers.iter().filter_map(|answer| answer["hookStatus"].as_str()).collect();
    assert_eq!(statuses, ["IN_PROGRESS", "SUCCEEDED", "IN_PROGRESS", "SUCCEEDED"]);
    assert!(answers.iter().all(|answer| answer["hookDetails"]["begun"].as_str().is_none_or(|of| of == release)));
    release
}

/// What the function has answered so far, as its own log has it.
fn answers(shop: Releases<'_>) -> Vec<Value> {
    let log = shop.local.logs().join(format!("{SMOKE_TEST}.log"));
    let log = std::fs::read_to_string(log).expect("a log");
    log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

async fn failed_before_the_shift(shop: Releases<'_>, live: &str) {
    let release = shop.upload("h2", Variant::Errs).await;
    shop.approve(&release, "QaApproval").await;
    let (_, message) = shop.fails(&release, "Route").await;
    says("h2", &message, &["hook smoke-test (BEFORE_SHIFT) has failed: it answered FAILED", "no traffic was moved"]);
    shop.marked(&release, "discarded").await;
    shop.assert_alone(live).await;
}

async fn failed_after_the_shift(shop: Releases<'_>, live: &str) {
    let release = shop.upload("h3", Variant::Errs).await;
    shop.approve(&release, "QaApproval").await;
    shop.goes_live(&release).await;
    let (_, message) = shop.fails(&release, "Route").await;
    says("h3", &message, &["hook smoke-test (AFTER_SHIFT) has failed", "the traffic is back with", live]);
    shop.marked(&release, "discarded").await;
    shop.assert_alone(live).await;
}
