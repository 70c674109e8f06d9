//! CodePipeline's JSON API: what is asked, and of which pipeline.

use super::view::{present, seconds};
use super::{CodePipeline, Line};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tagship_cloud::service::{Answer, Service, ServiceError};
use tagship_emulator::engine::Closed;
use tagship_emulator::execution::{Execution, Override, Status, Trigger};
use tagship_emulator::refusal::Refusal;
use tagship_emulator::report::{Failure, Success};

impl Service for CodePipeline {
    fn call<'a>(&'a self, caller: &'a str, operation: &'a str, body: Value) -> Answer<'a> {
        Box::pin(async move { self.answer(caller, operation, body) })
    }
}

fn refused(refusal: Refusal) -> ServiceError {
    ServiceError::client(refusal.code(), refusal.to_string())
}

fn read<T: DeserializeOwned>(body: Value) -> Result<T, ServiceError> {
    serde_json::from_value(body).map_err(|error| ServiceError::client("ValidationException", error.to_string()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JobSuccess {
    job_id: String,
    continuation_token: Option<String>,
    #[serde(default)]
    execution_details: Details,
    #[serde(default)]
    output_variables: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    summary: Option<String>,
    external_execution_id: Option<String>,
    percent_complete: Option<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JobFailure {
    job_id: String,
    failure_details: FailureDetails,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FailureDetails {
    r#type: String,
    message: String,
    external_execution_id: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfPipeline {
    pipeline_name: String,
    #[serde(default)]
    filter: Filter,
    max_results: Option<usize>,
    next_token: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    pipeline_execution_id: Option<String>,
    succeeded_in_stage: Option<InStage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InStage {
    stage_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rollback {
    pipeline_name: String,
    stage_name: String,
    target_pipeline_execution_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Transition {
    pipeline_name: String,
    stage_name: String,
    transition_type: String,
    reason: Option<String>,
}

impl Transition {
    /// The stage whose inbound transition it is; outbound ones aren't played here.
    fn inbound(&self) -> Result<&str, ServiceError> {
        match self.transition_type.as_str() {
            "Inbound" => Ok(&self.stage_name),
            other => {
                let message = format!("transitionType {other} isn't played by the local cloud");
                Err(ServiceError::client("ValidationException", message))
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfExecution {
    pipeline_name: String,
    pipeline_execution_id: String,
    #[serde(default)]
    abandon: bool,
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Start {
    name: String,
    client_request_token: Option<String>,
    #[serde(flatten)]
    sources: Sources,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sources {
    #[serde(default)]
    source_revisions: Vec<SourceRevision>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SourceRevision {
    action_name: String,
    revision_type: String,
    revision_value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApprovalAnswer {
    pipeline_name: String,
    stage_name: String,
    action_name: String,
    result: ApprovalResult,
    token: String,
}

#[derive(Deserialize)]
struct ApprovalResult {
    summary: String,
    status: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Retry {
    pipeline_name: String,
    stage_name: String,
    pipeline_execution_id: String,
    retry_mode: String,
}

/// The source revisions of a rule target's input; an event as it came has none.
pub(super) fn overrides_of(input: &str) -> Result<BTreeMap<String, Override>, String> {
    let sources: Sources = serde_json::from_str(input).map_err(|error| error.to_string())?;
    overrides(sources).map_err(|error| error.message)
}

fn overrides(sources: Sources) -> Result<BTreeMap<String, Override>, ServiceError> {
    let mut overrides = BTreeMap::<String, Override>::new();
    for SourceRevision { action_name, revision_type, revision_value } in sources.source_revisions {
        let chosen = overrides.entry(action_name).or_default();
        match revision_type.as_str() {
            "S3_OBJECT_VERSION_ID" => chosen.version = Some(revision_value),
            "S3_OBJECT_KEY" => chosen.key = Some(revision_value),
            other => {
                let message = format!("revisionType {other} is not one of an S3 source");
                return Err(ServiceError::client("ValidationException", message));
            }
        }
    }
    Ok(overrides)
}

impl CodePipeline {
    fn answer(&self, caller: &str, operation: &str, body: Value) -> Result<Value, ServiceError> {
        let now = Timestamp::now();
        match operation {
            "PutJobSuccessResult" => {
                let request: JobSuccess = read(body)?;
                let success = Success {
                    continuation: request.continuation_token,
                    summary: request.execution_details.summary,
                    external_id: request.execution_details.external_execution_id,
                    percent: request.execution_details.percent_complete,
                    outputs: request.output_variables,
                };
                self.report(|line| line.engine.job_succeeded(now, &request.job_id, success.clone()))
            }
            "PutJobFailureResult" => {
                let request: JobFailure = read(body)?;
                let details = request.failure_details;
                let failure = Failure {
                    kind: details.r#type,
                    message: details.message,
                    external_id: details.external_execution_id,
                };
                self.report(|line| line.engine.job_failed(now, &request.job_id, failure.clone()))
            }
            "StartPipelineExecution" => self.start_execution(caller, read(body)?),
            "StopPipelineExecution" => {
                let request: OfExecution = read(body)?;
                let id = request.pipeline_execution_id;
                self.with(&request.pipeline_name, |line| line.engine.stop(now, &id, request.abandon, request.reason))?
                    .map_err(refused)?;
                Ok(json!({"pipelineExecutionId": id}))
            }
            "RetryStageExecution" => {
                let request: Retry = read(body)?;
                let id = request.pipeline_execution_id;
                let all = request.retry_mode == "ALL_ACTIONS";
                self.with(&request.pipeline_name, |line| line.engine.retry(now, &request.stage_name, &id, all))?
                    .map_err(refused)?;
                Ok(json!({"pipelineExecutionId": id}))
            }
            "DisableStageTransition" => {
                let request: Transition = read(body)?;
                let reason = request.reason.clone().unwrap_or_default();
                let closed = Closed { reason, by: self.arn_of(caller), at: now };
                let stage = request.inbound()?;
                self.with(&request.pipeline_name, |line| line.engine.close(stage, closed))?.map_err(refused)?;
                Ok(Value::Null)
            }
            "EnableStageTransition" => {
                let request: Transition = read(body)?;
                let stage = request.inbound()?;
                self.with(&request.pipeline_name, |line| line.engine.open(now, stage))?.map_err(refused)?;
                Ok(Value::Null)
            }
            "RollbackStage" => {
                let request: Rollback = read(body)?;
                let trigger = Trigger { kind: "ManualRollback", detail: self.arn_of(caller) };
                let id = self
                    .with(&request.pipeline_name, |line| {
                        let (stage, target) = (&request.stage_name, &request.target_pipeline_execution_id);
                        line.engine.rollback(now, stage, target, trigger)
                    })?
                    .map_err(refused)?;
                Ok(json!({"pipelineExecutionId": &*id}))
            }
            "PutApprovalResult" => {
                let request: ApprovalAnswer = read(body)?;
                let approved = match request.result.status.as_str() {
                    "Approved" => true,
                    "Rejected" => false,
                    other => {
                        let message = format!("status {other} is neither Approved nor Rejected");
                        return Err(ServiceError::client("ValidationException", message));
                    }
                };
                let by = self.arn_of(caller);
                self.with(&request.pipeline_name, |line| {
                    let (stage, action, token) = (&request.stage_name, &request.action_name, &request.token);
                    line.engine.approve(now, stage, action, token, approved, request.result.summary, &by)
                })?
                .map_err(refused)?;
                Ok(json!({"approvedAt": seconds(now)}))
            }
            "GetPipelineState" => {
                let Named { name } = read(body)?;
                self.with(&name, |line| line.state())
            }
            "GetPipelineExecution" => {
                let request: OfExecution = read(body)?;
                self.with(&request.pipeline_name, |line| {
                    let execution = line.engine.execution(&request.pipeline_execution_id);
                    execution.map(|execution| json!({"pipelineExecution": line.execution(execution)}))
                })?
                .ok_or_else(|| refused(Refusal::NoExecution))
            }
            "ListPipelineExecutions" => {
                let request: OfPipeline = read(body)?;
                let in_stage = request.filter.succeeded_in_stage.as_ref().map(|wanted| wanted.stage_name.as_str());
                let all = self.with(&request.pipeline_name, |line| {
                    let stages = &line.engine.pipeline().stages;
                    let succeeded = |execution: &Execution, name: &str| {
                        let mut all = stages.iter().zip(&execution.stages);
                        all.any(|(stage, status)| &*stage.name == name && *status == Some(Status::Succeeded))
                    };
                    let newest_first = line.engine.executions().iter().rev();
                    let wanted = newest_first.filter(|it| in_stage.is_none_or(|name| succeeded(it, name)));
                    wanted.map(|execution| line.summary(execution)).collect::<Vec<_>>()
                })?;
                page(all, "pipelineExecutionSummaries", &request)
            }
            "ListActionExecutions" => {
                let request: OfPipeline = read(body)?;
                let only = request.filter.pipeline_execution_id.as_deref();
                let all = self.with(&request.pipeline_name, |line| {
                    let newest_first = line.engine.executions().iter().rev();
                    let wanted = newest_first.filter(|execution| only.is_none_or(|id| *execution.id == *id));
                    let runs =
                        wanted.flat_map(|execution| execution.runs.iter().rev().map(move |run| (execution, run)));
                    runs.map(|(execution, run)| line.action_execution(execution, run)).collect::<Vec<_>>()
                })?;
                page(all, "actionExecutionDetails", &request)
            }
            "GetPipeline" => {
                let Named { name } = read(body)?;
                self.with(&name, |line| line.structure())
            }
            "ListPipelines" => {
                let lines = self.shared.lines();
                let pipelines: Vec<_> = lines.values().map(Line::listed).collect();
                Ok(json!({"pipelines": pipelines}))
            }
            other => Err(ServiceError::unknown(other)),
        }
    }

    fn with<T>(&self, pipeline: &str, act: impl FnOnce(&mut Line) -> T) -> Result<T, ServiceError> {
        self.shared.with(pipeline, act).ok_or_else(|| {
            let message = format!("Account {} does not have a pipeline with name {pipeline}", self.shared.account);
            ServiceError::client("PipelineNotFoundException", message)
        })
    }

    /// Has a job's result reported to whichever pipeline has the job.
    fn report(&self, mut report: impl FnMut(&mut Line) -> Result<(), Refusal>) -> Result<Value, ServiceError> {
        let names: Vec<String> = self.shared.lines().keys().cloned().collect();
        for name in names {
            match self.with(&name, &mut report)? {
                Err(Refusal::NoJob) => {}
                result => return result.map(|()| Value::Null).map_err(refused),
            }
        }
        Err(refused(Refusal::NoJob))
    }

    fn start_execution(&self, caller: &str, request: Start) -> Result<Value, ServiceError> {
        let overrides = overrides(request.sources)?;
        let trigger = Trigger { kind: "StartPipelineExecution", detail: self.arn_of(caller) };
        let id = self
            .with(&request.name, |line| {
                let token = request.client_request_token;
                if let Some(id) = token.as_ref().and_then(|token| line.started.get(token)) {
                    return Ok(id.clone());
                }
                let id = line.engine.start(Timestamp::now(), trigger, overrides)?;
                line.started.extend(token.map(|token| (token, id.clone())));
                Ok(id)
            })?
            .map_err(refused)?;
        Ok(json!({"pipelineExecutionId": &*id}))
    }

    fn arn_of(&self, caller: &str) -> String {
        format!("arn:aws:iam::{}:user/{caller}", self.shared.account)
    }
}

/// One page of a list; the token is where the next one begins.
fn page(mut all: Vec<Value>, member: &str, request: &OfPipeline) -> Result<Value, ServiceError> {
    let invalid = || ServiceError::client("InvalidNextTokenException", "the nextToken is not one of ours");
    let from = match &request.next_token {
        None => 0,
        Some(token) => token.parse::<usize>().ok().filter(|from| *from <= all.len()).ok_or_else(invalid)?,
    };
    let size = request.max_results.unwrap_or(100).clamp(1, 100);
    let next = (all.len() > from + size).then(|| (from + size).to_string());
    all.truncate(from + size);
    Ok(present(json!({member: all.split_off(from), "nextToken": next})))
}
