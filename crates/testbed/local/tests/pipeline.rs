//! infra/pipeline.yaml at work: uploads, jobs, approvals and ends, driven with the AWS CLI.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tagship_emulator::engine::Timings;
use tagship_emulator::template::{Stack, Template};
use tagship_local::codepipeline::{self, CodePipeline};
use tagship_local::events::{self, Events};
use tagship_local::gateway::Gateway;
use tagship_local::lambda::{self, Function, Lambda};
use tagship_local::moto::{self, Moto};
use tagship_local::setup::{REGION, ops_environment};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::broadcast;

const ACCOUNT: &str = "123456789012";
const BUCKET: &str = "mzum-web-releases-123456789012-us-east-1";

/// How soon a condition that is waited for is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A pipeline in the local cloud, with functions that do nothing but report.
struct Line {
    gateway: Gateway,
    events: Events,
    heard: broadcast::Receiver<Arc<Value>>,
    _moto: Moto,
    dir: TempDir,
}

impl Line {
    async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let moto = Moto::start().await.unwrap_or_else(|error| panic!("{error}"));
        let gateway = Gateway::start(moto.address()).await.expect("a gateway");
        let stage = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stage.py");
        let asked = dir.path().join("asked").display().to_string();
        let function = |name: &str| Function {
            name: format!("tagship-{name}"),
            program: "/usr/bin/env".into(),
            arguments: vec!["python3".into(), stage.clone().into()],
            caller: name.into(),
            environment: BTreeMap::from([("ASKED".to_owned(), asked.clone())]),
            timeout: Duration::from_secs(60),
            memory_mib: 128,
            retry_after: Vec::new(),
            on_failure: None,
        };
        let lambda = Lambda::start(lambda::Config {
            account: ACCOUNT.into(),
            region: REGION.into(),
            endpoint_url: gateway.url(),
            log_dir: dir.path().join("logs"),
            functions: ["provision", "deploy", "route", "cleanup"].map(function).into(),
        })
        .expect("a host");
        let parameters = [
            ("PipelineName", "mzum-web"),
            ("ServiceRole", "MZUM_WEB_PRODUCT"),
            ("TopicArn", "arn:aws:sns:us-east-1:123456789012:tagship"),
        ];
        let stack = Stack {
            name: "mzum-web".into(),
            account: ACCOUNT.into(),
            region: REGION.into(),
            parameters: parameters.map(|(key, value)| (key.into(), value.into())).into(),
            ..Stack::default()
        };
        let text = std::fs::read_to_string(tagship_local::setup::infra("pipeline.yaml")).expect("a file");
        let template = Template::read(&text, stack).expect("a template");
        let config = events::Config {
            account: ACCOUNT.into(),
            region: REGION.into(),
            endpoint_url: gateway.url(),
            rules: Vec::new(),
            schedule: None,
        };
        let events = Events::start(config, lambda.clone());
        events.keep(template.rules().expect("rules"));
        let config = codepipeline::Config {
            account: ACCOUNT.into(),
            region: REGION.into(),
            endpoint_url: gateway.url(),
            timings: Timings { reinvoke: Duration::from_millis(10), ..Timings::default() },
        };
        let codepipeline = CodePipeline::start(config, lambda.clone(), events.clone());
        codepipeline.keep(template.pipelines().expect("a pipeline"));
        gateway.serve("codepipeline", Arc::new(codepipeline));
        gateway.serve("events", Arc::new(events.clone()));
        gateway.serve("lambda", Arc::new(lambda));
        events.watch_uploads(&gateway);
        let heard = events.listen();
        let line = Self { gateway, events, heard, _moto: moto, dir };
        let bucket = format!("s3api create-bucket --bucket {BUCKET}");
        tokio::join!(line.aws("sns create-topic --name tagship"), line.aws(&bucket));
        line.aws(&format!("s3api put-bucket-versioning --bucket {BUCKET} --versioning-configuration Status=Enabled"))
            .await;
        line
    }

    /// What the AWS CLI answers.
    async fn try_aws(&self, arguments: &str) -> Result<Value, String> {
        let aws = moto::python().expect("a Python").with_file_name("aws");
        let output = Command::new(aws)
            .args(arguments.split(' '))
            .args(["--output", "json"])
            .envs(ops_environment(&self.gateway.url()))
            .current_dir(&self.dir)
            .output()
            .await
            .expect("the AWS CLI");
        if output.status.success() {
            Ok(serde_json::from_slice(&output.stdout).unwrap_or(Value::Null))
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    async fn aws(&self, arguments: &str) -> Value {
        self.try_aws(arguments).await.unwrap_or_else(|error| panic!("aws {arguments}: {error}"))
    }

    /// Uploads a release, and says which version it is.
    async fn upload(&self, content: &str) -> String {
        std::fs::write(self.dir.path().join("release.zip"), content).expect("a file");
        let put = self.aws(&format!("s3api put-object --bucket {BUCKET} --key release.zip --body release.zip")).await;
        put["VersionId"].as_str().expect("a version").to_owned()
    }

    /// Waits until an action (or with "" the execution) is in a state; says of which execution.
    async fn until(&mut self, action: &str, state: &str) -> String {
        loop {
            let event = self.heard.recv().await.expect("an event");
            let detail = &event["detail"];
            let pipeline_itself = detail.get("stage").is_none();
            let fits = if action.is_empty() { pipeline_itself } else { detail["action"] == action };
            if event["source"] == "aws.codepipeline" && fits && detail["state"] == state {
                return detail["execution-id"].as_str().expect("an id").to_owned();
            }
        }
    }

    /// The approval's latest run, as get-pipeline-state says it.
    async fn approval(&self, action: &str) -> Value {
        let state = self.aws("codepipeline get-pipeline-state --name mzum-web").await;
        let actions = state["stageStates"][1]["actionStates"].as_array().expect("actions").clone();
        let found = actions.into_iter().find(|it| it["actionName"] == action).expect("the action");
        found["latestExecution"].clone()
    }

    async fn answer(&self, action: &str, status: &str) {
        let token = self.approval(action).await["token"].as_str().expect("a token").to_owned();
        self.aws(&format!(
            "codepipeline put-approval-result --pipeline-name mzum-web --stage-name Release --action-name {action} \
             --result summary=looked,status={status} --token {token}"
        ))
        .await;
    }

    /// What the functions were asked so far, once there are `count` of them.
    async fn asked(&self, count: usize) -> Vec<Value> {
        loop {
            let text = std::fs::read_to_string(self.dir.path().join("asked")).unwrap_or_default();
            let asked: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
            if asked.len() >= count {
                return asked;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// How many calls of an operation the gateway saw, once there are `count`.
    async fn until_called(&self, caller: &str, service: &str, operation: &str, count: u64) {
        let key = (caller.to_owned(), service.to_owned(), operation.to_owned());
        while self.gateway.recorder().counts().get(&key).copied().unwrap_or_default() < count {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

fn job(function: &str, release: &str, action: Option<&str>, artifacts: &[&str], token: Option<&str>) -> Value {
    let mut job = json!({"serviceRole": "MZUM_WEB_PRODUCT", "release": release, "pipeline": "mzum-web"});
    if let Some(action) = action {
        job["action"] = action.into();
    }
    json!({"function": function, "job": job, "artifacts": artifacts, "token": token})
}

fn direct(function: &str, release: &str, action: &str) -> Value {
    let direct =
        json!({"serviceRole": "MZUM_WEB_PRODUCT", "release": release, "pipeline": "mzum-web", "action": action});
    json!({"function": function, "direct": direct})
}

fn sorted(mut asked: Vec<Value>) -> Vec<String> {
    asked.sort_by_key(Value::to_string);
    asked.iter().map(Value::to_string).collect()
}

#[tokio::test]
async fn an_upload_becomes_a_release_that_people_decide_on() {
    let mut line = Line::start().await;
    let version = line.upload("one").await;
    let first = line.until("QaApproval", "STARTED").await;
    line.answer("QaApproval", "Approved").await;
    line.until("FinalApproval", "STARTED").await;
    let pending = line.approval("FinalApproval").await;
    assert_eq!(pending["status"], "InProgress");
    line.answer("FinalApproval", "Approved").await;
    assert_eq!(line.until("", "SUCCEEDED").await, first);
    let flow = [
        job("provision", &first, None, &[&version], None),
        job("provision", &first, None, &[&version], Some("booting")),
        job("deploy", &first, None, &[&version], None),
        job("route", &first, Some("shift"), &[], None),
        job("cleanup", &first, Some("retire"), &[], None),
    ];
    assert_eq!(line.asked(5).await, flow);
    // The approvals' own texts.
    line.until_called("codepipeline", "sns", "Publish", 2).await;

    // Rejected: what ended early is rolled back and discarded.
    line.upload("two").await;
    let second = line.until("QaApproval", "STARTED").await;
    line.answer("QaApproval", "Rejected").await;
    assert_eq!(line.until("", "FAILED").await, second);
    let cleared = [direct("cleanup", &second, "discard"), direct("route", &second, "rollback")];
    assert_eq!(sorted(line.asked(10).await[8..].to_vec()), sorted(cleared.to_vec()));
    line.until_called("events", "sns", "Publish", 1).await;
    assert_eq!(line.approval("QaApproval").await["errorDetails"]["message"], "looked");

    // Started and stopped by hand.
    let started = line.aws("codepipeline start-pipeline-execution --name mzum-web").await;
    let third = line.until("QaApproval", "STARTED").await;
    assert_eq!(started["pipelineExecutionId"], *third);
    line.aws(&format!(
        "codepipeline stop-pipeline-execution --pipeline-name mzum-web --pipeline-execution-id {third} --abandon"
    ))
    .await;
    assert_eq!(line.until("", "STOPPED").await, third);
    let listed = line.aws("codepipeline list-pipeline-executions --pipeline-name mzum-web").await;
    let listed: Vec<_> = listed["pipelineExecutionSummaries"]
        .as_array()
        .expect("executions")
        .iter()
        .map(|it| (it["pipelineExecutionId"].clone(), it["status"].clone(), it["trigger"]["triggerType"].clone()))
        .collect();
    let expected = [
        (json!(third), json!("Stopped"), json!("StartPipelineExecution")),
        (json!(second), json!("Failed"), json!("CloudWatchEvent")),
        (json!(first), json!("Succeeded"), json!("CloudWatchEvent")),
    ];
    assert_eq!(listed, expected);
    let execution = line
        .aws(&format!("codepipeline get-pipeline-execution --pipeline-name mzum-web --pipeline-execution-id {first}"))
        .await;
    assert_eq!(execution["pipelineExecution"]["artifactRevisions"][0]["revisionId"], *version);

    // Rolled back with the console's button: a new execution, with what the target had.
    let listed =
        "codepipeline list-pipeline-executions --pipeline-name mzum-web --filter succeededInStage={stageName=Release}";
    let done = line.aws(listed).await["pipelineExecutionSummaries"].as_array().expect("executions").clone();
    assert_eq!(done.iter().map(|one| &one["pipelineExecutionId"]).collect::<Vec<_>>(), [&json!(first)]);
    let roll_back = |stage: &str, target: &str| {
        format!(
            "codepipeline rollback-stage --pipeline-name mzum-web --stage-name {stage} \
             --target-pipeline-execution-id {target}"
        )
    };
    let error = line.try_aws(&roll_back("Release", &second)).await.expect_err("it failed there");
    assert!(error.contains("UnableToRollbackStageException"), "{error}");
    let before = line.asked(0).await.len();
    let started = line.aws(&roll_back("Release", &first)).await;
    let fourth = line.until("QaApproval", "STARTED").await;
    assert_eq!(started["pipelineExecutionId"], *fourth);
    assert!(line.asked(before + 1).await.contains(&job("provision", &fourth, None, &[&version], None)));
    let execution = line
        .aws(&format!("codepipeline get-pipeline-execution --pipeline-name mzum-web --pipeline-execution-id {fourth}"))
        .await["pipelineExecution"]
        .clone();
    assert_eq!(execution["executionType"], "ROLLBACK");
    assert_eq!(execution["rollbackMetadata"]["rollbackTargetPipelineExecutionId"], *first);
    assert_eq!(execution["trigger"]["triggerType"], "ManualRollback");
}

#[tokio::test]
async fn what_cannot_be_is_refused_as_aws_does() {
    let mut line = Line::start().await;
    for (call, code) in [
        ("get-pipeline-state --name other", "PipelineNotFoundException"),
        ("put-job-success-result --job-id 01234567-0123-0123-0123-0123456789ab", "JobNotFoundException"),
        (
            "get-pipeline-execution --pipeline-name mzum-web \
             --pipeline-execution-id 01234567-0123-0123-0123-0123456789ab",
            "PipelineExecutionNotFoundException",
        ),
        (
            "put-approval-result --pipeline-name mzum-web --stage-name Release --action-name QaApproval \
             --result summary=s,status=Approved --token 01234567-0123-0123-0123-0123456789ab",
            "InvalidApprovalTokenException",
        ),
        (
            "start-pipeline-execution --name mzum-web --source-revisions \
          actionName=Other,revisionType=S3_OBJECT_VERSION_ID,revisionValue=v",
            "ValidationException",
        ),
    ] {
        let error = line.try_aws(&format!("codepipeline {call}")).await.expect_err(call);
        assert!(error.contains(code), "{call}: {error}");
    }
    // Nothing was uploaded: the source fails, and the message says what is missing.
    line.aws("codepipeline start-pipeline-execution --name mzum-web").await;
    line.until("", "FAILED").await;
    let state = line.aws("codepipeline get-pipeline-state --name mzum-web").await;
    let error = &state["stageStates"][0]["actionStates"][0]["latestExecution"]["errorDetails"];
    assert!(error["message"].as_str().expect("a message").contains("release.zip"), "{error}");
}

#[tokio::test]
async fn a_lost_event_is_made_good_by_release_abandoned() {
    let mut line = Line::start().await;
    line.events.set_deliveries(Arc::new(|_, event| usize::from(event["source"] != "aws.codepipeline")));
    line.aws("codepipeline start-pipeline-execution --name mzum-web").await;
    let lost = line.until("", "FAILED").await;
    let detail = json!({
        "service": "MZUM_WEB_PRODUCT", "release": lost, "pipeline": "mzum-web", "action": "discard",
        "stage": "provision", "message": "its execution failed", "elapsedSeconds": 1,
    });
    let entry = json!([{"Source": "tagship", "DetailType": "Release Abandoned", "Detail": detail.to_string()}]);
    std::fs::write(line.dir.path().join("entries"), entry.to_string()).expect("a file");
    let answer = line.aws("events put-events --entries file://entries").await;
    assert_eq!(answer["FailedEntryCount"], 0);
    let cleared = vec![direct("cleanup", &lost, "discard"), direct("route", &lost, "rollback")];
    assert_eq!(sorted(line.asked(2).await), sorted(cleared));
}
