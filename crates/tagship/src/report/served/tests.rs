use super::*;
use crate::testing::{at, instance, release, routing, target};
use crate::{Counted, Counts};

/// Of a release: second, requests, errors.
type Told = Vec<(u8, Vec<(i64, u64, u64)>)>;

/// In group `a` or `b` in the minute that begins at this second: requests, and those with a good answer.
fn counted(group: &str, second: i64, requests: u64, good: u64) -> Counted {
    let counts = Counts { requests, c2xx: good, ..Counts::default() };
    Counted { group: format!("arn:{group}"), start: at(second), counts, latency: None }
}

/// Who is in `a` and in `b` at which seconds, what was counted, and what is told at second 900 of whom.
#[track_caller]
fn check(what: &str, looks: &[(i64, Option<u8>, Option<u8>)], counted: Vec<Counted>, expected: &Told) {
    let mut tenures = Tenures::default();
    let mut instances = vec![instance(1, 1), instance(2, 1), instance(3, 1)];
    for (own, launched) in instances.iter_mut().zip([-5_000, 100, 500]) {
        own.launched_at = at(launched);
    }
    for (second, a, b) in looks {
        let targets = |of: &Option<u8>| of.iter().map(|of| target(*of, 1)).collect();
        tenures.add(at(*second), &routing(targets(a), targets(b)), &instances);
    }
    let served = tenures.served(&Figures { minute_secs: 60, counted }, at(900));
    let number = |id: &ReleaseId| (1..=3).find(|n| release(*n) == *id).expect("a release of these");
    let minute = |it: &Minute| (it.at.duration_since(at(0)).as_secs(), it.requests, it.errors);
    let told: Told =
        served.releases.iter().map(|it| (number(&it.release), it.minutes.iter().map(minute).collect())).collect();
    assert_eq!(told, *expected, "{what}");
}

#[test]
fn requests_are_of_who_was_in_the_group() {
    let two = [(200, Some(1), Some(2)), (260, Some(1), Some(2))];
    let both = || vec![counted("a", 180, 90, 90), counted("b", 180, 10, 8), counted("b", 240, 10, 10)];
    for (what, looks, figures, expected) in [
        ("nobody looked", &[][..], both(), vec![]),
        ("two at once", &two, both(), vec![(1, vec![(180, 90, 0)]), (2, vec![(180, 10, 2), (240, 10, 0)])]),
        ("before its launch", &two, vec![counted("b", 0, 10, 10)], vec![]),
        ("before the first look", &two, vec![counted("a", 0, 10, 10)], vec![(1, vec![(0, 10, 0)])]),
        ("long ago", &two, vec![counted("a", -1_200, 10, 10)], vec![]),
        ("when it has gone", &two, vec![counted("b", 420, 10, 10)], vec![]),
        (
            "another came into the group",
            &[(200, Some(1), Some(2)), (450, Some(1), None), (560, Some(1), Some(3))],
            vec![counted("b", 180, 10, 9), counted("b", 540, 20, 20)],
            vec![(2, vec![(180, 10, 1)]), (3, vec![(540, 20, 0)])],
        ),
    ] {
        check(what, looks, figures, &expected);
    }
}

#[test]
fn whoever_has_most_targets_has_the_group() {
    let mut tenures = Tenures::default();
    let instances = [instance(1, 1), instance(2, 1), instance(2, 2)];
    let mixed = routing(vec![target(1, 1), target(2, 1), target(2, 2)], Vec::new());
    tenures.add(at(100), &mixed, &instances);
    let figures = Figures { minute_secs: 60, counted: vec![counted("a", 60, 5, 5)] };
    let served = tenures.served(&figures, at(120));
    assert_eq!(served.releases.iter().map(|it| it.release.clone()).collect::<Vec<_>>(), [release(2)]);
}

#[test]
fn what_is_shown_goes_back_half_an_hour_of_the_balancers_minutes() {
    assert_eq!(since(at(1_800), 60), at(0));
    assert_eq!(since(at(30), 1), at(0));
}
