//! A pipeline as CodePipeline shows it to people: what runs, what waits for an answer, and what has been.

use super::noun::{Action, ReleaseId};
use jiff::Timestamp;

/// A pipeline, its actions in the order in which they run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pipeline {
    /// Its name.
    pub name: String,
    /// Its stages.
    pub stages: Vec<Stage>,
}

/// A stage and the execution that entered it last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// Why no execution may enter it; none while they may.
    pub frozen: Option<Frozen>,
    /// The execution that entered it last.
    pub latest: Option<ReleaseId>,
    /// How that stands, in CodePipeline's word: `InProgress`, `Stopping`.
    pub status: String,
    /// Executions that wait before it, in the order in which they may enter.
    pub waiting: Vec<ReleaseId>,
    /// Its actions.
    pub actions: Vec<Act>,
}

/// A disabled transition into a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frozen {
    /// Why.
    pub reason: String,
    /// The ARN of who disabled it.
    pub by: Option<String>,
    /// Since when.
    pub since: Option<Timestamp>,
}

/// An action of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// Its name.
    pub name: String,
    /// What it does.
    pub does: Does,
    /// How it went last; it may have been another execution's.
    pub last: Option<Run>,
}

/// What an action of a pipeline does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Does {
    /// It fetches what was uploaded there.
    Fetch {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
    },
    /// It asks a person.
    Ask,
    /// It invokes a function for a service.
    Invoke {
        /// The service role, as UserParameters say it.
        service: String,
        /// The action; none if the parameters say one that tagship doesn't know.
        action: Option<Action>,
    },
    /// Something that isn't tagship's.
    Other,
}

/// How an action went, or goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Where it stands.
    pub status: RunStatus,
    /// Since when it has stood so.
    pub since: Option<Timestamp>,
    /// What it said of itself.
    pub summary: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
    /// What an answer to an open approval must carry.
    pub token: Option<String>,
    /// The ARN of the person who answered.
    pub by: Option<String>,
}

/// Where an action stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunStatus {
    /// It runs, or asks.
    Running,
    /// It succeeded, or was approved.
    Succeeded,
    /// It failed, or was rejected.
    Failed,
    /// It was abandoned by a stop.
    Abandoned,
}

/// An approval that waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval<'a> {
    /// The stage's name.
    pub stage: &'a str,
    /// The action's name.
    pub action: &'a str,
    /// The release that waits.
    pub release: &'a ReleaseId,
    /// Since when.
    pub since: Option<Timestamp>,
    /// What the answer must carry, so that it is an answer to this question and no later one.
    pub token: &'a str,
    /// The services that it concerns: whose action came before it, and whose comes after it.
    pub services: Vec<&'a str>,
    /// The action that an approval lets begin.
    pub begins: Option<Action>,
}

impl Stage {
    /// The approval that is open in this stage.
    pub fn approval(&self) -> Option<Approval<'_>> {
        let asks = |act: &&Act| act.does == Does::Ask;
        let open = |act: &Act| act.last.as_ref().is_some_and(|run| run.status == RunStatus::Running);
        let at = self.actions.iter().position(|act| asks(&act) && open(act))?;
        let run = self.actions[at].last.as_ref()?;
        let invoked = |act: &'_ Act| matches!(act.does, Does::Invoke { .. });
        let before = self.actions[..at].iter().rev().find(|act| invoked(act));
        let after = self.actions[at..].iter().find(|act| invoked(act));
        let service = |act: Option<&'_ Act>| match act.map(|act| &act.does) {
            Some(Does::Invoke { service, .. }) => Some(service.clone()),
            _ => None,
        };
        let concerned = [service(before), service(after)];
        let known = |name: &str| concerned.iter().flatten().any(|service| service == name);
        let mut services: Vec<&str> = Vec::new();
        for act in &self.actions {
            if let Does::Invoke { service, .. } = &act.does
                && known(service)
                && !services.contains(&service.as_str())
            {
                services.push(service);
            }
        }
        let begins = match after.map(|act| &act.does) {
            Some(Does::Invoke { action, .. }) => *action,
            _ => None,
        };
        Some(Approval {
            stage: &self.name,
            action: &self.actions[at].name,
            release: self.latest.as_ref()?,
            since: run.since,
            token: run.token.as_deref()?,
            services,
            begins,
        })
    }

    /// The action that runs, approvals left aside.
    pub fn running(&self) -> Option<&Act> {
        let running = |act: &&Act| act.last.as_ref().is_some_and(|run| run.status == RunStatus::Running);
        self.actions.iter().filter(|act| act.does != Does::Ask).find(running)
    }
}

impl Pipeline {
    /// The stage that invokes functions for the service.
    pub fn stage_of(&self, service: &str) -> Option<&Stage> {
        let for_it = |act: &Act| matches!(&act.does, Does::Invoke { service: of, .. } if of == service);
        self.stages.iter().find(|stage| stage.actions.iter().any(for_it))
    }

    /// Where builds are uploaded: the action's name, the bucket, the key.
    pub fn source(&self) -> Option<(&str, &str, &str)> {
        self.stages.iter().flat_map(|stage| &stage.actions).find_map(|act| match &act.does {
            Does::Fetch { bucket, key } => Some((act.name.as_str(), bucket.as_str(), key.as_str())),
            _ => None,
        })
    }
}

/// An execution of a pipeline, as the list of them has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastRelease {
    /// Its id.
    pub release: ReleaseId,
    /// CodePipeline's word: `Succeeded`, `Failed`, `Stopped`, `Superseded`, `InProgress`, `Stopping`.
    pub status: String,
    /// When it began.
    pub began: Timestamp,
    /// When it changed last.
    pub changed: Timestamp,
    /// The version of the object that was released.
    pub version: Option<String>,
    /// What the build says of itself: the object's `codepipeline-artifact-revision-summary`.
    pub build: Option<String>,
    /// Who or what started it: a person's ARN, a rule's.
    pub trigger: Option<String>,
    /// Why a person stopped it.
    pub stopped: Option<String>,
}

/// One run of an action in an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastRun {
    /// The execution.
    pub release: ReleaseId,
    /// The stage's name.
    pub stage: String,
    /// The action's name.
    pub action: String,
    /// What it did.
    pub does: Does,
    /// When it began.
    pub began: Timestamp,
    /// How it went; `since` is when it changed last.
    pub run: Run,
    /// What it said to those after it.
    pub outputs: Vec<(String, String)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn act(name: &str, does: Does, status: Option<RunStatus>) -> Act {
        let run =
            |status| Run { status, since: None, summary: None, error: None, token: Some("token".to_owned()), by: None };
        Act { name: name.to_owned(), does, last: status.map(run) }
    }

    fn invoke(service: &str, action: Action) -> Does {
        Does::Invoke { service: service.to_owned(), action: Some(action) }
    }

    /// A stage of a pre-product and its product, with the given approval open.
    fn stage(open: &str) -> Stage {
        let (pre, product) = ("WEB_PRE", "WEB_PRODUCT");
        let of = |name: &str| if name == open { RunStatus::Running } else { RunStatus::Succeeded };
        let all = [
            ("PreRoute", invoke(pre, Action::Shift)),
            ("PreApproval", Does::Ask),
            ("Provision", invoke(product, Action::Provision)),
            ("QaApproval", Does::Ask),
            ("Route", invoke(product, Action::Shift)),
            ("FinalApproval", Does::Ask),
            ("Cleanup", invoke(product, Action::Retire)),
            ("PrePark", invoke(pre, Action::Park)),
        ];
        Stage {
            name: "Release".to_owned(),
            latest: ReleaseId::try_from("r1".to_owned()).ok(),
            actions: all.into_iter().map(|(name, does)| act(name, does, Some(of(name)))).collect(),
            ..Stage::default()
        }
    }

    #[test]
    fn an_approval_concerns_the_services_beside_it() {
        for (open, expected) in [
            ("PreApproval", Some((vec!["WEB_PRE", "WEB_PRODUCT"], Some(Action::Provision)))),
            ("QaApproval", Some((vec!["WEB_PRODUCT"], Some(Action::Shift)))),
            ("FinalApproval", Some((vec!["WEB_PRODUCT"], Some(Action::Retire)))),
            ("Route", None),
        ] {
            let stage = stage(open);
            let approval = stage.approval();
            assert_eq!(approval.as_ref().map(|found| (found.services.clone(), found.begins)), expected, "{open}");
            assert_eq!(approval.map(|found| found.action), expected.map(|_| open));
            assert_eq!(stage.running().map(|act| act.name.as_str()), (open == "Route").then_some("Route"));
        }
    }

    #[test]
    fn a_service_s_stage_and_source_are_found() {
        let fetch = Does::Fetch { bucket: "releases".to_owned(), key: "release.zip".to_owned() };
        let source = Stage { name: "Source".to_owned(), actions: vec![act("Upload", fetch, None)], ..Stage::default() };
        let pipeline = Pipeline { name: "web".to_owned(), stages: vec![source, stage("QaApproval")] };
        assert_eq!(pipeline.stage_of("WEB_PRE").map(|stage| stage.name.as_str()), Some("Release"));
        assert_eq!(pipeline.stage_of("OTHER"), None);
        assert_eq!(pipeline.source(), Some(("Upload", "releases", "release.zip")));
    }
}
