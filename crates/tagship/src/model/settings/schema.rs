//! The JSON Schema of a service's settings, for editors. Which keys there are, and what is to be written, the parser says
//! itself; here is only the form of each value.
//!
//! It knows JSON as people write it today: texts that stand for numbers, and Python's words, are understood still, but not
//! proposed.

use super::hooks::MAX_HOOKS;
use super::parse::described;
use super::{MAX_ALARMS, Selector};
use serde_json::{Map, Value, json};

/// One key, as the parser asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Described {
    /// The section that it is in; empty for none.
    pub(super) section: String,
    /// The key.
    pub(super) key: String,
    /// What to write, in the parser's own words.
    pub(super) what: String,
    /// Whether it has to be there.
    pub(super) required: bool,
}

/// The JSON Schema of the settings of any service.
pub fn schema() -> Value {
    let described = described();
    let mut schema = object(&described, "");
    let head = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The settings of a service of tagship",
        "if": {"properties": {"TARGET_GROUP": {"const": "none"}}, "required": ["TARGET_GROUP"]},
        "then": {"required": ["ZONE"]},
    });
    if let (Some(schema), Value::Object(head)) = (schema.as_object_mut(), head) {
        schema.extend(head);
    }
    schema
}

/// A dictionary with the keys of a section.
fn object(described: &[Described], section: &str) -> Value {
    let own = || described.iter().filter(|it| it.section == section);
    let property = |it: &Described| {
        let path = if section.is_empty() { it.key.clone() } else { format!("{section}.{}", it.key) };
        let mut value = match described.iter().any(|inner| inner.section == path) {
            true => either(object(described, &path), form(&path)),
            false => form(&path),
        };
        if let Some(value) = value.as_object_mut() {
            value.insert("description".to_owned(), it.what.as_str().into());
        }
        (it.key.clone(), value)
    };
    let properties: Map<String, Value> = own().map(property).collect();
    let required: Vec<&str> = own().filter(|it| it.required).map(|it| it.key.as_str()).collect();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

/// A dictionary, or another form that the key has besides; none if that is all there is.
fn either(section: Value, other: Value) -> Value {
    if other == Value::Bool(true) || other == json!({}) { section } else { json!({"anyOf": [section, other]}) }
}

/// The form of a value; `{}` of a dictionary alone.
fn form(path: &str) -> Value {
    let whole = |low: u64, high: u64| json!({"type": "integer", "minimum": low, "maximum": high});
    let words = |words: &[&str]| json!({"enum": words});
    let matching = |pattern: &str| json!({"type": "string", "pattern": format!("^(?:{pattern})$")});
    let short = |max: u64| json!({"type": "string", "minLength": 1, "maxLength": max, "pattern": "\\S"});
    let name = |max: u64| json!({"type": "string", "maxLength": max, "pattern": "^[A-Za-z0-9_+=,.@-]+$"});
    let ids = |prefix: &str| {
        let id = format!("{prefix}[A-Za-z0-9-]+");
        let list = json!({"type": "array", "minItems": 1, "items": matching(&id)});
        json!({"anyOf": [matching(&format!("{id}|{}", selector())), list]})
    };
    match path {
        "SUBNET" => ids("subnet-"),
        "SG" => ids("sg-"),
        "AMI" => matching(&format!("ami-[A-Za-z0-9-]+|ssm:[A-Za-z0-9/_.:-]+|{}", selector())),
        "INSTANCE_TYPE" => {
            let kind = matching(r"[A-Za-z0-9-]+\.[A-Za-z0-9-]+");
            json!({"anyOf": [kind, {"type": "array", "minItems": 1, "items": kind}]})
        }
        "INSTANCE_PROFILE" => name(128),
        "DEPLOY.VIA" => words(&["codedeploy"]),
        "DEPLOY.APPLICATION" | "DEPLOY.GROUP" => short(100),
        "EIP" => json!({"anyOf": [{"type": "boolean"}, matching(&selector())]}),
        "COUNT" => whole(1, 1_000),
        "PORT" => whole(1, 65_535),
        "TARGET_GROUP" => matching(&format!("none|{}", selector())),
        "ZONE" => matching(&format!("{LABEL}(?:\\.{LABEL})*\\.?")),
        "ARTIFACT.BUCKET" => name(63),
        "ARTIFACT.PREFIX" => short(1_024),
        "ARTIFACT.TAG" => {
            json!({"type": "string", "pattern": format!("^(?:{WORD}={WORD})$"), "not": {"pattern": "^\\s*tag:"}})
        }
        "KEY_NAME" => short(255),
        "USER_DATA" => json!({"type": "string", "maxLength": 16_384, "pattern": "\\S"}),
        "VOLUME.SIZE" => whole(1, 65_536),
        "VOLUME.TYPE" => words(&["gp3", "gp2", "standard"]),
        "TAGS" => json!({
            "type": "object", "maxProperties": 40,
            "propertyNames": {
                "maxLength": 128, "pattern": "\\S",
                "not": {"pattern": "^(?:Name$|[Tt][Aa][Gg][Ss][Hh][Ii][Pp]:|[Aa][Ww][Ss]:)"},
            },
            "additionalProperties": {"type": "string", "maxLength": 256},
        }),
        "KEEP" => words(&["terminate", "stop"]),
        "DRAIN" => whole(0, 300),
        "TIMEOUTS.BOOT" | "TIMEOUTS.HEALTHY" => whole(1, 3_600),
        "TIMEOUTS.INSTALL" => whole(1, 14_400),
        "TIMEOUTS.WATCH" => whole(0, 3_600),
        "TIMEOUTS.SETTLE" => whole(15, 300),
        "TIMEOUTS.POSTMORTEM" => whole(0, 57_600),
        "TIMEOUTS.HOOK" => whole(1, 36_000),
        "HOOKS.BEFORE_SHIFT" | "HOOKS.AFTER_SHIFT" => {
            let name = r"[A-Za-z0-9_-]{1,64}(?::(?:\$LATEST|[A-Za-z0-9_-]{1,128}))?";
            let function = matching(&format!("{name}|arn:aws[^:]*:lambda:[^:]+:[0-9]{{12}}:function:{name}"));
            let hook = json!({
                "type": "object", "additionalProperties": false, "required": ["FUNCTION"],
                "properties": {"FUNCTION": function, "DETAILS": {"type": "object"}},
            });
            let one = json!({"anyOf": [function, hook]});
            json!({"anyOf": [function, hook, {"type": "array", "maxItems": MAX_HOOKS, "items": one}]})
        }
        "TOPIC" => matching("arn:aws[^:]*:sns:[^:]+:[0-9]{12}:[A-Za-z0-9_-]+"),
        "TOPIC_FORMAT" => words(&["text", "amazon-q"]),
        "PIPELINE" => json!({"type": "string", "maxLength": 100, "pattern": "^[A-Za-z0-9.@_-]+$"}),
        "PRE_PRODUCT" => json!({"type": "boolean"}),
        "ROLLBACK.HEALTHY" => json!({"type": "number", "minimum": 0.01, "maximum": 1, "multipleOf": 0.01}),
        "IMDS_HOPS" => whole(1, 64),
        "SHIFT" => matching(&format!(
            "AllAtOnce|Canary{PERCENT}Percent{MINUTES}Minutes?|Linear{PERCENT}PercentEvery{MINUTES}Minutes?"
        )),
        "SHIFT.STEPS" => json!({
            "type": "array", "minItems": 1, "maxItems": 10,
            "items": {
                "type": "object", "additionalProperties": false, "required": ["WEIGHT", "BAKE"],
                "properties": {"WEIGHT": whole(1, 99), "BAKE": whole(1, 72_000)},
            },
        }),
        "ALARMS" => {
            let name = json!({"type": "string", "minLength": 1, "maxLength": 255, "pattern": "\\S"});
            let one = json!({
                "type": "string", "maxLength": 255, "pattern": "\\S", "not": {"pattern": "^\\s*tag:"},
            });
            let list = json!({"type": "array", "maxItems": MAX_ALARMS, "items": name});
            json!({"anyOf": [matching(&selector()), one, list]})
        }
        "ON_ALARM" => words(&["rollback", "tell"]),
        "GUARD" => whole(0, 604_800),
        "COMPARE" => json!({"type": "boolean"}),
        "COMPARE.ERRORS" => json!({"type": "number", "minimum": 1.1, "maximum": 100}),
        "COMPARE.CONFIDENCE" => json!({"type": "number", "minimum": 0.9, "maximum": 0.9999}),
        _ => json!({}),
    }
}

/// A label of a domain's name.
const LABEL: &str = "[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?";
/// A key or pattern of a selector, in quotes or not.
const WORD: &str = r"(?:'(?:[^'\\]|'')+'|[^\s'=,\\](?:[^=,\\]*[^\s=,\\])?)";
/// A share of the traffic.
const PERCENT: &str = "[1-9][0-9]?";
/// How long it stands: at most 20 hours.
const MINUTES: &str = "[1-9][0-9]{0,3}";

/// What finds things by their tags.
fn selector() -> String {
    let part = format!("{}={WORD}", WORD.replace(r"\\", r"*?\\"));
    format!("{}{part}(?:,{part})*", Selector::PREFIX)
}

#[cfg(test)]
mod tests;
