//! Does the candidate fail more often than its predecessor? A sequential test, so that it may be looked at every minute.
//!
//! Both groups get the same kind of traffic at the same time. If they are equally good, each error is the candidate's
//! with the probability `w`, its share of the minute's requests; if the candidate fails θ times as often, with
//! `θ w / (1 + (θ − 1) w)`. [`Figures::evidence`] is the logarithm of the ratio of the two. Without a difference, it
//! ever reaches `ln(1 / (1 − confidence))` with a probability of `1 − confidence` at most, however often one looks.

use crate::Counts;
use std::ops::Range;

#[cfg(test)]
mod tests;

/// So many minutes after its end a minute is read: figures come late.
const LATE: i64 = 3;

/// What the candidate has to fail of its requests at least to be called bad, whatever the ratio.
const NEGLIGIBLE: f64 = 0.001;

/// What a candidate fails of its requests that has to be found, if its predecessor fails next to none.
const NOTABLE: f64 = 0.01;

/// Both groups in one minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Minute {
    /// When it began, in seconds since 1970.
    pub start: i64,
    /// The group that gets weight.
    pub candidate: Counts,
    /// The group that loses weight.
    pub predecessor: Counts,
}

/// What counts as worse, from setting `COMPARE`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    /// `ERRORS`, above 1: how many times as often as its predecessor a candidate may fail.
    pub errors: f64,
    /// `CONFIDENCE`, above 0 and below 1: how sure it has to be.
    pub confidence: f64,
}

/// When which minutes may be compared. All in seconds since 1970, ends not included.
#[derive(Clone, Copy, Debug)]
pub struct Times<'a> {
    /// Now.
    pub now: i64,
    /// How long the balancer's figures are for: a minute, 60.
    pub minute: i64,
    /// From when to when the weights of all switches stayed as they were, for each step.
    pub steady: &'a [Range<i64>],
    /// When hooks ran: what they send isn't users' traffic.
    pub hooks: &'a [Range<i64>],
}

impl Times<'_> {
    /// Whether a minute is whole at one weight, not the first there, without a hook, and old enough to be complete.
    pub fn allow(&self, start: i64) -> bool {
        let (end, late) = (start + self.minute, LATE * self.minute);
        let first = |since: i64| since + (-since).rem_euclid(self.minute);
        let steady = |at: &Range<i64>| first(at.start) + self.minute <= start && end <= at.end;
        let hook = |at: &Range<i64>| at.start < end && start < at.end;
        end + late <= self.now && self.steady.iter().any(steady) && !self.hooks.iter().any(hook)
    }
}

/// What a group did in all minutes compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// All requests.
    pub requests: u64,
    /// Those without a good answer.
    pub errors: u64,
}

impl Total {
    fn add(&mut self, counts: Counts) {
        self.requests += counts.requests;
        self.errors += counts.errors();
    }

    /// Which part of the requests failed; 0 without requests.
    pub fn rate(self) -> f64 {
        if self.requests == 0 { 0.0 } else { self.errors as f64 / self.requests as f64 }
    }
}

/// What the verdict rests on, for the console's text.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// How many minutes were compared.
    pub minutes: usize,
    /// The candidate in them.
    pub candidate: Total,
    /// The predecessor in them.
    pub predecessor: Total,
    /// In how many of them the candidate failed requests.
    pub failing: usize,
    /// How much speaks for a candidate that is worse; below 0 speaks against it.
    pub evidence: f64,
    /// What the evidence has to reach.
    pub bound: f64,
}

/// What the comparison says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// The candidate fails more often than it may.
    Bad(Figures),
    /// A candidate that is clearly worse would have been found, and this one wasn't.
    NotBad(Figures),
    /// Not even a candidate that is clearly worse would have been found.
    TooLittle(Figures),
}

/// Compares both groups in the minutes that may be compared.
pub fn compare(minutes: &[Minute], times: Times<'_>, bar: Bar) -> Verdict {
    let minutes: Vec<_> = minutes.iter().filter(|minute| times.allow(minute.start)).copied().collect();
    let figures = figures(&minutes, bar);
    if bad(&figures, bar) {
        Verdict::Bad(figures)
    } else if telling(&minutes, &figures, bar) {
        Verdict::NotBad(figures)
    } else {
        Verdict::TooLittle(figures)
    }
}

fn figures(minutes: &[Minute], bar: Bar) -> Figures {
    let mut figures = Figures { minutes: minutes.len(), bound: -(1.0 - bar.confidence).ln(), ..Figures::default() };
    for minute in minutes {
        figures.candidate.add(minute.candidate);
        figures.predecessor.add(minute.predecessor);
        figures.failing += usize::from(minute.candidate.errors() > 0);
        figures.evidence += evidence(minute, minute.candidate.errors() as f64, bar);
    }
    figures
}

/// What one minute says, if the candidate failed so many of its requests.
fn evidence(minute: &Minute, failed: f64, bar: Bar) -> f64 {
    let requests = minute.candidate.requests + minute.predecessor.requests;
    if requests == 0 {
        return 0.0;
    }
    let share = minute.candidate.requests as f64 / requests as f64;
    let errors = failed + minute.predecessor.errors() as f64;
    failed * bar.errors.ln() - errors * ((bar.errors - 1.0) * share).ln_1p()
}

fn bad(figures: &Figures, bar: Bar) -> bool {
    figures.evidence >= figures.bound
        && figures.candidate.rate() > bar.errors * figures.predecessor.rate()
        && figures.failing >= 2
        && figures.candidate.rate() > NEGLIGIBLE
}

/// Whether a candidate would have been found that fails twice as often as it may, or [`NOTABLE`] if that is more.
fn telling(minutes: &[Minute], figures: &Figures, bar: Bar) -> bool {
    let rate = (2.0 * bar.errors * figures.predecessor.rate()).clamp(NOTABLE, 1.0);
    let would = |minute: &Minute| evidence(minute, rate * minute.candidate.requests as f64, bar);
    minutes.len() >= 2 && minutes.iter().map(would).sum::<f64>() >= figures.bound
}
