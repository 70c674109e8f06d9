//! Pipelines: their structure, where they stand, and what they have done.

use super::Account;
use crate::cloud::timestamp;
use crate::codepipeline::decoded;
use crate::error::Called;
use aws_sdk_codepipeline::types::{
    ActionDeclaration, ActionExecutionDetail, ActionExecutionFilter, ActionExecutionStatus, ActionState,
    PipelineExecutionSummary, StageDeclaration, StageState,
};
use serde_json::Value;
use std::collections::HashMap;
use tagship::{
    Act, Action, Does, Error, Execution, Frozen, PastRelease, PastRun, Pipeline, ReleaseId, Run, RunStatus, Stage,
};

/// Executions a page, CodePipeline's most.
const PAGE: i32 = 100;

impl Account {
    /// A pipeline: its structure, and where it stands.
    ///
    /// # Errors
    ///
    /// If CodePipeline refuses.
    pub async fn pipeline(&self, name: &str) -> Result<Pipeline, Error> {
        let (structure, state) = tokio::try_join!(self.declared(name), self.states(name))?;
        Ok(joined(name, &structure, &state))
    }

    /// Where a pipeline stands, without its structure: which actions ask for an answer is known, not which services they
    /// are of. One call.
    ///
    /// # Errors
    ///
    /// If CodePipeline refuses.
    pub async fn standing(&self, name: &str) -> Result<Pipeline, Error> {
        let states = self.states(name).await?;
        Ok(Pipeline { name: name.to_owned(), stages: states.iter().map(unstructured).collect() })
    }

    /// What a pipeline is made of.
    pub(super) async fn declared(&self, name: &str) -> Result<Vec<StageDeclaration>, Error> {
        let sent = self.cloud.codepipeline().get_pipeline().name(name).send().await;
        let found = sent.called("codepipeline:GetPipeline", name)?;
        Ok(found.pipeline.map(|pipeline| pipeline.stages).unwrap_or_default())
    }

    /// Where its stages stand.
    pub(super) async fn states(&self, name: &str) -> Result<Vec<StageState>, Error> {
        let sent = self.cloud.codepipeline().get_pipeline_state().name(name).send().await;
        Ok(sent.called("codepipeline:GetPipelineState", name)?.stage_states.unwrap_or_default())
    }

    /// The newest executions of a pipeline, at most a page of them.
    ///
    /// # Errors
    ///
    /// If CodePipeline refuses.
    pub async fn executions(&self, pipeline: &str, most: i32) -> Result<Vec<PastRelease>, Error> {
        let request = self.cloud.codepipeline().list_pipeline_executions().pipeline_name(pipeline);
        let sent = request.max_results(most.clamp(1, PAGE)).send().await;
        let page = sent.called("codepipeline:ListPipelineExecutions", pipeline)?;
        Ok(page.pipeline_execution_summaries().iter().filter_map(past).collect())
    }

    /// Where an execution stands.
    ///
    /// # Errors
    ///
    /// If CodePipeline refuses.
    pub async fn execution(&self, pipeline: &str, release: &ReleaseId) -> Result<Execution, Error> {
        crate::codepipeline::execution(&self.cloud, pipeline, release).await
    }

    /// The runs of a pipeline's actions: of one execution, or the newest of all.
    ///
    /// # Errors
    ///
    /// If CodePipeline refuses.
    pub async fn runs(&self, pipeline: &str, of: Option<&ReleaseId>, most: usize) -> Result<Vec<PastRun>, Error> {
        let filter = of.map(|release| ActionExecutionFilter::builder().pipeline_execution_id(release.as_str()).build());
        let request = self.cloud.codepipeline().list_action_executions().pipeline_name(pipeline).max_results(PAGE);
        let mut pages = request.set_filter(filter).into_paginator().send();
        let mut runs = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.called("codepipeline:ListActionExecutions", pipeline)?;
            runs.extend(page.action_execution_details().iter().filter_map(ran));
            if runs.len() >= most {
                break;
            }
        }
        Ok(runs)
    }
}

/// A pipeline from its structure, and where it stands.
pub(super) fn joined(name: &str, structure: &[StageDeclaration], states: &[StageState]) -> Pipeline {
    let states: HashMap<&str, &StageState> =
        states.iter().filter_map(|stage| Some((stage.stage_name()?, stage))).collect();
    let stages = structure.iter().map(|stage| self::stage(stage, states.get(stage.name()).copied())).collect();
    Pipeline { name: name.to_owned(), stages }
}

/// A stage by its state alone. An action with a token is one that asks.
fn unstructured(state: &StageState) -> Stage {
    let act = |action: &ActionState| {
        let last = run(action);
        let does = if last.as_ref().is_some_and(|run| run.token.is_some()) { Does::Ask } else { Does::Other };
        Act { name: action.action_name().unwrap_or_default().to_owned(), does, last }
    };
    standing(state.stage_name().unwrap_or_default(), Some(state), state.action_states().iter().map(act).collect())
}

fn standing(name: &str, state: Option<&StageState>, actions: Vec<Act>) -> Stage {
    let transition = state.and_then(|state| state.inbound_transition_state());
    let frozen = transition.filter(|transition| !transition.enabled()).map(|transition| Frozen {
        reason: transition.disabled_reason().unwrap_or_default().to_owned(),
        by: transition.last_changed_by().map(str::to_owned),
        since: transition.last_changed_at().map(timestamp),
    });
    let latest = state.and_then(|state| state.latest_execution());
    // The list is newer than the one beside it; which of them CodePipeline fills where one waits isn't said.
    let inbound = state.map(|state| state.inbound_executions().iter().chain(state.inbound_execution()));
    let mut waiting: Vec<ReleaseId> = Vec::new();
    for id in inbound.into_iter().flatten().filter_map(|execution| release(execution.pipeline_execution_id())) {
        if !waiting.contains(&id) {
            waiting.push(id);
        }
    }
    Stage {
        name: name.to_owned(),
        frozen,
        latest: latest.and_then(|latest| release(latest.pipeline_execution_id())),
        status: latest.map(|latest| latest.status().as_str().to_owned()).unwrap_or_default(),
        waiting,
        actions,
    }
}

fn stage(declared: &StageDeclaration, state: Option<&StageState>) -> Stage {
    let states: HashMap<&str, &ActionState> = state
        .map(|state| state.action_states())
        .unwrap_or_default()
        .iter()
        .filter_map(|action| Some((action.action_name()?, action)))
        .collect();
    // The declaration lists actions in any order; they run by their number.
    let mut actions: Vec<&ActionDeclaration> = declared.actions().iter().collect();
    actions.sort_by_key(|action| action.run_order().unwrap_or(1));
    let act = |action: &ActionDeclaration| Act {
        name: action.name().to_owned(),
        does: does(
            action.action_type_id().map(|kind| (kind.category().as_str(), kind.provider())),
            action.configuration(),
        ),
        last: states.get(action.name()).and_then(|state| run(state)),
    };
    standing(declared.name(), state, actions.into_iter().map(act).collect())
}

fn release(id: &str) -> Option<ReleaseId> {
    ReleaseId::try_from(id.to_owned()).ok()
}

fn does(kind: Option<(&str, &str)>, configuration: Option<&HashMap<String, String>>) -> Does {
    let value = |key: &str| configuration.and_then(|map| map.get(key)).cloned();
    match kind {
        Some(("Source", "S3")) => {
            let (bucket, key) = (value("S3Bucket").unwrap_or_default(), value("S3ObjectKey").unwrap_or_default());
            Does::Fetch { bucket, key }
        }
        Some(("Approval", _)) => Does::Ask,
        Some(("Invoke", "Lambda")) => invoked(&value("FunctionName"), &value("UserParameters")),
        _ => Does::Other,
    }
}

/// What UserParameters say; the action is the function's default where they don't.
fn invoked(function: &Option<String>, parameters: &Option<String>) -> Does {
    let parameters: Value = parameters.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let Some(service) = parameters["serviceRole"].as_str() else { return Does::Other };
    let function = function.as_deref().unwrap_or_default();
    let stage = tagship::StageName::ALL.into_iter().find(|stage| function.ends_with(stage.as_str()));
    let named = parameters["action"].as_str();
    let action = stage.and_then(|stage| {
        let mut actions = stage.actions().iter().copied();
        match named {
            None => actions.next(),
            Some(name) => actions.find(|action: &Action| action.as_str() == name),
        }
    });
    Does::Invoke { service: service.to_owned(), action }
}

fn run(state: &ActionState) -> Option<Run> {
    let latest = state.latest_execution()?;
    let status = status(latest.status()?);
    Some(Run {
        status,
        since: latest.last_status_change().map(timestamp),
        summary: latest.summary().map(str::to_owned),
        error: latest.error_details().and_then(|details| details.message()).map(str::to_owned),
        token: latest.token().map(str::to_owned),
        by: latest.last_updated_by().map(str::to_owned),
    })
}

fn status(status: &ActionExecutionStatus) -> RunStatus {
    match status {
        ActionExecutionStatus::Succeeded => RunStatus::Succeeded,
        ActionExecutionStatus::Failed => RunStatus::Failed,
        ActionExecutionStatus::Abandoned => RunStatus::Abandoned,
        _ => RunStatus::Running,
    }
}

fn past(found: &PipelineExecutionSummary) -> Option<PastRelease> {
    let source = found.source_revisions().first();
    let said = source.and_then(|source| source.revision_summary());
    // What S3 says of itself where the build says nothing.
    let build = said.filter(|words| !words.starts_with("Amazon S3 version id")).map(decoded);
    Some(PastRelease {
        release: release(found.pipeline_execution_id()?)?,
        status: found.status().map(|status| status.as_str().to_owned()).unwrap_or_default(),
        began: found.start_time().map(timestamp)?,
        changed: found.last_update_time().or(found.start_time()).map(timestamp)?,
        version: source.and_then(|source| source.revision_id()).map(str::to_owned),
        build,
        trigger: found.trigger().and_then(|trigger| trigger.trigger_detail()).map(str::to_owned),
        stopped: found.stop_trigger().and_then(|stop| stop.reason()).map(str::to_owned),
    })
}

fn ran(found: &ActionExecutionDetail) -> Option<PastRun> {
    let input = found.input();
    let kind = input.and_then(|input| input.action_type_id()).map(|kind| (kind.category().as_str(), kind.provider()));
    let status = match found.status()?.as_str() {
        "Succeeded" => RunStatus::Succeeded,
        "Failed" => RunStatus::Failed,
        "Abandoned" => RunStatus::Abandoned,
        _ => RunStatus::Running,
    };
    let output = found.output();
    let result = output.and_then(|output| output.execution_result());
    let outputs = output.and_then(|output| output.output_variables()).into_iter().flatten();
    Some(PastRun {
        release: release(found.pipeline_execution_id()?)?,
        stage: found.stage_name()?.to_owned(),
        action: found.action_name()?.to_owned(),
        does: does(kind, input.and_then(|input| input.resolved_configuration().or(input.configuration()))),
        began: found.start_time().map(timestamp)?,
        run: Run {
            status,
            since: found.last_update_time().map(timestamp),
            summary: result.and_then(|result| result.external_execution_summary()).map(str::to_owned),
            error: result
                .and_then(|result| result.error_details())
                .and_then(|details| details.message())
                .map(str::to_owned),
            token: None,
            by: found.updated_by().map(str::to_owned),
        },
        outputs: outputs.map(|(name, value)| (name.clone(), value.clone())).collect(),
    })
}
