//! What CodePipeline refuses, by AWS's names.

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
    #[error("the stage can't be rolled back: {0}")]
    NoRollback(&'static str),
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
            Self::NoRollback(_) => "UnableToRollbackStageException",
        }
    }
}
