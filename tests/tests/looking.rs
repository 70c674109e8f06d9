//! What `tagship status` asks of AWS: how many calls, and how many rounds of them that wait for each other.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Duration;
use tagship_local::artifact::{Variant, pack};
use tagship_local::gateway::{Effect, Fault, Record, When};
use tagship_local::ops::Ops;
use tagship_local::{Line, Local, Plan, Play, setup};
use tagship_tests::person::aws_with;

const ROLE: &str = "WEB_PRODUCT";
const FLEET: u32 = 100;
/// Services beside those that are held.
const CALM: usize = 197;
const HELD: [(&str, &str); 3] = [("web", ROLE), ("shop", "SHOP_PRODUCT"), ("blog", "BLOG_PRODUCT")];
/// Each call takes so long at the least: those that don't wait for each other begin well within it.
const LONG: Duration = Duration::from_secs(4);

/// Where a service's settings are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// In a variable of provision.
    Variable,
    /// In a parameter that the variable names.
    Reference,
    /// In the service's own parameter: no variable has its name.
    OwnParameter,
}

/// Has ops keep the settings of the service there.
fn keep(local: &Local, kept: Kept) {
    let url = local.gateway.url();
    let function = ["lambda", "get-function-configuration", "--function-name", "tagship-provision"];
    let variables = aws_with(&url, &function)["Environment"]["Variables"].take();
    let mut variables: BTreeMap<String, String> = serde_json::from_value(variables).expect("variables");
    let path = format!("/tagship/{ROLE}");
    match kept {
        Kept::Variable => return,
        Kept::Reference => {
            let text = variables.insert(ROLE.to_owned(), format!("ssm:{path}")).expect("settings");
            let put = ["ssm", "put-parameter", "--type", "SecureString", "--name", &path, "--value", &text];
            aws_with(&url, &put);
        }
        Kept::OwnParameter => {
            variables.remove(ROLE);
            variables.insert("TAGSHIP_SETTINGS".to_owned(), "/tagship/".to_owned());
        }
    }
    local.lambda.set_environment("tagship-provision", variables).expect("a function");
}

/// What somebody who looks has asked, in the order in which it came in, and what was shown.
async fn look(local: &Local, words: &[&str]) -> (Vec<Record>, Value) {
    const WHO: &str = "viewer";
    let services =
        ["lambda", "s3", "ec2", "codepipeline", "tagging", "elasticloadbalancing", "route53", "monitoring", "ssm"];
    for service in services {
        local.gateway.faults().add(Fault {
            caller: Some(WHO.to_owned()),
            service: service.to_owned(),
            operation: None,
            when: When::Always,
            effect: Effect::Delay(LONG),
        });
    }
    let home = tempfile::tempdir().expect("a directory");
    let output = Command::new(tagship_local::command().expect("built"))
        .args(words)
        .args(["--output", "json"])
        .env_clear()
        .env("HOME", home.path())
        .envs(setup::ops_environment(&local.gateway.url()))
        .env("AWS_ACCESS_KEY_ID", WHO)
        .stdin(Stdio::null())
        .output()
        .expect("tagship is built with the workspace");
    local.gateway.faults().clear();
    assert!(output.status.success(), "{output:?}");
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(document["unavailable"].as_array().is_none_or(Vec::is_empty), "{document:#}");
    let mut asked: Vec<Record> =
        local.gateway.recorder().take().into_iter().filter(|record| record.caller == WHO).collect();
    asked.sort_by_key(|record| record.at);
    let unheld: Vec<&str> =
        asked.iter().map(|it| it.service.as_str()).filter(|service| !services.contains(service)).collect();
    assert!(unheld.is_empty(), "a call that took no time tells nothing: {unheld:?}");
    (asked, document)
}

/// How many wait for each other: whatever came in after a call had ended may have waited for it.
fn rounds(asked: &[Record]) -> usize {
    let long = SignedDuration::try_from(LONG).expect("short");
    let mut begun: Vec<Timestamp> = Vec::new();
    for record in asked {
        if begun.last().is_none_or(|round| record.at.duration_since(*round) >= long) {
            begun.push(record.at);
        }
    }
    begun.len()
}

fn told(asked: &[Record]) -> String {
    let from = asked.first().map(|it| it.at).unwrap_or_default();
    let line = |it: &Record| format!("{:>6} ms {}", it.at.duration_since(from).as_millis(), it.operation);
    asked.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_is_a_few_calls_and_a_few_rounds() {
    let lines = (10..).zip(HELD).map(|(priority, (pipeline, role))| {
        let mut line = Line::quick(pipeline, role, &format!("{pipeline}.example.com"), priority);
        // A hundred instances take their time where the machine has other work.
        line.settings["TIMEOUTS"]["HEALTHY"] = 600.into();
        if role == ROLE {
            line.product.count = FLEET;
        }
        line
    });
    let local = Local::start(Plan { play: Play::Timers, ..Plan::new(lines.collect()) }).await.expect("a cloud");
    let ops = Ops::new(&local.gateway.url(), &local.account.region);
    for alarm in ["web-errors", "web-slow"] {
        let tag = format!("Key=tagship:service,Value={ROLE}");
        let metric = "--metric-name M --namespace N --period 60 --evaluation-periods 1 --threshold 1 --statistic Sum";
        let words = format!("cloudwatch put-metric-alarm --alarm-name {alarm} {metric} --comparison-operator");
        let words: Vec<&str> = words.split(' ').chain(["GreaterThanThreshold", "--tags", &tag]).collect();
        aws_with(&local.gateway.url(), &words);
    }
    for (pipeline, role) in HELD {
        let build = pack("v1", Variant::Healthy).expect("a build");
        let release = ops.release(pipeline, &local.account.services[role].bucket, build).await.expect("an upload");
        assert!(ops.await_approval(pipeline, &release, "QaApproval").await.expect("a state"), "{pipeline}");
    }
    let many = CALM.to_string();
    let wanted = [
        ("ImageId", local.account.image.as_str()),
        ("InstanceType", "t3.micro"),
        ("SubnetId", &local.account.subnets[0]),
        ("MinCount", &many),
        ("MaxCount", &many),
    ];
    let launched = ops.query("ec2", "RunInstances", &wanted).await.expect("instances");
    let ids = launched.split("<instanceId>").skip(1).filter_map(|rest| rest.split('<').next());
    for (n, id) in ids.enumerate() {
        let role = format!("CALM_{n}");
        let tag = [("ResourceId.1", id), ("Tag.1.Key", "tagship:service"), ("Tag.1.Value", &role)];
        ops.query("ec2", "CreateTags", &tag).await.expect("a tag");
    }
    local.gateway.recorder().take();

    for kept in [Kept::Variable, Kept::Reference, Kept::OwnParameter] {
        keep(&local, kept);
        let (asked, one) = look(&local, &["status", ROLE]).await;
        let all = told(&asked);
        let (calls, rounds) = (asked.len(), rounds(&asked));
        eprintln!("tagship status SERVICE, {FLEET} instances, {kept:?}: {calls} calls in {rounds} rounds\n{all}");
        assert_eq!(one["releases"][0]["healthy"], FLEET, "{one:#}");
        let seen = ["alarms", "switches", "names"].map(|part| one[part].as_array().map_or(0, Vec::len) > 1);
        assert_eq!(seen, [true; 3], "{one:#}");
        let parameters = asked.iter().filter(|it| it.operation == "GetParameter").count();
        assert_eq!(parameters, usize::from(kept != Kept::Variable), "{all}");
        assert!(calls <= 16 && rounds <= 4, "{all}");
    }

    let (asked, overview) = look(&local, &["status"]).await;
    let all = told(&asked);
    let held = HELD.len();
    eprintln!("tagship status, {} services, {held} held: {} calls\n{all}", CALM + held, asked.len());
    assert_eq!(overview["services"].as_array().map(Vec::len), Some(CALM + held));
    let waits = |row: &&Value| row["waitsForAPerson"] == json!(true) && row["at"] == "QaApproval";
    let rows = overview["services"].as_array().expect("rows");
    let waiting = rows.iter().filter(waits).count();
    assert_eq!(waiting, held, "{rows:#?}");
    assert!(asked.len() <= 15 + 2 * held, "{all}");
    for operation in ["DescribeTargetHealth", "ListResourceRecordSets"] {
        assert!(asked.iter().all(|it| it.operation != operation), "{all}");
    }
}
