//! The weights of each switch over time. AWS keeps no past weights: what was seen since the page opened is kept here.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tagship::status::Weights;

/// What is kept; a gradual shift changes them some ten times.
const STRETCHES: usize = 400;

/// A time in which the weights were seen to be the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Stretch {
    from: Timestamp,
    to: Timestamp,
    switches: Vec<Weights>,
}

/// All that was seen, the oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen(Vec<Stretch>);

impl Seen {
    /// The weights were these at this time. What comes later than `apart` after the last look wasn't watched in between.
    pub(super) fn add(&mut self, at: Timestamp, switches: &[Weights], apart: SignedDuration) {
        let watched = |last: &&mut Stretch| at.duration_since(last.to) <= apart;
        match self.0.last_mut().filter(watched) {
            Some(last) if last.switches == switches => last.to = at,
            // The change was at some time in between: it is shown where it was seen.
            Some(last) => {
                last.to = at;
                self.push(at, switches);
            }
            None => self.push(at, switches),
        }
    }

    fn push(&mut self, at: Timestamp, switches: &[Weights]) {
        if self.0.len() == STRETCHES {
            self.0.remove(0);
        }
        self.0.push(Stretch { from: at, to: at, switches: switches.to_vec() });
    }

    pub(super) fn stretches(&self) -> &[Stretch] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tagship::status::Weight;

    fn weights(percent: u32) -> Vec<Weights> {
        let group = Weight { group: "a".to_owned(), weight: percent, percent, release: None };
        vec![Weights { switch: "HTTP:80".to_owned(), groups: vec![group] }]
    }

    /// What was seen at which second, and the stretches that it makes: from, to, percent.
    fn check(what: &str, seen: &[(i64, u32)], expected: &[(i64, i64, u32)]) {
        let mut all = Seen::default();
        for (second, percent) in seen {
            let at = Timestamp::from_second(*second).expect("a time");
            all.add(at, &weights(*percent), SignedDuration::from_secs(10));
        }
        let stretch = |it: &Stretch| (it.from.as_second(), it.to.as_second(), it.switches[0].groups[0].percent);
        assert_eq!(all.stretches().iter().map(stretch).collect::<Vec<_>>(), expected, "{what}");
    }

    #[test]
    fn what_is_the_same_is_one_stretch_and_what_was_not_watched_is_none() {
        for (what, seen, expected) in [
            ("once", vec![(0, 0)], vec![(0, 0, 0)]),
            ("the same", vec![(0, 0), (5, 0), (9, 0)], vec![(0, 9, 0)]),
            ("a change", vec![(0, 0), (5, 10), (9, 10)], vec![(0, 5, 0), (5, 9, 10)]),
            ("a gap", vec![(0, 0), (5, 0), (60, 0)], vec![(0, 5, 0), (60, 60, 0)]),
        ] {
            check(what, &seen, &expected);
        }
    }

    #[test]
    fn it_does_not_grow_for_ever() {
        let mut all = Seen::default();
        for second in 0..1_000 {
            let at = Timestamp::from_second(second).expect("a time");
            all.add(at, &weights(u32::try_from(second % 2).expect("small")), SignedDuration::from_secs(10));
        }
        assert_eq!(all.stretches().len(), STRETCHES);
    }
}
