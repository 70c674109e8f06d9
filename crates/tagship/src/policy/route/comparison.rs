//! Compares both releases' errors while the traffic is divided, if `COMPARE` asks for it.

use crate::compare::{Bar, Minute, Times, Total, Verdict, compare};
use crate::model::words::grouped;
use crate::settings::Compare;
use crate::{Counted, Counts, Figures, First, Group, Situation, Split, Stood};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow::Continue;
use std::ops::Range;

/// What the last look at the balancer's figures came to. The figures themselves are read anew each time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Comparison {
    /// When to look again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Timestamp>,
    /// What it said, for people.
    pub words: String,
    /// Whether there was enough traffic to judge by.
    pub enough: bool,
}

impl Comparison {
    /// Whether nothing has been compared.
    pub(super) fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it is time to look again.
    pub(super) fn due(&self, now: Timestamp) -> bool {
        self.next.is_none_or(|next| now >= next)
    }

    /// How it ended, behind what else is told.
    pub(super) fn told(&self) -> String {
        match self.enough {
            true => format!("; {}", self.words),
            false => "; its errors couldn't be compared: too little traffic for COMPARE".to_owned(),
        }
    }
}

/// Looks at the figures if it is time to, and says why the release is worse, if it is.
pub(super) fn worse(
    now: &Situation<'_>,
    (split, bar): (&Split, Compare),
    (own, other): (&Group, &Group),
    memory: &mut Comparison,
) -> First<Option<String>> {
    let at = now.world.now();
    if !memory.due(at) {
        return Continue(None);
    }
    let figures = now.world.figures()?;
    let secs = i64::from(figures.minute_secs.max(1));
    let steady = steady(split, at);
    let times = Times { now: at.as_second(), minute: secs, steady: &steady, hooks: &[] };
    let minutes = minutes(figures, own, other);
    let verdict = compare(&minutes, times, Bar { errors: bar.errors, confidence: bar.confidence });
    let (Verdict::Bad(found) | Verdict::NotBad(found) | Verdict::TooLittle(found)) = verdict;
    let rates = format!("{} to {}", percent(found.candidate), percent(found.predecessor));
    let requests = grouped(found.candidate.requests + found.predecessor.requests);
    let last = minutes.iter().filter(|minute| times.allow(minute.start)).map(|minute| minute.start).max();
    let latency = last.and_then(|start| latency(figures, start, own, other)).unwrap_or_default();
    let little = if matches!(verdict, Verdict::TooLittle(_)) { ", too few to judge" } else { "" };
    *memory = Comparison {
        next: Some(at + SignedDuration::from_secs(secs)),
        words: match found.minutes {
            0 => "compared: no whole minute yet".to_owned(),
            _ => format!("compared: errors {rates} of {requests} requests{little}{latency}"),
        },
        enough: !matches!(verdict, Verdict::TooLittle(_)),
    };
    let why = || {
        format!(
            "the release fails more often than its predecessor: {rates} of {requests} requests in {} compared; COMPARE \
             allows {} times as much",
            crate::counted(found.minutes, "minute"),
            bar.errors
        )
    };
    Continue(matches!(verdict, Verdict::Bad(_)).then(why))
}

/// From when to when the weights of all switches stayed as they were, in whole seconds.
fn steady(split: &Split, now: Timestamp) -> Vec<Range<i64>> {
    let stands = split.since.map(|since| Stood { since, until: now });
    let whole = |stood: &Stood| {
        let since = stood.since.as_second() + i64::from(stood.since.subsec_nanosecond() > 0);
        since..stood.until.as_second()
    };
    split.stood.iter().chain(&stands).map(whole).collect()
}

/// Both groups' figures, minute by minute.
fn minutes(figures: &Figures, own: &Group, other: &Group) -> Vec<Minute> {
    let mut minutes: Vec<Minute> = Vec::new();
    let mut counted: Vec<&Counted> = figures.counted.iter().collect();
    counted.sort_by_key(|counted| counted.start);
    for Counted { group, start, counts, latency: _ } in counted {
        let start = start.as_second();
        if minutes.last().is_none_or(|last| last.start != start) {
            minutes.push(Minute { start, candidate: Counts::default(), predecessor: Counts::default() });
        }
        let Some(minute) = minutes.last_mut() else { continue };
        if *group == own.arn {
            minute.candidate = *counts;
        } else if *group == other.arn {
            minute.predecessor = *counts;
        }
    }
    minutes
}

/// Both groups' latency in a minute, for people: it isn't judged.
fn latency(figures: &Figures, start: i64, own: &Group, other: &Group) -> Option<String> {
    let of = |group: &Group| {
        figures.counted.iter().find(|it| it.group == group.arn && it.start.as_second() == start)?.latency
    };
    let ((own50, own99), (other50, other99)) = (of(own)?, of(other)?);
    let ms = |secs: f64| format!("{:.0} ms", secs * 1_000.0);
    Some(format!(", p50 {} to {}, p99 {} to {}", ms(own50), ms(other50), ms(own99), ms(other99)))
}

fn percent(total: Total) -> String {
    format!("{:.1} %", total.rate() * 100.0)
}
