//! The functions: their variables, their logs, and a direct invocation.

use super::Account;
use crate::Cloud;
use crate::error::Called;
use aws_sdk_lambda::primitives::Blob;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tagship::{Action, Error, Kind, ReleaseId, ServiceRole, StageName};

/// A line of a function's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// When it was written.
    pub at: Timestamp,
    /// JSON, as the functions write it.
    pub line: Value,
}

/// A function's configuration.
pub(super) struct Configuration {
    pub(super) variables: BTreeMap<String, String>,
    /// The revision that has them.
    pub(super) revision: String,
    /// The account's number.
    pub(super) account: Option<String>,
}

/// A function's configuration as it is now.
pub(super) async fn configuration(cloud: &Cloud, function: &str) -> Result<Configuration, Error> {
    let request = cloud.lambda().get_function_configuration().function_name(function);
    let found = request.send().await.called("lambda:GetFunctionConfiguration", function)?;
    let variables = found.environment.and_then(|environment| environment.variables).unwrap_or_default();
    Ok(Configuration {
        variables: variables.into_iter().collect(),
        revision: found.revision_id.unwrap_or_default(),
        account: found.function_arn.and_then(|arn| arn.split(':').nth(4).map(str::to_owned)),
    })
}

impl Account {
    /// Has a function act on a release, as a rule would, and waits for its answer: what it says that it did.
    ///
    /// # Errors
    ///
    /// If it couldn't be invoked, or says that it failed.
    pub async fn invoke(
        &self,
        action: Action,
        role: &ServiceRole,
        release: &ReleaseId,
        pipeline: &str,
    ) -> Result<String, Error> {
        let function = self.function(action.stage());
        let event = json!({"tagship": {
            "serviceRole": role.as_str(), "release": release.as_str(), "pipeline": pipeline, "action": action.as_str(),
        }});
        let payload = Blob::new(event.to_string());
        // An answer can take as long as the function may run: this is no change of the bounded kind.
        let request = self.cloud.lambda_invokes().invoke().function_name(&function).payload(payload);
        let sent = request.send().await.called("lambda:InvokeFunction", &function)?;
        let answer: Value =
            sent.payload.and_then(|blob| serde_json::from_slice(blob.as_ref()).ok()).unwrap_or_default();
        if sent.function_error.is_some() {
            let why = answer["errorMessage"].as_str().unwrap_or("it gave no reason").to_owned();
            return Err(Error::new(Kind::Release, format!("{function}, asked to {action}: {why}")));
        }
        Ok(answer["message"].as_str().unwrap_or("done").to_owned())
    }

    /// What a function has logged of a release in this time; at most one page of it.
    ///
    /// # Errors
    ///
    /// If CloudWatch Logs refuses.
    pub async fn logs(
        &self,
        stage: StageName,
        release: &ReleaseId,
        (from, to): (Timestamp, Timestamp),
    ) -> Result<Vec<Log>, Error> {
        let group = format!("/aws/lambda/{}", self.function(stage));
        let request = self
            .cloud
            .logs()
            .filter_log_events()
            .log_group_name(&group)
            .filter_pattern(format!("{{ $.span.release = \"{release}\" }}"))
            .start_time(from.as_millisecond())
            .end_time(to.as_millisecond());
        let page = request.send().await.called("logs:FilterLogEvents", &group)?;
        let read = |event: &aws_sdk_cloudwatchlogs::types::FilteredLogEvent| {
            Some(Log {
                at: Timestamp::from_millisecond(event.timestamp()?).ok()?,
                line: serde_json::from_str(event.message()?.trim()).ok()?,
            })
        };
        Ok(page.events().iter().filter_map(read).collect())
    }
}
