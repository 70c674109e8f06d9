//! What many days come to, in words.

use crate::day::Day;
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
    /// Releases by how they ended.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
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
        sum(&mut self.outcomes, day.outcomes());
        sum(&mut self.faults, day.faults.clone());
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
        sum(&mut self.outcomes, other.outcomes);
        sum(&mut self.faults, other.faults);
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
        writeln!(f, "{} days, {} virtual hours", self.days, self.lived / HOUR)?;
        writeln!(f, "{} calls, {} of them changed something", self.calls, self.effects)?;
        writeln!(f, "releases by outcome:")?;
        for (how, n) in &self.outcomes {
            writeln!(f, "  {n:>9}  {how}")?;
        }
        writeln!(f, "faults:")?;
        for (fault, n) in &self.faults {
            writeln!(f, "  {n:>9}  {fault}")?;
        }
        for (seed, violations) in &self.violated {
            writeln!(f, "seed {seed}, replayed by: cargo run --release -p tagship-sim -- --seed {seed} --trace")?;
            for violation in violations {
                writeln!(f, "  {violation}")?;
            }
        }
        write!(f, "violations: {}", self.violated.values().map(Vec::len).sum::<usize>())
    }
}
