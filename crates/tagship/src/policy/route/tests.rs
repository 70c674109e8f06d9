//! Situations of shift and rollback, and what is decided in each.

use super::*;
use crate::testing::*;
use crate::{
    Action, Back, Decision, Ended, Enrolled, Health, Hold, Holding, HowEnded, Phase, Roster, Step, World, names,
};
use std::ops::ControlFlow::Break;

mod comparison;
mod guard;
mod hooks;
mod steps;

/// What a row changes of the usual middle of a release (1 live in a, 2 the candidate in b).
struct Case {
    holding: Holding,
    world: World,
    shift: ShiftMemory,
    rollback: RollbackMemory,
}

impl Case {
    fn hold(&mut self) -> &mut Hold {
        &mut self.holding.held.as_mut().expect("a hold").hold
    }

    /// The roster says that release 2 is live: rollback writes that where nothing can be restored.
    fn enroll(&mut self) {
        let roster = Roster::of(&hold(2), &self.world.instances[2..]);
        self.world.roster = Some(Box::new(Enrolled { roster, etag: "roster".to_owned() }));
    }

    fn shifted(&mut self) {
        let hold = self.hold();
        hold.previous = Some(Previous { release: Some(release(1)), healthy: 2 });
        hold.moved_at = Some(at(90));
        self.moved(2);
        self.world.names = named(names::Names::Live, 2);
    }

    fn goes_back(&mut self, why: &str) {
        self.hold().back = Some(Back { why: why.to_owned(), at: at(95) });
    }

    fn moved(&mut self, switches: usize) {
        self.world.routing = self.world.routing.take().map(|routing| moved(routing, switches));
    }

    fn sick(&mut self, group: usize, targets: usize) {
        let routing = self.world.routing.as_mut().expect("routing");
        for target in routing.groups[group].targets.iter_mut().take(targets) {
            target.health = Health::Unhealthy;
            target.reason = Some("Target.Timeout".to_owned());
        }
    }
}

fn check(action: Action, change: impl FnOnce(&mut Case), expected: &str) {
    let (shift, rollback) = Default::default();
    let mut case = Case { holding: held(hold(2)), world: world(), shift, rollback };
    case.enroll();
    change(&mut case);
    let found = match action {
        Action::Rollback => ask::<Rollback>(&case.holding, &case.world, (at(0), 0), &mut case.rollback),
        Action::Guard => ask::<Guard>(&case.holding, &case.world, (at(0), 0), &mut GuardMemory::default()),
        _ => ask::<Shift>(&case.holding, &case.world, (at(0), 0), &mut case.shift),
    };
    assert!(found.starts_with(expected), "expected {expected:?}…\n   found {found:?}");
}

#[test]
fn shift() {
    let shift = |change: fn(&mut Case), expected| check(Action::Shift, change, expected);
    shift(|_| {}, "do: write the hold of r0000002: Open, previous r0000001 with 2 healthy");
    let previous = Some(Previous { release: Some(release(1)), healthy: 2 });
    check(Action::Shift, |case| case.hold().previous = previous.clone(), "do: set HTTP:80 to arn:b=100, arn:a=0");
    // Moved by hand and dead: even so, discard must know that there was weight.
    shift(
        |case| {
            case.moved(1);
            case.sick(1, 2);
            case.shift.ailing_looks = 1;
        },
        "do: write the hold of r0000002: Open, previous r0000001 with 2 healthy",
    );
    let half = |case: &mut Case| {
        case.hold().previous = previous.clone();
        case.moved(1);
    };
    check(Action::Shift, half, "do: set HTTPS:443 to arn:b=100, arn:a=0");
    let all = |case: &mut Case| {
        case.hold().previous = previous.clone();
        case.moved(2);
    };
    check(Action::Shift, all, "do: write the hold of r0000002: Open, previous r0000001 with 2 healthy, moved at");
    // A candidate that isn't whole, seen twice.
    shift(|case| case.sick(1, 1), "wait: a second look");
    let twice = |case: &mut Case| {
        case.sick(1, 1);
        case.shift.ailing_looks = 1;
    };
    check(
        Action::Shift,
        twice,
        "fail: release r0000002 of WEB_PRODUCT is no longer healthy, so no traffic was moved to it: 1 of 2 targets in \
         web-b is healthy: i-21 unhealthy (Target.Timeout)",
    );
    shift(
        |case| {
            case.world.routing.as_mut().expect("routing").groups[1].targets.push(target(3, 1));
            case.shift.ailing_looks = 1;
        },
        "fail: release r0000002 of WEB_PRODUCT is no longer healthy, so no traffic was moved to it: target group web-b \
         also has targets that aren't this release's: i-31",
    );
    // All switches have moved, which isn't written down yet: that too is given back, and then told.
    fn dies(case: &mut Case) {
        case.hold().previous = Some(Previous { release: Some(release(1)), healthy: 2 });
        case.sick(1, 1);
        case.shift.ailing_looks = 1;
    }
    shift(
        |case| {
            dies(case);
            case.moved(2);
        },
        "do: write the hold of r0000002: Open, previous r0000001 with 2 healthy, back: the candidate failed while the \
         switches moved to it (1 of 2 targets in web-b is healthy",
    );
    shift(
        |case| {
            dies(case);
            case.moved(2);
            case.goes_back("i-21 has died");
        },
        "do: set HTTP:80 to arn:a=100, arn:b=0",
    );
    shift(
        |case| {
            dies(case);
            case.goes_back("i-21 has died");
        },
        "fail: i-21 has died: the traffic is back with r0000001",
    );
    // The first release ever.
    shift(
        |case| {
            case.world.instances.drain(..2);
            case.world.routing.as_mut().expect("routing").groups[0].targets.clear();
        },
        "do: write the hold of r0000002: Open, previous none with 0 healthy",
    );
}

#[test]
fn the_watch() {
    let watch = |change: fn(&mut Case), expected| {
        check(
            Action::Shift,
            |case| {
                case.shifted();
                change(case);
            },
            expected,
        );
    };
    watch(|_| {}, "wait: 20 s more of watching: 2 of 2 targets healthy");
    watch(|case| case.world.now = at(120), "done: r0000002 of WEB_PRODUCT is live on every switch");
    watch(|case| case.world.names = named(names::Names::Live, 1), "do: change");
    watch(|case| case.sick(1, 1), "wait: a second look at the release: 1 of 2");
    // The watch ends only on a good look.
    watch(
        |case| {
            case.sick(1, 1);
            case.world.now = at(120);
        },
        "wait: a second look at the release: 1 of 2",
    );
    watch(
        |case| {
            case.sick(1, 1);
            case.shift.ailing_looks = 1;
        },
        "do: write the hold of r0000002: Open, previous r0000001 with 2 healthy, back: the release failed while it was \
         watched (1 of 2",
    );
    watch(
        |case| {
            case.sick(1, 1);
            case.goes_back("i-21 has died");
        },
        "do: set HTTP:80 to arn:a=100, arn:b=0",
    );
    // Half of it is the predecessor's still, by hand, which can't serve: of a shift at once, rollback decides that.
    watch(
        |case| {
            case.sick(0, 2);
            case.moved(0);
            case.world.routing.as_mut().expect("routing").switches[1].weights =
                vec![("arn:a".to_owned(), 100), ("arn:b".to_owned(), 0)];
            case.goes_back("i-21 has died");
        },
        "fail: i-21 has died, and nothing can be restored: r0000001 has 0 healthy targets",
    );
    watch(|case| case.sick(1, 2), "wait: a second look at the release: 0 of 2");
    watch(
        |case| {
            case.sick(1, 2);
            case.goes_back("both have died");
        },
        "do: set HTTP:80 to arn:a=100, arn:b=0",
    );
    watch(
        |case| {
            case.sick(0, 2);
            case.sick(1, 2);
            case.goes_back("both have died");
        },
        "fail: both have died, and nothing can be restored: r0000001 has 0 healthy targets",
    );
    // While all is well, nothing else is looked at; after a look at which it wasn't, all is.
    fn routed(case: &mut Case) {
        case.hold().group = Some("arn:b".to_owned());
        case.shift.named = true;
        case.world.read = crate::Parts::ROUTING;
    }
    watch(routed, "wait: 20 s more of watching: 2 of 2 targets healthy");
    watch(
        |case| {
            routed(case);
            case.shift.ailing_looks = 1;
        },
        "look: ",
    );
    // Half moved back by an invocation that died, or by a person.
    check(
        Action::Shift,
        |case| {
            case.shifted();
            case.world.routing = world().routing.map(|routing| moved(routing, 1));
        },
        "wait: a second look at the switches",
    );
    check(
        Action::Shift,
        |case| {
            case.shifted();
            case.shift.away_looks = 1;
            case.world.routing = world().routing.map(|routing| moved(routing, 1));
        },
        "do: write the hold of r0000002: Open, previous r0000001 with 2 healthy, back: somebody moved a switch away",
    );
    // Given back by this watch: the cause is told when the weights are where they were.
    check(
        Action::Shift,
        |case| {
            case.shifted();
            case.world.routing = world().routing;
            case.world.names = named(names::Names::Live, 1);
            case.goes_back("i-21 has died");
        },
        "fail: i-21 has died: the traffic is back with r0000001",
    );
    // A predecessor that was smaller asks for no more than it had.
    watch(
        |case| {
            case.hold().previous = Some(Previous { release: Some(release(1)), healthy: 1 });
            case.sick(1, 1);
            case.shift.ailing_looks = 5;
        },
        "wait: 20 s more",
    );
}

#[test]
fn rollback() {
    let rollback = |change: fn(&mut Case), expected| {
        check(
            Action::Rollback,
            |case| {
                case.shifted();
                case.hold().phase = Phase::Ending;
                change(case);
            },
            expected,
        );
    };
    check(Action::Rollback, |_| {}, "do: write the hold of r0000002: Ending");
    rollback(|_| {}, "do: set HTTP:80 to arn:a=100, arn:b=0");
    rollback(
        |case| {
            case.world.routing = world().routing;
            case.world.names = named(names::Names::Live, 2);
        },
        "do: change",
    );
    rollback(
        |case| {
            case.world.routing = world().routing;
            case.world.names = named(names::Names::Live, 1);
        },
        "done: r0000002 of WEB_PRODUCT rolled back: r0000001 serves",
    );
    // Moved by hand before the shift: discard waits for SETTLE only if it knows that there was weight.
    rollback(|case| case.hold().previous = None, "do: write the hold of r0000002: Ending, previous r0000001");
    // One of two is half of what it had: good enough.
    rollback(|case| case.sick(0, 1), "do: set HTTP:80 to arn:a=100, arn:b=0");
    // One of three is less, and fewer than the candidate has: not good enough …
    fn fewer(case: &mut Case) {
        case.hold().previous = Some(Previous { release: Some(release(1)), healthy: 3 });
        case.sick(0, 1);
    }
    rollback(fewer, "wait: r0000001, which has 1 healthy target and had 3");
    // … but enough if the candidate has no more.
    rollback(
        |case| {
            fewer(case);
            case.sick(1, 1);
        },
        "do: set HTTP:80 to arn:a=100, arn:b=0",
    );
    // A person split one switch and made the other sticky: both go back all the same.
    rollback(
        |case| {
            let switches = &mut case.world.routing.as_mut().expect("routing").switches;
            switches[0].weights = vec![("arn:a".to_owned(), 10), ("arn:b".to_owned(), 90)];
        },
        "do: set HTTP:80 to arn:a=100, arn:b=0",
    );
    rollback(
        |case| {
            let switches = &mut case.world.routing.as_mut().expect("routing").switches;
            switches[0].weights = vec![("arn:a".to_owned(), 100), ("arn:b".to_owned(), 0)];
            switches[1].sticky = true;
        },
        "do: set HTTPS:443 to arn:a=100, arn:b=0, group stickiness off",
    );
    // A rule that names the candidate alone is told once the others are back.
    fn alone(case: &mut Case) {
        let switches = &mut case.world.routing.as_mut().expect("routing").switches;
        switches[0].weights = vec![("arn:b".to_owned(), 1)];
    }
    rollback(alone, "do: set HTTPS:443 to arn:a=100, arn:b=0");
    rollback(
        |case| {
            case.world.routing = world().routing;
            alone(case);
        },
        "fail: release r0000002 was rejected or failed, and every switch that can be moved back serves \
         r0000001 again. These can't go back by themselves: change them by hand. Rollback then goes on by itself:\n- HTTP:80 forwards to web-b only",
    );
    let dead = |case: &mut Case| {
        case.sick(0, 2);
        case.rollback.hopeless_looks = 2;
    };
    rollback(
        |case| {
            case.sick(0, 2);
            case.rollback.hopeless_looks = 2;
        },
        "do: mark r0000002 as kept",
    );
    check(
        Action::Rollback,
        |case| {
            case.shifted();
            case.hold().phase = Phase::Ending;
            case.world.routing = world().routing.map(|routing| moved(routing, 1));
            dead(case);
        },
        "do: set HTTPS:443 to arn:b=100, arn:a=0",
    );
    // A late call registered it in its predecessor's group too: that group is home all the same.
    rollback(
        |case| {
            let targets = &mut case.world.routing.as_mut().expect("routing").groups[0].targets;
            targets.extend([target(2, 1), target(2, 2)]);
        },
        "do: set HTTP:80 to arn:a=100, arn:b=0",
    );
    // Somebody registered one of its instances in the live group: that moved no traffic.
    rollback(
        |case| {
            case.hold().previous = None;
            case.world.routing = world().routing;
            case.world.routing.as_mut().expect("routing").groups[0].targets.push(target(2, 1));
        },
        "done: r0000002 of WEB_PRODUCT has moved no traffic",
    );
    // Never shifted: nothing to give back.
    rollback(
        |case| {
            case.hold().previous = None;
            case.world.routing = world().routing;
        },
        "done: r0000002 of WEB_PRODUCT has moved no traffic",
    );
}

/// What would refuse the next release is said where this one stays.
#[test]
fn a_switch_that_nothing_could_be_done_about_is_left_behind_by_name() {
    let left_behind = |divided: bool| {
        let mut case =
            Case { holding: held(hold(2)), world: world(), shift: Default::default(), rollback: Default::default() };
        case.shifted();
        case.hold().phase = Phase::Ending;
        let held = case.holding.held.as_mut().expect("a hold");
        held.freed = true;
        case.holding.ended = Some(Ended::of(&held.hold, HowEnded::Kept, at(99)));
        if divided {
            case.world.routing.as_mut().expect("routing").switches[1].weights =
                vec![("arn:a".to_owned(), 96), ("arn:b".to_owned(), 4)];
        }
        match decide::<Rollback>(&case.holding, &case.world, (at(0), 0), &mut case.rollback) {
            Break(Decision::Do { step: Step::DeleteHold { .. }, then: Some(done), .. }) => done.report.left_behind,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(left_behind(false).len(), 1);
    let [_, refused] = &left_behind(true)[..] else { panic!("nothing of the switch") };
    assert!(refused.starts_with("the next release will be refused") && refused.contains("HTTPS:443"), "{refused}");
}
