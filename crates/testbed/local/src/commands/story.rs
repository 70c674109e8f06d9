//! What happens in a cloud that somebody else drives, told while it happens: releases that begin and end, what the functions
//! decide and why, and the mails that people would get.

use super::teller::{Chapter, Teller, weights};
use crate::local::Local;
use reqwest::Url;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;
use tagship_cloud::gateway::Call;
use tagship_cloud::state::State;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

/// How often the functions' logs are read on.
const LOOK: Duration = Duration::from_millis(200);

/// How the line of a mail begins that says what a person can do.
const NEXT: &str = "What to do next: ";

/// A mail as SNS is given it.
struct Mail {
    subject: String,
    next: Option<String>,
}

/// Tells until it is dropped.
pub(super) async fn tell(local: &Local, teller: &Teller) {
    let (sends, mut mails) = mpsc::unbounded_channel();
    let chat = local.account.chat_topic.clone();
    local.gateway.on_success("sns", "Publish", move |call, _| {
        // The receiver goes with the one who tells.
        let _ = mail(call, &chat).map(|mail| sends.send(mail));
    });
    let mut events = local.events.listen();
    let mut story = Story { teller, logs: Logs::of(local), said: BTreeMap::new() };
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) => {
                    story.decisions();
                    story.event(&event, local);
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            Some(mail) = mails.recv() => {
                story.decisions();
                story.mail(&mail);
            }
            () = tokio::time::sleep(LOOK) => {
                pairs(&local.states.borrow(), teller);
                story.decisions();
                teller.bar.set_message(format!("weights {}", weights(&local.states.borrow())));
            }
        }
    }
}

/// Calls each service's target groups `web group A` and `web group B`; services come while it tells.
fn pairs(state: &State, teller: &Teller) {
    let mut letters = BTreeMap::new();
    for group in &state.target_groups {
        let Some(service) = group.tags.get("tagship:service") else { continue };
        let letter = letters.entry(service).or_insert('A'..='Z').next().unwrap_or_default();
        let label = service.to_lowercase().replace('_', "-");
        let alias = format!("{} group {letter}", label.trim_end_matches("-product"));
        // The ARN has the name in it, and comes first.
        teller.call(&group.arn, &alias);
        teller.call(&group.name, &alias);
    }
}

/// What a person would get by mail: the chat's is another topic. What a rule tells has its subject as its first line.
fn mail(call: &Call, chat: &str) -> Option<Mail> {
    let form = Url::parse(&format!("http://sns/?{}", std::str::from_utf8(&call.body).ok()?)).ok()?;
    let mut fields: BTreeMap<String, String> = form.query_pairs().into_owned().collect();
    if fields.get("TopicArn").is_some_and(|topic| topic == chat) {
        return None;
    }
    let text = fields.remove("Message").unwrap_or_default();
    let lines: Vec<String> = text.lines().map(|line| line.trim_matches('"').to_owned()).collect();
    let subject = fields.remove("Subject").or_else(|| lines.first().cloned())?;
    Some(Mail { subject, next: lines.into_iter().find(|line| line.starts_with(NEXT)) })
}

struct Story<'a> {
    teller: &'a Teller,
    logs: Logs,
    /// Release and function → what it said last: a wait is told once.
    said: BTreeMap<(String, String), String>,
}

impl Story<'_> {
    fn event(&mut self, event: &Value, local: &Local) {
        let detail = &event["detail"];
        let text = |key: &str| detail[key].as_str().unwrap_or_default();
        let (execution, state) = (text("execution-id"), text("state"));
        match (event["detail-type"].as_str().unwrap_or_default(), state) {
            ("CodePipeline Pipeline Execution State Change", "STARTED") => {
                let name = short(execution);
                let chapter = Chapter { execution: execution.to_owned(), ..Chapter::default() };
                self.teller.chapters(|all| all.insert(name.to_owned(), chapter));
                self.teller.title(&format!("{name}: a release of pipeline {} begins", text("pipeline")));
            }
            ("CodePipeline Pipeline Execution State Change", state) => {
                self.teller.say(short(execution), &format!("its pipeline execution: {}", state.to_lowercase()));
            }
            ("CodePipeline Action Execution State Change", state) if detail["type"]["category"] == "Approval" => {
                let how = match state {
                    "STARTED" => "waits for an answer",
                    "SUCCEEDED" => "approved",
                    "FAILED" => "rejected",
                    _ => "ended without an answer",
                };
                self.teller.say(short(execution), &format!("{}: {how}", text("action")));
            }
            _ if event["source"] == "tagship" => self.teller.hear(event, &local.states.borrow()),
            _ => {}
        }
    }

    fn mail(&self, mail: &Mail) {
        self.teller.say("", &format!("mail: {}", mail.subject));
        if let Some(next) = &mail.next {
            self.teller.say("", next);
        }
    }

    /// What the functions have decided since the last look.
    fn decisions(&mut self) {
        for (function, line) in self.logs.news() {
            let Some(says) = line["message"].as_str() else { continue };
            if !["do: ", "wait: ", "fail: "].iter().any(|kind| says.starts_with(kind)) {
                continue;
            }
            let release = line["span"]["release"].as_str().unwrap_or_default();
            let why = line["why"].as_str().filter(|why| !why.is_empty()).map(|why| format!(" ({why})"));
            let says = format!("{function} {says}{}", why.unwrap_or_default());
            let known = self.said.insert((release.to_owned(), function), says.clone());
            if known.as_ref() != Some(&says) {
                self.teller.say(short(release), &says);
            }
        }
    }
}

/// As the command has it.
fn short(release: &str) -> &str {
    release.get(..8).unwrap_or(release)
}

/// The functions' logs, and how far each was read.
struct Logs(Vec<(String, PathBuf, u64)>);

impl Logs {
    fn of(local: &Local) -> Self {
        let log = |name: &str| (name.to_owned(), local.logs().join(format!("tagship-{name}.log")), 0);
        Self(["provision", "deploy", "route", "cleanup"].map(log).into())
    }

    /// The whole lines that are new, each with its function.
    fn news(&mut self) -> Vec<(String, Value)> {
        let mut news = Vec::new();
        for (function, path, read) in &mut self.0 {
            let mut text = String::new();
            let opened = std::fs::File::open(&path).and_then(|mut file| {
                file.seek(SeekFrom::Start(*read))?;
                file.read_to_string(&mut text)
            });
            // It isn't there before the function's first invocation.
            let Some(end) = opened.ok().and_then(|_| text.rfind('\n')) else { continue };
            *read += end as u64 + 1;
            let lines = text[..end].lines().filter_map(|line| serde_json::from_str(line).ok());
            news.extend(lines.map(|line| (function.clone(), line)));
        }
        news
    }
}
