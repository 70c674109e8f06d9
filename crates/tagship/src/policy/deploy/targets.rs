//! The free group holds this fleet and nobody else's, and waits until all of it is healthy.

use super::DeployMemory;
use crate::model::words::is_or_are;
use crate::policy::{pair, test_traffic};
use crate::settings::Settings;
use crate::{Decision, First, Group, Health, Held, Kind, Situation, Step, TARGETS_A_CALL, Target, counted};
use std::collections::BTreeSet;
use std::ops::ControlFlow::{Break, Continue};

/// The targets of a group that count and are of a fleet, on the service's port.
pub(super) fn own<'a>(
    group: &'a Group,
    settings: &Settings,
    of_fleet: impl Fn(&str) -> bool,
) -> impl Iterator<Item = &'a Target> {
    let port = port(group, settings);
    group.targets.iter().filter(move |target| target.counts() && target.port == port && of_fleet(&target.id))
}

pub(super) fn is_healthy(target: &&Target) -> bool {
    target.health == Health::Healthy
}

fn port(group: &Group, settings: &Settings) -> u16 {
    settings.port.unwrap_or(group.port)
}

/// Goes on once the group's targets are this fleet, each of them healthy.
pub(super) fn healthy(
    now: &Situation<'_>,
    held: &Held,
    memory: &mut DeployMemory,
    fleet: &[String],
    group: &Group,
) -> First<()> {
    let settings = &held.hold.settings;
    let of_fleet = |id: &str| fleet.iter().any(|own| own == id);
    let own: Vec<&Target> = own(group, settings, of_fleet).collect();

    // Strangers first: two releases never share a group. What has just lost its weight may still finish requests.
    let port = port(group, settings);
    let stranger = |target: &&Target| target.counts() && !(target.port == port && of_fleet(&target.id));
    let targets: Vec<(String, u16)> = group
        .targets
        .iter()
        .filter(stranger)
        .map(|target| (target.id.clone(), target.port))
        .take(TARGETS_A_CALL)
        .collect();
    if !targets.is_empty() {
        let routing = now.world.routing()?;
        let live = routing.groups.iter().find(|other| other.arn != group.arn);
        if test_traffic::leads(routing, &group.arn)
            && let Some(step) = live.and_then(|live| test_traffic::toward(routing, live))
        {
            memory.weightless_since = None;
            return Break(Decision::act(step, "test traffic goes to the live release before anything is removed"));
        }
        let since = memory.weightless_since.unwrap_or(now.world.now()).max(now.watched_since);
        return Break(match now.left(since, settings.timeouts.settle_secs) {
            Some((until, left)) => {
                let why = format!("{} to be without weight for {left} s more: it still has other targets", group.name);
                Decision::wait_until(until, why)
            }
            None => Decision::act(
                Step::Deregister { group: group.arn.clone(), targets },
                "they don't belong to this release",
            ),
        });
    }

    let registered: BTreeSet<&str> = own.iter().map(|target| target.id.as_str()).collect();
    let missing: Vec<String> =
        fleet.iter().filter(|id| !registered.contains(id.as_str())).take(TARGETS_A_CALL).cloned().collect();
    if !missing.is_empty() {
        // Somebody may have taken a tag away since the fleet was looked at: then it isn't the service's any more.
        super::whole(now, held, memory)?;
        let step = Step::Register { group: group.arn.clone(), instances: missing, port };
        return Break(Decision::act(step, "the fleet is installed"));
    }

    let since = *memory.registered_since.get_or_insert(now.world.now());
    let healthy = own.iter().filter(|target| is_healthy(target)).count();
    if healthy == fleet.len() {
        return Continue(());
    }
    let healthy_secs = settings.timeouts.healthy_secs;
    let ailing = pair::ailing(&Group { targets: own.into_iter().cloned().collect(), ..group.clone() });
    let found = format!(
        "{healthy} of {} in {} {} healthy: {ailing}",
        counted(fleet.len(), "target"),
        group.name,
        is_or_are(healthy, fleet.len())
    );
    Break(if now.left(since, healthy_secs).is_some() {
        Decision::wait(found)
    } else {
        let message = format!("after {healthy_secs} s (HEALTHY) {found}. No traffic was moved");
        now.give_up(Kind::Release, message)
    })
}
