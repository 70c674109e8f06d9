//! Invocations and their calls: when each arrives, what goes wrong with it, what it is answered.

use super::queue::Event;
use super::{CHANGES_MAX, Day, who};
use crate::checks::Act;
use crate::invocation::{Asked, Call, Delivery, Invocation, Went};
use crate::mistake::Mistake;
use crate::past::{MINUTE, Ms, SECOND, timestamp};
use crate::pipes::{changed, stands};
use crate::plan::{Fault, REFUSED};
use crate::port::{Answer, Ask};
use tagship::{
    Action, CallId, Called, Decision, Error, Execution, ExecutionState, HookAnswer, HookCall, Job, Kind, Outcome,
    Parts, ReleaseId, STALE_SECS, StageName, Step, World, execution_of,
};
use tagship_emulator::report::{Failure, Success};

/// The oldest observation that a change may be decided by: [`STALE_SECS`], 4 s to read the hold, 10 s for the call.
const STALE: Ms = (STALE_SECS + 14) * SECOND;

/// Before Lambda's deadline the loop hands back, as the adapter's handler has it do.
const RESERVE: Ms = 30 * SECOND;

impl Day {
    pub(super) fn begin(&mut self, delivery: Delivery) {
        self.deliveries -= 1;
        self.born += 1;
        let by = self.born;
        let now = self.cloud.now;
        let until = now + self.plan.timeout - RESERVE;
        self.began.entry((delivery.job.role.clone(), delivery.job.release.clone())).or_insert(now);
        self.tell(|| who(&delivery.job), || format!("begins (invocation {by}, attempt {})", delivery.attempt));
        self.foresee(&delivery);
        self.invocations.insert(by, Invocation::begin(delivery, now, until, self.plan.mistake));
        self.after(self.plan.timeout, Event::Timeout(by));
        self.go(by, None);
    }

    /// Plans a release that begins, if that was asked for.
    fn foresee(&mut self, delivery: &Delivery) {
        let begins = delivery.job.action == Action::Provision && delivery.token.is_none();
        let Some(mut foresight) = self.foresight.take() else { return };
        if let Some((pipe, _)) = delivery.answers.as_ref().filter(|_| begins) {
            foresight.plan(&mut self.cloud, &delivery.job, &self.pipes[*pipe].blueprint);
        }
        self.foresight = Some(foresight);
    }

    pub(super) fn go(&mut self, by: u32, answer: Option<Answer>) {
        let now = self.cloud.now;
        let Some(invocation) = self.invocations.get_mut(&by) else { return };
        let went = invocation.go(now, answer);
        let told = std::mem::take(&mut invocation.line.mailbox().told);
        let job = invocation.delivery.job.clone();
        for decision in told {
            self.tell(|| who(&job), || decided(&decision));
        }
        match went {
            Went::On(Ask::Pause) => {
                let mut delay = self.between(SECOND, 2 * SECOND);
                if self.chance(|odds| odds.freeze) {
                    delay = self.freeze(by, None);
                }
                if job.action == Action::Discard {
                    delay += self.unwatched(by, &job, delay);
                }
                self.after(delay, Event::Wake(by));
            }
            Went::On(Ask::Sleep(until)) => {
                // No invocation sleeps longer than its time lasts.
                let last = self.invocations.get(&by).map_or(now, |it| it.until);
                let mut delay = (until.min(last) - now).max(0);
                if self.chance(|odds| odds.freeze) {
                    delay += self.freeze(by, None);
                }
                self.after(delay, Event::Wake(by));
            }
            Went::On(ask) => self.call(by, job, Asked::Port(ask)),
            Went::Over(end) => self.ended(by, job, end.0, end.1),
        }
    }

    pub(super) fn ended(&mut self, by: u32, job: Job, outcome: Outcome, token: String) {
        self.tell(
            || who(&job),
            || match &outcome {
                Outcome::Done(done) => format!("DONE: {}", done.message),
                Outcome::Failed(error) => format!("FAILED ({:?}): {}", error.kind, error.message),
                Outcome::Waiting(why) => format!("hands back: waits for {why}"),
            },
        );
        if let Outcome::Failed(Error { kind: Kind::Bug, message, .. }) = &outcome {
            self.checks.other(self.cloud.now, &job.role, message.clone());
        }
        let direct = self.invocations.get(&by).is_some_and(|it| it.delivery.answers.is_none());
        if !direct {
            return self.call(by, job, Asked::Report(Box::new(outcome), token));
        }
        let invocation = self.invocations.remove(&by);
        if !matches!(outcome, Outcome::Done(_))
            && let Some(invocation) = invocation
        {
            self.retry(invocation.delivery, "failed");
        }
    }

    /// A call sets out.
    pub(super) fn call(&mut self, by: u32, job: Job, asked: Asked) {
        let number = self.calls_made;
        self.calls_made += 1;
        if asked.changes() {
            self.changing.push(number);
        }
        let action = job.action;
        self.callers.push(action);
        self.race(&job, &asked);
        self.coverage.pass(action, &asked);
        let fault = self.plan.injected.get(&number).copied().or_else(|| self.misfortune(&asked));
        if let Some(fault) = fault {
            *self.faults.entry(fault.name()).or_default() += 1;
            self.tell(
                || "fault".into(),
                || format!("{} (call {number} of invocation {by}): {}", fault.name(), asked_for(&asked)),
            );
        }
        if let Some(fault) = fault {
            self.coverage.hit(action, &asked, fault);
        }
        if fault == Some(Fault::Crash) {
            return self.die(by, "crashed");
        }
        if fault == Some(Fault::Refuse(Kind::Capacity)) {
            self.checks.short.insert(job.release.clone());
        }
        let looked = self.invocations.get(&by).map_or(self.cloud.now, |it| it.looked);
        let careless = self.plan.mistake == Some(Mistake::WeightsNotCompared);
        let refused = match &asked {
            Asked::Port(Ask::Apply(step)) if !careless => self.cloud.refuses(step),
            _ => None,
        };
        let answer = match (fault, refused) {
            (Some(Fault::Refuse(kind)), _) => Some(refusal(kind, &asked)),
            (_, Some(error)) => Some(Answer::Applied(Err(error))),
            _ => None,
        };
        let answers = &self.cloud.nature.answers;
        let (bound, (low, high)) = match &asked {
            Asked::Port(Ask::Holding { bound: true, .. }) => (4 * SECOND, answers.hold),
            Asked::Port(Ask::Holding { .. }) => (10 * SECOND, answers.hold),
            Asked::Port(Ask::Observe { .. } | Ask::Pause | Ask::Sleep(_)) => (10 * SECOND, answers.look),
            Asked::Port(Ask::Apply(_)) | Asked::Report(..) => (10 * SECOND, answers.change),
        };
        let slow = self.chance(|odds| odds.slow);
        let mut there = if slow { self.between(0, bound) } else { self.between(low, high) };
        if let Some(Fault::Late(delay)) = fault {
            there = delay.min(bound);
            self.die(by, "crashed while a call was under way");
        }
        let begins = matches!(asked, Asked::Port(Ask::Observe { begins: true, .. }));
        let looked = if begins { self.cloud.now } else { looked };
        if let Some(invocation) = self.invocations.get_mut(&by) {
            invocation.looked = looked;
        }
        let chains = self.chains(by, &job, &asked).into_iter().map(|mut chain| {
            chain.reverse();
            (chain, 0)
        });
        let chains = chains.collect();
        let sent = self.cloud.now;
        self.calls.insert(number, Call { number, by, job, asked, fault, looked, sent, answer, chains, there });
        self.set_out(number);
    }

    /// A call arrives.
    pub(super) fn effect(&mut self, number: u64) {
        let Some(mut call) = self.calls.remove(&number) else { return };
        if let (Asked::Report(..), Some(Fault::Refuse(_))) = (&call.asked, call.fault) {
            // An invocation that can't report is a Lambda error.
            return self.die(call.by, "could not report");
        }
        if call.answer.is_none() {
            call.answer = self.answer(&call);
        }
        let back = match call.fault {
            Some(Fault::CrashAfter) => return self.die(call.by, "crashed right after a call"),
            Some(Fault::Late(_)) => return,
            Some(Fault::Lost) if matches!(call.asked, Asked::Report(..)) => {
                return self.die(call.by, "could not report");
            }
            Some(Fault::Lost) => {
                call.answer = Some(refusal(Kind::Unavailable, &call.asked));
                self.between(SECOND, 5 * SECOND)
            }
            Some(Fault::Freeze(length)) => self.freeze(call.by, Some(length)),
            _ => {
                let (low, high) = self.cloud.nature.answers.back;
                self.between(low, high)
            }
        };
        self.calls.insert(number, call);
        self.after(back, Event::Reply(number));
    }

    /// CodePipeline doesn't know an execution for a moment, once: what it doesn't know for longer was deleted.
    fn forgets(&mut self, release: ReleaseId) -> bool {
        let now = self.cloud.now;
        now - *self.forgotten.entry(release).or_insert(now) <= MINUTE
    }

    pub(super) fn answer(&mut self, call: &Call) -> Option<Answer> {
        let job = &call.job;
        match &call.asked {
            Asked::Port(Ask::Pause | Ask::Sleep(_)) => None,
            Asked::Port(Ask::Holding { role, release, .. }) => {
                Some(Answer::Holding(Box::new(Ok(self.cloud.holding(role, release)))))
            }
            Asked::Port(Ask::Observe { parts, holding, settings, .. }) => {
                let asks = execution_of(job, holding).map(|(_, release)| release.clone());
                let blind = self.chance(|odds| odds.unknown) && asks.is_some_and(|release| self.forgets(release));
                let (pipes, look) = (&self.pipes, (*parts, settings.as_deref()));
                let behind = timestamp(self.cloud.now - self.cloud.nature.lag);
                let world = self.cloud.observe(job, look, holding, |pipeline, release| {
                    let is = stands(pipes, pipeline, release);
                    match is.state {
                        _ if blind => Execution { state: ExecutionState::NotFound, updated_at: None, build: None },
                        // Its event comes before the answer says so.
                        ExecutionState::Succeeded | ExecutionState::Ended if is.updated_at >= Some(behind) => {
                            Execution { state: ExecutionState::Running, updated_at: None, build: None }
                        }
                        _ => is,
                    }
                });
                let hook =
                    self.invocations.get(&call.by).filter(|_| parts.has(Parts::HOOK)).and_then(|it| it.hook.clone());
                Some(Answer::World(Box::new(world.map(|world| World { hook, ..world }))))
            }
            Asked::Port(Ask::Apply(step)) => {
                let looked = call.looked.max(self.cloud.now - STALE);
                let act = Act { job, step, looked, sent: call.sent };
                self.checks.before(&self.cloud, act);
                let direct = self.invocations.get(&call.by).is_some_and(|it| it.delivery.answers.is_none());
                if direct {
                    let release = match step {
                        Step::WriteHold { hold, .. } => (hold.pipeline.as_str(), &hold.release),
                        _ => (job.pipeline.as_str(), &job.release),
                    };
                    let updated_at = changed(&self.pipes, release.0, release.1);
                    let is = Execution { updated_at, ..stands(&self.pipes, release.0, release.1) };
                    self.checks.believed(&self.cloud, act, &is);
                }
                let applied = self.cloud.apply(&job.role, step);
                if applied.as_ref().is_err_and(|error| error.kind == Kind::Capacity) {
                    self.checks.short.insert(job.release.clone());
                }
                self.effects += 1;
                let changes =
                    self.changes.entry((job.role.clone(), job.release.clone(), job.action.as_str())).or_default();
                *changes += 1;
                if *changes == CHANGES_MAX {
                    let what = format!("{} of {} doesn't come to an end: {step}", job.action, job.release.short());
                    self.checks.endless(self.cloud.now, &job.role, what);
                }
                if applied.is_ok() {
                    self.checks.after(&self.cloud, act);
                    if let Some(foresight) = &mut self.foresight {
                        let made = foresight.made.entry((job.role.clone(), job.release.clone())).or_default();
                        made.push((job.action, step.clone()));
                    }
                }
                self.tell(
                    || who(job),
                    || match &applied {
                        Ok(_) => format!("  ✓ {step}"),
                        Err(error) => format!("  ✗ {step}: {error}"),
                    },
                );
                if matches!(step, Step::SetWeights { .. }) {
                    for node in self.cloud.nature.nodes {
                        self.after(node, Event::Node(job.role.clone()));
                    }
                }
                if let Step::Abandon { release, pipeline, action, reason } = step
                    && applied.is_ok()
                {
                    self.abandoned(&job.role, release, pipeline, *action, reason);
                }
                if let Step::CallHook(hook) = step
                    && applied.is_ok()
                {
                    self.hook(call.by, job, hook);
                }
                if let Step::StopExecution { release, reason, .. } = step {
                    let now = timestamp(self.cloud.now);
                    if let Some(pipe) = self.pipes.iter().position(|it| it.engine.execution(release.as_str()).is_some())
                    {
                        let _ = self.pipes[pipe].engine.stop(now, release.as_str(), true, Some(reason.clone()));
                        self.pump(pipe);
                    }
                }
                Some(Answer::Applied(applied))
            }
            Asked::Report(outcome, token) => {
                let (pipe, id) = self.invocations.get(&call.by)?.delivery.answers.clone()?;
                let now = timestamp(self.cloud.now);
                let engine = &mut self.pipes[pipe].engine;
                let reported = match &**outcome {
                    Outcome::Done(done) => {
                        let outputs = done.outputs.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
                        engine.job_succeeded(now, &id, Success { outputs: outputs.collect(), ..Success::default() })
                    }
                    Outcome::Waiting(_) => {
                        let continuation = Some(token.clone());
                        engine.job_succeeded(now, &id, Success { continuation, ..Success::default() })
                    }
                    Outcome::Failed(error) => {
                        let kind = error.kind.failure_type().to_owned();
                        let message = error.message.chars().take(5_000).collect();
                        engine.job_failed(now, &id, Failure { kind, message, external_id: None })
                    }
                };
                if let Err(refusal) = reported {
                    self.tell(|| who(job), || format!("the report is refused: {refusal}"));
                }
                self.pump(pipe);
                None
            }
        }
    }

    /// A hook's function begins. Only who has called it hears its answer.
    fn hook(&mut self, by: u32, job: &Job, call: &HookCall) {
        let (delay, answer) = self.cloud.hook(&job.role, &job.release, call);
        if let Some(invocation) = self.invocations.get_mut(&by) {
            invocation.hook = Some(Called { id: call.id, answer: None });
            self.after(delay, Event::Hook(by, call.id, answer));
        }
    }

    /// A hook's answer comes.
    pub(super) fn answered(&mut self, by: u32, id: CallId, answer: HookAnswer) {
        let Some(invocation) = self.invocations.get_mut(&by) else { return };
        let Some(called) = invocation.hook.as_mut().filter(|called| called.id == id) else { return };
        called.answer = Some(answer.clone());
        let job = invocation.delivery.job.clone();
        self.checks.heard(&job.role, &job.release, id, &answer);
        self.tell(|| "hook".into(), || format!("{} of {}: {answer:?}", id.number + 1, id.point.as_str()));
    }

    /// A process dies; Lambda delivers its event again.
    pub(super) fn die(&mut self, by: u32, why: &str) {
        if let Some(invocation) = self.invocations.remove(&by) {
            self.retry(invocation.delivery, why);
        }
    }

    /// Lambda retries twice, after one minute and two (docs/AWS.md#codepipeline).
    pub(super) fn retry(&mut self, delivery: Delivery, why: &str) {
        let attempt = delivery.attempt;
        self.tell(|| who(&delivery.job), || format!("{why} (attempt {attempt})"));
        if attempt < 2 {
            self.deliveries += 1;
            let delay = MINUTE * Ms::from(attempt + 1);
            self.after(delay, Event::Deliver(Delivery { attempt: attempt + 1, ..delivery }));
        } else if delivery.job.action.stage() != StageName::Cleanup
            && let Some((pipe, id)) = delivery.answers
        {
            // cleanup is told, and fails the job.
            let failure = Failure { kind: "SystemUnavailable".into(), message: "it died".into(), external_id: None };
            let _ = self.pipes[pipe].engine.job_failed(timestamp(self.cloud.now), &id, failure);
            self.pump(pipe);
        }
    }
}

fn refusal(kind: Kind, asked: &Asked) -> Answer {
    refused(Error::new(kind, REFUSED), asked)
}

/// The answer of a call that failed.
pub(super) fn refused(error: Error, asked: &Asked) -> Answer {
    match asked {
        Asked::Port(Ask::Holding { .. }) => Answer::Holding(Box::new(Err(error))),
        Asked::Port(Ask::Observe { .. }) => Answer::World(Box::new(Err(error))),
        Asked::Port(Ask::Apply(_)) => Answer::Applied(Err(error)),
        Asked::Port(Ask::Pause | Ask::Sleep(_)) | Asked::Report(..) => Answer::Paused,
    }
}

fn asked_for(asked: &Asked) -> String {
    match asked {
        Asked::Port(Ask::Pause | Ask::Sleep(_)) => "a pause".into(),
        Asked::Port(Ask::Holding { bound, .. }) => format!("reading the hold{}", if *bound { " again" } else { "" }),
        Asked::Port(Ask::Observe { .. }) => "an observation".into(),
        Asked::Port(Ask::Apply(step)) => step.to_string(),
        Asked::Report(..) => "the report".into(),
    }
}

fn decided(decision: &Decision) -> String {
    match decision {
        Decision::Do { step, why, .. } => format!("{step}: {why}"),
        Decision::Look(parts) => format!("looks at {parts:?}"),
        Decision::Wait { why, .. } | Decision::Yield(why) => format!("waits for {why}"),
        Decision::Done(done) => format!("is done: {}", done.message),
        Decision::Fail(error) => format!("fails: {error}"),
    }
}
