//! What was called, by whom and how often; written as JSON lines for `validate_requests.py`.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::Serialize;
use tagship_emulator::policy;

use super::Call;

/// Bytes of a body that are kept; 1,000 targets or 600 names fit, an artifact doesn't.
const BODY_MAX: usize = 512 * 1024;

/// Headers that are never kept: they hold credentials.
const SECRET: [&str; 2] = ["authorization", "x-amz-security-token"];

/// One call that was answered, or whose reply was lost on purpose.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    /// When it came in.
    pub at: Timestamp,
    /// The access key's name, e.g. `provision`.
    pub caller: String,
    /// The signing name, e.g. `elasticloadbalancing`.
    pub service: String,
    /// The API's name, e.g. `ModifyRule`.
    pub operation: String,
    /// The HTTP status; `None` if the reply was lost.
    pub status: Option<u16>,
    /// Whether the operation changes something.
    pub changing: bool,
    /// A fault answered: the call did not reach its service.
    pub injected: bool,
    /// What IAM was asked, if the caller has a role.
    pub requests: Vec<policy::Request>,
    /// The request as it came.
    pub request: RawRequest,
}

/// A request in its own protocol, without credentials.
#[derive(Clone, Debug, Serialize)]
pub struct RawRequest {
    /// HTTP method.
    pub method: String,
    /// The path, still encoded.
    pub path: String,
    /// The query, still encoded.
    pub query: String,
    /// Headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body, if it is text and not too long; an S3 object is not kept.
    pub body: Option<String>,
}

impl RawRequest {
    pub(super) fn of(call: &Call) -> Self {
        let object = call.service == "s3" && matches!(call.operation.as_str(), "PutObject" | "UploadPart");
        let kept = !object && call.body.len() <= BODY_MAX;
        let query: Vec<&str> = call
            .query
            .split('&')
            .filter(|pair| !pair.starts_with("X-Amz-Security-Token=") && !pair.starts_with("X-Amz-Signature="))
            .collect();
        Self {
            method: call.method.to_string(),
            path: call.path.clone(),
            query: query.join("&"),
            headers: call
                .headers
                .iter()
                .filter(|(name, _)| !SECRET.contains(&name.as_str()))
                .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
                .collect(),
            body: if kept { String::from_utf8(call.body.to_vec()).ok() } else { None },
        }
    }
}

/// Who called what: (caller, service, operation).
pub type CallKey = (String, String, String);

/// All calls so far.
#[derive(Debug, Default)]
pub struct Recorder {
    records: Mutex<Vec<Record>>,
}

impl Recorder {
    fn lock(&self) -> MutexGuard<'_, Vec<Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, record: Record) {
        self.lock().push(record);
    }

    /// Every call, in the order in which they ended.
    pub fn records(&self) -> Vec<Record> {
        self.lock().clone()
    }

    /// Forgets what was recorded, and returns it.
    pub fn take(&self) -> Vec<Record> {
        std::mem::take(&mut *self.lock())
    }

    /// How often each was called.
    pub fn counts(&self) -> BTreeMap<CallKey, u64> {
        let mut counts = BTreeMap::new();
        for record in self.lock().iter() {
            let key = (record.caller.clone(), record.service.clone(), record.operation.clone());
            *counts.entry(key).or_default() += 1;
        }
        counts
    }

    /// Writes every call as a line of JSON.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut file = io::BufWriter::new(std::fs::File::create(path)?);
        for record in self.lock().iter() {
            serde_json::to_writer(&mut file, record)?;
            file.write_all(b"\n")?;
        }
        file.flush()
    }
}
