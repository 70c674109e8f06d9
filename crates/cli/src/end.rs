//! How a command ends: its exit code, and why.

use serde::Serialize;
use std::fmt;
use std::process::ExitCode;
use tagship::{Error, Kind};
use tagship_aws::Opened;

/// How a command ends that did what it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// All is well.
    Fine,
    /// It found something that isn't well.
    Found,
    /// A person has to answer before it can go on.
    Waits,
}

impl From<End> for ExitCode {
    fn from(end: End) -> Self {
        match end {
            End::Fine => 0.into(),
            End::Found => 1.into(),
            End::Waits => 4.into(),
        }
    }
}

/// Why a command couldn't do what it was asked for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What was asked for makes no sense here.
    Usage(String),
    /// AWS, or a function, refused.
    Refused(Box<Error>),
    /// No credentials, or no Region.
    Nobody(String),
    /// Who was asked has pressed Ctrl-C.
    Stopped,
    /// Who reads the output has gone.
    Gone,
}

impl Failure {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Refused(error) if error.kind == Kind::Configuration && error.code.is_none() => 2,
            Self::Refused(_) => 3,
            Self::Nobody(_) => 5,
            // As shells have it of what a Ctrl-C ends.
            Self::Stopped => 130,
            Self::Gone => 0,
        }
    }

    /// As JSON has it.
    pub(crate) fn document(&self) -> impl Serialize {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Told {
            message: String,
            code: Option<String>,
            permission: Option<String>,
        }
        #[derive(Serialize)]
        struct Document {
            schema: u32,
            error: Told,
        }
        let (code, permission) = match self {
            Self::Refused(error) => (error.code.clone(), permission(error)),
            _ => (None, None),
        };
        Document { schema: crate::out::SCHEMA, error: Told { message: self.to_string(), code, permission } }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) | Self::Nobody(message) => f.write_str(message),
            Self::Refused(error) => f.write_str(&told(error)),
            Self::Stopped => f.write_str("ended by Ctrl-C: nothing was written"),
            Self::Gone => f.write_str("nobody reads any more"),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Refused(Box::new(error))
    }
}

impl From<Opened> for Failure {
    fn from(opened: Opened) -> Self {
        match opened {
            Opened::Nobody(why) => Self::Nobody(why),
            Opened::Refused(error) => error.into(),
        }
    }
}

/// The permission that lacks, as IAM names it: what a refused call's message begins with.
pub(crate) fn permission(error: &Error) -> Option<String> {
    let (action, _) = error.message.split_once(" on ").filter(|_| error.kind == Kind::Denied)?;
    Some(action.to_owned())
}

/// The message for a person, whose permissions aren't a function's.
pub(crate) fn told(error: &Error) -> String {
    match permission(error) {
        Some(action) => {
            let message = error.message.split(". Allow ").next().unwrap_or(&error.message);
            format!("{message}. You need {action}: docs/CLI.md says which policy has it")
        }
        None => error.message.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_its_code() {
        let denied = "s3:GetObject on s3://b/k: AccessDenied: no. Allow s3:GetObject on s3://b/k in the function's role (infra/)";
        let error = Error { code: Some("AccessDenied".to_owned()), ..Error::new(Kind::Denied, denied) };
        let failure = Failure::from(error);
        assert_eq!(failure.code(), 3);
        assert_eq!(
            failure.to_string(),
            "s3:GetObject on s3://b/k: AccessDenied: no. You need s3:GetObject: docs/CLI.md says which policy has it"
        );
        assert_eq!(Failure::usage("x").code(), 2);
        assert_eq!(Failure::Stopped.code(), 130);
        assert_eq!(Failure::from(Error::configuration("settings are wrong")).code(), 2);
        assert_eq!(Failure::from(Opened::Nobody("who?".to_owned())).code(), 5);
    }
}
