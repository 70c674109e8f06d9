//! What infra/pipeline.yaml and infra/tagship.yaml, the files that go to AWS, make of a service: its actions and rules.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tagship_emulator::pipeline::Kind;
use tagship_emulator::policy::Request;
use tagship_emulator::rule::On;
use tagship_emulator::template::{Stack, Template};

fn template(parameters: &[(&str, &str)]) -> Template {
    let given = [("PipelineName", "mzum-web"), ("ServiceRole", "MZUM_WEB_PRODUCT")];
    let parameters = [&given[..], parameters].concat();
    read(include_str!("../../../../infra/pipeline.yaml"), "mzum-web", &parameters)
}

/// What an account has once.
fn account(parameters: &[(&str, &str)]) -> Template {
    read(include_str!("../../../../infra/tagship.yaml"), "tagship", parameters)
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

/// Whether who has the policy (its logical id) may do this.
#[track_caller]
fn check_may(template: &Template, policy: &str, action: &str, resource: &str, expected: bool) {
    let policies = template.policies().expect("policies");
    let request = Request { action: action.into(), resource: resource.into(), context: BTreeMap::new() };
    assert_eq!(policies[policy].allows(&request), expected, "{policy}: {action} on {resource}");
}

const RELEASES: &str = "arn:aws:s3:::mzum-web-releases-123456789012-eu-west-1";

#[test]
fn a_build_server_may_put_a_release_and_nothing_else() {
    let template = template(&[]);
    let release = format!("{RELEASES}/release.zip");
    check_may(&template, "UploadPolicy", "s3:PutObject", &release, true);
    check_may(&template, "UploadPolicy", "s3:AbortMultipartUpload", &release, true);
    for action in ["s3:GetObject", "s3:GetObjectVersion", "s3:DeleteObject", "s3:PutObjectTagging", "s3:PutObjectAcl"] {
        check_may(&template, "UploadPolicy", action, &release, false);
    }
    for other in ["release.zip.bak", "mzum-web/App/x", ""] {
        check_may(&template, "UploadPolicy", "s3:PutObject", &format!("{RELEASES}/{other}"), false);
    }
    check_may(&template, "UploadPolicy", "s3:ListBucket", RELEASES, false);
    check_may(
        &template,
        "UploadPolicy",
        "s3:PutObject",
        "arn:aws:s3:::shop-releases-123456789012-eu-west-1/release.zip",
        false,
    );
    check_may(
        &template,
        "UploadPolicy",
        "codepipeline:StartPipelineExecution",
        "arn:aws:codepipeline:eu-west-1:123456789012:mzum-web",
        false,
    );
}

#[test]
fn a_pipeline_may_use_its_own_bucket_the_four_functions_and_its_topic() {
    let (quiet, told) = (template(&[]), template(&[TOPIC]));
    let function = |name: &str| format!("arn:aws:lambda:eu-west-1:123456789012:function:{name}");
    for name in ["provision", "deploy", "route", "cleanup"] {
        check_may(&quiet, "PipelineRole", "lambda:InvokeFunction", &function(&format!("tagship-{name}")), true);
    }
    check_may(&quiet, "PipelineRole", "lambda:InvokeFunction", &function("payroll"), false);
    check_may(&quiet, "PipelineRole", "lambda:UpdateFunctionCode", &function("tagship-route"), false);
    for (action, key) in
        [("s3:GetObjectVersion", "release.zip"), ("s3:GetObject", "x"), ("s3:PutObject", "mzum-web/App/x")]
    {
        check_may(&quiet, "PipelineRole", action, &format!("{RELEASES}/{key}"), true);
        check_may(&quiet, "PipelineRole", action, &format!("arn:aws:s3:::tagship-123456789012/{key}"), false);
    }
    check_may(&quiet, "PipelineRole", "s3:GetBucketVersioning", RELEASES, true);
    check_may(&quiet, "PipelineRole", "s3:DeleteObject", &format!("{RELEASES}/release.zip"), false);
    check_may(&told, "PipelineRole", "sns:Publish", TOPIC.1, true);
    check_may(&told, "PipelineRole", "sns:Publish", "arn:aws:sns:eu-west-1:123456789012:payroll", false);
    check_may(&quiet, "PipelineRole", "sns:Publish", TOPIC.1, false);
}

#[test]
fn an_upload_may_start_this_pipeline_alone() {
    let template = template(&[]);
    let pipeline = |name: &str| format!("arn:aws:codepipeline:eu-west-1:123456789012:{name}");
    check_may(&template, "EventsRole", "codepipeline:StartPipelineExecution", &pipeline("mzum-web"), true);
    check_may(&template, "EventsRole", "codepipeline:StartPipelineExecution", &pipeline("shop"), false);
    check_may(&template, "EventsRole", "codepipeline:StopPipelineExecution", &pipeline("mzum-web"), false);
}

#[test]
fn an_instance_may_read_its_releases_alone() {
    let given = [
        ("ServiceRole", "MZUM_WEB_PRODUCT"),
        ("HostNames", "web.example.com"),
        ("RulePriority", "10"),
        ("Vpc", "vpc-1"),
        ("Subnets", "subnet-1"),
        ("HttpListener", "arn:listener"),
        ("LoadBalancerSecurityGroup", "sg-1"),
        ("PipelineName", "mzum-web"),
    ];
    let service = |more: &[(&str, &str)]| {
        read(include_str!("../../../../infra/service.yaml"), "web", &[&given[..], more].concat())
    };
    let (plain, tagged) = (service(&[]), service(&[("ArtifactBucket", "company-artifacts")]));
    for action in ["s3:GetObject", "s3:GetObjectVersion"] {
        check_may(&plain, "InstanceRole", action, &format!("{RELEASES}/mzum-web/App/x"), true);
        for other in ["tagship-123456789012", "shop-releases-123456789012-eu-west-1", "company-artifacts"] {
            check_may(&plain, "InstanceRole", action, &format!("arn:aws:s3:::{other}/x"), false);
        }
        check_may(&tagged, "InstanceRole", action, "arn:aws:s3:::company-artifacts/built/x.zip", true);
    }
    check_may(&plain, "InstanceRole", "s3:PutObject", &format!("{RELEASES}/release.zip"), false);
    check_may(&plain, "InstanceRole", "s3:GetObject", "arn:aws:s3:::aws-codedeploy-eu-west-1/latest/install", true);
}
