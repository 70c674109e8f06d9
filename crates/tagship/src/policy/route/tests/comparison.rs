//! A shift with `COMPARE` at 10 % for 300 s, the balancer's figures, and what is decided.

use super::*;
use crate::settings::Compare;
use crate::{Counted, Counts, Figures, Stood};

/// A minute's requests and errors: of the candidate, then of the predecessor.
type Minute = ((u64, u64), (u64, u64));

impl Case {
    /// 10 % on both switches since then, with these minutes, counted back from the last that is three minutes old.
    fn compared(&mut self, since: i64, minutes: &[Minute]) {
        self.at_step(0, 2, Some(since));
        self.hold().settings.compare = Some(Compare::default());
        // Minutes begin 20 s after the day began.
        self.world.now = at(1_000);
        let counted = |group: &str, back: usize, (requests, errors): (u64, u64)| Counted {
            group: group.to_owned(),
            start: at(740 - 60 * back as i64),
            counts: Counts { requests, c2xx: requests - errors, ..Counts::default() },
            latency: Some((0.012, 0.08)),
        };
        let both = minutes
            .iter()
            .enumerate()
            .flat_map(|(back, (own, other))| [counted("arn:b", back, *own), counted("arn:a", back, *other)]);
        self.world.figures = Figures { minute_secs: 60, counted: both.collect() };
    }
}

const SOUND: Minute = ((300, 0), (2_700, 0));
const BAD: Minute = ((300, 60), (2_700, 0));
const FEW: Minute = ((3, 0), (27, 0));

fn shift(change: fn(&mut Case), expected: &str) {
    check(Action::Shift, change, expected);
}

const HOLD: &str = "do: write the hold of r0000002: Open, previous r0000001 with 2 healthy";

#[test]
fn a_release_that_fails_more_often_goes_back() {
    let why = "the release fails more often than its predecessor: 20.0 % to 0.0 % of 6,000 requests in 2 minutes \
               compared; COMPARE allows 2 times as much";
    shift(|case| case.compared(500, &[BAD, BAD]), &format!("{HOLD}, 10 % stands, back: {why}"));
    // The first minute at a weight doesn't count, nor does one before it.
    shift(
        |case| case.compared(740, &[BAD, BAD]),
        "wait: 10 % on 2 switches, 40 s more; 2 of 2 targets healthy; compared: no whole",
    );
    // Nor does what is younger than three minutes.
    shift(
        |case| {
            case.compared(800, &[BAD, BAD]);
            case.world.figures.counted.iter_mut().for_each(|it| it.start += jiff::SignedDuration::from_mins(3));
        },
        "wait: 10 % on 2 switches, 1 min 40 s more; 2 of 2 targets healthy; compared: no whole minute yet",
    );
    // The minutes of a step before count too.
    shift(
        |case| {
            case.compared(900, &[BAD, BAD]);
            case.hold().split.as_mut().expect("a split").stood = vec![Stood { since: at(500), until: at(880) }];
        },
        &format!("{HOLD}, 10 % stands, back: {why}"),
    );
    // Without COMPARE nobody looks.
    shift(
        |case| {
            case.compared(800, &[BAD, BAD]);
            case.hold().settings.compare = None;
        },
        "wait: 10 % on 2 switches, 1 min 40 s more; 2 of 2 targets healthy",
    );
    // Nor before it is time to.
    shift(
        |case| {
            case.compared(800, &[BAD, BAD]);
            case.shift.comparison.next = Some(at(1_001));
        },
        "wait: 10 % on 2 switches, 1 min 40 s more; 2 of 2 targets healthy",
    );
}

#[test]
fn a_sound_release_goes_on_and_one_that_cant_be_judged_a_bake_later() {
    const MUCH: Minute = ((3_000, 3), (27_000, 27));
    // Within its bake nothing moves.
    shift(
        |case| {
            case.compared(600, &[MUCH; 5]);
            case.hold().settings.shift.steps[0].bake_secs = 460;
        },
        "wait: 10 % on 2 switches, 1 min more; 2 of 2 targets healthy; compared: errors 0.1 % to 0.1 % of 60,000 requests, \
         p50 12 ms to 12 ms, p99 80 ms to 80 ms",
    );
    shift(|case| case.compared(600, &[MUCH; 5]), &format!("{HOLD}, 50 % is given"));
    shift(
        |case| case.compared(600, &[SOUND; 5]),
        "wait: 10 % on 2 switches, 3 min 20 s more; 2 of 2 targets healthy; compared: errors 0.0 % to 0.0 % of 6,000 \
         requests, too few to judge",
    );
    shift(
        |case| case.compared(500, &[FEW; 5]),
        "wait: 10 % on 2 switches, 1 min 40 s more; 2 of 2 targets healthy; compared: errors 0.0 % to 0.0 % of 120 requests, \
         too few",
    );
    shift(|case| case.compared(400, &[FEW; 5]), &format!("{HOLD}, 50 % is given"));
    shift(|case| case.compared(400, &[]), &format!("{HOLD}, 50 % is given"));
    // It is told at the end.
    fn live(case: &mut Case, enough: bool) {
        case.at_step(2, 2, None);
        case.shifted();
        case.hold().settings.compare = Some(Compare::default());
        case.shift.comparison.enough = enough;
        case.shift.comparison.words = "compared: errors 0.2 % to 0.2 % of 8,214 requests".to_owned();
        case.world.now = at(1_000);
    }
    let done = "done: r0000002 of WEB_PRODUCT is live on every switch with 2 healthy targets; before: r0000001";
    shift(|case| live(case, true), &format!("{done}; compared: errors 0.2 % to 0.2 % of 8,214 requests"));
    shift(|case| live(case, false), &format!("{done}; its errors couldn't be compared: too little traffic"));
}
