//! Cleanup: removes what an approved release replaced, or a rejected release, or a whole pre-product; and finds what
//! nobody ended.

pub mod removal;

mod count;
pub(in crate::policy) use count::enroll;

mod postmortem;
pub use postmortem::kept;

mod retire;
pub use retire::Retire;

mod discard;
pub use discard::Discard;

mod park;
pub use park::Park;

mod sweep;
pub use sweep::{ABANDONED_SECS, Sweep, abandon, abandoned};

#[cfg(test)]
mod tests;

use crate::{
    Action, Change, Changes, Decision, Done, Ended, Ending, First, Held, HowEnded, Instance, Parts, Phase, ReleaseId,
    Report, Situation, Step, listed,
};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::ops::ControlFlow::{Break, Continue};

/// What those see that remove something.
const READS: Parts = Parts::INSTANCES
    .and(Parts::ROUTING)
    .and(Parts::ADDRESSES)
    .and(Parts::NAMES)
    .and(Parts::DEPLOYMENT)
    .and(Parts::HOLDER)
    .and(Parts::ROSTER);

/// What they change.
const CHANGES: Changes = Changes::of(&[
    Change::Terminate,
    Change::Retire,
    Change::TakeAddress,
    Change::Names,
    Change::StopInstall,
    Change::Deregister,
    Change::Test,
]);

/// Every release that an instance or address names, but one.
fn releases_but<'a>(now: &Situation<'a>, own: &ReleaseId) -> First<BTreeSet<&'a ReleaseId>> {
    let instances = now.world.instances()?.iter().filter_map(|instance| instance.release.as_ref());
    let addresses = now.world.addresses()?.iter().filter_map(|address| address.release.as_ref());
    Continue(instances.chain(addresses).filter(|release| *release != own).collect())
}

/// Nothing was held: provision must not start later.
fn never_held(now: &Situation<'_>) -> Decision {
    let ended = Ended::unheld(now.job.release.clone(), HowEnded::Discarded, now.world.now());
    let message = format!("{} of {} never held the service: nothing to remove", now.job.release, now.job.role);
    Decision::Do {
        step: Step::WriteEnded(ended),
        why: "so that this release can't start later",
        then: Some(Box::new(Done { message, outputs: vec![("Terminated", "none".to_owned())], ..Done::default() })),
    }
}

fn turn(held: &Held, phase: Phase) -> Decision {
    Decision::act(
        Situation::rewrite(held, |hold| hold.phase = phase),
        "the release ends: it can't be approved any more",
    )
}

/// How long a describe of EC2 may not show what has been launched, in seconds (docs/AWS.md).
const UNSEEN_SECS: u32 = 10;

/// Waits until all is seen that a late call of an earlier stage has left: SETTLE seconds since `since`, and longer where
/// that may be a launch.
fn settle_last(now: &Situation<'_>, held: &Held, since: Timestamp) -> First<()> {
    settle(now, held, since)?;
    let hold = &held.hold;
    let unseen = if hold.artifact.is_none() { UNSEEN_SECS } else { 0 };
    match now.left(since, hold.settings.timeouts.settle_secs + unseen) {
        None => Continue(()),
        Some((until, left)) => Break(Decision::wait_until(
            until,
            format!("EC2 to show what provision may have launched last, {left} s more"),
        )),
    }
}

/// Waits until SETTLE seconds have passed since `since`.
fn settle(now: &Situation<'_>, held: &Held, since: Timestamp) -> First<()> {
    match now.left(since, held.hold.settings.timeouts.settle_secs) {
        None => Continue(()),
        Some((until, left)) => {
            let why = format!("the load balancer to use the new weights everywhere, {left} s more");
            Break(Decision::wait_until(until, why))
        }
    }
}

/// All is done: the marker first, then the hold.
fn mark(now: &Situation<'_>, held: &Held, how: HowEnded) -> Decision {
    Decision::act(Step::WriteEnded(Ended::of(&held.hold, how, now.world.now())), "all of it is done")
}

/// The marker is written: free the hold.
fn free_unseen(now: &Situation<'_>, held: &Held, ended: &Ended) -> Decision {
    let message = format!("{} of {} is {}", held.hold.release, now.job.role, ended.how.as_str());
    Decision::last(held, Done { message, report: now.report(), ..Done::default() })
}

/// The marker is written: free the hold and tell what was removed.
fn free(now: &Situation<'_>, held: &Held, ended: &Ended) -> First<Done> {
    let instances = now.world.instances()?;
    // EC2 shows terminated instances for an hour: those of earlier releases are not this one's doing.
    let whose = match now.job.action {
        Action::Retire => held.hold.previous.as_ref().and_then(|previous| previous.release.as_ref()),
        _ => Some(&held.hold.release),
    };
    let removed: Vec<String> = instances
        .iter()
        .filter(|instance| whose.is_some() && instance.release.as_ref() == whose)
        .filter(|instance| instance.gone() || instance.retired_by.as_ref() == Some(&held.hold.release))
        .map(|instance| instance.id.clone())
        .collect();
    let unowned = instances.iter().filter(|instance| instance.release.is_none() && !instance.gone());
    let own = |instance: &&Instance| instance.release.as_ref() == Some(&held.hold.release);
    let goes = |instance: &&Instance| match now.job.action {
        Action::Retire => !own(instance) && instance.release.is_some(),
        _ => own(instance) && ended.how == HowEnded::Parked,
    };
    let spared = instances.iter().filter(|instance| !instance.gone() && instance.retired_by.is_none()).filter(goes);
    let spared = spared.map(|instance| {
        format!(
            "instance {} could not be removed: it is protected against termination, or serves elsewhere. It has neither \
             name nor address of the service any more; switch the protection off and terminate it",
            instance.id
        )
    });
    let mut left_behind: Vec<String> = unowned
        .map(|instance| {
            format!(
                "instance {} has the service's tag but no tagship:release: tag or terminate it by hand",
                instance.id
            )
        })
        .chain(spared)
        .collect();
    if ended.how == HowEnded::Discarded {
        let own = instances.iter().filter(|it| it.release.as_ref() == Some(&held.hold.release) && !it.gone());
        left_behind.extend(own.map(|instance| {
            format!(
                "instance {} of this release serves in the live group, where a person registered it: it stays until the \
                 next release replaces that group",
                instance.id
            )
        }));
    }
    let mut report = now.report();
    // One that rollback kept was never approved, and rollback has told it.
    if ended.how == HowEnded::Kept && held.hold.phase == Phase::Approved {
        report.ending = Ending::Kept;
        left_behind.push(format!(
            "the fleets of {} and of the release before it: somebody moved switches away from it after its approval, so \
             both serve",
            held.hold.release
        ));
    }
    let terminated = listed(removed.iter().map(String::as_str));
    let how = ended.how.as_str();
    let done = Done {
        message: format!("{} of {} is {how}; removed: {terminated}", held.hold.release, now.job.role),
        outputs: vec![("Terminated", terminated)],
        report: Report { instances: removed, left_behind, ..report },
        ..Done::default()
    };
    Break(Decision::last(held, done))
}
