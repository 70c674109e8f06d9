//! An invocation that Lambda has given up: what it was for, and what people are told of it.

use super::{Caller, Invocation, Request};
use crate::{Error, Job, Kind, StageName};
use serde_json::{Value, json};

/// Lambda's record of it, which cleanup gets as the other functions' on-failure destination.
const PAYLOAD: &str = "requestPayload";

/// An invocation that failed three times: its process died, or it answered an error.
#[derive(Debug, Clone, PartialEq)]
pub struct Died {
    /// What it was to do; none where it was for no single release.
    pub job: Option<Job>,
    /// What is told.
    pub error: Error,
}

/// The invocation that cleanup makes of such a record; none if the event is none.
pub(super) fn read(stage: StageName, event: &mut Value) -> Option<Result<Invocation, Error>> {
    // cleanup's own records go to the queue.
    (stage == StageName::Cleanup && event[PAYLOAD].is_object()).then(|| record(event))
}

fn record(event: &mut Value) -> Result<Invocation, Error> {
    let payload = event[PAYLOAD].take();
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    // arn:aws:lambda:REGION:ACCOUNT:function:NAME:$LATEST
    let name = text("/requestContext/functionArn").split(':').nth(6).unwrap_or_default();
    let stage = StageName::ALL.into_iter().find(|stage| *stage != StageName::Cleanup && name.ends_with(stage.as_str()));
    let Some(stage) = stage else {
        return Err(Error::configuration(format!(
            "an invocation of function {name:?} was given up, which is none of tagship's: nothing was done"
        )));
    };
    let Invocation { caller, request } = Invocation::parse(stage, payload)?;
    let refused = request.is_err();
    let job = match request {
        Ok(Request::Release(job)) => Some(job),
        _ => None,
    };
    let action = job.as_ref().map_or(stage.as_str(), |job| job.action.as_str());
    let what = match text("/requestContext/condition") {
        "EventAgeExceeded" => format!("Lambda had no room to run {action} for six hours"),
        _ => {
            let count = event.pointer("/requestContext/approximateInvokeCount").and_then(Value::as_u64).unwrap_or(3);
            let last = match text("/responsePayload/errorMessage") {
                "" => "it gave no reason".to_owned(),
                last => last.to_owned(),
            };
            format!("function {name} was tried {count} times for {action} and failed each time; last: {last}")
        }
    };
    let next = match (&caller, &job) {
        (Caller::Pipeline { .. }, _) => {
            "What it did before stands, until the execution's end has it removed".to_owned()
        }
        (Caller::Direct, Some(job)) => format!(
            "Sweep takes up within five minutes what it left undone. To repeat it at once, invoke {name} with {}",
            json!({"tagship": {"action": action, "serviceRole": job.role.as_str(), "release": job.release.as_str()}})
        ),
        (Caller::Direct, None) if refused => "Correct its event and invoke it again".to_owned(),
        (Caller::Direct, None) => "It comes again by itself".to_owned(),
    };
    let request = text("/requestContext/requestId");
    let error = Error::new(Kind::Unavailable, format!("{what}. {next}. Look at its log, for request {request}"));
    Ok(Invocation { caller, request: Ok(Request::Died(Box::new(Died { job, error }))) })
}
