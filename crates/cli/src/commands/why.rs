//! `why`: the story of a release, in order.

use crate::end::{End, Failure, told};
use crate::out::Out;
use crate::service::{Naming, named};
use crate::words::{moment, person};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::Write;
use tagship::{Build, Does, HowEnded, PastRun, ReleaseId, RunStatus, StageName};
use tagship_aws::{Account, Log};

/// Executions that a release is looked for in.
const LOOKED: i32 = 50;
/// After an action's end its function may write still: its report comes last.
const SLACK: SignedDuration = SignedDuration::from_secs(30);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Story {
    service: String,
    release: ReleaseId,
    #[serde(skip_serializing_if = "Option::is_none")]
    build: Option<Build>,
    status: String,
    lines: Vec<Line>,
    #[serde(skip_serializing_if = "Option::is_none")]
    diagnostics: Option<String>,
    left_behind: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unavailable: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Line {
    pub(crate) at: Timestamp,
    pub(crate) who: String,
    pub(crate) says: String,
}

pub(super) async fn run(account: &Account, out: &Out, name: &str, release: Option<String>) -> Result<End, Failure> {
    let service = named(account, name, Naming::Loose).await?;
    let role = service.role.as_str();
    let hold = account.hold(&service.role).await?;
    let pipeline = service.pipeline_name(hold.as_ref())?;
    let executions = account.executions(&pipeline, LOOKED).await?;
    let wanted = match &release {
        Some(named) => executions.iter().find(|past| past.release.as_str().starts_with(named.as_str())),
        None => executions.first(),
    };
    let Some(wanted) = wanted else {
        return Err(Failure::usage(format!(
            "pipeline {pipeline} knows no such release among its last {LOOKED}: `tagship history {role}` lists them"
        )));
    };
    let release = wanted.release.clone();
    let mut runs = account.runs(&pipeline, Some(&release), usize::MAX).await?;
    // What ends in the same second as the next begins is told first.
    runs.sort_by_key(|run| run.began);
    let mut lines: Vec<Line> = runs.iter().flat_map(|run| said(run, role)).collect();
    let own = hold.as_ref().filter(|hold| hold.release == release);
    let ended = account.ended(&service.role, &release).await;
    // Rollback and discard come after the execution's end.
    let to = match (own, &ended) {
        (Some(_), _) => Timestamp::now(),
        (None, Ok(Some(ended))) => ended.at.max(wanted.changed) + SLACK,
        (None, _) => wanted.changed + SLACK,
    };
    let mut unavailable = Vec::new();
    for stage in stages(&runs, role) {
        match account.logs(stage, &release, (wanted.began, to)).await {
            Ok(logs) => {
                let decisions = logs.iter().filter_map(|log| Some((log.at, decided(log, role)?)));
                lines.extend(decisions.map(|(at, says)| Line { at, who: format!("  {stage}"), says }));
            }
            Err(error) => unavailable.push(told(&error)),
        }
    }
    lines.sort_by_key(|line| line.at);
    let diagnostics = match own {
        Some(hold) => account.deployment(hold).await.ok().flatten().and_then(|deployment| deployment.error),
        None => None,
    };
    let left_behind = match (own, ended) {
        (Some(_), _) => format!("it holds {role} still"),
        (None, Ok(Some(ended))) => match ended.how {
            HowEnded::Approved => "nothing: it is, or was, live, and what it replaced is gone".to_owned(),
            HowEnded::Discarded => "nothing: it is gone".to_owned(),
            HowEnded::Parked => "nothing: it and its environment are gone".to_owned(),
            HowEnded::Kept => {
                "it is still live: the release before it could not serve, or switches were moved away from it after its approval"
                    .to_owned()
            }
        },
        (None, Ok(None)) => "nothing: it never held the service, or has not begun to".to_owned(),
        (None, Err(error)) => format!("unknown: {}", told(&error)),
    };
    let story = Story {
        service: role.to_owned(),
        release,
        // As provision reads it, once the release is in its stage.
        build: wanted.build.as_deref().and_then(Build::of),
        status: wanted.status.clone(),
        lines,
        diagnostics,
        left_behind,
        unavailable,
    };
    out.show(&story, || text(&story))?;
    Ok(if story.status == "Failed" { End::Found } else { End::Fine })
}

/// What a function decided for the service, and why; none if the line says something else.
pub(crate) fn decided(log: &Log, role: &str) -> Option<String> {
    let says = log.line["message"].as_str().filter(|_| log.line["span"]["service"] == role)?;
    let decided = ["do: ", "wait: ", "fail: "].iter().any(|word| says.starts_with(word));
    let why = log.line["why"].as_str().filter(|why| !why.is_empty());
    let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
    decided.then(|| format!("{says}{why}"))
}

/// The functions that acted for the service.
fn stages(runs: &[PastRun], role: &str) -> Vec<StageName> {
    let acted: BTreeSet<&str> = runs
        .iter()
        .filter_map(|run| match &run.does {
            Does::Invoke { service, action: Some(action) } if service == role => Some(action.stage().as_str()),
            _ => None,
        })
        .collect();
    // What a rule invoked after the end has no run: rollback and discard.
    let all = StageName::ALL.into_iter();
    all.filter(|stage| {
        acted.contains(stage.as_str()) || (!acted.is_empty() && matches!(stage, StageName::Route | StageName::Cleanup))
    })
    .collect()
}

/// What an action said of itself at its beginning and its end.
fn said(run: &PastRun, role: &str) -> Vec<Line> {
    let other = |does: &Does| matches!(does, Does::Invoke { service, .. } if service != role);
    if other(&run.does) {
        return Vec::new();
    }
    let begins = if run.does == Does::Ask { "asks" } else { "begins" };
    let mut lines = vec![Line { at: run.began, who: run.action.clone(), says: begins.to_owned() }];
    let by = run.run.by.as_deref().map(|by| format!(" by {}", person(by))).unwrap_or_default();
    let ended = match (run.run.status, run.does == Does::Ask) {
        (RunStatus::Running, _) => None,
        (RunStatus::Succeeded, true) => Some(format!("approved{by}")),
        (RunStatus::Failed, true) => Some(format!("rejected{by}")),
        (RunStatus::Succeeded, false) => Some("done".to_owned()),
        (RunStatus::Failed, false) => Some("failed".to_owned()),
        (RunStatus::Abandoned, _) => Some("abandoned".to_owned()),
    };
    let words = run.run.error.as_ref().or(run.run.summary.as_ref());
    let says = match (ended, words) {
        (Some(ended), Some(words)) => format!("{ended}: {words}"),
        (Some(ended), None) => ended,
        (None, Some(words)) => words.clone(),
        (None, None) => return lines,
    };
    lines.push(Line { at: run.run.since.unwrap_or(run.began), who: run.action.clone(), says });
    lines
}

fn text(story: &Story) -> String {
    let called = tagship::called(story.build.as_ref(), story.release.as_str());
    let mut text = format!("Release {called} of {}: {}\n\n", story.service, story.status);
    let today = story.lines.last().map_or_else(Timestamp::now, |line| line.at);
    let width = story.lines.iter().map(|line| line.who.chars().count()).max().unwrap_or_default();
    for line in &story.lines {
        let _ = writeln!(text, "{}  {:width$}  {}", moment(line.at, today), line.who, line.says);
    }
    if let Some(diagnostics) = &story.diagnostics {
        let _ = write!(text, "\nCodeDeploy says:\n{diagnostics}\n");
    }
    let _ = write!(text, "\nLeft behind: {}\n", story.left_behind);
    for lacks in &story.unavailable {
        let _ = write!(text, "\nnot shown: {lacks}\n");
    }
    text
}
