//! What 200 services, each with a pre-product, need of one account and Region, beside AWS's limits.
//!
//! The figures are AWS's of November 2026, from each service's page of quotas. What a company must ask AWS to raise stands
//! in infra/README.md, by the figures computed here.

use super::{ACCOUNT, HTTP, HTTPS, PIPELINE, SERVICE, read_in};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tagship_emulator::template::{Stack, Template};

const SERVICES: usize = 200;
/// The longest name that a Region has.
const REGION: &str = "us-isof-south-1";

/// Everything at its longest and with every option on.
struct Longest {
    account: Template,
    pipeline: Template,
    service: Template,
}

impl Longest {
    fn read() -> Self {
        let arn = format!("arn:aws:kms:{REGION}:123456789012:key/01234567-0123-0123-0123-012345678901");
        let (prefix, pipeline) = ("p".repeat(31), "n".repeat(20));
        let (role, pre) = ("R".repeat(63), "Q".repeat(63));
        let topic = format!("arn:aws:sns:{REGION}:123456789012:{}", "t".repeat(256));
        let path = format!("/{}/", "p".repeat(60));
        let account = [
            ("FunctionPrefix", prefix.as_str()),
            ("Chat", "amazon-q"),
            ("ArtifactBuckets", "artifacts-*"),
            ("ArtifactAccount", "999999999999"),
            ("MoreParameters", "/images/*"),
            ("RolePath", &path),
            ("PermissionsBoundary", &arn),
            ("BucketKey", &arn),
            ("ArtifactKey", &arn),
            ("LogKey", &arn),
        ];
        let released = [
            ("PipelineName", pipeline.as_str()),
            ("ServiceRole", &role),
            ("PreProductServiceRole", &pre),
            ("FunctionPrefix", &prefix),
            ("TopicArn", &topic),
            ("BucketKey", &arn),
            ("PermissionsBoundary", &arn),
            ("RolePath", &path),
        ];
        let reached = [
            ("ServiceRole", role.as_str()),
            ("HostNames", "web.example.com"),
            ("RulePriority", "10"),
            ("Vpc", "vpc-1"),
            ("Subnets", "subnet-01234567890123456,subnet-01234567890123457"),
            ("HttpListener", HTTP),
            ("HttpsListener", HTTPS),
            ("LoadBalancerSecurityGroup", "sg-1"),
            ("ZoneName", "cd.internal"),
            ("CreateZone", "false"),
            ("PipelineName", &pipeline),
        ];
        Self {
            account: read_in(REGION, ACCOUNT, "tagship", &account),
            pipeline: read_in(REGION, PIPELINE, &pipeline, &released),
            service: read_in(REGION, SERVICE, "web", &reached),
        }
    }

    /// How many resources of a kind there are then.
    fn count(&self, kind: &str) -> usize {
        let of = |template: &Template| template.resources(kind).unwrap_or_else(|error| panic!("{error}")).len();
        of(&self.account) + SERVICES * (of(&self.pipeline) + 2 * of(&self.service))
    }
}

/// What a limit counts, what is needed, what AWS gives; and whether it gives more to who asks.
type Need = (&'static str, usize, usize, bool);

fn needs() -> Vec<Need> {
    let longest = Longest::read();
    let count = |kind: &str| longest.count(kind);
    vec![
        ("EventBridge rules a bus", count("AWS::Events::Rule"), 300, true),
        ("IAM roles", count("AWS::IAM::Role"), 1_000, true),
        ("IAM instance profiles", count("AWS::IAM::InstanceProfile"), 1_000, true),
        ("IAM managed policies", count("AWS::IAM::ManagedPolicy"), 1_500, true),
        ("S3 buckets", count("AWS::S3::Bucket"), 10_000, true),
        ("CodePipeline pipelines", count("AWS::CodePipeline::Pipeline"), 1_000, true),
        ("CodeDeploy applications", count("AWS::CodeDeploy::Application"), 1_000, true),
        ("security groups", count("AWS::EC2::SecurityGroup"), 2_500, true),
        ("target groups", count("AWS::ElasticLoadBalancingV2::TargetGroup"), 3_000, true),
        ("CloudFormation stacks", 1 + 3 * SERVICES, 2_000, true),
        ("CloudWatch alarms", count("AWS::CloudWatch::Alarm"), 5_000, true),
        ("a function's policy, bytes", function_policy(&longest), 20_480, false),
        ("provision's variables, bytes", variables(&longest.account, &[]), 4_096, false),
    ]
}

/// infra/README.md, whose lines break anywhere.
fn readme() -> String {
    include_str!("../../../../../infra/README.md").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn two_hundred_services_fit_or_ops_are_told_what_to_ask_for() {
    let readme = readme();
    for (what, needed, given, raised) in needs() {
        let asked = format!("| {what} | {given} | {needed} |");
        assert!(needed <= given || raised, "{what}: {needed} are needed, and AWS never gives more than {given}");
        assert_eq!(readme.contains(&asked), needed > given, "infra/README.md's table of quotas: {asked}");
    }
}

/// The most of what one function's resource policy has, as Lambda stores its statements.
fn function_policy(longest: &Longest) -> usize {
    let mut sizes: BTreeMap<String, usize> = BTreeMap::new();
    let each = [(&longest.account, 1), (&longest.pipeline, SERVICES), (&longest.service, 2 * SERVICES)];
    for (template, stacks) in each {
        for (id, permission) in template.resources("AWS::Lambda::Permission").expect("permissions") {
            let function = permission["FunctionName"].as_str().expect("a name").rsplit(':').next().expect("a name");
            let statement = json!({
                // CloudFormation makes it of the stack's name, which has 128 characters at most, the id and its own.
                "Sid": format!("{}-{id}-0123456789ABCDEF", "s".repeat(128)),
                "Effect": "Allow",
                "Principal": {"Service": permission["Principal"]},
                "Action": permission["Action"],
                "Resource": format!("arn:aws:lambda:{REGION}:123456789012:function:{function}"),
                "Condition": {
                    "ArnLike": {"AWS:SourceArn": permission["SourceArn"]},
                    "StringEquals": {"AWS:SourceAccount": permission["SourceAccount"]},
                },
            });
            *sizes.entry(function.to_owned()).or_default() += stacks * statement.to_string().len();
        }
    }
    let most = sizes.values().max().expect("permissions");
    most + json!({"Version": "2012-10-17", "Id": "default", "Statement": []}).to_string().len()
}

/// The bytes of provision's variables with these settings among them, as Lambda measures: as JSON.
fn variables(account: &Template, settings: &[(String, String)]) -> usize {
    let functions = account.resources("AWS::Serverless::Function").expect("functions");
    let (_, provision) = functions.iter().find(|(id, _)| id == "Provision").expect("provision");
    let own = provision["Environment"]["Variables"].as_object().expect("variables");
    let mut all: BTreeMap<String, Value> = own.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    all.insert("TAGSHIP_BUCKET".to_owned(), "b".repeat(63).into());
    all.extend(settings.iter().map(|(role, text)| (role.clone(), text.clone().into())));
    json!(all).to_string().len()
}

/// How many services' settings there is room for: some, if they stand in the variables themselves; all, if they are in
/// parameters.
#[test]
fn settings_outgrow_the_variables_and_not_the_parameters() {
    let longest = Longest::read();
    let two = "subnet-01234567890123456,subnet-01234567890123457";
    let usual = super::service(&[("Subnets", two), ("ZoneName", "cd.internal"), ("CreateZone", "false")]);
    let settings = usual.outputs().expect("outputs")["Settings"].as_str().expect("a text").to_owned();
    let fit = |value: &str| {
        let services = |count: usize| -> Vec<_> {
            (0..count).map(|n| (format!("MZUM_WEB_PRODUCT_{n:03}"), value.to_owned())).collect()
        };
        (0..).find(|count| variables(&longest.account, &services(count + 1)) > 4_096).expect("a limit")
    };
    let (whole, referred) = (fit(&settings), fit("ssm:/tagship/MZUM_WEB_PRODUCT_001"));
    let said =
        format!("enough for the settings of about {whole} services, or for about {referred} references to parameters");
    assert!(readme().contains(&said), "infra/README.md: {said}");
    assert!(referred < 2 * SERVICES, "else nothing would need TAGSHIP_SETTINGS");
    // A standard parameter takes 4 KB, and an account 10,000 of them.
    assert!(settings.len() < 4_096);
}

/// Names and texts at their longest.
#[test]
fn names_fit() {
    let Longest { account, pipeline, service } = Longest::read();
    let of = |template: &Template, kind: &str| template.resources(kind).unwrap_or_else(|error| panic!("{error}"));
    let check = |what: &str, text: &Value, most: usize| {
        let length = text.as_str().unwrap_or_else(|| panic!("{what}: {text}")).len();
        assert!(length <= most, "{what} has {length} characters, AWS takes {most}: {text}");
    };
    for (_, bucket) in of(&pipeline, "AWS::S3::Bucket") {
        check("a bucket's name", &bucket["BucketName"], 63);
    }
    for (id, rule) in of(&pipeline, "AWS::Events::Rule").into_iter().chain(of(&account, "AWS::Events::Rule")) {
        if !rule["Name"].is_null() {
            check(&id, &rule["Name"], 64);
        }
        assert!(rule["EventPattern"].to_string().len() <= 2_048, "{id}'s pattern");
        let targets = rule["Targets"].as_array().expect("targets");
        assert!(targets.len() <= 5, "{id} has {} targets", targets.len());
        for target in targets.iter().filter(|target| !target["InputTransformer"].is_null()) {
            check(&id, &target["InputTransformer"]["InputTemplate"], 8_192);
        }
    }
    for (id, function) in of(&account, "AWS::Serverless::Function") {
        check(&id, &function["FunctionName"], 64);
    }
    for kind in ["Application", "DeploymentGroup"] {
        for (id, resource) in of(&pipeline, &format!("AWS::CodeDeploy::{kind}")) {
            check(&id, &resource[format!("{kind}Name")], 100);
        }
    }
    for stage in of(&pipeline, "AWS::CodePipeline::Pipeline")[0].1["Stages"].as_array().expect("stages") {
        for action in stage["Actions"].as_array().expect("actions") {
            for key in ["UserParameters", "CustomData"] {
                let value = &action["Configuration"][key];
                if !value.is_null() {
                    check(key, value, 1_000);
                }
            }
        }
    }
    // A service role is a label of names in DNS, which has 63 characters; under a pipeline's name CodePipeline keeps its
    // copies, and cuts it after 20.
    for (name, value) in [("ServiceRole", "R".repeat(64)), ("PipelineName", "n".repeat(21))] {
        let mut parameters: BTreeMap<_, _> = [("PipelineName", "web"), ("ServiceRole", "WEB")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        parameters.insert(name.to_owned(), value);
        let error = Template::read(PIPELINE, Stack { parameters, ..Stack::default() }).expect_err(name);
        assert_eq!(error.at, format!("Parameters.{name}"), "{error}");
    }
    // CloudFormation makes these names, as long as they may be.
    for (template, kind, property) in [
        (&account, "AWS::IAM::Role", "RoleName"),
        (&pipeline, "AWS::IAM::Role", "RoleName"),
        (&service, "AWS::IAM::Role", "RoleName"),
        (&service, "AWS::ElasticLoadBalancingV2::TargetGroup", "Name"),
    ] {
        for (id, resource) in of(template, kind) {
            assert!(resource[property].is_null(), "{id} has a name of its own");
        }
    }
}

/// IAM counts a policy's characters without white space.
#[test]
fn policies_fit() {
    let Longest { account, pipeline, service } = Longest::read();
    for template in [&account, &pipeline, &service] {
        for (id, role) in template.resources("AWS::IAM::Role").expect("roles") {
            let inline = role["Policies"].as_array().into_iter().flatten();
            let characters: usize = inline.map(|policy| policy["PolicyDocument"].to_string().len()).sum();
            assert!(characters <= 10_240, "{id}: {characters} characters of policies");
            let trust = role["AssumeRolePolicyDocument"].to_string().len();
            assert!(trust <= 2_048, "{id}: {trust} characters of trust");
        }
        for (id, policy) in template.resources("AWS::IAM::ManagedPolicy").expect("policies") {
            let characters = policy["PolicyDocument"].to_string().len();
            assert!(characters <= 6_144, "{id}: {characters} characters");
        }
    }
    // Without a bucket, the AWS CLI hands over what has 51,200 bytes at most.
    for (name, text) in [("pipeline.yaml", PIPELINE), ("service.yaml", SERVICE)] {
        assert!(text.len() <= 51_200, "{name} has {} bytes", text.len());
    }
}

/// One Application Load Balancer has 100 target groups, and as many rules: so many services, and no more.
#[test]
fn a_balancer_carries_some_services() {
    let service = Longest::read().service;
    let of = |kind: &str| service.resources(&format!("AWS::ElasticLoadBalancingV2::{kind}")).expect("resources").len();
    let services = 100 / of("TargetGroup").max(of("ListenerRule"));
    let said = format!("One load balancer can serve {services} services");
    assert!(readme().contains(&said), "infra/README.md: {said}");
}
