//! A failed release is kept for `TIMEOUTS.POSTMORTEM` seconds, out of every group, for people to find out why.

use crate::{Decision, Done, First, Held, Hold, Phase, Report, Situation, Step, listed};
use jiff::{SignedDuration, Timestamp};
use std::ops::ControlFlow::{Break, Continue};

/// What is left of less than this is waited for, in seconds. An invocation can't wait for more: it ends, and the sweep
/// has the rest done once the time is over.
const AWAITED_SECS: i64 = 60;

/// Until when a release is kept, and what people are told about it; none if it isn't, or not any more. That its instances
/// are gone ends it as well.
pub fn kept(now: &Situation<'_>, hold: &Hold) -> First<Option<(Timestamp, String)>> {
    let unended = |until: &Timestamp| hold.phase == Phase::Ending && *until > now.world.now();
    let Some(until) = hold.kept_until.filter(unended) else { return Continue(None) };
    Continue(standing(now, hold)?.map(|ids| (until, told(until, &ids))))
}

fn told(until: Timestamp, ids: &str) -> String {
    format!(
        "its instances ({ids}) are kept until {until:.0} (TIMEOUTS.POSTMORTEM), out of every target group, so that people \
         can find out what failed. To end this sooner, terminate them"
    )
}

/// The ids of the release's instances; none if there are none left.
fn standing(now: &Situation<'_>, hold: &Hold) -> First<Option<String>> {
    let fleet = now.world.fleet(&hold.release)?;
    let mut ids = fleet.iter().filter(|instance| !instance.gone()).map(|instance| instance.id.as_str()).peekable();
    Continue(ids.peek().is_some().then(|| listed(ids)))
}

/// Goes on once the release has been kept for long enough. Asked when none of it is in a group any more.
pub(super) fn keep(now: &Situation<'_>, held: &Held) -> First<()> {
    let hold = &held.hold;
    if hold.kept_until.is_some() {
        return match kept(now, hold)? {
            None => Continue(()),
            Some((until, told)) if until.duration_since(now.world.now()) <= SignedDuration::from_secs(AWAITED_SECS) => {
                Break(Decision::wait_until(until, format!("the time of release {} to be over: {told}", hold.release)))
            }
            Some((_, told)) => Break(Decision::Done(Done { nothing: true, ..done(now, hold, &told) })),
        };
    }
    let Some(ids) = standing(now, hold)? else { return Continue(()) };
    let secs = i64::from(hold.settings.timeouts.postmortem_secs);
    let until = now.world.now() + SignedDuration::from_secs(secs);
    let step: Step = Situation::rewrite(held, |hold| hold.kept_until = Some(until));
    let then = (secs > AWAITED_SECS).then(|| Box::new(done(now, hold, &told(until, &ids))));
    Break(Decision::Do { step, why: "it is out of every group: people may look at it now", then })
}

/// Done for now.
fn done(now: &Situation<'_>, hold: &Hold, told: &str) -> Done {
    let message = format!("release {} of {} is in no target group any more; {told}", hold.release, now.job.role);
    let report = Report { left_behind: vec![told.to_owned()], ..now.report() };
    Done { message, outputs: vec![("Terminated", "none".to_owned())], report, ..Done::default() }
}
