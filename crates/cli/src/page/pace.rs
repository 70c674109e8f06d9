//! How often AWS may be asked: two calls a second at the most, and less once it says that it is too much.
//!
//! The functions share AWS's limits with whoever looks on, and they come first.

use std::time::{Duration, Instant};

/// What a call costs: half a second in which there is no other.
const A_CALL: Duration = Duration::from_millis(500);
/// What may be asked ahead of its time: a page that opens is answered at once, and pays for it by waiting afterwards.
const AHEAD: Duration = Duration::from_secs(10);
/// What wasn't asked for in the last seconds may be asked for later: so a look of many calls doesn't put off all that follow.
const SAVED: Duration = Duration::from_secs(3);
/// How much slower it can become.
const SLOWEST: u32 = 16;

/// When the next look may begin.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    /// Until when all calls so far are paid for.
    paid: Instant,
    /// How much slower than usual.
    slower: u32,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { paid: now, slower: 1 }
    }

    /// A look that began then made these calls, of which some were throttled.
    pub(super) fn looked(&mut self, began: Instant, calls: u64, throttled: u64) {
        self.slower = if throttled > 0 { (self.slower * 2).min(SLOWEST) } else { (self.slower / 2).max(1) };
        let cost = A_CALL * u32::try_from(calls).unwrap_or(u32::MAX) * self.slower;
        self.paid = self.paid.max(began.checked_sub(SAVED).unwrap_or(began)) + cost;
    }

    /// When what is looked at for the first time, or for the next, may be asked for.
    pub(super) fn free(&self, first: bool) -> Instant {
        if first { self.paid.checked_sub(AHEAD).unwrap_or(self.paid) } else { self.paid }
    }

    /// The time between two looks, if it is usually this long.
    pub(super) fn between(&self, usual: Duration) -> Duration {
        usual * self.slower
    }

    /// How much slower than usual it looks.
    pub(super) fn slower(&self) -> u32 {
        self.slower
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks of so many calls each, for ten minutes, each as soon as it may be, with one that is opened now and then.
    fn check(calls: u64, usual: Duration, opened: u32) {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let (mut now, mut made, mut looks) = (start, 0, 0_u32);
        let mut next = start;
        while now < start + Duration::from_secs(600) {
            pace.looked(now, calls, 0);
            made += calls;
            looks += 1;
            next = (next + pace.between(usual)).max(now);
            let first = opened > 0 && looks.is_multiple_of(opened);
            now = if first { now.max(pace.free(true)) } else { next.max(pace.free(false)) };
        }
        let spent = (now - start).as_secs_f64();
        // What is asked ahead of its time, and what was saved, once.
        let most = 2.0 * spent + 2.0 * (AHEAD + SAVED).as_secs_f64() + calls as f64;
        assert!(made as f64 <= most, "{made} calls in {spent} s");
    }

    #[test]
    fn there_are_two_calls_a_second_at_the_most() {
        for (calls, usual, opened) in [(6, 3, 0), (14, 3, 0), (6, 3, 2), (40, 30, 3), (1, 0, 0), (100, 0, 1)] {
            check(calls, Duration::from_secs(usual), opened);
        }
    }

    #[test]
    fn throttled_it_becomes_slower_and_recovers() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let three = Duration::from_secs(3);
        let mut slower = Vec::new();
        for throttled in [1, 1, 3, 1, 1, 0, 0, 0, 0, 0] {
            pace.looked(start, 6, throttled);
            slower.push(pace.between(three).as_secs());
        }
        assert_eq!(slower, [6, 12, 24, 48, 48, 24, 12, 6, 3, 3]);
    }
}
