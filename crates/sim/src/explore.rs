//! Every story with every fault at every call: all must end as the undisturbed story does.

use crate::checks::Violation;
use crate::day::Day;
use crate::past::SECOND;
use crate::plan::Fault;
use crate::story::Story;
use std::collections::BTreeMap;
use tagship::Kind;

/// What one injection came to.
#[derive(Debug, Clone)]
pub struct Finding {
    /// In which story.
    pub story: &'static str,
    /// The faults, by call.
    pub injected: BTreeMap<u64, Fault>,
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
const HARMFUL: [Fault; 2] = [Fault::Refuse(Kind::Denied), Fault::Refuse(Kind::Capacity)];

/// Every fault at every call; for calls that only read, those that make a difference.
pub fn single(story: &Story) -> Explored {
    let mut undisturbed = Day::new(story.plan.clone(), false);
    undisturbed.live();
    let expected = undisturbed.ends();
    let mut explored = Explored::default();
    for call in 0..undisturbed.calls_made {
        let changing = undisturbed.changing.binary_search(&call).is_ok();
        for fault in HARMLESS.into_iter().chain(HARMFUL) {
            let telling = changing
                || matches!(fault, Fault::Crash | Fault::Refuse(Kind::Unavailable | Kind::Denied))
                    && undisturbed.changing.iter().any(|near| call.abs_diff(*near) <= 3);
            if telling {
                explored.try_out(story, &expected, BTreeMap::from([(call, fault)]));
            }
        }
    }
    explored
}

/// Every pair of crashes around changing calls.
pub fn pairs(story: &Story) -> Explored {
    let mut undisturbed = Day::new(story.plan.clone(), false);
    undisturbed.live();
    let expected = undisturbed.ends();
    let mut explored = Explored::default();
    for first in &undisturbed.changing {
        let mut once = story.clone();
        once.plan.injected = BTreeMap::from([(*first, Fault::CrashAfter)]);
        let mut day = Day::new(once.plan, false);
        day.live();
        for second in day.changing.iter().filter(|second| *second > first) {
            let injected = BTreeMap::from([(*first, Fault::CrashAfter), (*second, Fault::CrashAfter)]);
            explored.try_out(story, &expected, injected);
        }
    }
    explored
}

impl Explored {
    fn try_out(&mut self, story: &Story, expected: &[String], injected: BTreeMap<u64, Fault>) {
        let mut plan = story.plan.clone();
        plan.injected = injected.clone();
        let mut day = Day::new(plan, false);
        day.live();
        self.days += 1;
        let harmless = injected.values().all(|fault| HARMLESS.contains(fault));
        let ends = day.ends();
        let ends = (harmless && ends != expected).then_some(ends);
        let violations = day.checks.violations;
        if ends.is_some() || !violations.is_empty() {
            self.findings.push(Finding { story: story.name, injected, violations, ends });
        }
    }
}
