//! One invocation: event → job → loop → notice → report.

use crate::{Aws, Cloud, codepipeline, events, holds, metrics};
use jiff::Timestamp;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tagship::metrics::Line;
use tagship::notify::{self, Notice};
use tagship::{
    Action, Caller, Done, Ending, Error, Function, Hold, Invocation, Job, Kind, Memo, Occasion, Outcome, Planner,
    ReleaseId, Request, ServiceRole, StageName, Visit, cleanup, route,
};
use tracing::{Instrument, error, info, info_span, warn};

/// Before the deadline, the loop hands back: time for a round that has begun, the notice and the report.
const RESERVE: Duration = Duration::from_secs(30);
/// Where the deadline isn't known (cargo-lambda's emulator says 1970).
const BUDGET: Duration = Duration::from_secs(300);

/// One invocation.
struct Turn<'a> {
    cloud: &'a Cloud,
    until: Instant,
    hands_back: bool,
    /// The service's own topic, once its settings have been seen.
    topic: Mutex<Option<events::Topic>>,
}

/// How an action has gone in one invocation.
struct Went {
    outcome: Outcome,
    /// When the action began, in this invocation or one before.
    began: Timestamp,
    /// How the next invocation goes on.
    token: String,
}

/// Runs the planner of an action as far as this invocation can.
struct Run<'t, 'a> {
    turn: &'t Turn<'a>,
    job: &'t Job,
    continuation: Option<&'t str>,
}

impl<'t> Visit for Run<'t, '_> {
    type Out = Pin<Box<dyn Future<Output = Went> + 't>>;

    fn visit<P: Planner>(self) -> Self::Out {
        Box::pin(async move {
            let now = Timestamp::now();
            let mut memo = self.continuation.and_then(Memo::from_token).unwrap_or_else(|| Memo::new(now));
            let outcome = self.turn.run::<P>(self.job, &mut memo).await;
            Went { outcome, began: memo.began, token: memo.to_token() }
        })
    }
}

impl Turn<'_> {
    async fn run<P: Planner>(&self, job: &Job, memo: &mut Memo<P::Memory>) -> Outcome {
        let aws = Aws::<P>::new(self.cloud, self.until, self.hands_back);
        let outcome = tagship::run::<P, _>(&aws, job, memo).await;
        *self.topic.lock().unwrap_or_else(PoisonError::into_inner) = aws.topic();
        outcome
    }

    /// Looks after every hold, and counts the live fleet of every service that nobody holds.
    async fn sweep(&self) -> Outcome {
        let holds = match holds::list(self.cloud).await {
            Ok(holds) => holds,
            Err(error) => return Outcome::Failed(error),
        };
        metrics::write(&Line::oldest_hold(&holds, Timestamp::now()));
        let rosters = match holds::rosters(self.cloud).await {
            Ok(rosters) => rosters,
            Err(error) => return Outcome::Failed(error),
        };
        metrics::write(&Line::degraded_fleets(&rosters));
        let held: BTreeSet<ServiceRole> = holds.iter().map(|(role, _)| role.clone()).collect();
        let free = rosters.into_iter().filter(|(role, _)| !held.contains(role));
        let fleets = free.map(|(role, roster)| (role, roster.release, roster.pipeline));
        // Abandoned releases are told of one by one, by the step itself.
        let of_hold = |(role, hold): (ServiceRole, Hold)| (role, hold.release, hold.pipeline);
        let each = holds.into_iter().map(of_hold).chain(fleets).collect();
        self.each::<cleanup::Sweep>(each, "no hold was left behind, and the live fleets are as they were").await
    }

    /// Listens for every release that is concerned.
    async fn guard(&self, occasion: &Occasion) -> Outcome {
        let holds = match holds::list(self.cloud).await {
            Ok(holds) => holds,
            Err(error) => return Outcome::Failed(error),
        };
        let now = Timestamp::now();
        let holds = holds.into_iter().filter(|(_, hold)| route::concerned(hold, occasion, now));
        let each = holds.map(|(role, hold)| (role, hold.release, hold.pipeline)).collect();
        self.each::<route::Guard>(each, "it concerns no release that has traffic").await
    }

    /// Runs an action for these releases, one after another; what failed is told at the end.
    async fn each<P: Planner>(&self, releases: Vec<(ServiceRole, ReleaseId, String)>, idle: &str) -> Outcome {
        let (mut done, mut failed) = (Vec::new(), Vec::new());
        for (role, release, pipeline) in releases {
            let job = Job { role, release, pipeline, action: P::ACTION, input: None };
            let span = info_span!("hold", service = %job.role, release = %job.release);
            let mut memo = Memo::new(Timestamp::now());
            let outcome = self.run::<P>(&job, &mut memo).instrument(span).await;
            let acted = !matches!(outcome, Outcome::Done(Done { nothing: true, .. }));
            // Of a sweep, only what it has counted: what was abandoned is told already.
            let counted = matches!(&outcome, Outcome::Done(done) if done.report.ending == Ending::Degraded);
            if acted
                && (P::ACTION == Action::Guard || counted)
                && let Some(notice) = Notice::of(&job, &outcome, memo.began, Timestamp::now())
            {
                self.tell(&notice).await;
                metrics::write(&Line::ended(&notice));
            }
            match outcome {
                Outcome::Done(Done { nothing: true, .. }) => {}
                Outcome::Done(Done { message, .. }) => done.push(message),
                Outcome::Waiting(why) => failed.push(Error::new(Kind::Unavailable, format!("{}: {why}", job.role))),
                Outcome::Failed(error) => failed.push(error),
            }
        }
        match failed.pop() {
            None if done.is_empty() => {
                Outcome::Done(Done { nothing: true, message: idle.to_owned(), ..Done::default() })
            }
            None => Outcome::Done(Done { message: done.join("; "), ..Done::default() }),
            Some(last) => {
                let messages: Vec<String> = failed.iter().chain([&last]).map(ToString::to_string).collect();
                Outcome::Failed(Error { message: messages.join("; "), ..last })
            }
        }
    }

    /// A notice that can't be sent never fails a stage.
    async fn tell(&self, notice: &Notice) {
        if let Err(error) = events::put(self.cloud, notice).await {
            warn!(%error, "the event was not sent");
        }
        let topic = self.topic.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(topic) = topic
            && let Err(error) = events::publish(self.cloud, &topic, notice).await
        {
            warn!(%error, "the service's topic was not told");
        }
    }
}

/// Why a function can't serve.
pub type ServeError = lambda_runtime::Error;

/// Serves a function's invocations until Lambda ends the process.
///
/// # Errors
///
/// If the Runtime API can't be reached.
pub fn serve<F: Function>() -> Result<(), ServeError> {
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_span_list(false)
        .with_target(false)
        .with_max_level(tracing::Level::INFO)
        .init();
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let cloud = Cloud::from_env().await;
        let cloud = &cloud;
        lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
            let (event, context) = event.into_parts();
            let until = Instant::now() + budget(context.deadline(), SystemTime::now());
            let invocation = Invocation::parse(F::STAGE, event).map_err(|error| diagnostic(&error))?;
            // Every line of the log says whose it is: a person finds a release's lines by its id.
            let (service, release) = subject(&invocation);
            let span = info_span!("invocation", service, release, request = context.request_id);
            handle::<F>(cloud, until, invocation).instrument(span).await
        }))
        .await
    })
}

/// How long the loop may work.
fn budget(deadline: SystemTime, now: SystemTime) -> Duration {
    deadline.duration_since(now).map_or(BUDGET, |left| left.saturating_sub(RESERVE))
}

/// The service and the release that an invocation is about, as far as its parameters say.
fn subject(invocation: &Invocation) -> (&str, &str) {
    match &invocation.request {
        Ok(Request::Release(job)) => (job.role.as_str(), job.release.as_str()),
        Ok(Request::Died(died)) => died.job.as_ref().map_or(("", ""), |job| (job.role.as_str(), job.release.as_str())),
        Ok(Request::Sweep | Request::Guard(_)) => ("", ""),
        Err(refused) => (
            refused.role.as_ref().map_or("", |role| role.as_str()),
            refused.release.as_ref().map_or("", |release| release.as_str()),
        ),
    }
}

async fn handle<F: Function>(cloud: &Cloud, until: Instant, invocation: Invocation) -> Result<Value, Diagnostic> {
    let hands_back = matches!(invocation.caller, Caller::Pipeline { .. });
    let turn = Turn { cloud, until, hands_back, topic: Mutex::default() };
    let continuation = match &invocation.caller {
        Caller::Pipeline { continuation, .. } => continuation.as_deref(),
        Caller::Direct => None,
    };
    let mut token = String::new();
    let (outcome, notice) = match &invocation.request {
        Err(refused) => (Outcome::Failed(refused.error.clone()), Some(Notice::refused(F::STAGE, refused))),
        Ok(_) if cloud.bucket.is_empty() => {
            let message = "TAGSHIP_BUCKET is not set: it names tagship's own bucket (infra/ sets it)";
            (Outcome::Failed(Error::configuration(message)), None)
        }
        Ok(Request::Sweep) if const { matches!(F::STAGE, StageName::Cleanup) } => (turn.sweep().await, None),
        Ok(Request::Sweep) => (Outcome::Failed(foreign(F::STAGE, Action::Sweep)), None),
        Ok(Request::Guard(occasion)) if const { matches!(F::STAGE, StageName::Route) } => {
            (turn.guard(occasion).await, None)
        }
        Ok(Request::Guard(_)) => (Outcome::Failed(foreign(F::STAGE, Action::Guard)), None),
        Ok(Request::Died(died)) => {
            let (outcome, now) = (Outcome::Failed(died.error.clone()), Timestamp::now());
            let notice = died.job.as_ref().and_then(|job| Notice::of(job, &outcome, now, now));
            (outcome, notice)
        }
        Ok(Request::Release(job)) => match F::visit(job.action, Run { turn: &turn, job, continuation }) {
            None => (Outcome::Failed(foreign(F::STAGE, job.action)), None),
            Some(run) => {
                let went = run.await;
                token = went.token;
                let notice = match &went.outcome {
                    // A job's end is always told: the invocation that did the work may have died before it could.
                    Outcome::Done(Done { nothing: true, .. }) if !hands_back => None,
                    outcome => Notice::of(job, outcome, went.began, Timestamp::now()),
                };
                (went.outcome, notice)
            }
        },
    };
    if let Some(notice) = &notice {
        turn.tell(notice).await;
    }
    match &outcome {
        Outcome::Done(done) => info!(nothing = done.nothing, why = done.message, "ended: done"),
        Outcome::Waiting(why) => info!(why, "ended: waiting"),
        Outcome::Failed(error) => error!(kind = ?error.kind, why = error.message, "ended: failed"),
    }
    let answer = match &invocation.caller {
        Caller::Pipeline { job_id, .. } => report(cloud, job_id, &outcome, token).await,
        // People have been told.
        Caller::Direct if matches!((&invocation.request, &notice), (Ok(Request::Died(_)), Some(_))) => {
            Ok(json!({ "outcome": "told" }))
        }
        Caller::Direct => answer(&outcome),
    };
    let nothing = matches!(outcome, Outcome::Done(Done { nothing: true, .. }));
    let line = match (&invocation.request, &notice) {
        (Ok(request), None) => Line::unended(request, &outcome),
        (Ok(request), Some(_)) if nothing => Line::unended(request, &outcome),
        (_, Some(notice)) => Line::ended(notice),
        (Err(refused), None) => Line::ended(&Notice::refused(F::STAGE, refused)),
    };
    // Last, so that all calls are in it, the report among them.
    metrics::write(&line.with_calls(cloud.tally.take()));
    answer
}

/// A job is always reported. Only if that fails it is Lambda's error too, so that Lambda repeats it.
async fn report(cloud: &Cloud, job_id: &str, outcome: &Outcome, token: String) -> Result<Value, Diagnostic> {
    let (word, verdict) = match outcome {
        Outcome::Done(done) => ("done", codepipeline::Verdict::Done(done)),
        Outcome::Waiting(why) => ("waiting", codepipeline::Verdict::Waiting(why, token)),
        Outcome::Failed(error) => ("failed", codepipeline::Verdict::Failed(error)),
    };
    match codepipeline::report(cloud, job_id, verdict).await {
        Ok(()) => {}
        Err(error) if error.code.as_deref() == Some("InvalidJobStateException") => {
            info!(job_id, "the job was reported before");
        }
        Err(error) => {
            error!(job_id, %error, "the job could not be reported");
            return Err(diagnostic(&error));
        }
    }
    Ok(json!({ "outcome": word }))
}

/// To whom no job is reported, unfinished work is an error: asynchronous retries go on with it.
fn answer(outcome: &Outcome) -> Result<Value, Diagnostic> {
    match outcome {
        Outcome::Done(done) => Ok(notify::answer(done)),
        Outcome::Failed(error) => Err(diagnostic(error)),
        Outcome::Waiting(why) => {
            let error_message = format!("not finished in the time that the function has; waiting for {why}");
            Err(Diagnostic { error_type: "Unfinished".to_owned(), error_message })
        }
    }
}

/// Parsing lets no action of another function through.
fn foreign(stage: StageName, action: Action) -> Error {
    Error::new(Kind::Bug, format!("tagship: {action} isn't an action of {stage}"))
}

fn diagnostic(error: &Error) -> Diagnostic {
    Diagnostic { error_type: error.kind.failure_type().to_owned(), error_message: error.message.clone() }
}
