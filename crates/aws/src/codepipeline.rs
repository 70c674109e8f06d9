//! CodePipeline: where an execution stands, and the reports of a job.

use crate::Cloud;
use crate::cloud::timestamp;
use crate::error::Called;
use aws_sdk_codepipeline::types::{ExecutionDetails, FailureDetails, FailureType, PipelineExecutionStatus};
use tagship::{Done, Error, Execution, ExecutionState, Hold, notify};

/// Executions a page, CodePipeline's most.
const PAGE: i32 = 100;
/// Pages that are looked through: 2,000 executions since the holder began.
const PAGES: usize = 20;

/// The holder's execution. It is listed rather than got, since only the list says when it ended.
pub(crate) async fn execution(cloud: &Cloud, hold: &Hold) -> Result<Execution, Error> {
    let request = cloud.codepipeline().list_pipeline_executions().pipeline_name(&hold.pipeline).max_results(PAGE);
    let mut pages = request.into_paginator().send();
    for _ in 0..PAGES {
        let Some(page) = pages.next().await else { break };
        let page = match page.called("codepipeline:ListPipelineExecutions", &hold.pipeline) {
            Err(error) if error.code.as_deref() == Some("PipelineNotFoundException") => break,
            page => page?,
        };
        let mut executions = page.pipeline_execution_summaries().iter();
        if let Some(found) = executions.find(|found| found.pipeline_execution_id() == Some(hold.release.as_str())) {
            let state = match found.status() {
                Some(PipelineExecutionStatus::Succeeded) => ExecutionState::Succeeded,
                Some(
                    PipelineExecutionStatus::Failed
                    | PipelineExecutionStatus::Stopped
                    | PipelineExecutionStatus::Superseded
                    | PipelineExecutionStatus::Cancelled,
                ) => ExecutionState::Ended,
                _ => ExecutionState::Running,
            };
            return Ok(Execution { state, updated_at: found.last_update_time().map(timestamp) });
        }
    }
    Ok(Execution { state: ExecutionState::NotFound, updated_at: None })
}

/// A job's end as CodePipeline is told.
pub(crate) enum Verdict<'a> {
    Done(&'a Done),
    /// What is waited for, and the token for the next invocation.
    Waiting(&'a str, String),
    Failed(&'a Error),
}

/// PutJobSuccessResult or PutJobFailureResult. Both may be repeated: the first that arrives counts.
pub(crate) async fn report(cloud: &Cloud, job_id: &str, verdict: Verdict<'_>) -> Result<(), Error> {
    let success = || cloud.codepipeline().put_job_success_result().job_id(job_id);
    let details = |message: &str| ExecutionDetails::builder().summary(notify::summary(message)).build();
    match verdict {
        Verdict::Done(done) => {
            let variables = notify::variables(done).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            let request = success().set_output_variables(Some(variables)).execution_details(details(&done.message));
            request.send().await.called("codepipeline:PutJobSuccessResult", job_id)?;
        }
        Verdict::Waiting(why, token) => {
            let request = success().continuation_token(token).execution_details(details(&format!("waiting for {why}")));
            request.send().await.called("codepipeline:PutJobSuccessResult", job_id)?;
        }
        Verdict::Failed(error) => {
            let failure = FailureDetails::builder()
                .r#type(FailureType::from(error.kind.failure_type()))
                .message(notify::failure_message(error))
                .build()
                .map_err(|error| Error::new(tagship::Kind::Bug, error.to_string()))?;
            let request = cloud.codepipeline().put_job_failure_result().job_id(job_id).failure_details(failure);
            request.send().await.called("codepipeline:PutJobFailureResult", job_id)?;
        }
    }
    Ok(())
}
