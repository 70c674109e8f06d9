//! Virtual time, and values that remember their past, so that a describe can lag behind a write.

use jiff::{SignedDuration, Timestamp};

/// Milliseconds since the day began.
pub type Ms = i64;

/// A second.
pub const SECOND: Ms = 1_000;
/// A minute.
pub const MINUTE: Ms = 60 * SECOND;
/// An hour.
pub const HOUR: Ms = 60 * MINUTE;

/// No describe lags further behind than this.
pub const LAG_MAX: Ms = 10 * SECOND;

/// Every day begins here: 2026-01-01T00:00:00Z.
const DAWN_SECS: i64 = 1_767_225_600;

/// The virtual time as planners read it.
pub fn timestamp(at: Ms) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(DAWN_SECS) + SignedDuration::from_millis(at)
}

/// A time as the day counts it.
pub fn milliseconds(at: Timestamp) -> Ms {
    at.duration_since(timestamp(0)).as_millis() as Ms
}

/// For stories: `01:02:03.4`.
pub fn clock(at: Ms) -> String {
    format!("{:02}:{:02}:{:02}.{}", at / HOUR, at / MINUTE % 60, at / SECOND % 60, at / 100 % 10)
}

/// A value and what it was before, as far as a describe may still say so.
#[derive(Debug, Clone)]
pub struct Past<T>(Vec<(Ms, T)>);

impl<T: PartialEq> Past<T> {
    /// A value that begins to be.
    pub fn new(at: Ms, value: T) -> Self {
        Self(vec![(at, value)])
    }

    /// What it is.
    pub fn now(&self) -> &T {
        &self.0.last().expect("a past is never empty").1
    }

    /// What it was; none if it wasn't yet.
    pub fn at(&self, at: Ms) -> Option<&T> {
        self.0.iter().rev().find(|(since, _)| *since <= at).map(|(_, value)| value)
    }

    /// When what it was then had begun.
    pub fn began(&self, at: Ms) -> Ms {
        self.0.iter().rev().map(|(since, _)| *since).find(|since| *since <= at).unwrap_or(Ms::MIN)
    }

    /// Every value that it had since then, the oldest first.
    pub fn since(&self, at: Ms) -> impl Iterator<Item = &T> {
        let first = self.0.iter().rposition(|(since, _)| *since <= at).unwrap_or(0);
        self.0[first..].iter().map(|(_, value)| value)
    }

    /// What it is, and every value that it had since then, if for at least so long.
    pub fn lasted(&self, at: Ms, least: Ms) -> impl Iterator<Item = &T> {
        let first = self.0.iter().rposition(|(since, _)| *since <= at).unwrap_or(0);
        let ends = self.0[first..].iter().skip(1).map(|(since, _)| *since).chain([Ms::MAX]);
        let lasted = self.0[first..].iter().zip(ends).filter(move |((since, _), end)| end - since >= least);
        lasted.map(|((_, value), _)| value)
    }

    /// When it became what it is.
    pub fn changed(&self) -> Ms {
        self.0.last().expect("a past is never empty").0
    }

    /// Becomes something else.
    pub fn set(&mut self, at: Ms, value: T) {
        if *self.now() == value {
            return;
        }
        let keep = at - 2 * crate::past::MINUTE;
        if let Some(first) = self.0.iter().rposition(|(since, _)| *since <= keep) {
            self.0.drain(..first);
        }
        self.0.push((at, value));
    }
}

impl<T: PartialEq + Clone> Past<T> {
    /// Becomes what it was, changed.
    pub fn alter(&mut self, at: Ms, change: impl FnOnce(&mut T)) {
        let mut value = self.now().clone();
        change(&mut value);
        self.set(at, value);
    }
}
