//! Whether a release is looked at for long enough that its alarms can ring.

use crate::duration;
use crate::settings::Settings;
use std::collections::BTreeMap;

/// How late CloudWatch may have a figure, in seconds (docs/AWS.md).
const LATE_SECS: u32 = 180;

/// The steps that end before these alarms can ring, each with what to write instead; so does the last one, if alarms aren't
/// heard for longer than it lasts. `delays`: how long each alarm needs, in seconds.
pub fn too_short(settings: &Settings, delays: &BTreeMap<String, u32>) -> Vec<String> {
    let Some((slowest, delay)) = delays.iter().max_by_key(|(_, delay)| **delay) else { return Vec::new() };
    let needed = delay.saturating_add(LATE_SECS);
    let why = format!(
        "{slowest} rings {} after it begins at the earliest (its period, so often as it evaluates, and three minutes until \
         its figures are there)",
        duration(needed.into())
    );
    let bakes = settings.shift.steps.iter().filter(|step| step.bake_secs < needed);
    let mut short: Vec<String> = bakes
        .map(|step| {
            format!(
                "SHIFT: the step of {} % stands for {}, and alarm {why}: BAKE {needed}",
                step.percent,
                duration(step.bake_secs.into())
            )
        })
        .collect();
    let heard = settings.timeouts.watch_secs.max(settings.guard_secs);
    if heard < needed {
        short.push(format!(
            "GUARD: alarms are heard for {} after the shift, and alarm {why}: GUARD {needed}",
            duration(heard.into())
        ));
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::ShiftStep;
    use crate::testing::settings;

    /// The steps' seconds, GUARD, the alarms' seconds; how each sentence begins.
    #[track_caller]
    fn check(bakes: &[u32], guard_secs: u32, delays: &[(&str, u32)], expected: &[&str]) {
        let mut settings = settings();
        let steps = (1..).zip(bakes).map(|(n, bake_secs)| ShiftStep { percent: n * 10, bake_secs: *bake_secs });
        (settings.shift.steps, settings.guard_secs) = (steps.collect(), guard_secs);
        let delays = delays.iter().map(|(name, delay)| ((*name).to_owned(), *delay)).collect();
        let found = too_short(&settings, &delays);
        let begin = found.iter().zip(expected).all(|(found, expected)| found.starts_with(expected));
        assert!(begin && found.len() == expected.len(), "{found:#?}");
    }

    #[test]
    fn a_step_lasts_as_long_as_the_slowest_alarm_needs() {
        check(&[300], 3_600, &[], &[]);
        check(&[300], 3_600, &[("web-5xx", 120)], &[]);
        check(
            &[299],
            3_600,
            &[("web-5xx", 120)],
            &["SHIFT: the step of 10 % stands for 4 min 59 s, and alarm web-5xx"],
        );
        let both = ["SHIFT: the step of 10 %", "SHIFT: the step of 20 %"];
        check(&[60, 300, 600], 3_600, &[("web-5xx", 60), ("web-p99", 300)], &both);
    }

    #[test]
    fn alarms_are_heard_for_as_long_after_the_last_one() {
        check(&[], 3_600, &[("web-5xx", 300)], &[]);
        check(&[], 479, &[("web-5xx", 300)], &["GUARD: alarms are heard for 7 min 59 s after the shift"]);
        check(&[], 480, &[("web-5xx", 300)], &[]);
    }
}
