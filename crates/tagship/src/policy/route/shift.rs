//! Shift: moves the weights of every switch to the candidate, then watches it; gives them back if it fails.

use super::alarms::{self, Heard, heard};
use super::comparison::Comparison;
use super::traffic::{Traffic, live_names};
use super::{CHANGES, LOOKS, NO_TRAFFIC, READS, hooks, keeps_sticky, predecessor_name, previous, steps, weights};
use crate::engine::{Gate, Memory, Standing, admission};
use crate::policy::pair::{self, Pair, Share, Turn};
use crate::settings::{HookPoint, TargetGroup};
use crate::{
    Action, Back, Change, Changes, Decision, Done, Error, First, Held, Parts, Planner, Previous, Situation, Split,
    Step, bounded, counted,
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow::{Break, Continue};

/// So much of why the traffic goes back is kept in the hold, in characters.
const REASON: usize = 600;

/// Seconds between two looks at a release that is well while it is watched.
pub(super) const WATCH_EVERY_SECS: i64 = 5;

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
    /// Looks in a row that found no healthy target of the predecessor while the traffic was divided.
    #[serde(skip_serializing_if = "is_zero")]
    pub lone_looks: u8,
    /// Since when the candidate hasn't been whole while a step was due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unwhole_since: Option<Timestamp>,
    /// When the alarms were looked at last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listened_at: Option<Timestamp>,
    /// What they said, for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub alarms: String,
    /// What is waited for of CloudWatch, where it didn't show an alarm at the last look.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub unseen: String,
    /// When CodePipeline was asked last whether the execution is being stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Timestamp>,
    /// What the comparison with the predecessor has come to.
    #[serde(skip_serializing_if = "Comparison::is_none")]
    pub comparison: Comparison,
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
    const READS: Parts = READS.and(Parts::HOLDER).and(Parts::ALARMS).and(Parts::FIGURES).and(Parts::HOOK);
    const CHANGES: Changes = CHANGES.and(Change::Hook);
    type Entry<'a> = &'a Held;
    type Memory = ShiftMemory;

    fn admit(standing: Standing<'_>) -> Gate<&Held> {
        admission::shift(standing)
    }

    fn decide<'a>(now: &Situation<'a>, held: &'a Held, memory: &mut ShiftMemory) -> First<Done> {
        let hold = &held.hold;
        if let Some(gone_back) = &hold.back {
            let traffic = match Traffic::of(now, hold)? {
                Ok(traffic) => traffic,
                Err(error) => return Break(Decision::Fail(error)),
            };
            // A person gave it weight before its own shift began.
            if hold.previous.is_none() && traffic.candidate.any {
                return Break(write_previous(now, held, &traffic, None)?);
            }
            return back(now, held, traffic, &gone_back.why, memory);
        }
        if hold.previous.is_some() && alarms::due(now, held, memory.listened_at) {
            match heard(now, held)? {
                Heard::Rang(why, _) => return Break(turn_back(now, held, &why)),
                Heard::Quieted(decision) => return Break(decision),
                Heard::Unknown(why) => memory.unseen = bounded(&why, REASON),
                Heard::Quiet(words) | Heard::Tell(words, _) => {
                    memory.unseen.clear();
                    memory.alarms = bounded(&words, REASON);
                }
            }
            memory.listened_at = Some(now.world.now());
        }
        let decision = judge(now, held, memory);
        // Neither good nor bad: nothing moves forward, but a release that fails goes back all the same.
        if memory.unseen.is_empty() { decision } else { held_up(decision, held, memory) }
    }

    fn learn(refused: &Step, error: &Error, memory: &ShiftMemory) -> Option<ShiftMemory> {
        keeps_sticky(refused, error).then(|| ShiftMemory { keeps_sticky: true, ..memory.clone() })
    }
}

/// By its targets, and by the switches.
fn judge(now: &Situation<'_>, held: &Held, memory: &mut ShiftMemory) -> First<Done> {
    let hold = &held.hold;
    if let Some(moved_at) = hold.moved_at
        && let Some(healthy) = well(now, held, memory)?
    {
        return watch(now, held, healthy, moved_at, memory);
    }
    if hold.moved_at.is_none()
        && let Some(split) = &hold.split
    {
        steps::quiet(now, held, split, memory)?;
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
        // It was moved before, and isn't any more: a person has done that.
        Some(_) => {
            memory.away_looks = memory.away_looks.saturating_add(1);
            if memory.away_looks < LOOKS {
                return Break(Decision::wait("a second look at the switches: not all of them lead to this release"));
            }
            Break(turn_back(now, held, "somebody moved a switch away from this release after the shift"))
        }
    }
}

/// What is done of this decision while nobody knows what an alarm says: what goes back, what health asks for, and the
/// rest of a last step that has begun. For all else it waits.
fn held_up(decision: First<Done>, held: &Held, memory: &ShiftMemory) -> First<Done> {
    let last = held.hold.split.as_ref().is_some_and(|split| split.to == 100);
    let by_health = memory.ailing_looks >= LOOKS || memory.lone_looks >= LOOKS;
    let goes_on = match &decision {
        Break(Decision::Do { step: Step::WriteHold { hold, .. }, .. }) => hold.back.is_some() || by_health,
        Break(Decision::Do { step: Step::SetWeights { .. }, .. }) => last,
        Break(Decision::Do { step: Step::CallHook(_), .. } | Decision::Wait { .. } | Decision::Done(_)) => false,
        Break(_) => true,
        Continue(_) => false,
    };
    if goes_on { decision } else { Break(Decision::wait(memory.unseen.clone())) }
}

/// Before the last weight has moved.
fn forward(now: &Situation<'_>, held: &Held, traffic: Traffic, memory: &mut ShiftMemory) -> First<Done> {
    let hold = &held.hold;
    // A person gave it weight before: discard must know that it had some, however this goes on.
    if hold.previous.is_none() && traffic.candidate.any {
        return begin(now, held, &traffic);
    }
    if !hold.passed(HookPoint::BeforeShift) {
        fit(now, held, &traffic, memory)?;
        if let Some(why) = steps::stopped(now, memory)? {
            return Break(turn_back(now, held, &why));
        }
        hooks::passed(now, held, HookPoint::BeforeShift)?;
    }
    if let Some(split) = &hold.split {
        return steps::forward(now, held, split, &traffic, memory);
    }
    fit(now, held, &traffic, memory)?;
    if hold.previous.is_none() {
        return begin(now, held, &traffic);
    }
    Break(match traffic.candidate.toward {
        Some(step) => Decision::act(step, "all of the candidate is healthy: a switch moves"),
        None => {
            let moved_at = now.world.since();
            let step = Situation::rewrite(held, |hold| hold.moved_at = Some(moved_at));
            Decision::act(step, "every switch has moved")
        }
    })
}

/// Writes down who is live, and the plan of a shift in steps, if that can be carried out.
fn begin(now: &Situation<'_>, held: &Held, traffic: &Traffic) -> First<Done> {
    let split = steps::begun(now, held, traffic)?;
    if let Some(split) = &split
        && let Some(error) = steps::undivided(now, held, split)?
    {
        return Break(Decision::Fail(now.leaving_all(error)));
    }
    Break(write_previous(now, held, traffic, split)?)
}

fn write_previous(now: &Situation<'_>, held: &Held, traffic: &Traffic, split: Option<Split>) -> First<Decision> {
    let release = traffic.predecessor.release.clone();
    let previous = Previous { release, healthy: traffic.predecessor.healthy };
    let ringing = alarms::ringing(now, held)?;
    let step = Situation::rewrite(held, |hold| {
        (hold.previous, hold.split, hold.ringing) = (Some(previous), split, ringing);
    });
    Continue(Decision::act(step, "write down who is live before the first weight moves"))
}

/// Goes on if the candidate is whole; if it isn't on two looks, it has failed.
fn fit(now: &Situation<'_>, held: &Held, traffic: &Traffic, memory: &mut ShiftMemory) -> First<()> {
    let Some(why) = &traffic.ailing else {
        memory.ailing_looks = 0;
        return Continue(());
    };
    memory.ailing_looks = memory.ailing_looks.saturating_add(1);
    if memory.ailing_looks < LOOKS {
        return Break(Decision::wait(format!("a second look at the candidate: {why}")));
    }
    if traffic.candidate.any {
        let why = format!("the candidate failed while the switches moved to it ({why})");
        return Break(turn_back(now, held, &why));
    }
    let fleet = "its fleet, which discard removes";
    let message = format!(
        "release {} of {} is no longer healthy, so {NO_TRAFFIC} to it: {why}. Left behind: {fleet}. Start a new \
         execution",
        held.hold.release, now.job.role
    );
    Break(Decision::Fail(Error::release(message).leaving(vec![fleet.to_owned()])))
}

/// The candidate's healthy targets, if every switch gives it all traffic and enough of them are healthy: then nothing
/// else is looked at while it is watched.
fn well(now: &Situation<'_>, held: &Held, memory: &ShiftMemory) -> First<Option<u32>> {
    let hold = &held.hold;
    let (Some(arn), TargetGroup::Pair(_)) = (&hold.group, &hold.settings.target_group) else { return Continue(None) };
    let Ok(pair) = Pair::of(now.world.routing()?, &hold.settings.target_group) else { return Continue(None) };
    let Some(own) = pair.groups.into_iter().find(|group| group.arn == *arn) else { return Continue(None) };
    let all = Share { percent: 100, split: hold.split.as_ref() };
    let everywhere = pair.routing.switches.iter().all(|switch| pair.turn(switch, own, all) == Turn::There);
    let healthy = pair::healthy(own);
    let well = everywhere && memory.ailing_looks == 0 && healthy >= enough(held);
    Continue(well.then_some(healthy))
}

/// Healthy targets that a release must have while it is watched.
pub(super) fn enough(held: &Held) -> u32 {
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
        return Break(turn_back(now, held, &format!("the release failed while it was watched ({why})")));
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
    // The watch goes on meanwhile.
    hooks::passed(now, held, HookPoint::AfterShift)?;
    if let Some((until, left)) = now.left(moved_at, settings.timeouts.watch_secs) {
        let next = until.min(now.world.now() + SignedDuration::from_secs(WATCH_EVERY_SECS));
        return Break(Decision::wait_until(next, format!("{left} s more of watching: {found}")));
    }
    let already = if moved_at < now.began { "already " } else { "" };
    let previous = predecessor_name(held);
    let divided = hold.split.is_some() && settings.compare.is_some();
    Continue(Done {
        message: format!(
            "{} of {} is {already}live on every switch with {}; before: {previous}{}",
            hold.called(),
            now.job.role,
            counted(healthy, "healthy target"),
            if divided { memory.comparison.told() } else { String::new() }
        ),
        outputs: vec![("LiveRelease", hold.release.to_string()), ("PreviousRelease", previous)],
        report: now.report(),
        ..Done::default()
    })
}

/// Writes down that the traffic goes back (or never moves), before a weight does: nobody can split it again or approve it
/// then.
pub(super) fn turn_back(now: &Situation<'_>, held: &Held, why: &str) -> Decision {
    let back = Back { why: bounded(why, REASON), at: now.world.since() };
    let step = Situation::rewrite(held, |hold| hold.back = Some(back));
    Decision::act(step, "the traffic goes back: written down before a weight moves")
}

/// What has become of traffic that goes back.
pub(super) enum Restored {
    /// It is with the predecessor again.
    Back,
    /// It can't be, or not everywhere.
    Stuck(Error),
}

/// Restores the predecessor, on every switch that can go back.
pub(super) fn restore(
    now: &Situation<'_>,
    held: &Held,
    traffic: Traffic,
    why: &str,
    keeps_sticky: bool,
) -> First<Restored> {
    let hold = &held.hold;
    if traffic.candidate.any {
        let can = traffic.can_go_back(&previous(held), hold.settings.rollback.healthy_percent);
        // Of a shift at once, rollback decides that.
        let divided = hold.split.is_some() && traffic.predecessor.any && traffic.candidate.healthy > 0;
        return Break(match (traffic.predecessor.toward.clone(), traffic.candidate.toward.clone()) {
            (Some(step), _) if can => Decision::act(step.sticky(keeps_sticky), "the predecessor serves again"),
            (_, Some(step)) if !can && divided => {
                Decision::act(step, "the predecessor can't serve: every switch goes to the release that does")
            }
            _ => return Continue(Restored::Stuck(stuck(now, held, &traffic, why))),
        });
    }
    if let Some(step) = live_names(now, hold, previous(held).release.as_ref())? {
        return Break(Decision::act(step, "the live names follow the weights"));
    }
    Continue(Restored::Back)
}

/// Restores the predecessor, then fails.
fn back(now: &Situation<'_>, held: &Held, traffic: Traffic, why: &str, memory: &ShiftMemory) -> First<Done> {
    if let Restored::Stuck(error) = restore(now, held, traffic, why, memory.keeps_sticky)? {
        return Break(Decision::Fail(error));
    }
    let hold = &held.hold;
    let fleet = format!("the fleet of {}, which discard removes", hold.release);
    let traffic = match hold.previous {
        Some(_) => format!("the traffic is back with {}", predecessor_name(held)),
        None => NO_TRAFFIC.to_owned(),
    };
    let message = format!("{why}: {traffic}. Left behind: {fleet}. Find the cause before you start a new execution");
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
            "{why}. All switches that can be moved back have been. Now: {weights}. Change by hand: {}; then rollback goes on",
            traffic.faults.join("; ")
        )
    };
    Error::release(message).leaving(vec![format!("live traffic: {weights}")])
}
