//! Cleanup's planners: retire, discard, park, and the sweep for holds that nobody ended.

use crate::removal::{Removal, serving};
use crate::settings::Keep;
use crate::traffic::{Traffic, running};
use crate::{
    Action, Decision, Done, Ended, Error, Execution, ExecutionState, Held, HowEnded, Instance, Memo, Phase, Reads,
    ReleaseId, Report, Situation, Stage, Step, Verdict, listed,
};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;

const READS: Reads =
    Reads { instances: true, routing: true, addresses: true, names: true, install: true, ..Reads::NOTHING };

/// How long an execution must have ended before sweep calls its hold abandoned, in seconds: its own end is
/// probably still being handled.
pub const ABANDONED_SECS: i64 = 300;

/// Removes what the approved release replaced.
#[derive(Debug)]
pub struct Retire;

impl Stage for Retire {
    const READS: Reads = READS;

    fn decide(now: &Situation<'_>, memo: &mut Memo) -> Decision {
        let Some(held) = now.held() else { return lost() };
        if now.verdict == Verdict::FreeHold {
            return ended(now, held);
        }
        retire(now, memo, held)
    }
}

/// Retire itself; discard comes here too if the release was approved meanwhile.
fn retire(now: &Situation<'_>, memo: &mut Memo, held: &Held) -> Decision {
    let hold = &held.hold;
    let traffic = match Traffic::of(now, hold) {
        Ok(traffic) => traffic,
        Err(error) => return Decision::Fail(error),
    };
    let world = now.world;
    let serving = serving(world.routing.as_ref());
    let live = traffic.any_mine && traffic.forward.is_none();
    let refused = if let Verdict::Turn(_) = now.verdict {
        if !live {
            Some("it is not live on every switch")
        } else if traffic.mine_healthy == 0 && traffic.home_healthy > 0 {
            Some("it has no healthy target, and what it replaced has")
        } else {
            None
        }
    } else {
        // Approved before: only a switch turned elsewhere stops it, not that its own fleet died meanwhile.
        let other = |instance: &&Instance| instance.release.as_ref().is_some_and(|release| *release != hold.release);
        let elsewhere = world.instances.iter().filter(other).any(|instance| serving.contains(instance.id.as_str()));
        (!live && elsewhere).then_some("it is not live on every switch")
    };
    if let Some(why) = refused {
        let weights: Vec<String> = traffic.weights.iter().map(|(switch, value)| format!("{switch}: {value}")).collect();
        return Decision::Fail(Error::release(format!(
            "release {} of {} can't be retired into: {why} ({}). Nothing was removed. If the weights were changed by \
             hand, set them to this release's group and retry; else reject it",
            hold.release,
            now.job.role,
            weights.join("; ")
        )));
    }
    if let Verdict::Turn(phase) = now.verdict {
        let step = Situation::rewrite(held, |hold| hold.phase = phase);
        return Decision::act(step, "approved: from here on there is no way back");
    }
    let others = world.instances.iter().filter(|instance| {
        instance.release.as_ref().is_some_and(|release| *release != hold.release)
            && !serving.contains(instance.id.as_str())
    });
    let removal = Removal {
        doomed: others.clone().map(|instance| instance.id.as_str()).collect(),
        releases: releases_but(now, &hold.release),
        stop_by: (hold.settings.keep == Keep::Stop).then_some(&hold.release),
        live: Some(running(world.fleet(&hold.release))),
    };
    let moved_at = hold.moved_at.unwrap_or(*memo.weightless.get_or_insert(world.since()));
    if !removal.doomed.is_empty()
        && let Some(wait) = settle(moved_at, now, held)
    {
        return wait;
    }
    removal.next(now, hold, memo).unwrap_or_else(|| mark(now, held, HowEnded::Approved))
}

/// Every release that an instance or address names, but one.
fn releases_but<'a>(now: &Situation<'a>, own: &ReleaseId) -> BTreeSet<&'a ReleaseId> {
    let instances = now.world.instances.iter().filter_map(|instance| instance.release.as_ref());
    let addresses = now.world.addresses.iter().filter_map(|address| address.release.as_ref());
    instances.chain(addresses).filter(|release| *release != own).collect()
}

/// Removes a rejected or failed candidate.
#[derive(Debug)]
pub struct Discard;

impl Stage for Discard {
    const READS: Reads = READS;

    fn decide(now: &Situation<'_>, memo: &mut Memo) -> Decision {
        if now.verdict == Verdict::MarkDiscarded {
            return never_held(now);
        }
        let Some(held) = now.held() else { return lost() };
        match now.verdict {
            // Marked before it held: what it launched all the same goes first.
            Verdict::FreeHold if !now.holding.late_mark() => return ended(now, held),
            Verdict::FinishRetire => return retire(now, memo, held),
            Verdict::Turn(phase) => return turn(held, phase),
            _ => {}
        }
        let hold = &held.hold;
        let world = now.world;
        let own: BTreeSet<&str> = world.fleet(&hold.release).map(|instance| instance.id.as_str()).collect();
        let weighted = Traffic::of(now, hold).is_ok_and(|traffic| traffic.any_mine);
        let serving = serving(world.routing.as_ref());
        let strays: Vec<&str> = own.intersection(&serving).copied().collect();
        if weighted || !strays.is_empty() {
            memo.weightless = None;
            return Decision::Wait(if weighted {
                "rollback to take the traffic away from this release".to_owned()
            } else {
                let strays = listed(strays);
                format!(
                    "a person to deregister {strays} of this release from the live group, where tagship put none of it"
                )
            });
        }
        let weightless = *memo.weightless.get_or_insert(world.since());
        let settled = settle(weightless, now, held);
        // A release that was never shifted has had no weight: it may go at once.
        if hold.previous.is_some()
            && let Some(wait) = settled
        {
            return wait;
        }
        // Rollback may have died between the weights and the names: what it left is done here.
        let live = hold.previous.as_ref().map(|previous| match &previous.release {
            Some(release) => running(world.fleet(release)),
            None => Vec::new(),
        });
        let removal = Removal { doomed: own, releases: BTreeSet::from([&hold.release]), stop_by: None, live };
        // The last look is SETTLE after the phase: what a late call of an earlier stage left is seen by then.
        removal.next(now, hold, memo).or(settled).unwrap_or_else(|| match now.verdict {
            Verdict::FreeHold => ended(now, held),
            _ => mark(now, held, HowEnded::Discarded),
        })
    }
}

/// Nothing was held: provision must not start later.
fn never_held(now: &Situation<'_>) -> Decision {
    let ended = Ended { release: now.job.release.clone(), how: HowEnded::Discarded, at: now.world.now, artifact: None };
    let message = format!("{} of {} never held the service: nothing to remove", now.job.release, now.job.role);
    Decision::Do {
        step: Step::WriteEnded(ended),
        why: "a late start of this release fails by it",
        then: Some(Box::new(Done { message, outputs: vec![("Terminated", "none".to_owned())], ..Done::default() })),
    }
}

/// Empties a pre-product environment: whether its release was good or not, nobody uses it any more.
#[derive(Debug)]
pub struct Park;

impl Stage for Park {
    const READS: Reads = READS;

    fn decide(now: &Situation<'_>, memo: &mut Memo) -> Decision {
        if now.verdict == Verdict::MarkDiscarded {
            return never_held(now);
        }
        let Some(held) = now.held() else { return lost() };
        match now.verdict {
            // As of discard.
            Verdict::FreeHold if !now.holding.late_mark() => return ended(now, held),
            Verdict::Turn(phase) => return turn(held, phase),
            _ => {}
        }
        let world = now.world;
        let tagged = world.instances.iter().filter(|instance| instance.release.is_some());
        let mut releases = releases_but(now, &held.hold.release);
        releases.insert(&held.hold.release);
        let removal = Removal {
            doomed: tagged.map(|instance| instance.id.as_str()).collect(),
            releases,
            stop_by: None,
            live: Some(Vec::new()),
        };
        let settled = settle(*memo.weightless.get_or_insert(world.since()), now, held);
        removal.next(now, &held.hold, memo).or(settled).unwrap_or_else(|| match now.verdict {
            Verdict::FreeHold => ended(now, held),
            _ => mark(now, held, HowEnded::Parked),
        })
    }
}

/// Looks after one hold on a schedule: deletes it if its release has ended, and tells of it if it was abandoned.
#[derive(Debug)]
pub struct Sweep;

impl Stage for Sweep {
    const READS: Reads = Reads { holder: true, ..Reads::NOTHING };

    fn decide(now: &Situation<'_>, _: &mut Memo) -> Decision {
        let Some(held) = now.held() else { return lost() };
        if now.verdict == Verdict::FreeHold {
            return ended(now, held);
        }
        let Some(execution) = &now.world.holder else {
            return Decision::Fail(Error::new(crate::Kind::Bug, "tagship: the holder's execution was not read"));
        };
        let nothing = |message: String| Decision::Done(Done { nothing: true, message, ..Done::default() });
        let Some((action, reason)) = abandoned(held, execution) else {
            return nothing(format!("{} of {} is still running", held.hold.release, now.job.role));
        };
        let ended_at = execution.updated_at.unwrap_or(held.hold.since);
        if now.world.now.duration_since(ended_at) < SignedDuration::from_secs(ABANDONED_SECS) {
            return nothing(format!("{} of {} has just ended", held.hold.release, now.job.role));
        }
        let done = Done {
            message: format!("{} of {} was abandoned ({reason}): asked for {action}", held.hold.release, now.job.role),
            ..Done::default()
        };
        let step = abandon(held, action, reason);
        Decision::Do { step, why: "its end was not handled", then: Some(Box::new(done)) }
    }
}

/// What is to become of a hold whose execution has ended, and why; none while it runs.
pub fn abandoned(held: &Held, execution: &Execution) -> Option<(Action, String)> {
    let words = match execution.state {
        ExecutionState::Running => return None,
        ExecutionState::Succeeded => "its execution succeeded",
        ExecutionState::Ended => "its execution failed, was stopped, superseded or cancelled",
        ExecutionState::NotFound => "CodePipeline doesn't know its execution",
    };
    // Retire refuses what is ending, whatever its execution says.
    let retire = execution.state == ExecutionState::Succeeded && held.hold.phase != Phase::Ending;
    Some((if retire { Action::Retire } else { Action::Discard }, words.to_owned()))
}

/// The event that has an abandoned release ended.
pub fn abandon(held: &Held, action: Action, reason: String) -> Step {
    Step::Abandon { release: held.hold.release.clone(), pipeline: held.hold.pipeline.clone(), action, reason }
}

fn lost() -> Decision {
    Decision::Fail(Error::new(crate::Kind::Bug, "tagship: cleanup without a hold"))
}

fn turn(held: &Held, phase: Phase) -> Decision {
    Decision::act(Situation::rewrite(held, |hold| hold.phase = phase), "from here on this release only ends")
}

/// Waits until SETTLE seconds have passed since `since`.
fn settle(since: Timestamp, now: &Situation<'_>, held: &Held) -> Option<Decision> {
    let settle_secs = held.hold.settings.timeouts.settle_secs;
    let left = SignedDuration::from_secs(i64::from(settle_secs)) - now.world.now.duration_since(since);
    (left > SignedDuration::ZERO).then(|| {
        Decision::Wait(format!("late calls and the balancer's nodes to settle, {} s more", left.as_secs() + 1))
    })
}

/// All is done: the marker first, then the hold.
fn mark(now: &Situation<'_>, held: &Held, how: HowEnded) -> Decision {
    let ended =
        Ended { release: held.hold.release.clone(), how, at: now.world.now, artifact: held.hold.artifact.clone() };
    Decision::act(Step::WriteEnded(ended), "all of it is done")
}

/// The marker is written: free the hold and tell what was done.
fn ended(now: &Situation<'_>, held: &Held) -> Decision {
    let world = now.world;
    let how = now.holding.ended.as_ref().map_or("ended", |ended| ended.how.as_str());
    // EC2 shows terminated instances for an hour: those of earlier releases are not this one's doing.
    let whose = match now.job.action {
        Action::Retire => held.hold.previous.as_ref().and_then(|previous| previous.release.as_ref()),
        _ => Some(&held.hold.release),
    };
    let removed: Vec<String> = whose
        .into_iter()
        .flat_map(|release| world.fleet(release))
        .filter(|instance| instance.gone() || instance.retired_by.as_ref() == Some(&held.hold.release))
        .map(|instance| instance.id.clone())
        .collect();
    let unowned = world.instances.iter().filter(|instance| instance.release.is_none() && !instance.gone());
    let left_behind = unowned
        .map(|instance| {
            format!(
                "instance {} has the service's tag but no tagship:release: tag or terminate it by hand",
                instance.id
            )
        })
        .collect();
    let terminated = listed(removed.iter().map(String::as_str));
    let done = Done {
        message: format!("{} of {} is {how}; removed: {terminated}", held.hold.release, now.job.role),
        outputs: vec![("Terminated", terminated)],
        report: Report { instances: removed, left_behind, ..now.report() },
        ..Done::default()
    };
    Decision::last(held, done)
}

#[cfg(test)]
mod tests;
