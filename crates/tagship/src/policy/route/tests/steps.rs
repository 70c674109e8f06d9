//! Situations of a shift in steps, 10 % for 300 s and 50 % for 600 s, and what is decided in each.

use super::*;
use crate::settings::{Shift as Plan, ShiftStep};
use crate::{ExecutionState, Split};
use std::collections::BTreeMap;

impl Case {
    /// A shift in steps that is to begin.
    fn in_steps(&mut self) {
        let step = |percent, bake_secs| ShiftStep { percent, bake_secs };
        let hold = self.hold();
        hold.settings.shift = Plan { steps: vec![step(10, 300), step(50, 600)] };
        hold.group = Some("arn:b".to_owned());
    }

    /// This step, given to the first `switches` of two; `since` when it stands.
    pub(super) fn at_step(&mut self, step: usize, switches: usize, since: Option<i64>) {
        self.in_steps();
        let shares = [0, 10, 50, 100];
        let hold = self.hold();
        hold.previous = Some(Previous { release: Some(release(1)), healthy: 2 });
        let old = BTreeMap::from([("arn:HTTP:80".to_owned(), 100), ("arn:HTTPS:443".to_owned(), 100)]);
        let (from, to, since) = (vec![shares[step]], shares[step + 1], since.map(at));
        hold.split = Some(Split { step, from, to, since, old, stood: Vec::new() });
        for (n, switch) in self.switches().iter_mut().enumerate() {
            let percent = shares[if n < switches { step + 1 } else { step }];
            switch.weights = vec![("arn:a".to_owned(), 100 - percent), ("arn:b".to_owned(), percent)];
        }
    }

    fn switches(&mut self) -> &mut [crate::Switch] {
        &mut self.world.routing.as_mut().expect("routing").switches
    }
}

fn shift(change: fn(&mut Case), expected: &str) {
    check(Action::Shift, change, expected);
}

#[test]
fn a_step_is_given_to_every_switch_and_then_written_down() {
    let hold = "do: write the hold of r0000002: Open, previous r0000001 with 2 healthy";
    shift(|case| case.in_steps(), &format!("{hold}, 10 % is given"));
    shift(|case| case.at_step(0, 0, None), "do: set HTTP:80 to arn:b=10, arn:a=90");
    shift(|case| case.at_step(0, 1, None), "do: set HTTPS:443 to arn:b=10, arn:a=90");
    shift(|case| case.at_step(0, 2, None), &format!("{hold}, 10 % stands"));
    shift(|case| case.at_step(0, 2, Some(0)), "wait: 10 % on 2 switches, 3 min 20 s more; 2 of 2 targets healthy");
    shift(|case| case.at_step(0, 2, Some(-200)), &format!("{hold}, 50 % is given"));
    shift(|case| case.at_step(1, 0, None), "do: set HTTP:80 to arn:b=50, arn:a=50");
    shift(|case| case.at_step(1, 2, Some(-500)), &format!("{hold}, 100 % is given"));
    shift(|case| case.at_step(2, 1, None), "do: set HTTPS:443 to arn:b=100, arn:a=0");
    shift(|case| case.at_step(2, 2, None), &format!("{hold}, 100 % is given, moved at"));
}

#[test]
fn weights_that_ops_chose_are_kept() {
    fn of_one(case: &mut Case) {
        for switch in case.switches() {
            for (_, weight) in &mut switch.weights {
                *weight /= 100;
            }
        }
        for old in case.hold().split.as_mut().expect("a split").old.values_mut() {
            *old = 1;
        }
    }
    shift(
        |case| {
            case.at_step(0, 0, None);
            of_one(case);
        },
        "do: set HTTP:80 to arn:b=10, arn:a=90",
    );
    // At the end each has its old number again, forward and back.
    shift(
        |case| {
            case.at_step(2, 0, None);
            case.hold().split.as_mut().expect("a split").old.values_mut().for_each(|old| *old = 1);
        },
        "do: set HTTP:80 to arn:b=1, arn:a=0",
    );
    shift(
        |case| {
            case.at_step(1, 2, Some(0));
            case.hold().split.as_mut().expect("a split").old.values_mut().for_each(|old| *old = 1);
            case.goes_back("an alarm");
        },
        "do: set HTTP:80 to arn:a=1, arn:b=0",
    );
    // 200 divides.
    shift(
        |case| {
            case.at_step(0, 0, None);
            case.hold().split.as_mut().expect("a split").old.values_mut().for_each(|old| *old = 200);
            case.switches().iter_mut().for_each(|switch| switch.weights[0].1 = 200);
        },
        "do: set HTTP:80 to arn:b=20, arn:a=180",
    );
    // Where others have weight too, what doesn't divide is refused before anything moves.
    shift(
        |case| {
            case.in_steps();
            for switch in case.switches() {
                switch.weights = vec![("arn:a".to_owned(), 1), ("arn:b".to_owned(), 0), ("arn:c".to_owned(), 1)];
            }
        },
        "fail: SHIFT's steps don't fit the switches:\n- HTTP:80 also gives weight to groups that aren't the pair's",
    );
}

#[test]
fn what_a_person_changes_sends_the_traffic_back() {
    let back = "do: write the hold of r0000002: Open, previous r0000001 with 2 healthy, 50 % stands, back: somebody \
                changed HTTP:80 while the shift was at 50 %: web-b has 60, web-a has 40";
    fn sixty(case: &mut Case) {
        case.at_step(1, 2, Some(0));
        case.switches()[0].weights = vec![("arn:a".to_owned(), 40), ("arn:b".to_owned(), 60)];
    }
    shift(sixty, "wait: a second look at the switches: somebody changed HTTP:80");
    shift(
        |case| {
            sixty(case);
            case.shift.away_looks = 1;
        },
        back,
    );
    // Just after the step, those of the step before are a late call's: it is given again.
    shift(|case| case.at_step(1, 1, Some(90)), "do: set HTTPS:443 to arn:b=50, arn:a=50");
    shift(|case| case.at_step(0, 1, Some(90)), "wait: a second look at the switches: somebody changed HTTPS:443");
    // Later they are a person's.
    shift(|case| case.at_step(1, 1, Some(0)), "wait: a second look at the switches: somebody changed HTTPS:443");
    shift(
        |case| {
            case.at_step(0, 2, Some(0));
            let stopping = |it: crate::Execution| crate::Execution { state: ExecutionState::Stopping, ..it };
            case.world.holder = case.world.holder.take().map(stopping);
        },
        "do: write the hold of r0000002: Open, previous r0000001 with 2 healthy, 10 % stands, back: somebody stopped",
    );
    // Written down: every switch goes back, then it is told, whatever the alarm says by now.
    shift(
        |case| {
            case.at_step(1, 2, Some(0));
            case.goes_back("an alarm");
        },
        "do: set HTTP:80 to arn:a=100, arn:b=0",
    );
    shift(
        |case| {
            case.at_step(0, 0, None);
            case.goes_back("an alarm");
        },
        "fail: an alarm: the traffic is back with r0000001",
    );
}

#[test]
fn health_while_the_traffic_is_divided() {
    let previous = "do: write the hold of r0000002: Open, previous r0000001 with 2 healthy";
    // The watch's own bar, on two looks.
    fn ailing(case: &mut Case) {
        case.at_step(0, 2, Some(0));
        case.sick(1, 1);
    }
    shift(ailing, "wait: a second look at the release: it has 1 healthy target, its predecessor 2");
    shift(
        |case| {
            ailing(case);
            case.shift.ailing_looks = 1;
        },
        &format!("{previous}, 10 % stands, back: the release failed with 10 % of the traffic (1 of 2"),
    );
    // Above that bar, but not whole: it waits before the next step, and goes back after TIMEOUTS.HEALTHY.
    fn part(case: &mut Case) {
        case.at_step(0, 2, Some(-200));
        case.hold().previous = Some(Previous { release: Some(release(1)), healthy: 1 });
        case.sick(1, 1);
    }
    shift(part, "wait: all of the release to be healthy before the next step (5 min): 1 of 2 targets");
    shift(
        |case| {
            part(case);
            case.shift.unwhole_since = Some(at(-200));
        },
        "do: write the hold of r0000002: Open, previous r0000001 with 1 healthy, 10 % stands, back: not all of the release",
    );
    // A predecessor that can't serve: everything goes to the release, seen twice, or from the start.
    shift(
        |case| {
            case.at_step(0, 2, Some(0));
            case.sick(0, 2);
        },
        "wait: a second look at the predecessor",
    );
    shift(
        |case| {
            case.at_step(0, 2, Some(0));
            case.sick(0, 2);
            case.shift.lone_looks = 1;
        },
        &format!("{previous}, 100 % is given"),
    );
    shift(
        |case| {
            case.in_steps();
            case.sick(0, 2);
        },
        "do: write the hold of r0000002: Open, previous r0000001 with 0 healthy, 100 % is given",
    );
    // Both ail: to whichever has more, whole or not.
    fn both(case: &mut Case) {
        case.at_step(1, 1, None);
        case.sick(1, 1);
        case.sick(0, 2);
        case.shift.ailing_looks = 1;
    }
    shift(both, &format!("{previous}, 100 % is given"));
    shift(
        |case| {
            both(case);
            let split = case.hold().split.as_mut().expect("a split");
            (split.step, split.to, split.from) = (2, 100, vec![10, 50]);
        },
        "do: set HTTP:80 to arn:b=100, arn:a=0",
    );
    // Going back, when the predecessor dies as well.
    shift(
        |case| {
            both(case);
            case.goes_back("an alarm");
        },
        "do: set HTTP:80 to arn:b=100, arn:a=0",
    );
}

#[test]
fn a_switch_is_left_to_one_of_two_that_are_dead() {
    fn dead(case: &mut Case) {
        case.at_step(0, 2, Some(0));
        case.hold().phase = Phase::Ending;
        case.sick(0, 2);
        case.sick(1, 2);
        case.rollback.hopeless_looks = 2;
    }
    check(Action::Rollback, dead, "do: set HTTP:80 to arn:a=100, arn:b=0");
    check(
        Action::Rollback,
        |case| {
            dead(case);
            case.world.routing = world().routing;
            case.sick(0, 2);
        },
        "done: r0000002 of WEB_PRODUCT rolled back: r0000001 has the traffic, and no healthy target",
    );
}
