//! CodePipeline's answers: pipelines, executions and actions in AWS's shapes.

use super::Line;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tagship_emulator::execution::{Execution, Revision, Run, RunStatus};
use tagship_emulator::pipeline::{Kind, Stage};

/// A time as JSON 1.1 has it: seconds since the epoch.
pub(super) fn seconds(at: Timestamp) -> Value {
    json!(at.as_millisecond() as f64 / 1_000.0)
}

/// An object without the members that aren't there.
pub(super) fn present(value: Value) -> Value {
    match value {
        Value::Object(map) => map.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        other => other,
    }
}

impl Line {
    pub(super) fn state(&self) -> Value {
        let stages = self.engine.pipeline().stages.iter().enumerate();
        let stages: Vec<_> = stages.map(|(index, stage)| self.stage_state(index, stage)).collect();
        json!({
            "pipelineName": &*self.origin.pipeline,
            "pipelineVersion": 1,
            "stageStates": stages,
            "created": seconds(self.created),
            "updated": seconds(self.created),
        })
    }

    fn stage_state(&self, index: usize, stage: &Stage) -> Value {
        let execution = |execution: &Execution, status: &str| json!({"pipelineExecutionId": &*execution.id, "status": status, "type": execution.kind()});
        let latest = self.engine.latest(index).and_then(|latest| {
            let status = latest.stages[index]?;
            Some(execution(latest, status.as_str()))
        });
        let waiting: Vec<_> =
            self.engine.waiting(index).map(|waiting| execution(waiting, waiting.status.as_str())).collect();
        let actions: Vec<_> = (0..stage.actions.len()).map(|action| self.action_state(index, stage, action)).collect();
        let state = json!({
            "stageName": &*stage.name,
            "inboundExecution": waiting.last(),
            "inboundExecutions": waiting,
            "inboundTransitionState": self.engine.closed(index).map_or_else(|| json!({"enabled": true}), |closed| json!({
                "enabled": false,
                "disabledReason": closed.reason,
                "lastChangedBy": closed.by,
                "lastChangedAt": seconds(closed.at),
            })),
            "actionStates": actions,
            "latestExecution": latest,
        });
        present(state)
    }

    fn action_state(&self, stage_index: usize, stage: &Stage, index: usize) -> Value {
        let action = &stage.actions[index];
        let latest = self.engine.latest_run(stage_index, index);
        let revision = latest.and_then(|(execution, _)| {
            let (_, revision) = execution.revisions.iter().rev().find(|(name, _)| *name == action.name)?;
            Some(json!({
                "revisionId": revision.version,
                "revisionChangeId": revision.etag,
                "created": seconds(execution.started),
            }))
        });
        let state = json!({
            "actionName": &*action.name,
            "currentRevision": revision,
            "latestExecution": latest.map(|(_, run)| present(json!({
                "actionExecutionId": &*run.id,
                "status": run.status.as_str(),
                "summary": run.outcome.summary,
                "lastStatusChange": seconds(run.changed),
                "token": run.token().map(|token| &**token),
                "lastUpdatedBy": run.updated_by,
                "externalExecutionId": run.outcome.external_id,
                "externalExecutionUrl": run.outcome.external_url,
                "percentComplete": run.percent,
                "errorDetails": error_details(run),
            }))),
        });
        present(state)
    }

    fn revisions(execution: &Execution) -> Vec<Value> {
        let revisions = execution.revisions.iter();
        revisions
            .map(|(action, revision)| {
                json!({
                    "actionName": &**action,
                    "revisionId": revision.version,
                    "revisionSummary": words(revision),
                })
            })
            .collect()
    }

    pub(super) fn summary(&self, execution: &Execution) -> Value {
        let summary = json!({
            "pipelineExecutionId": &*execution.id,
            "status": execution.status.as_str(),
            "startTime": seconds(execution.started),
            "lastUpdateTime": seconds(execution.updated),
            "sourceRevisions": Self::revisions(execution),
            "trigger": trigger(execution),
            "stopTrigger": execution.stop_reason.as_ref().map(|reason| json!({"reason": reason})),
            "executionMode": self.engine.pipeline().mode.as_str(),
            "executionType": execution.kind(),
            "rollbackMetadata": rollback(execution),
        });
        present(summary)
    }

    pub(super) fn execution(&self, execution: &Execution) -> Value {
        let artifacts = execution.artifacts.values();
        let sources = || execution.revisions.iter().map(|(_, source)| source);
        let source = |revision: &str| sources().find(|source| source.version == revision);
        let artifacts: Vec<_> = artifacts
            .map(|artifact| {
                let words = artifact.revision.as_deref().and_then(source).map(words);
                present(json!({"name": artifact.name, "revisionId": artifact.revision, "revisionSummary": words}))
            })
            .collect();
        present(json!({
            "pipelineName": &*self.origin.pipeline,
            "pipelineVersion": 1,
            "pipelineExecutionId": &*execution.id,
            "status": execution.status.as_str(),
            "artifactRevisions": artifacts,
            "trigger": trigger(execution),
            "executionMode": self.engine.pipeline().mode.as_str(),
            "executionType": execution.kind(),
            "rollbackMetadata": rollback(execution),
        }))
    }

    pub(super) fn action_execution(&self, execution: &Execution, run: &Run) -> Value {
        let stage = &self.engine.pipeline().stages[run.stage];
        let action = &stage.actions[run.action];
        let detail = json!({
            "pipelineExecutionId": &*execution.id,
            "actionExecutionId": &*run.id,
            "pipelineVersion": 1,
            "stageName": &*stage.name,
            "actionName": &*action.name,
            "startTime": seconds(run.started),
            "lastUpdateTime": seconds(run.changed),
            "updatedBy": run.updated_by,
            "status": run.status.as_str(),
            "input": present(json!({
                "actionTypeId": action_type(action.kind),
                "configuration": action.configuration,
                "resolvedConfiguration": run.configuration,
                "namespace": action.namespace,
            })),
            "output": (run.status != RunStatus::InProgress).then(|| json!({
                "outputVariables": run.outputs,
                "executionResult": present(json!({
                    "externalExecutionId": run.outcome.external_id,
                    "externalExecutionSummary": run.outcome.summary,
                    "errorDetails": error_details(run),
                })),
            })),
        });
        present(detail)
    }

    pub(super) fn structure(&self) -> Value {
        let pipeline = self.engine.pipeline();
        let stages = pipeline.stages.iter().map(|stage| {
            let actions = stage.actions.iter().map(|action| {
                let named = |names: &[String]| names.iter().map(|name| json!({"name": name})).collect::<Vec<_>>();
                present(json!({
                    "name": &*action.name,
                    "actionTypeId": action_type(action.kind),
                    "runOrder": action.run_order,
                    "configuration": action.configuration,
                    "inputArtifacts": named(&action.inputs),
                    "outputArtifacts": named(&action.outputs),
                    "namespace": action.namespace,
                    "timeoutInMinutes": action.timeout.map(|timeout| timeout.as_secs() / 60),
                }))
            });
            json!({"name": &*stage.name, "actions": actions.collect::<Vec<_>>()})
        });
        let Line { origin, .. } = self;
        json!({
            "pipeline": {
                "name": &*pipeline.name,
                "roleArn": format!("arn:aws:iam::{}:role/{}", origin.account, pipeline.name),
                "artifactStore": {"type": "S3", "location": pipeline.artifact_bucket},
                "stages": stages.collect::<Vec<_>>(),
                "version": 1,
                "executionMode": pipeline.mode.as_str(),
                "pipelineType": "V2",
            },
            "metadata": {
                "pipelineArn": format!("arn:aws:codepipeline:{}:{}:{}", origin.region, origin.account, pipeline.name),
                "created": seconds(self.created),
                "updated": seconds(self.created),
            },
        })
    }

    pub(super) fn listed(&self) -> Value {
        json!({
            "name": &*self.origin.pipeline,
            "version": 1,
            "pipelineType": "V2",
            "executionMode": self.engine.pipeline().mode.as_str(),
            "created": seconds(self.created),
            "updated": seconds(self.created),
        })
    }
}

fn rollback(execution: &Execution) -> Value {
    let target = execution.rollback.as_ref();
    target.map_or(Value::Null, |target| json!({"rollbackTargetPipelineExecutionId": &**target}))
}

fn trigger(execution: &Execution) -> Value {
    json!({"triggerType": execution.trigger.kind, "triggerDetail": execution.trigger.detail})
}

fn action_type(kind: Kind) -> Value {
    let (category, provider) = kind.category_and_provider();
    json!({"category": category, "owner": "AWS", "provider": provider, "version": "1"})
}

fn error_details(run: &Run) -> Value {
    let mut details = Map::new();
    let fields = [("code", &run.outcome.error_code), ("message", &run.error)];
    details.extend(fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), json!(value.as_ref()?)))));
    if details.is_empty() { Value::Null } else { Value::Object(details) }
}

/// What a source's object says of itself, or S3 of it.
fn words(revision: &Revision) -> String {
    revision.summary.clone().unwrap_or_else(|| format!("Amazon S3 version id: {}", revision.version))
}
