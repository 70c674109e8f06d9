//! What CodePipeline refuses, by AWS's names, and the limits that a job's report must keep.

use crate::engine::{Failure, Success};

/// A call that the engine refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum Refusal {
    #[error("{0}")]
    Validation(String),
    #[error("the job was not found")]
    NoJob,
    #[error("the job's result was reported before, or the job has expired")]
    JobState,
    #[error("the pipeline execution was not found")]
    NoExecution,
    #[error("the stage was not found")]
    NoStage,
    #[error("the action was not found")]
    NoAction,
    #[error("the approval token is not the one of GetPipelineState")]
    ApprovalToken,
    #[error("the approval was answered before, or it has expired")]
    ApprovalCompleted,
    #[error("the execution is being stopped already")]
    AlreadyStopping,
    #[error("the execution has ended")]
    NotStoppable,
    #[error("the stage has not failed in this execution")]
    NotRetryable,
    #[error("a later execution has entered the stage")]
    NotLatest,
}

impl Refusal {
    /// AWS's name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Validation(_) => "ValidationException",
            Self::NoJob => "JobNotFoundException",
            Self::JobState => "InvalidJobStateException",
            Self::NoExecution => "PipelineExecutionNotFoundException",
            Self::NoStage => "StageNotFoundException",
            Self::NoAction => "ActionNotFoundException",
            Self::ApprovalToken => "InvalidApprovalTokenException",
            Self::ApprovalCompleted => "ApprovalAlreadyCompletedException",
            Self::AlreadyStopping => "DuplicatedStopRequestException",
            Self::NotStoppable => "PipelineExecutionNotStoppableException",
            Self::NotRetryable => "StageNotRetryableException",
            Self::NotLatest => "NotLatestPipelineExecutionException",
        }
    }
}

/// The types of failure that a job may report.
const FAILURE_TYPES: [&str; 6] = [
    "JobFailed",
    "ConfigurationError",
    "PermissionError",
    "RevisionOutOfSync",
    "RevisionUnavailable",
    "SystemUnavailable",
];

fn check(holds: bool, problem: &str) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(Refusal::Validation(problem.into())) }
}

impl Success {
    /// Whether AWS would take the report.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        let chars = |text: &Option<String>| text.as_ref().map(|text| text.chars().count());
        let key = |key: &String| {
            !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '@' | '-' | '_'))
        };
        check(
            chars(&self.continuation).is_none_or(|chars| (1..=2_048).contains(&chars)),
            "continuationToken has 1 to 2,048 characters",
        )?;
        check(
            self.continuation.is_none() || self.outputs.is_empty(),
            "outputVariables can't come with a continuationToken",
        )?;
        check(self.outputs.keys().all(key), "outputVariables' keys match [A-Za-z0-9@\\-_]+")?;
        check(chars(&self.summary).is_none_or(|chars| chars <= 2_048), "summary has at most 2,048 characters")?;
        check(self.percent.is_none_or(|percent| percent <= 100), "percentComplete is at most 100")
    }
}

impl Failure {
    /// Whether AWS would take the report.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        check(FAILURE_TYPES.contains(&&*self.kind), "failureDetails.type is not one of AWS's")?;
        let chars = self.message.chars().count();
        check((1..=5_000).contains(&chars), "failureDetails.message has 1 to 5,000 characters")
    }
}
