//! The deploy Lambda function.

fn main() -> Result<(), tagship_aws::ServeError> {
    tagship_aws::serve::<tagship::actions::DeployFunction>()
}
