//! A build's name, as people know it. It is foreign text, and goes into tags, mails and the console.

use super::words::bounded;
use serde::{Deserialize, Serialize};
use std::fmt;

/// So much of it is kept, in characters; a tag's value takes 256.
const MAX: usize = 64;
/// Characters of a commit's hash that are shown.
const COMMIT: usize = 8;

/// A line of letters, digits, spaces and what else a tag's value may have in every service: `1.4.2+9f3c01ab`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String")]
pub struct Build(String);

impl Build {
    /// Of what an artifact says of itself, its `codepipeline-artifact-revision-summary`: the version and the commit of
    /// `version 1.4.2, commit 9f3c01ab52, author Kim`, as `tagship release` writes it; else the text as it is, such as a
    /// commit's message. None where nothing is left of it, or where only S3 speaks.
    pub fn of(summary: &str) -> Option<Self> {
        if summary.starts_with("Amazon S3 version id") {
            return None;
        }
        let said = |name: &str| {
            let mut parts = summary.split(", ");
            parts.find_map(|part| part.strip_prefix(name)?.strip_prefix(' ')).filter(|value| !value.trim().is_empty())
        };
        let commit = said("commit").map(|hash| hash.chars().take(COMMIT).collect::<String>());
        let written = ["version ", "commit ", "author "].iter().any(|name| summary.starts_with(name));
        let name = match (said("version"), commit) {
            (Some(version), Some(commit)) if written => format!("{version}+{commit}"),
            (Some(version), None) if written => version.to_owned(),
            (None, Some(commit)) if written => format!("commit {commit}"),
            _ => summary.to_owned(),
        };
        let build = Self::from(name);
        (!build.0.is_empty()).then_some(build)
    }

    /// The line.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Build {
    /// What isn't fit becomes a space, and never two of them.
    fn from(text: String) -> Self {
        let fit = |c: char| if c.is_alphanumeric() || "+-=._:/@".contains(c) { c } else { ' ' };
        let text: String = text.chars().map(fit).collect();
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        // A prefix that AWS keeps for itself.
        let mut line = words.as_str();
        while let Some(rest) = line.get(..4).filter(|start| start.eq_ignore_ascii_case("aws:")).map(|_| &line[4..]) {
            line = rest.trim_start();
        }
        Self(bounded(line, MAX).trim_end_matches(['…', ' ']).to_owned())
    }
}

impl fmt::Display for Build {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(summary: &str, expected: Option<&str>) {
        assert_eq!(Build::of(summary).as_ref().map(Build::as_str), expected, "{summary}");
    }

    #[test]
    fn what_tagship_release_writes_is_a_version_and_a_commit() {
        check("version 1.4.2, commit 9f3c01ab52e7, author Kim", Some("1.4.2+9f3c01ab"));
        check("version 1.4.2", Some("1.4.2"));
        check("version 1.4.2, author 김", Some("1.4.2"));
        check("commit 9f3c01ab52e7, author Kim", Some("commit 9f3c01ab"));
        check("author Kim", Some("author Kim"));
        check("version 가을, commit 9f3c", Some("가을+9f3c"));
    }

    #[test]
    fn other_peoples_words_are_made_fit() {
        check("Fix: orders are kept (#123)", Some("Fix: orders are kept 123"));
        check("Bump, version 2, commit 3", Some("Bump version 2 commit 3"));
        check("two\nlines\t\u{202e}and \"quotes\" \\ <b>", Some("two lines and quotes b"));
        check("aws:AWS: x", Some("x"));
        check(&"long ".repeat(40), Some("long long long long long long long long long long long long lon"));
        check("Amazon S3 version id: 3sL4kqtJlcpXroDTDmJ", None);
        for nothing in ["", " ", "\u{200b}", "()", "aws:"] {
            check(nothing, None);
        }
    }

    #[test]
    fn it_stays_as_it_is_once_it_is_fit() {
        let build = Build::of(&format!("{}x tail", "y".repeat(62))).expect("a build");
        assert_eq!(Build::from(build.to_string()), build);
        let stored = serde_json::to_string(&build).expect("JSON");
        assert_eq!(serde_json::from_str::<Build>(&stored).expect("a build"), build);
    }
}
