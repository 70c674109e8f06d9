//! What infra/pipeline.yaml and infra/tagship.yaml, the files that go to AWS, make of a service: its actions and rules.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tagship_pipeline::pipeline::Kind;
use tagship_pipeline::rule::On;
use tagship_pipeline::template::{Stack, Template};

fn template(parameters: &[(&str, &str)]) -> Template {
    let given = [("PipelineName", "mzum-web"), ("ServiceRole", "MZUM_WEB_PRODUCT")];
    let parameters = [&given[..], parameters].concat();
    read(include_str!("../../../infra/pipeline.yaml"), "mzum-web", &parameters)
}

/// What an account has once.
fn account() -> Template {
    read(include_str!("../../../infra/tagship.yaml"), "tagship", &[])
}

fn read(text: &str, name: &str, parameters: &[(&str, &str)]) -> Template {
    let stack = Stack {
        name: name.into(),
        account: "123456789012".into(),
        region: "eu-west-1".into(),
        parameters: parameters.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        ..Stack::default()
    };
    Template::read(text, stack).expect("a template")
}

const PRE: (&str, &str) = ("PreProductServiceRole", "MZUM_WEB_QA");
const TOPIC: (&str, &str) = ("TopicArn", "arn:aws:sns:eu-west-1:123456789012:releases");

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
    let said = "mzum-web: execution e-1 is FAILED; its release is being rolled back and discarded. \
        https://eu-west-1.console.aws.amazon.com/codesuite/codepipeline/pipelines/mzum-web/executions/e-1";
    let told = ("releases", Value::String(said.into()));
    check_rules(&[TOPIC], ended("mzum-web", "FAILED"), &[&product[..], &[told]].concat());
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
    let role = "MZUM_WEB_PRODUCT";
    let undone = [("tagship-route", call(role, "rollback")), ("tagship-cleanup", call(role, "discard"))];
    check_rules(&[PRE], abandoned(role, "discard"), &undone);
    check_rules(&[PRE], abandoned(role, "retire"), &[("tagship-cleanup", call(role, "retire"))]);
    for action in ["discard", "retire"] {
        let parked = [("tagship-cleanup", call("MZUM_WEB_QA", "park"))];
        check_rules(&[PRE], abandoned("MZUM_WEB_QA", action), &parked);
    }
    check_rules(&[], abandoned("MZUM_WEB_QA", "discard"), &[]);
}

#[test]
fn people_are_told() {
    let mut event = abandoned("MZUM_WEB_PRODUCT", "none");
    event["detail-type"] = "Stage Succeeded".into();
    event["region"] = "eu-west-1".into();
    let said = "\"Stage Succeeded: MZUM_WEB_PRODUCT, none (provision) of release e-1, after 3 s\"\n\
        \"its execution failed\"\n\
        \"https://eu-west-1.console.aws.amazon.com/codesuite/codepipeline/pipelines/mzum-web/executions/e-1\"";
    check(&account(), event, &[("tagship-Topic", Value::String(said.into()))]);
}

#[test]
fn sweep_runs_every_five_minutes() {
    let rules = account().rules().expect("rules");
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

/// So that what the functions really call can be held against them.
#[test]
fn the_roles_of_the_functions_can_be_read() {
    let roles = account().resources("AWS::IAM::Role").expect("roles");
    let shared = account().resources("AWS::IAM::ManagedPolicy").expect("a policy");
    let documents = roles.iter().map(|(_, role)| &role["Policies"][0]["PolicyDocument"]);
    let documents: Vec<_> = documents.chain(shared.iter().map(|(_, policy)| &policy["PolicyDocument"])).collect();
    assert_eq!(documents.len(), 5, "a role each, and what each may do");
    for statement in documents.iter().flat_map(|document| document["Statement"].as_array().expect("statements")) {
        assert_eq!(statement["Effect"], "Allow", "{statement}");
        assert!(statement["Sid"].is_string() && statement.get("Action").is_some(), "{statement}");
        assert!(statement["Resource"].is_string() || statement["Resource"].is_array(), "{statement}");
    }
}
