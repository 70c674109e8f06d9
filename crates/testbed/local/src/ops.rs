//! What a person or a build server does with the cloud: uploads, approvals, questions. Through the gateway, as `ops`.

use crate::services::caller::{CallError, Caller};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::Duration;

/// Why a call didn't do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No answer.
    #[error("no answer: {0}")]
    Http(#[from] reqwest::Error),
    /// AWS's refusal.
    #[error("{operation}: {status}: {body}")]
    Refused {
        /// What was called.
        operation: String,
        /// HTTP status.
        status: StatusCode,
        /// AWS's words.
        body: String,
    },
    /// An answer that lacks what its shape says.
    #[error("{operation} answered without {what}")]
    Shape {
        /// What was called.
        operation: String,
        /// What is missing.
        what: &'static str,
    },
}

/// A person's view of the account.
#[derive(Clone, Debug)]
pub struct Ops(Caller);

/// How often a person looks whether something has happened.
const LOOK: Duration = Duration::from_millis(100);

impl Ops {
    /// Works through the gateway at `endpoint`.
    pub fn new(endpoint: &str, region: &str) -> Self {
        Self(Caller::new(endpoint, region, "ops"))
    }

    /// Uploads an object; answers its version.
    pub async fn upload(&self, bucket: &str, key: &str, body: Vec<u8>) -> Result<String, Error> {
        let request = self.0.http.put(format!("{}/{bucket}/{key}", self.0.endpoint_url)).body(body);
        let response = self.send("PutObject", "s3", request).await?;
        let version = response.headers().get("x-amz-version-id").and_then(|value| value.to_str().ok());
        Ok(version.unwrap_or_default().to_owned())
    }

    /// Deletes one version of an object; without one, puts a delete marker above them.
    pub async fn delete(&self, bucket: &str, key: &str, version: Option<&str>) -> Result<(), Error> {
        let query = version.map(|version| format!("?versionId={version}")).unwrap_or_default();
        let request = self.0.http.delete(format!("{}/{bucket}/{key}{query}", self.0.endpoint_url));
        self.send("DeleteObject", "s3", request).await.map(drop)
    }

    /// Reads an object; none if it isn't there.
    pub async fn object(&self, bucket: &str, key: &str) -> Result<Option<Value>, Error> {
        match self.send("GetObject", "s3", self.0.http.get(format!("{}/{bucket}/{key}", self.0.endpoint_url))).await {
            Ok(response) => Ok(Some(response.json().await?)),
            Err(Error::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Calls a JSON 1.1 operation, e.g. `CodePipeline_20150709.GetPipelineState`.
    pub async fn json(&self, service: &str, target: &str, body: Value) -> Result<Value, Error> {
        let request = self
            .0
            .http
            .post(&self.0.endpoint_url)
            .header("x-amz-target", target)
            .header("content-type", "application/x-amz-json-1.1")
            .body(body.to_string());
        Ok(self.send(target, service, request).await?.json().await?)
    }

    /// Calls an operation of EC2 or Elastic Load Balancing by its query parameters; answers the XML.
    pub async fn query(&self, service: &str, action: &str, parameters: &[(&str, &str)]) -> Result<String, Error> {
        let version = if service == "ec2" { "2016-11-15" } else { "2015-12-01" };
        let form: Vec<_> =
            [("Action", action), ("Version", version)].into_iter().chain(parameters.iter().copied()).collect();
        let request = self.0.http.post(&self.0.endpoint_url).form(&form);
        Ok(self.send(action, service, request).await?.text().await?)
    }

    /// Invokes a function and waits for its answer; a function error is the error.
    pub async fn invoke(&self, function: &str, event: &Value) -> Result<Value, Error> {
        let url = format!("{}/2015-03-31/functions/{function}/invocations", self.0.endpoint_url);
        let response = self.send("Invoke", "lambda", self.0.http.post(url).body(event.to_string())).await?;
        let failed = response.headers().contains_key("x-amz-function-error");
        let status = response.status();
        let body = response.text().await?;
        if failed {
            return Err(Error::Refused { operation: format!("Invoke {function}"), status, body });
        }
        Ok(serde_json::from_str(&body).unwrap_or(Value::Null))
    }

    /// Asks CodePipeline.
    pub async fn pipeline(&self, operation: &str, body: Value) -> Result<Value, Error> {
        self.json("codepipeline", &format!("CodePipeline_20150709.{operation}"), body).await
    }

    /// The pipeline's executions, newest first: id and status.
    pub async fn executions(&self, pipeline: &str) -> Result<Vec<(String, String)>, Error> {
        let answer = self.pipeline("ListPipelineExecutions", json!({"pipelineName": pipeline})).await?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let summaries = answer["pipelineExecutionSummaries"].as_array().cloned().unwrap_or_default();
        Ok(summaries.iter().map(|each| (text(&each["pipelineExecutionId"]), text(&each["status"]))).collect())
    }

    /// Uploads a release and answers the execution that it started.
    pub async fn release(&self, pipeline: &str, bucket: &str, artifact: Vec<u8>) -> Result<String, Error> {
        let before = self.executions(pipeline).await?;
        self.upload(bucket, "release.zip", artifact).await?;
        loop {
            let new =
                self.executions(pipeline).await?.into_iter().find(|(id, _)| !before.iter().any(|(old, _)| old == id));
            if let Some((id, _)) = new {
                return Ok(id);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The state of one action of an execution that is in the release stage: status, summary, token.
    pub async fn action(&self, pipeline: &str, action: &str) -> Result<Value, Error> {
        let state = self.pipeline("GetPipelineState", json!({"name": pipeline})).await?;
        let stages = state["stageStates"].as_array().cloned().unwrap_or_default();
        let found = stages.iter().flat_map(|stage| {
            let execution = stage["latestExecution"]["pipelineExecutionId"].clone();
            stage["actionStates"].as_array().cloned().unwrap_or_default().into_iter().map(move |mut state| {
                state["execution"] = execution.clone();
                state
            })
        });
        let missing = Error::Shape { operation: "GetPipelineState".to_owned(), what: "the action" };
        found.into_iter().find(|state| state["actionName"] == action).ok_or(missing)
    }

    /// What the functions' actions failed with last, each after `; `; empty if none has failed.
    pub async fn failures(&self, pipeline: &str) -> Result<String, Error> {
        let mut words = String::new();
        for action in ["Provision", "Deploy", "Route", "Cleanup"] {
            let latest = self.action(pipeline, action).await?["latestExecution"].clone();
            if let Some(error) = latest["errorDetails"]["message"].as_str() {
                let _ = write!(words, "; {action}: {error}");
            }
        }
        Ok(words)
    }

    /// Waits for an execution's approval to be asked for. False if the execution ends before it is.
    pub async fn await_approval(&self, pipeline: &str, execution: &str, action: &str) -> Result<bool, Error> {
        loop {
            let state = self.action(pipeline, action).await?;
            if state["execution"] == execution && state["latestExecution"]["token"].is_string() {
                return Ok(true);
            }
            if self.ended(pipeline, execution).await?.is_some() {
                return Ok(false);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Answers an approval that is asked for.
    pub async fn answer(&self, pipeline: &str, action: &str, approve: bool, words: &str) -> Result<(), Error> {
        let state = self.action(pipeline, action).await?;
        let status = if approve { "Approved" } else { "Rejected" };
        let body = json!({
            "pipelineName": pipeline, "stageName": "Release", "actionName": action,
            "token": state["latestExecution"]["token"], "result": {"status": status, "summary": words},
        });
        self.pipeline("PutApprovalResult", body).await.map(drop)
    }

    /// How an execution ended; none while it runs.
    pub async fn ended(&self, pipeline: &str, execution: &str) -> Result<Option<String>, Error> {
        let body = json!({"pipelineName": pipeline, "pipelineExecutionId": execution});
        let answer = self.pipeline("GetPipelineExecution", body).await?;
        let status = answer["pipelineExecution"]["status"].as_str().unwrap_or_default().to_owned();
        Ok((!matches!(status.as_str(), "InProgress" | "Stopping")).then_some(status))
    }

    /// Waits for an execution's end; answers its status.
    pub async fn await_end(&self, pipeline: &str, execution: &str) -> Result<String, Error> {
        loop {
            if let Some(status) = self.ended(pipeline, execution).await? {
                return Ok(status);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn send(
        &self,
        operation: &str,
        service: &str,
        request: reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, Error> {
        self.0.send(request, service).await.map_err(|error| match error {
            CallError::Http(error) => Error::Http(error),
            CallError::Status { status, body } => Error::Refused { operation: operation.to_owned(), status, body },
        })
    }
}
