//! What is left of a service's releases when all have ended, and shouldn't be.

use crate::local::Local;
use crate::ops;
use std::time::Duration;
use tagship_cloud::state::{Instance, InstanceState, State};

/// How long what is on its way out may take, and the next look at the cloud.
const WAY_OUT: Duration = Duration::from_secs(15);

/// Instances, targets, names and the hold that the ended releases of a service left behind, for people;
/// `live` is the release that serves. Targets and names are looked at for all services: each has to be
/// of an instance that is alive.
///
/// # Errors
///
/// The hold can't be asked for.
pub async fn leftovers(local: &Local, role: &str, live: Option<&str>) -> Result<Vec<String>, ops::Error> {
    let left = |state: &State| left(state, role, live);
    let _ = tokio::time::timeout(WAY_OUT, local.until(|state| left(state).is_empty())).await;
    let mut found = left(&local.states.borrow());
    if local.ops.object(&local.account.bucket, &format!("holds/{role}.json")).await?.is_some() {
        found.push(format!("the hold of {role}"));
    }
    Ok(found)
}

/// What one look at the cloud finds.
fn left(state: &State, role: &str, live: Option<&str>) -> Vec<String> {
    let gone = |instance: &&Instance| matches!(instance.state, InstanceState::Terminated);
    let tag = |instance: &Instance, key: &str| instance.tags.get(key).map(String::to_owned);
    let ours = state.instances.iter().filter(|instance| tag(instance, "tagship:service").as_deref() == Some(role));
    let ended = ours.filter(|instance| tag(instance, "tagship:release").as_deref() != live);
    let mut found: Vec<String> = ended
        .filter(|instance| !gone(instance))
        .map(|instance| format!("instance {} {:?}", instance.id, instance.state))
        .collect();
    let alive: Vec<_> = state.instances.iter().filter(|instance| !gone(instance)).collect();
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
    found
}
