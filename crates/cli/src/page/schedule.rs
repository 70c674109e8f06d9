//! What is looked at next, and when. Pure: by times that it is told.

use super::pace::Pace;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Between two looks at a service that is held.
pub(super) const HELD: Duration = Duration::from_secs(3);
/// At one that isn't.
pub(super) const CALM: Duration = Duration::from_secs(10);
/// At all of them.
pub(super) const ALL: Duration = Duration::from_secs(30);

/// All services are the empty name.
#[derive(Debug)]
pub(super) struct Schedule {
    pace: Pace,
    /// When each is to be looked at again.
    due: BTreeMap<String, Instant>,
    /// What was open the last time.
    before: BTreeSet<String>,
}

impl Schedule {
    pub(super) fn new(now: Instant) -> Self {
        Self { pace: Pace::new(now), due: BTreeMap::new(), before: BTreeSet::new() }
    }

    /// What of these is to be looked at next, and when; none if nobody looks on.
    pub(super) fn next(&mut self, open: &[String], now: Instant) -> Option<(Instant, String)> {
        // Somebody has just begun to look: what was seen before may be old.
        self.due.retain(|name, due| self.before.contains(name) || !open.contains(name) || *due > now);
        self.before = open.iter().cloned().collect();
        // Of those that are due already, the one that has waited longest.
        let when = |name: &String| match self.due.get(name) {
            Some(due) => ((*due).max(self.pace.free(false)), Some(*due)),
            None => (self.pace.free(true), None),
        };
        let next = open.iter().min_by_key(|name| when(name))?;
        Some((when(next).0, next.clone()))
    }

    /// A look began then, and is usually repeated after so long; it made these calls, of which some were throttled. How much
    /// slower than usual it goes on.
    pub(super) fn looked(
        &mut self,
        name: &str,
        (began, usual): (Instant, Duration),
        (calls, throttled): (u64, u64),
    ) -> u32 {
        self.pace.looked(began, calls, throttled);
        self.due.insert(name.to_owned(), began + self.pace.between(usual));
        self.pace.slower()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::view::calls_of_a_look;

    /// How long a look takes.
    const TAKES: Duration = Duration::from_millis(300);
    const LONG: Duration = Duration::from_secs(600);

    /// What is looked at in ten minutes while these are open, each held: how often and with how many calls.
    fn ten_minutes(open: &[&str], throttled: impl Fn(Duration) -> u64) -> BTreeMap<String, (u32, u64)> {
        let open: Vec<String> = open.iter().map(|name| (*name).to_owned()).collect();
        let start = Instant::now();
        let (mut now, mut schedule) = (start, Schedule::new(start));
        let mut made: BTreeMap<String, (u32, u64)> = BTreeMap::new();
        while let Some((at, name)) = schedule.next(&open, now) {
            let began = at.max(now);
            if began >= start + LONG {
                break;
            }
            let (looks, all) = made.entry(name.clone()).or_default();
            // The list of holds; of the one that is held its hold and its pipeline; the instances.
            let calls = if name.is_empty() { 4 } else { calls_of_a_look(*looks as usize, began - start) };
            (*looks, *all) = (*looks + 1, *all + calls);
            let usual = if name.is_empty() { ALL } else { HELD };
            schedule.looked(&name, (began, usual), (calls, throttled(began - start)));
            now = began + TAKES;
        }
        made
    }

    fn calls(made: &BTreeMap<String, (u32, u64)>) -> u64 {
        made.values().map(|(_, calls)| calls).sum()
    }

    /// Two a second, and once what is asked ahead of its time, and what was saved.
    const MOST: u64 = 2 * LONG.as_secs() + 26;

    #[test]
    fn one_that_is_held_is_seen_every_three_seconds_and_all_of_them_every_thirty() {
        for open in [&["WEB"][..], &["", "WEB"]] {
            let made = ten_minutes(open, |_| 0);
            assert!(calls(&made) <= MOST, "{made:?}");
            assert!((194..=201).contains(&made["WEB"].0), "200 looks of 3 s: {made:?}");
            assert!(open.len() == 1 || (19..=21).contains(&made[""].0), "20 looks of 30 s: {made:?}");
        }
    }

    #[test]
    fn many_tabs_ask_no_more_than_two_calls_a_second() {
        let made = ten_minutes(&["", "A", "B", "C", "D", "E"], |_| 0);
        assert!(calls(&made) <= MOST, "{made:?}");
        assert!(made.len() == 6 && made.values().all(|(looks, _)| *looks >= 10), "each has its turn: {made:?}");
    }

    #[test]
    fn nobody_who_looks_means_no_call() {
        assert_eq!(ten_minutes(&[], |_| 0), BTreeMap::new());
    }

    #[test]
    fn throttled_it_makes_way() {
        let all = calls(&ten_minutes(&["", "WEB"], |_| 0));
        let made = ten_minutes(&["", "WEB"], |_| 1);
        assert!(calls(&made) * 10 < all, "a tenth of {all} at the most: {made:?}");
        let first_minute = |at: Duration| u64::from(at < Duration::from_secs(60));
        assert!(calls(&ten_minutes(&["", "WEB"], first_minute)) * 10 > all * 7, "it recovers");
    }

    #[test]
    fn who_comes_back_sees_what_is_new() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start);
        let open = ["WEB".to_owned()];
        schedule.looked("WEB", (start, HELD), (5, 0));
        assert_eq!(schedule.next(&open, start), Some((start + HELD, "WEB".to_owned())), "it isn't due yet");
        assert_eq!(schedule.next(&[], start + HELD), None);
        let (at, _) = schedule.next(&open, start + HELD * 2).expect("it is open");
        assert!(at <= start + HELD * 2, "at once");
    }
}
