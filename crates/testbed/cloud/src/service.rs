//! What an AWS service looks like to the gateway that answers for it.

use serde_json::Value;
use std::future::Future;
use std::pin::Pin;

/// The answer to one call, in progress.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<Value, ServiceError>> + Send + 'a>>;

/// One AWS service that the gateway answers itself.
pub trait Service: Send + Sync + 'static {
    /// Answers `operation` (what follows the dot in `X-Amz-Target`; for a REST service,
    /// `METHOD /path`) with the body of the response, or an AWS error.
    ///
    /// `caller` is the name of the access key that signed the call, e.g. `provision`.
    fn call<'a>(&'a self, caller: &'a str, operation: &'a str, body: Value) -> Answer<'a>;
}

/// An error as AWS sends it: in JSON 1.1, `{"__type": code, "message": message}`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ServiceError {
    /// HTTP status: 400 for the caller's mistakes, 500 for ours.
    pub status: u16,
    /// AWS's name of the error, e.g. `JobNotFoundException`.
    pub code: String,
    /// What a person reads.
    pub message: String,
}

impl ServiceError {
    /// An error of the caller's: HTTP 400.
    pub fn client(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status: 400, code: code.into(), message: message.into() }
    }

    /// The operation is not one that this service answers.
    pub fn unknown(operation: &str) -> Self {
        Self::client("UnknownOperationException", format!("{operation} is not answered here"))
    }
}
