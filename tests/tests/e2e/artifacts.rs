//! Artifacts that can't be installed: the failure has the agent's own words, and all is removed.

use serde_json::{Value, json};
use std::time::Duration;
use tagship_local::artifact::{Variant, pack};
use tagship_local::codepipeline::ARTIFACT_SECRET;
use tagship_local::gateway::{Effect, Fault, When};
use tagship_local::leftovers::leftovers;
use tagship_local::{Line, Local};
use tagship_tests::desk::{Desk, Verdict, artifact};
use tagship_tests::leak::Ear;
use tagship_tests::releases::cloud;
use tagship_tests::stories::{Story, tell};
use tagship_tests::words::says;

/// An empty zip: the end-of-central-directory record alone.
const NOTHING: [u8; 22] = [b'P', b'K', 5, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// What of an artifact a service's deploy is told, and what it has to say.
struct Row {
    pipeline: &'static str,
    role: &'static str,
    /// None: nothing is uploaded.
    artifact: Option<Vec<u8>>,
    deleted: Deleted,
    words: Vec<&'static str>,
}

/// What becomes of the artifact.
#[derive(Clone, Copy, PartialEq)]
enum Deleted {
    Not,
    /// Before deploy looks for it.
    Before,
    /// Its only version, after deploy has chosen it and before it is installed.
    Chosen,
}

async fn check(local: &Local, desk: &Desk, row: Row) {
    let Row { pipeline, role, artifact: body, deleted, words } = row;
    let bucket = &local.account.services[role].bucket;
    let mut version = String::new();
    if let Some(body) = body {
        version = local.ops.upload(bucket, "app.zip", body).await.expect("an upload");
    }
    if deleted == Deleted::Before {
        local.ops.delete(bucket, "app.zip", None).await.expect("deleted");
    }
    let release = uuid::Uuid::new_v4().to_string();
    let parameters = json!({"serviceRole": role, "release": release, "pipeline": pipeline});
    let job = async |stage: &str, inputs: Value| desk.job(local, stage, Some(&parameters.to_string()), inputs, 1).await;
    let provisioned = job("provision", json!([])).await;
    assert!(matches!(provisioned, Verdict::Succeeded(_)), "{role}: {provisioned:?}");
    let deploy = job("deploy", artifact(bucket, "app.zip"));
    let loses = async {
        if deleted == Deleted::Chosen {
            // Nothing is installed before the version that was chosen is gone.
            let fault = local.gateway.faults().add(Fault {
                caller: Some("deploy".to_owned()),
                service: "codedeploy".to_owned(),
                operation: Some("CreateDeployment".to_owned()),
                when: When::Always,
                effect: Effect::error("ThrottlingException", "Rate exceeded"),
            });
            let hold = format!("holds/{role}.json");
            let chosen = async || local.ops.object(&local.account.bucket, &hold).await.expect("an answer");
            while chosen().await.is_none_or(|hold| hold["artifact"]["version"] != *version) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            local.ops.delete(bucket, "app.zip", Some(&version)).await.expect("deleted");
            local.gateway.faults().remove(fault);
        }
    };
    let (deployed, ()) = tokio::join!(deploy, loses);
    let Verdict::Failed(kind, message) = deployed else { panic!("{role}: {deployed:?}") };
    assert_eq!(kind, "JobFailed", "{role}: {message}");
    let version = if deleted == Deleted::Chosen { version.as_str() } else { "version" };
    says(role, &message, &[&words[..], &[bucket, "app.zip", version]].concat());
    let mut discard = parameters.clone();
    discard["action"] = "discard".into();
    local.ops.invoke("tagship-cleanup", &json!({"tagship": discard})).await.expect("discarded");
    assert_eq!(leftovers(local, role, None).await.expect("an answer"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_installed_fails_with_the_reason() {
    let rows = [
        Row {
            pipeline: "none",
            role: "NONE_PRODUCT",
            artifact: None,
            deleted: Deleted::Not,
            words: vec!["doesn't exist: its newest version was looked for, and there is none"],
        },
        Row {
            pipeline: "gone",
            role: "GONE_PRODUCT",
            artifact: Some(NOTHING.to_vec()),
            deleted: Deleted::Before,
            words: vec!["doesn't exist any more", "is a delete marker"],
        },
        Row {
            pipeline: "lost",
            role: "LOST_PRODUCT",
            artifact: Some(NOTHING.to_vec()),
            deleted: Deleted::Chosen,
            words: vec!["i-"],
        },
        Row {
            pipeline: "bare",
            role: "BARE_PRODUCT",
            artifact: Some(NOTHING.to_vec()),
            deleted: Deleted::Not,
            words: vec!["did not find an AppSpec file", "appspec.yml", "i-"],
        },
        Row {
            pipeline: "hook",
            role: "HOOK_PRODUCT",
            artifact: Some(pack("r1", Variant::HookFails).expect("a zip")),
            deleted: Deleted::Not,
            words: vec!["AfterInstall", "scripts/prepare.sh", "migration 42: table users does not exist"],
        },
    ];
    let lines = (10..).zip(&rows).map(|(priority, row)| {
        let host = format!("{}.example.com", row.pipeline);
        Line::quick(row.pipeline, row.role, &host, priority)
    });
    let local = cloud(lines.collect()).await;
    let (desk, ear) = (Desk::open(&local), Ear::open(&local));
    let (local, desk) = (&local, &*desk);
    let stories = rows.map(|row| -> Story<'_> { (row.pipeline, Box::new(|on| on.block_on(check(local, desk, row)))) });
    tell(stories.into());
    ear.assert_no_leak(local, &[ARTIFACT_SECRET], None);
}
