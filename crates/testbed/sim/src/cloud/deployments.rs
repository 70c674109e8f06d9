//! CodeDeploy in virtual time: crates/testbed/emulator's account of a deployment, and the agents that carry it out.

use super::{Build, Cloud, Turn};
use crate::apply::conflict;
use crate::past::{HOUR, MINUTE, Ms, Past, timestamp};
use jiff::SignedDuration;
use tagship::{DeploymentState, Error, InstanceState, ReleaseId, ServiceRole};
use tagship_emulator::deployment::{self, Patience, Phase};

/// A deployment.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// The service that its group belongs to.
    pub service: ServiceRole,
    /// From its description.
    pub release: ReleaseId,
    /// When it was created.
    pub created: Ms,
    /// CodeDeploy's own account of it, with every instance's lifecycle events.
    pub machine: deployment::Deployment,
    /// How far, as a describe knows.
    pub state: Past<DeploymentState>,
}

impl Deployment {
    /// Of this account of it.
    pub fn new(service: ServiceRole, release: ReleaseId, machine: deployment::Deployment, now: Ms) -> Self {
        let state = Past::new(now, far(machine.status));
        Self { service, release, created: now, machine, state }
    }

    /// Lets something happen to it.
    pub fn alter(&mut self, now: Ms, change: impl FnOnce(&mut deployment::Deployment)) {
        change(&mut self.machine);
        let state = far(self.machine.status);
        if *self.state.now() != state {
            self.state.set(now, state);
        }
    }
}

fn far(status: deployment::Status) -> DeploymentState {
    match status {
        deployment::Status::InProgress => DeploymentState::Running,
        deployment::Status::Succeeded => DeploymentState::Succeeded,
        deployment::Status::Failed => DeploymentState::Failed,
        deployment::Status::Stopped => DeploymentState::Stopped,
    }
}

impl Cloud {
    /// CreateDeployment: to the instances that the group's filter finds running now.
    pub(crate) fn deploy(&mut self, role: &ServiceRole, release: &ReleaseId) -> Result<(), Error> {
        let running = |found: &&Deployment| found.service == *role && *found.state.now() == DeploymentState::Running;
        if let Some(other) = self.deployments.values().find(running) {
            return Err(conflict("DeploymentLimitExceededException", other.release.short()));
        }
        let filter = self.filters.get(role).cloned();
        let targets: Vec<String> = self
            .instances
            .iter()
            .filter(|(_, instance)| {
                let face = instance.face.now();
                face.state == InstanceState::Running && face.service.as_ref() == Some(role) && face.release == filter
            })
            .map(|(id, _)| id.clone())
            .collect();
        let id = format!("d-{}", self.serial());
        for target in &targets {
            self.later((0, self.nature.install.0), Turn::Fetched(id.clone(), target.clone()));
            self.later(self.nature.install, Turn::Installed(id.clone(), target.clone()));
        }
        // An agent that has begun may fall silent as late as its install's end.
        for silent in [5 * MINUTE, HOUR, HOUR + self.nature.install.1] {
            self.later((silent, silent), Turn::Patience(id.clone()));
        }
        let machine = deployment::Deployment::new(targets, false, timestamp(self.now));
        let deployment = Deployment::new(role.clone(), release.clone(), machine, self.now);
        self.deployments.insert(id, deployment);
        Ok(())
    }

    /// StopDeployment.
    pub(crate) fn stop_deployment(&mut self, id: &str) -> Result<(), Error> {
        let now = self.now;
        let Some(found) = self.deployments.get_mut(id) else {
            return Err(conflict("DeploymentDoesNotExistException", id));
        };
        if *found.state.now() != DeploymentState::Running {
            return Err(conflict("DeploymentAlreadyCompletedException", id));
        }
        found.alter(now, |machine| machine.stop(timestamp(now)));
        Ok(())
    }

    /// The agent of an instance fetches the first event, unless there is no agent or no instance.
    pub(super) fn fetched(&mut self, deployment: &str, id: &str) {
        let now = self.now;
        let up = self.instances.get(id).is_some_and(|i| i.face.now().state == InstanceState::Running);
        let Some(found) = self.deployments.get_mut(deployment).filter(|_| up) else { return };
        if self.builds.get(&found.release) == Some(&Build::NoAgent) {
            return;
        }
        found.alter(now, |machine| {
            machine.next_event(id, timestamp(now));
        });
    }

    /// The agent goes through the events, up to where the build lets it.
    pub(super) fn installed(&mut self, deployment: &str, id: &str) {
        let now = self.now;
        let up = self.instances.get(id).is_some_and(|i| i.face.now().state == InstanceState::Running);
        let Some(found) = self.deployments.get_mut(deployment).filter(|_| up) else { return };
        let release = found.release.clone();
        let build = self.builds.get(&release).copied().unwrap_or_default();
        let first = found.machine.targets.keys().next().is_some_and(|first| first == id);
        let mut succeeded = false;
        found.alter(now, |machine| {
            let at_hand = |machine: &deployment::Deployment| {
                let events = &machine.targets.get(id)?.events;
                events.iter().find(|event| event.phase == Phase::InProgress).map(|event| event.name)
            };
            while let Some(event) = at_hand(machine) {
                let fails = match build {
                    Build::Hangs if event == "AfterInstall" => return,
                    Build::Missing => event == "DownloadBundle",
                    Build::FailsOnOne => first && event == "AfterInstall",
                    _ => false,
                };
                machine.complete(id, event, said(fails), timestamp(now));
                machine.next_event(id, timestamp(now));
            }
            succeeded = machine.targets.get(id).is_some_and(|target| target.phase == Phase::Succeeded);
        });
        if succeeded {
            if let Some(instance) = self.instances.get_mut(id) {
                instance.app = Some(release);
            }
            self.probe(id);
        }
    }

    /// CodeDeploy's own limits: five minutes to take an event up, an hour to end it.
    pub(super) fn patience(&mut self, deployment: &str) {
        let now = self.now;
        let patience = Patience { pending: SignedDuration::from_mins(5), running: SignedDuration::from_hours(1) };
        if let Some(found) = self.deployments.get_mut(deployment) {
            found.alter(now, |machine| machine.lose_patience(patience, timestamp(now)));
        }
    }
}

/// What an agent says of a script's end.
fn said(fails: bool) -> deployment::Diagnostics {
    let (error_code, message) = if fails { (4, "AfterInstall: exit code 1") } else { (0, "") };
    deployment::Diagnostics { error_code, script_name: String::new(), message: message.to_owned(), log: String::new() }
}
