//! The provision Lambda function.

use tagship::provision::Provision;
use tagship::{Job, Memo, Outcome, StageName};
use tagship_aws::{Function, Turn, serve};

struct Launch;

impl Function for Launch {
    const STAGE: StageName = StageName::Provision;

    async fn act(turn: &Turn<'_>, job: &Job, memo: &mut Memo) -> Outcome {
        turn.run::<Provision>(job, memo).await
    }
}

fn main() -> Result<(), lambda_runtime::Error> {
    serve::<Launch>()
}
