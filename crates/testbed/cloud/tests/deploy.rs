//! What ops run against an account: infra/deploy.sh asks before it changes anything, moves no traffic and loses no
//! service's settings. With the real AWS CLI, against the emulator.

use serde_json::{Value, json};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use tagship_cloud::gateway::{Effect, Fault, Gateway, When};
use tagship_cloud::moto::{self, Behaviour, InstancesBy, Moto};
use tagship_cloud::service::{Answer, Service, ServiceError};
use tagship_cloud::setup::{self, ServicePlan, infra, ops_environment};

/// Where ops' tools are: the emulator's `aws` and `python3`, and the system's.
fn path() -> String {
    let python = moto::python().unwrap_or_else(|error| panic!("{error}"));
    let tools = python.parent().expect("a directory").canonicalize().expect("a path");
    format!("{}:/usr/bin:/bin", tools.display())
}

/// Runs a program as ops, with `input` typed; `aws` is the one beside the emulator.
fn run(gateway: &Gateway, program: &Path, arguments: &[&str], input: &str) -> Output {
    run_with(gateway, program, arguments, input, &[])
}

fn run_with(gateway: &Gateway, program: &Path, arguments: &[&str], input: &str, variables: &[(&str, &str)]) -> Output {
    let mut process = Command::new(program)
        .args(arguments)
        .envs(ops_environment(&gateway.url()))
        .env("PATH", path())
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    process.stdin.take().expect("piped").write_all(input.as_bytes()).expect("typed");
    process.wait_with_output().expect("it ends")
}

async fn ops<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("it ends")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

const TEMPLATE: &str = "
Parameters: {Name: {Type: String}}
Resources:
  Topic: {Type: AWS::SNS::Topic, Properties: {TopicName: !Ref Name}}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_is_changed_only_when_asked_and_told_so() {
    let emulator = Moto::start().await.unwrap_or_else(|error| panic!("{error}"));
    let gateway = Gateway::start(emulator.address()).await.expect("a gateway");
    ops(move || {
        let _emulator = emulator;
        let dir = tempfile::tempdir().expect("a directory");
        let template = dir.path().join("topic.yaml");
        std::fs::write(&template, TEMPLATE).expect("written");
        let template = template.display().to_string();
        // What is typed, the topic's name, what is shown of it, and which topics and stacks there are then.
        for (typed, name, shown, topics, stacks) in [
            ("n\n", "one", "Add", "", ""),
            ("", "one", "Add", "", ""), // nobody there to ask
            ("y\n", "one", "Add", "one", "CREATE_COMPLETE"),
            ("n\n", "two", "from", "one", "CREATE_COMPLETE"),
            ("y\n", "two", "from", "two", "UPDATE_COMPLETE"),
        ] {
            let named = format!("Name={name}");
            let output = run(&gateway, &infra("deploy.sh"), &["topics", &template, &named], typed);
            let said = said(&output);
            assert_eq!(output.status.success(), !typed.is_empty(), "{typed:?} to {name}: {said}");
            for words in ["Stack topics in account 123456789012, us-east-1", &named, shown] {
                assert!(said.contains(words), "{typed:?} to {name}: no {words:?} in {said}");
            }
            let aws = |arguments: &[&str]| {
                let output = run(&gateway, Path::new("/usr/bin/env"), &[&["aws"], arguments].concat(), "");
                String::from_utf8_lossy(&output.stdout).trim().to_owned()
            };
            let found = aws(&["sns", "list-topics", "--query", "Topics[].TopicArn", "--output", "text"]);
            assert_eq!(found.rsplit(':').next().unwrap_or_default(), topics, "{typed:?} to {name}: {said}");
            let query = ["--query", "Stacks[].StackStatus", "--output", "text"];
            let found = aws(&[&["cloudformation", "describe-stacks"], &query[..]].concat());
            assert_eq!(found, stacks, "{typed:?} to {name}: {said}");
        }
    })
    .await;
}

/// The function that these tests are about; no other process keeps settings of one that is called so.
const FUNCTION: &str = "deploy-test-provision";

/// Lambda's configuration of one function, with revisions, which the emulator lacks.
#[derive(Default)]
struct Functions {
    variables: Mutex<Value>,
    revision: Mutex<u64>,
    /// Somebody changes the function between the next reading and writing.
    meddled: Mutex<bool>,
}

impl Functions {
    fn answer(&self, operation: &str, body: &Value) -> Result<Value, ServiceError> {
        let mut revision = self.revision.lock().expect("not poisoned");
        let mut variables = self.variables.lock().expect("not poisoned");
        if !operation.contains(&format!("/functions/{FUNCTION}/configuration")) {
            return Err(ServiceError {
                status: 404,
                ..ServiceError::client("ResourceNotFoundException", "no such function")
            });
        }
        if operation.starts_with("PUT ") {
            if body["RevisionId"] != revision.to_string() {
                let message = "The Revision Id provided does not match the latest Revision Id.";
                return Err(ServiceError {
                    status: 412,
                    ..ServiceError::client("PreconditionFailedException", message)
                });
            }
            *revision += 1;
            *variables = body["Environment"]["Variables"].clone();
        }
        let now = json!({"Environment": {"Variables": *variables}, "RevisionId": revision.to_string()});
        if std::mem::take(&mut *self.meddled.lock().expect("not poisoned")) {
            *revision += 1;
        }
        Ok(now)
    }
}

impl Service for Functions {
    fn call<'a>(&'a self, _caller: &'a str, operation: &'a str, body: Value) -> Answer<'a> {
        Box::pin(async move { self.answer(operation, &body) })
    }
}

fn settings_file() -> std::path::PathBuf {
    infra("../target/infra").join(format!("{FUNCTION}.settings.json"))
}

/// However an update ends that takes the variables away, as CloudFormation may: they are there again.
#[tokio::test(flavor = "multi_thread")]
async fn settings_survive_any_end_of_an_update() {
    let emulator = Moto::start().await.unwrap_or_else(|error| panic!("{error}"));
    let gateway = Gateway::start(emulator.address()).await.expect("a gateway");
    let all = json!({"TAGSHIP_BUCKET": "holds", "SHOP": "{'COUNT': 2}", "WEB": "ssm:/web"});
    let functions = Arc::new(Functions { variables: Mutex::new(all.clone()), ..Functions::default() });
    gateway.serve("lambda", functions.clone());
    let updated = functions.clone();
    gateway.on_success("cloudformation", "ExecuteChangeSet", move |_, _| {
        *updated.variables.lock().expect("not poisoned") = json!({"TAGSHIP_BUCKET": "holds"});
        *updated.revision.lock().expect("not poisoned") += 1;
        // Somebody writes after it was read next: it is read again, and written then.
        *updated.meddled.lock().expect("not poisoned") = true;
    });
    ops(move || {
        let _emulator = emulator;
        let dir = tempfile::tempdir().expect("a directory");
        let template = dir.path().join("provision.yaml");
        let deploy = |name: &str| {
            let text = TEMPLATE.replace("Topic:", "Provision:").replace("!Ref Name", name);
            std::fs::write(&template, text).expect("written");
            let arguments = ["settings", &template.display().to_string(), "Name=x"];
            run_with(&gateway, &infra("deploy.sh"), &arguments, "y\n", &[("FUNCTION", FUNCTION)])
        };
        let now = || functions.variables.lock().expect("not poisoned").clone();
        let restore = || {
            let python = moto::python().unwrap_or_else(|error| panic!("{error}"));
            run(&gateway, &python, &[&infra("keeper.py").display().to_string(), FUNCTION], "")
        };
        let _ = std::fs::remove_file(settings_file());

        let output = deploy("one");
        assert!(output.status.success(), "{}", said(&output));
        assert!(said(&output).contains("settings put back: SHOP, WEB"), "{}", said(&output));
        assert_eq!(now(), all);
        assert!(!settings_file().exists(), "nothing is left of them");

        // This process ends before the update does: what it kept is put back by hand, or by the next.
        let lost = gateway.faults().add(Fault {
            caller: None,
            service: "lambda".to_owned(),
            operation: None,
            when: When::Nth(2),
            effect: Effect::error("ServiceException", "the line is dead"),
        });
        let output = deploy("two");
        gateway.faults().remove(lost);
        assert!(
            !output.status.success() && said(&output).contains("keeper.py deploy-test-provision"),
            "{}",
            said(&output)
        );
        assert_eq!(now(), json!({"TAGSHIP_BUCKET": "holds"}));
        let mode = std::fs::metadata(settings_file()).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "others may not read it");
        let output = restore();
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(now(), all);
        assert!(!settings_file().exists());

        // Nothing of them is where others look.
        let arguments = ["aws", "cloudformation", "get-template", "--stack-name", "settings"];
        let template = run(&gateway, Path::new("/usr/bin/env"), &arguments, "");
        assert!(template.status.success() && !said(&template).contains("COUNT"), "{}", said(&template));
    })
    .await;
}

/// An `aws` that answers for a stack in a state that the emulator never gets into, and hands on everything else.
const AWS: &str = r#"#!/bin/sh
case "$*" in
*describe-stacks*) [ -f "$STATE" ] && { echo "{\"Stacks\": [{\"StackStatus\": \"$(cat "$STATE")\"}]}"; exit; } ;;
*describe-stack-events*) echo '{"StackEvents": [{"LogicalResourceId": "Topic", "ResourceStatus": "CREATE_FAILED",
  "ResourceStatusReason": "no such key"}]}'; exit ;;
*delete-stack*) [ -f "$STATE" ] && { rm "$STATE"; exit; } ;;
esac
PATH=${PATH#*:} exec aws "$@"
"#;

/// What a person finds who runs deploy.sh again after something failed.
#[tokio::test(flavor = "multi_thread")]
async fn a_stack_that_could_not_be_made_is_explained_and_made_anew() {
    let emulator = Moto::start().await.unwrap_or_else(|error| panic!("{error}"));
    let gateway = Gateway::start(emulator.address()).await.expect("a gateway");
    ops(move || {
        let _emulator = emulator;
        let dir = tempfile::tempdir().expect("a directory");
        let (template, aws, state) = (dir.path().join("topic.yaml"), dir.path().join("aws"), dir.path().join("state"));
        std::fs::write(&template, TEMPLATE).expect("written");
        std::fs::write(&aws, AWS).expect("written");
        std::fs::set_permissions(&aws, std::fs::Permissions::from_mode(0o755)).expect("a program");
        let path = format!("{}:{}", dir.path().display(), path());
        let deploy = |now: &str, typed: &str| {
            std::fs::write(&state, now).expect("written");
            let variables = [("PATH", path.as_str()), ("STATE", &state.display().to_string())];
            let arguments = ["topics", &template.display().to_string(), "Name=one"];
            let output = run_with(&gateway, &infra("deploy.sh"), &arguments, typed, &variables);
            (output.status.success(), said(&output))
        };
        for (now, typed, words) in [
            (
                "ROLLBACK_COMPLETE",
                "n\n",
                &["creation failed and was rolled back", "Topic: no such key", "nothing was changed"][..],
            ),
            ("UPDATE_ROLLBACK_FAILED", "y\n", &["continue-update-rollback --stack-name topics"]),
            ("UPDATE_IN_PROGRESS", "y\n", &["somebody is changing the stack"]),
            ("DELETE_FAILED", "y\n", &["can only be deleted", "Topic: no such key"]),
        ] {
            let (worked, said) = deploy(now, typed);
            assert!(!worked && state.exists(), "{now}: {said}");
            for words in words {
                assert!(said.contains(words), "{now}: no {words:?} in {said}");
            }
        }
        let (worked, said) = deploy("ROLLBACK_COMPLETE", "y\ny\n");
        assert!(worked && !state.exists() && said.contains("Add"), "{said}");
    })
    .await;
}

/// An update that rewrites a rule where the other group is live, as tagship left it.
#[tokio::test(flavor = "multi_thread")]
async fn an_update_never_moves_the_traffic_of_a_released_service() {
    let emulator = Moto::start().await.unwrap_or_else(|error| panic!("{error}"));
    let gateway = Gateway::start(emulator.address()).await.expect("a gateway");
    let plan = [ServicePlan::quick("WEB", "web", "web.example.com", 1)];
    let account = setup::set_up(&gateway.url(), 16, &plan, &[]).await.unwrap_or_else(|error| panic!("{error}"));
    let at_once = Behaviour { instances: Some(InstancesBy::Timer), boot_secs: Some(0.0), ..Behaviour::default() };
    emulator.client().configure(&at_once).await.expect("configured");
    ops(move || {
        let _emulator = emulator;
        let web = &account.services["WEB"];
        let dir = tempfile::tempdir().expect("a directory");
        let template = dir.path().join("service.yaml");
        let text = std::fs::read_to_string(infra("service.yaml")).expect("a file");
        // The emulator sees a change where the template's text differs: so the host names stand in it.
        std::fs::write(&template, text.replace("{Values: !Ref HostNames}", "{Values: [new.example.com]}"))
            .expect("written");
        let aws = |arguments: &[&str]| {
            let output = run(&gateway, Path::new("/usr/bin/env"), &[&["aws"], arguments].concat(), "");
            assert!(output.status.success(), "{arguments:?}: {}", said(&output));
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let check = |more: &[&str], words: &str| {
            let template = template.display().to_string();
            let output = run(&gateway, &infra("deploy.sh"), &[&["service-web", &template], more].concat(), "n\n");
            let said = said(&output);
            assert!(said.contains(words), "{more:?}: no {words:?} in {said}");
            assert_eq!(output.status.success(), words == "Do it?", "{more:?}: {said}");
            assert!(!said.contains("Traceback"), "{said}");
        };
        let [a, b] = &web.target_groups[..] else { panic!("a pair") };
        let instance = aws(&[
            "ec2",
            "run-instances",
            "--image-id",
            &account.image,
            "--subnet-id",
            &account.subnets[0],
            "--query",
            "Instances[0].InstanceId",
            "--output",
            "text",
        ]);
        aws(&["elbv2", "register-targets", "--target-group-arn", b, "--targets", &format!("Id={}", instance.trim())]);
        let move_to_b = |rule: &str| {
            let groups = json!([{"Type": "forward", "ForwardConfig": {"TargetGroups": [
                {"TargetGroupArn": a, "Weight": 0}, {"TargetGroupArn": b, "Weight": 100}]}}]);
            aws(&["elbv2", "modify-rule", "--rule-arn", rule, "--actions", &groups.to_string()]);
        };
        web.rules.iter().for_each(|rule| move_to_b(rule));
        check(&[], "add WeightA=0 WeightB=100 to the parameters");
        check(&["WeightA=0", "WeightB=100"], "Do it?");
    })
    .await;
}

/// The second service of a zone doesn't make it again, and the first does.
#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_exists_is_not_made_again() {
    let emulator = Moto::start().await.unwrap_or_else(|error| panic!("{error}"));
    let gateway = Gateway::start(emulator.address()).await.expect("a gateway");
    ops(move || {
        let _emulator = emulator;
        let dir = tempfile::tempdir().expect("a directory");
        let template = dir.path().join("zone.yaml");
        let text = "
Parameters:
  ZoneName: {Type: String}
  Vpc: {Type: String}
  CreateZone: {Type: String, Default: 'true'}
Conditions: {Creates: !Equals [!Ref CreateZone, 'true']}
Resources:
  Topic: {Type: AWS::SNS::Topic}
  Zone: {Type: AWS::Route53::HostedZone, Condition: Creates, Properties: {Name: !Ref ZoneName}}
";
        std::fs::write(&template, text).expect("written");
        let aws = |arguments: &[&str]| {
            let output = run(&gateway, Path::new("/usr/bin/env"), &[&["aws"], arguments].concat(), "");
            assert!(output.status.success(), "{arguments:?}: {}", said(&output));
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        };
        let vpc =
            aws(&["ec2", "create-vpc", "--cidr-block", "10.0.0.0/16", "--query", "Vpc.VpcId", "--output", "text"]);
        let deploy = |zone: &str| {
            let template = template.display().to_string();
            let (vpc, zone) = (format!("Vpc={vpc}"), format!("ZoneName={zone}"));
            let output = run(&gateway, &infra("deploy.sh"), &["web", &template, &vpc, &zone], "n\n");
            assert!(output.status.success(), "{}", said(&output));
            said(&output).contains("CreateZone=false")
        };
        let region = format!("VPCRegion=us-east-1,VPCId={vpc}");
        let zone = ["--name", "cd.internal", "--vpc", &region, "--hosted-zone-config", "PrivateZone=true"];
        aws(&[&["route53", "create-hosted-zone", "--caller-reference", "1"], &zone[..]].concat());
        assert!(deploy("cd.internal"));
        assert!(!deploy("other.internal"));
    })
    .await;
}

/// The archives' bucket must be in the Region of the functions.
#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_in_another_region_is_refused() {
    let emulator = Moto::start().await.unwrap_or_else(|error| panic!("{error}"));
    let gateway = Gateway::start(emulator.address()).await.expect("a gateway");
    ops(move || {
        let _emulator = emulator;
        let aws = [
            "aws",
            "s3api",
            "create-bucket",
            "--bucket",
            "far",
            "--create-bucket-configuration",
            "LocationConstraint=eu-west-1",
        ];
        let made = run(&gateway, Path::new("/usr/bin/env"), &aws, "");
        assert!(made.status.success(), "{}", said(&made));
        let dir = tempfile::tempdir().expect("a directory");
        let template = dir.path().join("topic.yaml");
        std::fs::write(&template, TEMPLATE).expect("written");
        let arguments = ["topics", &template.display().to_string(), "Name=one"];
        let output = run_with(&gateway, &infra("deploy.sh"), &arguments, "y\n", &[("CODE_BUCKET", "far")]);
        let said = said(&output);
        assert!(
            !output.status.success() && said.contains("far is in eu-west-1") && said.contains("us-east-1"),
            "{said}"
        );
    })
    .await;
}

/// `make deploy` before it asks AWS anything.
#[test]
fn archives_older_than_the_checkout_are_noticed() {
    let makefile = infra("../Makefile");
    let dir = tempfile::tempdir().expect("a directory");
    let make = |touched: &str| {
        let root = dir.path();
        for function in ["provision", "deploy", "route", "cleanup"] {
            let archive = root.join(format!("target/lambda/arm64/{function}/bootstrap.zip"));
            std::fs::create_dir_all(archive.parent().expect("a directory")).expect("made");
            std::fs::write(&archive, "").expect("written");
        }
        for source in
            ["crates/tagship/lib.rs", "crates/aws/lib.rs", "crates/testbed/sim.rs", "Cargo.toml", "Cargo.lock"]
        {
            let file = root.join(source);
            std::fs::create_dir_all(file.parent().expect("a directory")).expect("made");
            let written = std::fs::File::create(&file).expect("written");
            let age = std::time::Duration::from_secs(if source == touched { 0 } else { 3_600 });
            let at = std::time::SystemTime::now() + std::time::Duration::from_secs(60) - age;
            written.set_modified(at).expect("set");
        }
        for other in ["patches", "provision", "deploy", "route", "cleanup"] {
            std::fs::create_dir_all(root.join("crates").join(other)).expect("made");
        }
        let output = Command::new("make")
            .args(["--makefile", &makefile.display().to_string(), "deploy", "CODE_BUCKET=b"])
            .args(["--include-dir", &infra("..").display().to_string()])
            .current_dir(root)
            .output()
            .expect("make runs");
        said(&output)
    };
    for touched in ["crates/tagship/lib.rs", "crates/aws/lib.rs", "Cargo.lock"] {
        let said = make(touched);
        assert!(said.contains(&format!("is older than {touched}: make build")), "{touched}: {said}");
    }
    for touched in ["crates/testbed/sim.rs", "none"] {
        let said = make(touched);
        // It goes on, to deploy.sh, which isn't here.
        assert!(!said.contains("is older than") && said.contains("deploy.sh"), "{touched}: {said}");
    }
}
