//! The route Lambda function.

use tagship::route::{Rollback, Shift};
use tagship::{Action, Job, Memo, Outcome, StageName};
use tagship_aws::{Function, Turn, serve};

struct Route;

impl Function for Route {
    const STAGE: StageName = StageName::Route;

    async fn act(turn: &Turn<'_>, job: &Job, memo: &mut Memo) -> Outcome {
        match job.action {
            Action::Rollback => turn.run::<Rollback>(job, memo).await,
            _ => turn.run::<Shift>(job, memo).await,
        }
    }
}

fn main() -> Result<(), lambda_runtime::Error> {
    serve::<Route>()
}
