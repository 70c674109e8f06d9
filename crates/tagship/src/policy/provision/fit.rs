//! Whether a fleet fits its load balancer: asked before anything is launched.

use crate::settings::Settings;
use crate::{Balancer, Error, Routing, counted, listed};

/// All that doesn't fit, at once.
pub(super) fn check(balancer: &Balancer, routing: &Routing, settings: &Settings) -> Result<(), Error> {
    let mut problems = Vec::new();
    problems.extend(unreached(balancer));
    problems.extend(crowded(balancer, routing, settings.count));
    problems.extend(balancer.sticky.iter().filter(|_| !settings.shift.at_once()).map(|group| {
        format!(
            "SHIFT: target group {group} has stickiness of its own, so its clients stay with it whatever a step gives to the \
             other group: turn it off (attribute stickiness.enabled), or set SHIFT to AllAtOnce"
        )
    }));
    if problems.is_empty() {
        return Ok(());
    }
    Err(Error::problems("the fleet doesn't fit its load balancer", &problems))
}

/// Subnets whose instances would never get a request.
fn unreached(balancer: &Balancer) -> Option<String> {
    let outside = balancer.subnets.iter().filter(|(_, zone)| !balancer.zones.contains(*zone));
    let outside: Vec<String> = outside.map(|(subnet, zone)| format!("{subnet} ({zone})")).collect();
    (!outside.is_empty()).then(|| {
        format!(
            "SUBNET: {} in a zone that the load balancer hasn't enabled (it has {}), so instances there would get no \
             request: enable the zone on the load balancer, or take the subnet out of SUBNET",
            match &outside[..] {
                [one] => format!("{one} is"),
                _ => format!("{} are", listed(outside.iter().map(String::as_str))),
            },
            listed(balancer.zones.iter().map(String::as_str)),
        )
    })
}

/// While a release lives beside its predecessor, both fleets are targets. What other services have isn't counted.
fn crowded(balancer: &Balancer, routing: &Routing, count: u32) -> Option<String> {
    let there = routing.groups.iter().flat_map(|group| &group.targets).filter(|target| target.counts()).count();
    let limit = balancer.targets.filter(|limit| there + count as usize > *limit as usize)?;
    Some(format!(
        "COUNT: {} beside the pair's {} are more than the {limit} targets that a load balancer of this account may have: \
         ask AWS to raise the quota \"Targets per Application Load Balancer\", or lower COUNT",
        counted(count as usize, "instance"),
        counted(there, "target"),
    ))
}
