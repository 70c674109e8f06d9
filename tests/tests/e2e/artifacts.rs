//! Artifacts that can't be installed: the failure has the agent's own words, and all is removed.

use serde_json::{Value, json};
use tagship_local::artifact::{Variant, pack};
use tagship_local::codepipeline::ARTIFACT_SECRET;
use tagship_local::leftovers::leftovers;
use tagship_local::up::{Line, Local};
use tagship_tests::desk::{Desk, Verdict, artifact};
use tagship_tests::leak::Ear;
use tagship_tests::releases::cloud;

/// An empty zip: the end-of-central-directory record alone.
const NOTHING: [u8; 22] = [b'P', b'K', 5, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// What of an artifact a service's deploy is told, and what it has to say.
struct Row {
    pipeline: &'static str,
    role: &'static str,
    /// None: nothing is uploaded.
    artifact: Option<Vec<u8>>,
    words: Vec<&'static str>,
}

async fn check(local: &Local, desk: &Desk, row: Row) {
    let Row { pipeline, role, artifact: body, words } = row;
    let bucket = &local.account.services[role].bucket;
    if let Some(body) = body {
        local.ops.upload(bucket, "app.zip", body).await.expect("an upload");
    }
    let release = uuid::Uuid::new_v4().to_string();
    let parameters = json!({"serviceRole": role, "release": release, "pipeline": pipeline});
    let job = async |stage: &str, inputs: Value| desk.job(local, stage, Some(&parameters.to_string()), inputs, 1).await;
    let provisioned = job("provision", json!([])).await;
    assert!(matches!(provisioned, Verdict::Succeeded(_)), "{role}: {provisioned:?}");
    let deployed = job("deploy", artifact(bucket, "app.zip")).await;
    let Verdict::Failed(kind, message) = deployed else { panic!("{role}: {deployed:?}") };
    assert_eq!(kind, "JobFailed", "{role}: {message}");
    for word in words.into_iter().chain([bucket.as_str(), "app.zip"]) {
        assert!(message.contains(word), "{role}: no {word:?} in {message}");
    }
    let mut discard = parameters.clone();
    discard["action"] = "discard".into();
    local.ops.invoke("tagship-cleanup", &json!({"tagship": discard})).await.expect("discarded");
    assert_eq!(leftovers(local, role, None).await.expect("an answer"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_installed_fails_with_the_reason() {
    let rows = [
        Row { pipeline: "none", role: "NONE_PRODUCT", artifact: None, words: vec!["doesn't exist"] },
        Row {
            pipeline: "bare",
            role: "BARE_PRODUCT",
            artifact: Some(NOTHING.to_vec()),
            words: vec!["did not find an AppSpec file", "appspec.yml", "i-"],
        },
        Row {
            pipeline: "hook",
            role: "HOOK_PRODUCT",
            artifact: Some(pack("r1", Variant::HookFails).expect("a zip")),
            words: vec!["AfterInstall", "scripts/prepare.sh", "migration 42: table users does not exist"],
        },
    ];
    let lines = (10..).zip(&rows).map(|(priority, row)| {
        let host = format!("{}.example.com", row.pipeline);
        Line::quick(row.pipeline, row.role, &host, priority)
    });
    let local = cloud(lines.collect()).await;
    let (desk, ear) = (Desk::open(&local), Ear::open(&local));
    let [none, bare, hook] = rows;
    tokio::join!(check(&local, &desk, none), check(&local, &desk, bare), check(&local, &desk, hook));
    ear.assert_no_leak(&local, &[ARTIFACT_SECRET], None);
}
