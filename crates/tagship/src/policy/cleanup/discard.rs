//! Discard: removes a rejected or failed candidate.

use super::removal::{Removal, RemovalMemory, serving};
use super::{CHANGES, READS, free, mark, never_held, retire, settle, turn};
use crate::engine::{Gate, Removing, Standing, Turning, admission};
use crate::policy::route::traffic::{Traffic, running};
use crate::settings::TargetGroup;
use crate::{
    Action, Changes, Decision, Done, Ended, First, Held, HowEnded, Parts, Planner, Previous, Situation, listed,
};
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
            Removing::MarkDiscarded => Break(never_held(now)),
            Removing::Turning(Turning::Turn(held, phase)) => Break(turn(held, phase)),
            Removing::Turning(Turning::Act(held)) => {
                let kept = (held.hold.settings.timeouts.postmortem_secs > 0).then_some(held);
                remove(now, held, kept, memory)?;
                Break(mark(now, held, HowEnded::Discarded))
            }
            Removing::Turning(Turning::FreeHold(held, ended)) => free(now, held, ended),
            Removing::Late(held, ended) => remove_late(now, held, ended, memory),
            Removing::FinishRetire(held) => retire::remove(now, held, memory),
        }
    }
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
    without_traffic(now, held, &own, memory)?;
    let weightless = *memory.weightless_since.get_or_insert(now.world.since());
    // A release that was never shifted has had no weight: it may go at once.
    // One that is kept is looked at once more before: nobody comes back for what a late call registers.
    if hold.previous.is_some() || kept.is_some() {
        settle(now, held, weightless)?;
    }
    // Rollback may have died between the weights and the names: what it left is done here.
    let live = match &hold.previous {
        Some(Previous { release: Some(release), .. }) => Some(running(now.world.fleet(release)?)),
        Some(Previous { release: None, .. }) => Some(Vec::new()),
        None => None,
    };
    let releases = BTreeSet::from([&hold.release]);
    Removal { doomed: own, releases, stop_by: None, live, installs: true, kept }.done(now, hold, memory)?;
    // The last look is SETTLE after the phase: what a late call of an earlier stage left is seen by then.
    settle(now, held, weightless)
}

/// Waits while a switch gives weight to the release.
fn without_traffic(now: &Situation<'_>, held: &Held, own: &BTreeSet<&str>, memory: &mut RemovalMemory) -> First<()> {
    let hold = &held.hold;
    let traffic = Traffic::of(now, hold)?;
    if traffic.is_ok_and(|traffic| traffic.candidate.any) {
        memory.weightless_since = None;
        return Break(Decision::wait("rollback to take the traffic away from this release"));
    }
    let serving = match hold.settings.target_group {
        TargetGroup::Pair(_) => serving(now.world.routing()?),
        TargetGroup::None => BTreeSet::new(),
    };
    let strays: Vec<&str> = own.intersection(&serving).copied().collect();
    if strays.is_empty() {
        return Continue(());
    }
    memory.weightless_since = None;
    let strays = listed(strays);
    Break(Decision::wait(format!(
        "a person to deregister {strays} from the live group: they belong to the release that is being removed, and tagship \
         did not register them there"
    )))
}
