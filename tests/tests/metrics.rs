//! The functions write what infra/tagship.yaml's alarms and dashboard read, and nothing that they don't.

use jiff::Timestamp;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use tagship::metrics::{Calls, Line, NAMESPACE};
use tagship::notify::Notice;
use tagship::{Action, Done, Ending, Error, Job, Outcome, Report, Request};
use tagship_emulator::template::{Stack, Template};

/// A metric as it is found: its name, and its dimensions.
type Metric = (String, BTreeSet<String>);
/// The values of `action` that it has, as far as they are said.
type Found = BTreeMap<Metric, BTreeSet<String>>;

fn note(found: &mut Found, name: &str, dimensions: impl IntoIterator<Item = impl Into<String>>, action: Option<&str>) {
    let dimensions = dimensions.into_iter().map(Into::into).collect();
    found.entry((name.to_owned(), dimensions)).or_default().extend(action.map(str::to_owned));
}

/// All that the functions can write, each end of each action.
fn written() -> Found {
    let role = "WEB_PRODUCT".to_owned().try_into().expect("a role");
    let release: tagship::ReleaseId = "r0000001".to_owned().try_into().expect("a release");
    let now = Timestamp::UNIX_EPOCH;
    let mut lines = vec![
        Line::oldest_hold(&[], now),
        Line::degraded_fleets(&[]),
        Line::unended(&Request::Sweep, &Outcome::Waiting(String::new())).with_calls(Calls::default()),
    ];
    for action in [Action::Discard, Action::Retire] {
        lines.push(Line::ended(&Notice::abandoned(&role, &release, "web", action, "it failed")));
    }
    for stage in tagship::StageName::ALL {
        for action in stage.actions().iter().copied() {
            let pipeline = "web".to_owned();
            let job = Job { role: role.clone(), release: release.clone(), pipeline, action, input: None };
            let done =
                |ending| Outcome::Done(Done { report: Report { ending, ..Report::default() }, ..Done::default() });
            let mut outcomes = vec![done(Ending::Succeeded), Outcome::Failed(Error::release("it failed"))];
            if action == Action::Rollback {
                outcomes.extend([done(Ending::RolledBack), done(Ending::Kept)]);
            }
            if action == Action::Guard {
                outcomes =
                    vec![done(Ending::RolledBack), done(Ending::Rings), Outcome::Failed(Error::release("it failed"))];
            }
            if action == Action::Sweep {
                outcomes = vec![done(Ending::Degraded)];
            }
            lines.extend(outcomes.iter().map(|outcome| {
                let notice = Notice::of(&job, outcome, now, now).expect("an end");
                Line::ended(&notice).with_calls(Calls::default())
            }));
        }
    }
    let mut found = Found::new();
    for line in lines {
        let line: Value = serde_json::from_str(&line.json(now)).expect("JSON");
        for directive in line["_aws"]["CloudWatchMetrics"].as_array().expect("directives") {
            assert_eq!(directive["Namespace"], NAMESPACE);
            for set in directive["Dimensions"].as_array().expect("sets") {
                let dimensions = set.as_array().expect("a set").iter().map(|name| name.as_str().expect("a name"));
                for metric in directive["Metrics"].as_array().expect("metrics") {
                    let name = metric["Name"].as_str().expect("a name");
                    note(&mut found, name, dimensions.clone(), line["action"].as_str());
                }
            }
        }
    }
    found
}

/// What alarms and dashboard ask for in tagship's namespace.
fn read() -> Found {
    let known = BTreeMap::from([("Unhandled.QueueName".to_owned(), "unhandled".to_owned())]);
    let stack = Stack { name: "tagship".to_owned(), region: "eu-west-1".to_owned(), known, ..Stack::default() };
    let template = Template::read(include_str!("../../infra/tagship.yaml"), stack).expect("a template");
    let of = |kind: &str| template.resources(kind).unwrap_or_else(|error| panic!("{error}"));
    let mut found = Found::new();
    for (_, alarm) in of("AWS::CloudWatch::Alarm") {
        if alarm["Namespace"] == NAMESPACE {
            let name = alarm["MetricName"].as_str().expect("a metric");
            let dimensions = alarm["Dimensions"].as_array().expect("dimensions");
            let names = dimensions.iter().map(|dimension| dimension["Name"].as_str().expect("a name"));
            let action = dimensions.iter().find(|dimension| dimension["Name"] == "action");
            note(&mut found, name, names, action.and_then(|dimension| dimension["Value"].as_str()));
        }
        for query in alarm["Metrics"].as_array().into_iter().flatten() {
            expression(&mut found, query["Expression"].as_str().unwrap_or_default());
            assert_ne!(query["MetricStat"]["Metric"]["Namespace"], NAMESPACE, "not read by this test: {query}");
        }
    }
    for (_, dashboard) in of("AWS::CloudWatch::Dashboard") {
        let body = dashboard["DashboardBody"].as_str().expect("a body");
        let body: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"));
        for widget in body["widgets"].as_array().expect("widgets") {
            for metric in widget["properties"]["metrics"].as_array().into_iter().flatten() {
                let parts = metric.as_array().expect("a metric");
                expression(&mut found, parts[0]["expression"].as_str().unwrap_or_default());
                if parts[0] == NAMESPACE {
                    let texts: Vec<&str> = parts[1..].iter().filter_map(Value::as_str).collect();
                    let dimensions: BTreeMap<&str, &str> =
                        texts[1..].chunks(2).map(|pair| (pair[0], pair[1])).collect();
                    note(&mut found, texts[0], dimensions.keys().copied(), dimensions.get("action").copied());
                }
            }
        }
    }
    found
}

/// `SELECT SUM(Name) FROM SCHEMA("tagship", dimensions)`, or `SEARCH('{tagship,dimensions} MetricName="Name"', …)`.
fn expression(found: &mut Found, text: &str) {
    let between = |text: &str, before: &str, after: &str| -> Option<String> {
        Some(text.split_once(before)?.1.split_once(after)?.0.to_owned())
    };
    let select = between(text, "FROM SCHEMA(\"", ")").zip(between(text, "SUM(", ")"));
    let search = between(text, "SEARCH('{", "}").zip(between(text, "MetricName=\"", "\""));
    if let Some((schema, name)) = select.or(search) {
        let mut schema = schema.split([',', '"', ' ']).filter(|part| !part.is_empty());
        if schema.next() == Some(NAMESPACE) {
            note(found, &name, schema, None);
        }
    } else {
        assert!(!text.contains(NAMESPACE), "not read by this test: {text}");
    }
}

#[test]
fn what_is_written_is_read_and_the_other_way_round() {
    let (written, read) = (written(), read());
    assert_eq!(written.keys().collect::<BTreeSet<_>>(), read.keys().collect::<BTreeSet<_>>());
    for (metric, actions) in &read {
        let unknown: Vec<_> = actions.difference(&written[metric]).collect();
        assert!(unknown.is_empty(), "{metric:?} is never written of {unknown:?}");
    }
}
