//! The loop against a port that always sees the same.

use super::*;
use crate::route::ShiftMemory;
use crate::testing::*;
use crate::{Action, Decision, Health, ReleaseId, ServiceRole};
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

/// The usual middle of a release; what is changed is refused so.
struct Still {
    world: World,
    refused: Error,
}

impl Port for Still {
    fn now(&self) -> Timestamp {
        self.world.now
    }

    async fn pause(&self) {}

    async fn sleep_until(&self, _: Timestamp) {}

    fn has_time(&self) -> bool {
        true
    }

    fn hands_back(&self) -> bool {
        true
    }

    async fn holding(&self, _: &ServiceRole, _: &ReleaseId, _: bool) -> Result<Holding, Error> {
        Ok(held(hold(2)))
    }

    async fn observe(&self, _: &Look<'_>) -> Result<World, Error> {
        Ok(self.world.clone())
    }

    async fn apply(&self, _: &Look<'_>, _: &Step) -> Result<Applied, Error> {
        Err(self.refused.clone())
    }

    fn tell(&self, _: &Job, _: &Decision) {}
}

/// Shifts release 2, which must fail; answers with what.
fn fails(change: impl FnOnce(&mut World)) -> Error {
    let mut world = world();
    change(&mut world);
    let refused = Error { code: Some("AccessDenied".to_owned()), ..Error::new(Kind::Denied, "s3:PutObject is denied") };
    let (port, job, mut memo) = (Still { world, refused }, job(Action::Shift, 2), Memo::<ShiftMemory>::new(at(0)));
    // Nothing of the port waits.
    let outcome =
        pin!(run::<crate::route::Shift, _>(&port, &job, &mut memo)).poll(&mut Context::from_waker(Waker::noop()));
    match outcome {
        Poll::Ready(Outcome::Failed(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_failure_tells_what_was_seen_and_what_is_left_behind() {
    let judged = fails(|world| {
        world.routing.as_mut().expect("routing").groups[1].targets[0].health = Health::Unhealthy;
    });
    assert!(judged.message.contains("is no longer healthy"), "{judged}");
    let denied = fails(|_| {});
    assert_eq!((denied.kind, denied.code.as_deref()), (Kind::Denied, Some("AccessDenied")));
    assert_eq!(
        denied.message,
        "s3:PutObject is denied. Left behind of release r0000002: 2 instances (i-21, i-22), the hold. Discard removes all \
         of this once the pipeline execution has ended. Then start a new execution"
    );
    for (error, left_behind) in
        [(judged, vec!["its fleet, which discard removes"]), (denied, vec!["2 instances (i-21, i-22)", "the hold"])]
    {
        let report = error.report;
        assert_eq!(report.instances, ["i-21", "i-22"]);
        assert_eq!(report.left_behind, left_behind);
        assert!(report.names.contains(&"live.web-product.cd.internal".to_owned()), "{:?}", report.names);
        assert_eq!(report.weights["HTTP:80"], "web-a=100, web-b=0");
    }
}

#[test]
fn a_storm_costs_other_errors_no_patience() {
    let check = |kind, throttled_secs, expected| {
        assert_eq!(patience(kind, throttled_secs).as_secs(), expected, "{kind:?} after {throttled_secs} s");
    };
    check(Kind::Unavailable, 0, 600);
    check(Kind::Unavailable, 1_800, 2_400);
    check(Kind::Throttled, 1_800, 10_800);
}

/// A clock that only pauses, sleeps and looks move; everything is told by it.
struct Clock {
    now: Mutex<Timestamp>,
    told: Mutex<Vec<String>>,
    holding: Holding,
    world: World,
    /// Seconds that each look takes, the last one first.
    looks: Mutex<Vec<i64>>,
    /// How reading the hold is refused, this many seconds after the beginning.
    refused: fn(i64) -> Option<Kind>,
}

const BEGAN: i64 = 100;

impl Clock {
    fn at(&self) -> i64 {
        self.now().duration_since(at(BEGAN)).as_secs()
    }

    fn pass(&self, until: Timestamp) {
        *self.now.lock().expect("the clock") = until;
    }

    fn note(&self, what: String) {
        self.told.lock().expect("the clock").push(what);
    }
}

impl Port for Clock {
    fn now(&self) -> Timestamp {
        *self.now.lock().expect("the clock")
    }

    async fn pause(&self) {
        self.pass(self.now() + SignedDuration::from_secs(1));
    }

    async fn sleep_until(&self, then: Timestamp) {
        self.note(format!("{} sleeps until {}", self.at(), then.duration_since(at(BEGAN)).as_secs()));
        self.pass(then);
    }

    fn has_time(&self) -> bool {
        true
    }

    fn hands_back(&self) -> bool {
        true
    }

    async fn holding(&self, _: &ServiceRole, _: &ReleaseId, bound: bool) -> Result<Holding, Error> {
        if !bound {
            self.note(format!("{} reads", self.at()));
        }
        (self.refused)(self.at()).map_or_else(|| Ok(self.holding.clone()), |kind| Err(Error::new(kind, "no")))
    }

    async fn observe(&self, look: &Look<'_>) -> Result<World, Error> {
        let secs = self.looks.lock().expect("the clock").pop().unwrap_or_default();
        self.pass(self.now() + SignedDuration::from_secs(secs));
        Ok(World { now: look.began, ..self.world.clone() })
    }

    async fn apply(&self, _: &Look<'_>, step: &Step) -> Result<Applied, Error> {
        self.note(format!("{} changes: {step}", self.at()));
        Err(Error::new(Kind::Denied, "no"))
    }

    fn tell(&self, _: &Job, _: &Decision) {}
}

/// What release 2's action did, with the seconds since it began; the last line is how it ended. `looks`: how many seconds
/// each takes. Rollback and retire find their release live.
fn told<P: Planner>(
    holding: Holding,
    looks: &[i64],
    refused: fn(i64) -> Option<Kind>,
) -> (Vec<String>, Memo<P::Memory>) {
    let looks = Mutex::new(looks.iter().rev().copied().collect());
    let (now, told) = (Mutex::new(at(BEGAN)), Mutex::default());
    let mut world = world();
    if matches!(P::ACTION, Action::Rollback | Action::Retire) {
        world.routing = world.routing.map(|routing| moved(routing, 2));
    }
    let port = Clock { now, told, holding, world, looks, refused };
    let mut memo = Memo::<P::Memory>::new(at(BEGAN));
    let job = job(P::ACTION, 2);
    let Poll::Ready(outcome) = pin!(run::<P, _>(&port, &job, &mut memo)).poll(&mut Context::from_waker(Waker::noop()))
    else {
        panic!("nothing of the port waits");
    };
    port.note(match outcome {
        Outcome::Done(_) => format!("{} is done", port.at()),
        Outcome::Failed(error) => format!("{} fails: {:?}", port.at(), error.kind),
        Outcome::Waiting(_) => format!("{} hands back", port.at()),
    });
    (port.told.into_inner().expect("the clock"), memo)
}

fn approved() -> Holding {
    let previous = Some(crate::Previous { release: Some(release(1)), healthy: 2 });
    held(crate::Hold { phase: crate::Phase::Approved, previous, ..hold(2) })
}

fn ending() -> Holding {
    let previous = Some(crate::Previous { release: Some(release(1)), healthy: 2 });
    held(crate::Hold { phase: crate::Phase::Ending, previous, ..hold(2) })
}

fn never(_: i64) -> Option<Kind> {
    None
}

#[test]
fn a_known_wait_is_slept() {
    let (story, memo) = told::<crate::cleanup::Retire>(approved(), &[], never);
    let deregisters = "15 changes: deregister i-11, i-12 from arn:a";
    assert_eq!(story, ["0 reads", "0 sleeps until 15", "15 reads", deregisters, "15 fails: Denied"]);
    assert_eq!(memo.watched, Some(Watched { since: at(BEGAN), until: at(BEGAN + 15) }));
}

#[test]
fn a_look_that_comes_too_late_begins_anew() {
    let (story, _) = told::<crate::cleanup::Retire>(approved(), &[0, 40], never);
    let slept = ["0 reads", "0 sleeps until 15", "15 reads", "55 sleeps until 70", "70 reads"];
    assert_eq!(story[..5], slept, "{story:?}");
    // What was found at the beginning of a long look may not have lasted until its end.
    let (story, _) = told::<crate::cleanup::Retire>(approved(), &[31, 0], never);
    assert_eq!(story[..3], ["0 reads", "31 sleeps until 46", "46 reads"], "{story:?}");
    assert_eq!(story[3], "46 sleeps until 61", "{story:?}");
    let (story, _) = told::<crate::cleanup::Retire>(approved(), &[0, 30], never);
    assert_eq!(story[3], "45 changes: deregister i-11, i-12 from arn:a", "{story:?}");
}

#[test]
fn nothing_is_changed_by_what_was_seen_long_ago() {
    let check = |look, expected: &[&str]| {
        let (mut story, _) = told::<crate::route::Rollback>(ending(), &[look], never);
        story.iter_mut().for_each(|line| line.truncate(11));
        assert_eq!(story, expected, "a look that takes {look} s");
    };
    check(120, &["0 reads", "120 changes", "120 fails: "]);
    check(121, &["0 reads", "121 reads", "121 changes", "121 fails: "]);
}

#[test]
fn a_job_is_handed_back_while_another_release_holds() {
    let (story, _) = told::<crate::provision::Provision>(held(hold(1)), &[], never);
    assert_eq!(story.last().map(String::as_str), Some("5 hands back"), "{story:?}");
}

#[test]
fn what_aws_refuses_is_tried_again() {
    let reads = |refused: fn(i64) -> Option<Kind>| {
        let (story, memo) = told::<crate::cleanup::Retire>(approved(), &[], refused);
        let reads: Vec<i64> = story.iter().filter_map(|line| line.strip_suffix(" reads")?.parse().ok()).collect();
        (reads, story.last().cloned().expect("an end"), memo.throttled_secs)
    };
    // Sooner while AWS is unavailable, later each time that it throttles.
    let (unavailable, end, secs) = reads(|_| Some(Kind::Unavailable));
    assert_eq!((&unavailable[..4], end.as_str(), secs), (&[0, 1, 2, 3][..], "601 fails: Unavailable", 0));
    let (throttled, end, secs) = reads(|_| Some(Kind::Throttled));
    assert_eq!((&throttled[..7], end.as_str()), (&[0, 2, 6, 14, 30, 62, 94][..], "10814 fails: Throttled"));
    assert_eq!(secs, 10_814);
    // A storm that ends costs the other errors no patience, and the next one begins with a short pause.
    let (both, _, secs) = reads(|at| match at {
        0..6 | 7..9 => Some(Kind::Throttled),
        6 => Some(Kind::Conflict),
        _ => None,
    });
    assert_eq!((&both[..6], secs), (&[0, 2, 6, 7, 9, 24][..], 8));
}
