//! CodeDeploy itself, without agents: which instances a deployment is for, lists, and what it refuses.

use crate::cloud::Cloud;
use serde_json::{Value, json};
use std::time::Duration;
use tagship_local::codedeploy::Agents;

#[tokio::test]
async fn without_agents() {
    let silent = Agents::Polling { fetch: Duration::from_millis(30), poll: Duration::ZERO };
    let absent = Agents::Absent(Duration::from_millis(30));
    for (name, agents, state, status, code) in [
        ("silent", silent, "running", "Failed", "AGENT_ISSUE"),
        ("no instance runs", silent, "pending", "Failed", "NO_INSTANCES"),
        ("nobody has to answer", absent, "running", "Succeeded", ""),
    ] {
        let cloud = Cloud::start(2, agents).await;
        cloud.set_all(state);
        let deployment = cloud.deploy("any.zip").await;
        assert_eq!(deployment["status"], status, "{name}");
        assert_eq!(deployment["errorInformation"]["code"].as_str().unwrap_or(""), code, "{name}");
    }
}

#[tokio::test]
async fn the_groups_tags_choose_the_targets() {
    let cloud = Cloud::start(3, Agents::Absent(Duration::ZERO)).await;
    cloud.set_all("running");
    cloud.states.send_modify(|all| {
        let instances = &mut std::sync::Arc::make_mut(all).instances;
        instances[0].tags.insert("service".into(), "WEB".into());
        instances[1].tags.insert("service".into(), "API".into());
    });
    let filter = |key: &str, value: &str| json!([{"Key": key, "Value": value, "Type": "KEY_AND_VALUE"}]);
    for (sets, chosen) in [
        (json!([filter("release", "r1")]), json!(["i-1", "i-2", "i-3"])),
        (json!([filter("release", "r1"), filter("service", "WEB")]), json!(["i-1"])),
        (json!([filter("release", "r1"), [{"Key": "service", "Type": "KEY_ONLY"}]]), json!(["i-1", "i-2"])),
        (json!([[{"Value": "API", "Type": "VALUE_ONLY"}, {"Key": "service", "Value": "WEB"}]]), json!(["i-1", "i-2"])),
        (json!([filter("release", "r2")]), json!([])),
        (json!([]), json!([])),
    ] {
        let update = json!({
            "applicationName": "web", "currentDeploymentGroupName": "web", "ec2TagSet": {"ec2TagSetList": sets},
        });
        cloud.ok("UpdateDeploymentGroup", update).await;
        let deployment = cloud.deploy("any.zip").await;
        let asked = json!({"deploymentId": deployment["deploymentId"]});
        assert_eq!(cloud.ok("ListDeploymentTargets", asked).await["targetIds"], chosen, "{sets}");
    }
}

#[tokio::test]
async fn lists_are_paged_newest_first_and_filtered() {
    let cloud = Cloud::start(0, Agents::Absent(Duration::ZERO)).await;
    let mut created = Vec::new();
    for _ in 0..120 {
        created.insert(0, cloud.deploy("any.zip").await["deploymentId"].clone());
    }
    let group = json!({"applicationName": "web", "deploymentGroupName": "web"});
    let first = cloud.ok("ListDeployments", group.clone()).await;
    let mut next = group.clone();
    next["nextToken"] = first["nextToken"].clone();
    let second = cloud.ok("ListDeployments", next).await;
    let mut all = first["deployments"].as_array().unwrap().clone();
    assert_eq!(all.len(), 100);
    all.extend(second["deployments"].as_array().unwrap().clone());
    assert_eq!((all, &second["nextToken"]), (created, &Value::Null));
    let mut succeeded = group;
    succeeded["includeOnlyStatuses"] = json!(["Succeeded"]);
    assert_eq!(cloud.ok("ListDeployments", succeeded).await["deployments"], json!([]));
}

#[tokio::test]
async fn refusals() {
    let cloud = Cloud::start(0, Agents::Absent(Duration::ZERO)).await;
    let with = |key: &str, value: Value| {
        let mut request = cloud.request("any.zip");
        request[key] = value;
        request
    };
    let many: Vec<String> = (0..26).map(|n| format!("d-{n}")).collect();
    let mixed = json!({
        "applicationName": "web", "currentDeploymentGroupName": "web", "ec2TagSet": {}, "ec2TagFilters": [],
    });
    for (operation, body, code) in [
        ("CreateDeployment", with("applicationName", json!("shop")), "ApplicationDoesNotExistException"),
        ("CreateDeployment", with("deploymentGroupName", json!("shop")), "DeploymentGroupDoesNotExistException"),
        ("CreateDeployment", with("deploymentGroupName", Value::Null), "DeploymentGroupNameRequiredException"),
        ("CreateDeployment", with("fileExistsBehavior", json!("Overwrite")), "InvalidFileExistsBehaviorException"),
        ("CreateDeployment", with("targetInstances", json!({})), "InvalidTargetInstancesException"),
        ("CreateDeployment", with("deploymentConfigName", Value::Null), "InvalidDeploymentConfigNameException"),
        ("GetDeployment", json!({"deploymentId": "d-1"}), "DeploymentDoesNotExistException"),
        ("GetDeployment", json!({}), "DeploymentIdRequiredException"),
        ("BatchGetDeployments", json!({"deploymentIds": many}), "BatchLimitExceededException"),
        ("CreateApplication", json!({"applicationName": "web"}), "ApplicationAlreadyExistsException"),
        ("UpdateDeploymentGroup", mixed, "InvalidEC2TagCombinationException"),
    ] {
        assert_eq!(cloud.call(operation, body).await, Err(code.to_owned()), "{operation}");
    }
}
