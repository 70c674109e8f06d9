//! Errors: a kind to branch on, and a message for the person on call.

use crate::Report;
use std::fmt;

/// What went wrong, as far as anybody branches on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Parameters or settings that a person has to correct.
    Configuration,
    /// AWS refused for want of permission.
    Denied,
    /// AWS refused only because there are too many requests: nothing is wrong, but it takes its time. Look again.
    Throttled,
    /// AWS is unavailable, or didn't answer: the call may have taken effect. Look again.
    Unavailable,
    /// Somebody was quicker, or a describe lags: the call had no effect. Look again.
    Conflict,
    /// The client token of a launch is used up: the instance that it launched has been terminated. Look again, and
    /// launch with another token.
    Spent,
    /// No capacity for this type in this subnet (or no address to be had): try another.
    Capacity,
    /// A person protects the resource against this: it stays, and is left behind.
    Protected,
    /// AWS refused for another reason, which its own words say; a person has to judge.
    Refused,
    /// Judged about the release: it can't go on.
    Release,
    /// A mistake in tagship itself.
    Bug,
}

impl Kind {
    /// CodePipeline's failure type.
    pub fn failure_type(self) -> &'static str {
        match self {
            Kind::Configuration => "ConfigurationError",
            Kind::Denied => "PermissionError",
            Kind::Throttled | Kind::Unavailable => "SystemUnavailable",
            Kind::Conflict
            | Kind::Spent
            | Kind::Capacity
            | Kind::Protected
            | Kind::Refused
            | Kind::Release
            | Kind::Bug => "JobFailed",
        }
    }

    /// Whether another look, and perhaps the same call again, can help.
    pub fn passes(self) -> bool {
        matches!(self, Kind::Throttled | Kind::Unavailable | Kind::Conflict | Kind::Spent)
    }
}

/// A failure. `message` says what failed, on which resource, what is left behind, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What to branch on.
    pub kind: Kind,
    /// AWS's own code, where a call failed: `InsufficientInstanceCapacity`.
    pub code: Option<String>,
    /// For the operator.
    pub message: String,
    /// For the event: what the message says is left behind, and what was last seen of the release.
    pub report: Box<Report>,
}

impl Error {
    /// A failure of this kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, code: None, message: message.into(), report: Box::default() }
    }

    /// The same, leaving this behind.
    pub fn leaving(mut self, left_behind: Vec<String>) -> Self {
        self.report.left_behind = left_behind;
        self
    }

    /// Parameters or settings to correct.
    pub fn configuration(message: impl Into<String>) -> Self {
        Self::new(Kind::Configuration, message)
    }

    /// The release can't go on.
    pub fn release(message: impl Into<String>) -> Self {
        Self::new(Kind::Release, message)
    }

    /// Several problems of one thing, told at once: a heading and a line each.
    pub fn problems(heading: impl fmt::Display, problems: &[String]) -> Self {
        let mut message = format!("{heading}:");
        for problem in problems {
            message.push_str("\n- ");
            message.push_str(problem);
        }
        Self::configuration(message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
