//! Hooks as a release goes through them: what the hold says, what a call tells, and what is answered.

use super::hold::Hold;
use super::noun::{ReleaseId, ServiceRole};
use super::settings::{Hook, HookPoint, MAX_DETAILS};
use super::words::bounded;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Seconds after which a hook is called again that doesn't say when.
const DELAY_SECS: u32 = 30;
/// So much of a function's error is told, in characters.
const REASON: usize = 300;

/// How far a release has come with the hooks of a point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookRun {
    /// The point.
    pub point: HookPoint,
    /// Which of its hooks is called, counted from 0; beyond the last one all have succeeded.
    pub number: usize,
    /// Since when that one is called.
    pub since: Timestamp,
    /// From when on it is called again. An answer counts for the call that was due then, and for no other.
    pub due: Timestamp,
    /// What it is told besides: of the settings, or its last answer.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub details: Option<Value>,
}

impl HookRun {
    /// The first call of one of the point's hooks.
    pub fn first(point: HookPoint, number: usize, hooks: &[Hook], now: Timestamp) -> Self {
        let details = hooks.get(number).and_then(|hook| hook.details.clone());
        Self { point, number, since: now, due: now, details }
    }

    /// The call that is due.
    pub fn call(&self) -> CallId {
        CallId { point: self.point, number: self.number, due: self.due }
    }
}

impl Hold {
    /// Whether every hook of this point has succeeded.
    pub fn passed(&self, point: HookPoint) -> bool {
        let hooks = self.settings.hooks.at(point).len();
        let run = self.hook.as_ref();
        hooks == 0 || run.is_some_and(|run| run.point > point || (run.point == point && run.number >= hooks))
    }

    /// The hook that is being called, and how far that has come.
    pub fn calling(&self) -> Option<(&Hook, &HookRun)> {
        let run = self.hook.as_ref()?;
        Some((self.settings.hooks.at(run.point).get(run.number)?, run))
    }
}

/// Which call of a hook: only its own answer counts for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId {
    /// The point.
    pub point: HookPoint,
    /// The hook, counted from 0.
    pub number: usize,
    /// When it was due.
    pub due: Timestamp,
}

/// A call of a hook's function.
#[derive(Debug, Clone, PartialEq)]
pub struct HookCall {
    /// Which.
    pub id: CallId,
    /// The function's name or ARN.
    pub function: String,
    /// What it is told.
    pub told: HookTold,
}

/// What a hook is told: ECS's own keys first, so that a function written for ECS finds them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HookTold {
    /// The release: the pipeline execution's id.
    pub execution_id: ReleaseId,
    /// The point, as ECS calls it.
    pub lifecycle_stage: &'static str,
    /// Of the settings, or its last answer.
    pub hook_details: Value,
    /// The service.
    pub service: ServiceRole,
    /// The release.
    pub release: ReleaseId,
    /// Its pipeline.
    pub pipeline: String,
    /// The point.
    pub point: HookPoint,
    /// The release's running instances.
    pub instances: Vec<String>,
    /// Their private addresses.
    pub private_ips: Vec<String>,
    /// The candidate's name in the private zone.
    pub candidate_name: Option<String>,
    /// Where the candidate is reached through the balancer before it is live.
    pub test_address: Option<String>,
}

impl HookPoint {
    /// The name of the same point among ECS's lifecycle stages.
    pub fn lifecycle_stage(self) -> &'static str {
        match self {
            Self::BeforeShift => "POST_TEST_TRAFFIC_SHIFT",
            Self::AfterShift => "POST_PRODUCTION_TRAFFIC_SHIFT",
        }
    }
}

/// A call that this process has made. No other one knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// Which.
    pub id: CallId,
    /// The answer; none while it runs.
    pub answer: Option<HookAnswer>,
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookAnswer {
    /// The release has passed.
    Succeeded,
    /// It isn't done yet.
    InProgress {
        /// Seconds until it is called again.
        delay_secs: u32,
        /// What it wants to be told then; none for the same again.
        details: Option<Value>,
    },
    /// The release has failed, or the function has: why.
    Failed(String),
    /// Lambda took no call, or nobody knows what came of it: it is called again.
    Unheard(String),
}

impl HookAnswer {
    /// What a function answered, as ECS reads it: whatever isn't understood has failed.
    pub fn read(payload: &[u8]) -> Self {
        let answer: Map<String, Value> = match serde_json::from_slice(payload) {
            Ok(Value::Object(answer)) => answer,
            _ => return Self::Failed("it didn't answer a JSON object with hookStatus".to_owned()),
        };
        let details = answer.get("hookDetails").filter(|details| !details.is_null());
        if details.is_some_and(|details| !details.is_object() || details.to_string().len() > MAX_DETAILS) {
            return Self::Failed(format!("its hookDetails are no object of at most {MAX_DETAILS} bytes"));
        }
        let delay = answer.get("callBackDelay").filter(|delay| !delay.is_null());
        match answer.get("hookStatus").and_then(Value::as_str) {
            Some("SUCCEEDED") => Self::Succeeded,
            Some("FAILED") => Self::Failed("it answered FAILED".to_owned()),
            Some("IN_PROGRESS") => {
                let secs = match delay {
                    None => Some(DELAY_SECS),
                    Some(delay) => delay.as_u64().and_then(|secs| u32::try_from(secs).ok()),
                };
                match secs {
                    Some(secs) => Self::InProgress { delay_secs: secs.max(1), details: details.cloned() },
                    None => Self::Failed("its callBackDelay is no whole number of seconds".to_owned()),
                }
            }
            _ => Self::Failed("its hookStatus is none of SUCCEEDED, FAILED, IN_PROGRESS".to_owned()),
        }
    }

    /// A function that failed, with Lambda's own words in its payload.
    pub fn crashed(payload: &[u8]) -> Self {
        let told: Value = serde_json::from_slice(payload).unwrap_or_default();
        let why = told["errorMessage"].as_str().unwrap_or("it gave no reason");
        Self::Failed(format!("it ended with an error ({})", bounded(why, REASON)))
    }

    /// Seconds until a hook is called again that Lambda took no call for.
    pub const UNHEARD_SECS: u32 = DELAY_SECS;
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn answers_are_read_as_ecs_reads_them() {
        let check = |answer: Value, expected: HookAnswer| {
            assert_eq!(HookAnswer::read(answer.to_string().as_bytes()), expected, "{answer}");
        };
        let failed = |why: &str| HookAnswer::Failed(why.to_owned());
        let going = |delay_secs, details| HookAnswer::InProgress { delay_secs, details };
        check(json!({"hookStatus": "SUCCEEDED", "more": 1}), HookAnswer::Succeeded);
        check(json!({"hookStatus": "FAILED"}), failed("it answered FAILED"));
        check(json!({"hookStatus": "IN_PROGRESS"}), going(30, None));
        check(
            json!({"hookStatus": "IN_PROGRESS", "callBackDelay": 5, "hookDetails": {"run": 7}}),
            going(5, Some(json!({"run": 7}))),
        );
        check(json!({"hookStatus": "IN_PROGRESS", "callBackDelay": 0, "hookDetails": null}), going(1, None));
        let status = "its hookStatus is none of SUCCEEDED, FAILED, IN_PROGRESS";
        check(json!({"hookStatus": "succeeded"}), failed(status));
        check(json!({}), failed(status));
        check(json!(null), failed("it didn't answer a JSON object with hookStatus"));
        check(
            json!({"hookStatus": "IN_PROGRESS", "callBackDelay": "5"}),
            failed("its callBackDelay is no whole number of seconds"),
        );
        for details in [json!([1]), json!({"long": "x".repeat(MAX_DETAILS)})] {
            check(
                json!({"hookStatus": "SUCCEEDED", "hookDetails": details}),
                failed("its hookDetails are no object of at most 4096 bytes"),
            );
        }
        let why = HookAnswer::crashed(br#"{"errorMessage": "no route"}"#);
        assert_eq!(why, failed("it ended with an error (no route)"));
    }
}
