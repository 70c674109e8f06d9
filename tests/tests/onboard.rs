//! A new service by `tagship onboard`: what it writes is what the templates and the functions take, and nothing is written
//! where something is wrong.

use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use tagship_emulator::template::{Stack, Template};
use tagship_local::setup::{infra, ops_environment};
use tagship_local::{Local, Plan, moto};
use tagship_tests::terminal::Terminal;
use tagship_tests::words::says;

const ROLE: &str = "SHOP_PRODUCT";
const FILES: [&str; 3] = ["shop-product.service.json", "shop-product.settings.json", "shop.pipeline.json"];

#[tokio::test(flavor = "multi_thread")]
async fn a_service_from_a_listener_and_a_few_answers() {
    let local = Local::start(Plan::new(Vec::new())).await.expect("the cloud comes up");
    let terminal = Terminal::new(&local);
    let account = &local.account;
    let answers = serde_json::json!({"listener": [account.http_listener], "instance-type": "t3.micro",
        "subnet": account.subnets, "zone": "shop.internal"});
    std::fs::write(terminal.dir.path().join("answers.json"), answers.to_string()).expect("a file");
    let file = ["onboard", ROLE, "--answers", "answers.json"];
    let given = [&file[..], &["--host", "shop.example.com", "--ami", &account.image]].concat();
    refused(&terminal, &given);
    asked(&local, &answers, &given);

    // Who looks may write files: nothing in AWS is changed.
    let told = terminal.command("viewer", &given).output().expect("tagship runs");
    let text = String::from_utf8_lossy(&told.stdout).into_owned() + &String::from_utf8_lossy(&told.stderr);
    assert_eq!(told.status.code(), Some(0), "{text}");
    assert_eq!(written(&terminal), FILES);
    // They are typed where tagship is checked out, not where the files are.
    let [service, written_settings, release] = FILES.map(|name| terminal.dir.path().join(name).display().to_string());
    let service = format!("infra/deploy.sh shop-service infra/service.yaml {service}");
    let release = format!("infra/deploy.sh shop-pipeline infra/pipeline.yaml {release}");
    let settings = ["settings", "set", ROLE, &written_settings];
    says(
        "onboard",
        &text,
        &[&service, &release, &format!("tagship {}", settings.join(" ")), "tagship doctor SHOP_PRODUCT", "no --topic"],
    );
    let changed = local.gateway.recorder().records().iter().any(|it| it.caller == "viewer" && it.changing);
    assert!(!changed, "it only reads");
    again(&terminal, &given);
    terminal.json(&[&given[..], &["--overwrite"]].concat());

    agree(&read(&terminal, FILES[0]), &read(&terminal, FILES[1]));
    deploy(&local, "shop-service", &infra("service.yaml"), &terminal.dir.path().join(FILES[0]));
    deploy(&local, "shop-pipeline", &infra("pipeline.yaml"), &terminal.dir.path().join(FILES[2]));
    terminal.says(0, &[&settings[..], &["--yes"]].concat());
    let found = terminal.run(&["doctor", ROLE, "--output", "json"]);
    let found: Value = serde_json::from_slice(&found.stdout).expect("JSON");
    terminal.forms.note(&["doctor"], &found);
    terminal.forms.check(&terminal.says(0, &["schema"]));
    for check in found["checks"].as_array().expect("checks") {
        assert_eq!(check["verdict"], "ok", "{}: {found:#}", check["part"]);
    }
    changed_and_deleted(&local).await;
    of_another_version(&terminal);
}

/// What the local cloud makes of a stack follows it.
async fn changed_and_deleted(local: &Local) {
    let template = std::fs::read_to_string(infra("pipeline.yaml")).expect("a file");
    let parameter = |n: u32, key: &str, value: &str| {
        let name = |what: &str| format!("Parameters.member.{n}.Parameter{what}");
        [(name("Key"), key.to_owned()), (name("Value"), value.to_owned())]
    };
    let given = [("PipelineName", "shop"), ("ServiceRole", ROLE), ("ExecutionMode", "QUEUED"), ("TopicArn", "")];
    let given: Vec<_> = (1..).zip(given).flat_map(|(n, (key, value))| parameter(n, key, value)).collect();
    let given = given.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let stack = ("StackName", "shop-pipeline");
    let update: Vec<_> = [stack, ("TemplateBody", &template)].into_iter().chain(given).collect();
    let is = async || {
        let listed = local.ops.pipeline("ListPipelines", Value::Null).await.expect("an answer");
        let modes = listed["pipelines"].as_array().into_iter().flatten().map(|it| it["executionMode"].clone());
        let rules = local.ops.json("events", "AWSEvents.ListRules", serde_json::json!({"NamePrefix": "tagship-shop-"}));
        let rules = rules.await.expect("an answer")["Rules"].as_array().map(Vec::len);
        (modes.collect::<Vec<_>>(), rules)
    };
    let before = is().await;
    assert_eq!(before, (vec![Value::from("SUPERSEDED")], Some(4)));
    local.ops.query("cloudformation", "UpdateStack", &update).await.expect("updated");
    assert_eq!(is().await, (vec![Value::from("QUEUED")], Some(4)));
    local.ops.query("cloudformation", "DeleteStack", &[stack]).await.expect("deleted");
    assert_eq!(is().await, (vec![], Some(0)));
}

/// Functions of another version are told of on standard error, once, whatever is asked for.
fn of_another_version(terminal: &Terminal<'_>) {
    let variables = [("TAGSHIP_BUCKET", terminal.local.account.bucket.as_str()), ("TAGSHIP_VERSION", "9.9.9")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    terminal.local.lambda.set_environment("tagship-provision", variables).expect("a function");
    for (words, told) in [
        (&["status"][..], "tagship: the functions are of version 9.9.9"),
        (&["status", "--output", "json"], "{\"schema\":1,\"warning\":\"the functions are of version 9.9.9"),
    ] {
        let output = terminal.run(words);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && text.starts_with(told), "{words:?}: {text}");
        assert_eq!(text.matches("9.9.9, this command").count(), 1, "{words:?}: {text}");
    }
    says("doctor", &terminal.says(1, &["doctor", "NO_SERVICE"]), &["versions      warning", "settings      ERROR"]);
}

/// What is wrong is told at once, and nothing is written.
fn refused(terminal: &Terminal<'_>, given: &[&str]) {
    let none = terminal.local.account.http_listener.replace("listener/app/", "listener/app/no-");
    let cases: [(i32, &[&str], &[&str]); 6] = [
        (2, &["onboard", ROLE], &["--listener ARN, --host NAME, --subnet ID, --ami AMI", "Nothing was written"]),
        (2, &["onboard", ROLE, "--answers", "answers.json"], &["give --host NAME, --ami AMI too"]),
        (2, &["onboard", "A SERVICE"], &["service role"]),
        (
            1,
            &[given, &["--host", "no name", "--subnet", "subnet-0", "--count", "0"]].concat(),
            &["host no name is no host name", "subnet subnet-0 isn't in vpc-", "COUNT"],
        ),
        (
            1,
            &[given, &["--instance-type", "m6g.large"]].concat(),
            &["INSTANCE_TYPE: m6g.large can't boot", "nothing was written"],
        ),
        (3, &[given, &["--listener", &none]].concat(), &["ListenerNotFound"]),
    ];
    for (code, words, told) in cases {
        says(&words.join(" "), &terminal.says(code, words), told);
        assert!(written(terminal).is_empty(), "{words:?} wrote {:?}", written(terminal));
    }
}

/// At a terminal what lacks is asked for, and asked again where the answer is none; Ctrl-C leaves nothing written. What is
/// written is what it is with flags and a file.
fn asked(local: &Local, file: &Value, given: &[&str]) {
    const LISTENER: &str = "ARN of the load balancer's listener";
    const HOSTS: &str = "Host names under which people reach it";
    const SUBNETS: &str = "Subnets to launch into";
    const CURSOR: &str = "\u{1b}[?25h";
    let terminal = Terminal::new(local);
    let (listener, image) = (format!("{}\r", local.account.http_listener), format!("{}\r", local.account.image));
    let (none, stop) = ("\r", "\u{3}");
    let at_once: &[(&str, &str)] = &[(LISTENER, stop)];
    for begun in [at_once, &[(LISTENER, &listener), (HOSTS, "shop.example.com\r"), (SUBNETS, stop)]] {
        let (code, text) = terminal.shows("viewer", 120, &["onboard", ROLE], begun);
        assert_eq!(code, Some(130), "{text}");
        assert!(text.contains("ended by Ctrl-C: nothing was written") && text.contains(CURSOR), "{text}");
        assert!(written(&terminal).is_empty(), "{text}");
    }
    let answers = [
        (LISTENER, none),
        (LISTENER, "shop\r"),
        ("shop isn't the ARN of an Application Load Balancer's listener", &listener),
        (HOSTS, "shop\r"),
        ("shop isn't a host name", "shop.example.com\r"),
        (SUBNETS, none),
        (SUBNETS, " j \r"),
        ("Image with the CodeDeploy agent", &image),
        ("Instance type", "t3.micro\r"),
    ];
    let (code, text) = terminal.shows("viewer", 120, &["onboard", ROLE, "--zone", "shop.internal"], &answers);
    assert_eq!((code, written(&terminal)), (Some(0), FILES.map(str::to_owned).to_vec()), "{text}");
    let other = Terminal::new(local);
    std::fs::write(other.dir.path().join("answers.json"), file.to_string()).expect("a file");
    other.says(0, given);
    for name in FILES {
        assert_eq!(read(&terminal, name), read(&other, name), "{name}");
    }
}

/// The same once more is no change; something else is written over only if asked.
fn again(terminal: &Terminal<'_>, given: &[&str]) {
    let count = || read(terminal, FILES[1])["COUNT"].clone();
    terminal.says(0, given);
    let other = [given, &["--count", "1"]].concat();
    says("over", &terminal.says(2, &other), &["shop-product.settings.json", "nothing was written", "--overwrite"]);
    assert_eq!(count(), 2);
    terminal.says(0, &[&other[..], &["--overwrite"]].concat());
    assert_eq!(count(), 1);
}

fn written(terminal: &Terminal<'_>) -> Vec<String> {
    let entries = std::fs::read_dir(terminal.dir.path()).expect("a directory");
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name != "answers.json" && name.ends_with(".json")).collect();
    names.sort();
    names
}

fn read(terminal: &Terminal<'_>, name: &str) -> Value {
    let text = std::fs::read_to_string(terminal.dir.path().join(name)).expect("a file");
    serde_json::from_str(&text).expect("JSON")
}

/// The settings that are written, and those that the stack of these parameters says in its output, are the same.
fn agree(parameters: &Value, settings: &Value) {
    let parameters: BTreeMap<String, String> =
        serde_json::from_value(parameters["Parameters"].clone()).expect("parameters");
    // What AWS makes of it, by the name that it is given.
    let known = [
        ("InstanceProfile", parameters["InstanceProfileName"].as_str()),
        ("InstanceSecurityGroup.GroupId", "sg-1"),
        ("TargetGroupA", "a"),
        ("TargetGroupB", "b"),
    ];
    let stack = Stack {
        name: "shop-service".to_owned(),
        account: "123456789012".to_owned(),
        region: "us-east-1".to_owned(),
        known: known.map(|(id, value)| (id.to_owned(), value.to_owned())).into(),
        parameters: parameters.clone(),
        ..Stack::default()
    };
    let text = std::fs::read_to_string(infra("service.yaml")).expect("a file");
    let outputs = Template::read(&text, stack).expect("a template").outputs().expect("outputs");
    let mut made: Value = serde_json::from_str(outputs["Settings"].as_str().expect("a text")).expect("JSON");
    // The group is known by its id once it is there, and by its tag before.
    made["SG"] = format!("tag:tagship:service={ROLE}").into();
    assert_eq!(*settings, made);
}

/// Deploys a stack with what a person deploys it with.
fn deploy(local: &Local, stack: &str, template: &Path, file: &Path) {
    let python = moto::python().unwrap_or_else(|error| panic!("{error}"));
    let tools = python.parent().expect("a directory").canonicalize().expect("a path");
    let mut process = Command::new(infra("deploy.sh"))
        .args([Path::new(stack), template, file])
        .envs(ops_environment(&local.gateway.url()))
        .env("PATH", format!("{}:/usr/bin:/bin", tools.display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    process.stdin.take().expect("piped").write_all(b"y\n").expect("typed");
    let output = process.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
