//! What is said of a stage's end: to CodePipeline, to EventBridge, to the people on call.

mod next;
mod people;

use crate::bounded;
use crate::{Action, Done, Ending, Error, Job, Outcome, Refused, ReleaseId, Report, ServiceRole, StageName};
use jiff::Timestamp;
use next::{after_failure, after_success};
use serde::Serialize;
use serde_json::{Value, json};

/// The source of tagship's events.
pub const SOURCE: &str = "tagship";

/// EventBridge takes 256 KB an entry, source and detail-type included; SNS as much a message.
const MAX_DETAIL_BYTES: usize = 250_000;
/// CodePipeline's limit of a failure's message, in characters.
const MAX_MESSAGE: usize = 5_000;
/// CodePipeline's limit of an execution's summary, in characters.
const MAX_SUMMARY: usize = 2_048;
/// Our limit of an output variable, in characters: several of them fit into the text of an approval.
const MAX_VARIABLE: usize = 200;

/// A failure's message as CodePipeline takes it.
pub fn failure_message(error: &Error) -> String {
    bounded(never_empty(&error.message, "no reason was given: look at the function's log"), MAX_MESSAGE)
}

/// A success's or a wait's summary as CodePipeline takes it.
pub fn summary(message: &str) -> String {
    bounded(never_empty(message, "done"), MAX_SUMMARY)
}

/// A success's output variables as CodePipeline takes them.
pub fn variables(done: &Done) -> Vec<(&'static str, String)> {
    done.outputs.iter().map(|(name, value)| (*name, bounded(never_empty(value, "none"), MAX_VARIABLE))).collect()
}

/// The answer to a direct invocation.
pub fn answer(done: &Done) -> Value {
    let outputs: serde_json::Map<_, _> =
        variables(done).into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    json!({ "outcome": if done.nothing { "nothing" } else { "done" }, "message": done.message, "outputs": outputs })
}

fn never_empty<'a>(text: &'a str, otherwise: &'a str) -> &'a str {
    if text.trim().is_empty() { otherwise } else { text }
}

/// How a stage ended, for an event or a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Headline {
    /// The stage did what it was asked for.
    Succeeded,
    /// The stage failed.
    Failed,
    /// The previous release serves again.
    RolledBack,
    /// Nothing could be restored: the rejected release stays live.
    Kept,
    /// An alarm rings, and the release keeps its traffic: people decide.
    Rings,
    /// Instances of the live fleet don't run any more.
    Degraded,
    /// A release whose end nobody handled was found.
    Abandoned,
}

impl Headline {
    /// The event's detail-type.
    pub fn detail_type(self) -> &'static str {
        match self {
            Headline::Succeeded => "Stage Succeeded",
            Headline::Failed => "Stage Failed",
            Headline::RolledBack => "Release Rolled Back",
            Headline::Kept => "Release Kept",
            Headline::Rings => "Alarm Rings",
            Headline::Degraded => "Fleet Degraded",
            Headline::Abandoned => "Release Abandoned",
        }
    }
}

/// One event: serialised, with its subject, it is the event's detail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// How it ended.
    #[serde(skip)]
    pub headline: Headline,
    /// The service role; empty where it couldn't be read.
    pub service: String,
    /// The release; empty where it couldn't be read.
    pub release: String,
    /// The pipeline; empty where it isn't known.
    pub pipeline: String,
    /// The function.
    pub stage: &'static str,
    /// The action; of an abandoned release, what is to be done with it.
    pub action: &'static str,
    /// What happened.
    pub message: String,
    /// Since the action began, continuations included.
    pub elapsed_seconds: i64,
    /// What it was done with.
    #[serde(flatten)]
    pub report: Report,
    /// Why, in a word or two, where it didn't just succeed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What to do next.
    next: String,
}

impl Notice {
    /// Of a stage's end; none while it waits.
    pub fn of(job: &Job, outcome: &Outcome, began: Timestamp, now: Timestamp) -> Option<Self> {
        let (headline, message, report, reason, next) = match outcome {
            Outcome::Waiting(_) => return None,
            Outcome::Done(done) => {
                let headline = match done.report.ending {
                    Ending::Succeeded => Headline::Succeeded,
                    Ending::RolledBack => Headline::RolledBack,
                    Ending::Kept => Headline::Kept,
                    Ending::Rings => Headline::Rings,
                    Ending::Degraded => Headline::Degraded,
                };
                let next = after_success(headline, job.action, &job.pipeline);
                (headline, bounded(&done.message, MAX_MESSAGE), done.report.clone(), None, next)
            }
            Outcome::Failed(error) => {
                let next = after_failure(error.kind, job.action.stage(), Some(job.action));
                let report = (*error.report).clone();
                (Headline::Failed, failure_message(error), report, Some(reason(error)), next)
            }
        };
        Some(Self {
            headline,
            service: job.role.to_string(),
            release: job.release.to_string(),
            pipeline: job.pipeline.clone(),
            stage: job.action.stage().as_str(),
            action: job.action.as_str(),
            message,
            elapsed_seconds: now.duration_since(began).as_secs().max(0),
            report,
            reason,
            next,
        })
    }

    /// Of parameters that couldn't be acted on.
    pub fn refused(stage: StageName, refused: &Refused) -> Self {
        Self {
            headline: Headline::Failed,
            service: refused.role.as_ref().map(ToString::to_string).unwrap_or_default(),
            release: refused.release.as_ref().map(ToString::to_string).unwrap_or_default(),
            pipeline: refused.pipeline.clone().unwrap_or_default(),
            stage: stage.as_str(),
            action: refused.action.map(Action::as_str).unwrap_or_default(),
            message: failure_message(&refused.error),
            elapsed_seconds: 0,
            report: Report::default(),
            reason: Some(reason(&refused.error)),
            next: after_failure(refused.error.kind, stage, refused.action),
        }
    }

    /// Of a release whose end nobody handled: infra/ turns this event into `action` (a discard after a rollback).
    pub fn abandoned(role: &ServiceRole, release: &ReleaseId, pipeline: &str, action: Action, reason: &str) -> Self {
        Self {
            headline: Headline::Abandoned,
            service: role.to_string(),
            release: release.to_string(),
            pipeline: pipeline.to_owned(),
            stage: action.stage().as_str(),
            action: action.as_str(),
            message: format!("release {release} of {role} holds the service, but {reason}: {action} follows"),
            elapsed_seconds: 0,
            report: Report::default(),
            reason: Some(bounded(reason, MAX_VARIABLE)),
            next: "Nothing: tagship cleans up. If you get this message again for the same release, look at the log of cleanup."
                .to_owned(),
        }
    }

    /// The event's detail, JSON: lists that would make it too long for EventBridge end in `+995`, and no text has
    /// anything that a rule's template couldn't quote.
    pub fn detail(&self) -> String {
        let mut shown = [&self.report.instances, &self.report.names, &self.report.left_behind]
            .map(Vec::len)
            .into_iter()
            .chain([self.report.weights.len()])
            .max()
            .unwrap_or_default();
        loop {
            let mut notice = self.clone();
            for text in
                [&mut notice.pipeline, &mut notice.message, &mut notice.next].into_iter().chain(&mut notice.reason)
            {
                *text = quotable(text);
            }
            for list in [&mut notice.report.instances, &mut notice.report.names, &mut notice.report.left_behind] {
                cut(list, shown);
            }
            notice.report.weights = notice.report.weights.into_iter().take(shown).collect();
            let mut detail = json!(notice);
            detail["subject"] = quotable(&self.subject()).into();
            let detail = detail.to_string();
            if detail.len() <= MAX_DETAIL_BYTES || shown == 0 {
                return detail;
            }
            shown /= 2;
        }
    }
}

/// An input transformer puts values into its template unescaped: what would end the quotes there makes the whole
/// target's input invalid, and nobody is told.
fn quotable(text: &str) -> String {
    let plain = |c: char| match c {
        '"' => '\'',
        '\\' => '/',
        c if c.is_control() => ' ',
        c => c,
    };
    text.chars().map(plain).collect()
}

/// CodePipeline's failure type, and AWS's own code.
fn reason(error: &Error) -> String {
    match &error.code {
        Some(code) => format!("{} ({code})", error.kind.failure_type()),
        None => error.kind.failure_type().to_owned(),
    }
}

fn cut(list: &mut Vec<String>, shown: usize) {
    if list.len() > shown {
        let more = list.len() - shown;
        list.truncate(shown);
        list.push(format!("+{more}"));
    }
}

#[cfg(test)]
mod tests;
