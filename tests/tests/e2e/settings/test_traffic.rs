//! Test traffic: a rule that asks for a secret header leads to the candidate while there is one, else to what is live.

use serde_json::json;
use tagship_local::artifact::Variant;
use tagship_local::load::VERSION_HEADER;
use tagship_tests::releases::Releases;
use tagship_tests::words::says;

/// What the rule asks for in the header.
pub(super) const SECRET: &str = "a-secret-for-testers";

/// While `live` serves: a candidate is reached by the header alone, and no longer once it has been rejected.
pub(super) async fn reached_before_it_is_live(shop: Releases<'_>, host: &str, live: &str, candidate: &str) {
    let release = shop.upload(candidate, Variant::Healthy).await;
    shop.asked(&release, "QaApproval").await;
    let of = json!({"pipelineName": shop.pipeline, "filter": {"pipelineExecutionId": release}});
    let runs = shop.local.ops.pipeline("ListActionExecutions", of).await.expect("its runs");
    let mut runs = runs["actionExecutionDetails"].as_array().expect("runs").iter();
    let asked = runs.find(|run| run["actionName"] == "QaApproval").expect("it asks");
    // The listener at 443 speaks plain HTTP here.
    let text = asked["input"]["resolvedConfiguration"]["CustomData"].to_string();
    says("the approval", &text, &[&format!("http://{host}:443 with header x-tagship-test")]);
    assert!(!text.contains(SECRET), "the secret is told: {text}");
    let answers = async |secret: Option<&str>| {
        let balancer = shop.local.balancer.as_ref().expect("a balancer");
        let address = balancer.address(&shop.local.account.https_listener).await;
        let request = reqwest::Client::new().get(format!("http://{address}/")).header("host", host);
        let request = secret.into_iter().fold(request, |request, secret| request.header("x-tagship-test", secret));
        let response = request.send().await.expect("an answer");
        response.headers()[VERSION_HEADER].to_str().expect("a version").to_owned()
    };
    // The balancer's nodes hear of a change a moment later.
    while answers(Some(SECRET)).await != candidate {}
    assert_eq!(answers(Some("a-guess")).await, live);
    assert_eq!(answers(None).await, live);
    shop.reject(&release, "QaApproval").await;
    shop.ends(&release, "Failed", "discarded").await;
    assert_eq!(answers(Some(SECRET)).await, live);
}
