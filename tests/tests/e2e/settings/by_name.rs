//! No load balancer: live is whom the name says. The artifact is found by its tag, in a bucket of the company's that
//! becomes versioned only later.

use super::Service;
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use tagship_local::artifact::{Variant, pack};
use tagship_local::state::InstanceState;
use tagship_tests::releases::Releases;
use tagship_tests::words::says;

const BUCKET: &str = "artifacts-of-the-company";

pub(super) async fn reached_by_name(service: Service<'_>) {
    let worker = service.releases;
    worker.aws(&format!("s3api create-bucket --bucket {BUCKET}"));
    let set = |kinds: Value| {
        let artifact = json!({"BUCKET": BUCKET, "PREFIX": "built/", "TAG": "release=candidate"});
        let changes = json!({"TARGET_GROUP": "none", "COUNT": 1, "INSTANCE_TYPE": kinds, "ARTIFACT": artifact});
        service.set(&worker.offered(changes).to_string());
    };
    build(worker, "w1", "candidate");
    build(worker, "w2", "experiment");

    set(json!(["m5.large", "m5.xlarge"]));
    told_where_there_is_no_room(worker).await;
    set(json!("t3.micro"));
    let first = kept_with_nothing_to_go_back_to(worker).await;
    let versioned = "--versioning-configuration Status=Enabled";
    worker.aws(&format!("s3api put-bucket-versioning --bucket {BUCKET} {versioned}"));
    build(worker, "w3", "candidate");
    gives_the_name_back(worker, &first).await;
}

/// Puts a build into the company's bucket.
fn build(worker: Releases<'_>, name: &str, tag: &str) {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join(name);
    std::fs::write(&file, pack(name, Variant::Healthy).expect("packed")).expect("written");
    let (key, file) = (format!("built/{name}.zip"), file.display());
    worker.aws(&format!("s3api put-object --bucket {BUCKET} --key {key} --body {file} --tagging release={tag}"));
}

/// Each type in each subnet is named with AWS's reason.
async fn told_where_there_is_no_room(worker: Releases<'_>) {
    let nowhere = worker.upload("w0", Variant::Healthy).await;
    let (_, message) = worker.fails(&nowhere, "Provision").await;
    says("w0", &message, &["InsufficientInstanceCapacity"]);
    for subnet in &worker.local.account.subnets {
        for kind in ["m5.large", "m5.xlarge"] {
            let told = message.lines().any(|line| line.contains(subnet) && line.contains(kind));
            assert!(told, "{subnet} {kind} in {message}");
        }
    }
    worker.marked(&nowhere, "discarded").await;
}

/// The first release ever is rejected when it is live: there is nothing to go back to.
async fn kept_with_nothing_to_go_back_to(worker: Releases<'_>) -> String {
    let first = worker.upload("unused", Variant::Healthy).await;
    worker.asked(&first, "QaApproval").await;
    assert_eq!((worker.named("candidate"), worker.named("live")), (worker.ips(&first), vec![]));
    assert_eq!(version_at(&worker.ips(&first)).await, "w1", "the newest with the tag");
    worker.approve(&first, "QaApproval").await;
    worker.asked(&first, "FinalApproval").await;
    assert_eq!(worker.named("live"), worker.ips(&first));
    worker.reject(&first, "FinalApproval").await;
    worker.ends(&first, "Failed", "kept").await;
    assert_eq!(worker.named("live"), worker.ips(&first));
    first
}

/// The next one is rejected when the name has moved: it moves back.
async fn gives_the_name_back(worker: Releases<'_>, first: &str) {
    let second = worker.upload("unused", Variant::Healthy).await;
    worker.asked(&second, "QaApproval").await;
    as_the_version_before_wrote_it(worker, &second).await;
    worker.approve(&second, "QaApproval").await;
    worker.asked(&second, "FinalApproval").await;
    assert_eq!(worker.named("live"), worker.ips(&second));
    assert_eq!(version_at(&worker.ips(&second)).await, "w3");
    worker.reject(&second, "FinalApproval").await;
    worker.ends(&second, "Failed", "discarded").await;
    assert_eq!(worker.named("live"), worker.ips(first));
    assert_eq!(version_at(&worker.ips(first)).await, "w1");
    worker.reaches(&second, InstanceState::Terminated).await;
}

/// A hold without the zone's id: route and cleanup look it up.
async fn as_the_version_before_wrote_it(worker: Releases<'_>, release: &str) {
    let mut hold = worker.held(release).await;
    let known = hold["settings"].as_object_mut().and_then(|settings| settings.remove("ZONE_ID"));
    assert!(known.is_some(), "{hold}");
    let (bucket, key) = (&worker.local.account.bucket, format!("holds/{}.json", worker.role));
    worker.local.ops.upload(bucket, &key, hold.to_string().into_bytes()).await.expect("written");
}

/// The version that the application there says.
async fn version_at(ips: &[Ipv4Addr]) -> String {
    let [ip] = ips else { panic!("one instance, not {ips:?}") };
    let answer = reqwest::get(format!("http://{ip}:8080/")).await.unwrap_or_else(|error| panic!("{error}"));
    answer.headers()["x-version"].to_str().expect("text").to_owned()
}
