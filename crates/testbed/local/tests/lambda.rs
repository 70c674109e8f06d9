//! The Lambda host with a real process behind it: answers, errors, time-outs, retries, warm starts.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tagship_local::lambda::{Config, Function, Lambda};
use tagship_local::service::{Service, ServiceError};
use tempfile::TempDir;

/// How soon a condition that is waited for is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

struct Host {
    lambda: Lambda,
    dir: TempDir,
}

fn host(timeout: Duration) -> Host {
    let dir = tempfile::tempdir().expect("a directory");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/function.py");
    let function = Function {
        name: "tagship-test".into(),
        program: "/usr/bin/env".into(),
        arguments: vec!["python3".into(), script.into()],
        caller: "test".into(),
        environment: BTreeMap::from([("MZUM_WEB".to_owned(), "{}".to_owned())]),
        timeout,
        memory_mib: 128,
        retry_after: vec![Duration::from_millis(1); 2],
        on_failure: None,
    };
    let config = Config {
        account: "123456789012".into(),
        region: "eu-west-1".into(),
        endpoint_url: "http://127.0.0.1:1".into(),
        log_dir: dir.path().join("logs"),
        functions: vec![function],
    };
    Host { lambda: Lambda::start(config).expect("a host"), dir }
}

const LONG: Duration = Duration::from_secs(60);

impl Host {
    async fn call(&self, function: &str, kind: &str, event: Value) -> Result<Value, ServiceError> {
        let operation = format!("POST /2015-03-31/functions/{function}/invocations{kind}");
        self.lambda.call("ops", &operation, event).await
    }

    async fn ask(&self, event: Value) -> Result<Value, ServiceError> {
        self.call("tagship-test", "", event).await
    }

    #[track_caller]
    fn check_error(result: Result<Value, ServiceError>, expected: &[&str]) {
        let error = result.expect_err("an error");
        assert_eq!((error.status, &*error.code), (200, "Unhandled"));
        for part in expected {
            assert!(error.message.contains(part), "{part}: {}", error.message);
        }
    }
}

#[tokio::test]
async fn an_invocation_is_answered_in_a_clean_environment() {
    let host = host(LONG);
    let answer = host.ask(json!({"a": "한글"})).await.expect("an answer");
    assert_eq!(answer["event"], json!({"a": "한글"}));
    let left_ms = answer["left_ms"].as_f64().expect("a number");
    assert!(left_ms > 0.0 && left_ms <= 60_000.0, "{left_ms}");
    let environment = answer["environment"].as_object().expect("variables");
    assert_eq!(environment["AWS_ACCESS_KEY_ID"], "test");
    assert_eq!(environment["MZUM_WEB"], "{}");
    assert!(!environment.contains_key("HOME") && !environment.contains_key("USER"));
    let log = std::fs::read_to_string(host.dir.path().join("logs/tagship-test.log"));
    assert!(log.expect("a log").starts_with("started "));
}

#[tokio::test]
async fn a_process_is_reused_until_the_environment_changes() {
    let host = host(LONG);
    let first = host.ask(json!({})).await.expect("an answer")["pid"].clone();
    // It is warm as soon as it has asked again; until then a second process may be started.
    let mut pids = vec![first];
    while pids.len() < 20 && pids.iter().filter(|pid| **pid == pids[0]).count() < 2 {
        pids.push(host.ask(json!({})).await.expect("an answer")["pid"].clone());
    }
    assert!(pids.len() < 20, "never reused: {pids:?}");
    let changed = BTreeMap::from([("MZUM_API".to_owned(), "[]".to_owned())]);
    host.lambda.set_environment("tagship-test", changed).expect("a change");
    let answer = host.ask(json!({})).await.expect("an answer");
    assert!(!pids.contains(&answer["pid"]));
    assert_eq!(answer["environment"]["MZUM_API"], "[]");
    assert_eq!(answer["environment"].get("MZUM_WEB"), None);
    let large = BTreeMap::from([("BIG".to_owned(), "x".repeat(4_094))]);
    let error = host.lambda.set_environment("tagship-test", large).expect_err("too large");
    assert_eq!(error.code, "InvalidParameterValueException");
}

#[tokio::test]
async fn invocations_at_once_have_a_process_each() {
    let host = host(LONG);
    let gate = host.dir.path().join("gate");
    let wait = || host.ask(json!({"do": "wait", "for": gate}));
    let open = async {
        // Both processes have started once both have said so.
        let log = host.dir.path().join("logs/tagship-test.log");
        let started = || std::fs::read_to_string(&log).unwrap_or_default().lines().count();
        while started() < 2 {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        std::fs::write(&gate, "").expect("a file");
    };
    let (one, two, ()) = tokio::join!(wait(), wait(), open);
    assert_ne!(one.expect("an answer")["pid"], two.expect("an answer")["pid"]);
}

#[tokio::test]
async fn errors_are_function_errors() {
    let host = host(LONG);
    Host::check_error(host.ask(json!({"do": "fail"})).await, &["Test", "as told"]);
    Host::check_error(host.ask(json!({"do": "exit"})).await, &["Runtime.ExitError"]);
    assert!(host.ask(json!({})).await.is_ok(), "a new process after the dead one");
    let missing = host.call("other", "", json!({})).await.expect_err("an error");
    assert_eq!((missing.status, &*missing.code), (404, "ResourceNotFoundException"));
}

#[tokio::test]
async fn a_process_is_killed_at_its_time_out() {
    let host = host(Duration::from_millis(200));
    let hung = host.ask(json!({"do": "hang"})).await;
    Host::check_error(hung, &["Sandbox.Timedout", "Task timed out after 0.20 seconds"]);
    let log = std::fs::read_to_string(host.dir.path().join("logs/tagship-test.log"));
    let pid: i32 = log.expect("a log").trim()["started ".len()..].parse().expect("a pid");
    let pid = nix::unistd::Pid::from_raw(pid);
    // Killed, and gone as soon as it has been waited for.
    while nix::sys::signal::kill(pid, None).is_ok() {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

#[tokio::test]
async fn an_asynchronous_invocation_is_tried_three_times() {
    let host = host(LONG);
    let marks = |name: &str| host.dir.path().join(name);
    let lines = |name: &str| -> Vec<String> {
        let text = std::fs::read_to_string(marks(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    };
    for (name, fail_first) in [("twice", 2), ("always", 9)] {
        let event = json!({"append": marks(name), "fail_first": fail_first});
        let accepted = host.call("tagship-test", "?InvocationType=Event", event).await;
        assert_eq!(accepted, Ok(Value::Null));
        while lines(name).len() < 3 {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        let tries = lines(name);
        assert!(tries.iter().all(|id| *id == tries[0]), "one request id: {tries:?}");
    }
}
