//! The port to a world that does what is assumed of it: what a step brings about there, and what a look finds.

use super::{Basis, Known, Line, What, call};
use crate::engine::after;
use crate::status::Unavailable;
use crate::{
    Action, Address, Applied, Artifact, Decision, Deployment, DeploymentState, Error, Execution, ExecutionState,
    Figures, Health, Held, Holding, Instance, InstanceState, Job, Kind, Launch, Look, Parts, Pipeline, Port, ReleaseId,
    ServiceRole, Step, Target, World,
};
use jiff::{SignedDuration, Timestamp};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Looks of one action at most. What has no end by then has none.
const LOOKS: u32 = 3_000;
/// A pause, in seconds; it grows while nothing happens.
const PAUSE: (i64, i64) = (2, 60);
/// Parts that a plan can do without: it says what it takes for granted instead.
const ELSE: [(Parts, &str); 7] = [
    (Parts::FILTER, "the deployment group isn't this release's yet"),
    (Parts::BALANCER, "the fleet fits it"),
    (Parts::IMAGE, "the image has one root device"),
    (Parts::ALARMS, "no alarm rings"),
    (Parts::ARTIFACT, "there is a build"),
    (Parts::ROSTER, "there is no roster"),
    (Parts::USER_DATA, "USER_DATA stays as it is"),
];

/// The port to such a world.
#[derive(Debug)]
pub(super) struct Foreseen(Mutex<State>);

#[derive(Debug)]
pub(super) struct State {
    pub(super) now: Timestamp,
    pub(super) role: ServiceRole,
    pub(super) release: ReleaseId,
    pub(super) held: Option<Held>,
    pub(super) world: World,
    pub(super) lines: Vec<Line>,
    ended: Option<crate::Ended>,
    refused: Vec<(Parts, Error)>,
    unread: Vec<(Parts, Unavailable)>,
    source: Option<Artifact>,
    steps: Vec<(Action, Step)>,
    pub(super) action: Action,
    why: &'static str,
    looks: u32,
    pause: i64,
    serial: usize,
    pub(super) compared: bool,
}

impl Foreseen {
    pub(super) fn new(role: &ServiceRole, release: &ReleaseId, known: Known) -> Self {
        let Known { now, held, world, refused, unread, pipeline, .. } = known;
        Self(Mutex::new(State {
            now,
            role: role.clone(),
            release: release.clone(),
            held,
            world,
            lines: Vec::new(),
            ended: None,
            refused,
            unread,
            source: source(&pipeline),
            steps: Vec::new(),
            action: Action::Provision,
            why: "",
            looks: 0,
            pause: PAUSE.0,
            serial: 0,
            compared: false,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next action begins.
    pub(super) fn begin(&self, job: &Job) {
        let mut state = self.state();
        (state.action, state.looks, state.pause) = (job.action, 0, PAUSE.0);
    }

    /// A person approves, after the usual time.
    pub(super) fn approve(&self, seconds: Option<i64>) {
        let mut state = self.state();
        state.lines.push(Line::new(What::Happens, Basis::Assumed, "somebody approves"));
        state.now += SignedDuration::from_secs(seconds.unwrap_or_default());
    }

    pub(super) fn note(&self, line: Line) {
        self.state().lines.push(line);
    }

    /// The lines since they were asked for last.
    pub(super) fn lines(&self) -> Vec<Line> {
        std::mem::take(&mut self.state().lines)
    }

    /// All steps, with the action that makes each.
    pub(super) fn steps(&self) -> Vec<(Action, Step)> {
        std::mem::take(&mut self.state().steps)
    }
}

/// What the pipeline's source gives: the build that somebody uploads.
fn source(pipeline: &Pipeline) -> Option<Artifact> {
    let (_, bucket, key) = pipeline.source()?;
    Some(Artifact { bucket: bucket.to_owned(), key: key.to_owned(), version: None, etag: None })
}

impl State {
    /// These parts of the world.
    fn observe(&mut self, parts: Parts) -> Result<World, Error> {
        if let Some((_, error)) = self.refused.iter().find(|(part, _)| parts.has(*part)) {
            return Err(error.clone());
        }
        let unread = std::mem::take(&mut self.unread);
        let (asked, rest): (Vec<_>, Vec<_>) = unread.into_iter().partition(|(part, _)| parts.has(*part));
        self.unread = rest;
        for (part, unavailable) in asked {
            let Some((_, instead)) = ELSE.iter().find(|(known, _)| *known == part) else {
                return Err(Error::new(
                    Kind::Denied,
                    format!("the {} can't be read: {}", unavailable.part, unavailable.why),
                ));
            };
            let says = format!("the {} can't be read: it is assumed that {instead}", unavailable.part);
            self.lines.push(Line::new(What::Happens, Basis::Unknown, says));
        }
        let figures = if parts.has(Parts::FIGURES) { self.figures() } else { Figures::default() };
        let mut world = World { now: self.now, figures, ..self.world.clone() };
        if self.held.as_ref().is_none_or(|held| held.hold.release == self.release || held.free()) {
            world.holder = Some(Execution { state: ExecutionState::Running, updated_at: None, build: None });
        }
        world.artifact = world.artifact.or_else(|| self.source.clone().map(Ok));
        Ok(world)
    }

    fn serial(&mut self) -> usize {
        self.serial += 1;
        self.serial
    }

    fn launched(&mut self, launch: &Launch) -> Vec<Instance> {
        let new = |_| {
            let n = self.serial();
            Instance {
                id: format!("i-new-{n:04}"),
                release: Some(launch.release.clone()),
                state: InstanceState::Pending,
                subnet: Some(launch.subnet.clone()),
                instance_type: launch.instance_type.clone(),
                private_ip: Some(format!("address-of-new-{n:04}")),
                launched_at: self.now,
                retired_by: None,
                reason: None,
                short: false,
                client_token: Some(launch.client_token.clone()),
                build: None,
            }
        };
        (0..launch.count).map(new).collect()
    }

    /// What a step brings about, beyond what its answer alone tells.
    fn bring_about(&mut self, step: &Step) {
        let world = &mut self.world;
        match step {
            Step::AllocateAddress { .. } => {
                self.serial += 1;
                let n = self.serial;
                world.addresses.push(Address {
                    id: format!("eipalloc-new-{n:04}"),
                    public_ip: format!("public-new-{n:04}"),
                    release: Some(self.release.clone()),
                    association: None,
                    instance: None,
                });
            }
            Step::AssociateAddress { address, instance } => {
                for found in world.addresses.iter_mut().filter(|found| found.id == *address) {
                    (found.association, found.instance) =
                        (Some(format!("eipassoc-of-{address}")), Some(instance.clone()));
                }
            }
            Step::CreateDeployment { .. } => {
                world.deployment = Some(Deployment {
                    id: "d-new".to_owned(),
                    state: DeploymentState::Running,
                    created_at: self.now,
                    error: None,
                    targets: Vec::new(),
                    overview: "in progress".to_owned(),
                    begun: true,
                });
            }
            Step::StopDeployment { .. } => {
                world.deployment.iter_mut().for_each(|deployment| deployment.state = DeploymentState::Stopped);
            }
            Step::Register { group, instances, port } => {
                let groups = world.routing.iter_mut().flat_map(|routing| &mut routing.groups);
                for found in groups.filter(|found| found.arn == *group) {
                    let (port, health) = (*port, Health::Initial);
                    let new = |id: &String| Target { id: id.clone(), port, health, reason: None, description: None };
                    found.targets.extend(instances.iter().map(new));
                }
            }
            Step::WriteHold { hold, .. } => {
                let etag = format!("etag-{}", self.steps.len());
                self.held = Some(Held { hold: (**hold).clone(), etag, freed: false });
            }
            Step::WriteEnded(ended) => {
                self.ended = Some(ended.clone());
                self.held.iter_mut().for_each(|held| held.freed = true);
            }
            Step::DeleteHold { .. } => self.held = None,
            // Their answers tell it all.
            Step::WriteRoster { .. }
            | Step::Launch(_)
            | Step::Terminate { .. }
            | Step::TagRetired { .. }
            | Step::Stop { .. }
            | Step::DisassociateAddress { .. }
            | Step::ReleaseAddress { .. }
            | Step::ChangeNames { .. }
            | Step::FilterDeployments { .. }
            | Step::Deregister { .. }
            | Step::SetWeights { .. }
            | Step::PointTest { .. }
            | Step::CallHook(_)
            | Step::Abandon { .. }
            | Step::StopExecution { .. } => {}
        }
    }

    fn apply(&mut self, step: &Step) -> Applied {
        let launched = match step {
            Step::Launch(launch) => self.launched(launch),
            _ => Vec::new(),
        };
        let etag = Some(format!("etag-{}", self.steps.len()));
        let applied = Applied { etag, launched };
        if let Some(world) = after(self.world.clone(), step, &applied) {
            self.world = world;
        }
        self.bring_about(step);
        let says = self.for_people(step);
        let line = Line::new(What::Step, Basis::Read, says);
        self.lines.push(Line { call: Some(call(step)), why: Some(self.why), ..line });
        self.steps.push((self.action, step.clone()));
        (self.looks, self.pause) = (0, PAUSE.0);
        applied
    }

    /// With groups by their names, and without times that nobody knows yet.
    fn for_people(&self, step: &Step) -> String {
        let text = match step {
            Step::WriteHold { etag: Some(_), .. } => format!("write the hold: {}", self.why),
            step => step.to_string(),
        };
        let groups = self.world.routing.iter().flat_map(|routing| &routing.groups);
        groups.fold(text, |text, group| text.replace(&group.arn, &group.name))
    }

    fn wait(&mut self, why: &str) {
        if self.lines.last().is_none_or(|line| line.what != What::Wait) {
            self.lines.push(Line::new(What::Wait, Basis::Read, why));
        }
    }
}

impl Port for Foreseen {
    fn now(&self) -> Timestamp {
        self.state().now
    }

    async fn pause(&self) {
        let mut state = self.state();
        state.looks += 1;
        let secs = state.pause;
        state.now += SignedDuration::from_secs(secs);
        state.pause = if state.come() { PAUSE.0 } else { (2 * secs).min(PAUSE.1) };
    }

    async fn sleep_until(&self, then: Timestamp) {
        let mut state = self.state();
        state.looks += 1;
        let (from, until) = (state.now, state.until(then));
        let waits = state.lines.len();
        state.now = until;
        // Where something comes about, the length was only the least.
        if !state.come()
            && let Some(line) = state.lines.get_mut(waits.saturating_sub(1)).filter(|line| line.what == What::Wait)
        {
            let secs = until.duration_since(from);
            *line.seconds.get_or_insert(0) += secs.as_secs() + i64::from(secs.subsec_nanos() > 0);
        }
    }

    fn has_time(&self) -> bool {
        self.state().looks < LOOKS
    }

    fn hands_back(&self) -> bool {
        true
    }

    async fn holding(&self, _: &ServiceRole, _: &ReleaseId, _: bool) -> Result<Holding, Error> {
        let state = self.state();
        Ok(Holding { held: state.held.clone(), ended: state.ended.clone() })
    }

    async fn observe(&self, look: &Look<'_>) -> Result<World, Error> {
        self.state().observe(look.parts)
    }

    async fn apply(&self, _: &Look<'_>, step: &Step) -> Result<Applied, Error> {
        Ok(self.state().apply(step))
    }

    fn tell(&self, _: &Job, decision: &Decision) {
        let mut state = self.state();
        match decision {
            Decision::Do { why, .. } => state.why = why,
            Decision::Wait { why, .. } | Decision::Yield(why) => state.wait(why),
            Decision::Look(_) | Decision::Done(_) | Decision::Fail(_) => {}
        }
    }
}
