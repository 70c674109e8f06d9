//! The candidate's targets: whose they are, and until when they must be healthy.

use super::*;

#[test]
fn the_candidate_group_holds_this_fleet_alone() {
    let draining = |of, n| Target { health: Health::Draining, ..target(of, n) };
    let group = |settled: bool, targets: Vec<Target>, expected: &str| {
        check(
            |case| {
                *case.targets() = targets;
                if settled {
                    case.settled();
                }
            },
            expected,
        );
    };
    group(true, vec![], "do: register i-21, i-22 on port 8080 in arn:b");
    group(true, vec![target(2, 1)], "do: register i-22 on port 8080 in arn:b");
    group(true, vec![target(2, 1), draining(2, 2)], "do: register i-22 on port 8080 in arn:b");
    // Strangers leave before anybody comes, and not before their last weight has settled.
    group(true, vec![target(1, 1)], "do: deregister i-11 from arn:b");
    group(false, vec![target(1, 1)], "wait: web-b to be without weight for 15 s more");
    // It may have had weight while nobody could look.
    check(
        |case| {
            *case.targets() = vec![target(1, 1)];
            case.settled();
            case.began = at(95);
        },
        "wait: web-b to be without weight for 10 s more",
    );
    group(true, vec![target(2, 1), target(2, 2), target(9, 9)], "do: deregister i-99 from arn:b");
    group(true, vec![target(2, 1), target(2, 2), Target { port: 9, ..target(2, 1) }], "do: deregister i-21 from arn:b");
    group(true, vec![draining(1, 1)], "do: register i-21, i-22");
    check(
        |case| {
            case.hold().settings.port = Some(9_000);
            case.targets().clear();
        },
        "do: register i-21, i-22 on port 9000 in arn:b",
    );
    // 1,000 in two calls.
    check(
        |case| {
            case.settled();
            *case.targets() = (0..1_000).map(|n| Target { id: format!("i-x{n}"), ..target(1, 1) }).collect();
        },
        "do: deregister i-x0, i-x1, i-x2, i-x3, i-x4, +495 from arn:b",
    );
}

#[test]
fn every_target_must_become_healthy_in_time() {
    let ailing = |since: Option<i64>, health, reason: &'static str, expected: &str| {
        check(
            |case| {
                let target = &mut case.targets()[1];
                (target.health, target.reason) = (health, Some(reason.to_owned()));
                case.memory.registered_since = since.map(at);
            },
            expected,
        )
    };
    let case = ailing(
        None,
        Health::Initial,
        "Elb.RegistrationInProgress",
        "wait: 1 of 2 targets in web-b is healthy: i-22 initial (Elb.RegistrationInProgress)",
    );
    assert_eq!(case.memory.registered_since, Some(at(100)));
    ailing(Some(-199), Health::Unhealthy, "Target.Timeout", "wait: 1 of 2 targets in web-b");
    ailing(
        Some(-200),
        Health::Unhealthy,
        "Target.Timeout",
        "fail: after 300 s (HEALTHY) 1 of 2 targets in web-b is healthy: i-22 unhealthy (Target.Timeout). No traffic was moved",
    );
    ailing(
        None,
        Health::Unused,
        "Target.NotInUse",
        "wait: 1 of 2 targets in web-b is healthy: i-22 unused (Target.NotInUse)",
    );
}
