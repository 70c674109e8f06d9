//! Discard: removes a rejected or failed candidate.

use super::removal::{Removal, RemovalMemory, serving, spared};
use super::{ABANDONED_SECS, CHANGES, READS, free, mark, never_held, retire, settle, settle_last, turn};
use crate::engine::{Gate, Removing, Standing, Turning, admission};
use crate::policy::confirm::confirmed;
use crate::policy::route::traffic::{Traffic, running};
use crate::policy::test_traffic;
use crate::settings::TargetGroup;
use crate::{
    Action, Changes, Decision, Done, Ended, Error, First, Held, Hold, HowEnded, Parts, Planner, Previous, Situation,
    Step, Switch,
};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;
use std::ops::ControlFlow::{Break, Continue};

/// The planner of discard.
#[derive(Debug)]
pub struct Discard;

impl Planner for Discard {
    const ACTION: Action = Action::Discard;
    const READS: Parts = READS;
    const CHANGES: Changes = CHANGES;
    type Entry<'a> = Removing<'a>;
    type Memory = RemovalMemory;

    fn admit(standing: Standing<'_>) -> Gate<Removing<'_>> {
        admission::discard(standing)
    }

    fn decide<'a>(now: &Situation<'a>, entry: Removing<'a>, memory: &mut RemovalMemory) -> First<Done> {
        match entry {
            Removing::MarkDiscarded => {
                confirmed(now)?;
                Break(never_held(now))
            }
            Removing::Turning(Turning::Turn(held, phase)) => {
                confirmed(now)?;
                Break(turn(held, phase))
            }
            Removing::Turning(Turning::Act(held)) => {
                let kept = (held.hold.settings.timeouts.postmortem_secs > 0).then_some(held);
                remove(now, held, kept, memory)?;
                Break(mark(now, held, HowEnded::Discarded))
            }
            Removing::Turning(Turning::FreeHold(held, ended)) => free(now, held, ended),
            Removing::Late(held, ended) => remove_late(now, held, ended, memory),
            Removing::FinishRetire(held) if retire::turned_away(now, held)? => leave(now, held),
            Removing::FinishRetire(held) => retire::remove(now, held, memory),
        }
    }

    fn learn(refused: &Step, error: &Error, memory: &RemovalMemory) -> Option<RemovalMemory> {
        spared(refused, error, memory)
    }
}

/// Somebody has turned a switch from an approved release to what it was to replace: both serve, so both stay. The service
/// is free all the same, once there was time to turn it back.
fn leave(now: &Situation<'_>, held: &Held) -> First<Done> {
    let ended_at = now.world.holder()?.and_then(|execution| execution.updated_at).unwrap_or(held.hold.since);
    let settled = ended_at + SignedDuration::from_secs(ABANDONED_SECS);
    let left = settled.duration_since(now.world.now()).as_secs();
    if left > 0 {
        return Break(Decision::wait(format!("every switch to give its weight to this release again, {left} s more")));
    }
    Break(mark(now, held, HowEnded::Kept))
}

/// It was marked before anybody knew that it holds: what it has launched nevertheless is removed first.
fn remove_late(now: &Situation<'_>, held: &Held, ended: &Ended, memory: &mut RemovalMemory) -> First<Done> {
    remove(now, held, None, memory)?;
    free(now, held, ended)
}

/// Goes on once nothing of the release is left.
fn remove(now: &Situation<'_>, held: &Held, kept: Option<&Held>, memory: &mut RemovalMemory) -> First<()> {
    let hold = &held.hold;
    let pair = matches!(hold.settings.target_group, TargetGroup::Pair(_));
    now.world.need(Parts::INSTANCES.and(Parts::DEPLOYMENT).and(Parts::ROUTING.when(pair)))?;
    let own: BTreeSet<&str> =
        now.world.fleet(&hold.release)?.into_iter().map(|instance| instance.id.as_str()).collect();
    let strays = without_traffic(now, held, &own, memory)?;
    let tested = without_tests(now, held, memory)?;
    let weightless = *memory.weightless_since.get_or_insert(now.world.since());
    // A release that was never shifted has had no weight: it may go at once.
    // One that is kept is looked at once more before: nobody comes back for what a late call registers.
    // So is one to which test traffic led, or may lead by a late call.
    if hold.previous.is_some() || kept.is_some() || tested {
        match settle(now, held, weightless.max(now.watched_since)) {
            // Watched, not slept: a late call may lead traffic here, and somebody else may lead it away again meanwhile.
            Break(Decision::Wait { why, .. }) => return Break(Decision::wait(why)),
            settled => settled?,
        }
    }
    if hold.previous.is_some() && pair {
        forgotten(now, hold, weightless)?;
    }
    // Rollback may have died between the weights and the names: what it left is done here.
    let live = match &hold.previous {
        Some(Previous { release: Some(release), .. }) => Some(running(now.world.fleet(release)?)),
        Some(Previous { release: None, .. }) => Some(Vec::new()),
        None => None,
    };
    let releases = BTreeSet::from([&hold.release]);
    // What a person registered in the live group serves: it stays, and is told of.
    let doomed = own.difference(&strays).copied().collect();
    Removal { doomed, releases, stop_by: None, live, installs: true, kept }.done(now, hold, memory)?;
    // The last look is SETTLE after the phase: what a late call of an earlier stage left is seen by then.
    settle_last(now, held, weightless)
}

/// Waits while a switch gives weight to the release; then tells which of its instances serve in the other group, where
/// tagship has not registered them.
fn without_traffic<'a>(
    now: &Situation<'a>,
    held: &Held,
    own: &BTreeSet<&'a str>,
    memory: &mut RemovalMemory,
) -> First<BTreeSet<&'a str>> {
    match Traffic::of(now, &held.hold)? {
        // A pair that is none doesn't tell who serves.
        Err(error) => return Break(Decision::Fail(error)),
        Ok(traffic) if traffic.candidate.any => {
            memory.weightless_since = None;
            return Break(Decision::wait("rollback to take the traffic away from this release"));
        }
        Ok(_) => {}
    }
    Continue(match held.hold.settings.target_group {
        TargetGroup::Pair(_) => own.intersection(&serving(now.world.routing()?)).copied().collect(),
        TargetGroup::None => BTreeSet::new(),
    })
}

/// Leads test traffic to what is live; then tells whether any may have led to the release.
fn without_tests(now: &Situation<'_>, held: &Held, memory: &mut RemovalMemory) -> First<bool> {
    let hold = &held.hold;
    let (Some(own), TargetGroup::Pair(_)) = (&hold.group, &hold.settings.target_group) else { return Continue(false) };
    let routing = now.world.routing()?;
    if !test_traffic::leads(routing, own) {
        return Continue(!routing.tests.is_empty());
    }
    let live = routing.groups.iter().find(|group| group.arn != *own);
    match live.and_then(|live| test_traffic::toward(routing, live)) {
        Some(step) => {
            memory.weightless_since = None;
            Break(Decision::act(step, "test traffic goes to the live release before anything is removed"))
        }
        None => Continue(true),
    }
}

/// Waits until no client's cookie leads to the release any more, where AWS has refused to turn group stickiness off.
fn forgotten(now: &Situation<'_>, hold: &Hold, weightless: Timestamp) -> First<()> {
    let own = hold.group.as_deref();
    let names_it = |switch: &&Switch| switch.weights.iter().any(|(group, _)| Some(group.as_str()) == own);
    let sticky = now.world.routing()?.switches.iter().filter(names_it).map(|switch| switch.sticky_secs).max();
    match now.left(weightless, sticky.unwrap_or_default()) {
        None => Continue(()),
        Some((until, left)) => {
            let why =
                format!("group stickiness to forget this release, {left} s more: its clients may come back until then");
            Break(Decision::wait_until(until, why))
        }
    }
}
