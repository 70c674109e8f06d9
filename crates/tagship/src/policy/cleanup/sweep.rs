//! Sweep: looks after one hold on a schedule. It deletes the hold if its release has ended, and tells of it if it was
//! abandoned. Where nobody holds the service, it counts the live fleet.

use super::count::count;
use super::{free_unseen, kept};
use crate::engine::{Gate, Standing, Sweeping, admission};
use crate::{
    Action, Change, Changes, Decision, Done, Execution, ExecutionState, First, Held, Parts, Phase, Planner, Situation,
    Step,
};
use jiff::{SignedDuration, Timestamp};
use std::ops::ControlFlow::{Break, Continue};

/// How long an execution must have ended before sweep calls its hold abandoned, in seconds: its own end is
/// probably still being handled.
pub const ABANDONED_SECS: i64 = 300;

/// The planner of sweep.
#[derive(Debug)]
pub struct Sweep;

impl Planner for Sweep {
    const ACTION: Action = Action::Sweep;
    const READS: Parts = Parts::HOLDER.and(Parts::INSTANCES).and(Parts::NAMES).and(Parts::ROSTER);
    const CHANGES: Changes = Changes::of(&[Change::Tell, Change::Names]);
    type Entry<'a> = Sweeping<'a>;
    type Memory = ();

    fn admit(standing: Standing<'_>) -> Gate<Sweeping<'_>> {
        admission::sweep(standing)
    }

    fn decide<'a>(now: &Situation<'a>, entry: Sweeping<'a>, (): &mut ()) -> First<Done> {
        match entry {
            Sweeping::FreeHold(held, ended) => Break(free_unseen(now, held, ended)),
            Sweeping::Look(held) => look(now, held),
            Sweeping::Count => count(now),
        }
    }
}

fn look(now: &Situation<'_>, held: &Held) -> First<Done> {
    let hold = &held.hold;
    let nothing = |message: String| Continue(Done { nothing: true, message, ..Done::default() });
    let (execution, time) = (now.world.holder()?, now.world.now());
    let missing = execution.is_some_and(|execution| execution.state == ExecutionState::NotFound);
    if missing && !hold.checked {
        return nothing(format!(
            "{} of {} may run or not: CodePipeline doesn't know its execution in pipeline {}, and didn't when it began",
            hold.release, now.job.role, hold.pipeline
        ));
    }
    if missing != hold.missing_since.is_some() {
        let step = Situation::rewrite(held, |hold| hold.missing_since = missing.then_some(time));
        let message =
            if missing { "isn't known to CodePipeline: asked again" } else { "is known to CodePipeline again" };
        let message = format!("the execution of {} of {} {message}", hold.release, now.job.role);
        let then = Some(Box::new(Done { nothing: true, message, ..Done::default() }));
        return Break(Decision::Do { step, why: "one answer alone doesn't say that it was deleted", then });
    }
    let Some((action, reason)) = execution.and_then(|execution| abandoned(held, execution, hold.missing_since, time))
    else {
        return nothing(format!("{} of {} is still running", hold.release, now.job.role));
    };
    if let Some((_, told)) = kept(now, hold)? {
        return nothing(format!("{} of {} has failed: {told}", hold.release, now.job.role));
    }
    let ended_at = execution.and_then(|execution| execution.updated_at).unwrap_or(hold.since);
    if now.world.now().duration_since(ended_at) < SignedDuration::from_secs(ABANDONED_SECS) {
        return nothing(format!("{} of {} has just ended", hold.release, now.job.role));
    }
    let done = Done {
        message: format!("{} of {} was abandoned ({reason}): asked for {action}", hold.release, now.job.role),
        ..Done::default()
    };
    let step = abandon(held, action, reason);
    Break(Decision::Do { step, why: "its end was not handled", then: Some(Box::new(done)) })
}

/// What is to become of a hold whose execution has ended, and why; none while it runs, or may run. One that CodePipeline
/// knew, and hasn't known any more since then, has been deleted.
pub fn abandoned(
    held: &Held,
    execution: &Execution,
    missing_since: Option<Timestamp>,
    now: Timestamp,
) -> Option<(Action, String)> {
    let long = |since: Timestamp| now.duration_since(since) >= SignedDuration::from_secs(ABANDONED_SECS);
    let words = match execution.state {
        ExecutionState::Running | ExecutionState::Stopping => return None,
        ExecutionState::Succeeded => "its execution succeeded",
        ExecutionState::Ended => "its execution failed, was stopped, superseded or cancelled",
        ExecutionState::NotFound if held.hold.checked && missing_since.is_some_and(long) => {
            "CodePipeline doesn't know its execution any more"
        }
        ExecutionState::NotFound => return None,
    };
    // Retire refuses what is ending, whatever its execution says.
    let retire = execution.state == ExecutionState::Succeeded && held.hold.phase != Phase::Ending;
    Some((if retire { Action::Retire } else { Action::Discard }, words.to_owned()))
}

/// The event that has an abandoned release ended.
pub fn abandon(held: &Held, action: Action, reason: String) -> Step {
    Step::Abandon { release: held.hold.release.clone(), pipeline: held.hold.pipeline.clone(), action, reason }
}
