//! Each function's own way to say that a job failed, an artifact that isn't there, and a release that waits for one that
//! nobody ends and is then stopped while it is being installed.

use super::Service;
use serde_json::{Value, json};
use tagship_local::artifact::Variant;
use tagship_local::leftovers::leftovers;
use tagship_tests::desk::{Desk, Verdict, artifact};
use tagship_tests::releases::{LOOK, Releases};
use tagship_tests::words::says;

/// The release of the jobs without a pipeline, as CodePipeline writes an execution.
const JOB: &str = "00000000-0000-4000-8000-000000000001";

pub(super) async fn jobs_that_fail(service: Service<'_>) {
    let jobs = service.releases;
    service.set(&jobs.offered(json!({"COUNT": 1})).to_string());
    let desk = Desk::open(jobs.local);
    for stage in ["provision", "deploy", "route", "cleanup"] {
        let verdict = desk.job(jobs.local, stage, Some("{}"), json!([]), 1).await;
        assert!(matches!(&verdict, Verdict::Failed(kind, _) if kind == "ConfigurationError"), "{stage}: {verdict:?}");
    }
    holds_without_a_pipeline(jobs, &desk, JOB).await;
    stopped_while_it_is_installed(jobs, JOB).await;
    assert_eq!(leftovers(jobs.local, jobs.role, None).await.expect("an answer"), Vec::<String>::new());
}

/// A release that no pipeline knows of, and whose artifact nobody uploaded.
async fn holds_without_a_pipeline(jobs: Releases<'_>, desk: &Desk, release: &str) {
    let parameters = json!({"serviceRole": jobs.role, "release": release, "pipeline": jobs.pipeline}).to_string();
    let provisioned = desk.job(jobs.local, "provision", Some(&parameters), json!([]), 1).await;
    assert!(matches!(provisioned, Verdict::Succeeded(_)), "{provisioned:?}");
    let nothing = artifact(&jobs.local.account.services[jobs.role].bucket, "nothing.zip");
    let deployed = desk.job(jobs.local, "deploy", Some(&parameters), nothing, 1).await;
    let Verdict::Failed(_, message) = deployed else { panic!("{deployed:?}") };
    says(release, &message, &["doesn't exist"]);
}

/// It has the holder discarded, and its own deployment is stopped with it.
async fn stopped_while_it_is_installed(jobs: Releases<'_>, holder: &str) {
    let stopped = jobs.upload("j2", Variant::SlowStart(600)).await;
    jobs.marked(holder, "discarded").await;
    while installing(jobs).await.is_empty() {
        tokio::time::sleep(LOOK).await;
    }
    let stop = json!({"pipelineName": jobs.pipeline, "pipelineExecutionId": stopped, "abandon": true});
    jobs.local.ops.pipeline("StopPipelineExecution", stop).await.expect("stopped");
    jobs.marked(&stopped, "discarded").await;
    assert_eq!(installing(jobs).await, Vec::<Value>::new());
}

/// The service's deployments in progress.
async fn installing(jobs: Releases<'_>) -> Vec<Value> {
    let asked = json!({
        "applicationName": jobs.pipeline, "deploymentGroupName": jobs.role, "includeOnlyStatuses": ["InProgress"],
    });
    let listed = jobs.local.ops.json("codedeploy", "CodeDeploy_20141006.ListDeployments", asked).await;
    listed.expect("a list")["deployments"].as_array().cloned().unwrap_or_default()
}
