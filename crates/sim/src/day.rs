//! One day: everything that happens, in virtual time, on one thread, from one plan.

use crate::checks::{Act, Checks};
use crate::cloud::{Cloud, Turn};
use crate::invocation::{Asked, Call, Delivery, Invocation, Went};
use crate::mistake;
use crate::past::{MINUTE, Ms, SECOND, clock, timestamp};
use crate::pipes::{APPROVAL, Blueprint, Serial, job, pipeline_name};
use crate::plan::{Fault, Odds, PersonAct, Plan, USUAL_VOTE, Vote};
use crate::port::{Answer, Ask};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use std::rc::Rc;
use std::time::Duration;
use tagship::{
    Action, Decision, Error, Execution, ExecutionState, Held, Job, Kind, Outcome, ReleaseId, ServiceRole, Step,
};
use tagship_pipeline::change::Origin;
use tagship_pipeline::effect::Effect;
use tagship_pipeline::engine::{Engine, Timings};
use tagship_pipeline::execution::{Artifact, Revision, Status, Trigger};
use tagship_pipeline::pipeline::Id;
use tagship_pipeline::report::{Failure, Success};

/// How often sweep runs.
const SWEEP: Ms = 5 * MINUTE;

/// What happens at a time.
#[derive(Debug)]
enum Event {
    Turn(Turn),
    /// A node of the balancer hears of a weight.
    Node,
    Deliver(Delivery),
    Wake(u32),
    Effect(u64),
    Reply(u64),
    /// Lambda's time-out.
    Timeout(u32),
    Tick(usize),
    Upload(usize, usize),
    Fetched(usize, Id),
    Voted {
        pipe: usize,
        stage: Id,
        action: Id,
        token: Id,
        granted: bool,
    },
    Stop(usize, Id, bool),
    Person(PersonAct),
    Sweep,
}

struct Due(Ms, u64, Event);

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    /// The earliest is the greatest, as a heap wants it.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.0, other.1).cmp(&(self.0, self.1))
    }
}

struct Pipe {
    engine: Engine<Serial>,
    blueprint: Rc<Blueprint>,
    name: String,
    /// Which of the plan's releases an execution is.
    releases: BTreeMap<Id, usize>,
    uploaded: usize,
}

/// A line of the day's story.
#[derive(Debug, Clone)]
pub struct Line {
    /// When.
    pub at: Ms,
    /// Who.
    pub who: String,
    /// What, and why.
    pub what: String,
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}  {:<28} {}", clock(self.at), self.who, self.what)
    }
}

/// A day in progress.
pub struct Day {
    plan: Plan,
    /// The cloud.
    pub cloud: Cloud,
    /// The checkers.
    pub checks: Checks,
    /// What was told, if a trace was asked for.
    pub story: Vec<Line>,
    /// Calls made.
    pub calls_made: u64,
    /// Changes made.
    pub effects: u64,
    /// Which calls changed something.
    pub changing: Vec<u64>,
    /// Faults by name.
    pub faults: BTreeMap<&'static str, u64>,
    trace: bool,
    queue: BinaryHeap<Due>,
    sequence: u64,
    rng: Xoshiro256PlusPlus,
    pipes: Vec<Pipe>,
    invocations: BTreeMap<u32, Invocation>,
    born: u32,
    calls: BTreeMap<u64, Call>,
    deliveries: usize,
    /// Changes by job: rule 8 bounds them.
    changes: BTreeMap<(ServiceRole, ReleaseId, &'static str), u32>,
}

/// What a job could do at most until it gives up: a change every other second for 4 × BOOT, and retries.
const CHANGES_MAX: u32 = 2_000;

impl Day {
    /// A day that hasn't begun.
    pub fn new(plan: Plan, trace: bool) -> Self {
        let mut cloud = Cloud::new(plan.seed.wrapping_mul(2).wrapping_add(1), plan.nature.clone());
        let mut pipes = Vec::new();
        for (of, service) in plan.services.iter().enumerate() {
            cloud.add_service(&service.role, service.settings.clone(), service.switches);
            if let Some((role, settings)) = &service.pre {
                cloud.add_service(role, settings.clone(), 1);
            }
            let pre = service.pre.as_ref().map(|(role, _)| role);
            let blueprint = Blueprint::of(&service.role, pre, service.queued);
            let timings = Timings { approval: Duration::from_millis(APPROVAL as u64), ..Timings::default() };
            let engine = Engine::new(blueprint.pipeline.clone(), timings, Serial { of, last: 0 });
            let name = pipeline_name(&service.role);
            pipes.push(Pipe { engine, blueprint, name, releases: BTreeMap::new(), uploaded: 0 });
        }
        let mut day = Self {
            cloud,
            checks: Checks::default(),
            story: Vec::new(),
            calls_made: 0,
            effects: 0,
            changing: Vec::new(),
            faults: BTreeMap::new(),
            trace,
            queue: BinaryHeap::new(),
            sequence: 0,
            rng: Xoshiro256PlusPlus::seed_from_u64(plan.seed),
            pipes,
            invocations: BTreeMap::new(),
            born: 0,
            calls: BTreeMap::new(),
            deliveries: 0,
            changes: BTreeMap::new(),
            plan,
        };
        for (pipe, service) in day.plan.services.clone().iter().enumerate() {
            for (n, release) in service.releases.iter().enumerate() {
                day.at(release.at, Event::Upload(pipe, n));
            }
        }
        for (at, act) in day.plan.acts.clone() {
            day.at(at, Event::Person(act));
        }
        day.at(SWEEP, Event::Sweep);
        day
    }

    /// Lives it to its end.
    pub fn live(&mut self) {
        mistake::plant(self.plan.mistake);
        let limit = self.plan.calm + self.plan.patience;
        while let Some(Due(at, _, event)) = self.queue.pop() {
            if at > limit {
                break;
            }
            self.cloud.now = at;
            let over = matches!(event, Event::Sweep) && self.idle();
            if over {
                break;
            }
            self.happen(event);
            for (at, turn) in std::mem::take(&mut self.cloud.due) {
                self.at(at, Event::Turn(turn));
            }
            self.checks.instant(&self.cloud);
        }
        let unfinished: Vec<String> = if self.idle() { Vec::new() } else { self.unfinished() };
        self.checks.end(&self.cloud, &unfinished);
    }

    fn idle(&self) -> bool {
        self.invocations.is_empty()
            && self.deliveries == 0
            && self.cloud.holds.is_empty()
            && self.pipes.iter().zip(&self.plan.services).all(|(pipe, service)| {
                pipe.uploaded == service.releases.len()
                    && pipe.engine.executions().iter().all(|execution| execution.status.ended())
            })
            && self.plan.acts.iter().all(|(at, _)| *at < self.cloud.now)
    }

    fn unfinished(&self) -> Vec<String> {
        let executions = self.pipes.iter().flat_map(|pipe| pipe.engine.executions());
        let open = executions.filter(|execution| !execution.status.ended());
        let open = open.map(|execution| format!("execution {} is still {}", execution.id, execution.status.as_str()));
        let running = self
            .invocations
            .values()
            .map(|it| format!("{} of {} is still running", it.delivery.job.action, it.delivery.job.release));
        open.chain(running).collect()
    }

    fn at(&mut self, at: Ms, event: Event) {
        self.sequence += 1;
        self.queue.push(Due(at, self.sequence, event));
    }

    fn after(&mut self, delay: Ms, event: Event) {
        self.at(self.cloud.now + delay, event);
    }

    fn chance(&mut self, odds: impl FnOnce(&Odds) -> f64) -> bool {
        let odds = if self.cloud.now < self.plan.calm { odds(&self.plan.odds) } else { 0.0 };
        odds > 0.0 && self.rng.random_bool(odds)
    }

    fn between(&mut self, low: Ms, high: Ms) -> Ms {
        self.rng.random_range(low..=high)
    }

    fn tell(&mut self, who: impl FnOnce() -> String, what: impl FnOnce() -> String) {
        if self.trace {
            self.story.push(Line { at: self.cloud.now, who: who(), what: what() });
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Turn(turn) => {
                self.cloud.turn(&turn);
                self.tell(|| "cloud".into(), || format!("{turn:?}"));
            }
            Event::Node => self.cloud.version += 1,
            Event::Deliver(delivery) => self.begin(delivery),
            Event::Wake(by) => self.go(by, Some(Answer::Paused)),
            Event::Effect(number) => self.effect(number),
            Event::Reply(number) => {
                if let Some(call) = self.calls.remove(&number) {
                    match call.asked {
                        Asked::Report(..) => {
                            self.invocations.remove(&call.by);
                        }
                        Asked::Port(_) => self.go(call.by, call.answer),
                    }
                }
            }
            Event::Timeout(by) => {
                let Some(invocation) = self.invocations.get(&by) else { return };
                if invocation.frozen > self.cloud.now {
                    // It wakes up later, when nobody remembers it.
                    let delivery = invocation.delivery.clone();
                    self.retry(delivery, "timed out, frozen");
                } else {
                    self.die(by, "timed out");
                }
            }
            Event::Tick(pipe) => {
                let now = timestamp(self.cloud.now);
                self.pipes[pipe].engine.tick(now);
                self.pump(pipe);
            }
            Event::Upload(pipe, n) => self.upload(pipe, n),
            Event::Fetched(pipe, job) => {
                let (now, n) = (timestamp(self.cloud.now), self.cloud.serial());
                let revision = Revision { version: format!("v{n}"), etag: format!("e{n}") };
                let artifact =
                    Artifact { name: "App".into(), bucket: "releases".into(), key: format!("app/{n}"), revision: None };
                let _ = self.pipes[pipe].engine.fetched(now, &job, revision, artifact);
                self.pump(pipe);
            }
            Event::Voted { pipe, stage, action, token, granted } => {
                let now = timestamp(self.cloud.now);
                let engine = &mut self.pipes[pipe].engine;
                let voted = engine.approve(now, &stage, &action, &token, granted, String::new(), "arn:person");
                self.tell(
                    || "person".into(),
                    || {
                        let word = if granted { "approves" } else { "rejects" };
                        format!("{word} {action}{}", voted.err().map(|e| format!(": {e}")).unwrap_or_default())
                    },
                );
                self.pump(pipe);
            }
            Event::Stop(pipe, id, abandon) => {
                let now = timestamp(self.cloud.now);
                let _ = self.pipes[pipe].engine.stop(now, &id, abandon, None);
                self.tell(|| "person".into(), || format!("stops {id}"));
                self.pump(pipe);
            }
            Event::Person(act) => self.person(act),
            Event::Sweep => {
                let holds: Vec<Job> = self.cloud.holds.iter().map(|(role, (hold, _))| sweep(role, hold)).collect();
                for job in holds {
                    self.deliver(job, 0);
                }
                self.after(SWEEP, Event::Sweep);
            }
        }
    }

    fn upload(&mut self, pipe: usize, n: usize) {
        let now = timestamp(self.cloud.now);
        let release = self.plan.services[pipe].releases[n].clone();
        let trigger = Trigger { kind: "CloudWatchEvent", detail: "arn:rule".into() };
        let started = self.pipes[pipe].engine.start(now, trigger, BTreeMap::new());
        self.pipes[pipe].uploaded += 1;
        let Ok(id) = started else { return };
        self.tell(|| "person".into(), || format!("uploads: release {id}, {:?}", release.build));
        if let Ok(of) = ReleaseId::try_from(id.to_string()) {
            self.cloud.builds.insert(of, release.build);
        }
        self.pipes[pipe].releases.insert(id.clone(), n);
        if let Some((at, abandon)) = release.stop {
            self.at(at, Event::Stop(pipe, id, abandon));
        }
        self.pump(pipe);
    }

    /// Carries out what a pipeline wants.
    fn pump(&mut self, pipe: usize) {
        for effect in self.pipes[pipe].engine.effects() {
            match effect {
                Effect::Fetch(fetch) => {
                    let delay = self.between(SECOND, 5 * SECOND);
                    self.after(delay, Event::Fetched(pipe, fetch.job));
                }
                Effect::Invoke(of) => {
                    let text = of.configuration.get("UserParameters").map_or("", String::as_str);
                    let function = of.configuration.get("FunctionName").map(String::as_str);
                    let parameters: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
                    let Some(job) = job(&parameters, function) else { continue };
                    let delivery = Delivery { job, answers: Some((pipe, of.id)), token: of.continuation, attempt: 0 };
                    self.send(delivery, 0);
                }
                Effect::Ask(asked) => {
                    let n = self.pipes[pipe].releases.get(&asked.execution);
                    let release = n.map(|n| &self.plan.services[pipe].releases[*n]);
                    let vote = release.and_then(|it| it.votes.get(&*asked.action)).copied().unwrap_or(USUAL_VOTE);
                    let (delay, granted) = match vote {
                        Vote::Grant(delay) => (delay, true),
                        Vote::Reject(delay) => (delay, false),
                        Vote::Silence => continue,
                    };
                    let (stage, action, token) = (asked.stage, asked.action, asked.token);
                    self.after(delay, Event::Voted { pipe, stage, action, token, granted });
                }
                Effect::Changed(change) => {
                    let it = &self.pipes[pipe];
                    if change.subject != tagship_pipeline::change::Subject::Pipeline {
                        continue;
                    }
                    let origin = Origin {
                        account: "123456789012".into(),
                        region: "eu-west-1".into(),
                        pipeline: it.name.as_str().into(),
                    };
                    let jobs = it.blueprint.jobs(&change.event(&origin, "event"));
                    let (id, state) = (change.execution, change.state);
                    self.tell(|| "pipeline".into(), || format!("{id} is {}", state.as_str()));
                    for job in jobs {
                        self.deliver(job, 0);
                    }
                }
            }
        }
        if let Some(due) = self.pipes[pipe].engine.due() {
            let at = due.duration_since(timestamp(0)).as_millis() as Ms;
            self.at(at.max(self.cloud.now), Event::Tick(pipe));
        }
    }

    /// A direct invocation, asynchronous.
    fn deliver(&mut self, job: Job, delay: Ms) {
        self.send(Delivery { job, answers: None, token: None, attempt: 0 }, delay);
    }

    fn send(&mut self, delivery: Delivery, delay: Ms) {
        let event = format!("{} of {}", delivery.job.action, delivery.job.release);
        if delivery.answers.is_none() && self.chance(|odds| odds.lose_event) {
            *self.faults.entry("event lost").or_default() += 1;
            return self.tell(|| "fault".into(), || format!("the event is lost: {event}"));
        }
        let mut delay = delay + self.between(50, 500);
        if delivery.answers.is_none() && self.chance(|odds| odds.late_event) {
            delay += self.between(SECOND, 10 * MINUTE);
            *self.faults.entry("event late").or_default() += 1;
            self.tell(|| "fault".into(), || format!("the event is {} s late: {event}", delay / SECOND));
        }
        if self.chance(|odds| odds.duplicate) {
            *self.faults.entry("event duplicated").or_default() += 1;
            let again = delay + if self.rng.random_bool(0.5) { 0 } else { self.between(0, 5 * MINUTE) };
            self.tell(|| "fault".into(), || format!("the event comes twice: {event}"));
            self.deliveries += 1;
            self.after(again, Event::Deliver(delivery.clone()));
        }
        self.deliveries += 1;
        self.after(delay, Event::Deliver(delivery));
    }

    fn begin(&mut self, delivery: Delivery) {
        self.deliveries -= 1;
        self.born += 1;
        let by = self.born;
        let now = self.cloud.now;
        // Another round takes a minute at most.
        let until = now + self.plan.timeout - MINUTE;
        self.tell(|| who(&delivery.job), || format!("begins (invocation {by}, attempt {})", delivery.attempt));
        self.invocations.insert(by, Invocation::begin(delivery, now, until, self.plan.mistake));
        self.after(self.plan.timeout, Event::Timeout(by));
        self.go(by, None);
    }

    fn go(&mut self, by: u32, answer: Option<Answer>) {
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
                self.after(delay, Event::Wake(by));
            }
            Went::On(ask) => self.call(by, job, Asked::Port(ask)),
            Went::Over(end) => self.ended(by, job, end.0, end.1),
        }
    }

    fn ended(&mut self, by: u32, job: Job, outcome: Outcome, memo: tagship::Memo) {
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
            return self.call(by, job, Asked::Report(Box::new(outcome), memo));
        }
        let invocation = self.invocations.remove(&by);
        if !matches!(outcome, Outcome::Done(_))
            && let Some(invocation) = invocation
        {
            self.retry(invocation.delivery, "failed");
        }
    }

    /// A call sets out.
    fn call(&mut self, by: u32, job: Job, asked: Asked) {
        let number = self.calls_made;
        self.calls_made += 1;
        if asked.changes() {
            self.changing.push(number);
        }
        let fault = self.plan.injected.get(&number).copied().or_else(|| self.misfortune(&asked));
        if let Some(fault) = fault {
            *self.faults.entry(fault.name()).or_default() += 1;
            self.tell(
                || "fault".into(),
                || format!("{} (call {number} of invocation {by}): {}", fault.name(), asked_for(&asked)),
            );
        }
        if fault == Some(Fault::Crash) {
            return self.die(by, "crashed");
        }
        if fault == Some(Fault::Refuse(Kind::Capacity)) {
            self.checks.short.insert(job.release.clone());
        }
        let looked = self.invocations.get(&by).map_or(self.cloud.now, |it| it.looked);
        let refused = match &asked {
            Asked::Port(Ask::Apply(step)) => self.cloud.refuses(step),
            _ => None,
        };
        let answer = match (fault, refused) {
            (Some(Fault::Refuse(kind)), _) => Some(refusal(kind, &asked)),
            (_, Some(error)) => Some(Answer::Applied(Err(error))),
            _ => None,
        };
        let (bound, usual) = match &asked {
            Asked::Port(Ask::Holding { bound: true, .. }) => (4 * SECOND, 100),
            Asked::Port(Ask::Apply(_)) => (10 * SECOND, 800),
            _ => (10 * SECOND, 400),
        };
        let slow = self.chance(|odds| odds.slow);
        let mut there = if slow { self.between(0, bound) } else { self.between(20, usual) };
        if let Some(Fault::Late(delay)) = fault {
            there = delay.min(bound);
            self.die(by, "crashed while a call was under way");
        }
        let looked = if matches!(asked, Asked::Port(Ask::Observe { .. })) { self.cloud.now } else { looked };
        if let Some(invocation) = self.invocations.get_mut(&by) {
            invocation.looked = looked;
        }
        self.calls.insert(number, Call { number, by, job, asked, fault, looked, answer });
        self.after(there, Event::Effect(number));
    }

    /// What goes wrong by chance.
    fn misfortune(&mut self, asked: &Asked) -> Option<Fault> {
        if self.cloud.now >= self.plan.calm {
            return None;
        }
        let odds = self.plan.odds;
        let dice: f64 = self.rng.random();
        let mut below = 0.0;
        let mut falls = |odds: f64| {
            below += odds;
            dice < below
        };
        if falls(odds.crash) {
            return Some(Fault::Crash);
        }
        if falls(odds.crash_after) {
            return Some(Fault::CrashAfter);
        }
        if falls(odds.lost) {
            return Some(Fault::Lost);
        }
        if falls(odds.refuse) {
            let kind = match self.rng.random_range(0..10) {
                0..6 => Kind::Unavailable,
                6..9 => Kind::Conflict,
                _ => Kind::Denied,
            };
            let launch = matches!(asked, Asked::Port(Ask::Apply(Step::Launch(_))));
            return Some(Fault::Refuse(if launch && kind == Kind::Conflict { Kind::Capacity } else { kind }));
        }
        if falls(odds.late) && asked.changes() {
            return Some(Fault::Late(self.between(0, 10 * SECOND)));
        }
        if falls(odds.stale) && matches!(asked, Asked::Port(Ask::Observe { .. } | Ask::Holding { bound: false, .. })) {
            return Some(Fault::Freeze(self.between(SECOND, 60 * MINUTE)));
        }
        None
    }

    fn freeze(&mut self, by: u32, length: Option<Ms>) -> Ms {
        let length = length.unwrap_or_else(|| self.rng.random_range(SECOND..=60 * MINUTE));
        if let Some(invocation) = self.invocations.get_mut(&by) {
            invocation.frozen = self.cloud.now + length;
        }
        *self.faults.entry("process frozen").or_default() += 1;
        self.tell(|| "fault".into(), || format!("invocation {by} stands still for {} s", length / SECOND));
        length
    }

    /// A call arrives.
    fn effect(&mut self, number: u64) {
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
            _ => self.between(20, 200),
        };
        self.calls.insert(number, call);
        self.after(back, Event::Reply(number));
    }

    fn answer(&mut self, call: &Call) -> Option<Answer> {
        let job = &call.job;
        match &call.asked {
            Asked::Port(Ask::Pause) => None,
            Asked::Port(Ask::Holding { role, release, .. }) => {
                Some(Answer::Holding(Box::new(Ok(self.cloud.holding(role, release)))))
            }
            Asked::Port(Ask::Observe { reads, holding, .. }) => {
                let pipes = &self.pipes;
                let world = self.cloud.observe(job, *reads, holding, |held| execution(pipes, held));
                Some(Answer::World(Box::new(world)))
            }
            Asked::Port(Ask::Apply(step)) => {
                let act = Act { job, step, looked: call.looked };
                self.checks.before(&self.cloud, act);
                let applied = self.cloud.apply(&job.role, step);
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
                }
                self.tell(
                    || who(job),
                    || match &applied {
                        Ok(()) => format!("  ✓ {step}"),
                        Err(error) => format!("  ✗ {step}: {error}"),
                    },
                );
                if matches!(step, Step::SetWeights { .. }) {
                    for node in self.cloud.nature.nodes {
                        self.after(node, Event::Node);
                    }
                }
                if let Step::Abandon { release, pipeline, action, reason } = step
                    && applied.is_ok()
                {
                    self.abandoned(&job.role, release, pipeline, *action, reason);
                }
                Some(Answer::Applied(applied))
            }
            Asked::Report(outcome, memo) => {
                let (pipe, id) = self.invocations.get(&call.by)?.delivery.answers.clone()?;
                let now = timestamp(self.cloud.now);
                let engine = &mut self.pipes[pipe].engine;
                let reported = match &**outcome {
                    Outcome::Done(done) => {
                        let outputs = done.outputs.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
                        engine.job_succeeded(now, &id, Success { outputs: outputs.collect(), ..Success::default() })
                    }
                    Outcome::Waiting(_) => {
                        let continuation = Some(memo.to_token());
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

    fn abandoned(&mut self, role: &ServiceRole, release: &ReleaseId, pipeline: &str, action: Action, reason: &str) {
        let event = serde_json::json!({
            "source": "tagship",
            "detail-type": "Release Abandoned",
            "detail": {"service": role.as_str(), "release": release.as_str(), "pipeline": pipeline,
                       "action": action.as_str(), "reason": reason},
        });
        let jobs: Vec<Job> = self.pipes.iter().flat_map(|pipe| pipe.blueprint.jobs(&event)).collect();
        for job in jobs {
            self.deliver(job, 0);
        }
    }

    /// A process dies; Lambda delivers its event again.
    fn die(&mut self, by: u32, why: &str) {
        if let Some(invocation) = self.invocations.remove(&by) {
            self.retry(invocation.delivery, why);
        }
    }

    /// Lambda retries twice, after one minute and two (FACTS.md).
    fn retry(&mut self, delivery: Delivery, why: &str) {
        let attempt = delivery.attempt;
        self.tell(|| who(&delivery.job), || format!("{why} (attempt {attempt})"));
        if attempt < 2 {
            self.deliveries += 1;
            let delay = MINUTE * Ms::from(attempt + 1);
            self.after(delay, Event::Deliver(Delivery { attempt: attempt + 1, ..delivery }));
        }
    }

    fn person(&mut self, act: PersonAct) {
        let now = self.cloud.now;
        self.tell(|| "person".into(), || format!("{act:?}"));
        *self.faults.entry("people").or_default() += 1;
        match act {
            PersonAct::Retry(role) => {
                let Some(pipe) = self.plan.services.iter().position(|service| service.role == role) else { return };
                let last = self.pipes[pipe].engine.executions().last().map(|it| it.id.clone());
                if let Some(id) = last {
                    let _ = self.pipes[pipe].engine.retry(timestamp(now), "Release", &id, false);
                    self.pump(pipe);
                }
            }
            act => {
                if let Some((later, again)) = self.cloud.by_hand(act) {
                    self.after(later, Event::Person(again));
                }
                for node in self.cloud.nature.nodes {
                    self.after(node, Event::Node);
                }
            }
        }
    }

    /// How the day ended, in words that don't depend on numbers given on the way.
    pub fn ends(&self) -> Vec<String> {
        let mut ends = Vec::new();
        for pipe in &self.pipes {
            for execution in pipe.engine.executions() {
                let n = pipe.releases.get(&execution.id).copied().unwrap_or_default() + 1;
                let release = ReleaseId::try_from(execution.id.to_string()).ok();
                let how = release.iter().flat_map(|release| {
                    let marks = self.cloud.ended.iter().filter(move |((_, of), _)| of == release);
                    marks.map(|((role, _), ended)| format!("{role} {}", ended.how.as_str()))
                });
                let how: Vec<String> = how.collect();
                ends.push(format!("{} r{n}: {}, {}", pipe.name, execution.status.as_str(), how.join(", ")));
                for role in self.cloud.services.keys() {
                    let alive = self.cloud.instances.values().filter(|instance| {
                        let face = instance.face.now();
                        instance.alive() && face.service.as_ref() == Some(role) && face.release == release
                    });
                    let alive = alive.count();
                    if alive > 0 {
                        ends.push(format!("  {role} r{n}: {alive} alive"));
                    }
                }
            }
        }
        ends
    }

    /// Executions by how they ended.
    pub fn outcomes(&self) -> BTreeMap<&'static str, u64> {
        let mut outcomes = BTreeMap::new();
        for ended in self.cloud.ended.values() {
            *outcomes.entry(ended.how.as_str()).or_default() += 1;
        }
        outcomes
    }
}

fn sweep(role: &ServiceRole, hold: &tagship::Hold) -> Job {
    let (release, pipeline) = (hold.release.clone(), hold.pipeline.clone());
    Job { role: role.clone(), release, pipeline, action: Action::Sweep, input: None }
}

/// How CodePipeline says that a holder's execution stands.
fn execution(pipes: &[Pipe], held: &Held) -> Execution {
    let pipe = pipes.iter().find(|pipe| pipe.name == held.hold.pipeline);
    match pipe.and_then(|pipe| pipe.engine.execution(held.hold.release.as_str())) {
        Some(execution) => Execution {
            state: match execution.status {
                Status::InProgress | Status::Stopping => ExecutionState::Running,
                Status::Succeeded => ExecutionState::Succeeded,
                _ => ExecutionState::Ended,
            },
            updated_at: Some(execution.updated),
        },
        None => Execution { state: ExecutionState::NotFound, updated_at: None },
    }
}

fn refusal(kind: Kind, asked: &Asked) -> Answer {
    let error = Error::new(kind, "a fault of the simulator");
    match asked {
        Asked::Port(Ask::Holding { .. }) => Answer::Holding(Box::new(Err(error))),
        Asked::Port(Ask::Observe { .. }) => Answer::World(Box::new(Err(error))),
        Asked::Port(Ask::Apply(_)) => Answer::Applied(Err(error)),
        Asked::Port(Ask::Pause) | Asked::Report(..) => Answer::Paused,
    }
}

fn who(job: &Job) -> String {
    format!("{} {} {}", job.role, job.action, job.release.short())
}

fn asked_for(asked: &Asked) -> String {
    match asked {
        Asked::Port(Ask::Pause) => "a pause".into(),
        Asked::Port(Ask::Holding { bound, .. }) => format!("reading the hold{}", if *bound { " again" } else { "" }),
        Asked::Port(Ask::Observe { .. }) => "an observation".into(),
        Asked::Port(Ask::Apply(step)) => step.to_string(),
        Asked::Report(..) => "the report".into(),
    }
}

fn decided(decision: &Decision) -> String {
    match decision {
        Decision::Do { step, why, .. } => format!("{step}: {why}"),
        Decision::Wait(why) | Decision::Yield(why) => format!("waits for {why}"),
        Decision::Done(done) => format!("is done: {}", done.message),
        Decision::Fail(error) => format!("fails: {error}"),
    }
}
