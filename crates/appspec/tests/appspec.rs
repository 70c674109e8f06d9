//! What this crate makes of appspecs, against what the real agent 1.8.1 makes of them.
#![allow(clippy::unwrap_used, missing_docs)]

use serde_json::{Value as Json, json};
use tagship_appspec::{AppSpec, Script, Value};

/// A value as Ruby writes it to JSON.
fn json_of(value: &Value) -> Json {
    match value {
        Value::Nil => Json::Null,
        Value::Bool(yes) => json!(yes),
        Value::Int(n) | Value::Octal(n) => i64::try_from(*n).map_or_else(|_| json!(*n as f64), |n| json!(n)),
        Value::Float(x) => json!(x),
        Value::Text(text) | Value::Symbol(text) | Value::Date(text) | Value::Time(_, text) => json!(&**text),
        Value::List(list) => list.iter().map(json_of).collect(),
        Value::Map(pairs) => {
            let key = |key: &Value| json_of(key).as_str().map_or_else(|| json_of(key).to_string(), str::to_owned);
            pairs.iter().map(|(name, value)| (key(name), json_of(value))).collect()
        }
    }
}

/// An answer in the form of the cases.
fn answer(yaml: &str) -> Json {
    let spec = AppSpec::parse(yaml.as_bytes()).and_then(|spec| spec.check_hooks().map(|()| spec));
    let Ok(spec) = spec else {
        return json!({"refuses": true});
    };
    let files: Vec<_> = spec.files.iter().map(|one| json!([json_of(&one.source), json_of(&one.destination)])).collect();
    let permissions: Vec<_> = spec
        .permissions
        .iter()
        .map(|one| {
            json!({
                "object": one.object,
                "mode": one.mode,
                "types": one.types,
                "pattern": json_of(&one.pattern),
                "except": one.except.iter().map(json_of).collect::<Vec<_>>(),
                "owner": json_of(&one.owner),
                "group": json_of(&one.group),
            })
        })
        .collect();
    let hooks: serde_json::Map<_, _> = spec
        .hooks
        .iter()
        .map(|hook| {
            let script =
                |script: &Script| json!([script.location, json_of(&Value::Int(script.timeout_secs)), script.runas]);
            (hook.name.text().unwrap().to_owned(), hook.scripts.iter().map(script).collect())
        })
        .collect();
    json!({"accepts": {"files": files, "permissions": permissions, "hooks": hooks, "feb": spec.file_exists_behavior}})
}

/// Each line of `cases` is `{"name", "yaml", "agent": {"refuses": true} | {"accepts": …}}`.
#[track_caller]
fn check(cases: &str) {
    let mut wrong = Vec::new();
    for line in cases.lines() {
        let case: Json = serde_json::from_str(line).unwrap();
        let found = answer(case["yaml"].as_str().unwrap());
        if found != case["agent"] {
            wrong.push(format!("{}: {found}, the agent: {}", case["name"], case["agent"]));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.lines().count(), wrong.join("\n"));
}

#[test]
fn the_stand_in_agrees_with_the_agent() {
    check(include_str!("appspec.jsonl"));
}

/// Made by running the agent's own `application_specification` (1.8.1, Ruby 3.1) on each text.
#[test]
fn and_on_texts_that_nobody_should_write() {
    check(include_str!("appspec-more.jsonl"));
}

#[test]
fn what_is_refused_is_named() {
    let head = "version: 0.0\nos: linux\n";
    for (text, words) in [
        ("a: [", "(<unknown>): did not find expected node content while parsing a flow node at line 2 column 1"),
        ("\u{feff}version: 0.0\nos: linux\n", "begins with a byte order mark"),
        ("[version, os]", "wrong at the whole file: it is a list ([\"version\", \"os\"]), where a mapping is expected"),
        (&format!("{head}hooks: [AfterInstall]"), "wrong at hooks: it is a list"),
        (
            &format!("{head}hooks: {{AfterInstall: [a.sh]}}"),
            "a script of AfterInstall: it is text (\"a.sh\"), where a mapping",
        ),
        (&format!("{head}hooks: {{AfterInstal: [{{location: a}}]}}"), "unknown lifecycle events: [\"AfterInstal\"]"),
        (
            &format!("{head}hooks: {{AfterInstall: [{{location: a, timeout: true}}]}}"),
            "the timeout of a: it is true or false",
        ),
        (&format!("{head}files: {{source: /, destination: /}}"), "wrong at an entry of files: it is a list"),
        (&format!("{head}permissions: [{{object: /a, type: file}}]"), "wrong at type: it is text (\"file\")"),
        (&format!("{head}file_exists_behavior: Overwrite"), "file_exists_behavior value (Overwrite)"),
    ] {
        let error = AppSpec::parse(text.as_bytes()).and_then(|spec| spec.check_hooks()).expect_err(text);
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn a_mode_without_quotes_is_warned_about() {
    for (mode, warned) in [("0644", true), ("0755", false), ("644", false), ("\"0644\"", false), ("0", false)] {
        let text = format!("version: 0.0\nos: linux\npermissions: [{{object: /a, mode: {mode}}}]");
        let warnings = AppSpec::parse(text.as_bytes()).map(|spec| spec.warnings).unwrap_or_default();
        assert_eq!(!warnings.is_empty(), warned, "{mode}: {warnings:?}");
    }
}
