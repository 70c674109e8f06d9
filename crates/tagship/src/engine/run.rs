//! The loop: observe, decide, act, on every invocation, from nothing.

use crate::settings::Settings;
use crate::{
    Decision, Done, Error, Holding, Job, Kind, Memo, Reads, ReleaseId, ServiceRole, Situation, Stage, Step, Verdict,
    World, admit,
};
use jiff::{SignedDuration, Timestamp};
use std::future::Future;

/// The world outside: the AWS adapter or the simulator.
pub trait Port: Sync {
    /// The time.
    fn now(&self) -> Timestamp;

    /// Waits a little (1–2 s, jittered) before the next look.
    fn pause(&self) -> impl Future<Output = ()> + Send;

    /// Whether there is time for another round in this invocation.
    fn has_time(&self) -> bool;

    /// Whether an unfinished job can be handed back, to be invoked again later. A direct invocation can't.
    fn hands_back(&self) -> bool;

    /// Reads hold and markers. `bound`: answer within 4 s or not at all, so that what is decided by it is
    /// still true when the step's own 10 s are over (SETTLE, 15 s, exceeds the two).
    fn holding(
        &self,
        role: &ServiceRole,
        release: &ReleaseId,
        bound: bool,
    ) -> impl Future<Output = Result<Holding, Error>> + Send;

    /// Reads what the stage needs: one call a resource kind (a page, where AWS pages).
    fn observe(&self, look: &Look<'_>) -> impl Future<Output = Result<World, Error>> + Send;

    /// Makes one changing call, bounded to 10 s, never repeated by itself.
    fn apply(&self, look: &Look<'_>, step: &Step) -> impl Future<Output = Result<(), Error>> + Send;

    /// Told of every decision: for logs and stories.
    fn tell(&self, job: &Job, decision: &Decision);
}

/// What an observation is for.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// What is asked for.
    pub job: &'a Job,
    /// What it reads.
    pub reads: Reads,
    /// The bucket's word.
    pub holding: &'a Holding,
    /// What the table of phases allows.
    pub verdict: Verdict,
}

impl Look<'_> {
    /// The settings that this release goes by: those in its hold. None before the hold is its own.
    pub fn settings(&self) -> Option<&Settings> {
        let held = self.holding.held.as_ref()?;
        (held.hold.release == self.job.release).then_some(&held.hold.settings)
    }
}

/// How an invocation ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Success.
    Done(Done),
    /// Failure.
    Failed(Error),
    /// Not finished: what is waited for. The memo says how to go on.
    Waiting(String),
}

/// How long AWS may be unavailable, or refuse for a conflict, without a break before the job fails.
pub const UNAVAILABLE_SECS: i64 = 600;

/// How long AWS may throttle without a break: 200 fleets of 50 wait 75 minutes for their launches at its default
/// limits, and shorter limits are somebody's mistake that takes a person.
pub const THROTTLED_SECS: i64 = 3 * 3_600;

/// The longest pause between two rounds that AWS refused for being too many requests, in seconds.
const REST_MAX_SECS: i64 = 32;

/// How long an invocation looks for somebody else to be done before it hands the job back.
pub const YIELD_SECS: i64 = 5;

/// No change is made by an observation that began longer ago than this; longer than any takes by itself.
pub const STALE_SECS: i64 = 120;

/// Runs a job as far as this invocation can.
pub async fn run<S: Stage, P: Port>(port: &P, job: &Job, memo: &mut Memo) -> Outcome {
    let started = port.now();
    let mut last: Option<Step> = None;
    let mut refused = 0;
    loop {
        let began = port.now();
        let waiting = match round::<S, P>(port, job, memo, &mut last).await {
            Ok(Round::Ended(outcome)) => return outcome,
            Ok(Round::Again) => {
                memo.unavailable = None;
                if port.has_time() {
                    continue;
                }
                "the next step".to_owned()
            }
            Ok(Round::Wait(why)) => {
                memo.unavailable = None;
                why
            }
            Ok(Round::Yield(why)) => {
                memo.unavailable = None;
                let patient = port.now().duration_since(started) < SignedDuration::from_secs(YIELD_SECS);
                if port.hands_back() && !patient {
                    return Outcome::Waiting(why);
                }
                why
            }
            Err(error) => match error.kind {
                kind if kind.passes() => {
                    let since = *memo.unavailable.get_or_insert(port.now());
                    if port.now().duration_since(since) > patience(&error, memo) {
                        return Outcome::Failed(error);
                    }
                    refused = if kind == Kind::Throttled { refused + 1 } else { 0 };
                    format!("AWS to answer otherwise: {}", error.message)
                }
                _ => return Outcome::Failed(error),
            },
        };
        if memo.unavailable.is_none() {
            refused = 0;
        }
        if !port.has_time() {
            return Outcome::Waiting(waiting);
        }
        rest(port, began, refused).await;
        if refused > 0 {
            let secs = port.now().duration_since(began).as_secs();
            memo.throttled_secs = memo.throttled_secs.saturating_add(u32::try_from(secs).unwrap_or_default());
        }
    }
}

/// How long such an error may go on without a break. What was spent on being throttled costs the others nothing: a
/// conflict at the end of a storm is the first of its kind.
fn patience(error: &Error, memo: &Memo) -> SignedDuration {
    let secs =
        if error.kind == Kind::Throttled { THROTTLED_SECS } else { UNAVAILABLE_SECS + i64::from(memo.throttled_secs) };
    SignedDuration::from_secs(secs)
}

/// Pauses before the next round: once, but as long as the round took where AWS throttles it, and longer each time that
/// it is `refused`. So many services of one account leave each other room.
async fn rest<P: Port>(port: &P, began: Timestamp, refused: u32) {
    let took = port.now().duration_since(began);
    let refusal = SignedDuration::from_secs(if refused == 0 { 0 } else { (1 << refused.min(5)).min(REST_MAX_SECS) });
    let until = port.now() + took.max(refusal);
    loop {
        port.pause().await;
        if port.now() >= until || !port.has_time() {
            return;
        }
    }
}

enum Round {
    Ended(Outcome),
    Again,
    Wait(String),
    Yield(String),
}

async fn round<S: Stage, P: Port>(
    port: &P,
    job: &Job,
    memo: &mut Memo,
    last: &mut Option<Step>,
) -> Result<Round, Error> {
    let holding = port.holding(&job.role, &job.release, false).await?;
    let verdict = admit(job.action, &job.release, &holding);
    match verdict {
        Verdict::Refuse(why) => {
            let holder = match &holding.held {
                Some(held) if held.hold.release != job.release => format!(" (held by release {})", held.hold.release),
                _ => String::new(),
            };
            let error = Error::release(format!("{} {} of {}: {why}{holder}", job.action, job.release, job.role));
            return Ok(Round::Ended(Outcome::Failed(error)));
        }
        Verdict::Nothing(why) => {
            let message = match &holding.ended {
                Some(ended) => format!("{why}: {} at {}", ended.how.as_str(), ended.at),
                None => why.to_owned(),
            };
            let outputs = job.action.variables().iter().map(|name| (*name, "none".to_owned())).collect();
            return Ok(Round::Ended(Outcome::Done(Done { nothing: true, message, outputs, ..Done::default() })));
        }
        _ => {}
    }
    let look = Look { job, reads: S::READS, holding: &holding, verdict };
    let mut world = port.observe(&look).await?;
    world.seen = port.now();
    let situation = Situation { job, holding: &holding, verdict, world: &world };
    let decision = S::decide(&situation, memo);
    port.tell(job, &decision);
    let (step, then) = match decision {
        Decision::Do { step, then, .. } => (step, then),
        Decision::Wait(why) => return Ok(Round::Wait(why)),
        Decision::Yield(why) => return Ok(Round::Yield(why)),
        Decision::Done(done) => return Ok(Round::Ended(Outcome::Done(done))),
        Decision::Fail(error) => return Ok(Round::Ended(Outcome::Failed(situation.seen_by(error)))),
    };
    if last.as_ref() == Some(&step) {
        // The describe doesn't know yet: repeating is safe, repeating at once is rude.
        port.pause().await;
    }
    // The right to change is read again just before the change. Writes of the hold itself are guarded by their ETag.
    let guarded = !matches!(step, Step::WriteHold { .. } | Step::DeleteHold { .. });
    // A process that stood still decides by a world that is gone.
    if guarded && port.now().duration_since(world.now) > SignedDuration::from_secs(STALE_SECS) {
        return Ok(Round::Again);
    }
    if guarded && port.holding(&job.role, &job.release, true).await? != holding {
        return Ok(Round::Again);
    }
    let applied = port.apply(&look, &step).await;
    let again = match applied {
        Err(error) if error.kind == Kind::Capacity => match &step {
            Step::Launch(launch) => {
                let reason = error.code.unwrap_or(error.message);
                memo.exhausted.push((launch.subnet.clone(), launch.instance_type.clone(), reason));
                Ok(Round::Again)
            }
            _ => Err(situation.unchanged(Error { kind: Kind::Release, ..error })),
        },
        applied => applied.map_err(|error| situation.unchanged(error)).map(|()| match then {
            Some(done) => Round::Ended(Outcome::Done(*done)),
            None => Round::Again,
        }),
    };
    *last = Some(step);
    again
}

#[cfg(test)]
mod tests;
