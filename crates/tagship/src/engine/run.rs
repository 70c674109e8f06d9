//! The loop: observe, decide, act, on every invocation, from nothing.

use crate::engine::admission::{Gate, Standing};
use crate::engine::after::after;
use crate::engine::memo::{Memo, UNWATCHED_SECS, Watched};
use crate::engine::planner::{Decision, Planner, Situation, View};
use crate::engine::port::{Applied, Look, Port};
use crate::settings::Settings;
use crate::{Done, Error, Held, Holding, Job, Kind, Parts, Step, World};
use jiff::{SignedDuration, Timestamp};
use std::ops::ControlFlow;

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

/// How long AWS may throttle without a break. With its default limits, 200 fleets of 50 instances wait 75 minutes for
/// their launches. If it takes longer than this, something is wrong that a person has to look at.
pub const THROTTLED_SECS: i64 = 3 * 3_600;

/// The longest pause between two rounds that AWS refused for being too many requests, in seconds.
const REST_MAX_SECS: i64 = 32;

/// How long an invocation looks for somebody else to be done before it hands the job back.
pub const YIELD_SECS: i64 = 5;

/// No change is made by an observation that began longer ago than this; longer than any takes by itself.
///
/// What serves is taken away by a younger one: `UNWATCHED_SECS`. Meanwhile it may have got weight, and lost it again.
pub const STALE_SECS: i64 = 120;

/// How old an observation may be, in seconds, for the next decision to use it. What the action itself has changed since
/// is carried over into it.
const CARRIED_SECS: i64 = 10;

/// How old the hold that was read last may be, in seconds, while the action only waits. Before a change it is always
/// read again.
const HELD_SECS: i64 = 5;

/// What the event of a failure tells beside its message: read for it if it wasn't.
const REPORTED: Parts =
    Parts::INSTANCES.and(Parts::ROUTING).and(Parts::ADDRESSES).and(Parts::NAMES).and(Parts::DEPLOYMENT);

/// Runs a job as far as this invocation can.
pub async fn run<P: Planner, T: Port>(port: &T, job: &Job, memo: &mut Memo<P::Memory>) -> Outcome {
    let started = port.now();
    let mut invocation = Invocation::<P, T> { port, job, memo, known: None, world: None, last: None };
    let mut throttled = 0;
    loop {
        let began = port.now();
        let (waiting, until) = match invocation.round().await {
            Ok(Round::Ended(outcome)) => return outcome,
            Ok(Round::Again) => {
                invocation.memo.refused_since = None;
                if port.has_time() {
                    continue;
                }
                ("the next step".to_owned(), None)
            }
            Ok(Round::Wait { why, until }) => {
                invocation.memo.refused_since = None;
                (why, until)
            }
            Ok(Round::Yield(why)) => {
                invocation.memo.refused_since = None;
                let patient = port.now().duration_since(started) < SignedDuration::from_secs(YIELD_SECS);
                if port.hands_back() && !patient {
                    return Outcome::Waiting(why);
                }
                (why, None)
            }
            Err(error) => match error.kind {
                kind if kind.passes() => {
                    let since = *invocation.memo.refused_since.get_or_insert(port.now());
                    if port.now().duration_since(since) > patience(kind, invocation.memo.throttled_secs) {
                        return Outcome::Failed(error);
                    }
                    throttled = if kind == Kind::Throttled { throttled + 1 } else { 0 };
                    let why = format!("AWS to accept the request: {}", error.message);
                    port.tell(job, &Decision::wait(why.clone()));
                    (why, None)
                }
                _ => return Outcome::Failed(error),
            },
        };
        if invocation.memo.refused_since.is_none() {
            throttled = 0;
        }
        if !port.has_time() {
            return Outcome::Waiting(waiting);
        }
        match until.filter(|until| *until > port.now()) {
            Some(until) => port.sleep_until(until).await,
            None => rest(port, began, throttled).await,
        }
        if throttled > 0 {
            let secs = port.now().duration_since(began).as_secs();
            let more = u32::try_from(secs).unwrap_or_default();
            invocation.memo.throttled_secs = invocation.memo.throttled_secs.saturating_add(more);
        }
    }
}

/// How long an error of this kind may go on without a break. The time for which AWS throttled is added: it isn't counted
/// against errors of the other kinds.
fn patience(kind: Kind, throttled_secs: u32) -> SignedDuration {
    let throttled = kind == Kind::Throttled;
    let secs = if throttled { THROTTLED_SECS } else { UNAVAILABLE_SECS + i64::from(throttled_secs) };
    SignedDuration::from_secs(secs)
}

/// Pauses before the next round: at least as long as the round took, and longer each time that AWS has `throttled` it. So
/// many services of one account leave each other room.
async fn rest<T: Port>(port: &T, began: Timestamp, throttled: u32) {
    let took = port.now().duration_since(began);
    let backoff = if throttled == 0 { 0 } else { (1 << throttled.min(5)).min(REST_MAX_SECS) };
    let until = port.now() + took.max(SignedDuration::from_secs(backoff));
    loop {
        port.pause().await;
        if port.now() >= until || !port.has_time() {
            return;
        }
    }
}

/// What one invocation knows while it lasts.
struct Invocation<'a, P: Planner, T> {
    port: &'a T,
    job: &'a Job,
    memo: &'a mut Memo<P::Memory>,
    /// What the bucket said when it was read last, or what the last change has made of that; and when.
    known: Option<(Holding, Timestamp)>,
    /// The world as the last change has left it.
    world: Option<World>,
    /// The last change that didn't succeed.
    last: Option<Step>,
}

/// What came of one round.
enum Round {
    Ended(Outcome),
    Again,
    Wait { why: String, until: Option<Timestamp> },
    Yield(String),
}

/// A change to make, and what it is decided by.
struct Change<M> {
    step: Step,
    then: Option<Box<Done>>,
    plan: M,
    world: World,
}

impl<P: Planner, T: Port> Invocation<'_, P, T> {
    async fn round(&mut self) -> Result<Round, Error> {
        let (port, job) = (self.port, self.job);
        let fresh = |since: &Timestamp| port.now().duration_since(*since) <= SignedDuration::from_secs(HELD_SECS);
        let (holding, read_at) = match self.known.take().filter(|(_, since)| fresh(since)) {
            Some(known) => known,
            None => {
                self.world = None;
                (port.holding(&job.role, &job.release, false).await?, port.now())
            }
        };
        let (decision, plan, world) = match self.decide(&holding).await? {
            Gate::Admit(decided) => decided,
            Gate::Nothing(why) => return Ok(Round::Ended(Outcome::Done(nothing(job, &holding, why)))),
            Gate::Refuse(why) => return Ok(Round::Ended(Outcome::Failed(refused(job, &holding, why)))),
        };
        port.tell(job, &decision);
        match decision {
            Decision::Look(parts) => Err(bug(format!("{} asks again for {parts:?}", job.action))),
            Decision::Do { step, then, .. } => self.change(holding, Change { step, then, plan, world }).await,
            Decision::Wait { why, until } => {
                self.keep(plan, &world, until);
                self.known = Some((holding, read_at));
                Ok(Round::Wait { why, until })
            }
            Decision::Yield(why) => {
                self.keep(plan, &world, None);
                Ok(Round::Yield(why))
            }
            Decision::Done(done) => Ok(Round::Ended(Outcome::Done(done))),
            Decision::Fail(error) => {
                let error = self.situation(&holding, &world).seen_by(error);
                Ok(Round::Ended(Outcome::Failed(error)))
            }
        }
    }

    /// What the planner remembers of a decision that stands, and that it has looked.
    fn keep(&mut self, plan: P::Memory, world: &World, wait_until: Option<Timestamp>) {
        // What a look took is no wait: what it found was so when it began.
        let planned = wait_until.map_or(SignedDuration::ZERO, |until| until.duration_since(world.since()));
        let until = world.now + planned.max(SignedDuration::ZERO);
        self.memo.watched = Some(Watched { since: Watched::since(self.memo.watched, world.since()), until });
        self.memo.plan = plan;
    }

    fn situation<'s>(&'s self, holding: &'s Holding, world: &'s World) -> Situation<'s> {
        let (began, throttled_secs) = (self.memo.began, self.memo.throttled_secs);
        let watched_since = Watched::since(self.memo.watched, world.since());
        let (view, direct) = (View::of(world), !self.port.hands_back());
        Situation { job: self.job, holding, world: view, began, throttled_secs, watched_since, direct }
    }

    /// What the planner says of this world, if the table of phases admits it.
    fn ask(&self, holding: &Holding, world: &World) -> Gate<(Decision, P::Memory)> {
        let entry = match P::admit(Standing::of(&self.job.release, holding)) {
            Gate::Admit(entry) => entry,
            Gate::Nothing(why) => return Gate::Nothing(why),
            Gate::Refuse(why) => return Gate::Refuse(why),
        };
        let mut plan = self.memo.plan.clone();
        match P::decide(&self.situation(holding, world), entry, &mut plan) {
            ControlFlow::Continue(done) => Gate::Admit((Decision::Done(done), plan)),
            ControlFlow::Break(decision) => Gate::Admit((decision, plan)),
        }
    }

    /// Asks the planner, and looks at what it asks to see, until it decides.
    async fn decide(&mut self, holding: &Holding) -> Result<Gate<(Decision, P::Memory, World)>, Error> {
        let now = self.port.now();
        let young = |world: &World| now.duration_since(world.now) <= SignedDuration::from_secs(CARRIED_SECS);
        let carried = self.world.take().filter(young);
        let mut world = carried.unwrap_or_else(|| World { now, ..World::default() });
        let mut reported = false;
        loop {
            let (decision, plan) = match self.ask(holding, &world) {
                Gate::Admit(said) => said,
                Gate::Nothing(why) => return Ok(Gate::Nothing(why)),
                Gate::Refuse(why) => return Ok(Gate::Refuse(why)),
            };
            let own = holding.held.as_ref().filter(|held| held.hold.release == self.job.release);
            let settings = own.map(|held| &held.hold.settings);
            let settings = settings.or(world.offer.as_ref().map(|offer| &offer.settings));
            let settings = settings.or(world.roster.as_ref().map(|it| &it.roster.settings));
            let missing = match &decision {
                Decision::Look(parts) => *parts,
                // A failure tells what it leaves behind, so that is read first.
                Decision::Fail(_) if !reported && settings.is_some() => {
                    reported = true;
                    unread(settings, P::READS).without(world.read)
                }
                _ => Parts::NONE,
            };
            if missing.is_empty() {
                return Ok(Gate::Admit((decision, plan, world)));
            }
            if !P::READS.has(missing) || !missing.without(world.read).has(missing) {
                return Err(bug(format!("{} can't read {missing:?}", self.job.action)));
            }
            let look = Look { job: self.job, holding, settings, parts: missing, began: world.now };
            match self.port.observe(&look).await {
                Ok(more) => world.add(missing, more),
                // The failure is told without what couldn't be read.
                Err(_) if matches!(decision, Decision::Fail(_)) => return Ok(Gate::Admit((decision, plan, world))),
                Err(error) => return Err(error),
            }
            world.seen = self.port.now();
        }
    }

    /// The world with what a failure tells of it, as far as AWS answers.
    async fn reported(&self, holding: &Holding, mut world: World) -> World {
        let own = holding.held.as_ref().filter(|held| held.hold.release == self.job.release);
        let settings = own.map(|held| &held.hold.settings);
        let parts = unread(settings, P::READS).without(world.read);
        if !parts.is_empty() {
            let look = Look { job: self.job, holding, settings, parts, began: world.now };
            if let Ok(more) = self.port.observe(&look).await {
                world.add(parts, more);
            }
        }
        world
    }

    /// Makes a change, if the right to it and the world that it was decided by still stand.
    async fn change(&mut self, holding: Holding, change: Change<P::Memory>) -> Result<Round, Error> {
        let (port, job) = (self.port, self.job);
        let Change { step, then, plan, world } = change;
        if !P::CHANGES.has(step.change()) {
            return Err(bug(format!("{} can't {step}", job.action)));
        }
        if self.last.as_ref() == Some(&step) {
            // The describe doesn't know yet. Repeating is safe; a pause gives it time.
            port.pause().await;
        }
        // The process may have stood still for a while: then what it has seen is too old to decide by.
        let oldest = match step.change() {
            crate::Change::Deregister | crate::Change::Terminate | crate::Change::Retire => UNWATCHED_SECS,
            _ => STALE_SECS,
        };
        if port.now().duration_since(world.now) > SignedDuration::from_secs(oldest) {
            return Ok(Round::Again);
        }
        // The right to change is read again just before the change. Writes of the hold itself are guarded by their ETag.
        if !matches!(step, Step::WriteHold { .. } | Step::DeleteHold { .. }) {
            let again = port.holding(&job.role, &job.release, true).await?;
            if again != holding {
                self.known = Some((again, port.now()));
                return Ok(Round::Again);
            }
        }
        let own = holding.held.as_ref().filter(|held| held.hold.release == job.release);
        let settings = own.map(|held| &held.hold.settings);
        let look = Look { job, holding: &holding, settings, parts: Parts::NONE, began: world.now };
        let applied = match port.apply(&look, &step).await {
            Ok(applied) => applied,
            Err(error) => {
                let learned = P::learn(&step, &error, &self.memo.plan);
                self.last = Some(step);
                let Some(learned) = learned else {
                    let kind = if error.kind == Kind::Capacity { Kind::Release } else { error.kind };
                    let world = if kind.passes() { world } else { self.reported(&holding, world).await };
                    return Err(self.situation(&holding, &world).unchanged(Error { kind, ..error }));
                };
                self.memo.plan = learned;
                return Ok(Round::Again);
            }
        };
        self.keep(plan, &world, None);
        if let Some(done) = then {
            return Ok(Round::Ended(Outcome::Done(*done)));
        }
        // What may have to be repeated because a describe lags is remembered; what is known by its answer isn't.
        let mut world = after(world, &step, &applied);
        if let Some(world) = &mut world {
            world.seen = port.now();
        }
        self.last = if world.is_some() { None } else { Some(step.clone()) };
        self.known = written(holding, step, applied).map(|holding| (holding, port.now()));
        self.world = world;
        Ok(Round::Again)
    }
}

/// What of a failure's report could still be read.
fn unread(settings: Option<&Settings>, reads: Parts) -> Parts {
    let Some(settings) = settings else { return Parts::NONE };
    let pair = settings.target_group != crate::settings::TargetGroup::None;
    let all = REPORTED.without(Parts::ROUTING.when(!pair)).without(Parts::NAMES.when(settings.zone.is_none()));
    all.without(Parts::ALL.without(reads))
}

/// What the bucket says after a change; none if it has to be read.
fn written(holding: Holding, step: Step, applied: Applied) -> Option<Holding> {
    match step {
        Step::WriteHold { hold, .. } => {
            let freed = holding.ended.is_some();
            let held = Some(Held { hold: *hold, etag: applied.etag?, freed });
            Some(Holding { held, ..holding })
        }
        Step::WriteEnded(ended) => {
            let held = holding.held.map(|held| Held { freed: true, ..held });
            Some(Holding { held, ended: Some(ended) })
        }
        Step::DeleteHold { .. } => None,
        _ => Some(holding),
    }
}

fn bug(message: String) -> Error {
    Error::new(Kind::Bug, format!("tagship: {message}"))
}

fn nothing(job: &Job, holding: &Holding, why: &str) -> Done {
    let message = match &holding.ended {
        Some(ended) => format!("{why}: {} at {}", ended.how.as_str(), ended.at),
        None => why.to_owned(),
    };
    let outputs = job.action.variables().iter().map(|name| (*name, "none".to_owned())).collect();
    Done { nothing: true, message, outputs, ..Done::default() }
}

fn refused(job: &Job, holding: &Holding, why: &str) -> Error {
    let holder = match &holding.held {
        Some(held) if held.hold.release != job.release => format!(" (held by release {})", held.hold.release),
        _ => String::new(),
    };
    Error::release(format!("{} {} of {}: {why}{holder}", job.action, job.release, job.role))
}

#[cfg(test)]
mod tests;
