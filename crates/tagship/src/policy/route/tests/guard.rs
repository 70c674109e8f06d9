//! Situations of guard, and of shift's own listening, and what is decided in each.

use super::*;
use crate::settings::{Choice, Hook, OnAlarm};
use crate::{Alarm, AlarmState, Execution, ExecutionState, Occasion};

impl Case {
    /// Shifted at 90 s; the service has one alarm, in this state.
    fn listens(&mut self, state: AlarmState) {
        self.shifted();
        self.hold().settings.alarms = Choice::Ids(vec!["web-5xx".to_owned()]);
        let (name, reason) = ("web-5xx".to_owned(), "12 > 10".to_owned());
        self.world.alarms = vec![Alarm { name, state, since: Some(at(95)), reason }];
    }

    fn execution(&mut self, state: ExecutionState) {
        self.world.holder = Some(Execution { state, updated_at: None, build: None });
    }
}

fn guard(change: fn(&mut Case), expected: &str) {
    check(Action::Guard, change, expected);
}

const HOLD: &str = "do: write the hold of r0000002: Open, previous r0000001 with 2 healthy";
const RINGS: &str = "alarm web-5xx is in ALARM since 1970-01-12T13:48:15Z: 12 > 10";

#[test]
fn an_alarm_sends_the_traffic_back() {
    guard(|case| case.listens(AlarmState::Ok), "done: r0000002 of WEB_PRODUCT: alarms: web-5xx OK");
    guard(|case| case.listens(AlarmState::NoData), "done: r0000002 of WEB_PRODUCT: alarms: web-5xx no data");
    guard(
        |case| case.listens(AlarmState::Missing),
        "done: r0000002 of WEB_PRODUCT waits for CloudWatch to show web-5xx",
    );
    guard(|case| case.listens(AlarmState::Alarm), &format!("{HOLD}, back: {RINGS}"));
    // Before the first weight there is nothing to give back.
    guard(
        |case| {
            case.listens(AlarmState::Alarm);
            case.hold().previous = None;
        },
        "done: r0000002 of WEB_PRODUCT has moved no traffic",
    );
    // It rang before the first weight: not heeded, until it has been OK.
    fn before(case: &mut Case, state: AlarmState) {
        case.listens(state);
        case.hold().ringing = vec!["web-5xx".to_owned()];
    }
    guard(|case| before(case, AlarmState::Alarm), "done: r0000002 of WEB_PRODUCT: alarms: web-5xx ALARM since before");
    guard(|case| before(case, AlarmState::NoData), "done: r0000002 of WEB_PRODUCT: alarms: web-5xx no data");
    guard(|case| before(case, AlarmState::Ok), HOLD);
    // Told only, and once.
    guard(
        |case| {
            case.listens(AlarmState::Alarm);
            case.hold().settings.on_alarm = OnAlarm::Tell;
        },
        &format!(
            "{HOLD}, moved at 1970-01-12T13:48:10Z, then done: {RINGS}. Release r0000002 of WEB_PRODUCT keeps its traffic"
        ),
    );
    guard(
        |case| {
            case.listens(AlarmState::Alarm);
            case.hold().settings.guard_secs = 10;
        },
        &format!(
            "{HOLD}, moved at 1970-01-12T13:48:10Z, then done: {RINGS}. Release r0000002 of WEB_PRODUCT keeps its traffic"
        ),
    );
}

/// At 100 s: shift has moved the last weight at 90 s, and watches for 30 s.
#[track_caller]
fn concerns(change: fn(&mut Case), occasion: &Occasion, secs: i64, expected: bool) {
    let (shift, rollback) = Default::default();
    let mut case = Case { holding: held(hold(2)), world: world(), shift, rollback };
    case.listens(AlarmState::Ok);
    change(&mut case);
    assert_eq!(concerned(case.hold(), occasion, at(secs)), expected, "{occasion:?} at {secs} s");
}

#[test]
fn guard_looks_at_what_is_concerned_and_by_the_minute_where_shift_is_over() {
    let alarm = |name: &str| Occasion::Alarm(name.to_owned());
    let stop = |pipeline: &str| Occasion::Stop(pipeline.to_owned());
    concerns(|_| (), &alarm("web-5xx"), 100, true);
    concerns(|_| (), &alarm("shop-5xx"), 100, false);
    concerns(|_| (), &stop("web"), 100, true);
    concerns(|_| (), &stop("shop"), 100, false);
    concerns(|_| (), &Occasion::Minute, 129, false);
    concerns(|_| (), &Occasion::Minute, 130, true);
    concerns(|case| case.hold().moved_at = None, &Occasion::Minute, 1_000, false);
    concerns(|case| case.goes_back("an alarm"), &Occasion::Minute, 100, true);
    // A hook is called after the last weight, so shift still runs.
    concerns(
        |case| case.hold().settings.hooks.after_shift = vec![Hook { function: "verify".to_owned(), details: None }],
        &Occasion::Minute,
        130,
        false,
    );
    // No traffic has moved, or a person has decided.
    concerns(|case| case.hold().previous = None, &alarm("web-5xx"), 100, false);
    concerns(|case| case.hold().phase = Phase::Approved, &alarm("web-5xx"), 100, false);
}

#[test]
fn a_stop_sends_it_back_too() {
    guard(
        |case| {
            case.shifted();
            case.execution(ExecutionState::Stopping);
        },
        &format!("{HOLD}, back: somebody stopped the pipeline's execution"),
    );
}

#[test]
fn weights_first_then_the_execution_where_an_approval_is_open() {
    fn back(case: &mut Case) {
        case.listens(AlarmState::Ok);
        case.goes_back("an alarm");
    }
    fn weights_are_back(case: &mut Case) {
        back(case);
        case.world.routing = world().routing;
        case.world.names = named(names::Names::Live, 1);
    }
    // Whatever the alarm says by now.
    guard(back, "do: set HTTP:80 to arn:a=100, arn:b=0");
    // Shift still watches, or may still report: it fails by itself.
    guard(weights_are_back, "done: an alarm: the traffic of WEB_PRODUCT is back with r0000001");
    guard(
        |case| {
            weights_are_back(case);
            case.world.now = at(125);
        },
        "wait: shift to fail by itself",
    );
    guard(
        |case| {
            weights_are_back(case);
            case.world.now = at(130);
        },
        "do: stop the execution of r0000002: tagship: an alarm, then done: an alarm: the traffic",
    );
    guard(
        |case| {
            weights_are_back(case);
            case.world.now = at(130);
            case.execution(ExecutionState::Ended);
        },
        "done: an alarm: the traffic of WEB_PRODUCT is back with r0000001",
    );
    // The predecessor is dead: what is told says so.
    guard(
        |case| {
            back(case);
            case.sick(0, 2);
        },
        "fail: an alarm, and nothing can be restored: r0000001 has 0 healthy targets",
    );
}

#[test]
fn shift_listens_as_well() {
    let shift = |change: fn(&mut Case), expected: &str| check(Action::Shift, change, expected);
    shift(|case| case.listens(AlarmState::Alarm), &format!("{HOLD}, back: {RINGS}"));
    shift(|case| case.listens(AlarmState::Missing), "wait: CloudWatch to show web-5xx");
    // Until it is looked at again, a minute later.
    shift(
        |case| {
            case.listens(AlarmState::Ok);
            case.shift.listened_at = Some(at(95));
            case.shift.unseen = "CloudWatch to show web-5xx".to_owned();
        },
        "wait: CloudWatch to show web-5xx",
    );
    // No further switch moves.
    shift(
        |case| {
            case.listens(AlarmState::Missing);
            case.hold().moved_at = None;
            case.world.routing = world().routing.map(|routing| moved(routing, 1));
        },
        "wait: CloudWatch to show web-5xx",
    );
    // A release that fails meanwhile goes back all the same.
    shift(
        |case| {
            case.listens(AlarmState::Missing);
            case.shift.ailing_looks = 1;
            case.sick(1, 2);
        },
        &format!("{HOLD}, back: the release failed while it was watched"),
    );
    shift(|case| case.listens(AlarmState::Ok), "wait: 20 s more of watching");
    // Once a minute.
    shift(
        |case| {
            case.listens(AlarmState::Alarm);
            case.shift.listened_at = Some(at(41));
        },
        "wait: 20 s more of watching",
    );
    // What rings before the first weight is written down with who is live.
    shift(
        |case| {
            case.listens(AlarmState::Alarm);
            let hold = case.hold();
            (hold.previous, hold.moved_at) = (None, None);
            case.world.routing = world().routing;
        },
        HOLD,
    );
}
