//! What agents ask: commands, a deployment's specification, and where to report a command's end.
//!
//! The operations are those of the real agent, but for the acknowledgement: a command that was
//! fetched is in progress.

use super::{Agents, CodeDeploy, Store, text};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;
use tagship_cloud::service::ServiceError;
use tagship_emulator::deployment::Diagnostics;

impl CodeDeploy {
    /// Holds an agent's poll until there is a command for its instance, or time is up.
    pub(super) async fn poll(&self, body: &Value) -> Result<Value, ServiceError> {
        let host = text(body, "HostIdentifier")?;
        let instance = host.rsplit('/').next().unwrap_or(host);
        let held = match self.config.agents {
            Agents::Polling { poll, .. } => poll,
            Agents::Absent(_) => Duration::ZERO,
        };
        let mut changes = self.changes.subscribe();
        let command = async {
            loop {
                changes.borrow_and_update();
                if let Some(command) = self.command(host, instance) {
                    return command;
                }
                if changes.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        match tokio::time::timeout(held, command).await {
            Ok(command) => Ok(json!({"HostCommand": command})),
            Err(_) => Ok(json!({})),
        }
    }

    fn command(&self, host: &str, instance: &str) -> Option<Value> {
        let now = Timestamp::now();
        let mut store = self.store(now);
        store.deployments.iter_mut().find_map(|requested| {
            let event = requested.deployment.next_event(instance, now)?;
            Some(json!({
                "HostCommandIdentifier": format!("{}/{instance}/{event}", requested.id),
                "HostIdentifier": host,
                "DeploymentExecutionId": requested.id,
                "CommandName": event,
            }))
        })
    }

    /// What an agent needs to know of a deployment.
    pub(super) fn specification(&self, store: &mut Store, body: &Value) -> Result<Value, ServiceError> {
        let id = text(body, "DeploymentExecutionId")?;
        let deployment = store.deployment(&json!({"deploymentId": id}))?;
        let location = &deployment.request["revision"]["s3Location"];
        let payload = json!({
            "DeploymentId": deployment.id,
            "DeploymentGroupName": deployment.group,
            "ApplicationName": deployment.application,
            "DeploymentCreator": "user",
            "DeploymentType": "IN_PLACE",
            "AgentActionOverrides": {"AgentOverrides": {
                "FileExistsBehavior": deployment.file_exists_behavior(),
            }},
            "Revision": {"RevisionType": "S3", "S3Revision": {
                "Bucket": location["bucket"],
                "Key": location["key"],
                "BundleType": location["bundleType"],
                "Version": location["version"],
                "ETag": location["eTag"],
            }},
        });
        let names = json!({"applicationName": deployment.application, "deploymentGroupName": deployment.group});
        let mut payload = payload;
        payload["DeploymentGroupId"] = store.group(&names, "deploymentGroupName")?["deploymentGroupId"].clone();
        Ok(json!({
            "DeploymentSystem": "CodeDeploy",
            "DeploymentSpecification": {"GenericEnvelope": {
                "Format": "TEXT/JSON",
                "Payload": payload.to_string(),
            }},
        }))
    }
}

/// Notes how a command ended.
pub(super) fn complete(store: &mut Store, body: &Value, now: Timestamp) -> Result<Value, ServiceError> {
    let command = text(body, "HostCommandIdentifier")?;
    let told = body["Diagnostics"]["Payload"].as_str().unwrap_or_default();
    let invalid = |message: String| ServiceError::client("ValidationException", message);
    let diagnostics: Diagnostics =
        serde_json::from_str(told).map_err(|error| invalid(format!("diagnostics: {error}")))?;
    let &[id, instance, event] = command.split('/').collect::<Vec<_>>().as_slice() else {
        return Err(invalid(format!("{command} is no host command")));
    };
    if let Some(warning) = diagnostics.message.strip_prefix("Succeeded: ").filter(|warning| !warning.is_empty()) {
        tracing::warn!(deployment = id, instance, "appspec.yml: {warning}");
    }
    let deployment = store.deployment(&json!({"deploymentId": id}))?;
    deployment.deployment.complete(instance, event, diagnostics, now);
    Ok(json!({}))
}
