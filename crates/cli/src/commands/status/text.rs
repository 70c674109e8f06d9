//! A service, and all services, as text.

use super::Row;
use crate::table::{bar, listed, table};
use crate::words::{lasting, moment, person, since};
use console::style;
use jiff::Timestamp;
use std::fmt::Write;
use tagship::status::{Member, Status, Unavailable, Weight};
use tagship::{Build, ReleaseId};

/// Instances of one fleet that are listed one by one; of more, only those that aren't well.
const LISTED: usize = 10;
/// Characters of a build's name among all services.
const NAMED: usize = 16;
/// Characters of a weight's bar.
const BAR: usize = 10;

pub(super) fn overview(rows: &[Row], unavailable: &[Unavailable], now: Timestamp, width: usize) -> String {
    if rows.is_empty() {
        return format!("There is no service yet: `tagship onboard SERVICE` begins one.\n{}", lacking(unavailable));
    }
    let cells = rows.iter().map(|row| {
        let at = match (&row.at, row.waits_for_a_person) {
            (Some(asks), true) => format!("waits: {asks}"),
            (Some(runs), false) => runs.clone(),
            (None, _) => row.phase.map(phase).unwrap_or_default().to_owned(),
        };
        vec![
            row.service.clone(),
            known(row.live.as_ref(), row.live_build.as_ref()),
            known(row.candidate.as_ref(), row.candidate_build.as_ref()),
            at,
            row.since.map(|since| lasting(now.duration_since(since).as_secs())).unwrap_or_default(),
        ]
    });
    let text = table(width, &["~SERVICE", "~LIVE", "~UNDER WAY", "~AT", "FOR"], cells);
    format!("{text}\nLIVE comes from the tags of the instances.\n{}", lacking(unavailable))
}

/// A release by the name of its build; where it has none, by its id.
fn known(release: Option<&ReleaseId>, build: Option<&Build>) -> String {
    match (release, build) {
        (Some(_), Some(build)) => tagship::bounded(build.as_str(), NAMED),
        (Some(release), None) => release.short().to_owned(),
        (None, _) => "-".to_owned(),
    }
}

pub(super) fn service(status: &Status, width: usize) -> String {
    let mut text = String::new();
    let now = status.at;
    let pipeline = status.pipeline.as_deref().map(|name| format!(", pipeline {name}")).unwrap_or_default();
    let _ = writeln!(text, "{}{pipeline}, at {}", style(&status.service).bold(), moment(now, now));
    let _ = write!(text, "\n{}", listed(width, facts(status)));
    fleets(status, width, &mut text);
    switches(status, width, &mut text);
    if !status.names.is_empty() {
        let rows = status.names.iter().map(|name| vec![name.name.clone(), name.addresses.join(", ")]);
        let _ = write!(text, "\n{}", table(width, &["NAME", "~LEADS TO"], rows));
    }
    if !status.alarms.is_empty() {
        let row =
            |alarm: &tagship::status::Rings| vec![alarm.name.clone(), alarm.state.to_owned(), since(alarm.since, now)];
        let _ = write!(text, "\n{}", table(width, &["~ALARM", "STATE", "~SINCE"], status.alarms.iter().map(row)));
    }
    let _ = write!(text, "\nNext:\n");
    for next in &status.next {
        let _ = writeln!(text, "  {}\n      {}", next.command, next.does);
    }
    text + &lacking(&status.unavailable)
}

/// A line for each thing that is to be said of the service, with what it is about.
fn facts(status: &Status) -> Vec<Vec<String>> {
    let now = status.at;
    let mut facts: Vec<(&str, String)> = Vec::new();
    // With the build's name, where it has one.
    let called = |id: &ReleaseId| {
        let release = status.releases.iter().find(|release| release.release == *id);
        tagship::called(release.and_then(|release| release.build.as_ref()), id.as_str())
    };
    let live = status.live.as_ref().map_or("nothing".to_owned(), called);
    facts.push(("live", format!("{live} (by the tags of its instances)")));
    if let Some(held) = &status.held {
        let taken = since(Some(held.since), now);
        facts.push(("held by", format!("{}: {}, since {taken}", called(&held.release), phase(held.phase))));
        if let Some(step) = &held.step {
            let how_long = match step.until {
                Some(until) if until > now => format!("{} more", lasting(until.duration_since(now).as_secs())),
                Some(_) => "its time is over".to_owned(),
                None => "being given".to_owned(),
            };
            facts.push(("step", format!("{} of {}: {} %, {how_long}", step.step, step.of, step.percent)));
        }
        if let Some(hook) = &held.hook {
            let left = match hook.until > now {
                true => format!("{} more at most", lasting(hook.until.duration_since(now).as_secs())),
                false => "its time is over".to_owned(),
            };
            let called = since(Some(hook.since), now);
            facts.push(("hook", format!("{} ({}), called since {called}, {left}", hook.function, hook.point.as_str())));
        }
        facts.extend(held.going_back.clone().map(|why| ("going back", why)));
    }
    if let Some(running) = &status.running {
        let says = running.says.as_deref().unwrap_or("its text comes within 15 minutes");
        facts.push(("runs", format!("{} since {}: {says}", running.action, since(running.since, now))));
    }
    if let Some(asked) = &status.approval {
        let (approval, release) = (&asked.approval, asked.release.short());
        facts.push(("waits", format!("for an answer: {approval} of {release}, since {}", since(asked.since, now))));
    }
    if let Some(frozen) = &status.frozen {
        let by = frozen.by.as_deref().map(|by| format!(", by {}", person(by))).unwrap_or_default();
        facts.push(("frozen", format!("{}{by}, since {}", frozen.reason, since(frozen.since, now))));
    }
    let until = if status.frozen.is_some() { "somebody unfreezes the service" } else { "the stage is free" };
    facts.extend(
        status.queued.iter().map(|queued| ("queued", format!("{}: it begins once {until}", queued.release.short()))),
    );
    facts.into_iter().map(|(what, text)| vec![what.to_owned(), text]).collect()
}

fn phase(phase: tagship::Phase) -> &'static str {
    match phase {
        tagship::Phase::Open => "being released",
        tagship::Phase::Approved => "approved: what it replaced is being removed",
        tagship::Phase::Ending => "ended: it is being removed",
    }
}

fn fleets(status: &Status, width: usize, text: &mut String) {
    let well = |member: &&Member| member.state == "running" && matches!(member.health, Some("healthy") | None);
    let mut rows = Vec::new();
    for release in &status.releases {
        let role = release.role.as_str().to_owned();
        let name = release.release.short().to_owned();
        let many = release.instances.len() > LISTED;
        for member in release.instances.iter().filter(|member| !many || !well(member)) {
            let health = member.health.unwrap_or("-");
            let health = member.reason.as_ref().map_or(health.to_owned(), |reason| format!("{health} ({reason})"));
            let address = member.address.clone().unwrap_or_default();
            rows.push(vec![name.clone(), role.clone(), member.id.clone(), member.state.to_owned(), address, health]);
        }
        let healthy = release.instances.iter().filter(well).count();
        if many && healthy > 0 {
            let others = format!("{healthy} of {}", release.instances.len());
            rows.push(vec![name, role, others, "running".to_owned(), String::new(), "healthy".to_owned()]);
        } else if release.instances.is_empty() {
            rows.push(vec![name, role, "no instance".to_owned(), String::new(), String::new(), String::new()]);
        }
    }
    if !rows.is_empty() {
        let head = ["RELEASE", "ROLE", "INSTANCE", "STATE", "ADDRESS", "~HEALTH"];
        let _ = write!(text, "\n{}", table(width, &head, rows));
    }
}

fn switches(status: &Status, width: usize, text: &mut String) {
    let mut rows = Vec::new();
    for switch in &status.switches {
        for (index, weight) in switch.groups.iter().enumerate() {
            let Weight { group, percent, release, .. } = weight;
            // A group without targets is told by its own name.
            let label = if index == 0 { switch.switch.clone() } else { String::new() };
            let of = release.as_ref().map_or_else(|| format!("none ({group})"), |release| release.short().to_owned());
            rows.push(vec![label, bar(*percent, BAR), format!("{percent} %"), of]);
        }
    }
    if !rows.is_empty() {
        let _ = write!(text, "\n{}", table(width, &["~SWITCH", "WEIGHT", "", "~RELEASE"], rows));
    }
}

pub(crate) fn lacking(unavailable: &[Unavailable]) -> String {
    let mut text = String::new();
    for lacks in unavailable {
        let _ = write!(text, "\n{} {}: {}\n", style("not shown:").yellow(), lacks.part, lacks.why);
    }
    text
}
