//! Guard: hears an alarm, or that a person stops the execution, and gives the traffic back, also while an approval is
//! open and nobody else looks.

use super::alarms::{Heard, heard};
use super::shift::{Restored, restore, turn_back};
use super::traffic::Traffic;
use super::{CHANGES, READS, keeps_sticky, predecessor_name};
use crate::engine::{Gate, Memory, Occasion, Standing, admission};
use crate::settings::HookPoint;
use crate::{
    Action, Change, Changes, Decision, Done, Ending, Error, ExecutionState, First, Held, Hold, Parts, Phase, Planner,
    Situation, Step,
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow::{Break, Continue};

/// Seconds after the watch for which shift may still report by itself: then it fails with the reason.
const REPORTS: SignedDuration = SignedDuration::from_secs(10);

/// Whether guard looks at the release that holds a service.
///
/// By the minute only where nobody else listens: shift does as long as it runs, and AWS allows nine looks at alarms a
/// second for a whole account.
pub fn concerned(hold: &Hold, occasion: &Occasion, now: Timestamp) -> bool {
    let moved = hold.phase == Phase::Open && hold.previous.is_some();
    moved
        && match occasion {
            Occasion::Alarm(name) => hold.settings.alarms.ids().contains(name),
            Occasion::Stop(pipeline) => hold.pipeline == *pipeline,
            Occasion::Minute => hold.back.is_some() || shift_over(hold, now),
        }
}

/// The planner of guard.
#[derive(Debug)]
pub struct Guard;

/// What guard remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GuardMemory {
    /// Whether this invocation has moved something: people are told once.
    pub moved: bool,
    /// Whether AWS has refused to turn a switch's group stickiness off.
    pub keeps_sticky: bool,
}

impl Memory for GuardMemory {}

impl Planner for Guard {
    const ACTION: Action = Action::Guard;
    const READS: Parts = READS.and(Parts::HOLDER).and(Parts::ALARMS);
    const CHANGES: Changes = CHANGES.and(Change::Stop);

    type Entry<'a> = &'a Held;
    type Memory = GuardMemory;

    fn admit(standing: Standing<'_>) -> Gate<&Held> {
        admission::guard(standing)
    }

    fn decide<'a>(now: &Situation<'a>, held: &'a Held, memory: &mut GuardMemory) -> First<Done> {
        let hold = &held.hold;
        if let Some(back) = &hold.back {
            return give_back(now, held, &back.why, memory);
        }
        if hold.previous.is_none() {
            return nothing(format!("{} of {} has moved no traffic", hold.release, now.job.role));
        }
        let execution = now.world.holder()?;
        if execution.is_some_and(|execution| execution.state == ExecutionState::Stopping) {
            return Break(turn_back(now, held, "somebody stopped the pipeline's execution"));
        }
        if hold.settings.alarms.ids().is_empty() {
            return nothing(format!("{} of {} has no alarms", hold.release, now.job.role));
        }
        match heard(now, held)? {
            Heard::Quiet(words) => nothing(format!("{} of {}: {words}", hold.release, now.job.role)),
            Heard::Unknown(words) => nothing(format!("{} of {} waits for {words}", hold.release, now.job.role)),
            Heard::Quieted(decision) => Break(decision),
            Heard::Tell(why, alarm) => Break(told(now, held, &why, alarm, "ON_ALARM is \"tell\"")),
            Heard::Rang(why, alarm) => {
                let late = hold.moved_at.filter(|at| now.left(*at, hold.settings.guard_secs).is_none());
                match late {
                    Some(_) => Break(told(now, held, &why, alarm, "it has had all the traffic for longer than GUARD")),
                    None => Break(turn_back(now, held, &why)),
                }
            }
        }
    }

    fn learn(refused: &Step, error: &Error, memory: &GuardMemory) -> Option<GuardMemory> {
        keeps_sticky(refused, error).then_some(GuardMemory { keeps_sticky: true, ..memory.clone() })
    }
}

/// When shift has watched for long enough, and has had the time to report.
fn shift_ends(hold: &Hold) -> Option<Timestamp> {
    let watch = SignedDuration::from_secs(hold.settings.timeouts.watch_secs.into());
    Some(hold.moved_at? + watch + REPORTS)
}

/// Whether shift has ended by now: while hooks are called it hasn't.
fn shift_over(hold: &Hold, now: Timestamp) -> bool {
    shift_ends(hold).is_some_and(|ends| ends <= now) && hold.passed(HookPoint::AfterShift)
}

fn nothing(message: String) -> First<Done> {
    Continue(Done { nothing: true, message, ..Done::default() })
}

/// People are told, and nothing moves: once for each time that the alarm rings.
fn told(now: &Situation<'_>, held: &Held, why: &str, alarm: String, because: &str) -> Decision {
    let release = &held.hold.release;
    let message = format!(
        "{why}. Release {release} of {} keeps its traffic, as {because}: reject it, or stop the execution, if it should \
         go back",
        now.job.role
    );
    let mut report = now.report();
    report.ending = Ending::Rings;
    let then = Some(Box::new(Done { message, report, ..Done::default() }));
    let step = Situation::rewrite(held, |hold| hold.ringing.push(alarm));
    Decision::Do { step, why: "people are told, and the alarm counts again once it has been OK", then }
}

/// Weights first; then the execution is stopped, where nobody else ends it.
fn give_back(now: &Situation<'_>, held: &Held, why: &str, memory: &mut GuardMemory) -> First<Done> {
    let hold = &held.hold;
    let traffic = match Traffic::of(now, hold)? {
        Ok(traffic) => traffic,
        Err(error) => return Break(Decision::Fail(error)),
    };
    // Kept only if there is still something to move.
    let moved = std::mem::replace(&mut memory.moved, true);
    if let Restored::Stuck(error) = restore(now, held, traffic, why, memory.keeps_sticky)? {
        return Break(Decision::Fail(error));
    }
    memory.moved = moved;
    // Shift itself fails with the reason, while it runs.
    let this_moment = now.world.now();
    let soon = |ends: &Timestamp| this_moment < *ends && *ends <= this_moment + REPORTS;
    if let Some(ends) = shift_ends(hold).filter(soon) {
        return Break(Decision::wait_until(ends, "shift to fail by itself, if it still runs"));
    }
    let over = shift_over(hold, this_moment);
    let waits = now
        .world
        .holder()?
        .is_some_and(|execution| matches!(execution.state, ExecutionState::Running | ExecutionState::Stopping));
    if over && waits {
        let reason = crate::bounded(&format!("tagship: {why}"), STOP_REASON);
        let step = Step::StopExecution { pipeline: hold.pipeline.clone(), release: hold.release.clone(), reason };
        let then = Some(Box::new(gone_back(now, held, why)));
        return Break(Decision::Do {
            step,
            why: "an approval is open, and there is nothing to approve any more",
            then,
        });
    }
    Continue(Done { nothing: !moved, ..gone_back(now, held, why) })
}

/// CodePipeline's limit of a reason, in characters.
const STOP_REASON: usize = 200;

fn gone_back(now: &Situation<'_>, held: &Held, why: &str) -> Done {
    let message = format!(
        "{why}: the traffic of {} is back with {}. Release {} ends now; find the cause, then start a new execution",
        now.job.role,
        predecessor_name(held),
        held.hold.release
    );
    let mut done = Done { message, report: now.report(), ..Done::default() };
    done.report.ending = Ending::RolledBack;
    done
}
