//! Faults on purpose: errors in the caller's own protocol, latency, and replies that are lost.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, StatusCode};

use super::{Call, Reply};

/// A fault: which calls it meets, and what happens to them.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The access key's name; `None`: anyone's.
    pub caller: Option<String>,
    /// The signing name, e.g. `ec2`.
    pub service: String,
    /// The API's name; `None`: any of the service.
    pub operation: Option<String>,
    /// Which of the calls that match.
    pub when: When,
    /// What happens.
    pub effect: Effect,
}

/// Which of the matching calls a fault meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// All, until the fault is removed.
    Always,
    /// Only the n-th, counted from 1.
    Nth(u64),
    /// The first n.
    First(u64),
    /// Those that come within so long a time after the fault was put in force.
    For(Duration),
}

/// What a fault does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The call is refused; it doesn't reach its service.
    Error {
        /// HTTP status.
        status: u16,
        /// AWS's code, e.g. `RequestLimitExceeded`.
        code: String,
        /// AWS's words.
        message: String,
    },
    /// The call takes that much longer.
    Delay(Duration),
    /// The call is carried out, and the connection closed without a reply.
    LoseReply,
}

impl Effect {
    /// An error of HTTP status 400.
    pub fn error(code: &str, message: &str) -> Self {
        Self::Error { status: 400, code: code.to_owned(), message: message.to_owned() }
    }
}

/// Names a fault, to remove it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultId(u64);

/// The faults in force.
#[derive(Debug, Default)]
pub struct Faults {
    active: Mutex<Active>,
}

#[derive(Debug, Default)]
struct Active {
    next_id: u64,
    faults: Vec<InForce>,
}

#[derive(Debug)]
struct InForce {
    id: FaultId,
    fault: Fault,
    since: Instant,
    matched: u64,
}

impl Faults {
    fn lock(&self) -> MutexGuard<'_, Active> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a fault in force.
    pub fn add(&self, fault: Fault) -> FaultId {
        let mut active = self.lock();
        active.next_id += 1;
        let id = FaultId(active.next_id);
        active.faults.push(InForce { id, fault, since: Instant::now(), matched: 0 });
        id
    }

    /// Ends a fault; says how many calls it matched.
    pub fn remove(&self, id: FaultId) -> u64 {
        let faults = &mut self.lock().faults;
        let found = faults.extract_if(.., |it| it.id == id).next();
        found.map_or(0, |it| it.matched)
    }

    /// Ends all.
    pub fn clear(&self) {
        self.lock().faults.clear();
    }

    /// What happens to this call, in the order in which the faults were added.
    pub(super) fn meet(&self, call: &Call) -> Vec<Effect> {
        let mut effects = Vec::new();
        for InForce { fault, since, matched, .. } in &mut self.lock().faults {
            let matches = fault.caller.as_ref().is_none_or(|caller| *caller == call.caller)
                && fault.service == call.service
                && fault.operation.as_ref().is_none_or(|operation| *operation == call.operation);
            if !matches {
                continue;
            }
            *matched += 1;
            let met = match fault.when {
                When::Always => true,
                When::Nth(n) => *matched == n,
                When::First(n) => *matched <= n,
                When::For(time) => since.elapsed() <= time,
            };
            if met {
                effects.push(fault.effect.clone());
            }
        }
        effects
    }
}

/// An AWS error in the protocol that the call speaks.
pub(super) fn refusal(call: &Call, status: u16, code: &str, message: &str) -> Reply {
    let json = call.headers.contains_key("x-amz-target") || call.service == "lambda";
    let (kind, body) = if json {
        let body = serde_json::json!({"__type": code, "message": message}).to_string();
        ("application/x-amz-json-1.1", body)
    } else {
        let (code, text) = (escape(code), escape(message));
        let error = format!("<Code>{code}</Code><Message>{text}</Message>");
        let body = match call.service.as_str() {
            "ec2" => {
                format!("<Response><Errors><Error>{error}</Error></Errors><RequestID>injected</RequestID></Response>")
            }
            "s3" => format!("<Error>{error}<RequestId>injected</RequestId></Error>"),
            _ => {
                let fault = if status < 500 { "Sender" } else { "Receiver" };
                format!(
                    "<ErrorResponse><Error><Type>{fault}</Type>{error}</Error><RequestId>injected</RequestId></ErrorResponse>"
                )
            }
        };
        ("text/xml", format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>{body}"))
    };
    let mut reply = Reply::new(
        StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST),
        HeaderValue::from_static(kind),
        Bytes::from(body),
    );
    if call.service == "lambda"
        && let Ok(code) = HeaderValue::from_str(code)
    {
        reply.headers.insert("x-amzn-errortype", code);
    }
    if call.method == Method::HEAD {
        reply.headers.remove(CONTENT_TYPE);
        reply.body = Bytes::new();
    }
    reply
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
