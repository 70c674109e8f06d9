//! What became of the requests, by target group.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What a client got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The target's own answer; its status divided by 100.
    Target(u8),
    /// 502: the target refused or broke the connection.
    BadGateway,
    /// 503: the group has no target.
    NoTarget,
    /// 504: the target didn't connect or answer in time.
    Timeout,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Target(class) => write!(f, "{class}xx"),
            Self::BadGateway => f.write_str("502 by the balancer"),
            Self::NoTarget => f.write_str("503 by the balancer"),
            Self::Timeout => f.write_str("504 by the balancer"),
        }
    }
}

/// Counters by target group's ARN and outcome.
#[derive(Debug, Default)]
pub struct Counts(Mutex<BTreeMap<String, BTreeMap<Outcome, u64>>>);

impl Counts {
    pub(super) fn add(&self, group: &str, outcome: Outcome) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !counts.contains_key(group) {
            counts.insert(group.to_owned(), BTreeMap::new());
        }
        if let Some(outcomes) = counts.get_mut(group) {
            *outcomes.entry(outcome).or_default() += 1;
        }
    }

    pub(super) fn read(&self) -> BTreeMap<(String, Outcome), u64> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts
            .iter()
            .flat_map(|(group, outcomes)| outcomes.iter().map(|(outcome, count)| ((group.clone(), *outcome), *count)))
            .collect()
    }
}
