//! A service's flow, and who is called and told by which event.

use super::{PRE, TOPIC, account, template};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tagship_emulator::pipeline::Kind;
use tagship_emulator::rule::On;
use tagship_emulator::template::Template;
use wildmatch::WildMatch;

/// The actions in the order in which they run: function, service role and action, or `approval`.
#[track_caller]
fn check_flow(parameters: &[(&str, &str)], expected: &[&str]) {
    let pipeline = template(parameters).pipelines().expect("a pipeline").remove(0);
    assert_eq!(pipeline.stages.len(), 2, "the service's lock is one stage");
    let mut actions = pipeline.stages[1].actions.clone();
    actions.sort_by_key(|action| action.run_order);
    let flow = actions.iter().map(|action| match action.kind {
        Kind::Approval => "approval".to_owned(),
        _ => {
            let parameters: BTreeMap<String, String> =
                serde_json::from_str(&action.configuration["UserParameters"]).expect("a JSON map");
            assert_eq!(parameters["release"], "#{codepipeline.PipelineExecutionId}");
            assert_eq!(parameters["pipeline"], "mzum-web");
            let function = &action.configuration["FunctionName"];
            let what = parameters.get("action").map(|what| format!(" {what}"));
            format!("{function} {}{}", parameters["serviceRole"], what.unwrap_or_default())
        }
    });
    assert_eq!(flow.collect::<Vec<_>>(), expected);
}

#[test]
fn the_flow_of_a_release() {
    let product = [
        "tagship-provision MZUM_WEB_PRODUCT",
        "tagship-deploy MZUM_WEB_PRODUCT",
        "approval",
        "tagship-route MZUM_WEB_PRODUCT shift",
        "approval",
        "tagship-cleanup MZUM_WEB_PRODUCT retire",
    ];
    check_flow(&[], &product);
    let before =
        ["tagship-provision MZUM_WEB_QA", "tagship-deploy MZUM_WEB_QA", "tagship-route MZUM_WEB_QA shift", "approval"];
    let after = ["tagship-cleanup MZUM_WEB_QA park"];
    check_flow(&[PRE], &[&before[..], &product, &after].concat());
}

/// What is called, and with what, when `event` happens.
#[track_caller]
fn check_rules(parameters: &[(&str, &str)], event: Value, expected: &[(&str, Value)]) {
    check(&template(parameters), event, expected);
}

#[track_caller]
fn check(template: &Template, event: Value, expected: &[(&str, Value)]) {
    let rules = template.rules().expect("rules");
    let mut calls = Vec::new();
    for rule in &rules {
        if matches!(&rule.on, On::Event(pattern) if pattern.matches(&event)) {
            for target in &rule.targets {
                let sent = target.input.of(&event, rule);
                let sent = serde_json::from_str(&sent).unwrap_or(Value::String(sent));
                let name = target.arn.rsplit(':').next().unwrap_or_default().to_owned();
                calls.push((name, sent));
            }
        }
    }
    let expected: Vec<_> = expected.iter().map(|(name, sent)| ((*name).to_owned(), sent.clone())).collect();
    assert_eq!(calls, expected);
}

fn call(role: &str, action: &str) -> Value {
    json!({"tagship": {
        "serviceRole": role, "release": "e-1", "pipeline": "mzum-web", "action": action,
    }})
}

fn ended(pipeline: &str, state: &str) -> Value {
    json!({
        "source": "aws.codepipeline",
        "detail-type": "CodePipeline Pipeline Execution State Change",
        "region": "eu-west-1",
        "detail": {"pipeline": pipeline, "execution-id": "e-1", "state": state},
    })
}

#[test]
fn an_execution_that_ends_early_is_rolled_back_and_discarded() {
    let product = [
        ("tagship-route", call("MZUM_WEB_PRODUCT", "rollback")),
        ("tagship-cleanup", call("MZUM_WEB_PRODUCT", "discard")),
    ];
    let qa = [("tagship-cleanup", call("MZUM_WEB_QA", "park"))];
    for state in ["FAILED", "STOPPED", "SUPERSEDED", "CANCELED"] {
        check_rules(&[], ended("mzum-web", state), &product);
        check_rules(&[PRE], ended("mzum-web", state), &[&product[..], &qa].concat());
    }
    for (pipeline, state) in [("mzum-web", "SUCCEEDED"), ("mzum-web", "STARTED"), ("x", "FAILED")] {
        check_rules(&[PRE], ended(pipeline, state), &[]);
    }
}

#[test]
fn people_are_told_of_a_release_that_ends_early_and_not_of_a_pipeline_that_is_made() {
    let stage = |stage: &str, state: &str| {
        let mut event = ended("mzum-web", state);
        event["detail-type"] = "CodePipeline Stage Execution State Change".into();
        event["detail"]["stage"] = stage.into();
        event
    };
    for state in ["FAILED", "STOPPED", "CANCELED"] {
        let said = format!(
            "mzum-web: execution e-1 is {state}; its release is being rolled back and discarded. \
             https://eu-west-1.console.aws.amazon.com/codesuite/codepipeline/pipelines/mzum-web/executions/e-1"
        );
        check_rules(&[TOPIC], stage("Release", state), &[("releases", Value::String(said))]);
        check_rules(&[], stage("Release", state), &[]);
    }
    for state in ["STARTED", "SUCCEEDED", "STOPPING", "RESUMED"] {
        check_rules(&[TOPIC], stage("Release", state), &[]);
    }
    // Making the pipeline starts an execution, which finds no upload.
    check_rules(&[TOPIC], stage("Source", "FAILED"), &[]);
    let without_words = template(&[]).rules().expect("rules").len();
    let told = |event: Value| {
        let rules = template(&[TOPIC]).rules().expect("rules");
        assert_eq!(rules.len(), without_words + 1);
        rules.iter().any(|rule| {
            let matches = matches!(&rule.on, On::Event(pattern) if pattern.matches(&event));
            matches && rule.targets.iter().any(|target| target.arn == TOPIC.1)
        })
    };
    assert!(!told(ended("mzum-web", "FAILED")), "the execution's own end is told to nobody");
}

fn abandoned(service: &str, action: &str) -> Value {
    json!({
        "source": "tagship",
        "detail-type": "Release Abandoned",
        "detail": {
            "service": service, "release": "e-1", "pipeline": "mzum-web", "action": action,
            "stage": "provision", "message": "its execution failed", "elapsedSeconds": 3,
        },
    })
}

#[test]
fn an_abandoned_release_is_ended() {
    let undone = [
        ("tagship-route", call("MZUM_WEB_PRODUCT", "rollback")),
        ("tagship-cleanup", call("MZUM_WEB_PRODUCT", "discard")),
    ];
    let finished = [("tagship-cleanup", call("MZUM_WEB_PRODUCT", "retire"))];
    let parked = [("tagship-cleanup", call("MZUM_WEB_QA", "park"))];
    // The execution ended for product and pre-product: whichever was found, both are ended.
    for service in ["MZUM_WEB_PRODUCT", "MZUM_WEB_QA"] {
        check_rules(&[PRE], abandoned(service, "discard"), &[&undone[..], &parked].concat());
        check_rules(&[PRE], abandoned(service, "retire"), &[&finished[..], &parked].concat());
        check_rules(&[], abandoned(service, "discard"), &undone);
        check_rules(&[], abandoned(service, "retire"), &finished);
    }
    let mut other = abandoned("MZUM_WEB_PRODUCT", "discard");
    other["detail"]["pipeline"] = "shop".into();
    check_rules(&[PRE], other, &[]);
}

/// Functions let themselves be invoked by rules, and only by those that are called as they are.
#[test]
fn each_rule_may_invoke_its_functions() {
    for prefix in ["tagship-", "next-"] {
        let prefixed = ("FunctionPrefix", prefix);
        let account = account(&[prefixed]);
        let mut granted = BTreeMap::new();
        for (_, permission) in account.resources("AWS::Lambda::Permission").expect("permissions") {
            let text = |key: &str| permission[key].as_str().expect("a text").to_owned();
            assert_eq!(
                (text("Action"), text("Principal")),
                ("lambda:InvokeFunction".into(), "events.amazonaws.com".into())
            );
            assert_eq!(text("SourceAccount"), "123456789012");
            assert!(granted.insert(text("FunctionName"), WildMatch::new(&text("SourceArn"))).is_none(), "one each");
        }
        let service = template(&[PRE, TOPIC, prefixed]);
        let rules = [account.rules().expect("rules"), service.rules().expect("rules")].concat();
        let invoked = rules.iter().flat_map(|rule| {
            let functions = rule.targets.iter().filter(|target| target.arn.contains(":lambda:"));
            functions.map(|target| (target.arn.rsplit(':').next().expect("a name").to_owned(), rule.arn.clone()))
        });
        let invoked: Vec<_> = invoked.collect();
        assert!(invoked.len() > 5, "{invoked:?}");
        for (function, rule) in invoked {
            assert!(granted[&function].matches(&rule), "{function} by {rule}");
            assert!(!granted[&function].matches(&rule.replace(prefix, "payroll-")), "{function} by another's");
        }
    }
}

#[test]
fn people_are_told() {
    const LINK: &str =
        "https://eu-west-1.console.aws.amazon.com/codesuite/codepipeline/pipelines/mzum-web/executions/e-1";
    let mut event = abandoned("MZUM_WEB_PRODUCT", "shift");
    event["region"] = "eu-west-1".into();
    event["detail"]["subject"] = "mzum-web-product shift of e-1".into();
    event["detail"]["next"] = "Watch it.".into();
    let said = format!(
        "\"mzum-web-product shift of e-1\"\n\"its execution failed\"\n\"What to do next: Watch it.\"\n\
         \"Where to look: {LINK}\"\n\"MZUM_WEB_PRODUCT, release e-1: shift (provision), after 3 s\""
    );
    let mail = ("tagship-Topic", Value::String(said));
    for (what, icon) in [
        ("Stage Succeeded", ":white_check_mark:"),
        ("Stage Failed", ":rotating_light:"),
        ("Release Rolled Back", ":rotating_light:"),
        ("Release Kept", ":rotating_light:"),
        ("Release Abandoned", ":rotating_light:"),
    ] {
        event["detail-type"] = what.into();
        check(&account(&[]), event.clone(), std::slice::from_ref(&mail));
        let content = json!({
            "textType": "client-markdown",
            "title": format!("{icon} mzum-web-product shift of e-1"),
            "description": "its execution failed\n\n*Service:* MZUM_WEB_PRODUCT\n*Release:* e-1\n*Pipeline:* mzum-web\n\
                *Stage:* provision\n*Action:* shift\n*Took:* 3 s",
            "nextSteps": ["Watch it.", format!("Look at {LINK}")],
        });
        let chat = ("tagship-ChatTopic", json!({"version": "1.0", "source": "custom", "content": content}));
        check(&account(&[("Chat", "amazon-q")]), event.clone(), &[chat, mail.clone()]);
    }
}

#[test]
fn sweep_runs_every_five_minutes() {
    let rules = account(&[]).rules().expect("rules");
    let timed: Vec<_> = rules.iter().filter(|rule| rule.on == On::Every(Duration::from_secs(300))).collect();
    let [rule] = timed[..] else { panic!("one rule: {timed:?}") };
    let targets: Vec<_> =
        rule.targets.iter().map(|target| (target.arn.as_str(), target.input.of(&Value::Null, rule))).collect();
    let sweep = r#"{"tagship": {"action": "sweep"}}"#.to_owned();
    assert_eq!(targets, [("arn:aws:lambda:eu-west-1:123456789012:function:tagship-cleanup", sweep)]);
}

#[test]
fn an_upload_starts_the_pipeline_with_its_version() {
    let event = |key: &str| {
        json!({
            "source": "aws.s3",
            "detail-type": "Object Created",
            "detail": {
                "bucket": {"name": "mzum-web-releases-123456789012-eu-west-1"},
                "object": {"key": key, "version-id": "v7"},
            },
        })
    };
    let revision = json!({"sourceRevisions": [{
        "actionName": "Upload", "revisionType": "S3_OBJECT_VERSION_ID", "revisionValue": "v7",
    }]});
    check_rules(&[], event("release.zip"), &[("mzum-web", revision)]);
    check_rules(&[], event("mzum-web/App/x"), &[]);
}

#[test]
fn copies_of_artifacts_expire_and_uploads_stay() {
    let (_, bucket) = template(&[]).resources("AWS::S3::Bucket").expect("a bucket").remove(0);
    let rules = bucket["LifecycleConfiguration"]["Rules"].as_array().expect("rules");
    let expiring: Vec<_> = rules.iter().filter(|rule| !rule["ExpirationInDays"].is_null()).collect();
    // Three approvals of 60 days may be waited for before the last action reads its copy.
    let [rule] = expiring[..] else { panic!("one rule: {expiring:?}") };
    assert!(rule["ExpirationInDays"].as_u64().expect("days") > 3 * 60);
    let prefix = rule["Prefix"].as_str().expect("a prefix");
    assert!("mzum-web/App/x".starts_with(prefix) && !"release.zip".starts_with(prefix), "{prefix}");
}
