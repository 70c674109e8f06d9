//! Small worlds for the planners' tests. Figures are round: COUNT 2, SETTLE 15 s, WATCH 30 s, DRAIN 30 s.

pub(crate) mod schema;

use crate::engine::{Gate, Standing};
use crate::settings::Settings;
use crate::*;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::ops::ControlFlow::{Break, Continue};

/// `seconds` after the day began.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_000_000 + seconds)
}

pub(crate) fn role() -> ServiceRole {
    ServiceRole::try_from("WEB_PRODUCT".to_owned()).expect("a role")
}

/// Release `n`: `r0000001`, so that its short form tells it too.
pub(crate) fn release(n: u8) -> ReleaseId {
    ReleaseId::try_from(format!("r{n:07}")).expect("a release")
}

pub(crate) fn job(action: Action, n: u8) -> Job {
    Job { role: role(), release: release(n), pipeline: "web".to_owned(), action, input: None }
}

pub(crate) fn settings() -> Settings {
    let written = json!({
        "SUBNET": ["subnet-a", "subnet-b"], "AMI": "ami-1", "INSTANCE_TYPE": ["t3.micro", "t3a.micro"], "SG": "sg-1",
        "INSTANCE_PROFILE": "web", "DEPLOY": {"VIA": "codedeploy", "APPLICATION": "web", "GROUP": "web-product"},
        "COUNT": 2, "ZONE": "cd.internal", "PIPELINE": "web",
    });
    Settings::parse(&role(), &written.to_string()).expect("settings").settings
}

/// Release `n`'s hold, open since the day began.
pub(crate) fn hold(n: u8) -> Hold {
    Hold { checked: true, ..Hold::taken(release(n), "web".to_owned(), at(0), settings()) }
}

pub(crate) fn held(hold: Hold) -> Holding {
    Holding { held: Some(Held { hold, etag: "etag".to_owned(), freed: false }), ended: None }
}

/// Instance `i-<release><n>` of a release, running at `10.0.<release>.<n>` in one of the two subnets.
pub(crate) fn instance(of: u8, n: u8) -> Instance {
    Instance {
        id: format!("i-{of}{n}"),
        release: Some(release(of)),
        state: InstanceState::Running,
        subnet: Some(if n % 2 == 1 { "subnet-a" } else { "subnet-b" }.to_owned()),
        instance_type: "t3.micro".to_owned(),
        private_ip: Some(format!("10.0.{of}.{n}")),
        launched_at: at(i64::from(n)),
        retired_by: None,
        reason: None,
        short: false,
        client_token: Some(format!("token-{of}{n}")),
        build: None,
    }
}

/// A healthy target for `i-<release><n>`.
pub(crate) fn target(of: u8, n: u8) -> Target {
    Target { id: format!("i-{of}{n}"), port: 8080, health: Health::Healthy, reason: None, description: None }
}

/// Two switches; group `a` has the weight and these targets, group `b` those.
pub(crate) fn routing(a: Vec<Target>, b: Vec<Target>) -> Routing {
    let group =
        |name: &str, targets| Group { arn: format!("arn:{name}"), name: format!("web-{name}"), port: 8080, targets };
    let switch = |label: &str| Switch {
        arn: format!("arn:{label}"),
        default_action: false,
        label: label.to_owned(),
        weights: vec![("arn:a".to_owned(), 100), ("arn:b".to_owned(), 0)],
        sticky: false,
        sticky_secs: 0,
    };
    let (groups, switches) = (vec![group("a", a), group("b", b)], vec![switch("HTTP:80"), switch("HTTPS:443")]);
    Routing { groups, switches, untagged: std::collections::BTreeSet::new(), tests: Vec::new() }
}

/// A rule for test traffic that leads to these groups.
pub(crate) fn test_rule(groups: &[&str]) -> TestRule {
    TestRule {
        arn: "arn:test".to_owned(),
        label: "HTTPS:443 rule 9".to_owned(),
        groups: groups.iter().map(|group| format!("arn:{group}")).collect(),
        address: "https://web.example.com with header x-test".to_owned(),
        open: false,
    }
}

/// Gives the weight of the first `n` switches to group `b`.
pub(crate) fn moved(mut routing: Routing, n: usize) -> Routing {
    for switch in routing.switches.iter_mut().take(n) {
        switch.weights = vec![("arn:a".to_owned(), 0), ("arn:b".to_owned(), 100)];
    }
    routing
}

/// The usual middle of a release: 1 is live in `a`, 2 is the candidate in `b`, names as they should be.
pub(crate) fn world() -> World {
    World {
        now: at(100),
        read: Parts::ALL,
        instances: vec![instance(1, 1), instance(1, 2), instance(2, 1), instance(2, 2)],
        routing: Some(routing(vec![target(1, 1), target(1, 2)], vec![target(2, 1), target(2, 2)])),
        names: [named(names::Names::Live, 1), named(names::Names::Candidate, 2)].concat(),
        holder: Some(Execution { state: ExecutionState::Running, updated_at: Some(at(0)), build: None }),
        ..World::default()
    }
}

/// The records that a fleet of two has.
pub(crate) fn named(which: names::Names, of: u8) -> Vec<Record> {
    let ips = [format!("10.0.{of}.1"), format!("10.0.{of}.2")];
    names::toward(&[], &role(), "cd.internal", which, &ips)
        .into_iter()
        .map(|change| match change {
            NameChange::Upsert(record) | NameChange::Delete(record) => record,
        })
        .collect()
}

/// Asks a planner once, about release 2, at which it has looked since it began, and tells its answer in one line: `do: …`, `wait: …`, `done: …`, `fail: …`.
pub(crate) fn ask<P: Planner>(
    holding: &Holding,
    world: &World,
    (began, throttled_secs): (Timestamp, u32),
    memory: &mut P::Memory,
) -> String {
    told(decide::<P>(holding, world, (began, throttled_secs), memory))
}

/// The same, if nobody but an event or a command line asks, and `state` is how the release's execution stands. `began`
/// as in [`at`]; it is 100 s.
pub(crate) fn ask_directly<P: Planner>(holding: &Holding, state: Option<ExecutionState>, began: i64) -> String {
    let holder = state.map(|state| Execution { state, updated_at: None, build: None });
    let (job, world) = (job(P::ACTION, 2), World { holder, ..world() });
    let view = View::of(&world);
    let began = at(began);
    let now =
        Situation { job: &job, holding, world: view, began, throttled_secs: 0, watched_since: began, direct: true };
    told(asked::<P>(&now, &mut P::Memory::default()))
}

fn told(decided: First<Done>) -> String {
    match decided {
        Continue(done) => format!("done: {}", done.message),
        Break(Decision::Look(parts)) => format!("look: {parts:?}"),
        Break(Decision::Do { step, then: None, .. }) => format!("do: {step}"),
        Break(Decision::Do { step, then: Some(done), .. }) => format!("do: {step}, then done: {}", done.message),
        Break(Decision::Wait { why, .. }) => format!("wait: {why}"),
        Break(Decision::Yield(why)) => format!("yield: {why}"),
        Break(Decision::Done(done)) => format!("done: {}", done.message),
        Break(Decision::Fail(error)) => format!("fail: {error}"),
    }
}

/// What a planner answers about release 2.
pub(crate) fn decide<P: Planner>(
    holding: &Holding,
    world: &World,
    (began, throttled_secs): (Timestamp, u32),
    memory: &mut P::Memory,
) -> First<Done> {
    let job = job(P::ACTION, 2);
    let view = View::of(world);
    let now = Situation { job: &job, holding, world: view, began, throttled_secs, watched_since: began, direct: false };
    asked::<P>(&now, memory)
}

fn asked<P: Planner>(now: &Situation<'_>, memory: &mut P::Memory) -> First<Done> {
    match P::admit(Standing::of(&now.job.release, now.holding)) {
        Gate::Admit(entry) => P::decide(now, entry, memory),
        Gate::Nothing(why) | Gate::Refuse(why) => panic!("{} isn't admitted: {why}", P::ACTION),
    }
}
