//! Formats that live longer than versions: what a reader doesn't know, it keeps and writes back.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The version that this code writes into holds, markers and continuation tokens. A reader takes any version: a later
/// one may add fields, which are kept; it may not give a field another meaning.
pub const VERSION: u32 = 2;

/// The version of what was written before versions were.
pub(crate) fn unversioned() -> u32 {
    1
}

/// Fields of a stored object that this version doesn't know, at any depth.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unknown(Map<String, Value>);

/// Reads an object and, apart from it, what of it is unknown.
///
/// # Errors
///
/// If it is no JSON, or lacks what this version needs.
pub fn read<T: Serialize + DeserializeOwned>(text: &[u8]) -> serde_json::Result<(T, Unknown)> {
    let stored: Value = serde_json::from_slice(text)?;
    let known: T = T::deserialize(&stored)?;
    let unknown = match (stored, serde_json::to_value(&known)?) {
        (Value::Object(stored), Value::Object(known)) => beyond(stored, &known),
        _ => Map::new(),
    };
    Ok((known, Unknown(unknown)))
}

/// The object with what was unknown when it was read.
///
/// # Errors
///
/// If it can't be written as JSON.
pub fn write<T: Serialize>(value: &T, unknown: &Unknown) -> serde_json::Result<Value> {
    let mut written = serde_json::to_value(value)?;
    if let Value::Object(written) = &mut written {
        add(written, &unknown.0);
    }
    Ok(written)
}

/// What `stored` has beyond `known`. A null is as good as nothing.
fn beyond(stored: Map<String, Value>, known: &Map<String, Value>) -> Map<String, Value> {
    let beyond = |(key, value): (String, Value)| match (value, known.get(&key)) {
        (Value::Object(inner), Some(Value::Object(known))) => {
            let inner = beyond(inner, known);
            (!inner.is_empty()).then_some((key, Value::Object(inner)))
        }
        (Value::Null, _) | (_, Some(_)) => None,
        (value, None) => Some((key, value)),
    };
    stored.into_iter().filter_map(beyond).collect()
}

fn add(written: &mut Map<String, Value>, unknown: &Map<String, Value>) {
    for (key, value) in unknown {
        match (written.get_mut(key), value) {
            (Some(Value::Object(inner)), Value::Object(more)) => add(inner, more),
            (Some(_), _) => {}
            (None, value) => {
                written.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Serialize, Deserialize)]
    struct Outer {
        a: u32,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        gone: Option<u32>,
        inner: Inner,
    }

    #[derive(Serialize, Deserialize)]
    struct Inner {
        b: u32,
    }

    #[test]
    fn what_a_later_version_added_is_kept_at_any_depth() {
        let stored = json!({"a": 1, "gone": 7, "later": [1], "null": null, "inner": {"b": 2, "later": {"c": 3}}});
        let (mut outer, unknown) = read::<Outer>(stored.to_string().as_bytes()).expect("it has all that is needed");
        outer.a = 10;
        outer.gone = None;
        let written = write(&outer, &unknown).expect("JSON");
        assert_eq!(written, json!({"a": 10, "later": [1], "inner": {"b": 2, "later": {"c": 3}}}));
    }
}
