//! Verdicts with figures computed by hand, and how often the test errs under random traffic.

use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};

use super::*;
use std::slice::from_ref;

const MINUTE: i64 = 60;

const BAR: Bar = Bar { errors: 2.0, confidence: 0.99 };

fn counts(requests: u64, errors: u64) -> Counts {
    Counts { requests, c2xx: requests - errors, ..Counts::default() }
}

/// Requests and errors in a minute: of the candidate, then of the predecessor.
type Counted = ((u64, u64), (u64, u64));

/// Minutes from 0 on.
fn minutes(of: &[Counted]) -> Vec<Minute> {
    let minute = |(at, &(candidate, predecessor)): (usize, &Counted)| Minute {
        start: at as i64 * MINUTE,
        candidate: counts(candidate.0, candidate.1),
        predecessor: counts(predecessor.0, predecessor.1),
    };
    of.iter().enumerate().map(minute).collect()
}

/// The verdict's name and its evidence, if all minutes may be compared.
fn check(of: &[Counted], name: &str, evidence: f64) {
    let all = -10 * MINUTE..1_000_000;
    let verdict =
        compare(&minutes(of), Times { now: 1_000_000, minute: MINUTE, steady: from_ref(&all), hooks: &[] }, BAR);
    let (is, figures) = match verdict {
        Verdict::Bad(figures) => ("bad", figures),
        Verdict::NotBad(figures) => ("not bad", figures),
        Verdict::TooLittle(figures) => ("too little", figures),
    };
    assert_eq!(is, name, "{figures:?}");
    assert!((figures.evidence - evidence).abs() < 1e-4, "{figures:?}");
    assert!((figures.bound - 4.60517).abs() < 1e-4, "{figures:?}");
}

#[test]
fn errors_are_what_has_no_good_answer() {
    let errors = |requests| Counts { requests, c2xx: 90, c3xx: 3, c4xx: 4 }.errors();
    assert_eq!((errors(100), errors(97), errors(96), errors(0)), (3, 0, 0, 0));
}

/// 10 % of the requests: an error of the candidate is worth ln 2 − ln 1.1 = 0.597837, one of the predecessor −0.095310.
#[test]
fn verdicts() {
    check(&[], "too little", 0.0);
    check(&[((100, 0), (900, 0)); 2], "too little", 0.0);
    check(&[((300, 0), (2700, 0)); 3], "not bad", 0.0);
    check(&[((300, 4), (2700, 0)); 2], "bad", 4.78270);
    check(&[((300, 4), (2700, 0)), ((300, 3), (2700, 0))], "too little", 4.18486);
    check(&[((300, 3), (2700, 27)); 3], "not bad", -2.33958);
    // In one minute only.
    check(&[((300, 9), (2700, 0)), ((300, 0), (2700, 0)), ((300, 0), (2700, 0))], "not bad", 5.38053);
    // Not above 0.1 % of its requests.
    check(&[((10_000, 10), (90_000, 0)); 2], "not bad", 11.95674);
    // Not more than twice as often as its predecessor.
    check(&[((1000, 20), (9000, 90)); 2], "not bad", 6.75760);
    check(&[((1000, 21), (9000, 90)); 2], "bad", 7.95327);
    // Nobody to compare with.
    check(&[((300, 300), (0, 0)); 3], "too little", 0.0);
}

#[test]
fn only_whole_quiet_minutes_are_compared() {
    let allowed = |since: i64, until: i64, hooks: &[Range<i64>], now: i64| -> Vec<i64> {
        let steady = since..until;
        (0..10)
            .filter(|at| Times { now, minute: MINUTE, steady: from_ref(&steady), hooks }.allow(at * MINUTE))
            .collect()
    };
    assert_eq!(allowed(0, 300, &[], 10_000), [1, 2, 3, 4]);
    assert_eq!(allowed(1, 299, &[], 10_000), [2, 3]);
    assert_eq!(allowed(0, 300, &[], 359), [1]);
    assert_eq!(allowed(0, 300, &[], 360), [1, 2]);
    assert_eq!(allowed(0, 300, &[119..121, 240..240, 299..400], 10_000), [3]);
    // Of shorter minutes, as the local cloud has them.
    let steady = 1..6;
    let short = |at: &i64| Times { now: 8, minute: 1, steady: from_ref(&steady), hooks: &[] }.allow(*at);
    assert_eq!((0..9).filter(short).collect::<Vec<i64>>(), [2, 3, 4]);
}

/// Random traffic of 50 requests a second, a tenth of it the candidate's.
struct Traffic(TestRng);

impl Traffic {
    fn new() -> Self {
        Self(TestRng::from_seed(RngAlgorithm::XorShift, &[7; 16]))
    }

    /// Knuth's way to a number with Poisson's distribution.
    fn errors(&mut self, mean: f64) -> u64 {
        let (end, mut product, mut errors) = ((-mean).exp(), 1.0, 0);
        loop {
            product *= f64::from(self.0.next_u32()) / f64::from(u32::MAX);
            if product <= end {
                return errors;
            }
            errors += 1;
        }
    }

    /// Whether one of the looks, one a minute until the end of a step, says that the candidate is bad.
    fn found(&mut self, candidate: f64, predecessor: f64, bake: i64) -> bool {
        let random = |_| ((300, self.errors(300.0 * candidate)), (2700, self.errors(2700.0 * predecessor)));
        let minutes = minutes(&(0..bake / MINUTE).map(random).collect::<Vec<_>>());
        let steady = 0..bake;
        let look = |now| compare(&minutes, Times { now, minute: MINUTE, steady: from_ref(&steady), hooks: &[] }, BAR);
        (1..=bake / MINUTE).any(|minute| matches!(look(minute * MINUTE), Verdict::Bad(_)))
    }

    fn share_found(&mut self, candidate: f64, predecessor: f64, bake: i64) -> f64 {
        f64::from((0..2000).map(|_| u32::from(self.found(candidate, predecessor, bake))).sum::<u32>()) / 2000.0
    }
}

#[test]
fn an_hour_of_looks_at_no_difference_rarely_gives_back() {
    for rate in [0.002, 0.01] {
        let share = Traffic::new().share_found(rate, rate, 3600);
        assert!(share <= 0.01, "{share} of the hours at {rate}");
    }
}

#[test]
fn a_tripled_rate_is_found_within_the_bake() {
    let share = Traffic::new().share_found(0.03, 0.01, 600);
    assert!(share >= 0.95, "only {share}");
}
