//! What the loop asks of the world outside, and what it is answered.

use crate::engine::planner::Decision;
use crate::settings::Settings;
use crate::{Error, Holding, Instance, Job, Parts, ReleaseId, ServiceRole, Step, World};
use jiff::Timestamp;
use std::future::Future;

/// The world outside: the AWS adapter or the simulator.
pub trait Port: Sync {
    /// The time.
    fn now(&self) -> Timestamp;

    /// Waits a little (1–2 s, jittered) before the next look.
    fn pause(&self) -> impl Future<Output = ()> + Send;

    /// Waits until then, or until there is no time for another round.
    fn sleep_until(&self, then: Timestamp) -> impl Future<Output = ()> + Send;

    /// Whether there is time for another round in this invocation.
    fn has_time(&self) -> bool;

    /// Whether an unfinished job can be handed back, to be invoked again later. A direct invocation can't.
    fn hands_back(&self) -> bool;

    /// Reads hold and markers. `bound`: answer within 4 s or not at all, so that what is decided by it is still true
    /// when the step's own 10 s are over (SETTLE, 15 s, exceeds the two).
    fn holding(
        &self,
        role: &ServiceRole,
        release: &ReleaseId,
        bound: bool,
    ) -> impl Future<Output = Result<Holding, Error>> + Send;

    /// Reads these parts of the world, at once.
    fn observe(&self, look: &Look<'_>) -> impl Future<Output = Result<World, Error>> + Send;

    /// Makes one changing call, never repeated by itself. All that it does, what it reads for it too, ends within 10 s.
    fn apply(&self, look: &Look<'_>, step: &Step) -> impl Future<Output = Result<Applied, Error>> + Send;

    /// Told of every decision: for logs and stories.
    fn tell(&self, job: &Job, decision: &Decision);
}

/// What an observation, or a change, is for.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// What is asked for.
    pub job: &'a Job,
    /// What the bucket says.
    pub holding: &'a Holding,
    /// The settings to go by: the hold's, those on offer before the release holds, or the roster's after it.
    pub settings: Option<&'a Settings>,
    /// What is read.
    pub parts: Parts,
    /// When the observation began that it belongs to.
    pub began: Timestamp,
}

/// What a change answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// The entity tag of a hold that was written.
    pub etag: Option<String>,
    /// The instances that were launched.
    pub launched: Vec<Instance>,
}
