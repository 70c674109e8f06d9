//! Two groups and their switches: who is where, and what each switch takes.

use super::*;
use crate::Target;
use crate::testing::*;

fn pair(routing: &Routing) -> Pair<'_> {
    Pair::of(routing, &settings().target_group).expect("a pair")
}

/// Both switches forward so.
fn weighing(weights: &[(&str, u32)]) -> Routing {
    let mut routing = routing(vec![target(1, 1), target(1, 2)], vec![target(2, 1), target(2, 2)]);
    for switch in &mut routing.switches {
        switch.weights = weights.iter().map(|(group, weight)| (format!("arn:{group}"), *weight)).collect();
    }
    routing
}

/// What a switch takes to give `percent` of what it had in all, as far as the hold knows that, to group `b`.
#[track_caller]
fn turn(weights: &[(&str, u32)], percent: u32, had: Option<u32>, expected: &str) {
    let routing = weighing(weights);
    let switch = &routing.switches[0];
    let old = had.map(|had| (switch.arn.clone(), had)).into_iter().collect();
    let split = Split { step: 0, from: vec![0], to: percent, since: None, old, stood: Vec::new() };
    let share = Share { percent, split: had.is_some().then_some(&split) };
    let found = match pair(&routing).turn(switch, &routing.groups[1], share) {
        Turn::There => "there".to_owned(),
        Turn::Step(step) => step.to_string(),
        Turn::Fault(fault) => fault,
    };
    assert!(found.starts_with(expected), "{weights:?} at {percent} %: expected {expected:?}, found {found:?}");
}

#[test]
fn a_switch_is_turned_by_one_call() {
    turn(&[("a", 100), ("b", 0)], 100, None, "set HTTP:80 to arn:b=100, arn:a=0");
    turn(&[("a", 7), ("b", 0)], 100, None, "set HTTP:80 to arn:b=7, arn:a=0");
    turn(&[("a", 0), ("b", 0)], 100, None, "set HTTP:80 to arn:b=100, arn:a=0");
    turn(&[("a", 600), ("b", 600)], 100, None, "set HTTP:80 to arn:b=999, arn:a=0");
    turn(&[("a", 90), ("b", 10)], 100, Some(20), "set HTTP:80 to arn:b=20, arn:a=0");
    turn(&[("a", 100), ("b", 0)], 0, None, "there");
    // It has everything already, if another number than the hold knows.
    turn(&[("a", 0), ("b", 3)], 100, Some(20), "there");
    turn(&[("b", 3)], 100, None, "there");
    turn(&[("b", 3)], 50, None, "HTTP:80 forwards to web-b only: add web-a at weight 0");
    turn(&[("a", 3)], 100, None, "HTTP:80 forwards to web-a only: add web-b at weight 0");
}

#[test]
fn a_share_that_does_not_divide_is_of_100() {
    turn(&[("a", 200), ("b", 0)], 10, None, "set HTTP:80 to arn:b=20, arn:a=180");
    turn(&[("a", 1), ("b", 0)], 10, None, "set HTTP:80 to arn:b=10, arn:a=90");
    turn(&[("a", 1), ("b", 0), ("c", 0)], 10, None, "set HTTP:80 to arn:b=10, arn:a=90");
    turn(
        &[("a", 1), ("b", 0), ("c", 1)],
        10,
        None,
        "HTTP:80 also gives weight to groups that aren't the pair's, and 10 %",
    );
    turn(&[("a", 90), ("b", 10)], 10, Some(1), "there");
}

#[test]
fn every_switch_is_turned_and_every_fault_told() {
    let group = |routing: &Routing| pair(routing).toward(&routing.groups[1], None);
    let (step, faults) = group(&weighing(&[("a", 100), ("b", 0)]));
    assert_eq!(step.map(|step| step.to_string()).as_deref(), Some("set HTTP:80 to arn:b=100, arn:a=0"));
    assert!(faults.is_empty(), "{faults:?}");
    let mut half = moved(weighing(&[("a", 100), ("b", 0)]), 1);
    let (step, _) = group(&half);
    assert_eq!(step.map(|step| step.to_string()).as_deref(), Some("set HTTPS:443 to arn:b=100, arn:a=0"));
    half.switches[1].weights.pop();
    assert_eq!(group(&half), (None, vec!["HTTPS:443 forwards to web-a only: add web-b at weight 0".to_owned()]));
}

#[test]
fn who_is_where() {
    let draining = Target { health: Health::Draining, ..target(2, 3) };
    let sick = Target { health: Health::Unhealthy, ..target(2, 2) };
    let routing = routing(vec![target(1, 1), target(2, 9), target(9, 9)], vec![target(2, 1), sick, draining]);
    let pair = pair(&routing);
    let [a, b] = pair.groups;
    assert_eq!((pair.other(a), pair.other(b), pair.free()), (b, a, Some(b)));
    let name = |ids: &[&str]| pair.group_of(&ids.iter().copied().collect()).map(|group| group.name.as_str());
    assert_eq!(name(&["i-11"]), Some("web-a"));
    assert_eq!(name(&["i-29", "i-21", "i-22"]), Some("web-b"));
    // Of two alike, the one without weight.
    assert_eq!(name(&["i-29", "i-21"]), Some("web-b"));
    assert_eq!(name(&["i-23"]), None);
    let turned = moved(routing.clone(), 2);
    let turned = Pair::of(&turned, &settings().target_group).expect("a pair");
    assert_eq!(turned.group_of(&["i-29", "i-21"].into()).map(|group| group.name.as_str()), Some("web-a"));
    let instances = [instance(1, 1), instance(2, 1), instance(2, 2), instance(2, 3), instance(2, 9)];
    assert_eq!(pair.releases_in(a, &instances), BTreeMap::from([(release(1), 1), (release(2), 1)]));
    assert_eq!(pair.releases_in(b, &instances), BTreeMap::from([(release(2), 1)]));
    assert_eq!((healthy(a), healthy(b)), (3, 1));
    assert_eq!(ailing(b), "i-22 unhealthy, i-23 draining");
}
