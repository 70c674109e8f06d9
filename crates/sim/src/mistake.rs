//! Planted mistakes: planners and worlds that are wrong on purpose, to prove that the checkers can fail.

/// One mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// The phase isn't read again before a change.
    NoSecondLook,
}
