//! As much of JSON Schema as ours uses; of a keyword that isn't known here, the test says so.
//!
//! The crates that know all of it turn features on that the AWS SDKs would be compiled once more for.

use regex_lite::Regex;
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Whether a value is as the schema wants it.
pub(crate) fn valid(schema: &Value, value: &Value) -> bool {
    match schema {
        Value::Bool(allowed) => *allowed,
        Value::Object(keywords) => keywords.iter().all(|(keyword, wanted)| fits(keywords, keyword, wanted, value)),
        other => panic!("{other} is no schema"),
    }
}

thread_local! {
    /// Each pattern, compiled once.
    static PATTERNS: RefCell<BTreeMap<String, Regex>> = const { RefCell::new(BTreeMap::new()) };
}

fn matches(pattern: &str, text: &str) -> bool {
    let compiled = || Regex::new(pattern).expect("a pattern that is one");
    PATTERNS.with_borrow_mut(|known| known.entry(pattern.to_owned()).or_insert_with(compiled).is_match(text))
}

fn fits(keywords: &Map<String, Value>, keyword: &str, wanted: &Value, value: &Value) -> bool {
    let list = || wanted.as_array().expect("a list");
    let number = || wanted.as_f64().expect("a number");
    let length = |of: Option<usize>, within: fn(&usize, &usize) -> bool| {
        let limit = usize::try_from(wanted.as_u64().expect("a whole number")).expect("a small one");
        of.is_none_or(|of| within(&of, &limit))
    };
    let (at_least, at_most) = (usize::ge, usize::le);
    let characters = value.as_str().map(|text| text.chars().count());
    let (items, entries) = (value.as_array(), value.as_object());
    match keyword {
        "$schema" | "title" | "description" => true,
        "type" => match wanted.as_str().expect("a type") {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_u64() || value.is_i64(),
            "number" => value.is_number(),
            other => panic!("no such type: {other}"),
        },
        "const" => value == wanted,
        "enum" => list().contains(value),
        "anyOf" => list().iter().any(|schema| valid(schema, value)),
        "not" => !valid(wanted, value),
        "if" => !valid(wanted, value) || valid(&keywords["then"], value),
        "then" => keywords.contains_key("if"),
        "minimum" => value.as_f64().is_none_or(|is| is >= number()),
        "maximum" => value.as_f64().is_none_or(|is| is <= number()),
        "multipleOf" => value.as_f64().is_none_or(|is| {
            let times = is / number();
            (times - times.round()).abs() < 1e-6
        }),
        "minLength" => length(characters, at_least),
        "maxLength" => length(characters, at_most),
        "minItems" => length(items.map(Vec::len), at_least),
        "maxItems" => length(items.map(Vec::len), at_most),
        "maxProperties" => length(entries.map(Map::len), at_most),
        "pattern" => {
            let pattern = wanted.as_str().expect("a pattern");
            value.as_str().is_none_or(|text| matches(pattern, text))
        }
        "items" => items.is_none_or(|items| items.iter().all(|item| valid(wanted, item))),
        "required" => {
            entries.is_none_or(|entries| list().iter().all(|key| entries.contains_key(key.as_str().expect("a key"))))
        }
        "properties" => entries.is_none_or(|entries| {
            let known = wanted.as_object().expect("properties").iter();
            known
                .filter_map(|(key, schema)| Some((schema, entries.get(key)?)))
                .all(|(schema, value)| valid(schema, value))
        }),
        "propertyNames" => {
            entries.is_none_or(|entries| entries.keys().all(|key| valid(wanted, &Value::from(key.as_str()))))
        }
        "additionalProperties" => entries.is_none_or(|entries| {
            let known = |key: &String| keywords.get("properties").is_some_and(|known| known.get(key).is_some());
            entries.iter().filter(|(key, _)| !known(key)).all(|(_, value)| valid(wanted, value))
        }),
        other => panic!("the schema's keyword {other} isn't known to its test"),
    }
}
