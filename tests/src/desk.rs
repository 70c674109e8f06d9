//! Jobs without a pipeline: events as CodePipeline sends them, their reports read where it reads them.

use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tagship_local::Local;
use tagship_local::codepipeline::{ARTIFACT_SECRET, CodePipeline};
use tagship_local::lambda::FunctionError;
use tagship_local::service::{Answer, Service};
use tokio::sync::mpsc;

/// CodePipeline, with jobs of our own beside its pipelines' jobs.
#[derive(Debug)]
pub struct Desk {
    pipelines: CodePipeline,
    /// Who waits for a job's reports.
    jobs: Mutex<BTreeMap<String, mpsc::UnboundedSender<Value>>>,
    /// How the executions stand that these jobs are of, by the release that they name.
    executions: Mutex<BTreeMap<String, &'static str>>,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// With this summary.
    Succeeded(String),
    /// With this failure type and message.
    Failed(String, String),
}

impl Desk {
    /// Answers for CodePipeline from now on.
    pub fn open(local: &Local) -> Arc<Self> {
        let desk =
            Arc::new(Self { pipelines: local.pipelines.clone(), jobs: Mutex::default(), executions: Mutex::default() });
        local.gateway.serve("codepipeline", desk.clone());
        desk
    }

    /// Sends a job to a function, `times` at once, and again for each continuation token; answers how it
    /// ended. Duplicates that come to another end are a failure of the test.
    pub async fn job(
        &self,
        local: &Local,
        stage: &str,
        parameters: Option<&str>,
        inputs: Value,
        times: usize,
    ) -> Verdict {
        self.stands(parameters, "InProgress");
        let mut continuation = Value::Null;
        loop {
            let id = uuid::Uuid::new_v4().to_string();
            let (sender, mut reports) = mpsc::unbounded_channel();
            self.jobs.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), sender);
            let function = format!("tagship-{stage}");
            let event = event(&function, &id, parameters, &inputs, &continuation).to_string();
            for _ in 0..times {
                assert!(local.lambda.invoke_event(&function, event.clone().into()), "no function {function}");
            }
            let mut told = Vec::new();
            while told.len() < times {
                told.extend(reports.recv().await);
            }
            let ends = told.iter().filter_map(verdict).collect::<Vec<_>>();
            match (ends.first(), told.iter().find(|report| report["continuationToken"].is_string())) {
                (Some(end), _) => {
                    let alike = |other: &&Verdict| std::mem::discriminant(*other) == std::mem::discriminant(end);
                    assert!(ends.iter().all(|other| alike(&other)), "one event, two ends: {ends:?}");
                    if let Verdict::Failed(..) = end {
                        self.stands(parameters, "Failed");
                    }
                    return end.clone();
                }
                (None, Some(report)) => continuation = report["continuationToken"].clone(),
                (None, None) => panic!("{function} reported {told:?}"),
            }
        }
    }
}

impl Desk {
    /// The execution that the job's parameters name stands so from now on.
    fn stands(&self, parameters: Option<&str>, status: &'static str) {
        let parameters: Value = parameters.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        if let Some(release) = parameters["release"].as_str() {
            let mut executions = self.executions.lock().unwrap_or_else(PoisonError::into_inner);
            executions.insert(release.to_owned(), status);
        }
    }

    /// Invokes a function with an event as it is; answers what it said, and how it reported the event's job.
    pub async fn deliver(
        &self,
        local: &Local,
        function: &str,
        event: &Value,
    ) -> (Result<Bytes, FunctionError>, Option<Verdict>) {
        let job = &event["CodePipeline.job"];
        self.stands(job["data"]["actionConfiguration"]["configuration"]["UserParameters"].as_str(), "InProgress");
        // What comes directly comes of an execution's end.
        if let Some(direct) = event.get("tagship").filter(|direct| direct.is_object()) {
            let status = if direct["action"] == "retire" { "Succeeded" } else { "Failed" };
            self.stands(Some(&direct.to_string()), status);
        }
        let id = job["id"].as_str().unwrap_or_default().to_owned();
        let (sender, mut reports) = mpsc::unbounded_channel();
        // What comes directly is no job: nothing is reported of it.
        if !id.is_empty() {
            self.jobs.lock().unwrap_or_else(PoisonError::into_inner).insert(id, sender);
        }
        let answer = local.lambda.invoke(&format!("tagship-{function}"), event.to_string().into()).await;
        let report = reports.try_recv().ok();
        (answer.expect("a function"), report.as_ref().and_then(verdict))
    }
}

fn verdict(report: &Value) -> Option<Verdict> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let failure = &report["failureDetails"];
    if failure.is_object() {
        return Some(Verdict::Failed(text(&failure["type"]), text(&failure["message"])));
    }
    let done = report["continuationToken"].is_null();
    done.then(|| Verdict::Succeeded(text(&report["executionDetails"]["summary"])))
}

fn event(function: &str, id: &str, parameters: Option<&str>, inputs: &Value, continuation: &Value) -> Value {
    let mut configuration = json!({"FunctionName": function});
    if let Some(parameters) = parameters {
        configuration["UserParameters"] = json!(parameters);
    }
    let mut data = json!({
        "actionConfiguration": {"configuration": configuration},
        "inputArtifacts": inputs,
        "outputArtifacts": [],
        "artifactCredentials": {
            "accessKeyId": ARTIFACT_SECRET,
            "secretAccessKey": ARTIFACT_SECRET,
            "sessionToken": ARTIFACT_SECRET,
            "expirationTime": 1_795_429_800_000_i64,
        },
    });
    if !continuation.is_null() {
        data["continuationToken"] = continuation.clone();
    }
    json!({"CodePipeline.job": {"id": id, "accountId": "123456789012", "data": data}})
}

/// An input artifact of a job.
pub fn artifact(bucket: &str, key: &str) -> Value {
    json!([{
        "location": {"s3Location": {"bucketName": bucket, "objectKey": key}, "type": "S3"},
        "revision": null,
        "name": "App",
    }])
}

impl Service for Desk {
    fn call<'a>(&'a self, caller: &'a str, operation: &'a str, body: Value) -> Answer<'a> {
        let job = body["jobId"].as_str().unwrap_or_default();
        let ours = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).get(job).cloned();
        let execution = body["pipelineExecutionId"].as_str().unwrap_or_default();
        let status = self.executions.lock().unwrap_or_else(PoisonError::into_inner).get(execution).copied();
        if let Some(status) = status.filter(|_| operation == "GetPipelineExecution") {
            let told = json!({"pipelineExecution": {"pipelineExecutionId": execution, "status": status}});
            return Box::pin(std::future::ready(Ok(told)));
        }
        match ours {
            Some(sender) => Box::pin(async move {
                // The report of a duplicate comes when nobody listens any more.
                let _ = sender.send(body);
                Ok(Value::Null)
            }),
            None => self.pipelines.call(caller, operation, body),
        }
    }
}
