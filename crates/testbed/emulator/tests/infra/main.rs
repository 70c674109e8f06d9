//! What infra/'s templates, the files that go to AWS, make of an account and of a service.

mod limits;
mod policies;
mod rules;
mod service;

use std::collections::BTreeMap;
use tagship_emulator::template::{Stack, Template};

const ACCOUNT: &str = include_str!("../../../../../infra/tagship.yaml");
const PIPELINE: &str = include_str!("../../../../../infra/pipeline.yaml");
const SERVICE: &str = include_str!("../../../../../infra/service.yaml");

/// A service's pipeline.
fn template(parameters: &[(&str, &str)]) -> Template {
    let given = [("PipelineName", "mzum-web"), ("ServiceRole", "MZUM_WEB_PRODUCT")];
    let parameters = [&given[..], parameters].concat();
    read(PIPELINE, "mzum-web", &parameters)
}

/// What an account has once.
fn account(parameters: &[(&str, &str)]) -> Template {
    read(ACCOUNT, "tagship", parameters)
}

fn read(text: &str, name: &str, parameters: &[(&str, &str)]) -> Template {
    read_in("eu-west-1", text, name, parameters)
}

fn read_in(region: &str, text: &str, name: &str, parameters: &[(&str, &str)]) -> Template {
    let stack = Stack {
        name: name.into(),
        account: "123456789012".into(),
        region: region.into(),
        parameters: parameters.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        known: KNOWN.map(|id| (id.to_owned(), format!("id-of-{id}"))).into(),
        ..Stack::default()
    };
    Template::read(text, stack).expect("a template")
}

/// Resources that AWS names itself.
const KNOWN: [&str; 5] =
    ["TargetGroupA", "TargetGroupB", "InstanceProfile", "InstanceSecurityGroup.GroupId", "Unhandled.QueueName"];

const PRE: (&str, &str) = ("PreProductServiceRole", "MZUM_WEB_QA");
const TOPIC: (&str, &str) = ("TopicArn", "arn:aws:sns:eu-west-1:123456789012:releases");

const RELEASES: &str = "arn:aws:s3:::mzum-web-releases-123456789012-eu-west-1";

/// The functions' stack says of which version they are: that of the workspace.
#[test]
fn the_functions_version_is_the_workspaces() {
    let said = format!("TAGSHIP_VERSION: {} #", env!("CARGO_PKG_VERSION"));
    assert!(ACCOUNT.contains(&said), "infra/tagship.yaml: {said}");
}

/// An example service, with what `more` gives it.
fn service(more: &[(&str, &str)]) -> Template {
    let given = [
        ("ServiceRole", "MZUM_WEB_PRODUCT"),
        ("HostNames", "web.example.com"),
        ("RulePriority", "10"),
        ("Vpc", "vpc-1"),
        ("Subnets", "subnet-1"),
        ("HttpsListener", HTTPS),
        ("LoadBalancerSecurityGroup", "sg-1"),
        ("PipelineName", "mzum-web"),
    ];
    let mut parameters: BTreeMap<&str, &str> = given.into();
    parameters.extend(more.iter().copied());
    let parameters: Vec<_> = parameters.into_iter().collect();
    read(SERVICE, "web", &parameters)
}

const HTTPS: &str = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/company/1/443";
const HTTP: &str = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/company/1/80";
