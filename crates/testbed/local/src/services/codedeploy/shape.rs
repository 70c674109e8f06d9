//! Deployments in the shapes of the API.

use super::deployment::{Deployment, Event, Phase, Status};
use jiff::Timestamp;
use serde_json::{Value, json};

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::InProgress => "InProgress",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Skipped => "Skipped",
        }
    }
}

impl Status {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::InProgress => "InProgress",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Stopped => "Stopped",
        }
    }
}

impl Deployment {
    /// `DeploymentInfo`.
    pub(super) fn info(&self) -> Value {
        let count = |wanted| self.targets.values().filter(|t| t.phase == wanted).count();
        let mut info = json!({
            "applicationName": self.application,
            "deploymentGroupName": self.group,
            "deploymentConfigName": self.request["deploymentConfigName"],
            "deploymentId": self.id,
            "revision": self.request["revision"],
            "status": self.status.name(),
            "createTime": seconds(self.created),
            "startTime": seconds(self.created),
            "deploymentOverview": {
                "Pending": count(Phase::Pending),
                "InProgress": count(Phase::InProgress),
                "Succeeded": count(Phase::Succeeded),
                "Failed": count(Phase::Failed),
                "Skipped": count(Phase::Skipped),
                "Ready": 0,
            },
            "creator": "user",
            "ignoreApplicationStopFailures": self.request["ignoreApplicationStopFailures"] == Value::Bool(true),
            "updateOutdatedInstancesOnly": false,
            "deploymentStyle": {"deploymentType": "IN_PLACE", "deploymentOption": "WITHOUT_TRAFFIC_CONTROL"},
            "fileExistsBehavior": self.file_exists_behavior(),
            "computePlatform": "Server",
        });
        if let Some(at) = self.completed {
            info["completeTime"] = seconds(at);
        }
        if let Some((code, message)) = self.error {
            info["errorInformation"] = json!({"code": code, "message": message});
        }
        for key in ["description", "autoRollbackConfiguration"] {
            if let Some(value) = self.request.get(key) {
                info[key] = value.clone();
            }
        }
        info
    }

    pub(super) fn file_exists_behavior(&self) -> &str {
        self.request["fileExistsBehavior"].as_str().unwrap_or("DISALLOW")
    }

    /// `DeploymentTarget` of one instance, whose ARN starts with `arns`.
    pub(super) fn target(&self, instance: &str, arns: &str) -> Option<Value> {
        let target = self.targets.get(instance)?;
        let events: Vec<Value> = target.events.iter().map(Event::shown).collect();
        Some(json!({
            "deploymentTargetType": "InstanceTarget",
            "instanceTarget": {
                "deploymentId": self.id,
                "targetId": instance,
                "targetArn": format!("{arns}{instance}"),
                "status": target.phase.name(),
                "lastUpdatedAt": seconds(target.updated),
                "lifecycleEvents": events,
            },
        }))
    }
}

impl Event {
    fn shown(&self) -> Value {
        let mut shown = json!({"lifecycleEventName": self.name, "status": self.phase.name()});
        for (key, at) in [("startTime", self.started), ("endTime", self.ended)] {
            if let Some(at) = at {
                shown[key] = seconds(at);
            }
        }
        if let Some(told) = &self.diagnostics {
            let code = match told.error_code {
                0 => "Success",
                1 => "ScriptMissing",
                2 => "ScriptNotExecutable",
                3 => "ScriptTimedOut",
                4 => "ScriptFailed",
                _ => "UnknownError",
            };
            shown["diagnostics"] = json!({
                "errorCode": code,
                "scriptName": told.script_name,
                "message": told.message,
                "logTail": told.log,
            });
        }
        shown
    }
}

/// A time as JSON 1.1 has it: seconds since the epoch.
#[allow(clippy::cast_precision_loss)] // Exact to the millisecond for the next 280,000 years.
pub(super) fn seconds(at: Timestamp) -> Value {
    json!(at.as_millisecond() as f64 / 1000.0)
}
