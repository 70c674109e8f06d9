//! A pipeline's actions as a row, each with how it stands with the release that entered its stage last.

use crate::{Does, Pipeline, ReleaseId, RunStatus};
use jiff::Timestamp;
use serde::Serialize;

/// An action of the pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// The pipeline's name for it.
    pub action: String,
    /// What it does: `source`, `approval`, an action of tagship, `other`.
    pub does: String,
    /// The service that it is for; none if it is for all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The release that entered its stage last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseId>,
    /// How it stands with that release.
    pub state: Standing,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// What it said of itself, or why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub says: Option<String>,
    /// Who answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// How an action stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Others come before it.
    Ahead,
    /// It never came to it.
    NotReached,
    /// It runs.
    Running,
    /// It waits for a person's answer.
    Asks,
    /// It is done.
    Done,
    /// It was approved.
    Approved,
    /// It failed.
    Failed,
    /// It was rejected.
    Rejected,
    /// It was abandoned by a stop.
    Abandoned,
}

/// The actions in the order in which they run.
pub(super) fn row(pipeline: &Pipeline) -> Vec<Place> {
    let mut row = Vec::new();
    for stage in &pipeline.stages {
        let going = ["InProgress", "Stopping"].contains(&stage.status.as_str());
        let before = if going { Standing::Ahead } else { Standing::NotReached };
        // CodePipeline keeps what an action did for an earlier release until it is reached again: that is older than
        // what came before it.
        let (mut newest, mut reached) = (None, true);
        for act in &stage.actions {
            let run = act.last.as_ref().filter(|run| reached && run.since.is_none_or(|at| Some(at) >= newest));
            let asks = act.does == Does::Ask;
            let state = run.map_or(before, |run| match run.status {
                RunStatus::Running if asks => Standing::Asks,
                RunStatus::Running => Standing::Running,
                RunStatus::Succeeded if asks => Standing::Approved,
                RunStatus::Succeeded => Standing::Done,
                RunStatus::Failed if asks => Standing::Rejected,
                RunStatus::Failed => Standing::Failed,
                RunStatus::Abandoned => Standing::Abandoned,
            });
            newest = run.and_then(|run| run.since).max(newest);
            reached = matches!(state, Standing::Done | Standing::Approved);
            let (does, service) = match &act.does {
                Does::Fetch { .. } => ("source", None),
                Does::Ask => ("approval", None),
                Does::Invoke { service, action } => (action.map_or("other", |it| it.as_str()), Some(service.clone())),
                Does::Other => ("other", None),
            };
            row.push(Place {
                action: act.name.clone(),
                does: does.to_owned(),
                service,
                release: stage.latest.clone(),
                state,
                since: run.and_then(|run| run.since),
                says: run.and_then(|run| run.error.clone().or_else(|| run.summary.clone())).filter(|it| !it.is_empty()),
                by: run.and_then(|run| run.by.clone()),
            });
        }
    }
    row
}

#[cfg(test)]
mod tests {
    use super::Standing::{Abandoned, Ahead, Approved, Asks, Done, Failed, NotReached, Rejected, Running};
    use super::*;
    use crate::testing::{at, release};
    use crate::{Act, Action, Run, Stage};

    /// A stage of three actions, each with how it went last and when.
    fn check(what: &str, status: &str, runs: [Option<(RunStatus, i64)>; 3], expected: [Standing; 3]) {
        let invoke = |action| Does::Invoke { service: "WEB".to_owned(), action: Some(action) };
        let all = [("Deploy", invoke(Action::Deploy)), ("QaApproval", Does::Ask), ("Route", invoke(Action::Shift))];
        let run = |(status, second)| Run {
            status,
            since: Some(at(second)),
            summary: None,
            error: None,
            token: None,
            by: None,
        };
        let acts = all.into_iter().zip(runs);
        let acts = acts.map(|((name, does), last)| Act { name: name.to_owned(), does, last: last.map(run) });
        let stage =
            Stage { latest: Some(release(2)), status: status.to_owned(), actions: acts.collect(), ..Stage::default() };
        let row = row(&Pipeline { name: "web".to_owned(), stages: vec![stage] });
        assert_eq!(row.iter().map(|place| place.state).collect::<Vec<_>>(), expected, "{what}");
    }

    #[test]
    fn what_an_earlier_release_did_is_not_this_one_s() {
        use RunStatus as Was;
        let done = |at| Some((Was::Succeeded, at));
        for (what, status, runs, expected) in [
            ("new", "InProgress", [Some((Was::Running, 1)), None, None], [Running, Ahead, Ahead]),
            ("again", "InProgress", [Some((Was::Running, 9)), done(5), done(6)], [Running, Ahead, Ahead]),
            ("asks", "InProgress", [done(9), Some((Was::Running, 10)), done(6)], [Done, Asks, Ahead]),
            ("between", "InProgress", [done(9), done(5), done(6)], [Done, Ahead, Ahead]),
            ("rejected", "Failed", [done(9), Some((Was::Failed, 10)), done(6)], [Done, Rejected, NotReached]),
            ("failed", "Failed", [Some((Was::Failed, 9)), done(5), done(6)], [Failed, NotReached, NotReached]),
            ("left", "Stopped", [done(9), done(10), Some((Was::Abandoned, 11))], [Done, Approved, Abandoned]),
            ("through", "Succeeded", [done(9), done(10), done(11)], [Done, Approved, Done]),
            ("nothing yet", "", [None, None, None], [NotReached, NotReached, NotReached]),
        ] {
            check(what, status, runs, expected);
        }
    }
}
