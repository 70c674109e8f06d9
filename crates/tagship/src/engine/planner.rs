//! What a planner is asked, and what it may answer: a situation in, a decision out.

use crate::engine::admission::{Gate, Standing, Word};
use crate::engine::memo::Memory;
use crate::model::VERSION;
use crate::{
    Action, Address, Alarm, Artifact, Balancer, Called, Changes, Deployment, DeploymentState, Devices, Done, Enrolled,
    Error, Execution, Figures, Found, Held, Holding, Instance, Job, Kind, Offer, Parts, Record, ReleaseId, Report,
    Routing, Step, UserData, World, counted, listed, names, settings::TargetGroup,
};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// One action: which it is, what it may read and change, and how it decides. Pure: without clock, environment, SDK or
/// async.
pub trait Planner: 'static {
    /// Which.
    const ACTION: Action;

    /// What it may ask to see: no other calls are linked.
    const READS: Parts;

    /// What it may change: no other calls are linked.
    const CHANGES: Changes;

    /// What the table of phases admits it with.
    type Entry<'a>: Copy + Word;

    /// What it remembers from round to round.
    type Memory: Memory;

    /// Its column of the table of phases.
    fn admit(standing: Standing<'_>) -> Gate<Self::Entry<'_>>;

    /// What it ends with, or the decision that comes before. `memory` is a copy: the loop keeps it once the decision
    /// has had its effect.
    fn decide<'a>(now: &Situation<'a>, entry: Self::Entry<'a>, memory: &mut Self::Memory) -> First<Done>;

    /// What it has learned from AWS's refusal of a step, after which it decides again; none if the refusal stands.
    fn learn(_refused: &Step, _error: &Error, _memory: &Self::Memory) -> Option<Self::Memory> {
        None
    }
}

/// What a planner decides.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// See this too, then decide.
    Look(Parts),
    /// Make this one change, then look again.
    Do {
        /// The change.
        step: Step,
        /// For logs and stories.
        why: &'static str,
        /// Set on the last change of all: what it ends with.
        then: Option<Box<Done>>,
    },
    /// Nothing to change yet.
    Wait {
        /// What is waited for.
        why: String,
        /// Before then nothing can have changed, so nobody looks.
        until: Option<Timestamp>,
    },
    /// Nothing to do before somebody else is done: CodePipeline's console is told so soon.
    Yield(String),
    /// The end.
    Done(Done),
    /// Can't go on.
    Fail(Error),
}

/// What there is to go on with, or the decision that has to be carried out before.
pub type First<T> = ControlFlow<Decision, T>;

impl Decision {
    /// Make this change.
    pub fn act(step: Step, why: &'static str) -> Self {
        Self::Do { step, why, then: None }
    }

    /// Delete the hold, and that was all.
    pub fn last(held: &Held, done: Done) -> Self {
        let step = Step::DeleteHold { etag: held.etag.clone() };
        Self::Do { step, why: "the release has ended: the service is free", then: Some(Box::new(done)) }
    }

    /// Look again soon.
    pub fn wait(why: impl Into<String>) -> Self {
        Self::Wait { why: why.into(), until: None }
    }

    /// Look again then.
    pub fn wait_until(until: Timestamp, why: impl Into<String>) -> Self {
        Self::Wait { why: why.into(), until: Some(until) }
    }
}

/// All that a planner may judge by, beside what it was admitted with.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// What is asked for.
    pub job: &'a Job,
    /// What the bucket says.
    pub holding: &'a Holding,
    /// The world, as far as it has been read.
    pub world: View<'a>,
    /// When the action began.
    pub began: Timestamp,
    /// Seconds in all for which AWS has refused its requests for being too many.
    pub throttled_secs: u32,
    /// Since when looks, this one among them, have followed each other. What was found before may have changed and
    /// changed back.
    pub watched_since: Timestamp,
    /// Whether somebody asks directly (an event, a command line), and no job of a pipeline does.
    pub direct: bool,
}

/// The execution that a look asks CodePipeline about: that of the release that provision waits for, else the job's own.
/// None where nobody says in which pipeline.
pub fn execution_of<'a>(job: &'a Job, holding: &'a Holding) -> Option<(&'a str, &'a ReleaseId)> {
    let held = holding.held.as_ref();
    let own = held.filter(|held| held.hold.release == job.release);
    let awaited = held.filter(|held| job.action == Action::Provision && !held.free());
    let (pipeline, release) = match (own, awaited) {
        // What was never found there is looked for where the job says.
        (Some(own), _) if !own.hold.checked && !job.pipeline.is_empty() => (job.pipeline.as_str(), &job.release),
        (Some(held), _) | (None, Some(held)) => (held.hold.pipeline.as_str(), &held.hold.release),
        (None, None) => (job.pipeline.as_str(), &job.release),
    };
    (!pipeline.is_empty()).then_some((pipeline, release))
}

/// The world as a planner sees it: a part that hasn't been read yet is asked for.
#[derive(Debug, Clone, Copy)]
pub struct View<'a>(&'a World);

impl<'a> View<'a> {
    /// Of this world.
    pub fn of(world: &'a World) -> Self {
        Self(world)
    }

    /// When the observation began.
    pub fn now(self) -> Timestamp {
        self.0.now
    }

    /// Since when at the latest what this observation found has lasted.
    pub fn since(self) -> Timestamp {
        self.0.since()
    }

    /// Goes on if all of these have been read.
    pub fn need(self, parts: Parts) -> First<()> {
        let missing = parts.without(self.0.read);
        if missing.is_empty() { ControlFlow::Continue(()) } else { ControlFlow::Break(Decision::Look(missing)) }
    }

    fn part<T>(self, part: Parts, of: impl FnOnce(&'a World) -> T) -> First<T> {
        self.need(part)?;
        ControlFlow::Continue(of(self.0))
    }

    /// Every instance of the service.
    pub fn instances(self) -> First<&'a [Instance]> {
        self.part(Parts::INSTANCES, |world| &world.instances[..])
    }

    /// The instances of a release, gone ones too.
    pub fn fleet(self, release: &ReleaseId) -> First<Vec<&'a Instance>> {
        let of = |instance: &&Instance| instance.release.as_ref() == Some(release);
        self.part(Parts::INSTANCES, |world| world.instances.iter().filter(of).collect())
    }

    /// The pair and the switches.
    pub fn routing(self) -> First<&'a Routing> {
        match self.part(Parts::ROUTING, |world| world.routing.as_ref())? {
            Some(routing) => ControlFlow::Continue(routing),
            None => ControlFlow::Break(Decision::Look(Parts::ROUTING)),
        }
    }

    /// Addresses with the service's tag, and those of its pool.
    pub fn addresses(self) -> First<&'a [Address]> {
        self.part(Parts::ADDRESSES, |world| &world.addresses[..])
    }

    /// Records under the service's name in its zone.
    pub fn names(self) -> First<&'a [Record]> {
        self.part(Parts::NAMES, |world| &world.names[..])
    }

    /// Whether the deployment group's tag filter is this release's already.
    pub fn filtered(self) -> First<bool> {
        self.part(Parts::FILTER, |world| world.filtered)
    }

    /// The newest deployment of this release.
    pub fn deployment(self) -> First<Option<&'a Deployment>> {
        self.part(Parts::DEPLOYMENT, |world| world.deployment.as_ref())
    }

    /// The artifact that a new deployment would install.
    pub fn artifact(self) -> First<Option<&'a Found<Artifact>>> {
        self.part(Parts::ARTIFACT, |world| world.artifact.as_ref())
    }

    /// The settings as the variable says them now.
    pub fn offer(self) -> First<Option<&'a Offer>> {
        self.part(Parts::OFFER, |world| world.offer.as_ref())
    }

    /// The text of `USER_DATA` as the variable says it now.
    pub fn user_data(self) -> First<Option<&'a UserData>> {
        self.part(Parts::USER_DATA, |world| world.user_data.as_ref())
    }

    /// The image's devices.
    pub fn devices(self) -> First<Option<&'a Devices>> {
        self.part(Parts::IMAGE, |world| world.devices.as_ref())
    }

    /// The execution that is asked about; none if nobody says its pipeline.
    pub fn holder(self) -> First<Option<&'a Execution>> {
        self.part(Parts::HOLDER, |world| world.holder.as_ref())
    }

    /// The alarms that the settings name.
    pub fn alarms(self) -> First<&'a [Alarm]> {
        self.part(Parts::ALARMS, |world| &world.alarms[..])
    }

    /// What the balancer counted while the traffic was divided.
    pub fn figures(self) -> First<&'a Figures> {
        self.part(Parts::FIGURES, |world| &world.figures)
    }

    /// The load balancer, as far as a launch has to fit it.
    pub fn balancer(self) -> First<Option<&'a Balancer>> {
        self.part(Parts::BALANCER, |world| world.balancer.as_ref())
    }

    /// The roster of the live fleet.
    pub fn roster(self) -> First<Option<&'a Enrolled>> {
        self.part(Parts::ROSTER, |world| world.roster.as_deref())
    }

    /// The call of a hook that this process has made.
    pub fn hook(self) -> First<Option<&'a Called>> {
        self.part(Parts::HOOK, |world| world.hook.as_ref())
    }

    /// The world as far as it has been read. Only what is told may depend on it, not what is decided.
    pub fn as_read(self) -> &'a World {
        self.0
    }
}

impl<'a> Situation<'a> {
    /// The release's own hold, as read; none if it doesn't hold.
    pub fn held(&self) -> Option<&'a Held> {
        self.holding.held.as_ref().filter(|held| held.hold.release == self.job.release)
    }

    /// When so many seconds since then will have passed, and how many are left; none if they have.
    pub(crate) fn left(&self, since: Timestamp, secs: u32) -> Option<(Timestamp, i64)> {
        let until = since + SignedDuration::from_secs(secs.into());
        let left = until.duration_since(self.world.now());
        (left > SignedDuration::ZERO).then(|| (until, left.as_secs() + i64::from(left.subsec_nanos() > 0)))
    }

    /// What an event tells of what was seen: the release's fleet, the service's names, the switches' weights.
    pub(crate) fn report(&self) -> Report {
        let world = self.world.as_read();
        let fleet = world.fleet(&self.job.release).filter(|instance| !instance.gone());
        Report {
            build: self.held().and_then(|held| held.hold.build.clone()),
            instances: fleet.map(|instance| instance.id.clone()).collect(),
            names: world.names.iter().map(|record| record.name.clone()).collect(),
            weights: self.weights(),
            ..Report::default()
        }
    }

    /// For events: what each switch gives to whom, or whose addresses the `live` name holds.
    pub(crate) fn weights(&self) -> BTreeMap<String, String> {
        let world = self.world.as_read();
        match (self.held().map(|held| &held.hold.settings), &world.routing) {
            (Some(settings), _) if settings.target_group == TargetGroup::None => {
                let zone = settings.zone.as_deref().unwrap_or_default();
                let live = names::held_by(&world.names, &self.job.role, zone, names::Names::Live).join(" ");
                BTreeMap::from([("live name".to_owned(), if live.is_empty() { "none".to_owned() } else { live })])
            }
            (_, Some(routing)) => routing.weights(),
            (_, None) => BTreeMap::new(),
        }
    }

    /// The failure, with what an event tells of what was seen.
    pub(crate) fn seen_by(&self, mut error: Error) -> Error {
        let left_behind = std::mem::take(&mut error.report.left_behind);
        *error.report = Report { left_behind, ..self.report() };
        error
    }

    /// A failure that says what of the release is left behind, who removes it, and what to do next.
    pub(crate) fn give_up(&self, kind: Kind, message: impl std::fmt::Display) -> Decision {
        Decision::Fail(self.leaving_all(Error::new(kind, message.to_string())))
    }

    /// Why a change was not made, with what an event tells of what was seen. Where the release can't go on by it,
    /// the message says what is left behind.
    pub(crate) fn unchanged(&self, error: Error) -> Error {
        let retried = error.kind.passes();
        let discarded = matches!(self.job.action, Action::Provision | Action::Deploy | Action::Shift);
        self.seen_by(if discarded && !retried && self.held().is_some() { self.leaving_all(error) } else { error })
    }

    pub(crate) fn leaving_all(&self, error: Error) -> Error {
        let release = &self.job.release;
        let world = self.world.as_read();
        let fleet = world.fleet(release).filter(|instance| !instance.gone());
        let instances: Vec<&str> = fleet.map(|instance| instance.id.as_str()).collect();
        let own = world.addresses.iter().filter(|address| address.release.as_ref() == Some(release));
        let addresses: Vec<&str> = own.map(|address| address.public_ip.as_str()).collect();
        let running = |deployment: &&Deployment| deployment.state == DeploymentState::Running;
        let mut left = Vec::new();
        if !instances.is_empty() {
            left.push(format!("{} ({})", counted(instances.len(), "instance"), listed(instances)));
        }
        if !addresses.is_empty() {
            left.push(format!("{} ({})", counted(addresses.len(), "address"), listed(addresses)));
        }
        if let Some(running) = world.deployment.as_ref().filter(running) {
            left.push(format!("deployment {}, still running", running.id));
        }
        left.push("the hold".to_owned());
        // After a list of problems, a paragraph of its own.
        let gap = if error.message.contains('\n') { "\n" } else { ". " };
        let message = error.message.trim_end_matches(['.', '\n']);
        let message = format!(
            "{message}{gap}Left behind of release {release}: {}. Discard removes all of this once the pipeline \
             execution has ended. Then start a new execution",
            left.join(", ")
        );
        Error { message, ..error }.leaving(left)
    }

    /// The step that changes the release's own hold.
    pub fn rewrite(held: &Held, change: impl FnOnce(&mut crate::Hold)) -> Step {
        let mut hold = held.hold.clone();
        change(&mut hold);
        hold.v = hold.v.max(VERSION);
        Step::WriteHold { hold: Box::new(hold), etag: Some(held.etag.clone()) }
    }
}

#[cfg(test)]
mod tests;
