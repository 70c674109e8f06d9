//! Tag selectors: `tag:KEY=PATTERN[,KEY=PATTERN…]`.

use crate::{ServiceRole, TAG_SERVICE};
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
        parse(&text).ok_or_else(|| {
            format!(
                "{text:?} is no tag selector: write tag:KEY=PATTERN[,KEY=PATTERN…], \
                 no key or pattern empty, wildcards (* and ?) in patterns only"
            )
        })
    }
}

/// A backslash would escape in EC2's own filters, and nowhere else: refused.
fn parse(text: &str) -> Option<Selector> {
    let part = |part: &str| {
        let (key, pattern) = part.split_once('=')?;
        let (key, pattern) = (key.trim(), pattern.trim());
        let sound = !key.is_empty() && !pattern.is_empty() && !key.contains(['*', '?']) && !part.contains('\\');
        sound.then(|| (key.to_owned(), pattern.to_owned()))
    };
    let parts = text.trim().strip_prefix(Selector::PREFIX)?.split(',').map(part).collect::<Option<_>>()?;
    Some(Selector { parts })
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (key, pattern)) in self.parts.iter().enumerate() {
            write!(f, "{}{key}={pattern}", if n == 0 { Self::PREFIX } else { "," })?;
        }
        Ok(())
    }
}

impl From<Selector> for String {
    fn from(selector: Selector) -> Self {
        selector.to_string()
    }
}
