//! One day: everything that happens, in virtual time, on one thread, from one plan.

mod calls;
mod ends;
mod mishaps;
mod pipeline;
mod queue;
mod wire;

use self::queue::{Due, Event};
use crate::checks::Checks;
use crate::cloud::Cloud;
use crate::coverage::Coverage;
use crate::foresight::Foresight;
use crate::invocation::{Asked, Call, Invocation};
use crate::mistake;
use crate::past::{MINUTE, Ms, SECOND, clock, timestamp};
use crate::pipes::{APPROVAL, Blueprint, Pipe, Serial, count, guard, pipeline_name, sweep};
use crate::plan::{Odds, PersonAct, Plan};
use crate::port::Answer;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;
use tagship::settings::Settings;
use tagship::{Action, Job, Occasion, ReleaseId, ServiceRole, route};
use tagship_emulator::engine::{Engine, Timings};
use tagship_emulator::execution::{Artifact, Revision};

/// How often sweep runs.
const SWEEP: Ms = 5 * MINUTE;

/// How often guard looks at every release that has moved weights.
const GUARD: Ms = MINUTE;
/// What it takes for one of them.
const GUARDED: Ms = SECOND / 5;

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

/// Requests of one operation.
#[derive(Debug, Clone, Copy, Default)]
pub struct Requested {
    /// Requests made, repeated ones too.
    pub made: u64,
    /// Those that AWS refused for being too many.
    pub throttled: u64,
}

impl Requested {
    /// Adds those of another kind.
    pub fn add(&mut self, more: Self) {
        self.made += more.made;
        self.throttled += more.throttled;
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
    /// Whose each call was.
    pub callers: Vec<Action>,
    /// Faults by name.
    pub faults: BTreeMap<&'static str, u64>,
    /// Requests on the wire, by action and operation.
    pub requests: BTreeMap<(&'static str, &'static str), Requested>,
    /// Places where a process could die, and where it did.
    pub coverage: Coverage,
    /// Which of the events sent were not jobs of a pipeline.
    pub direct: Vec<u64>,
    /// Events sent, retries aside.
    pub sent: u64,
    /// When the first invocation for a release began.
    pub began: BTreeMap<(ServiceRole, ReleaseId), Ms>,
    /// What the core plans for each release, and what comes of it, if that was asked for.
    pub foresight: Option<Foresight>,
    trace: bool,
    queue: BinaryHeap<Due>,
    sequence: u64,
    rng: Xoshiro256PlusPlus,
    pipes: Vec<Pipe>,
    invocations: BTreeMap<u32, Invocation>,
    born: u32,
    calls: BTreeMap<u64, Call>,
    deliveries: usize,
    /// When CodePipeline first didn't know an execution that is there.
    forgotten: BTreeMap<ReleaseId, Ms>,
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
            let pipeline = Some(pipeline_name(&service.role));
            let settings = Settings { pipeline: pipeline.clone(), ..service.settings.clone() };
            cloud.add_service(&service.role, settings, service.switches);
            cloud.services.entry(service.role.clone()).and_modify(|it| it.requests = service.requests);
            if service.tested {
                cloud.add_test(&service.role);
            }
            if service.settled {
                cloud.begin_with_live(&service.role);
            }
            if let Some((role, settings)) = &service.pre {
                let settings = Settings { pipeline, pre_product: true, ..settings.clone() };
                cloud.add_service(role, settings, 1);
            }
            let pre = service.pre.as_ref().map(|(role, _)| role).or(service.mistyped.as_ref());
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
            callers: Vec::new(),
            faults: BTreeMap::new(),
            forgotten: BTreeMap::new(),
            requests: BTreeMap::new(),
            coverage: Coverage::default(),
            direct: Vec::new(),
            sent: 0,
            began: BTreeMap::new(),
            foresight: None,
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
        if !day.plan.acts.is_empty() {
            // People put a switch right when a message asks them to.
            day.at(day.plan.calm, Event::Person(PersonAct::Mend));
        }
        day.at(SWEEP, Event::Sweep);
        day.at(GUARD, Event::Guard);
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
            let touched = std::mem::take(&mut self.cloud.touched);
            self.checks.instant(&self.cloud, &touched);
        }
        let unfinished: Vec<String> = if self.idle() { Vec::new() } else { self.unfinished() };
        self.checks.end(&self.cloud, &unfinished);
    }

    fn idle(&self) -> bool {
        self.invocations.is_empty()
            && self.deliveries == 0
            && self.cloud.holds.is_empty()
            && self.cloud.dead_names().is_empty()
            && self.pipes.iter().zip(&self.plan.services).all(|(pipe, service)| {
                pipe.uploaded == service.releases.len()
                    && pipe.engine.executions().iter().all(|execution| execution.status.ended())
            })
            && self.plan.acts.iter().all(|(at, _)| *at < self.cloud.now)
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
            Event::Node(role) => {
                self.cloud.touched.insert(role);
            }
            Event::Deliver(delivery) => self.begin(delivery),
            Event::Wake(by) => self.go(by, Some(Answer::Paused)),
            Event::Request(number, chain) => self.request(number, chain),
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
                let revision = Revision { version: format!("v{n}"), etag: format!("e{n}"), summary: None };
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
            Event::Hook(by, id, answer) => self.answered(by, id, answer),
            Event::Sweep => {
                let holds = self.cloud.holds.iter().map(|(role, (hold, _))| sweep(role, hold));
                let free = self.cloud.rosters.iter().filter(|(role, _)| !self.cloud.holds.contains_key(*role));
                let fleets = free.map(|(role, (roster, _))| count(role, roster));
                for job in holds.chain(fleets).collect::<Vec<Job>>() {
                    self.deliver(job, 0);
                }
                self.after(SWEEP, Event::Sweep);
            }
            Event::Guard => {
                // The function looks at one after another.
                self.guard(&Occasion::Minute);
                // Where invocations stand still and events get lost, it may take an hour until somebody looks.
                if self.plan.odds.lose_event == 0.0 {
                    self.checks.stranded(&self.cloud);
                }
                self.after(GUARD, Event::Guard);
            }
        }
    }

    /// Asks guard to look at each release that is concerned, as the function does.
    pub(crate) fn guard(&mut self, occasion: &Occasion) {
        let now = timestamp(self.cloud.now);
        let holds = self.cloud.holds.iter().map(|(role, (hold, _))| (role, hold));
        let concerned = holds.filter(|(_, hold)| route::concerned(hold, occasion, now));
        for (n, job) in (0..).zip(concerned.map(|(role, hold)| guard(role, hold)).collect::<Vec<Job>>()) {
            self.deliver(job, n * GUARDED);
        }
    }

    pub(crate) fn person(&mut self, act: PersonAct) {
        let now = self.cloud.now;
        self.tell(|| "person".into(), || format!("{act:?}"));
        let what = if matches!(act, PersonAct::Storm(_)) { "throttling storm" } else { "people" };
        *self.faults.entry(what).or_default() += 1;
        match act {
            PersonAct::Retry(role) => {
                let Some(pipe) = self.plan.services.iter().position(|service| service.role == role) else { return };
                let last = self.pipes[pipe].engine.executions().last().map(|it| it.id.clone());
                if let Some(id) = last {
                    let _ = self.pipes[pipe].engine.retry(timestamp(now), "Release", &id, false);
                    self.pump(pipe);
                }
            }
            PersonAct::Ask(role, action) => {
                let Some((hold, _)) = self.cloud.holds.get(&role) else { return };
                let (release, pipeline) = (hold.release.clone(), hold.pipeline.clone());
                self.deliver(Job { role, release, pipeline, action, input: None }, 0);
            }
            act => {
                let rung = if let PersonAct::Ring(role, ..) = &act { self.cloud.alarm(role) } else { None };
                if let Some((later, again)) = self.cloud.by_hand(act) {
                    self.after(later, Event::Person(again));
                }
                // CloudWatch's event.
                if let Some(alarm) = rung {
                    self.guard(&Occasion::Alarm(alarm));
                }
                let roles: Vec<ServiceRole> = self.cloud.services.keys().cloned().collect();
                for node in self.cloud.nature.nodes {
                    for role in &roles {
                        self.after(node, Event::Node(role.clone()));
                    }
                }
            }
        }
    }
}

fn who(job: &Job) -> String {
    format!("{} {} {}", job.role, job.action, job.release.short())
}
