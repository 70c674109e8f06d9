//! Takes the settings apart key by key, remembering all that is wrong; and the kinds of values that keys have.

use super::literal::{self, Literal, twice_encoded};
use super::schema::Described;
use super::{Selector, closest};
use crate::model::words::{quoted, unquoted};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

/// What a section of the settings says, key by key, and what is wrong with it.
pub(super) struct Fields {
    section: String,
    known: &'static [&'static str],
    /// Whether nothing of what was given may be shown: a decrypted parameter may hold anything, by mistake.
    hidden: bool,
    /// What nobody has taken out yet.
    pub(super) entries: BTreeMap<String, Literal>,
    /// The keys as they were written, first to last.
    written: Vec<String>,
    /// All that is wrong so far.
    pub(super) problems: Vec<String>,
    /// The keys that were asked for, where it is they that are wanted and nothing was given.
    asked: Option<Vec<Described>>,
}

impl Fields {
    /// `None` and `null` stand for an absent key. No known keys: any key.
    pub(super) fn new(
        section: &str,
        known: &'static [&'static str],
        hidden: bool,
        given: Vec<(String, Literal)>,
    ) -> Self {
        let written: Vec<String> = given.iter().map(|(key, _)| key.clone()).collect();
        let (section, entries, problems) = (section.to_owned(), BTreeMap::new(), Vec::new());
        let mut fields = Self { section, known, hidden, entries, written, problems, asked: None };
        let mut seen = BTreeSet::new();
        for (key, value) in given {
            if !seen.insert(key.clone()) {
                fields.problem(&key, "given twice: write it once");
            } else if !known.is_empty() && !known.contains(&key.as_str()) {
                fields.unknown(&key);
            } else if value != Literal::Null {
                fields.entries.insert(key, value);
            }
        }
        fields
    }

    /// Nothing is given: what is asked for is written down, section by section.
    pub(super) fn describing(section: &str, known: &'static [&'static str]) -> Self {
        Self { asked: Some(Vec::new()), ..Self::new(section, known, false, Vec::new()) }
    }

    /// Whether it is the keys that are wanted.
    pub(super) fn describes(&self) -> bool {
        self.asked.is_some()
    }

    /// The keys that were asked for.
    pub(super) fn asked(self) -> Vec<Described> {
        self.asked.unwrap_or_default()
    }

    /// Writes down that a key is asked for, if that is what is wanted.
    fn describe(&mut self, key: &str, what: &str, required: bool) {
        let section = self.section.clone();
        if let Some(asked) = &mut self.asked
            && !asked.iter().any(|it| it.key == key)
        {
            asked.push(Described { section, key: key.to_owned(), what: what.to_owned(), required });
        }
    }

    pub(super) fn problem(&mut self, key: &str, problem: &str) {
        let dot = if self.section.is_empty() || key.is_empty() { "" } else { "." };
        let label = self.label(key);
        self.problems.push(format!("{}{dot}{label}: {problem}", self.section));
    }

    /// The key for people; of a key that isn't ours, where nothing may be shown, its place.
    fn label(&self, key: &str) -> String {
        let place = self.written.iter().position(|written| written == key);
        match place {
            Some(place) if self.hidden && !self.known.contains(&key) => format!("entry {}", place + 1),
            _ => unquoted(key),
        }
    }

    fn unknown(&mut self, key: &str) {
        let missing = self.known.iter().copied().filter(|known| !self.written.iter().any(|written| written == known));
        let problem = match closest(key, missing) {
            Some(known) => format!("no such key: write {known}"),
            None => format!("no such key: the keys are {}", self.known.join(", ")),
        };
        self.problem(key, &problem);
    }

    pub(super) fn required<T>(&mut self, key: &str, what: &str, read: impl Fn(&Literal) -> Option<T>) -> Option<T> {
        self.describe(key, what, true);
        if !self.entries.contains_key(key) {
            self.problem(key, &format!("missing: write {what}"));
        }
        self.optional(key, what, read)
    }

    pub(super) fn optional<T>(&mut self, key: &str, what: &str, read: impl Fn(&Literal) -> Option<T>) -> Option<T> {
        let hidden = self.hidden;
        self.read(key, what, read, |value| if hidden { "what is there".to_owned() } else { shown(value) })
    }

    /// As `optional`, but what was given is never shown.
    pub(super) fn secret<T>(&mut self, key: &str, what: &str, read: impl Fn(&Literal) -> Option<T>) -> Option<T> {
        self.read(key, what, read, |_| "what is there".to_owned())
    }

    fn read<T>(
        &mut self,
        key: &str,
        what: &str,
        read: impl Fn(&Literal) -> Option<T>,
        shown: impl Fn(&Literal) -> String,
    ) -> Option<T> {
        self.describe(key, what, false);
        let value = self.entries.remove(key)?;
        let read = read(&value);
        if read.is_none() {
            let hint = hint(&value).map(|hint| format!(" ({hint})")).unwrap_or_default();
            self.problem(key, &format!("{} isn't accepted{hint}: write {what}", shown(&value)));
        }
        read
    }

    /// The section that was taken out under this key, read by `read`.
    pub(super) fn section<T>(
        &mut self,
        key: &str,
        known: &'static [&'static str],
        section: Option<Vec<(String, Literal)>>,
        read: impl Fn(&mut Self) -> Option<T>,
    ) -> Option<T> {
        if let Some(asked) = &mut self.asked {
            let mut fields = Self::describing(key, known);
            read(&mut fields);
            asked.extend(fields.asked());
            return None;
        }
        let mut fields = Self::new(key, known, self.hidden, section?);
        let value = read(&mut fields);
        self.problems.append(&mut fields.problems);
        value
    }
}

/// What was given, for people. Dictionaries stay out: a misplaced secret could be in them.
fn shown(value: &Literal) -> String {
    let nested = |value: &Literal| matches!(value, Literal::Dict(_) | Literal::List(_));
    match value {
        Literal::Dict(_) => "a dictionary".to_owned(),
        Literal::List(list) if list.iter().any(nested) => "a list".to_owned(),
        Literal::Text(text) => quoted(text),
        value => unquoted(&value.json().to_string()),
    }
}

/// The likely reason why a value isn't accepted. It shows nothing of the value.
fn hint(value: &Literal) -> Option<String> {
    let text = match value {
        Literal::Text(text) => text,
        Literal::List(list) => return list.iter().find_map(hint),
        _ => return None,
    };
    if text.contains("#{") {
        return Some("a variable of CodePipeline's, which isn't resolved in settings".to_owned());
    }
    if twice_encoded(text) {
        return Some("a dictionary that is encoded twice: remove the quotes around it".to_owned());
    }
    if text.trim_start().starts_with(Selector::PREFIX) {
        return Selector::read(text).err().map(str::to_owned);
    }
    None
}

/// Text, not empty.
pub(super) fn text(value: &Literal) -> Option<String> {
    let text = value.as_str()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Text of so many characters at most.
pub(super) fn short(value: &Literal, max: usize) -> Option<String> {
    text(value).filter(|text| text.chars().count() <= max)
}

/// A name as IAM and S3 have them.
pub(super) fn name(value: &Literal, max: usize) -> Option<String> {
    short(value, max).filter(|text| text.chars().all(|c| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c)))
}

/// A whole number, or text that is one.
pub(super) fn whole<T: TryFrom<u64> + PartialOrd>(value: &Literal, range: RangeInclusive<T>) -> Option<T> {
    let number = match value {
        Literal::Number(number) => number.as_u64()?,
        value => value.as_str()?.trim().parse().ok()?,
    };
    T::try_from(number).ok().filter(|number| range.contains(number))
}

/// A number, or text that is one.
pub(super) fn number(value: &Literal) -> Option<f64> {
    match value {
        Literal::Number(number) => number.as_f64(),
        value => value.as_str()?.trim().parse().ok(),
    }
}

/// True or false, as JSON, Python or a quoted word has it.
pub(super) fn flag(value: &Literal) -> Option<bool> {
    match value {
        Literal::Bool(flag) => Some(*flag),
        value => match value.as_str()?.trim() {
            "True" | "true" => Some(true),
            "False" | "false" => Some(false),
            _ => None,
        },
    }
}

/// A list of texts: one alone is a list of one, and so is what Python's `eval` makes a list, tuple or text of.
pub(super) fn texts(value: &Literal) -> Option<Vec<String>> {
    let list = match value {
        Literal::List(list) => list.clone(),
        value => match text(value)? {
            text if text.starts_with(['[', '(', '\'', '"']) => match literal::value(&text).ok()? {
                Literal::List(list) => list,
                single => vec![single],
            },
            text => vec![Literal::Text(text)],
        },
    };
    let texts: Vec<String> = list.iter().map(text).collect::<Option<_>>()?;
    (!texts.is_empty()).then_some(texts)
}

/// A dictionary, for [`Fields::section`].
pub(super) fn dictionary(value: &Literal) -> Option<Vec<(String, Literal)>> {
    match value {
        Literal::Dict(entries) => Some(entries.clone()),
        _ => None,
    }
}
