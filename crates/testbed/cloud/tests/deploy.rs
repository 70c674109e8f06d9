//! What ops run against an account: infra/deploy.sh asks before it changes anything, and infra/settings.py loses no
//! service's settings. With the real AWS CLI, against the emulator.

use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use tagship_cloud::gateway::Gateway;
use tagship_cloud::moto::{self, Moto};
use tagship_cloud::service::{Answer, Service, ServiceError};
use tagship_cloud::setup::{infra, ops_environment};

/// Runs a program as ops, with `input` typed; `aws` is the one beside the emulator.
fn run(gateway: &Gateway, program: &Path, arguments: &[&str], input: &str) -> Output {
    let python = moto::python().unwrap_or_else(|error| panic!("{error}"));
    let tools = python.parent().expect("a directory").canonicalize().expect("a path");
    let mut process = Command::new(program)
        .args(arguments)
        .envs(ops_environment(&gateway.url()))
        .env("PATH", format!("{}:/usr/bin:/bin", tools.display()))
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
            assert!(output.status.success(), "{typed:?} to {name}: {said}");
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
        if !operation.contains("/functions/tagship-provision/configuration") {
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

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_one_service_are_changed_and_no_others() {
    let gateway = Gateway::start(([127, 0, 0, 1], 9).into()).await.expect("a gateway");
    let functions = Arc::new(Functions {
        variables: Mutex::new(json!({"TAGSHIP_BUCKET": "holds", "SHOP": "{'COUNT': 2}"})),
        ..Functions::default()
    });
    gateway.serve("lambda", functions.clone());
    ops(move || {
        let python = moto::python().unwrap_or_else(|error| panic!("{error}"));
        let script = infra("settings.py").display().to_string();
        let check = |arguments: &[&str], typed: &str, works: bool, words: &str, variables: Value| {
            let output = run(&gateway, &python, &[&[script.as_str()], arguments].concat(), typed);
            let said = said(&output);
            assert_eq!(output.status.success(), works, "{arguments:?}: {said}");
            assert!(said.contains(words) && !said.contains("Traceback"), "{arguments:?}: no {words:?} in {said}");
            assert!(!said.contains("TAGSHIP_BUCKET="), "it is no service's: {said}");
            assert_eq!(*functions.variables.lock().expect("not poisoned"), variables, "{arguments:?}: {said}");
        };
        let shop = json!({"TAGSHIP_BUCKET": "holds", "SHOP": "{'COUNT': 2}"});
        let both = json!({"TAGSHIP_BUCKET": "holds", "SHOP": "{'COUNT': 2}", "WEB": "ssm:/web"});
        check(&["show"], "", true, "SHOP={'COUNT': 2}", shop.clone());
        check(&["set", "WEB", "-"], "ssm:/web\n", true, "WEB=ssm:/web", both.clone());
        check(&["set", "WEB", "-"], &"x".repeat(4_096), false, "Lambda takes 4096", both.clone());
        check(&["remove", "WEBB"], "", false, "there are SHOP, WEB", both.clone());
        check(&["remove", "TAGSHIP_BUCKET"], "", false, "is no service", both.clone());
        check(&["--function", "other", "show"], "", false, "ResourceNotFound", both.clone());

        *functions.meddled.lock().expect("not poisoned") = true;
        check(&["remove", "WEB"], "", false, "somebody changed the function meanwhile", both.clone());
        check(&["remove", "WEB"], "", true, "SHOP={'COUNT': 2}", shop.clone());

        // For an update of the stack: the packaged template has its own variables, and the services' as they are now.
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("packaged.json");
        let path = file.display().to_string();
        let packaged = json!({
            "Globals": {"Function": {"Environment": {"Variables": {"TAGSHIP_BUCKET": {"Ref": "Bucket"}}}}},
            "Resources": {"Provision": {"Properties": {}}},
        });
        for (function, words, carried) in
            [("tagship-provision", "carried over: SHOP", json!({"SHOP": "{'COUNT': 2}"})), ("new", "none", json!({}))]
        {
            std::fs::write(&file, packaged.to_string()).expect("written");
            check(&["--function", function, "carry", &path], "", true, words, shop.clone());
            let made: Value = serde_json::from_slice(&std::fs::read(&file).expect("a file")).expect("JSON");
            let mut expected = packaged.clone();
            expected["Resources"]["Provision"]["Properties"]["Environment"] = json!({"Variables": carried});
            assert_eq!(made, expected, "{function}");
        }
    })
    .await;
}
