//! What is said of a stage's end: to CodePipeline, to EventBridge, to the people on call.

use crate::{Action, Done, Ending, Error, Job, Kind, Outcome, Refused, ReleaseId, Report, ServiceRole, StageName};
use crate::{bounded, listed};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt::Write;

/// The source of tagship's events.
pub const SOURCE: &str = "tagship";

/// EventBridge takes 256 KB an entry, source and detail-type included; SNS as much a message.
const MAX_DETAIL_BYTES: usize = 250_000;
/// CodePipeline's limit of a failure's message, in characters.
const MAX_MESSAGE: usize = 5_000;
/// CodePipeline's limit of an execution's summary, in characters.
const MAX_SUMMARY: usize = 2_048;
/// DESIGN's limit of an output variable, in characters.
const MAX_VARIABLE: usize = 200;
/// SNS asks for fewer than 100 characters.
const MAX_SUBJECT: usize = 99;

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
            Headline::Abandoned => "Release Abandoned",
        }
    }

    /// For a subject; what needs attention stands out.
    fn word(self) -> &'static str {
        match self {
            Headline::Succeeded => "ok",
            Headline::Failed => "FAILED",
            Headline::RolledBack => "ROLLED BACK",
            Headline::Kept => "KEPT",
            Headline::Abandoned => "ABANDONED",
        }
    }
}

/// One event: serialised, it is the event's detail.
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
    /// For people.
    #[serde(skip)]
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
            next: "Nothing: this ends by itself. If it is told again for the same release, look at the log of cleanup."
                .to_owned(),
        }
    }

    /// The event's detail, JSON: lists that would make it too long for EventBridge end in `+995`, and the message
    /// has nothing that a rule's template couldn't quote.
    pub fn detail(&self) -> String {
        let mut shown = [&self.report.instances, &self.report.names, &self.report.left_behind]
            .map(Vec::len)
            .into_iter()
            .chain([self.report.weights.len()])
            .max()
            .unwrap_or_default();
        loop {
            let mut notice = self.clone();
            notice.message = quotable(&notice.message);
            for list in [&mut notice.report.instances, &mut notice.report.names, &mut notice.report.left_behind] {
                cut(list, shown);
            }
            notice.report.weights = notice.report.weights.into_iter().take(shown).collect();
            let detail = json!(notice).to_string();
            if detail.len() <= MAX_DETAIL_BYTES || shown == 0 {
                return detail;
            }
            shown /= 2;
        }
    }

    /// One line of ASCII, as SNS wants it.
    pub fn subject(&self) -> String {
        let service = never_empty(&self.service, "unknown service").to_ascii_lowercase().replace('_', "-");
        let action = never_empty(self.action, self.stage);
        let release = match self.release.get(..8).unwrap_or(&self.release) {
            "" => String::new(),
            short => format!(" of {short}"),
        };
        let line = format!("{}: {service} {action}{release}", self.headline.word());
        line.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(MAX_SUBJECT).collect()
    }

    /// Text for a person: what, where, how long, what to do next.
    pub fn body(&self) -> String {
        let mut body = format!("{}\n\n{}\n\nWhat to do next: {}\n\n", self.subject(), self.message, self.next);
        let took = match self.elapsed_seconds {
            0 => String::new(),
            secs => format!("{:#}", SignedDuration::from_secs(secs)),
        };
        let list = |items: &[String]| match items {
            [] => String::new(),
            items => listed(items.iter().map(String::as_str)),
        };
        for (name, value) in [
            ("Service", self.service.as_str()),
            ("Release", &self.release),
            ("Pipeline", &self.pipeline),
            ("Stage", self.stage),
            ("Action", self.action),
            ("Took", &took),
            ("Reason", self.reason.as_deref().unwrap_or_default()),
            ("Instances", &list(&self.report.instances)),
            ("Names", &list(&self.report.names)),
        ] {
            if !value.is_empty() {
                let _ = writeln!(body, "{:<11}{value}", format!("{name}:"));
            }
        }
        /// A person reads no more; the event has them all.
        const LINES: usize = 20;
        let weights = self.report.weights.iter().map(|(switch, weights)| format!("{switch}: {weights}"));
        let left = self.report.left_behind.iter().cloned();
        for (name, lines) in [("Weights", weights.collect::<Vec<_>>()), ("Left behind", left.collect())] {
            if !lines.is_empty() {
                let more = lines.len().saturating_sub(LINES);
                let _ = writeln!(body, "{name}:");
                for line in lines.iter().take(LINES) {
                    let _ = writeln!(body, "- {}", bounded(line, MAX_MESSAGE));
                }
                if more > 0 {
                    let _ = writeln!(body, "- +{more}");
                }
            }
        }
        body
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

fn after_success(headline: Headline, action: Action, pipeline: &str) -> String {
    let pipeline = never_empty(pipeline, "the service's");
    match (headline, action) {
        (Headline::Kept, _) => {
            "This release still serves, though it was rejected: nothing could be restored. Release a build that works."
                .to_owned()
        }
        (Headline::RolledBack, _) => {
            "Nothing at once: the previous release serves. Find out what was wrong.".to_owned()
        }
        (_, Action::Deploy) => {
            format!("Look at the candidate. If pipeline {pipeline} asks for it, approve or reject there.")
        }
        (_, Action::Shift) => format!(
            "Watch it. Approving in pipeline {pipeline} removes the previous release, rejecting has it serve again."
        ),
        (_, Action::Provision) => "Nothing: deploy follows.".to_owned(),
        _ => "Nothing.".to_owned(),
    }
}

/// The cause's remedy, then what to look after meanwhile.
fn after_failure(kind: Kind, stage: StageName, action: Option<Action>) -> String {
    let remedy = match kind {
        Kind::Configuration => "Correct what is listed above and start a new execution (Release change).".to_owned(),
        Kind::Denied => format!("Give the role of the {stage} function this permission (infra/tagship.yaml)."),
        Kind::Unavailable => "Look at AWS's health dashboard; repeat once AWS answers again.".to_owned(),
        Kind::Bug => "Report this with the function's log: it is a mistake in tagship.".to_owned(),
        Kind::Conflict | Kind::Capacity | Kind::Release => "Correct what the message names.".to_owned(),
    };
    let meanwhile = match action {
        Some(Action::Provision | Action::Deploy) => {
            "No traffic has moved. What was made for this release is removed once its execution has failed."
        }
        Some(Action::Shift) => "A rollback follows once the execution has failed: see that it is told as done.",
        Some(Action::Rollback) => {
            "Look at the switches' weights now: traffic may not be back. Then repeat the rollback."
        }
        Some(Action::Retire) => "The release serves. Retry the action: what it replaced still costs money.",
        Some(Action::Discard | Action::Park) => {
            "Repeat the action: what is left still costs money. The sweep does, too."
        }
        Some(Action::Sweep) | None => "Nothing was changed.",
    };
    format!("{remedy} {meanwhile}")
}

#[cfg(test)]
mod tests;
