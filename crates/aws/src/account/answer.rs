//! What a person may tell a pipeline: an answer, a stop, a start, a closed door.

use super::Account;
use crate::error::Called;
use aws_sdk_codepipeline::types::{
    ApprovalResult, ApprovalStatus, SourceRevisionOverride, SourceRevisionType, StageTransitionType,
};
use tagship::{Approval, Error, Kind, ReleaseId};

impl Account {
    /// Answers this question, and no later one: the token is the question's.
    ///
    /// # Errors
    ///
    /// If it was answered meanwhile, or AWS refuses.
    pub async fn answer(
        &self,
        pipeline: &str,
        approval: &Approval<'_>,
        approved: bool,
        words: &str,
    ) -> Result<(), Error> {
        let status = if approved { ApprovalStatus::Approved } else { ApprovalStatus::Rejected };
        let result = ApprovalResult::builder()
            .status(status)
            .summary(words)
            .build()
            .map_err(|error| Error::new(Kind::Bug, error.to_string()))?;
        let request = self
            .cloud
            .codepipeline_changes()
            .put_approval_result()
            .pipeline_name(pipeline)
            .stage_name(approval.stage)
            .action_name(approval.action)
            .token(approval.token)
            .result(result);
        let what = format!("{} of pipeline {pipeline}", approval.action);
        request.send().await.called("codepipeline:PutApprovalResult", what).map(|_| ())
    }

    /// Stops an execution, abandoning what runs: an open approval would keep it stopping for days otherwise.
    ///
    /// # Errors
    ///
    /// If AWS refuses; an execution that has ended or is being stopped is no error.
    pub async fn stop(&self, pipeline: &str, release: &ReleaseId, reason: &str) -> Result<(), Error> {
        crate::codepipeline::stop(&self.cloud, pipeline, release, reason).await
    }

    /// Starts the pipeline with a version of what was uploaded; answers with the execution's id.
    ///
    /// # Errors
    ///
    /// If AWS refuses.
    pub async fn start(&self, pipeline: &str, action: &str, version: &str, once: &str) -> Result<ReleaseId, Error> {
        let revision = SourceRevisionOverride::builder()
            .action_name(action)
            .revision_type(SourceRevisionType::S3ObjectVersionId)
            .revision_value(version)
            .build()
            .map_err(|error| Error::new(Kind::Bug, error.to_string()))?;
        let request = self.cloud.codepipeline_changes().start_pipeline_execution().name(pipeline);
        let sent = request.client_request_token(once).source_revisions(revision).send().await;
        let id = sent.called("codepipeline:StartPipelineExecution", pipeline)?.pipeline_execution_id;
        let id = crate::error::required(id, "codepipeline:StartPipelineExecution", "pipelineExecutionId")?;
        ReleaseId::try_from(id).map_err(|problem| Error::new(Kind::Bug, problem))
    }

    /// Lets nothing into the stage.
    ///
    /// # Errors
    ///
    /// If AWS refuses.
    pub async fn freeze(&self, pipeline: &str, stage: &str, reason: &str) -> Result<(), Error> {
        let request = self.cloud.codepipeline_changes().disable_stage_transition().pipeline_name(pipeline);
        let request = request.stage_name(stage).transition_type(StageTransitionType::Inbound).reason(reason);
        let what = format!("stage {stage} of pipeline {pipeline}");
        request.send().await.called("codepipeline:DisableStageTransition", what).map(|_| ())
    }

    /// Lets executions into the stage again.
    ///
    /// # Errors
    ///
    /// If AWS refuses.
    pub async fn unfreeze(&self, pipeline: &str, stage: &str) -> Result<(), Error> {
        let request = self.cloud.codepipeline_changes().enable_stage_transition().pipeline_name(pipeline);
        let request = request.stage_name(stage).transition_type(StageTransitionType::Inbound);
        let what = format!("stage {stage} of pipeline {pipeline}");
        request.send().await.called("codepipeline:EnableStageTransition", what).map(|_| ())
    }
}
