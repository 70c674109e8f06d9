//! The loop against a port that always sees the same.

use super::*;
use crate::route::ShiftMemory;
use crate::testing::*;
use crate::{Action, Decision, Health};
use std::pin::pin;
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
    assert!(judged.message.contains("is no longer whole"), "{judged}");
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
    check(Kind::Unavailable, 0, UNAVAILABLE_SECS);
    check(Kind::Unavailable, 1_800, 1_800 + UNAVAILABLE_SECS);
    check(Kind::Throttled, 1_800, THROTTLED_SECS);
}
