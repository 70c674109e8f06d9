//! What can't be observed again: carried from round to round, and in CodePipeline's continuation token.

use crate::model::format::{self, Unknown};
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What an action's invocations tell each other. `P` is what its planner remembers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Memo<P> {
    /// The version that wrote it.
    v: u32,
    /// When the action began.
    pub began: Timestamp,
    /// Since when AWS has been unavailable or has refused for a conflict, without a break.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refused_since: Option<Timestamp>,
    /// Seconds in all for which AWS has refused this action's requests for being too many.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub throttled_secs: u32,
    /// How far its looks have followed each other; none before the first.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub watched: Option<Watched>,
    /// The planner's own.
    #[serde(default)]
    pub plan: P,
    /// What a later version has written besides.
    #[serde(skip)]
    unknown: Unknown,
}

/// Looks that follow each other, so that what all of them have found has lasted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// When the first of them had been made.
    pub since: Timestamp,
    /// When the last of them began; later by what it was then decided to wait.
    pub until: Timestamp,
}

/// How much later than planned a look may come, in seconds, before what was found may have changed and changed back
/// meanwhile: while AWS throttles, or a process stands still, nobody looks.
pub(super) const UNWATCHED_SECS: i64 = 30;

impl Watched {
    /// Since when looks follow each other, if another one has been made by then.
    pub fn since(watched: Option<Self>, seen: Timestamp) -> Timestamp {
        match watched {
            Some(it) if seen.duration_since(it.until) <= SignedDuration::from_secs(UNWATCHED_SECS) => it.since,
            _ => seen,
        }
    }
}

fn is_zero(secs: &u32) -> bool {
    *secs == 0
}

/// What a planner remembers.
pub trait Memory: Clone + Default + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Forgets something that will be found out again, so that the token fits; false if there is nothing to forget.
    fn shorten(&mut self) -> bool {
        false
    }
}

impl Memory for () {}

/// The longest continuation token that CodePipeline takes, in characters.
pub const TOKEN_MAX: usize = 2_048;

impl<P: Memory> Memo<P> {
    /// Nothing known yet.
    pub fn new(began: Timestamp) -> Self {
        let (plan, unknown) = (P::default(), Unknown::default());
        Self { v: format::VERSION, began, refused_since: None, throttled_secs: 0, watched: None, plan, unknown }
    }

    /// From a continuation token of any version; one that can't be read is as none.
    pub fn from_token(token: &str) -> Option<Self> {
        let (memo, unknown) = format::read::<Self>(token.as_bytes()).ok()?;
        Some(Self { unknown, ..memo })
    }

    /// As a continuation token. What doesn't fit is forgotten: it will be found out again.
    pub fn to_token(&self) -> String {
        let mut memo = Self { v: self.v.max(format::VERSION), ..self.clone() };
        loop {
            let token = format::write(&memo, &memo.unknown).map(|token| token.to_string()).unwrap_or_default();
            if token.len() <= TOKEN_MAX {
                return token;
            }
            if !memo.plan.shorten() {
                memo.unknown = Unknown::default();
                return serde_json::to_string(&memo).unwrap_or_default();
            }
        }
    }
}

#[cfg(test)]
mod tests;
