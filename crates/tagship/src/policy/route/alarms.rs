//! What CloudWatch's alarms say of a release that has traffic, heard from the first weight to the final approval.

use crate::settings::OnAlarm;
use crate::{Alarm, AlarmState, Decision, First, Held, Situation, bounded, listed};
use jiff::Timestamp;
use std::ops::ControlFlow::Continue;

/// Seconds between two looks at the alarms where nobody's event has come.
const LISTEN_EVERY_SECS: u32 = 60;
/// So much of an alarm's reason is told, in characters.
const REASON: usize = 300;

/// What has been heard.
#[derive(Debug, PartialEq)]
pub(super) enum Heard {
    /// Nothing that matters, in words for people.
    Quiet(String),
    /// The traffic goes back: why, and the alarm.
    Rang(String, String),
    /// It rang, and settings want it told only: why, and the alarm.
    Tell(String, String),
    /// An alarm that rang before is quiet now, so it counts from here on: that is written down first.
    Quieted(Decision),
    /// AWS doesn't show an alarm: neither good nor bad.
    Unknown(String),
}

/// Alarms that ring before the first weight moves: they don't count before they have been OK once.
pub(super) fn ringing(now: &Situation<'_>, held: &Held) -> First<Vec<String>> {
    if held.hold.settings.alarms.ids().is_empty() {
        return Continue(Vec::new());
    }
    let rings = now.world.alarms()?.iter().filter(|alarm| alarm.state == AlarmState::Alarm);
    Continue(rings.map(|alarm| alarm.name.clone()).collect())
}

/// Listens, if there are alarms and it is time to.
pub(super) fn due(now: &Situation<'_>, held: &Held, listened_at: Option<Timestamp>) -> bool {
    let settings = &held.hold.settings;
    !settings.alarms.ids().is_empty() && listened_at.is_none_or(|at| now.left(at, LISTEN_EVERY_SECS).is_none())
}

/// What the alarms say now.
pub(super) fn heard(now: &Situation<'_>, held: &Held) -> First<Heard> {
    let hold = &held.hold;
    let alarms = now.world.alarms()?;
    let state = |name: &String| alarms.iter().find(|alarm| alarm.name == *name).map(|alarm| alarm.state);
    let (quiet, still): (Vec<String>, Vec<String>) =
        hold.ringing.iter().cloned().partition(|name| state(name) == Some(AlarmState::Ok));
    if !quiet.is_empty() {
        let step = Situation::rewrite(held, |hold| hold.ringing = still);
        return Continue(Heard::Quieted(Decision::act(
            step,
            "an alarm that rang before is quiet: it counts from here on",
        )));
    }
    let rings = |alarm: &&Alarm| alarm.state == AlarmState::Alarm && !hold.ringing.contains(&alarm.name);
    if let Some(alarm) = alarms.iter().find(rings) {
        let since = alarm.since.map(|since| format!(" since {since}")).unwrap_or_default();
        let why = format!("alarm {} is in ALARM{since}: {}", alarm.name, bounded(&alarm.reason, REASON));
        return Continue(match hold.settings.on_alarm {
            OnAlarm::Rollback => Heard::Rang(why, alarm.name.clone()),
            OnAlarm::Tell => Heard::Tell(why, alarm.name.clone()),
        });
    }
    let unknown: Vec<&str> =
        alarms.iter().filter(|alarm| alarm.state == AlarmState::Missing).map(|alarm| alarm.name.as_str()).collect();
    if !unknown.is_empty() {
        let names = listed(unknown);
        return Continue(Heard::Unknown(format!("CloudWatch to show {names}: ALARMS names it, and it isn't there")));
    }
    let words: Vec<String> = alarms
        .iter()
        .map(|alarm| format!("{} {}", alarm.name, words(alarm, hold.ringing.contains(&alarm.name))))
        .collect();
    Continue(Heard::Quiet(format!("alarms: {}", listed(words.iter().map(String::as_str)))))
}

fn words(alarm: &Alarm, before: bool) -> &'static str {
    match alarm.state {
        AlarmState::Ok => "OK",
        AlarmState::NoData => "no data",
        AlarmState::Alarm if before => "ALARM since before",
        AlarmState::Alarm => "ALARM",
        AlarmState::Missing => "missing",
    }
}
