//! The cleanup Lambda function.

use tagship::cleanup::{Discard, Park, Retire};
use tagship::{Action, Job, Memo, Outcome, StageName};
use tagship_aws::{Function, Turn, serve};

struct Cleanup;

impl Function for Cleanup {
    const STAGE: StageName = StageName::Cleanup;

    async fn act(turn: &Turn<'_>, job: &Job, memo: &mut Memo) -> Outcome {
        match job.action {
            Action::Discard => turn.run::<Discard>(job, memo).await,
            Action::Park => turn.run::<Park>(job, memo).await,
            _ => turn.run::<Retire>(job, memo).await,
        }
    }

    async fn sweep(turn: &Turn<'_>) -> Outcome {
        turn.sweep().await
    }
}

fn main() -> Result<(), lambda_runtime::Error> {
    serve::<Cleanup>()
}
