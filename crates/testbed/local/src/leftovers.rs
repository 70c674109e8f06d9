//! What is left of a service's releases when all have ended, and shouldn't be.

use crate::local::Local;
use crate::ops;
use std::time::Duration;
use tagship_cloud::state::{InstanceState, State};

/// How long what is on its way out may take.
const WAY_OUT: Duration = Duration::from_secs(15);

/// Instances, targets, names and the hold that the ended releases of a service left behind, for people;
/// `live` is the release that serves. Targets and names are looked at for all services: each has to be
/// of an instance that is alive.
///
/// # Errors
///
/// The hold can't be asked for.
pub async fn leftovers(local: &Local, role: &str, live: Option<&str>) -> Result<Vec<String>, ops::Error> {
    let strange = |state: &State| -> Vec<String> {
        let ours = state
            .instances
            .iter()
            .filter(|instance| instance.tags.get("tagship:service").is_some_and(|tag| tag == role));
        ours.filter(|instance| instance.tags.get("tagship:release").map(String::as_str) != live)
            .filter(|instance| !matches!(instance.state, InstanceState::Terminated))
            .map(|instance| format!("instance {} {:?}", instance.id, instance.state))
            .collect()
    };
    let _ = tokio::time::timeout(WAY_OUT, local.until(|state| strange(state).is_empty())).await;
    let state = local.states.borrow().clone();
    let mut found = strange(&state);
    let alive: Vec<_> =
        state.instances.iter().filter(|instance| !matches!(instance.state, InstanceState::Terminated)).collect();
    for group in &state.target_groups {
        for target in group.targets.iter().filter(|target| !alive.iter().any(|instance| instance.id == target.id)) {
            found.push(format!("target {} in {}", target.id, group.name));
        }
    }
    let service = role.to_lowercase().replace('_', "-");
    for record in state.zones.iter().flat_map(|zone| &zone.records).filter(|record| record.record_type == "A") {
        let dead = record.values.iter().any(|ip| !alive.iter().any(|instance| instance.ip.to_string() == *ip));
        if dead || record.name.contains(&format!("candidate.{service}.")) {
            found.push(format!("name {} {:?}", record.name, record.values));
        }
    }
    if local.ops.object(&local.account.bucket, &format!("holds/{role}.json")).await?.is_some() {
        found.push(format!("the hold of {role}"));
    }
    Ok(found)
}
