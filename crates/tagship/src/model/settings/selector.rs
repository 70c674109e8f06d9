//! Tag selectors: `tag:KEY=PATTERN[,KEY=PATTERN…]`, with single quotes around what has commas, edge spaces and so on.

use crate::{ServiceRole, TAG_SERVICE, model::quoted};
use serde::{Deserialize, Serialize};
use std::fmt;
use wildmatch::WildMatch;

/// A tag selector, `tag:KEY=PATTERN[,KEY=PATTERN…]`: all parts must match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Selector {
    /// Key and pattern; `*` and `?` are wildcards in the pattern.
    pub parts: Vec<(String, String)>,
}

impl Selector {
    /// What a selector begins with.
    pub const PREFIX: &str = "tag:";

    /// What carries the service's own tag.
    pub fn service(role: &ServiceRole) -> Self {
        Self { parts: vec![(TAG_SERVICE.to_owned(), role.to_string())] }
    }

    /// Whether these tags, key and value, match in all parts.
    pub fn matches(&self, tags: &[(String, String)]) -> bool {
        self.parts.iter().all(|(key, pattern)| {
            tags.iter().any(|(name, value)| name == key && WildMatch::new(pattern).matches(value))
        })
    }
}

impl TryFrom<String> for Selector {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::read(&text).map_err(|problem| {
            format!("{} is no tag selector ({problem}): write tag:KEY=PATTERN[,KEY=PATTERN…]", quoted(&text))
        })
    }
}

impl Selector {
    /// The selector, or what is wrong; that shows nothing of the text.
    pub(super) fn read(text: &str) -> Result<Self, &'static str> {
        let mut rest = text.trim().strip_prefix(Self::PREFIX).ok_or("it doesn't begin with tag:")?;
        let mut parts = Vec::new();
        loop {
            let (key, pattern, more) = pair(rest, ",")?;
            if key.contains(['*', '?']) {
                return Err("the wildcards * and ? work in a pattern only");
            }
            // It would escape in EC2's own filters, and nowhere else.
            if key.contains('\\') || pattern.contains('\\') {
                return Err("a backslash can't be looked for");
            }
            parts.push((key, pattern));
            match more {
                Some(more) => rest = more,
                None => return Ok(Self { parts }),
            }
        }
    }
}

/// `KEY=VALUE` up to one of the `ends`; and what follows that end, if it is there. Key or value may be in quotes.
pub(super) fn pair<'t>(text: &'t str, ends: &str) -> Result<(String, String, Option<&'t str>), &'static str> {
    let rest = text.trim_start();
    if rest.starts_with(Selector::PREFIX) {
        return Err("tag: is written once, at the beginning: tag:Name=web,Tier=app. Quote a key that begins so");
    }
    let (key, rest) = word(rest, &format!("={ends}"))?;
    let rest = rest.strip_prefix('=').ok_or("a part has no =")?;
    if key.as_ref().is_none_or(String::is_empty) {
        return Err("a key is empty");
    }
    let (value, rest) = word(rest, ends)?;
    let more = (!rest.is_empty()).then(|| &rest[1..]);
    match (key, value) {
        (Some(key), Some(value)) => Ok((key, value, more)),
        _ => Err("write '' for an empty value"),
    }
}

/// A word, none if there is nothing, and the rest from one of the `ends` on. In single quotes a word may hold
/// anything; a single quote itself is written twice there.
fn word<'t>(text: &'t str, ends: &str) -> Result<(Option<String>, &'t str), &'static str> {
    let text = text.trim_start();
    let Some(mut rest) = text.strip_prefix(QUOTE) else {
        let (word, rest) = text.split_at(text.find(|c| ends.contains(c)).unwrap_or(text.len()));
        let word = word.trim_end();
        return Ok(((!word.is_empty()).then(|| word.to_owned()), rest));
    };
    let mut word = String::new();
    loop {
        let (inside, after) = rest.split_once(QUOTE).ok_or("a quote ' isn't closed")?;
        word.push_str(inside);
        match after.strip_prefix(QUOTE) {
            Some(after) => {
                word.push(QUOTE);
                rest = after;
            }
            None => {
                let after = after.trim_start();
                let ended = after.is_empty() || after.starts_with(|c| ends.contains(c));
                return if ended {
                    Ok((Some(word), after))
                } else {
                    Err("a quote ' is closed too early: write '' for one inside")
                };
            }
        }
    }
}

/// What a word with commas, edge spaces and the like is put into.
const QUOTE: char = '\'';

/// The word as it is read back, in quotes only where it must be.
fn written(word: &str, ends: &[char]) -> String {
    let plain = !word.is_empty()
        && word.trim() == word
        && !word.starts_with(QUOTE)
        && !word.starts_with(Selector::PREFIX)
        && !word.contains(ends);
    if plain { word.to_owned() } else { format!("'{}'", word.replace(QUOTE, "''")) }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (key, pattern)) in self.parts.iter().enumerate() {
            let start = if n == 0 { Self::PREFIX } else { "," };
            write!(f, "{start}{}={}", written(key, &['=', ',']), written(pattern, &[',']))?;
        }
        Ok(())
    }
}

impl From<Selector> for String {
    fn from(selector: Selector) -> Self {
        selector.to_string()
    }
}
