//! What a stage's end says, and that AWS's limits are kept.

use super::*;
use crate::{Build, Kind};
use jiff::SignedDuration;
use std::collections::BTreeMap;

const REGION: &str = "eu-west-1";

fn job(action: Action) -> Job {
    Job {
        role: "MZUM_WEB_PRODUCT".to_owned().try_into().expect("a role"),
        release: "1a2b3c4d-0000-4000-8000-000000000000".to_owned().try_into().expect("a release"),
        pipeline: "mzum-web".to_owned(),
        action,
        input: None,
    }
}

fn notice(action: Action, outcome: Outcome) -> Notice {
    let began: Timestamp = "2026-11-23T03:00:00Z".parse().expect("a time");
    Notice::of(&job(action), &outcome, began, began + SignedDuration::from_secs(252)).expect("an end")
}

fn done(ending: Ending) -> Outcome {
    Outcome::Done(Done {
        nothing: false,
        message: "moved 2 switches".to_owned(),
        outputs: Vec::new(),
        report: Report {
            ending,
            build: None,
            instances: vec!["i-1".to_owned(), "i-2".to_owned()],
            names: vec!["live.mzum-web-product.cd.internal".to_owned()],
            weights: BTreeMap::from([("HTTP:80 rule 1".to_owned(), "blue=0, green=100".to_owned())]),
            left_behind: vec!["i-0 is still there".to_owned()],
        },
    })
}

fn failed(kind: Kind) -> Outcome {
    Outcome::Failed(Error { code: Some("AccessDenied".to_owned()), ..Error::new(kind, "ModifyRule was denied") })
}

#[test]
fn a_success_is_an_event_and_a_text() {
    let notice = notice(Action::Shift, done(Ending::Succeeded));
    assert_eq!(notice.headline.detail_type(), "Stage Succeeded");
    let detail: Value = serde_json::from_str(&notice.detail()).expect("JSON");
    let expected = json!({
        "service": "MZUM_WEB_PRODUCT", "release": "1a2b3c4d-0000-4000-8000-000000000000", "pipeline": "mzum-web",
        "stage": "route", "action": "shift", "message": "moved 2 switches", "elapsedSeconds": 252,
        "instances": ["i-1", "i-2"], "names": ["live.mzum-web-product.cd.internal"],
        "weights": {"HTTP:80 rule 1": "blue=0, green=100"}, "leftBehind": ["i-0 is still there"],
        "subject": "ok: mzum-web-product shift of 1a2b3c4d",
        "next": "Watch it. Approving in pipeline mzum-web removes the previous release, rejecting moves the traffic back to it.",
    });
    assert_eq!(detail, expected);
    assert_eq!(notice.subject(), "ok: mzum-web-product shift of 1a2b3c4d");
    let body = "\
ok: mzum-web-product shift of 1a2b3c4d

moved 2 switches

What to do next: Watch it. Approving in pipeline mzum-web removes the previous release, rejecting moves the traffic back to it.
Where to look: https://eu-west-1.console.aws.amazon.com/codesuite/codepipeline/pipelines/mzum-web/executions/1a2b3c4d-0000-4000-8000-000000000000

Service:   MZUM_WEB_PRODUCT
Release:   1a2b3c4d-0000-4000-8000-000000000000
Pipeline:  mzum-web
Stage:     route
Action:    shift
Took:      4m 12s
Instances: i-1, i-2
Names:     live.mzum-web-product.cd.internal
Weights:
- HTTP:80 rule 1: blue=0, green=100
Left behind:
- i-0 is still there
";
    assert_eq!(notice.body(REGION), body);
}

#[test]
fn the_link_is_of_the_partition() {
    let notice = notice(Action::Shift, Outcome::Failed(Error::release("unhealthy")));
    for (region, link) in [
        ("eu-west-1", "https://eu-west-1.console.aws.amazon.com/codesuite/"),
        ("cn-north-1", "https://cn-north-1.console.amazonaws.cn/codesuite/"),
        ("us-gov-west-1", "https://us-gov-west-1.console.amazonaws-us-gov.com/codesuite/"),
    ] {
        let told = notice.body(region);
        assert!(told.contains(link), "{region}: {told}");
    }
}

#[test]
fn a_chat_is_told_the_same() {
    let message = "i-1 is <unhealthy> & gone";
    let notice = notice(Action::Shift, Outcome::Failed(Error::release(message)));
    let told: Value = serde_json::from_str(&notice.amazon_q(REGION)).expect("JSON");
    let link = "https://eu-west-1.console.aws.amazon.com/codesuite/codepipeline/pipelines/mzum-web/executions/\
        1a2b3c4d-0000-4000-8000-000000000000";
    let expected = json!({
        "version": "1.0",
        "source": "custom",
        "content": {
            "textType": "client-markdown",
            "title": ":rotating_light: FAILED: mzum-web-product shift of 1a2b3c4d",
            "description": "i-1 is &lt;unhealthy&gt; &amp; gone\n\n\
                *Service:* MZUM_WEB_PRODUCT\n*Release:* 1a2b3c4d-0000-4000-8000-000000000000\n*Pipeline:* mzum-web\n\
                *Stage:* route\n*Action:* shift\n*Took:* 4m 12s\n*Reason:* JobFailed",
            "nextSteps": [
                "Correct what the message names. Rollback starts by itself, and its message follows. The candidate's \
                 instances are removed soon: to look at such instances, set TIMEOUTS.POSTMORTEM before the next try.",
                format!("Look at {link}"),
            ],
        },
    });
    assert_eq!(told, expected);
}

#[test]
fn a_build_is_told_by_the_name_that_people_know() {
    let check = |summary: &str, subject: &str, line: &str| {
        let Outcome::Done(done) = done(Ending::Succeeded) else { unreachable!("it is done") };
        let report = Report { build: Build::of(summary), ..done.report.clone() };
        let notice = notice(Action::Shift, Outcome::Done(Done { report, ..done }));
        assert_eq!(notice.subject(), format!("ok: mzum-web-product shift of {subject}"));
        assert!(notice.body(REGION).contains(line), "{}", notice.body(REGION));
        let detail: Value = serde_json::from_str(&notice.detail()).expect("JSON");
        assert_eq!(detail["build"].as_str(), line.strip_prefix("Build:").map(str::trim));
    };
    check("version 1.4.2, commit 9f3c01ab52", "1.4.2+9f3c01ab (1a2b3c4d)", "Build:     1.4.2+9f3c01ab");
    check("version 가을", "1a2b3c4d", "Build:     가을");
    let long = "Have the release wait for all that it needs";
    check(long, "Have the release wait for all t (1a2b3c4d)", &format!("Build:     {long}"));
}

#[test]
fn every_end_has_its_headline() {
    for (action, outcome, detail_type, subject, next) in [
        (Action::Rollback, done(Ending::RolledBack), "Release Rolled Back", "ROLLED BACK: ", "previous release serves"),
        (Action::Rollback, done(Ending::Kept), "Release Kept", "KEPT: ", "This release still serves"),
        (Action::Guard, done(Ending::Rings), "Alarm Rings", "ALARM: ", "decide: reject"),
        (Action::Sweep, done(Ending::Degraded), "Fleet Degraded", "DEGRADED: ", "replaces nothing between releases"),
        (Action::Retire, done(Ending::Succeeded), "Stage Succeeded", "ok: ", "Nothing."),
        (Action::Deploy, failed(Kind::Configuration), "Stage Failed", "FAILED: ", "start a new execution"),
        (Action::Deploy, failed(Kind::Release), "Stage Failed", "FAILED: ", "No traffic has moved"),
        (Action::Shift, failed(Kind::Denied), "Stage Failed", "FAILED: ", "role of the route function this permission"),
        (Action::Rollback, failed(Kind::Unavailable), "Stage Failed", "FAILED: ", "traffic may not be back"),
    ] {
        let notice = notice(action, outcome);
        assert_eq!(notice.headline.detail_type(), detail_type);
        assert!(notice.subject().starts_with(subject), "{}", notice.subject());
        assert!(notice.body(REGION).contains(next), "{next} is not in: {}", notice.body(REGION));
        let stands_out = notice.amazon_q(REGION).contains(":rotating_light:");
        assert_eq!(stands_out, notice.headline != Headline::Succeeded, "{subject}");
    }
    let reason = notice(Action::Shift, failed(Kind::Denied)).reason;
    assert_eq!(reason.as_deref(), Some("PermissionError (AccessDenied)"));
    let began = Timestamp::UNIX_EPOCH;
    assert_eq!(Notice::of(&job(Action::Shift), &Outcome::Waiting("boot".to_owned()), began, began), None);
}

#[test]
fn an_abandoned_release_says_what_follows() {
    let Job { role, release, pipeline, .. } = job(Action::Sweep);
    let notice = Notice::abandoned(&role, &release, &pipeline, Action::Discard, "its execution failed");
    let detail: Value = serde_json::from_str(&notice.detail()).expect("JSON");
    assert_eq!(notice.headline.detail_type(), "Release Abandoned");
    assert_eq!((&detail["action"], &detail["reason"]), (&json!("discard"), &json!("its execution failed")));
    assert_eq!((&detail["service"], &detail["pipeline"]), (&json!("MZUM_WEB_PRODUCT"), &json!("mzum-web")));
}

#[test]
fn refused_parameters_are_told_as_far_as_they_were_read() {
    let refused = Refused {
        error: Error::configuration("the parameters are wrong"),
        role: None,
        release: None,
        pipeline: None,
        action: None,
    };
    let notice = Notice::refused(StageName::Cleanup, &refused);
    assert_eq!(notice.subject(), "FAILED: unknown service cleanup");
    assert_eq!(notice.headline.detail_type(), "Stage Failed");
    assert!(!notice.body(REGION).contains("Release:"), "{}", notice.body(REGION));
    assert!(notice.detail().contains("\"stage\":\"cleanup\""));
}

#[test]
fn limits_are_kept() {
    let many = |text: &str| (0..1_000).map(|n| format!("{n}.{}", text.repeat(60))).collect::<Vec<_>>();
    let report =
        Report { instances: many("인"), names: many("이름"), left_behind: many("남"), ..Report::default() };
    let message = "글😀".repeat(5_000);
    let outcome = Outcome::Done(Done { message: message.clone(), report, ..Done::default() });
    let mut notice = notice(Action::Provision, outcome);
    let detail: Value = serde_json::from_str(&notice.detail()).expect("JSON");
    assert!(notice.detail().len() <= MAX_DETAIL_BYTES);
    let names = detail["names"].as_array().expect("names");
    assert_eq!(names.last(), Some(&json!(format!("+{}", 1_000 - (names.len() - 1)))));
    assert!(names.len() > 100, "{} names", names.len());

    let told: Value = serde_json::from_str(&notice.amazon_q(REGION)).expect("JSON");
    let description = told["content"]["description"].as_str().expect("a description").encode_utf16().count();
    assert!((2_900..=3_000).contains(&description), "{description}");

    notice.service = format!("R{}", "_X".repeat(31));
    for headline in [Headline::RolledBack, Headline::Abandoned] {
        notice.headline = headline;
        let subject = notice.subject();
        assert!(subject.len() < 100 && subject.is_ascii() && subject.ends_with(" of 1a2b3c4d"), "{subject}");
    }
    notice.service = "한\n글".repeat(100);
    assert!(notice.subject().len() < 100 && notice.subject().chars().all(|c| c == ' ' || c.is_ascii_graphic()));

    let units = |text: &str| text.encode_utf16().count();
    assert!((4_990..=5_000).contains(&units(&failure_message(&Error::release(message.clone())))));
    assert!((2_040..=2_048).contains(&units(&summary(&message))));
    assert_eq!((failure_message(&Error::release("")).is_empty(), summary(" ")), (false, "done".to_owned()));
    let outputs = vec![("Names", message), ("Terminated", String::new()), ("LiveRelease", "r1".to_owned())];
    let done = Done { nothing: true, message: "nothing left".to_owned(), outputs, report: Report::default() };
    let variables = variables(&done);
    assert!((190..=200).contains(&units(&variables[0].1)));
    assert_eq!(variables[1..], [("Terminated", "none".to_owned()), ("LiveRelease", "r1".to_owned())]);
    let answer = answer(&done);
    assert_eq!((&answer["outcome"], &answer["outputs"]["LiveRelease"]), (&json!("nothing"), &json!("r1")));
}

#[test]
fn text_is_cut_only_where_it_must_be() {
    for (text, max, expected) in [
        ("", 5, ""),
        ("abcde", 5, "abcde"),
        ("abcdef", 5, "abcd…"),
        ("한글문자열", 4, "한글문…"),
        ("a😀b", 3, "a…"),
        ("a😀", 3, "a😀"),
    ] {
        assert_eq!(bounded(text, max), expected, "{text} {max}");
    }
}

#[test]
fn a_rules_template_can_quote_the_message() {
    let message = "action: \"shfit\" is none\n- C:\\app\ttail".to_owned();
    let mut notice = notice(Action::Shift, Outcome::Failed(Error::release(message.clone())));
    notice.pipeline = "my \"own\"\n".to_owned();
    let detail: Value = serde_json::from_str(&notice.detail()).expect("JSON");
    assert_eq!(detail["message"], "action: 'shfit' is none - C:/app tail");
    assert_eq!(detail["pipeline"], "my 'own' ");
    assert!(notice.body(REGION).contains(&message), "people's text stays as it is");
}
