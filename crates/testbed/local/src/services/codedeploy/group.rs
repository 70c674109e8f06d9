//! A deployment group's settings, and the instances that its tags choose. Pure.

use serde_json::{Map, Value};
use std::collections::BTreeMap;
use tagship_cloud::service::ServiceError;
use tagship_cloud::state::{InstanceState, State};

/// Takes over what CreateDeploymentGroup and UpdateDeploymentGroup have in common.
pub(super) fn configure(group: &mut Map<String, Value>, body: &Value) -> Result<(), ServiceError> {
    const SET: &str = "ec2TagSet";
    const FILTERS: &str = "ec2TagFilters";
    if body.get(SET).is_some() && body.get(FILTERS).is_some() {
        let message = "ec2TagSet and ec2TagFilters can't be given together";
        return Err(ServiceError::client("InvalidEC2TagCombinationException", message));
    }
    for (key, value) in body.as_object().into_iter().flatten() {
        match key.as_str() {
            "currentDeploymentGroupName" => {
                group.insert("deploymentGroupName".to_owned(), value.clone());
            }
            "newDeploymentGroupName" => {
                let message = "groups are not renamed on one machine";
                return Err(ServiceError::client("InvalidInputException", message));
            }
            SET => {
                group.remove(FILTERS);
                group.insert(key.clone(), value.clone());
            }
            FILTERS => {
                group.remove(SET);
                group.insert(key.clone(), value.clone());
            }
            "tags" => {}
            _ => {
                group.insert(key.clone(), value.clone());
            }
        }
    }
    Ok(())
}

/// The running instances that the group's tags choose.
pub(super) fn chosen(group: &Map<String, Value>, state: &State) -> Vec<String> {
    let matches = |filter: &Value, tags: &BTreeMap<String, String>| {
        let (key, value) = (filter["Key"].as_str(), filter["Value"].as_str());
        match filter["Type"].as_str() {
            Some("KEY_ONLY") => key.is_some_and(|key| tags.contains_key(key)),
            Some("VALUE_ONLY") => tags.values().any(|v| Some(v.as_str()) == value),
            _ => key.is_some_and(|key| tags.get(key).map(String::as_str) == value && value.is_some()),
        }
    };
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let sets: Vec<Vec<Value>> = match group.get("ec2TagSet") {
        Some(set) => list(set.get("ec2TagSetList")).iter().map(|s| list(Some(s))).collect(),
        None => vec![list(group.get("ec2TagFilters"))],
    };
    state
        .instances
        .iter()
        .filter(|instance| instance.state == InstanceState::Running)
        // Every list of the set has to match, each by one of its filters.
        .filter(|instance| !sets.is_empty() && sets.iter().all(|set| set.iter().any(|f| matches(f, &instance.tags))))
        .map(|instance| instance.id.clone())
        .collect()
}
