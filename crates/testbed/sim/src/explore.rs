//! Every story with a fault at every call and every event: all must end as the undisturbed story does.

use crate::chance;
use crate::checks::Violation;
use crate::coverage::Coverage;
use crate::day::Day;
use crate::mistake::Mistake;
use crate::past::{MINUTE, SECOND};
use crate::plan::{Fault, Mishap, Plan, REFUSED};
use crate::story::Story;
use std::collections::BTreeMap;
use std::ops::Range;
use tagship::{Action, Kind};

/// What one injection came to.
#[derive(Debug, Clone)]
pub struct Finding {
    /// In which story.
    pub story: &'static str,
    /// The faults, by call.
    pub injected: BTreeMap<u64, Fault>,
    /// The mishaps, by event.
    pub mishaps: BTreeMap<u64, Mishap>,
    /// Broken rules.
    pub violations: Vec<Violation>,
    /// How it ended, if not as the undisturbed story.
    pub ends: Option<Vec<String>>,
}

/// What a story was put through.
#[derive(Debug, Default)]
pub struct Explored {
    /// Days lived.
    pub days: u64,
    /// Where processes could die, and did.
    pub coverage: Coverage,
    /// What was found.
    pub findings: Vec<Finding>,
}

/// Faults that must leave no trace in how a story ends; the others may fail a release.
const HARMLESS: [Fault; 6] = [
    Fault::Crash,
    Fault::CrashAfter,
    Fault::Late(10 * SECOND),
    Fault::Lost,
    Fault::Refuse(Kind::Unavailable),
    Fault::Refuse(Kind::Conflict),
];
/// Every other kind of error that a call may have.
const HARMFUL: [Fault; 5] = [
    Fault::Refuse(Kind::Denied),
    Fault::Refuse(Kind::Capacity),
    Fault::Refuse(Kind::Configuration),
    Fault::Refuse(Kind::Release),
    Fault::Refuse(Kind::Bug),
];
/// What may happen to an event without changing how a story ends. The same goes for a job, which is never lost.
const MISHAPS: [Mishap; 5] = [
    Mishap::Late(5 * SECOND),
    Mishap::Late(12 * MINUTE),
    Mishap::Twice(0),
    Mishap::Twice(2 * MINUTE),
    Mishap::Twice(20 * MINUTE),
];

impl Story {
    fn undisturbed(&self) -> Day {
        let mut day = Day::new(self.plan.clone(), false);
        day.live();
        day
    }
}

/// Every fault at every call that changes something or is at most so many calls away from one that does.
pub fn faults(story: &Story, reach: u64) -> Explored {
    let undisturbed = story.undisturbed();
    let expected = undisturbed.ends();
    let mut explored = Explored::default();
    for call in 0..undisturbed.calls_made {
        let changing = undisturbed.changing.binary_search(&call).is_ok();
        if undisturbed.changing.iter().all(|near| call.abs_diff(*near) > reach) {
            continue;
        }
        for fault in HARMLESS.into_iter().chain(HARMFUL) {
            // What only reads has no effect that could be late.
            if changing || !matches!(fault, Fault::Late(_)) {
                explored.try_out(story, &expected, BTreeMap::from([(call, fault)]), BTreeMap::new());
            }
        }
    }
    explored
}

/// A crash before and after every call of an action, those that only read too.
pub fn crashes(story: &Story, action: Action) -> Explored {
    let undisturbed = story.undisturbed();
    let expected = undisturbed.ends();
    let mut explored = Explored::default();
    for (call, _) in (0..).zip(&undisturbed.callers).filter(|(_, by)| **by == action) {
        for fault in [Fault::Crash, Fault::CrashAfter] {
            explored.try_out(story, &expected, BTreeMap::from([(call, fault)]), BTreeMap::new());
        }
    }
    explored
}

/// Every mishap to every event.
pub fn mishaps(story: &Story) -> Explored {
    let undisturbed = story.undisturbed();
    let expected = undisturbed.ends();
    let mut explored = Explored::default();
    for event in 0..undisturbed.sent {
        let lost = undisturbed.direct.contains(&event).then_some(Mishap::Lost);
        for mishap in MISHAPS.into_iter().chain(lost) {
            explored.try_out(story, &expected, BTreeMap::new(), BTreeMap::from([(event, mishap)]));
        }
    }
    explored
}

/// Every pair of crashes right after changing calls that are at most so many changing calls apart.
pub fn pairs(story: &Story, apart: usize) -> Explored {
    let undisturbed = story.undisturbed();
    let expected = undisturbed.ends();
    let mut explored = Explored::default();
    for first in &undisturbed.changing {
        // What follows the first crash is another day: its calls are those that the second may come at.
        let once = Plan { injected: BTreeMap::from([(*first, Fault::CrashAfter)]), ..story.plan.clone() };
        let mut day = Day::new(once, false);
        day.live();
        for second in day.changing.iter().filter(|second| *second > first).take(apart) {
            let injected = BTreeMap::from([(*first, Fault::CrashAfter), (*second, Fault::CrashAfter)]);
            explored.try_out(story, &expected, injected, BTreeMap::new());
        }
    }
    explored
}

impl Explored {
    fn try_out(
        &mut self,
        story: &Story,
        expected: &[String],
        injected: BTreeMap<u64, Fault>,
        mishaps: BTreeMap<u64, Mishap>,
    ) {
        let plan = Plan { injected: injected.clone(), mishaps: mishaps.clone(), ..story.plan.clone() };
        let mut day = Day::new(plan, false);
        day.live();
        self.days += 1;
        self.coverage.join(&day.coverage);
        let harmless = injected.values().all(|fault| HARMLESS.contains(fault));
        let ends = day.ends();
        let ends = (harmless && ends != expected).then_some(ends);
        // A bug that was injected is told as one.
        let planted = injected.values().any(|fault| *fault == Fault::Refuse(Kind::Bug));
        let mut violations = day.checks.violations;
        violations.retain(|violation| !planted || !violation.what.starts_with(REFUSED));
        if ends.is_some() || !violations.is_empty() {
            self.findings.push(Finding { story: story.name, injected, mishaps, violations, ends });
        }
    }
}

/// The first seed that finds a planted mistake, and how.
pub fn found(mistake: Mistake, seeds: Range<u64>) -> Option<(u64, Violation)> {
    seeds.into_iter().find_map(|seed| {
        let mut day = Day::new(chance::plan(seed, Some(mistake)), false);
        day.live();
        day.checks.violations.into_iter().next().map(|violation| (seed, violation))
    })
}
