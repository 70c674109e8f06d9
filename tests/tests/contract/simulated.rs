//! A scenario on the simulator.

use crate::looks::{LOOKERS, Look, Seen, admitted, first, open_eyed, then};
use crate::names::Names;
use crate::scenario::{Act, Move, PORT, Scenario, pipeline, release};
use std::collections::BTreeMap;
use tagship::settings::Settings;
use tagship::{
    Action, Error, Holding, Job, Parts, ReleaseId, Step, TAG_RELEASE, TAG_RETIRED_BY, TAG_SERVICE, World, actions,
};
use tagship_emulator::engine::{Engine, Timings};
use tagship_emulator::execution::Trigger;
use tagship_sim::cloud::{Cloud, Face, Nature, Turn};
use tagship_sim::past::{Past, SECOND};
use tagship_sim::pipes::{self, Serial};
use tagship_sim::requests::{self, Cached, Chains};

/// The account, and what drives it.
struct Simulated<'a> {
    scenario: &'a Scenario,
    cloud: Cloud,
    engine: Engine<Serial>,
    names: Names,
}

/// Listeners of the account's balancer: HTTP, HTTPS, and the one whose default action is a switch.
const LISTENERS: usize = 3;

/// The operations of all these requests, sorted, without their services.
fn operations(chains: impl IntoIterator<Item = Chains>) -> Vec<String> {
    let requests = chains.into_iter().flatten().flatten();
    let operation = |name: &str| name.split_once(':').map_or(name, |(_, operation)| operation).to_owned();
    let mut operations: Vec<String> = requests.map(|request| operation(request.operation)).collect();
    operations.sort();
    operations
}

/// What came of each move.
pub(crate) fn play(scenario: &Scenario) -> Vec<Seen> {
    let mut simulated = Simulated::set_up(scenario);
    scenario.moves.iter().map(|it| simulated.make(it)).collect()
}

impl<'a> Simulated<'a> {
    fn set_up(scenario: &'a Scenario) -> Self {
        let (role, settings) = (scenario.role(), scenario.named_settings());
        let mut cloud = Cloud::new(0, Nature::default());
        cloud.add_service(&role, settings.clone(), 3);
        cloud.services.get_mut(&role).expect("just added").listeners = LISTENERS;
        if scenario.tested() {
            cloud.add_test(&role);
        }
        let service = cloud.services[&role].clone();
        let mut names = Names::new(settings.clone(), settings);
        for (name, arn) in ["a", "b"].into_iter().zip(&service.groups) {
            names.bind(name, arn);
        }
        names.bind("other", "arn:tg/other");
        for (name, arn) in ["default", "http", "https"].into_iter().zip(&service.switches) {
            names.bind(name, arn);
        }
        service.tests.iter().for_each(|arn| names.bind("test", arn));
        let engine = Engine::new(pipeline(scenario), Timings::default(), Serial { of: 0, last: 0 });
        Self { scenario, cloud, engine, names }
    }

    fn make(&mut self, it: &Move) -> Seen {
        self.cloud.now += SECOND;
        self.names.now = self.cloud.timestamp();
        let (it, unseen) = it.parts();
        let mut seen = Seen::default();
        match it {
            Move::Step(step) => {
                let (applied, requests) = self.step(step);
                (seen.refused, seen.requests) = (applied.err().map(|error| error.kind), requests);
            }
            Move::Act(act) => self.act(act),
            Move::Unseen(_) => unreachable!("unseen once is enough"),
        }
        if unseen {
            return seen;
        }
        let by_all = matches!(it, Move::Act(Act::Look));
        for of in self.scenario.watchers(by_all) {
            seen.looks.extend(self.look(of, by_all));
        }
        seen
    }

    fn step(&mut self, step: &Step) -> (Result<(), Error>, Vec<String>) {
        let step = self.names.real_step(step);
        let mut chains = requests::step(&step, &mut Cached::default());
        let applied = match self.cloud.refuses(&step) {
            Some(error) => {
                // The switch has been read, and isn't changed.
                chains.iter_mut().for_each(|chain| chain.truncate(1));
                Err(error)
            }
            None => self.cloud.apply(&self.scenario.role(), &step).map(drop),
        };
        if let Step::StopExecution { release, reason, .. } = &step {
            let now = self.cloud.timestamp();
            // One that has ended is as good as stopped.
            let _ = self.engine.stop(now, release.as_str(), true, Some(reason.clone()));
        }
        // Shown if the test fails.
        let applied = applied.inspect_err(|error| println!("{}: simulator: {error}", self.scenario.name));
        (applied, operations([chains]))
    }

    fn look(&mut self, of: &'static str, by_all: bool) -> Vec<Look> {
        let id = self.names.real_release(&release(of));
        let holding = self.cloud.holding(&self.scenario.role(), &id);
        let named = self.names.holding(&holding);
        let mut looks = Vec::new();
        let mut look = |stage: Option<Action>, by: Option<Action>| {
            let reads = stage.map_or(Parts::ALL, actions::reads);
            let (world, requests, again) = match by {
                None => (None, Vec::new(), Vec::new()),
                Some(action) => {
                    let (job, mut cached) = (self.job(action, &id), Cached::default());
                    let (world, requests) = self.observe(&job, reads, &holding, &mut cached);
                    let (_, again) = self.observe(&job, reads, &holding, &mut cached);
                    (Some(world.map(|world| self.names.world(world)).map_err(|error| error.kind)), requests, again)
                }
            };
            looks.push(Look { release: of, stage, holding: named.clone(), world, requests, again });
        };
        look(None, open_eyed(&id, &holding));
        for action in LOOKERS.into_iter().filter(|_| by_all) {
            look(Some(action), Some(action).filter(|action| admitted(*action, &id, &holding)));
        }
        looks
    }

    /// As the wire's twin does: first what tells the settings, then the service.
    fn observe(
        &mut self,
        job: &Job,
        reads: Parts,
        holding: &Holding,
        cached: &mut Cached,
    ) -> (Result<World, Error>, Vec<String>) {
        let mut all = Vec::new();
        let mut part = |parts: Parts, settings: Option<&Settings>| {
            let own = self.scenario.pipeline();
            let stands = |pipeline: &str, release: &ReleaseId| {
                pipes::execution((pipeline == own).then_some(&self.engine), release)
            };
            all.push(requests::observation(&self.cloud, job, (parts, settings), holding, cached, stands));
            self.cloud.observe(job, (parts, settings), holding, stands)
        };
        let own = holding.held.as_ref().map(|held| &held.hold).filter(|hold| hold.release == job.release);
        let mut world = World::default();
        let begins = first(reads, job.action, &job.release, holding);
        if !begins.is_empty() {
            match part(begins, None) {
                Ok(more) => world.add(begins, more),
                Err(error) => return (Err(error), operations(all)),
            }
        }
        let offered = world.offer.as_ref().map(|offer| offer.settings.clone());
        if let Some(settings) = own.map(|hold| hold.settings.clone()).or(offered) {
            let chosen = own.is_some_and(|hold| hold.artifact.is_some());
            for parts in then(reads, &settings, own.is_some(), chosen) {
                match part(parts, Some(&settings)) {
                    Ok(more) => world.add(parts, more),
                    Err(error) => return (Err(error), operations(all)),
                }
            }
        }
        (Ok(world), operations(all))
    }

    fn job(&self, action: Action, release: &ReleaseId) -> Job {
        let (role, pipeline) = (self.scenario.role(), self.scenario.pipeline());
        Job { role, release: release.clone(), pipeline, action, input: None }
    }

    /// Lets what waits happen, if it is of this kind.
    fn turns(&mut self, of_kind: impl Fn(&Turn) -> bool) {
        let (now, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.cloud.due).into_iter().partition(|(_, turn)| of_kind(turn));
        self.cloud.due = later;
        for (_, turn) in now {
            self.cloud.turn(&turn);
        }
    }

    fn face(&mut self, instance: &str, change: impl FnOnce(&mut Face)) {
        let (id, now) = (self.names.real(instance), self.cloud.now);
        self.cloud.instances.get_mut(&id).expect("an instance").face.alter(now, change);
    }

    fn act(&mut self, act: &Act) {
        let now = self.cloud.timestamp();
        match act {
            Act::Look => {}
            Act::Boot => self.turns(|turn| matches!(turn, Turn::Boot(_))),
            Act::BootFails(instance) => {
                let id = self.names.real(instance);
                self.cloud.nature.boot_fails = 1.0;
                self.turns(|turn| *turn == Turn::Boot(id.clone()));
                self.cloud.nature.boot_fails = 0.0;
                // Not for want of capacity, which a dice decides.
                self.cloud.instances.get_mut(&id).expect("an instance").short = false;
            }
            Act::Settle => self.turns(|turn| matches!(turn, Turn::Gone(_) | Turn::Stopped(_))),
            Act::Check => {
                let groups = self.cloud.groups.iter();
                let all = groups.flat_map(|(arn, group)| group.targets.keys().map(|key| (arn.clone(), key.clone())));
                for (arn, key) in all.collect::<Vec<_>>() {
                    self.cloud.turn(&Turn::Probe(arn, key));
                }
            }
            Act::Drain => self.turns(|turn| matches!(turn, Turn::Drained(..))),
            Act::Install => self.turns(|turn| matches!(turn, Turn::Fetched(..) | Turn::Installed(..))),
            Act::Build(of, build) => {
                self.cloud.builds.insert(self.names.real_release(&release(of)), *build);
            }
            Act::Die(instance) => {
                let id = self.names.real(instance);
                self.cloud.hurt(&id);
                self.turns(|turn| *turn == Turn::Gone(id.clone()));
            }
            Act::Sicken(instance) => {
                let id = self.names.real(instance);
                self.cloud.instances.get_mut(&id).expect("an instance").sick = true;
            }
            Act::Untag(instance, key) => self.face(instance, |face| match *key {
                TAG_SERVICE => face.service = None,
                TAG_RELEASE => face.release = None,
                TAG_RETIRED_BY => face.retired_by = None,
                other => panic!("{other} is no tag of tagship's"),
            }),
            Act::Stranger(group) => {
                let at = self.cloud.now;
                let like = self.cloud.instances.values().next().expect("an instance to be like").clone();
                let face = Past::new(at, Face { service: None, release: None, ..like.face.now().clone() });
                let id = format!("i-{:06}", self.cloud.serial());
                self.cloud.instances.insert(id.clone(), tagship_sim::cloud::Instance { face, app: None, ..like });
                let group = self.names.real(group);
                self.cloud.register(&group, (id, PORT), true);
            }
            Act::Turn(switch, weights) => {
                let weights = weights.iter().map(|(group, weight)| (self.names.real(group), *weight)).collect();
                let (arn, at) = (self.names.real(switch), self.cloud.now);
                self.cloud.switches.get_mut(&arn).expect("a switch").weights.set(at, weights);
            }
            Act::Capacity(subnet, left) => {
                let pool = (self.names.real(subnet), "t3.micro".to_owned());
                self.cloud.capacity.insert(pool, *left);
            }
            Act::Quota(left) => {
                let addresses = self.cloud.addresses.values();
                let there = addresses.filter(|address| address.face.now().is_some()).count();
                self.cloud.nature.addresses = there + *left as usize;
            }
            Act::Alarm(name, state) => {
                self.cloud.alarms.insert((*name).to_owned(), Past::new(self.cloud.now, *state));
            }
            Act::Start(of) => {
                let trigger = Trigger { kind: "StartPipelineExecution", detail: "a person".to_owned() };
                let id = self.engine.start(now, trigger, BTreeMap::new()).expect("started");
                self.names.bind(of, &id);
            }
            Act::Approve | Act::Reject => {
                let (_, run) = self.engine.latest_run(0, 0).expect("a run");
                let token = run.token().expect("an approval that waits").clone();
                let (approves, words) = (matches!(act, Act::Approve), "so be it".to_owned());
                self.engine.approve(now, "Release", "Approval", &token, approves, words, "a person").expect("taken");
            }
            Act::Halt(of, at_once) => {
                let id = self.names.real(of);
                self.engine.stop(now, &id, *at_once, None).expect("stopped");
            }
        }
    }
}
