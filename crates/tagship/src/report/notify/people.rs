//! A notice as people read it: a mail, or a message in a chat.

use super::{Headline, MAX_MESSAGE, Notice, never_empty};
use crate::{Build, bounded, called, listed};
use jiff::SignedDuration;
use serde_json::json;
use std::fmt::Write;

/// SNS asks for fewer than 100 characters.
const MAX_SUBJECT: usize = 99;
/// So much of a build's name is in it, in characters.
const MAX_BUILD: usize = 32;
/// Slack's limit of a section of a message, in characters; Amazon Q documents none of its own.
const MAX_DESCRIPTION: usize = 3_000;
/// Switches, and things left behind, that a mail lists: a person reads no more, and the event has them all.
const MAX_LINES: usize = 20;

impl Headline {
    /// For a subject; what needs attention stands out.
    fn word(self) -> &'static str {
        match self {
            Headline::Succeeded => "ok",
            Headline::Failed => "FAILED",
            Headline::RolledBack => "ROLLED BACK",
            Headline::Kept => "KEPT",
            Headline::Rings => "ALARM",
            Headline::Degraded => "DEGRADED",
            Headline::Abandoned => "ABANDONED",
        }
    }

    /// The same in a chat, as infra/tagship.yaml has it.
    fn icon(self) -> &'static str {
        match self {
            Headline::Succeeded => ":white_check_mark:",
            Headline::Failed
            | Headline::RolledBack
            | Headline::Kept
            | Headline::Rings
            | Headline::Degraded
            | Headline::Abandoned => ":rotating_light:",
        }
    }
}

impl Notice {
    /// One line of ASCII, as SNS wants it.
    pub fn subject(&self) -> String {
        let service = never_empty(&self.service, "unknown service").to_ascii_lowercase().replace('_', "-");
        let action = never_empty(self.action, self.stage);
        let release = match self.release.get(..8).unwrap_or(&self.release) {
            "" => String::new(),
            // SNS takes no other letters: the text has it in full.
            short => {
                let build = self.report.build.as_ref().filter(|build| build.as_str().is_ascii());
                let build = build.map(|build| Build::from(bounded(build.as_str(), MAX_BUILD)));
                format!(" of {}", called(build.as_ref(), short))
            }
        };
        let line = format!("{}: {service} {action}{release}", self.headline.word());
        line.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(MAX_SUBJECT).collect()
    }

    /// A mail's text: what, what to do next, where to look in this Region's console, whom and how long.
    pub fn body(&self, region: &str) -> String {
        let mut body = format!("{}\n\n{}\n\nWhat to do next: {}\n", self.subject(), self.message, self.next);
        if let Some(link) = self.link(region) {
            let _ = writeln!(body, "Where to look: {link}");
        }
        body.push('\n');
        let list = |items: &[String]| match items {
            [] => String::new(),
            items => listed(items.iter().map(String::as_str)),
        };
        let more = [("Instances", list(&self.report.instances)), ("Names", list(&self.report.names))];
        for (name, value) in self.facts().into_iter().chain(more) {
            if !value.is_empty() {
                let _ = writeln!(body, "{:<11}{value}", format!("{name}:"));
            }
        }
        let weights = self.report.weights.iter().map(|(switch, weights)| format!("{switch}: {weights}"));
        let left = self.report.left_behind.iter().cloned();
        for (name, lines) in [("Weights", weights.collect::<Vec<_>>()), ("Left behind", left.collect())] {
            if !lines.is_empty() {
                let more = lines.len().saturating_sub(MAX_LINES);
                let _ = writeln!(body, "{name}:");
                for line in lines.iter().take(MAX_LINES) {
                    let _ = writeln!(body, "- {}", bounded(line, MAX_MESSAGE));
                }
                if more > 0 {
                    let _ = writeln!(body, "- +{more}");
                }
            }
        }
        body
    }

    /// The same for a chat: Amazon Q Developer's custom notification, JSON.
    pub fn amazon_q(&self, region: &str) -> String {
        // Slack's own control characters.
        let plain = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let facts = self.facts().into_iter().filter(|(_, value)| !value.is_empty());
        let facts = facts.map(|(name, value)| format!("*{name}:* {}", plain(&value))).collect::<Vec<_>>().join("\n");
        let room = MAX_DESCRIPTION.saturating_sub(facts.chars().count() + 2);
        let description = format!("{}\n\n{facts}", bounded(&plain(&self.message), room));
        let next = [plain(&self.next)].into_iter();
        let next = next.chain(self.link(region).map(|link| format!("Look at {link}"))).collect::<Vec<_>>();
        let title = format!("{} {}", self.headline.icon(), self.subject());
        let content =
            json!({"textType": "client-markdown", "title": title, "description": description, "nextSteps": next});
        json!({"version": "1.0", "source": "custom", "content": content}).to_string()
    }

    /// Whom it is about and how long it took, a text each; empty where it isn't known.
    fn facts(&self) -> [(&'static str, String); 8] {
        let took = match self.elapsed_seconds {
            0 => String::new(),
            secs => format!("{:#}", SignedDuration::from_secs(secs)),
        };
        [
            ("Service", self.service.clone()),
            ("Release", self.release.clone()),
            ("Build", self.report.build.as_ref().map(ToString::to_string).unwrap_or_default()),
            ("Pipeline", self.pipeline.clone()),
            ("Stage", self.stage.to_owned()),
            ("Action", self.action.to_owned()),
            ("Took", took),
            ("Reason", self.reason.clone().unwrap_or_default()),
        ]
    }

    /// The release's execution in the console.
    fn link(&self, region: &str) -> Option<String> {
        let Self { pipeline, release, .. } = self;
        let known = ![region, pipeline, release].into_iter().any(str::is_empty);
        let console = console(region);
        known.then(|| {
            format!("https://{region}.{console}/codesuite/codepipeline/pipelines/{pipeline}/executions/{release}")
        })
    }
}

/// Where the console is, by the partition that the Region is in; as infra/'s templates map it.
fn console(region: &str) -> &'static str {
    match region {
        _ if region.starts_with("cn-") => "console.amazonaws.cn",
        _ if region.starts_with("us-gov-") => "console.amazonaws-us-gov.com",
        _ => "console.aws.amazon.com",
    }
}
