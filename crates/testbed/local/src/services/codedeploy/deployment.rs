//! One deployment's life: its targets, their lifecycle events, and what their ends add up to. Pure.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::BTreeMap;

/// The lifecycle events of an in-place deployment without a load balancer, in order.
const EVENTS: [&str; 7] = [
    "ApplicationStop",
    "DownloadBundle",
    "BeforeInstall",
    "Install",
    "AfterInstall",
    "ApplicationStart",
    "ValidateService",
];

const UNHEALTHY: &str = "The overall deployment failed because too many individual instances failed deployment, \
    too few healthy instances are available for deployment, or some instances in your deployment group are experiencing problems.";
const NO_INSTANCES: &str = "The deployment failed because no instances were found for your deployment group. \
    Check your deployment group settings to make sure the tags for your Amazon EC2 instances or Auto Scaling groups \
    correctly identify the instances you want to deploy to, and then try again.";
const NO_AGENT: &str = "The deployment failed because of a problem with the CodeDeploy agent. Make sure the agent is \
    installed and running on all instances in this deployment group.";
const SILENT: &str = "CodeDeploy agent was not able to receive the lifecycle event. Check the CodeDeploy agent logs on \
    your host and make sure the agent is running and can connect to the CodeDeploy server.";
const STOPPED: &str = "The deployment was stopped.";

/// The state of a target or of one of its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Pending,
    InProgress,
    Succeeded,
    Failed,
    Skipped,
}

impl Phase {
    fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::InProgress)
    }
}

/// The state of a whole deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    InProgress,
    Succeeded,
    Failed,
    Stopped,
}

/// What an agent says of an event that it carried out.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
pub(crate) struct Diagnostics {
    /// 0 for success; the agent's own numbers.
    pub(crate) error_code: u8,
    pub(crate) script_name: String,
    pub(crate) message: String,
    /// The last 2 KB of the scripts' output.
    pub(crate) log: String,
}

pub(super) struct Event {
    pub(super) name: &'static str,
    pub(super) phase: Phase,
    pub(super) started: Option<Timestamp>,
    pub(super) ended: Option<Timestamp>,
    pub(super) diagnostics: Option<Diagnostics>,
}

pub(super) struct Target {
    pub(super) events: Vec<Event>,
    pub(super) phase: Phase,
    pub(super) updated: Timestamp,
    /// Failed because its agent said nothing.
    pub(super) silent: bool,
}

/// How long an agent may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// To fetch the next event.
    pub(super) pending: SignedDuration,
    /// To finish one.
    pub(super) running: SignedDuration,
}

/// One deployment to one group.
pub(super) struct Deployment {
    pub(super) id: String,
    pub(super) application: String,
    pub(super) group: String,
    pub(super) created: Timestamp,
    /// As CreateDeployment got it.
    pub(super) request: Value,
    pub(super) status: Status,
    pub(super) completed: Option<Timestamp>,
    pub(super) error: Option<(&'static str, &'static str)>,
    pub(super) targets: BTreeMap<String, Target>,
}

impl Deployment {
    pub(super) fn new(
        id: String,
        application: String,
        group: String,
        request: Value,
        instances: Vec<String>,
        now: Timestamp,
    ) -> Self {
        let pending = |name| Event { name, phase: Phase::Pending, started: None, ended: None, diagnostics: None };
        let target = || Target {
            events: EVENTS.into_iter().map(pending).collect(),
            phase: Phase::Pending,
            updated: now,
            silent: false,
        };
        let mut deployment = Self {
            id,
            application,
            group,
            created: now,
            request,
            status: Status::InProgress,
            completed: None,
            error: None,
            targets: instances.into_iter().map(|id| (id, target())).collect(),
        };
        if deployment.targets.is_empty() {
            deployment.end(Status::Failed, Some(("NO_INSTANCES", NO_INSTANCES)), now);
        }
        deployment
    }

    /// The instances' ids.
    pub(super) fn targets(&self) -> impl Iterator<Item = &str> {
        self.targets.keys().map(String::as_str)
    }

    /// The next event for an instance's agent, from now on in progress.
    pub(super) fn next_event(&mut self, instance: &str, now: Timestamp) -> Option<&'static str> {
        if self.status != Status::InProgress {
            return None;
        }
        let target = self.targets.get_mut(instance)?;
        if target.phase.is_final() {
            return None;
        }
        let event = target.events.iter_mut().find(|e| e.phase != Phase::Succeeded)?;
        if event.phase != Phase::Pending {
            return None;
        }
        event.phase = Phase::InProgress;
        event.started = Some(now);
        target.phase = Phase::InProgress;
        target.updated = now;
        Some(event.name)
    }

    /// Notes how an event in progress ended. What isn't in progress any more stays as it is.
    pub(super) fn complete(&mut self, instance: &str, event: &str, diagnostics: Diagnostics, now: Timestamp) {
        let Some(target) = self.targets.get_mut(instance) else {
            return;
        };
        let Some(event) = target.events.iter_mut().find(|e| e.name == event) else {
            return;
        };
        if event.phase != Phase::InProgress {
            return;
        }
        let ignored =
            event.name == "ApplicationStop" && self.request["ignoreApplicationStopFailures"] == Value::Bool(true);
        let failed = diagnostics.error_code != 0;
        event.phase = if failed { Phase::Failed } else { Phase::Succeeded };
        if failed && ignored {
            event.phase = Phase::Succeeded;
        }
        event.ended = Some(now);
        event.diagnostics = Some(diagnostics);
        target.updated = now;
        target.settle();
        self.settle(now);
    }

    /// Fails the targets whose agents have been silent for too long.
    pub(super) fn lose_patience(&mut self, patience: Patience, now: Timestamp) {
        if self.status != Status::InProgress {
            return;
        }
        for target in self.targets.values_mut() {
            if target.phase.is_final() {
                continue;
            }
            let Some(event) = target.events.iter_mut().find(|e| !e.phase.is_final()) else {
                continue;
            };
            let limit = match event.phase {
                Phase::InProgress => patience.running,
                _ => patience.pending,
            };
            if now.duration_since(target.updated) >= limit {
                event.phase = Phase::Failed;
                event.ended = Some(now);
                event.diagnostics = Some(Diagnostics {
                    error_code: 5,
                    script_name: String::new(),
                    message: SILENT.to_owned(),
                    log: String::new(),
                });
                target.updated = now;
                target.silent = true;
                target.settle();
            }
        }
        self.settle(now);
    }

    /// Every event of every target succeeds, as if agents had answered.
    pub(super) fn succeed(&mut self, now: Timestamp) {
        if self.status != Status::InProgress {
            return;
        }
        for target in self.targets.values_mut() {
            for event in &mut target.events {
                event.phase = Phase::Succeeded;
                event.started = event.started.or(Some(now));
                event.ended = Some(now);
            }
            target.updated = now;
            target.settle();
        }
        self.settle(now);
    }

    /// Ends it; an event in progress runs on, and nothing follows it.
    pub(super) fn stop(&mut self, now: Timestamp) {
        for target in self.targets.values_mut() {
            for event in &mut target.events {
                if event.phase == Phase::Pending {
                    event.phase = Phase::Skipped;
                }
            }
            target.settle();
        }
        self.end(Status::Stopped, Some(("MANUAL_STOP", STOPPED)), now);
    }

    /// AllAtOnce asks for no healthy instance: one that succeeded is enough.
    fn settle(&mut self, now: Timestamp) {
        let mut all = self.targets.values();
        if self.status != Status::InProgress || !all.all(|target| target.phase.is_final()) {
            return;
        }
        let mut all = self.targets.values();
        if all.any(|target| target.phase == Phase::Succeeded) {
            self.end(Status::Succeeded, None, now);
        } else if self.targets.values().all(|target| target.silent) {
            self.end(Status::Failed, Some(("AGENT_ISSUE", NO_AGENT)), now);
        } else {
            self.end(Status::Failed, Some(("HEALTH_CONSTRAINTS", UNHEALTHY)), now);
        }
    }

    fn end(&mut self, status: Status, error: Option<(&'static str, &'static str)>, now: Timestamp) {
        self.status = status;
        self.error = error;
        self.completed = Some(now);
    }
}

impl Target {
    /// One failed event fails the target and skips what would follow.
    fn settle(&mut self) {
        let has = |wanted| self.events.iter().any(|e| e.phase == wanted);
        if has(Phase::Failed) {
            self.phase = Phase::Failed;
            for event in &mut self.events {
                if event.phase == Phase::Pending {
                    event.phase = Phase::Skipped;
                }
            }
        } else if has(Phase::InProgress) || has(Phase::Pending) {
            // Not at its end yet.
        } else if has(Phase::Skipped) {
            self.phase = Phase::Skipped;
        } else {
            self.phase = Phase::Succeeded;
        }
    }
}
