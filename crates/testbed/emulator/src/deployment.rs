//! CodeDeploy's in-place deployment: its targets, their lifecycle events, and what their ends add up to.

use jiff::{SignedDuration, Timestamp};
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
#[allow(missing_docs, reason = "the words are AWS's")]
pub enum Phase {
    Pending,
    InProgress,
    Succeeded,
    Failed,
    Skipped,
}

impl Phase {
    /// AWS's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::InProgress => "InProgress",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Skipped => "Skipped",
        }
    }

    fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::InProgress)
    }
}

/// The state of a whole deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words are AWS's")]
pub enum Status {
    InProgress,
    Succeeded,
    Failed,
    Stopped,
}

impl Status {
    /// AWS's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "InProgress",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Stopped => "Stopped",
        }
    }
}

/// What an agent says of an event that it carried out.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
pub struct Diagnostics {
    /// 0 for success; the agent's own numbers.
    pub error_code: u8,
    /// The script's path in the revision.
    pub script_name: String,
    /// What happened.
    pub message: String,
    /// The last 2 KB of the scripts' output.
    pub log: String,
}

/// One lifecycle event of one target.
#[derive(Clone, Debug)]
pub struct Event {
    /// AWS's name.
    pub name: &'static str,
    /// How it stands.
    pub phase: Phase,
    /// When its agent fetched it.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// What its agent said at its end.
    pub diagnostics: Option<Diagnostics>,
}

/// One instance that is deployed to.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its lifecycle events, in order.
    pub events: Vec<Event>,
    /// How it stands.
    pub phase: Phase,
    /// When anything of it last changed.
    pub updated: Timestamp,
    /// Failed because its agent said nothing.
    pub silent: bool,
}

/// How long an agent may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// To fetch the next event.
    pub pending: SignedDuration,
    /// To finish one.
    pub running: SignedDuration,
}

/// One deployment, to all of its instances at once.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// When it was created.
    pub created: Timestamp,
    /// How it stands.
    pub status: Status,
    /// When it ended.
    pub completed: Option<Timestamp>,
    /// Why it ended without success: AWS's code and message.
    pub error: Option<(&'static str, &'static str)>,
    /// Its instances, by id.
    pub targets: BTreeMap<String, Target>,
    ignores_stop_failures: bool,
}

impl Deployment {
    /// A deployment to `instances`, which fails at once if there are none. `ignores_stop_failures`: a failed
    /// ApplicationStop counts as success.
    pub fn new(instances: Vec<String>, ignores_stop_failures: bool, now: Timestamp) -> Self {
        let pending = |name| Event { name, phase: Phase::Pending, started: None, ended: None, diagnostics: None };
        let target = || Target {
            events: EVENTS.into_iter().map(pending).collect(),
            phase: Phase::Pending,
            updated: now,
            silent: false,
        };
        let mut deployment = Self {
            created: now,
            status: Status::InProgress,
            completed: None,
            error: None,
            targets: instances.into_iter().map(|id| (id, target())).collect(),
            ignores_stop_failures,
        };
        if deployment.targets.is_empty() {
            deployment.end(Status::Failed, Some(("NO_INSTANCES", NO_INSTANCES)), now);
        }
        deployment
    }

    /// The next event for an instance's agent, from now on in progress.
    pub fn next_event(&mut self, instance: &str, now: Timestamp) -> Option<&'static str> {
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
    pub fn complete(&mut self, instance: &str, event: &str, diagnostics: Diagnostics, now: Timestamp) {
        let Some(target) = self.targets.get_mut(instance) else {
            return;
        };
        let Some(event) = target.events.iter_mut().find(|e| e.name == event) else {
            return;
        };
        if event.phase != Phase::InProgress {
            return;
        }
        let ignored = event.name == "ApplicationStop" && self.ignores_stop_failures;
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
    pub fn lose_patience(&mut self, patience: Patience, now: Timestamp) {
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
    pub fn succeed(&mut self, now: Timestamp) {
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
    pub fn stop(&mut self, now: Timestamp) {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a deployment to `i-1` and `i-2`: a word each for what happens, one second apart, then status,
    /// error and phases. `next i-1` fetches an event, `ok i-1` and `bad i-1` end the one at hand, `all i-1` every one.
    #[track_caller]
    fn check(ignores_stop_failures: bool, story: &[&str], expected: &str) {
        let mut now = Timestamp::UNIX_EPOCH;
        let instances = vec!["i-1".to_owned(), "i-2".to_owned()];
        let mut deployment = Deployment::new(instances, ignores_stop_failures, now);
        let patience = Patience { pending: SignedDuration::from_mins(5), running: SignedDuration::from_hours(1) };
        let told = |error_code| Diagnostics {
            error_code,
            script_name: String::new(),
            message: String::new(),
            log: String::new(),
        };
        let mut at_hand = BTreeMap::new();
        for line in story {
            now += SignedDuration::from_secs(1);
            let (what, id) = line.split_once(' ').unwrap_or((line, ""));
            match what {
                "next" => {
                    at_hand.insert(id, deployment.next_event(id, now).expect(line));
                }
                "none" => assert_eq!(deployment.next_event(id, now), None, "{line}"),
                "ok" => deployment.complete(id, at_hand[id], told(0), now),
                "bad" => deployment.complete(id, at_hand[id], told(4), now),
                "all" => {
                    while let Some(event) = deployment.next_event(id, now) {
                        deployment.complete(id, event, told(0), now);
                    }
                }
                "wait" => {
                    now += SignedDuration::from_secs(id.parse().expect(line));
                    deployment.lose_patience(patience, now);
                }
                "stop" => deployment.stop(now),
                other => panic!("{other}"),
            }
        }
        let phases: Vec<_> = deployment.targets.values().map(|target| target.phase.as_str()).collect();
        let error = deployment.error.map_or("none", |(code, _)| code);
        assert_eq!(format!("{} {error} {}", deployment.status.as_str(), phases.join(" ")), expected, "{story:?}");
    }

    #[test]
    fn one_instance_is_enough() {
        check(false, &["all i-1", "none i-1"], "InProgress none Succeeded Pending");
        check(false, &["all i-1", "all i-2"], "Succeeded none Succeeded Succeeded");
        check(false, &["all i-1", "next i-2", "none i-2", "bad i-2"], "Succeeded none Succeeded Failed");
        let both = ["next i-1", "bad i-1", "none i-1", "next i-2", "ok i-2", "next i-2", "bad i-2"];
        check(false, &both, "Failed HEALTH_CONSTRAINTS Failed Failed");
        check(true, &["next i-1", "bad i-1", "all i-1", "all i-2"], "Succeeded none Succeeded Succeeded");
    }

    #[test]
    fn silence_fails_a_target_after_its_time() {
        check(false, &["wait 298"], "InProgress none Pending Pending");
        check(false, &["wait 300"], "Failed AGENT_ISSUE Failed Failed");
        check(false, &["all i-1", "wait 300"], "Succeeded none Succeeded Failed");
        check(false, &["next i-1", "wait 3598"], "InProgress none InProgress Failed");
        check(false, &["next i-1", "wait 3599"], "Failed AGENT_ISSUE Failed Failed");
    }

    #[test]
    fn a_stop_lets_what_runs_end() {
        check(false, &["next i-1", "stop"], "Stopped MANUAL_STOP InProgress Skipped");
        check(false, &["next i-1", "stop", "ok i-1", "none i-1"], "Stopped MANUAL_STOP Skipped Skipped");
    }

    #[test]
    fn without_instances_it_fails_at_once() {
        let deployment = Deployment::new(Vec::new(), false, Timestamp::UNIX_EPOCH);
        assert_eq!((deployment.status, deployment.error), (Status::Failed, Some(("NO_INSTANCES", NO_INSTANCES))));
    }
}
