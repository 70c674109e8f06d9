//! How a service's past releases went: by whom, how long in each stage, how they ended and why.

#[cfg(test)]
mod tests;

use crate::policy::route::NO_TRAFFIC;
use crate::{Action, Does, PastRelease, PastRun, ReleaseId, RunStatus};
use jiff::Timestamp;
use serde::Serialize;

/// A past release, or the one that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Its id.
    pub release: ReleaseId,
    /// When it began.
    pub began: Timestamp,
    /// Until its last change, in seconds.
    pub seconds: i64,
    /// The version of the object that was released.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What the build says of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, where it wasn't approved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Who answered its last approval: an ARN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The time in each action, in their order.
    pub actions: Vec<Spent>,
}

/// How a release ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It runs, or waits for a person.
    Running,
    /// It is, or was, live, and what it replaced was removed.
    Released,
    /// A person said no before it had traffic.
    RejectedBeforeTraffic,
    /// A person said no after it had traffic.
    RolledBack,
    /// A person stopped it.
    Stopped,
    /// A newer one took its place while it waited.
    Superseded,
    /// It failed before it had traffic.
    FailedBeforeTraffic,
    /// It failed after it had traffic.
    FailedAfterTraffic,
    /// It didn't end well, and stays live all the same: its marker says so, CodePipeline doesn't know.
    Kept,
}

impl Outcome {
    /// Whether the release may have had traffic.
    pub fn shifted(self) -> bool {
        matches!(self, Self::Released | Self::RolledBack | Self::Stopped | Self::FailedAfterTraffic | Self::Kept)
    }

    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Running => "under way",
            Self::Released => "released",
            Self::RejectedBeforeTraffic => "rejected before traffic",
            Self::RolledBack => "rejected after traffic",
            Self::Stopped => "stopped",
            Self::Superseded => "superseded",
            Self::FailedBeforeTraffic => "failed before traffic",
            Self::FailedAfterTraffic => "failed after traffic",
            Self::Kept => "kept live",
        }
    }
}

/// The time that an action took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Spent {
    /// The pipeline's name for it.
    pub action: String,
    /// In seconds; of one that runs, so far.
    pub seconds: i64,
}

/// The history of a service, the newest first, from the executions of its pipeline and their actions' runs. Of a pipeline
/// that releases several services, only the service's own actions count, and the approvals.
pub fn history(service: &str, executions: &[PastRelease], runs: &[PastRun], now: Timestamp) -> Vec<Entry> {
    executions.iter().map(|execution| entry(service, execution, runs, now)).collect()
}

fn entry(service: &str, execution: &PastRelease, runs: &[PastRun], now: Timestamp) -> Entry {
    let concerns = |run: &&PastRun| match &run.does {
        Does::Invoke { service: of, .. } => of == service,
        Does::Ask => true,
        Does::Fetch { .. } | Does::Other => false,
    };
    let mut own: Vec<&PastRun> = runs.iter().filter(|run| run.release == execution.release).filter(concerns).collect();
    own.sort_by_key(|run| run.began);
    let failed = own.iter().rev().find(|run| run.run.status == RunStatus::Failed);
    let answered = own.iter().rev().find(|run| run.does == Does::Ask && run.run.by.is_some());
    // The shift alone moves traffic; a failed one may have begun to.
    let shift = |run: &&&PastRun| matches!(run.does, Does::Invoke { action: Some(Action::Shift), .. });
    let had_traffic = own.iter().any(|run| shift(&run) && run.run.status == RunStatus::Succeeded);
    // Its words say so where it had moved nothing yet.
    let unmoved = |run: &PastRun| run.run.error.as_deref().is_some_and(|words| words.contains(NO_TRAFFIC));
    let failed_in_shift = failed.is_some_and(|run| shift(&run) && !unmoved(run));
    let outcome = match (execution.status.as_str(), failed) {
        ("Succeeded", _) => Outcome::Released,
        ("Stopped" | "Stopping" | "Cancelled", _) => Outcome::Stopped,
        ("Superseded", _) => Outcome::Superseded,
        ("Failed", Some(run)) if run.does == Does::Ask && had_traffic => Outcome::RolledBack,
        ("Failed", Some(run)) if run.does == Does::Ask => Outcome::RejectedBeforeTraffic,
        ("Failed", _) if had_traffic || failed_in_shift => Outcome::FailedAfterTraffic,
        ("Failed", _) => Outcome::FailedBeforeTraffic,
        _ => Outcome::Running,
    };
    let rejected = |run: &PastRun| match (&run.run.summary, &run.run.error) {
        (Some(words), _) | (None, Some(words)) if !words.trim().is_empty() => format!("{}: {words}", run.action),
        _ => format!("{} was answered no", run.action),
    };
    let why = match (outcome, failed) {
        (Outcome::Released | Outcome::Running, _) => None,
        (Outcome::Stopped, _) => execution.stopped.clone(),
        (_, Some(run)) if run.does == Does::Ask => Some(rejected(run)),
        (_, Some(run)) => {
            let words = run.run.error.as_deref().or(run.run.summary.as_deref()).unwrap_or("it gave no reason");
            Some(format!("{}: {words}", run.action))
        }
        (_, None) => None,
    };
    let over = |run: &PastRun| if run.run.status == RunStatus::Running { now } else { run.run.since.unwrap_or(now) };
    let end = if outcome == Outcome::Running { now } else { execution.changed };
    Entry {
        release: execution.release.clone(),
        began: execution.began,
        seconds: end.duration_since(execution.began).as_secs(),
        version: execution.version.clone(),
        build: execution.build.clone(),
        outcome,
        why,
        by: answered.and_then(|run| run.run.by.clone()),
        actions: own
            .iter()
            .map(|run| Spent { action: run.action.clone(), seconds: over(run).duration_since(run.began).as_secs() })
            .collect(),
    }
}
