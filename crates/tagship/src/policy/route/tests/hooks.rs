//! Situations of hooks, and what shift decides in each: `smoke-test` and `load-test` before it, `report` after it.

use super::*;
use crate::settings::{Hook, HookPoint, Hooks, TargetGroup};
use crate::{Called, ExecutionState, HookAnswer, HookRun};
use serde_json::json;

impl Case {
    /// A release whose service has hooks.
    fn hooked(&mut self) {
        let hook = |name: &str, details| Hook { function: name.to_owned(), details };
        let details = Some(json!({"path": "/health"}));
        self.hold().settings.hooks = Hooks {
            before_shift: vec![hook("smoke-test", details), hook("load-test", None)],
            after_shift: vec![hook("report", None)],
        };
    }

    /// The hook of that number is called since then, and due now.
    fn called(&mut self, point: HookPoint, number: usize, since: i64) {
        self.hooked();
        self.hold().hook = Some(HookRun { point, number, since: at(since), due: at(100), details: None });
    }

    /// What this process knows of the call; none while it runs.
    fn answers(&mut self, answer: Option<HookAnswer>) {
        let id = self.hold().hook.as_ref().expect("a run").call();
        self.world.hook = Some(Called { id, answer });
    }

    /// The first hook before the shift has given this answer.
    fn smoke_test(&mut self, answer: HookAnswer) {
        self.called(HookPoint::BeforeShift, 0, 90);
        self.answers(Some(answer));
    }

    /// All weights have moved, and the hook after them has given this answer.
    fn report(&mut self, answer: Option<HookAnswer>) {
        self.shifted();
        self.called(HookPoint::AfterShift, 0, 90);
        self.answers(answer);
    }
}

#[track_caller]
fn shift(change: fn(&mut Case), expected: &str) {
    check(Action::Shift, change, expected);
}

const HOLD: &str = "do: write the hold of r0000002: Open";
/// What is written of a hook, in a [`crate::Step`]'s words.
fn due(number: u8, point: &str, at: &str) -> String {
    format!("{HOLD}, hook {number} of {point} is due at 1970-01-12T{at}Z")
}

#[test]
fn each_hook_is_passed_before_a_weight_moves() {
    let before = |number, at| due(number, "BEFORE_SHIFT", at);
    shift(|case| case.hooked(), &before(1, "13:48:20"));
    shift(|case| case.called(HookPoint::BeforeShift, 0, 100), "do: call hook smoke-test (BEFORE_SHIFT)");
    shift(
        |case| {
            case.called(HookPoint::BeforeShift, 0, 90);
            case.answers(None);
        },
        "wait: hook smoke-test (BEFORE_SHIFT) since 1970-01-12T13:48:10Z, 59 min 50 s more at most: it runs",
    );
    shift(|case| case.smoke_test(HookAnswer::Succeeded), &before(2, "13:48:20"));
    let later = |case: &mut Case| case.smoke_test(HookAnswer::InProgress { delay_secs: 5, details: None });
    shift(later, &before(1, "13:48:25"));
    shift(|case| case.smoke_test(HookAnswer::Unheard("throttled".to_owned())), &before(1, "13:48:50"));
    shift(
        |case| {
            case.called(HookPoint::BeforeShift, 0, 90);
            case.hold().hook.as_mut().expect("a run").due = at(120);
        },
        "wait: hook smoke-test (BEFORE_SHIFT) since 1970-01-12T13:48:10Z, 59 min 50 s more at most: in progress, called \
         again in 21 s",
    );
    // Another process's call, or an earlier one: its answer counts for nothing.
    shift(
        |case| {
            case.smoke_test(HookAnswer::Succeeded);
            case.hold().hook.as_mut().expect("a run").due = at(99);
        },
        "do: call hook smoke-test (BEFORE_SHIFT)",
    );
    shift(
        |case| case.called(HookPoint::BeforeShift, 2, 90),
        &format!("{HOLD}, previous r0000001 with 2 healthy, hook 3 of BEFORE_SHIFT is due at"),
    );
}

#[test]
fn what_fails_before_the_first_weight_moves_nothing() {
    let why = "hook smoke-test (BEFORE_SHIFT) has failed: it answered FAILED";
    shift(
        |case| case.smoke_test(HookAnswer::Failed("it answered FAILED".to_owned())),
        &format!("{}, back: {why}", due(1, "BEFORE_SHIFT", "13:48:20")),
    );
    shift(
        |case| case.called(HookPoint::BeforeShift, 1, -3_500),
        &format!(
            "{}, back: hook load-test (BEFORE_SHIFT) hasn't succeeded within TIMEOUTS.HOOK, 3600 s",
            due(2, "BEFORE_SHIFT", "13:48:20")
        ),
    );
    shift(
        |case| {
            case.hooked();
            case.goes_back("hook smoke-test has failed");
        },
        "fail: hook smoke-test has failed: no traffic was moved. Left behind: the fleet of r0000002, which discard removes",
    );
    // Health is looked at while a hook runs, and whether somebody stops the execution.
    let runs = |case: &mut Case| {
        case.called(HookPoint::BeforeShift, 0, 90);
        case.answers(None);
    };
    check(
        Action::Shift,
        |case| {
            runs(case);
            case.sick(1, 1);
            case.shift.ailing_looks = 1;
        },
        "fail: release r0000002 of WEB_PRODUCT is no longer healthy, so no traffic was moved to it: 1 of 2 targets",
    );
    check(
        Action::Shift,
        |case| {
            runs(case);
            case.world.holder.as_mut().expect("an execution").state = ExecutionState::Stopping;
        },
        &format!("{}, back: somebody stopped the pipeline's execution", due(1, "BEFORE_SHIFT", "13:48:20")),
    );
    // Given weight by hand meanwhile: that is written down, and goes back.
    shift(
        |case| {
            case.hooked();
            case.goes_back("hook smoke-test has failed");
            case.moved(1);
        },
        &format!("{HOLD}, previous r0000001 with 2 healthy, back: hook smoke-test has failed"),
    );
}

#[test]
fn after_the_last_weight_the_traffic_goes_back() {
    shift(
        |case| {
            case.shifted();
            case.called(HookPoint::BeforeShift, 2, 50);
        },
        "do: write the hold of r0000002: Open, previous r0000001 with 2 healthy, hook 1 of AFTER_SHIFT is due at",
    );
    shift(
        |case| case.report(None),
        "wait: hook report (AFTER_SHIFT) since 1970-01-12T13:48:10Z, 59 min 50 s more at most: it runs",
    );
    shift(
        |case| case.report(Some(HookAnswer::Failed("it answered FAILED".to_owned()))),
        "do: write the hold of r0000002: Open, previous r0000001 with 2 healthy, hook 1 of AFTER_SHIFT is due at \
         1970-01-12T13:48:20Z, back: hook report (AFTER_SHIFT) has failed: it answered FAILED",
    );
    // The watch goes on meanwhile, and isn't over before its time.
    shift(
        |case| {
            case.shifted();
            case.called(HookPoint::AfterShift, 1, 95);
        },
        "wait: 20 s more of watching",
    );
    shift(
        |case| {
            case.report(None);
            case.sick(1, 2);
            case.shift.ailing_looks = 1;
        },
        "do: write the hold of r0000002: Open, previous r0000001 with 2 healthy, hook 1 of AFTER_SHIFT is due at \
         1970-01-12T13:48:20Z, back: the release failed while it was watched",
    );
}

#[test]
fn guard_leaves_the_execution_to_shift_while_hooks_are_called() {
    let back = |number| {
        move |case: &mut Case| {
            case.shifted();
            case.hold().moved_at = Some(at(-100));
            case.called(HookPoint::AfterShift, number, 90);
            case.goes_back("an alarm rang");
            case.moved(2);
            let routing = case.world.routing.as_mut().expect("routing");
            routing.switches.iter_mut().for_each(|it| it.weights = vec![("arn:a".into(), 100), ("arn:b".into(), 0)]);
            case.world.names = named(names::Names::Live, 1);
        }
    };
    check(Action::Guard, back(0), "done: an alarm rang: the traffic of WEB_PRODUCT is back with r0000001");
    check(Action::Guard, back(1), "do: stop the execution of r0000002");
}

#[test]
fn a_service_without_a_balancer_has_hooks_too() {
    shift(
        |case| {
            case.hooked();
            case.hold().settings.target_group = TargetGroup::None;
        },
        &due(1, "BEFORE_SHIFT", "13:48:20"),
    );
}

#[test]
fn a_hook_is_told_all_that_it_needs() {
    let mut case =
        Case { holding: held(hold(2)), world: world(), shift: Default::default(), rollback: Default::default() };
    case.called(HookPoint::BeforeShift, 0, 100);
    case.hold().hook.as_mut().expect("a run").details = Some(json!({"path": "/health"}));
    case.world.routing.as_mut().expect("routing").tests = vec![test_rule(&["b"])];
    let decided = decide::<Shift>(&case.holding, &case.world, (at(0), 0), &mut case.shift);
    let std::ops::ControlFlow::Break(crate::Decision::Do { step: crate::Step::CallHook(call), .. }) = decided else {
        panic!("{decided:?}");
    };
    assert_eq!(
        json!(call.told),
        json!({
            "executionId": "r0000002", "lifecycleStage": "POST_TEST_TRAFFIC_SHIFT", "hookDetails": {"path": "/health"},
            "service": "WEB_PRODUCT", "release": "r0000002", "pipeline": "web", "point": "BEFORE_SHIFT",
            "instances": ["i-21", "i-22"], "privateIps": ["10.0.2.1", "10.0.2.2"],
            "candidateName": "candidate.web-product.cd.internal",
            "testAddress": "https://web.example.com with header x-test",
        })
    );
}
