//! The simulator's own proof: stories end as they should, faults don't change that, mistakes are found.

use tagship_sim::chance;
use tagship_sim::day::Day;
use tagship_sim::explore;
use tagship_sim::mistake::Mistake;
use tagship_sim::story::{Story, stories};

fn story(name: &str) -> Story {
    stories().into_iter().find(|story| story.name == name).expect("a story")
}

#[track_caller]
fn check(name: &str, expected: &[&str]) {
    let story = story(name);
    let mut day = Day::new(story.plan.clone(), true);
    day.live();
    assert_eq!(day.checks.violations, []);
    assert_eq!(day.ends(), expected);
    let explored = explore::single(&story);
    assert!(explored.days > 100, "{} days are too few for every fault at every call", explored.days);
    let findings: Vec<String> = explored.findings.iter().map(|finding| format!("{finding:?}")).collect();
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

const LIVE: &str = "  WEB_PRODUCT r1: 2 alive";
const APPROVED: &str = "web-product r1: Succeeded, WEB_PRODUCT approved";
const DISCARDED: &str = "web-product r2: Failed, WEB_PRODUCT discarded";

#[test]
fn first_release() {
    check("first release", &[APPROVED, LIVE]);
    check("first release rejected", &["web-product r1: Failed, WEB_PRODUCT kept", LIVE]);
}

#[test]
fn normal_release() {
    let second = ["web-product r2: Succeeded, WEB_PRODUCT approved", "  WEB_PRODUCT r2: 2 alive"];
    check("normal release", &[APPROVED, second[0], second[1]]);
}

#[test]
fn what_fails_leaves_its_predecessor() {
    for name in ["failed health", "failed install", "rejection", "discard"] {
        check(name, &[APPROVED, LIVE, DISCARDED]);
    }
}

#[test]
fn park() {
    check("park", &["web-product r1: Succeeded, WEB_PRODUCT approved, WEB_QA parked", LIVE]);
    check("pre-product rejected", &["web-product r1: Failed, WEB_PRODUCT discarded, WEB_QA parked"]);
}

#[test]
fn variations() {
    let third = ["web-product r3: Succeeded, WEB_PRODUCT approved", "  WEB_PRODUCT r3: 2 alive"];
    for name in ["two at once", "own addresses", "pool of addresses", "kept stopped", "by name only"] {
        check(name, &[APPROVED, DISCARDED, third[0], third[1]]);
    }
}

#[test]
fn a_thousand_days() {
    for seed in 0..1_000 {
        let mut day = Day::new(chance::plan(seed, None), false);
        day.live();
        assert_eq!(day.checks.violations, [], "seed {seed}");
    }
}

#[test]
fn a_seed_is_always_the_same_day() {
    let lived = |seed| {
        let mut day = Day::new(chance::plan(seed, None), true);
        day.live();
        day.story.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(lived(7), lived(7));
    assert_ne!(lived(7), lived(8));
}

#[test]
fn planted_mistakes_are_found() {
    for mistake in Mistake::ALL {
        let found = (0..1_000).any(|seed| {
            let mut day = Day::new(chance::plan(seed, Some(mistake)), false);
            day.live();
            !day.checks.violations.is_empty()
        });
        assert!(found, "{mistake:?} was not found in 1,000 days: the simulator is too kind");
    }
}
