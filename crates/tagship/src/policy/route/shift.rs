//! Shift: moves the weights of every switch to the candidate, then watches it; gives them back if it fails.

use super::traffic::{Traffic, live_names};
use super::{CHANGES, LOOKS, READS, keeps_sticky, predecessor_name, previous, weights};
use crate::engine::{Gate, Memory, Standing, admission};
use crate::policy::pair::{self, Pair, Turn};
use crate::settings::TargetGroup;
use crate::{
    Action, Changes, Decision, Done, Error, First, Held, Parts, Planner, Previous, Situation, Step, bounded, counted,
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow::{Break, Continue};

/// So much of why the traffic was given back is kept in the continuation token, in characters.
const REASON: usize = 600;

/// Seconds between two looks at a release that is well while it is watched.
const WATCH_EVERY_SECS: i64 = 5;

/// The planner of shift.
#[derive(Debug)]
pub struct Shift;

/// What shift remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ShiftMemory {
    /// Looks in a row that found the candidate ailing.
    pub ailing_looks: u8,
    /// Looks in a row that found a switch elsewhere after all had moved.
    #[serde(skip_serializing_if = "is_zero")]
    pub away_looks: u8,
    /// Whether AWS has refused to turn a switch's group stickiness off.
    #[serde(skip_serializing_if = "is_false")]
    pub keeps_sticky: bool,
    /// Why the traffic was given back: once it has been, the targets no longer tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given_back: Option<String>,
    /// Whether the live names have been seen to follow the weights.
    pub named: bool,
}

fn is_zero(looks: &u8) -> bool {
    *looks == 0
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl Memory for ShiftMemory {}

impl Planner for Shift {
    const ACTION: Action = Action::Shift;
    const READS: Parts = READS;
    const CHANGES: Changes = CHANGES;
    type Entry<'a> = &'a Held;
    type Memory = ShiftMemory;

    fn admit(standing: Standing<'_>) -> Gate<&Held> {
        admission::work(standing)
    }

    fn decide<'a>(now: &Situation<'a>, held: &'a Held, memory: &mut ShiftMemory) -> First<Done> {
        let hold = &held.hold;
        if let Some(moved_at) = hold.moved_at
            && let Some(healthy) = well(now, held, memory)?
        {
            return watch(now, held, healthy, moved_at, memory);
        }
        let traffic = match hold.previous {
            // Once weights have moved, nothing that a person does to a switch keeps the others from going back.
            Some(_) => Traffic::of(now, hold)?,
            None => Traffic::judged(now, hold)?,
        };
        let traffic = match traffic {
            Ok(traffic) => traffic,
            Err(error) => return Break(Decision::Fail(error)),
        };
        match hold.moved_at {
            None => forward(now, held, traffic, memory),
            Some(moved_at) if traffic.moved() => watched(now, held, traffic, moved_at, memory),
            // It was moved before, and isn't any more: by this planner after a bad watch, or by a person.
            Some(_) => {
                let why = memory.given_back.clone();
                memory.away_looks = memory.away_looks.saturating_add(1);
                if why.is_none() && memory.away_looks < LOOKS {
                    return Break(Decision::wait(
                        "a second look at the switches: not all of them lead to this release",
                    ));
                }
                let why = why.as_deref().unwrap_or("somebody moved a switch away from this release after the shift");
                back(now, held, traffic, why, memory)
            }
        }
    }

    fn learn(refused: &Step, error: &Error, memory: &ShiftMemory) -> Option<ShiftMemory> {
        keeps_sticky(refused, error).then(|| ShiftMemory { keeps_sticky: true, ..memory.clone() })
    }
}

/// Before the last weight has moved.
fn forward(now: &Situation<'_>, held: &Held, traffic: Traffic, memory: &mut ShiftMemory) -> First<Done> {
    let write_previous = |traffic: &Traffic| {
        let release = traffic.predecessor.release.clone();
        let previous = Previous { release, healthy: traffic.predecessor.healthy };
        let step = Situation::rewrite(held, |hold| hold.previous = Some(previous));
        Break(Decision::act(step, "write down who is live before the first weight moves"))
    };
    // A person gave it weight before: discard must know that it had some, however this goes on.
    if held.hold.previous.is_none() && traffic.candidate.any {
        return write_previous(&traffic);
    }
    if let Some(why) = &traffic.ailing {
        memory.ailing_looks = memory.ailing_looks.saturating_add(1);
        if memory.ailing_looks < LOOKS {
            return Break(Decision::wait(format!("a second look at the candidate: {why}")));
        }
        if traffic.candidate.any {
            let why = format!("the candidate failed while the switches moved to it ({why})");
            return give_back(now, held, traffic, &why, memory);
        }
        if let Some(why) = memory.given_back.clone() {
            return back(now, held, traffic, &why, memory);
        }
        let fleet = "its fleet, which discard removes";
        let message = format!(
            "release {} of {} is no longer whole, so no traffic was moved to it: {why}. Left behind: {fleet}. Start a new \
             execution",
            held.hold.release, now.job.role
        );
        return Break(Decision::Fail(Error::release(message).leaving(vec![fleet.to_owned()])));
    }
    memory.ailing_looks = 0;
    if held.hold.previous.is_none() {
        return write_previous(&traffic);
    }
    Break(match traffic.candidate.toward {
        Some(step) => Decision::act(step, "the candidate is whole: a switch moves"),
        None => {
            let moved_at = now.world.since();
            let step = Situation::rewrite(held, |hold| hold.moved_at = Some(moved_at));
            Decision::act(step, "every switch has moved")
        }
    })
}

/// The candidate's healthy targets, if every switch gives it all traffic and enough of them are healthy: then nothing
/// else is looked at while it is watched.
fn well(now: &Situation<'_>, held: &Held, memory: &ShiftMemory) -> First<Option<u32>> {
    let hold = &held.hold;
    let (Some(arn), TargetGroup::Pair(_)) = (&hold.group, &hold.settings.target_group) else { return Continue(None) };
    let Ok(pair) = Pair::of(now.world.routing()?, &hold.settings.target_group) else { return Continue(None) };
    let Some(own) = pair.groups.into_iter().find(|group| group.arn == *arn) else { return Continue(None) };
    let everywhere = pair.routing.switches.iter().all(|switch| pair.turn(switch, own) == Turn::There);
    let healthy = pair::healthy(own);
    let well = everywhere && memory.ailing_looks == 0 && memory.given_back.is_none() && healthy >= enough(held);
    Continue(well.then_some(healthy))
}

/// Healthy targets that a release must have while it is watched.
fn enough(held: &Held) -> u32 {
    previous(held).healthy.min(held.hold.settings.count).max(1)
}

/// After it, where something may be wrong.
fn watched(
    now: &Situation<'_>,
    held: &Held,
    traffic: Traffic,
    moved_at: Timestamp,
    memory: &mut ShiftMemory,
) -> First<Done> {
    let healthy = traffic.candidate.healthy;
    memory.ailing_looks = if healthy < enough(held) { memory.ailing_looks.saturating_add(1) } else { 0 };
    if memory.ailing_looks >= LOOKS {
        let why = traffic.ailing.clone().unwrap_or_else(|| counted(healthy, "healthy target"));
        return give_back(now, held, traffic, &format!("the release failed while it was watched ({why})"), memory);
    }
    watch(now, held, healthy, moved_at, memory)
}

/// After it: names, and the watch.
fn watch(now: &Situation<'_>, held: &Held, healthy: u32, moved_at: Timestamp, memory: &mut ShiftMemory) -> First<Done> {
    let hold = &held.hold;
    let settings = &hold.settings;
    memory.away_looks = 0;
    if !memory.named {
        if let Some(step) = live_names(now, hold, Some(&hold.release))? {
            return Break(Decision::act(step, "the live names follow the weights"));
        }
        memory.named = true;
    }
    let found = format!("{healthy} of {} healthy", counted(settings.count, "target"));
    if memory.ailing_looks > 0 {
        return Break(Decision::wait(format!("a second look at the release: {found}")));
    }
    if let Some((until, left)) = now.left(moved_at, settings.timeouts.watch_secs) {
        let next = until.min(now.world.now() + SignedDuration::from_secs(WATCH_EVERY_SECS));
        return Break(Decision::wait_until(next, format!("{left} s more of watching: {found}")));
    }
    let already = if moved_at < now.began { "already " } else { "" };
    let previous = predecessor_name(held);
    Continue(Done {
        message: format!(
            "{} of {} is {already}live on every switch with {}; before: {previous}",
            hold.release,
            now.job.role,
            counted(healthy, "healthy target")
        ),
        outputs: vec![("LiveRelease", hold.release.to_string()), ("PreviousRelease", previous)],
        report: now.report(),
        ..Done::default()
    })
}

/// Restores the predecessor, and keeps in mind why.
fn give_back(now: &Situation<'_>, held: &Held, traffic: Traffic, why: &str, memory: &mut ShiftMemory) -> First<Done> {
    let why = bounded(why, REASON);
    memory.given_back = Some(why.clone());
    back(now, held, traffic, &why, memory)
}

/// Restores the predecessor, then fails.
fn back(now: &Situation<'_>, held: &Held, traffic: Traffic, why: &str, memory: &ShiftMemory) -> First<Done> {
    let hold = &held.hold;
    if traffic.candidate.any {
        let can = traffic.can_go_back(&previous(held), hold.settings.rollback.healthy_percent);
        return Break(match traffic.predecessor.toward {
            Some(step) if can => Decision::act(step.sticky(memory.keeps_sticky), "the predecessor serves again"),
            _ => Decision::Fail(stuck(now, held, &traffic, why)),
        });
    }
    if let Some(step) = live_names(now, hold, previous(held).release.as_ref())? {
        return Break(Decision::act(step, "the live names follow the weights"));
    }
    let fleet = format!("the fleet of {}, which discard removes", hold.release);
    let message = format!(
        "{why}: the traffic is back with {}. Left behind: {fleet}. Find the cause in its instances' logs before you start \
         a new execution",
        predecessor_name(held)
    );
    Break(Decision::Fail(Error::release(message).leaving(vec![fleet])))
}

/// The candidate has failed, and keeps traffic.
fn stuck(now: &Situation<'_>, held: &Held, traffic: &Traffic, why: &str) -> Error {
    let weights = weights(now);
    let message = if traffic.faults.is_empty() {
        format!(
            "{why}, and nothing can be restored: {} has {}. Left as it is: {weights}. Look at the \
             targets now; rollback will keep this release live unless its predecessor recovers",
            predecessor_name(held),
            counted(traffic.predecessor.healthy, "healthy target"),
        )
    } else {
        format!(
            "{why}. All switches that can go back have. Now: {weights}. Change by hand: {}; then rollback goes on",
            traffic.faults.join("; ")
        )
    };
    Error::release(message).leaving(vec![format!("live traffic: {weights}")])
}
