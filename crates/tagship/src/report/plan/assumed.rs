//! What is assumed to come about while a function waits: instances boot, the build installs, targets become healthy.

use super::foreseen::State;
use super::{Basis, Line, What};
use crate::{
    Action, Counted, Counts, DeploymentState, Figures, Health, Hold, HookAnswer, Installed, Instance, InstanceState,
    counted,
};
use jiff::{SignedDuration, Timestamp};

/// Requests a minute of each group, where errors are compared: far more than any comparison needs.
const REQUESTS: u64 = 100_000;

impl State {
    pub(super) fn assume(&mut self, says: String) {
        self.lines.push(Line::new(What::Happens, Basis::Assumed, says));
    }

    /// The release's own hold.
    pub(super) fn own(&self) -> Option<&Hold> {
        self.held.as_ref().map(|held| &held.hold).filter(|hold| hold.release == self.release)
    }

    /// What comes about by itself while somebody waits; whether anything has.
    pub(super) fn come(&mut self) -> bool {
        let before = self.lines.len();
        self.free();
        let pending = self.world.instances.iter_mut().filter(|instance| instance.state == InstanceState::Pending);
        let booted = pending.map(|instance| instance.state = InstanceState::Running).count();
        if booted > 0 {
            let boot = if booted == 1 { "boots" } else { "boot" };
            self.assume(format!("{} {boot}", counted(booted, "instance")));
        }
        self.install();
        let targets = self.world.routing.iter_mut().flat_map(|routing| &mut routing.groups);
        let initial = targets.flat_map(|group| &mut group.targets).filter(|it| it.health == Health::Initial);
        let healthy = initial.map(|target| target.health = Health::Healthy).count();
        if healthy > 0 {
            let become_healthy = if healthy == 1 { "becomes" } else { "become" };
            self.assume(format!("{} {become_healthy} healthy", counted(healthy, "target")));
        }
        for group in self.world.routing.iter_mut().flat_map(|routing| &mut routing.groups) {
            group.targets.retain(|target| target.health != Health::Draining);
        }
        for instance in &mut self.world.instances {
            instance.state = match instance.state {
                InstanceState::ShuttingDown => InstanceState::Terminated,
                InstanceState::Stopping => InstanceState::Stopped,
                state => state,
            };
        }
        if let Some(called) = self.world.hook.as_mut().filter(|called| called.answer.is_none()) {
            called.answer = Some(HookAnswer::Succeeded);
            self.assume("the hook succeeds".to_owned());
        }
        self.lines.len() > before
    }

    fn install(&mut self) {
        let running = |instance: &&Instance| instance.state == InstanceState::Running;
        let fleet = self.world.fleet(&self.release).filter(running).map(|it| it.id.clone()).collect::<Vec<_>>();
        let deployment = self.world.deployment.as_mut().filter(|it| it.state == DeploymentState::Running);
        let Some(deployment) = deployment else { return };
        let said = format!("the build installs on {}", counted(fleet.len(), "instance"));
        deployment.state = DeploymentState::Succeeded;
        deployment.targets =
            fleet.into_iter().map(|instance| Installed { instance, succeeded: true, diagnostics: None }).collect();
        self.assume(said);
    }

    /// A step or a wait of the release has an end of its own that is known: nothing is decided before.
    pub(super) fn until(&self, then: Timestamp) -> Timestamp {
        let Some(hold) = self.own().filter(|_| self.action == Action::Shift) else { return then };
        let secs = |secs: u32| SignedDuration::from_secs(secs.into());
        let settings = &hold.settings;
        let known = match (hold.moved_at, hold.split.as_ref()) {
            (Some(moved), _) => Some(moved + secs(settings.timeouts.watch_secs)),
            (None, Some(split)) => split.since.and_then(|since| {
                let bake = settings.shift.steps.get(split.step)?.bake_secs;
                let once = since + secs(bake);
                Some(if once > self.now { once } else { once + secs(bake) })
            }),
            (None, None) => None,
        };
        known.map_or(then, |known| known.max(then))
    }

    /// What the balancer will have counted while the traffic was divided: no errors.
    pub(super) fn figures(&mut self) -> Figures {
        let figures = Figures { minute_secs: 60, counted: Vec::new() };
        let Some(since) = self.own().and_then(|hold| hold.split.as_ref()).and_then(|split| split.since) else {
            return figures;
        };
        let groups = self.world.routing.iter().flat_map(|routing| &routing.groups).map(|group| group.arn.clone());
        let groups: Vec<String> = groups.collect();
        let counts = Counts { requests: REQUESTS, c2xx: REQUESTS, ..Counts::default() };
        let minutes = since.as_second() / 60..self.now.as_second() / 60;
        let starts = minutes.filter_map(|minute| Timestamp::from_second(minute * 60).ok());
        let of = |start: Timestamp| {
            groups.iter().map(move |group| Counted { group: group.clone(), start, counts, latency: None })
        };
        let counted: Vec<Counted> = starts.flat_map(of).collect();
        if !counted.is_empty() && !self.compared {
            self.compared = true;
            self.assume("its errors are no more than its predecessor's".to_owned());
        }
        Figures { counted, ..figures }
    }
}
