//! The loop: observe, decide, act, on every invocation, from nothing.

use crate::settings::Settings;
use crate::{Action, Artifact, Error, Holding, Kind, ReleaseId, ServiceRole, Step, Verdict, World, admit};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::ops::ControlFlow;

/// What is to be done, for whom.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// The service.
    pub role: ServiceRole,
    /// The release.
    pub release: ReleaseId,
    /// Its pipeline.
    pub pipeline: String,
    /// What.
    pub action: Action,
    /// The action's input artifact, where there is one.
    pub input: Option<Artifact>,
}

/// What a stage reads. A part that isn't read is empty in its [`World`], and its calls aren't linked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reads {
    /// The settings variable, with its selectors resolved.
    pub settings: bool,
    /// The holder's execution, if the holder is another release.
    pub holder: bool,
    /// Instances.
    pub instances: bool,
    /// Groups, switches, targets' health.
    pub routing: bool,
    /// Addresses.
    pub addresses: bool,
    /// Names.
    pub names: bool,
    /// Deployment group and deployments.
    pub install: bool,
    /// The artifact: whether it exists, which version.
    pub artifact: bool,
}

impl Reads {
    /// Only the bucket.
    pub const NOTHING: Self = Self {
        settings: false,
        holder: false,
        instances: false,
        routing: false,
        addresses: false,
        names: false,
        install: false,
        artifact: false,
    };
}

/// One action's planner: pure, without clock, environment, SDK or async.
pub trait Stage {
    /// What it needs to see.
    const READS: Reads;

    /// The next step, or why there is none now.
    fn decide(now: &Situation<'_>, memo: &mut Memo) -> Decision;
}

/// All that a planner may judge by.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// What is asked for.
    pub job: &'a Job,
    /// The bucket's word.
    pub holding: &'a Holding,
    /// The table of phases' word on the two: [`Verdict::Refuse`] and [`Verdict::Nothing`] never reach a planner.
    pub verdict: Verdict,
    /// The world.
    pub world: &'a World,
}

impl<'a> Situation<'a> {
    /// The release's own hold, as read; none if it doesn't hold.
    pub fn held(&self) -> Option<&'a crate::Held> {
        self.holding.held.as_ref().filter(|held| held.hold.release == self.job.release)
    }

    /// A failure that says what of the release is left behind, who removes it, and what to do next.
    pub(crate) fn give_up(&self, kind: Kind, message: impl std::fmt::Display) -> Decision {
        let release = &self.job.release;
        let instances: Vec<&str> = self
            .world
            .fleet(release)
            .filter(|instance| !instance.gone())
            .map(|instance| instance.id.as_str())
            .collect();
        let own = self.world.addresses.iter().filter(|address| address.release.as_ref() == Some(release));
        let addresses: Vec<&str> = own.map(|address| address.public_ip.as_str()).collect();
        let deployment = self.world.install.as_ref().and_then(|install| install.deployment.as_ref());
        let mut left = Vec::new();
        if !instances.is_empty() {
            left.push(format!("{} instances ({})", instances.len(), crate::listed(instances)));
        }
        if !addresses.is_empty() {
            left.push(format!("{} addresses ({})", addresses.len(), crate::listed(addresses)));
        }
        if let Some(running) = deployment.filter(|deployment| deployment.state == crate::DeploymentState::Running) {
            left.push(format!("deployment {}, still running", running.id));
        }
        left.push("the hold".to_owned());
        let message = message.to_string();
        // After a list of problems, a paragraph of its own.
        let gap = if message.contains('\n') { "\n" } else { ". " };
        let message = message.trim_end_matches(['.', '\n']);
        let words = format!(
            "{message}{gap}Left behind of release {release}: {}; the end of the pipeline execution has them discarded. \
             Then start a new execution",
            left.join(", ")
        );
        Decision::Fail(Error::new(kind, words).leaving(left))
    }

    /// The step that changes the release's own hold.
    pub fn rewrite(held: &crate::Held, change: impl FnOnce(&mut crate::Hold)) -> Step {
        let mut hold = held.hold.clone();
        change(&mut hold);
        Step::WriteHold { hold: Box::new(hold), etag: Some(held.etag.clone()) }
    }
}

/// What a planner decides.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Make this one change, then look again.
    Do {
        /// The change.
        step: Step,
        /// For logs and stories.
        why: &'static str,
        /// Set on the last change of all: what it ends with.
        then: Option<Box<Done>>,
    },
    /// Nothing to change yet, and what is waited for.
    Wait(String),
    /// Nothing to do before somebody else is done: CodePipeline's console is told so soon.
    Yield(String),
    /// The end.
    Done(Done),
    /// Can't go on.
    Fail(Error),
}

/// What there is to go on with, or a break: the decision that comes first.
pub(crate) type First<T> = ControlFlow<Decision, T>;

impl Decision {
    /// A mistake in tagship itself comes first.
    pub(crate) fn bug<T>(message: impl std::fmt::Display) -> First<T> {
        ControlFlow::Break(Self::Fail(Error::new(Kind::Bug, format!("tagship: {message}"))))
    }

    /// Make this change.
    pub fn act(step: Step, why: &'static str) -> Self {
        Self::Do { step, why, then: None }
    }

    /// Delete the hold, and that was all.
    pub fn last(held: &crate::Held, done: Done) -> Self {
        let step = Step::DeleteHold { etag: held.etag.clone() };
        Self::Do { step, why: "the release has ended: the service is free", then: Some(Box::new(done)) }
    }
}

/// A job's success.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Done {
    /// Whether there was nothing (left) to do.
    pub nothing: bool,
    /// What was done, for people.
    pub message: String,
    /// Output variables: name, value.
    pub outputs: Vec<(&'static str, String)>,
    /// For the event.
    pub report: Report,
}

/// What a stage's event tells beyond its message (DESIGN: events and notifications).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// How it ended, where that isn't plain success.
    #[serde(skip)]
    pub ending: Ending,
    /// Instance ids.
    pub instances: Vec<String>,
    /// Names in the zone.
    pub names: Vec<String>,
    /// Switch label → `group=weight, …`.
    pub weights: std::collections::BTreeMap<String, String>,
    /// What is left behind, a sentence each.
    pub left_behind: Vec<String>,
}

/// Which event a success becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ending {
    /// `Stage Succeeded`
    #[default]
    Succeeded,
    /// `Release Rolled Back`
    RolledBack,
    /// `Release Kept`
    Kept,
}

/// What can't be observed again: carried from round to round, and in CodePipeline's continuation token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memo {
    /// The token's version.
    v: u8,
    /// When the action began.
    pub began: Timestamp,
    /// Capacity found exhausted: subnet, type, AWS's reason.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub exhausted: Vec<(String, String, String)>,
    /// Since when a state that the stage waits on has lasted (what that is, is the stage's to say).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub since: Option<Timestamp>,
    /// Since when the release has been seen without weight, without a break.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub weightless: Option<Timestamp>,
    /// Rounds in a row with too few healthy targets, or another fleet than `COUNT`.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub dips: u8,
    /// Why shift gave the traffic back: once it has, the targets no longer tell.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub watched: Option<String>,
    /// Since when AWS has been unavailable or has refused for a conflict, without a break.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unavailable: Option<Timestamp>,
    /// Seconds in all for which AWS has refused this action's requests for being too many.
    #[serde(skip_serializing_if = "is_none", default)]
    pub throttled_secs: u32,
    /// When the holder was last said to be abandoned.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub abandoned: Option<Timestamp>,
}

fn is_zero(n: &u8) -> bool {
    *n == 0
}

fn is_none(secs: &u32) -> bool {
    *secs == 0
}

impl Memo {
    /// The longest continuation token that CodePipeline takes, in characters.
    pub const MAX_TOKEN: usize = 2_048;

    /// Nothing known yet.
    pub fn new(now: Timestamp) -> Self {
        Self {
            v: 1,
            began: now,
            exhausted: Vec::new(),
            since: None,
            weightless: None,
            dips: 0,
            watched: None,
            unavailable: None,
            throttled_secs: 0,
            abandoned: None,
        }
    }

    /// From a continuation token; one of another version, or one that can't be read, is as none.
    pub fn from_token(token: &str) -> Option<Self> {
        serde_json::from_str(token).ok().filter(|memo: &Self| memo.v == 1)
    }

    /// As a continuation token. What doesn't fit is forgotten, oldest first: it will be found out again.
    pub fn to_token(&self) -> String {
        let mut memo = self.clone();
        loop {
            let token = serde_json::to_string(&memo).unwrap_or_default();
            if token.len() <= Self::MAX_TOKEN || memo.exhausted.is_empty() {
                return token;
            }
            memo.exhausted.remove(0);
        }
    }
}

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
                Kind::Conflict | Kind::Unavailable => {
                    let since = *memo.unavailable.get_or_insert(port.now());
                    let patience = if error.throttled() { THROTTLED_SECS } else { UNAVAILABLE_SECS };
                    if port.now().duration_since(since) > SignedDuration::from_secs(patience) {
                        return Outcome::Failed(error);
                    }
                    refused = if error.throttled() { refused + 1 } else { 0 };
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
    let decision = S::decide(&Situation { job, holding: &holding, verdict, world: &world }, memo);
    port.tell(job, &decision);
    let (step, then) = match decision {
        Decision::Do { step, then, .. } => (step, then),
        Decision::Wait(why) => return Ok(Round::Wait(why)),
        Decision::Yield(why) => return Ok(Round::Yield(why)),
        Decision::Done(done) => return Ok(Round::Ended(Outcome::Done(done))),
        Decision::Fail(error) => return Ok(Round::Ended(Outcome::Failed(error))),
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
            _ => Err(Error { kind: Kind::Release, ..error }),
        },
        applied => applied.map(|()| match then {
            Some(done) => Round::Ended(Outcome::Done(*done)),
            None => Round::Again,
        }),
    };
    *last = Some(step);
    again
}
