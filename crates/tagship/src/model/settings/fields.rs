//! Takes the settings apart key by key, remembering all that is wrong; and the kinds of values that keys have.

use super::{closest, literal};
use crate::bounded;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

/// How much of what was given an error shows, in characters.
const SHOWN: usize = 60;

/// What a section of the settings says, key by key, and what is wrong with it.
pub(super) struct Fields {
    section: String,
    known: &'static [&'static str],
    /// What nobody has taken out yet.
    pub(super) entries: BTreeMap<String, Value>,
    /// All that is wrong so far.
    pub(super) problems: Vec<String>,
}

impl Fields {
    /// `None` and `null` stand for an absent key. No known keys: any key.
    pub(super) fn new(section: &str, known: &'static [&'static str], given: Vec<(String, Value)>) -> Self {
        let mut fields = Self { section: section.to_owned(), known, entries: BTreeMap::new(), problems: Vec::new() };
        let mut seen = BTreeSet::new();
        for (key, value) in given {
            if !seen.insert(key.clone()) {
                fields.problem(&key, "given twice: write it once");
            } else if !known.is_empty() && !known.contains(&key.as_str()) {
                fields.unknown(&key);
            } else if !value.is_null() {
                fields.entries.insert(key, value);
            }
        }
        fields
    }

    pub(super) fn problem(&mut self, key: &str, problem: &str) {
        let dot = if self.section.is_empty() || key.is_empty() { "" } else { "." };
        self.problems.push(format!("{}{dot}{}: {problem}", self.section, bounded(key, SHOWN)));
    }

    fn unknown(&mut self, key: &str) {
        let problem = match closest(key, self.known.iter().copied()) {
            Some(known) => format!("no such key: write {known}"),
            None => format!("no such key: the keys are {}", self.known.join(", ")),
        };
        self.problem(key, &problem);
    }

    pub(super) fn required<T>(&mut self, key: &str, what: &str, read: impl Fn(&Value) -> Option<T>) -> Option<T> {
        if !self.entries.contains_key(key) {
            self.problem(key, &format!("missing: write {what}"));
        }
        self.optional(key, what, read)
    }

    pub(super) fn optional<T>(&mut self, key: &str, what: &str, read: impl Fn(&Value) -> Option<T>) -> Option<T> {
        let value = self.entries.remove(key)?;
        let read = read(&value);
        if read.is_none() {
            self.problem(key, &format!("{} isn't accepted: write {what}", shown(&value)));
        }
        read
    }

    /// As `optional`, but what was given is never shown.
    pub(super) fn secret<T>(&mut self, key: &str, what: &str, read: impl Fn(&Value) -> Option<T>) -> Option<T> {
        let value = self.entries.remove(key)?;
        let read = read(&value);
        if read.is_none() {
            self.problem(key, &format!("what is there isn't accepted: write {what}"));
        }
        read
    }

    /// The section that was taken out under this key, read by `read`.
    pub(super) fn section<T>(
        &mut self,
        key: &str,
        known: &'static [&'static str],
        section: Option<Map<String, Value>>,
        read: impl Fn(&mut Self) -> Option<T>,
    ) -> Option<T> {
        let mut fields = Self::new(key, known, section?.into_iter().collect());
        let value = read(&mut fields);
        self.problems.append(&mut fields.problems);
        value
    }
}

/// What was given, for people. Dictionaries stay out: a misplaced secret could be in them.
fn shown(value: &Value) -> String {
    match value {
        Value::Object(_) => "a dictionary".to_owned(),
        Value::Array(list) if list.iter().any(|value| value.is_object() || value.is_array()) => "a list".to_owned(),
        value => bounded(&value.to_string(), SHOWN),
    }
}

/// Text, not empty.
pub(super) fn text(value: &Value) -> Option<String> {
    let text = value.as_str()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Text of so many characters at most.
pub(super) fn short(value: &Value, max: usize) -> Option<String> {
    text(value).filter(|text| text.chars().count() <= max)
}

/// A name as IAM and S3 have them.
pub(super) fn name(value: &Value, max: usize) -> Option<String> {
    short(value, max).filter(|text| text.chars().all(|c| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c)))
}

/// A whole number, or text that is one.
pub(super) fn whole<T: TryFrom<u64> + PartialOrd>(value: &Value, range: RangeInclusive<T>) -> Option<T> {
    let number = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())?;
    T::try_from(number).ok().filter(|number| range.contains(number))
}

/// True or false, as JSON, Python or a quoted word has it.
pub(super) fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        value => match value.as_str()?.trim() {
            "True" | "true" => Some(true),
            "False" | "false" => Some(false),
            _ => None,
        },
    }
}

/// A list of texts: one alone is a list of one, and so is a Python list inside a string.
pub(super) fn texts(value: &Value) -> Option<Vec<String>> {
    let list = match value {
        Value::Array(list) => list.clone(),
        value => match text(value)? {
            text if text.starts_with(['[', '(']) => match literal::value(&text).ok()? {
                Value::Array(list) => list,
                single => vec![single],
            },
            text => vec![text.into()],
        },
    };
    let texts: Vec<String> = list.iter().map(text).collect::<Option<_>>()?;
    (!texts.is_empty()).then_some(texts)
}

/// A dictionary, for [`Fields::section`].
pub(super) fn dictionary(value: &Value) -> Option<Map<String, Value>> {
    value.as_object().cloned()
}
