//! The free group holds this fleet and nobody else's, and waits until all of it is healthy.

use crate::settings::Settings;
use crate::{Decision, First, Group, Health, Held, Kind, Memo, Situation, Step, TARGETS_A_CALL, Target, pair};
use jiff::{SignedDuration, Timestamp};
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

/// Goes on once the group's targets are this fleet, each of them healthy. A break is what comes first.
pub(super) fn healthy(now: &Situation<'_>, held: &Held, memo: &mut Memo, fleet: &[&str], group: &Group) -> First<()> {
    let settings = &held.hold.settings;
    let time = now.world.now;
    let of_fleet = |id: &str| fleet.binary_search(&id).is_ok();
    let own: Vec<&Target> = own(group, settings, of_fleet).collect();

    // Strangers first: two releases never share a group. What has just lost its weight is let finish.
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
        let left = left(time, memo.weightless.unwrap_or(time), settings.timeouts.settle_secs);
        return Break(if left > 0 {
            Decision::Wait(format!(
                "{} to have been without weight for {left} s more, it has other targets",
                group.name
            ))
        } else {
            Decision::act(Step::Deregister { group: group.arn.clone(), targets }, "they aren't of this release")
        });
    }

    let registered: BTreeSet<&str> = own.iter().map(|target| target.id.as_str()).collect();
    let missing: Vec<String> =
        fleet.iter().filter(|&id| !registered.contains(id)).take(TARGETS_A_CALL).map(|&id| id.to_owned()).collect();
    if !missing.is_empty() {
        let step = Step::Register { group: group.arn.clone(), instances: missing, port };
        return Break(Decision::act(step, "the fleet is installed"));
    }

    let since = *memo.since.get_or_insert(time);
    let healthy = own.iter().filter(|target| is_healthy(target)).count();
    if healthy == fleet.len() {
        return Continue(());
    }
    let healthy_secs = settings.timeouts.healthy_secs;
    let ailing = pair::ailing(&Group { targets: own.into_iter().cloned().collect(), ..group.clone() });
    let found = format!("{healthy} of {} targets in {} are healthy: {ailing}", fleet.len(), group.name);
    Break(if left(time, since, healthy_secs) > 0 {
        Decision::Wait(found)
    } else {
        let message = format!("after {healthy_secs} s (HEALTHY) {found}. No traffic was moved");
        now.give_up(Kind::Release, message)
    })
}

/// How many of so many seconds since then are left; 0 if none.
fn left(time: Timestamp, since: Timestamp, secs: u32) -> i64 {
    let left = SignedDuration::from_secs(secs.into()) - time.duration_since(since);
    if left > SignedDuration::ZERO { left.as_secs() + 1 } else { 0 }
}
