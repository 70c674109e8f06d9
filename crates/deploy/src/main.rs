//! The deploy Lambda function.

use tagship::deploy::Deploy;
use tagship::{Job, Memo, Outcome, StageName};
use tagship_aws::{Function, Turn, serve};

struct Install;

impl Function for Install {
    const STAGE: StageName = StageName::Deploy;

    async fn act(turn: &Turn<'_>, job: &Job, memo: &mut Memo) -> Outcome {
        turn.run::<Deploy>(job, memo).await
    }
}

fn main() -> Result<(), lambda_runtime::Error> {
    serve::<Install>()
}
