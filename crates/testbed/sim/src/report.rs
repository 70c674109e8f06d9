//! What many days come to, in words.

use crate::coverage::Coverage;
use crate::day::{Day, Requested};
use crate::past::{HOUR, clock};
use std::collections::BTreeMap;
use std::fmt;

/// Totals of many days.
#[derive(Debug, Default)]
pub struct Report {
    /// Days lived.
    pub days: u64,
    /// Virtual time lived, in milliseconds.
    pub lived: i64,
    /// Calls of every kind.
    pub calls: u64,
    /// Changing calls that took place.
    pub effects: u64,
    /// The first seed and the last.
    pub seeds: Option<(u64, u64)>,
    /// Requests on the wire.
    pub requests: Requested,
    /// Executions by how CodePipeline calls their end.
    pub executions: BTreeMap<&'static str, u64>,
    /// Releases by how they ended; one of a product and its pre-product ends twice.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Where processes could die, and did.
    pub coverage: Coverage,
    /// Days with violations: the seed, and the violations in a line each.
    pub violated: BTreeMap<u64, Vec<String>>,
}

impl Report {
    /// Adds a day.
    pub fn add(&mut self, seed: u64, day: &Day) {
        self.days += 1;
        self.lived += day.cloud.now;
        self.calls += day.calls_made;
        self.effects += day.effects;
        self.seeds = Some(self.seeds.map_or((seed, seed), |(first, last)| (first.min(seed), last.max(seed))));
        for requested in day.requests.values() {
            self.requests.add(*requested);
        }
        sum(&mut self.executions, day.executions());
        sum(&mut self.outcomes, day.outcomes());
        sum(&mut self.faults, day.faults.clone());
        self.coverage.join(&day.coverage);
        let violations = day.checks.violations.iter();
        let lines: Vec<String> =
            violations.map(|it| format!("rule {} at {}: {}", it.rule, clock(it.at), it.what)).collect();
        if !lines.is_empty() {
            self.violated.insert(seed, lines);
        }
    }

    /// Adds another report.
    pub fn join(&mut self, other: Self) {
        self.days += other.days;
        self.lived += other.lived;
        self.calls += other.calls;
        self.effects += other.effects;
        self.seeds = match (self.seeds, other.seeds) {
            (Some((first, last)), Some((from, to))) => Some((first.min(from), last.max(to))),
            (one, another) => one.or(another),
        };
        self.requests.add(other.requests);
        sum(&mut self.executions, other.executions);
        sum(&mut self.outcomes, other.outcomes);
        sum(&mut self.faults, other.faults);
        self.coverage.join(&other.coverage);
        self.violated.extend(other.violated);
    }
}

fn sum(to: &mut BTreeMap<&'static str, u64>, from: BTreeMap<&'static str, u64>) {
    for (key, n) in from {
        *to.entry(key).or_default() += n;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = self.seeds.unwrap_or_default();
        writeln!(f, "seeds {first} to {last}: {} virtual days of {} hours in all", self.days, self.lived / HOUR)?;
        writeln!(f, "{} calls, {} of them changed something", self.calls, self.effects)?;
        writeln!(f, "{} requests, {} of them throttled", self.requests.made, self.requests.throttled)?;
        let table = |f: &mut fmt::Formatter<'_>, title: &str, rows: &BTreeMap<&'static str, u64>| {
            writeln!(f, "{title}:")?;
            rows.iter().try_for_each(|(what, n)| writeln!(f, "  {n:>9}  {what}"))
        };
        table(f, "executions", &self.executions)?;
        table(f, "releases by outcome", &self.outcomes)?;
        table(f, "faults", &self.faults)?;
        writeln!(f, "{}", self.coverage)?;
        for (seed, violations) in &self.violated {
            writeln!(f, "seed {seed}, replayed by: cargo run --release -p tagship-sim -- --seed {seed} --trace")?;
            for violation in violations {
                writeln!(f, "  {violation}")?;
            }
        }
        write!(f, "violations: {}", self.violated.values().map(Vec::len).sum::<usize>())
    }
}
