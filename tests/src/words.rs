//! What people are told, held against the words that they need: the one place where a test looks at prose.

/// Asserts that a text has all of these words.
#[track_caller]
pub fn says(what: &str, text: &str, words: &[&str]) {
    let missing: Vec<_> = words.iter().filter(|word| !text.contains(**word)).collect();
    assert!(missing.is_empty(), "{what} doesn't say {missing:?}: {text}");
}
