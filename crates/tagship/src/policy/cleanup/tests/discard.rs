//! Situations of discard, and what is decided in each.

use super::*;

#[test]
fn discard() {
    let discard = |change: fn(&mut Case), expected| check(Action::Discard, ending(change), expected);
    check(Action::Discard, |_| {}, "do: write the hold of r0000002: Ending");
    discard(|case| case.world.routing = world().routing.map(|routing| moved(routing, 1)), "wait: rollback to take");
    // Somebody registered one of its instances beside its predecessor's: it serves, so it stays.
    fn beside(case: &mut Case) {
        case.world.routing.as_mut().expect("routing").groups[0].targets.push(target(2, 1));
    }
    discard(beside, "do: deregister i-22 from arn:b");
    discard(
        |case| {
            beside(case);
            case.drained(1);
            case.world.names = named(names::Names::Live, 1);
        },
        "do: terminate i-22",
    );
    // A pair that is none doesn't tell who serves: nothing is removed.
    discard(
        |case| drop(case.world.routing.as_mut().expect("routing").groups.pop()),
        "fail: TARGET_GROUP tag:tagship:service=WEB_PRODUCT must find exactly two target groups; it found 1",
    );
    discard(
        |case| case.memory.weightless_since = None,
        "wait: the load balancer to use the new weights everywhere, 15 s",
    );
    // Rollback may have moved the weight at the end of a long look.
    discard(
        |case| {
            case.memory.weightless_since = None;
            case.world.seen = at(120);
        },
        "wait: the load balancer to use the new weights everywhere, 35 s",
    );
    // It may have had weight while nobody could look.
    discard(|case| case.began = at(95), "wait: the load balancer to use the new weights everywhere, 10 s");
    discard(|_| {}, "do: deregister i-21, i-22 from arn:b");
    // Never shifted: it may go at once, but the last look is later.
    discard(unshifted, "do: deregister i-21, i-22 from arn:b");
    discard(marked, "do: deregister i-21, i-22 from arn:b");
    discard(marked_and_bare, "do: delete the hold");
    // A deployment is stopped even if its instances are all gone: it would keep the next one waiting.
    discard(
        |case| {
            case.state(2, InstanceState::Terminated);
            case.world.deployment = Some(Deployment {
                id: "d-1".to_owned(),
                state: DeploymentState::Running,
                created_at: at(0),
                error: None,
                targets: Vec::new(),
                overview: String::new(),
                begun: true,
            });
        },
        "do: stop deployment d-1",
    );
    // Rollback died between the weights and the names.
    discard(
        |case| {
            case.drained(1);
            case.world.names = named(names::Names::Live, 2);
        },
        "do: change 3 names in cd.internal",
    );
    fn gone(case: &mut Case) {
        case.drained(1);
        case.state(2, InstanceState::Terminated);
        case.world.names = named(names::Names::Live, 1);
    }
    discard(
        |case| {
            unshifted(case);
            gone(case);
        },
        "wait: the load balancer",
    );
    discard(gone, "do: mark r0000002 as discarded");
    check(Action::Discard, |case| case.holding = Holding::default(), "do: mark r0000002 as discarded, then done");
    check(Action::Discard, approved(|_| {}), "do: deregister i-11, i-12 from arn:a");
    // Approved, then somebody turned the switches back to what it was to replace: both stay.
    fn turned(case: &mut Case, ended_at: i64) {
        case.world.routing = world().routing;
        let execution = Execution { state: ExecutionState::Ended, updated_at: Some(at(ended_at)), build: None };
        case.world.holder = Some(execution);
    }
    let left = "wait: every switch to give its weight to this release again, 100 s more";
    check(Action::Discard, approved(|case| turned(case, -100)), left);
    check(Action::Discard, approved(|case| turned(case, -200)), "do: mark r0000002 as kept");
}

#[test]
fn what_failed_is_kept_for_a_postmortem() {
    let discard = |change: fn(&mut Case), expected: &str| check(Action::Discard, kept(change), expected);
    // Out of every group first, after what a late call may have registered; and the live names don't lead there.
    discard(
        |case| case.memory.weightless_since = None,
        "wait: the load balancer to use the new weights everywhere, 15 s",
    );
    discard(
        |case| {
            unshifted(case);
            case.memory.weightless_since = None;
        },
        "wait: the load balancer to use the new weights everywhere, 15 s",
    );
    discard(|case| case.world.routing = world().routing, "do: deregister i-21, i-22 from arn:b");
    discard(|case| case.world.names = named(names::Names::Live, 2), "do: change 3 names in cd.internal");
    let told =
        "release r0000002 of WEB_PRODUCT is in no target group any more; its instances (i-21, i-22) are kept until";
    discard(
        |_| {},
        &format!(
            "do: write the hold of r0000002: Ending, previous r0000001 with 2 healthy, moved at …, then done: {told} 1970-01-12T13:58:20Z (TIMEOUTS.POSTMORTEM)"
        ),
    );
    // A short time is waited for.
    discard(|case| case.hold().settings.timeouts.postmortem_secs = 60, "do: write the hold of r0000002: Ending, …");
    discard(
        |case| case.hold().kept_until = Some(at(160)),
        "wait: the time of release r0000002 to be over: its instances",
    );
    discard(|case| case.hold().kept_until = Some(at(700)), &format!("done: {told} 1970-01-12T13:58:20Z"));
    // Then it goes; so it does once a person has terminated it, and it is never kept twice.
    discard(|case| case.hold().kept_until = Some(at(100)), "do: change 3 names in cd.internal");
    fn gone(case: &mut Case) {
        case.state(2, InstanceState::Terminated);
        case.world.names = named(names::Names::Live, 1);
    }
    discard(
        |case| {
            case.hold().kept_until = Some(at(700));
            gone(case);
        },
        "do: mark r0000002 as discarded",
    );
    discard(gone, "do: mark r0000002 as discarded");
    // Nothing else is kept.
    check(Action::Park, kept(|case| case.drained(0)), "do: change");
    check(
        Action::Discard,
        |case| {
            kept(|_| {})(case);
            marked(case);
        },
        "do: change",
    );
}

#[test]
fn test_traffic_is_led_to_what_is_live_before_anything_goes() {
    fn tested(case: &mut Case, group: &str) {
        case.hold().group = Some("arn:b".to_owned());
        case.world.routing.as_mut().expect("routing").tests = vec![test_rule(&[group])];
    }
    check(Action::Discard, ending(|case| tested(case, "b")), "do: lead HTTPS:443 rule 9 to arn:a");
    // It may have led to the release a moment ago, even where no weight has.
    check(
        Action::Discard,
        ending(|case| {
            tested(case, "a");
            case.hold().previous = None;
            case.memory.weightless_since = Some(at(90));
        }),
        "wait: the load balancer to use the new weights everywhere, 5 s more",
    );
    check(Action::Discard, ending(|case| tested(case, "a")), "do: deregister i-21, i-22 from arn:b");
    check(Action::Retire, approved(|case| tested(case, "a")), "do: lead HTTPS:443 rule 9 to arn:b");
    check(
        Action::Retire,
        approved(|case| tested(case, "b")),
        "wait: the load balancer to use the new weights everywhere, 15 s more",
    );
    check(
        Action::Retire,
        approved(|case| {
            tested(case, "b");
            case.memory.tested_since = Some(at(80));
        }),
        "do: deregister i-11, i-12 from arn:a",
    );
}
