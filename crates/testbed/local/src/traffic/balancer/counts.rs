//! What became of the requests, by target group.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

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
pub struct Counts {
    outcomes: Mutex<BTreeMap<String, BTreeMap<Outcome, u64>>>,
    /// How long targets took to answer, since somebody asked last.
    times: Mutex<BTreeMap<String, Vec<Duration>>>,
}

/// As many times as a group keeps until somebody asks: more than a minute of the demo's.
const TIMES: usize = 10_000;

impl Counts {
    pub(super) fn add(&self, group: &str, outcome: Outcome) {
        let mut counts = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        if !counts.contains_key(group) {
            counts.insert(group.to_owned(), BTreeMap::new());
        }
        if let Some(outcomes) = counts.get_mut(group) {
            *outcomes.entry(outcome).or_default() += 1;
        }
    }

    pub(super) fn took(&self, group: &str, time: Duration) {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let times = times.entry(group.to_owned()).or_default();
        if times.len() < TIMES {
            times.push(time);
        }
    }

    /// The times of each group since the last call, sorted.
    pub(super) fn take_times(&self) -> BTreeMap<String, Vec<Duration>> {
        let mut times = std::mem::take(&mut *self.times.lock().unwrap_or_else(PoisonError::into_inner));
        times.values_mut().for_each(|times| times.sort_unstable());
        times
    }

    pub(super) fn read(&self) -> BTreeMap<(String, Outcome), u64> {
        let counts = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        counts
            .iter()
            .flat_map(|(group, outcomes)| outcomes.iter().map(|(outcome, count)| ((group.clone(), *outcome), *count)))
            .collect()
    }
}
