//! The simulator's own proof: stories end as they should, faults don't change that, mistakes are found.
//!
//! Split so that the processors share it: a test a story, and the days in four parts.

use tagship::Action;
use tagship::settings::{Choice, Shift};
use tagship_sim::chance;
use tagship_sim::day::Day;
use tagship_sim::explore::{self, Explored};
use tagship_sim::foresight::{Compared, Foresight};
use tagship_sim::limits::Limits;
use tagship_sim::mistake::Mistake;
use tagship_sim::scale::Scale;
use tagship_sim::story::{Story, steps, stories};

fn story(name: &str) -> Story {
    stories().into_iter().find(|story| story.name == name).expect("a story")
}

/// The story ends so, whatever is injected.
///
/// The time that this takes grows with the square of a story's length. Those of three releases do what the shorter ones
/// do, and something of their own in the changing calls: so their faults come at those alone. All calls, the polls of
/// every wait among them, and all pairs, however far apart: `tagship-sim --exhaustive`.
#[track_caller]
fn check(name: &str, expected: &[&str]) {
    let story = undisturbed(name, expected);
    let long = story.plan.services.iter().map(|service| service.releases.len()).sum::<usize>() > 2;
    let (reach, apart) = if long { (0, 4) } else { (2, 8) };
    sound(&explore::faults(&story, reach), 300);
    sound(&explore::mishaps(&story), 15);
    sound(&explore::pairs(&story, apart), 50);
}

/// The story ends so, if nothing is injected.
#[track_caller]
fn undisturbed(name: &str, expected: &[&str]) -> Story {
    let story = story(name);
    let mut day = Day::new(story.plan.clone(), true);
    day.live();
    assert_eq!(day.checks.violations, []);
    assert_eq!(day.ends(), expected);
    story
}

#[track_caller]
fn sound(explored: &Explored, least: u64) {
    assert!(explored.days > least, "{} days are too few", explored.days);
    let findings: Vec<String> = explored.findings.iter().map(|finding| format!("{finding:?}")).collect();
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

const LIVE: &str = "  WEB_PRODUCT r1: 2 alive";
const APPROVED: &str = "web-product r1: Succeeded, WEB_PRODUCT approved";
const DISCARDED: &str = "web-product r2: Failed, WEB_PRODUCT discarded";
const SECOND: [&str; 2] = ["web-product r2: Succeeded, WEB_PRODUCT approved", "  WEB_PRODUCT r2: 2 alive"];
const THIRD: [&str; 2] = ["web-product r3: Succeeded, WEB_PRODUCT approved", "  WEB_PRODUCT r3: 2 alive"];

#[test]
fn first_release() {
    check("first release", &[APPROVED, LIVE]);
}

#[test]
fn three_steps() {
    check("three steps", &[APPROVED, SECOND[0], SECOND[1]]);
}

/// Before and after each: what only reads too, in every wait.
#[test]
fn three_steps_with_a_crash_at_every_call_of_the_shift() {
    let mut story = story("three steps");
    sound(&explore::crashes(&story, Action::Shift), 120);
    // With alarms to hear and steps that last longer than a minute: more is read, and the story ends the same.
    let settings = &mut story.plan.services[0].settings;
    settings.shift = steps(&[10, 25, 50], 70);
    settings.alarms = Choice::Ids(vec!["web-5xx".to_owned()]);
    sound(&explore::crashes(&story, Action::Shift), 250);
}

#[test]
fn compared_in_a_step() {
    undisturbed("compared in a step", &[APPROVED, LIVE, DISCARDED]);
}

#[test]
fn hooks() {
    check("hooks", &[APPROVED, LIVE]);
}

#[test]
fn hooks_that_fail() {
    undisturbed("a hook fails before the shift", &[APPROVED, LIVE, DISCARDED]);
    undisturbed("a hook fails after the shift", &[APPROVED, LIVE, DISCARDED]);
}

#[test]
fn first_release_rejected() {
    check("first release rejected", &["web-product r1: Failed, WEB_PRODUCT kept", LIVE]);
}

#[test]
fn normal_release() {
    check("normal release", &[APPROVED, SECOND[0], SECOND[1]]);
}

#[test]
fn failed_health() {
    check("failed health", &[APPROVED, LIVE, DISCARDED]);
}

#[test]
fn failed_install() {
    check("failed install", &[APPROVED, LIVE, DISCARDED]);
}

#[test]
fn rejection() {
    check("rejection", &[APPROVED, LIVE, DISCARDED]);
}

#[test]
fn discard() {
    check("discard", &[APPROVED, LIVE, DISCARDED]);
}

#[test]
fn park() {
    check("park", &["web-product r1: Succeeded, WEB_PRODUCT approved, WEB_QA parked", LIVE]);
    check("pre-product rejected", &["web-product r1: Failed, WEB_QA parked"]);
}

#[test]
fn park_by_name() {
    check("park by name", &["web-product r1: Succeeded, WEB_PRODUCT approved, WEB_QA parked", LIVE]);
}

#[test]
fn two_at_once() {
    check("two at once", &[APPROVED, DISCARDED, THIRD[0], THIRD[1]]);
}

#[test]
fn own_addresses() {
    check("own addresses", &[APPROVED, DISCARDED, THIRD[0], THIRD[1]]);
}

#[test]
fn pool_of_addresses() {
    check("pool of addresses", &[APPROVED, DISCARDED, THIRD[0], THIRD[1]]);
}

#[test]
fn kept_stopped() {
    check("kept stopped", &[APPROVED, DISCARDED, THIRD[0], THIRD[1]]);
}

#[test]
fn by_name_only() {
    check("by name only", &[APPROVED, DISCARDED, THIRD[0], THIRD[1]]);
}

/// A quarter of a thousand days.
#[track_caller]
fn days(quarter: u64) {
    for seed in quarter * 250..(quarter + 1) * 250 {
        let mut day = Day::new(chance::plan(seed, None), false);
        day.live();
        assert_eq!(day.checks.violations, [], "seed {seed}");
    }
}

#[test]
fn a_thousand_days_1() {
    days(0);
}

#[test]
fn a_thousand_days_2() {
    days(1);
}

#[test]
fn a_thousand_days_3() {
    days(2);
}

#[test]
fn a_thousand_days_4() {
    days(3);
}

/// What `tagship plan` says of a release is what the release does, as long as nothing goes wrong.
#[test]
fn a_release_does_what_was_planned() {
    let (mut same, mut shorter) = (0, 0);
    for Story { name, plan } in stories() {
        let mut day = Day::new(plan, false);
        day.foresight = Some(Foresight::default());
        day.live();
        for (release, compared) in day.foresight.expect("it was asked for").compared() {
            match compared {
                Compared::Same => same += 1,
                Compared::Shorter => shorter += 1,
                Compared::Different(planned, made) => {
                    panic!("{name}, {release}\nplanned:\n  {}\nmade:\n  {}", planned.join("\n  "), made.join("\n  "))
                }
            }
        }
    }
    assert!(same > 20 && shorter > 5, "{same} went as planned, {shorter} ended early: too few to tell");
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
        assert!(
            explore::found(mistake, 0..5_000).is_some(),
            "{mistake:?} was not found in 5,000 days: the simulator is too kind"
        );
    }
}

/// Without a load balancer, the rules read "name" for "switch".
#[test]
fn mistakes_with_names_break_the_rules_of_traffic() {
    let check = |mistake: Mistake, rules: &[u8]| {
        let (seed, violation) = explore::found(mistake, 0..1_000).expect("found");
        assert!(rules.contains(&violation.rule), "{mistake:?}, seed {seed}: {violation:?}");
    };
    check(Mistake::NamedBeforeInstall, &[1, 2]);
    check(Mistake::RetiredWhileNamed, &[3]);
}

/// Sixty services launch twice as many instances as the account's limit lets in at once, a twelfth of AWS's own.
#[test]
fn many_services_share_one_account() {
    let mut limits = Limits::default();
    limits.instances.burst /= 12.0;
    limits.describe.burst /= 12.0;
    limits.describe.per_sec /= 4.0;
    limits.route53.per_sec /= 4.0;
    let scaled = Scale { services: 60, count: 3, shift: Shift::default(), limits }.live();
    assert!(scaled.throttled() > 1_000, "nothing was scarce: {scaled}");
    assert_eq!((scaled.finished, scaled.violations), (60, 0), "{scaled}");
}

/// Two hundred services divide their traffic at the same time: alarms and figures are asked for by each, once a minute.
#[test]
fn many_services_shift_in_steps() {
    let raised = Limits { instances: Limits::PLENTY, run_instances: Limits::PLENTY, ..Limits::default() };
    let scaled = Scale { services: 200, count: 1, shift: steps(&[10], 600), limits: raised }.live();
    assert_eq!((scaled.finished, scaled.violations), (200, 0), "{scaled}");
    assert!(scaled.overhead() < 1.25, "{scaled}");
}

#[test]
fn a_fleet_of_a_thousand_finishes() {
    let scaled = Scale { services: 1, count: 1_000, shift: Shift::default(), limits: Limits::default() }.live();
    assert_eq!((scaled.finished, scaled.violations), (1, 0), "{scaled}");
    assert!(scaled.overhead() < 1.15, "{scaled}");
}
