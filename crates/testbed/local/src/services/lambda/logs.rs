//! CloudWatch Logs, as far as people ask it: what a function has written about one release.

use super::Lambda;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tagship_cloud::service::{Answer, Service, ServiceError};

/// The logs of the functions.
#[derive(Clone, Debug)]
pub struct Logs(pub Lambda);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    log_group_name: String,
    filter_pattern: String,
    start_time: i64,
    end_time: i64,
}

/// A pattern of one comparison, `{ $.span.release = "…" }`: the path and the value.
fn comparison(pattern: &str) -> Option<(Vec<&str>, &str)> {
    let inner = pattern.trim().strip_prefix('{')?.strip_suffix('}')?;
    let (path, value) = inner.split_once('=')?;
    let path = path.trim().strip_prefix("$.")?.split('.').collect();
    Some((path, value.trim().strip_prefix('"')?.strip_suffix('"')?))
}

impl Logs {
    fn filter(&self, body: Value) -> Result<Value, ServiceError> {
        let invalid = |why: String| ServiceError::client("InvalidParameterException", why);
        let asked: Filter = serde_json::from_value(body).map_err(|error| invalid(error.to_string()))?;
        let (path, wanted) = comparison(&asked.filter_pattern).ok_or_else(|| {
            invalid(format!("the local cloud reads patterns like {{ $.a.b = \"c\" }}, not {}", asked.filter_pattern))
        })?;
        let function = asked.log_group_name.strip_prefix("/aws/lambda/").unwrap_or_default();
        let entry = self.0.entry(function).ok_or_else(|| {
            ServiceError::client("ResourceNotFoundException", "The specified log group does not exist.")
        })?;
        // A function that was never invoked has no log yet.
        let text = std::fs::read_to_string(&entry.log).unwrap_or_default();
        let event = |line: &str| {
            let parsed: Value = serde_json::from_str(line).ok()?;
            let found = path.iter().try_fold(&parsed, |value, key| value.get(key))?;
            let at = parsed["timestamp"].as_str()?.parse::<Timestamp>().ok()?.as_millisecond();
            let wanted = found == wanted && (asked.start_time..=asked.end_time).contains(&at);
            wanted.then(|| json!({"logStreamName": "local", "timestamp": at, "message": line, "ingestionTime": at}))
        };
        Ok(json!({"events": text.lines().filter_map(event).collect::<Vec<_>>(), "searchedLogStreams": []}))
    }
}

impl Service for Logs {
    fn call<'a>(&'a self, _caller: &'a str, operation: &'a str, body: Value) -> Answer<'a> {
        Box::pin(async move {
            match operation {
                "FilterLogEvents" => self.filter(body),
                other => Err(ServiceError::unknown(other)),
            }
        })
    }
}
