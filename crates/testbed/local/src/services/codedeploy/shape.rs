//! Deployments in the shapes of the API.

use super::Requested;
use jiff::Timestamp;
use serde_json::{Value, json};
use tagship_emulator::deployment::{Event, Phase};

impl Requested {
    /// `DeploymentInfo`.
    pub(super) fn info(&self) -> Value {
        let deployment = &self.deployment;
        let count = |wanted| deployment.targets.values().filter(|t| t.phase == wanted).count();
        let mut info = json!({
            "applicationName": self.application,
            "deploymentGroupName": self.group,
            "deploymentConfigName": self.request["deploymentConfigName"],
            "deploymentId": self.id,
            "revision": self.request["revision"],
            "status": deployment.status.as_str(),
            "createTime": seconds(deployment.created),
            "startTime": seconds(deployment.created),
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
        if let Some(at) = deployment.completed {
            info["completeTime"] = seconds(at);
        }
        if let Some((code, message)) = deployment.error {
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
        let target = self.deployment.targets.get(instance)?;
        let events: Vec<Value> = target.events.iter().map(shown).collect();
        Some(json!({
            "deploymentTargetType": "InstanceTarget",
            "instanceTarget": {
                "deploymentId": self.id,
                "targetId": instance,
                "targetArn": format!("{arns}{instance}"),
                "status": target.phase.as_str(),
                "lastUpdatedAt": seconds(target.updated),
                "lifecycleEvents": events,
            },
        }))
    }
}

fn shown(event: &Event) -> Value {
    let mut shown = json!({"lifecycleEventName": event.name, "status": event.phase.as_str()});
    for (key, at) in [("startTime", event.started), ("endTime", event.ended)] {
        if let Some(at) = at {
            shown[key] = seconds(at);
        }
    }
    if let Some(told) = &event.diagnostics {
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

/// A time as JSON 1.1 has it: seconds since the epoch.
#[allow(clippy::cast_precision_loss)] // Exact to the millisecond for the next 280,000 years.
pub(super) fn seconds(at: Timestamp) -> Value {
    json!(at.as_millisecond() as f64 / 1000.0)
}
