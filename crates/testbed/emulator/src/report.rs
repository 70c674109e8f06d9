//! What a job reports of itself, and the limits that AWS sets for it.

use crate::refusal::Refusal;
use std::collections::BTreeMap;

/// What a job reports when it goes well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Success {
    /// The job isn't done: a new one gets this token.
    pub continuation: Option<String>,
    /// What a person reads.
    pub summary: Option<String>,
    /// The id that the action's provider gave.
    pub external_id: Option<String>,
    /// How far it is, 0 to 100.
    pub percent: Option<u8>,
    /// The output variables.
    pub outputs: BTreeMap<String, String>,
}

/// What a job reports when it fails.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// AWS's type, e.g. `JobFailed`.
    pub kind: String,
    /// What a person reads.
    pub message: String,
    /// The id that the action's provider gave.
    pub external_id: Option<String>,
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
