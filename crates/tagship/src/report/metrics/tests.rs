//! What each end is counted as, and the format that CloudWatch reads.

use super::*;
use crate::testing::{at, hold, job, release, role};
use crate::{Action, Ending, Error, Kind, Refused, Report, StageName};

fn done(ending: Ending) -> Outcome {
    Outcome::Done(Done { report: Report { ending, ..Report::default() }, ..Done::default() })
}

/// The line's metrics as `Name=value`, those by service in brackets too.
fn measured(line: &Line) -> String {
    let json: Value = serde_json::from_str(&line.json(at(0))).expect("JSON");
    let directives = json["_aws"]["CloudWatchMetrics"].as_array().expect("directives");
    let told = directives.iter().map(|directive| {
        let metrics = directive["Metrics"].as_array().expect("metrics").iter();
        let names = metrics.map(|metric| metric["Name"].as_str().expect("a name"));
        let values = names.map(|name| format!("{name}={}", json[name])).collect::<Vec<_>>().join(" ");
        if directive["Dimensions"][0].as_array().expect("a set").len() == 2 { format!("[{values}]") } else { values }
    });
    format!("{}: {}", json["action"].as_str().expect("an action"), told.collect::<Vec<_>>().join(" "))
}

fn ended(action: Action, outcome: &Outcome) -> String {
    measured(&Line::ended(&Notice::of(&job(action, 1), outcome, at(0), at(90)).expect("an end")))
}

#[test]
fn the_format_is_cloudwatchs() {
    let outcome = Outcome::Failed(Error::configuration("both weights"));
    let notice = Notice::of(&job(Action::Shift, 1), &outcome, at(0), at(90)).expect("an end");
    let line = Line::ended(&notice).with_calls(Calls { made: 12, throttled: 1 });
    let metric = |name: &str, unit: &str| json!({"Name": name, "Unit": unit});
    let expected = json!({
        "_aws": {
            "Timestamp": at(90).as_millisecond(),
            "CloudWatchMetrics": [
                {"Namespace": "tagship", "Dimensions": [["action"]], "Metrics": [
                    metric("StageFailed", "Count"), metric("Elapsed", "Seconds"), metric("Calls", "Count"),
                    metric("Throttles", "Count"),
                ]},
                {"Namespace": "tagship", "Dimensions": [["action", "service"]], "Metrics": [
                    metric("StageFailed", "Count"),
                ]},
            ],
        },
        "action": "shift", "service": "WEB_PRODUCT", "release": "r0000001", "pipeline": "web", "stage": "route",
        "outcome": "failed", "message": "both weights", "reason": "ConfigurationError",
        "StageFailed": 1, "Elapsed": 90, "Calls": 12, "Throttles": 1,
    });
    let text = line.json(at(90));
    assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), expected);
    assert!(!text.contains('\n'), "one line");
}

#[test]
fn each_end_is_counted_as_its_event_is_called() {
    for (action, outcome, expected) in [
        (Action::Retire, done(Ending::Succeeded), "retire: StageSucceeded=1 Elapsed=90"),
        (Action::Rollback, done(Ending::RolledBack), "rollback: ReleaseRolledBack=1 Elapsed=90"),
        (Action::Rollback, done(Ending::Kept), "rollback: ReleaseKept=1 Elapsed=90"),
        (Action::Guard, done(Ending::Rings), "guard: AlarmRings=1 Elapsed=90"),
        (Action::Sweep, done(Ending::Degraded), "sweep: FleetDegraded=1 Elapsed=90"),
        (
            Action::Deploy,
            Outcome::Failed(Error::new(Kind::Denied, "no")),
            "deploy: StageFailed=1 Elapsed=90 [StageFailed=1]",
        ),
    ] {
        assert_eq!(ended(action, &outcome), expected);
    }
    let abandoned = Notice::abandoned(&role(), &release(1), "web", Action::Discard, "its execution failed");
    assert_eq!(measured(&Line::ended(&abandoned)), "discard: ReleaseAbandoned=1");
}

#[test]
fn parameters_that_could_not_be_read_fail_their_function() {
    let error = Error::configuration("the parameters are wrong");
    let refused = Refused { error, role: None, release: None, pipeline: None, action: None };
    let line = Line::ended(&Notice::refused(StageName::Cleanup, &refused));
    assert_eq!(measured(&line), "cleanup: StageFailed=1 Elapsed=0");
    assert!(!line.json(at(0)).contains("service"), "a dimension has to have a value");
}

#[test]
fn what_ended_nothing_has_its_calls_only() {
    let nothing = Outcome::Done(Done { nothing: true, message: "done already".to_owned(), ..Done::default() });
    let release = Request::Release(job(Action::Retire, 1));
    for (request, outcome, expected, told) in [
        (&release, Outcome::Waiting("boot".to_owned()), "retire: Calls=3 Throttles=0", "\"message\":\"boot\""),
        (&release, nothing.clone(), "retire: Calls=3 Throttles=0", "\"outcome\":\"nothing\""),
        (&Request::Sweep, nothing, "sweep: Calls=3 Throttles=0", "\"action\":\"sweep\""),
    ] {
        let line = Line::unended(request, &outcome).with_calls(Calls { made: 3, throttled: 0 });
        let text = line.json(at(0));
        assert_eq!(measured(&line), expected);
        assert!(text.contains(told), "{text}");
        assert!(!text.contains("\"outcome\"") || told.contains("outcome"), "the dashboard lists it as an end: {text}");
    }
}

#[test]
fn degraded_fleets_are_counted() {
    assert_eq!(measured(&Line::degraded_fleets(&[])), "sweep: DegradedFleets=0");
    let whole = Roster::of(&hold(1), &[]);
    let degraded = Roster { down: ["i-1".to_owned()].into(), ..whole.clone() };
    let line = Line::degraded_fleets(&[(role(), whole), (role(), degraded)]);
    assert_eq!(measured(&line), "sweep: DegradedFleets=1");
    assert!(line.json(at(0)).contains("\"services\":\"WEB_PRODUCT\""));
}

#[test]
fn the_oldest_hold_is_named() {
    assert_eq!(measured(&Line::oldest_hold(&[], at(0))), "sweep: OldestHold=0");
    let younger = Hold { since: at(50), ..hold(2) };
    let line = Line::oldest_hold(&[(role(), younger), (role(), hold(1))], at(90));
    assert_eq!(measured(&line), "sweep: OldestHold=90");
    assert!(line.json(at(90)).contains("\"release\":\"r0000001\""));
}
