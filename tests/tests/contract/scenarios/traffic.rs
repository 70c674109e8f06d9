//! Targets, their health, and the switches.

use crate::scenario::{
    Act, Move, NOBODY, PORT, Scenario, Steps, deploy, deregister, filter, point, register, shift, stop, terminate,
    unseen, with,
};
use serde_json::json;
use tagship::{AlarmState, Step};
use tagship_sim::cloud::Build;

pub(crate) fn all() -> Vec<Scenario> {
    vec![targets(), healths(), switches(), test_traffic(), alarms(), unused(), strangers()]
}

/// What CloudWatch says of the alarms that the settings name.
fn alarms() -> Scenario {
    let is = |name: &'static str, state: AlarmState| Move::Act(Act::Alarm(name, state));
    Scenario::new("ALARMED", json!({"ALARMS": ["web-5xx", "web-p99"]}), &["r1", "r2"], |steps| {
        vec![
            unseen(is("web-5xx", AlarmState::Ok)),
            unseen(is("web-p99", AlarmState::NoData)),
            Move::Act(Act::Look),
            steps.take("r1"),
            is("web-5xx", AlarmState::Alarm),
            is("web-p99", AlarmState::Ok),
            Move::Act(Act::Look),
        ]
    })
}

/// A rule for test traffic is led to the other group, and back; it is no switch.
fn test_traffic() -> Scenario {
    Scenario::usual("TESTED", |_| {
        vec![
            Move::Act(Act::Look),
            point("a", "b"),
            point("a", "b"),
            shift("http", (100, 0), (0, 100)),
            Move::Act(Act::Look),
            point("b", "a"),
            Move::Act(Act::Look),
        ]
    })
}

/// A fleet with its artifact installed.
fn serving(steps: &Steps, count: u32) -> Vec<Move> {
    let mut moves = steps.fleet("r1", count);
    moves.extend([filter("r1"), deploy("r1", "artifact1"), Move::Act(Act::Install)]);
    moves
}

/// Targets are registered, deregistered, registered again while they drain, and gone.
fn targets() -> Scenario {
    Scenario::usual("TARGETS", |steps| {
        let nowhere = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/nowhere/0123456789abcdef";
        with(
            serving(steps, 2),
            [
                steps.launch("r1", "subnet-b", 1, "late"),
                register("b", "instance3"),
                register("b", NOBODY),
                register("b", &format!("instance1 {NOBODY}")),
                register(nowhere, "instance1"),
                deregister(nowhere, "instance1"),
                register("b", "instance1 instance2"),
                register("b", "instance1"),
                Move::Act(Act::Check),
                register("b", "instance1"),
                Move::Act(Act::Look),
                deregister("a", "instance1"),
                deregister("b", "instance1"),
                deregister("b", "instance1"),
                register("b", "instance1"),
                Move::Act(Act::Check),
                // The end of the deregistration delay doesn't end the target that has come back meanwhile.
                Move::Act(Act::Drain),
                deregister("b", "instance1 instance2"),
                Move::Act(Act::Drain),
                register("a", "instance1"),
                register("b", "instance1"),
                Move::Act(Act::Check),
                terminate("instance1"),
                Move::Act(Act::Settle),
                register("a", "instance1"),
                Move::Act(Act::Drain),
                Move::Act(Act::Look),
            ],
        )
    })
}

/// What the balancer finds.
fn healths() -> Scenario {
    Scenario::usual("HEALTHS", |steps| {
        with(
            serving(steps, 3),
            [
                register("a", "instance1 instance2 instance3"),
                Move::Act(Act::Check),
                Move::Act(Act::Sicken("instance1")),
                Move::Act(Act::Check),
                unseen(Move::Act(Act::Die("instance2"))),
                Move::Act(Act::Check),
                Move::Act(Act::Drain),
                // Stopped, but not looked at yet.
                unseen(stop("instance3")),
                Move::Act(Act::Check),
                Move::Act(Act::Settle),
                Move::Act(Act::Look),
                deregister("a", "instance3"),
                Move::Act(Act::Drain),
                Move::Act(Act::Build("r2", Build::Unhealthy)),
                steps.launch("r2", "subnet-a", 1, "r2"),
                Move::Act(Act::Boot),
                filter("r2"),
                deploy("r2", "artifact1"),
                Move::Act(Act::Install),
                register("b", "instance4"),
                Move::Act(Act::Check),
            ],
        )
    })
}

/// Weights move by comparison with what was seen; the rest of a switch stays.
fn switches() -> Scenario {
    Scenario::usual("SWITCHES", |steps| {
        let unknown = shift(
            "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener-rule/app/x/0123456789abcdef/1/2",
            (100, 0),
            (0, 100),
        );
        vec![
            steps.take("r1"),
            shift("http", (0, 100), (100, 0)),
            unknown,
            shift("http", (100, 0), (0, 100)),
            shift("http", (100, 0), (0, 100)),
            shift("https", (100, 0), (50, 50)),
            shift("default", (100, 0), (0, 100)),
            Move::Act(Act::Look),
            Move::Act(Act::Turn("default", &[("a", 0), ("b", 999)])),
            shift("default", (0, 100), (100, 0)),
            shift("default", (0, 999), (100, 0)),
            // A person changes weights, and no look sees it before the shift.
            unseen(Move::Act(Act::Turn("http", &[("a", 70), ("b", 30)]))),
            shift("http", (0, 100), (100, 0)),
            unseen(Move::Act(Act::Turn("http", &[("a", 70), ("b", 30)]))),
            shift("http", (70, 30), (100, 0)),
            // Somebody else's group keeps its share.
            Move::Act(Act::Turn("http", &[("a", 100), ("other", 7), ("b", 0)])),
            shift("http", (100, 0), (0, 100)),
            Move::Act(Act::Turn("http", &[("other", 1)])),
            shift("http", (0, 100), (100, 0)),
            Move::Act(Act::Turn("https", &[("a", 100)])),
            shift("https", (100, 0), (0, 100)),
            Move::Act(Act::Look),
        ]
    })
}

/// A group in no switch is not checked.
fn unused() -> Scenario {
    Scenario::usual("UNUSED", |steps| {
        let alone = |switch| unseen(Move::Act(Act::Turn(switch, &[("a", 1)])));
        with(
            serving(steps, 2),
            [
                register("b", "instance1"),
                Move::Act(Act::Check),
                alone("http"),
                alone("https"),
                alone("default"),
                Move::Act(Act::Check),
                unseen(Move::Act(Act::Turn("default", &[("a", 100), ("b", 0)]))),
                Move::Act(Act::Check),
                alone("default"),
                Move::Act(Act::Check),
                deregister("b", "instance1"),
                Move::Act(Act::Drain),
                Move::Act(Act::Look),
            ],
        )
    })
}

/// What isn't the service's, and another port.
fn strangers() -> Scenario {
    Scenario::usual("STRANGERS", |steps| {
        let port = PORT + 1;
        let beside = Step::Register { group: "b".to_owned(), instances: vec!["instance1".to_owned()], port };
        with(
            serving(steps, 1),
            [
                register("b", "instance1"),
                Move::Act(Act::Stranger("b")),
                Move::Act(Act::Check),
                deregister("b", "instance2"),
                Move::Step(beside),
                Move::Act(Act::Check),
                deregister("b", "instance1"),
                Move::Act(Act::Drain),
                Move::Act(Act::Look),
            ],
        )
    })
}
