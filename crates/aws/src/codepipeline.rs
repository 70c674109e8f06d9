//! CodePipeline: where an execution stands, and the reports of a job.

use crate::Cloud;
use crate::cloud::timestamp;
use crate::error::Called;
use aws_sdk_codepipeline::types::{ExecutionDetails, FailureDetails, FailureType, PipelineExecutionStatus};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use tagship::{Build, Done, Error, Execution, ExecutionState, ReleaseId, notify};

/// Executions a page, CodePipeline's most.
const PAGE: i32 = 100;
/// Pages that are looked through: 200 executions since this one began.
const PAGES: usize = 2;

/// What CodePipeline answers of an execution or a pipeline that it doesn't know, or of a name that is no such name.
const UNKNOWN: [&str; 3] = ["PipelineExecutionNotFoundException", "PipelineNotFoundException", "ValidationException"];

/// Where an execution stands.
pub(crate) async fn execution(cloud: &Cloud, pipeline: &str, release: &ReleaseId) -> Result<Execution, Error> {
    let request = cloud.codepipeline().get_pipeline_execution().pipeline_name(pipeline);
    let sent = request.pipeline_execution_id(release.as_str()).send().await;
    let what = format!("execution {release} of pipeline {pipeline}");
    let found = match sent.called("codepipeline:GetPipelineExecution", what) {
        Err(error) if error.code.as_deref().is_some_and(|code| UNKNOWN.contains(&code)) => {
            return Ok(Execution { state: ExecutionState::NotFound, updated_at: None, build: None });
        }
        found => found?,
    };
    let found = found.pipeline_execution();
    // An artifact of a later action has no words of its own.
    let words = found.into_iter().flat_map(|it| it.artifact_revisions()).filter_map(|it| it.revision_summary());
    let build = words.map(decoded).find_map(|words| Build::of(&words));
    let state = match found.and_then(|execution| execution.status()) {
        Some(PipelineExecutionStatus::Succeeded) => ExecutionState::Succeeded,
        Some(
            PipelineExecutionStatus::Failed
            | PipelineExecutionStatus::Stopped
            | PipelineExecutionStatus::Superseded
            | PipelineExecutionStatus::Cancelled,
        ) => ExecutionState::Ended,
        Some(PipelineExecutionStatus::Stopping) => {
            return Ok(Execution { state: ExecutionState::Stopping, updated_at: None, build });
        }
        _ => return Ok(Execution { state: ExecutionState::Running, updated_at: None, build }),
    };
    Ok(Execution { state, updated_at: ended_at(cloud, pipeline, release).await?, build })
}

/// What an object says of itself: what isn't ASCII is percent-encoded.
pub(crate) fn decoded(words: &str) -> String {
    percent_decode_str(words).decode_utf8_lossy().into_owned()
}

/// When an execution ended: only the list says so. None for one that so many others have followed: it was long ago.
async fn ended_at(cloud: &Cloud, pipeline: &str, release: &ReleaseId) -> Result<Option<Timestamp>, Error> {
    let request = cloud.codepipeline().list_pipeline_executions().pipeline_name(pipeline).max_results(PAGE);
    let mut pages = request.into_paginator().send();
    for _ in 0..PAGES {
        let Some(page) = pages.next().await else { break };
        let page = page.called("codepipeline:ListPipelineExecutions", pipeline)?;
        let mut executions = page.pipeline_execution_summaries().iter();
        if let Some(found) = executions.find(|found| found.pipeline_execution_id() == Some(release.as_str())) {
            return Ok(found.last_update_time().map(timestamp));
        }
    }
    Ok(None)
}

/// StopPipelineExecution, abandoning what runs. One that is being stopped, or can't be stopped any more, is as good.
pub(crate) async fn stop(cloud: &Cloud, pipeline: &str, release: &ReleaseId, reason: &str) -> Result<(), Error> {
    const DONE: [&str; 2] = ["DuplicatedStopRequestException", "PipelineExecutionNotStoppableException"];
    let request = cloud.codepipeline_changes().stop_pipeline_execution().pipeline_name(pipeline);
    let sent = request.pipeline_execution_id(release.as_str()).abandon(true).reason(reason).send().await;
    let what = format!("execution {release} of pipeline {pipeline}");
    match sent.called("codepipeline:StopPipelineExecution", what) {
        Err(error) if error.code.as_deref().is_some_and(|code| DONE.contains(&code)) => Ok(()),
        stopped => stopped.map(|_| ()),
    }
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
