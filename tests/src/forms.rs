//! What the command writes as JSON, held against the schema that it publishes: by Python's jsonschema, which the emulator
//! brings.

use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use tagship_local::moto;

/// Reads a schema and documents, each with the name of its form; says what of them the schema doesn't allow.
const JUDGE: &str = r##"
import json, sys
from jsonschema import Draft202012Validator as Validator
given = json.load(sys.stdin)
for form, document in given["documents"]:
    for problem in Validator({**given["schema"], "$ref": f"#/$defs/{form}"}).iter_errors(document):
        print(form, problem.json_path, problem.message)
"##;

/// Documents that a command has written, each with the name of its form in the schema.
#[derive(Debug, Default)]
pub struct Forms(Mutex<Vec<(String, Value)>>);

impl Forms {
    /// One more, which this command has written.
    pub fn note(&self, command: &[&str], document: &Value) {
        let noted = (form(command).to_owned(), document.clone());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(noted);
    }

    /// All of them are as the schema says, and have no field that it doesn't name.
    ///
    /// # Panics
    ///
    /// If one isn't, or there is none, or no Python.
    pub fn check(&self, schema: &str) {
        let mut schema: Value = serde_json::from_str(schema).expect("a schema is JSON");
        close(&mut schema);
        let documents = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(!documents.is_empty(), "nothing was written");
        let python = moto::python().unwrap_or_else(|error| panic!("{error}"));
        let mut judge = Command::new(python)
            .args(["-c", JUDGE])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let given = json!({"schema": schema, "documents": *documents}).to_string();
        judge.stdin.take().expect("its input").write_all(given.as_bytes()).expect("it reads all");
        let judged = judge.wait_with_output().expect("it ends");
        let problems = String::from_utf8_lossy(&judged.stdout);
        assert!(judged.status.success() && problems.is_empty(), "{problems}");
    }
}

/// What the schema calls that which a command writes.
fn form<'a>(words: &[&'a str]) -> &'a str {
    match words {
        ["status", _] => "status-service",
        ["check", "artifact", _] => "check-artifact",
        ["check", "settings", ..] => "check-settings",
        ["approve" | "reject", ..] => "answer",
        ["settings", "show", ..] => "settings",
        ["settings" | "freeze" | "unfreeze" | "stop", ..] => "did",
        [command, ..] => command,
        [] => panic!("no command"),
    }
}

/// Lets no object have fields that the schema doesn't name.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.contains_key("required") {
                fields.insert("additionalProperties".to_owned(), json!(false));
            }
            fields.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}
