//! What a situation says before anybody decides.

use super::*;
use crate::testing::*;
use crate::{Ended, Hold, HowEnded, Phase};

#[test]
fn who_is_asked_about() {
    let check = |action, pipeline: &str, holding: &Holding, expected: Option<(&str, u8)>| {
        let job = Job { pipeline: pipeline.to_owned(), ..job(action, 2) };
        let found = execution_of(&job, holding).map(|(pipeline, release)| (pipeline, release.clone()));
        assert_eq!(found, expected.map(|(pipeline, n)| (pipeline, release(n))), "{action} in {pipeline:?}");
    };
    let of = |n, pipeline: &str, checked| held(Hold { pipeline: pipeline.to_owned(), checked, ..hold(n) });
    check(Action::Discard, "job", &Holding::default(), Some(("job", 2)));
    check(Action::Discard, "", &Holding::default(), None);
    check(Action::Discard, "job", &of(2, "hold", true), Some(("hold", 2)));
    check(Action::Discard, "job", &of(2, "hold", false), Some(("job", 2)));
    check(Action::Discard, "", &of(2, "hold", false), Some(("hold", 2)));
    check(Action::Discard, "job", &of(1, "hold", true), Some(("job", 2)));
    check(Action::Provision, "job", &of(1, "hold", true), Some(("hold", 1)));
    let ended = Some(Ended::unheld(release(1), HowEnded::Approved, at(0)));
    let mut free = Holding { ended, ..of(1, "hold", true) };
    let held = free.held.as_mut().expect("a hold");
    (held.freed, held.hold.phase) = (true, Phase::Approved);
    check(Action::Provision, "job", &free, Some(("job", 2)));
}

fn situation<T>(holding: &Holding, world: &World, tell: impl FnOnce(Situation<'_>) -> T) -> T {
    let (job, began) = (job(Action::Shift, 2), at(0));
    let world = View::of(world);
    tell(Situation { job: &job, holding, world, began, throttled_secs: 0, watched_since: began, direct: false })
}

#[test]
fn what_is_left_of_a_wait_is_told_in_whole_seconds() {
    let check = |millis, expected: Option<i64>| {
        let world = World { now: at(100) + SignedDuration::from_millis(millis), ..world() };
        let left = situation(&held(hold(2)), &world, |now| now.left(at(100), 15));
        assert_eq!(left, expected.map(|secs| (at(115), secs)), "after {millis} ms");
    };
    check(0, Some(15));
    check(1, Some(15));
    check(1_000, Some(14));
    check(14_999, Some(1));
    check(15_000, None);
}

#[test]
fn who_serves_is_told_by_weights_or_by_name() {
    let weights = |holding: Holding, world: World| {
        let weights = situation(&holding, &world, |now| now.weights());
        weights.into_iter().map(|(of, what)| format!("{of}: {what}")).collect::<Vec<_>>().join("; ")
    };
    let by_weights = "HTTP:80: web-a=100, web-b=0; HTTPS:443: web-a=100, web-b=0";
    assert_eq!(weights(held(hold(2)), world()), by_weights);
    assert_eq!(weights(held(hold(1)), world()), by_weights);
    let mut named = hold(2);
    named.settings.target_group = TargetGroup::None;
    assert_eq!(weights(held(named.clone()), world()), "live name: 10.0.1.1 10.0.1.2");
    assert_eq!(weights(held(named), World { names: Vec::new(), ..world() }), "live name: none");
    assert_eq!(weights(held(hold(2)), World { routing: None, ..world() }), "");
}
