//! Hooks: Lambda functions that a release has to pass. One after the other, each called until it has succeeded or failed.

use super::shift::{WATCH_EVERY_SECS, turn_back};
use crate::names::Names;
use crate::policy::test_traffic;
use crate::settings::HookPoint;
use crate::{Decision, First, Held, HookAnswer, HookCall, HookRun, HookTold, InstanceState, Situation, Step, duration};
use jiff::SignedDuration;
use std::ops::ControlFlow::{Break, Continue};

/// Goes on once every hook of the point has succeeded. A call is made beside the loop: whoever waits for its answer looks
/// at the rest of the world meanwhile. A process that has died calls again: only it knew of its call.
pub(super) fn passed(now: &Situation<'_>, held: &Held, point: HookPoint) -> First<()> {
    let (hold, time) = (&held.hold, now.world.now());
    if hold.passed(point) {
        return Continue(());
    }
    let hooks = hold.settings.hooks.at(point);
    let Some((hook, run)) = hold.calling().filter(|(_, run)| run.point == point) else {
        return Break(written(
            held,
            HookRun::first(point, 0, hooks, time),
            "which hook is called is written down first",
        ));
    };
    let name = format!("hook {} ({})", hook.function, point.as_str());
    let called = now.world.hook()?.filter(|called| called.id == run.call());
    let next = match called.map(|called| &called.answer) {
        Some(Some(HookAnswer::Succeeded)) => HookRun::first(point, run.number + 1, hooks, time),
        Some(Some(HookAnswer::Failed(why))) => {
            let why = format!("{name} has failed: {why}. Its own log says more");
            return Break(turn_back(now, held, &why));
        }
        Some(Some(HookAnswer::InProgress { delay_secs, details })) => {
            let due = time + SignedDuration::from_secs((*delay_secs).into());
            HookRun { due, details: details.clone().or_else(|| run.details.clone()), ..run.clone() }
        }
        Some(Some(HookAnswer::Unheard(_))) => {
            let due = time + SignedDuration::from_secs(HookAnswer::UNHEARD_SECS.into());
            HookRun { due, ..run.clone() }
        }
        Some(None) | None => return Break(wait_or_call(now, held, &name, called.is_some())?),
    };
    let why = if next.number > run.number { "the hook has succeeded" } else { "the hook is called again later" };
    Break(written(held, next, why))
}

/// The hook hasn't answered the call that is due; `runs` if this process has made it.
fn wait_or_call(now: &Situation<'_>, held: &Held, name: &str, runs: bool) -> First<Decision> {
    let Some((_, run)) = held.hold.calling() else { return Continue(Decision::wait("a hook")) };
    let secs = held.hold.settings.timeouts.hook_secs;
    let Some((end, left)) = now.left(run.since, secs) else {
        let why = format!("{name} hasn't succeeded within TIMEOUTS.HOOK, {secs} s. Its own log says more");
        return Continue(turn_back(now, held, &why));
    };
    let words = |does: String| format!("{name} since {:.0}, {} more at most: {does}", run.since, duration(left));
    if runs {
        return Continue(Decision::wait(words("it runs".to_owned())));
    }
    let time = now.world.now();
    if time < run.due {
        let secs = run.due.duration_since(time).as_secs() + 1;
        let next = run.due.min(end).min(time + SignedDuration::from_secs(WATCH_EVERY_SECS));
        return Continue(Decision::wait_until(next, words(format!("in progress, called again in {}", duration(secs)))));
    }
    Continue(Decision::act(Step::CallHook(Box::new(call(now, held)?)), "the hook is called"))
}

/// The call that is due.
fn call(now: &Situation<'_>, held: &Held) -> First<HookCall> {
    let hold = &held.hold;
    let Some((hook, run)) = hold.calling() else { return Break(Decision::wait("a hook")) };
    let mut fleet = now.world.fleet(&hold.release)?;
    fleet.retain(|instance| instance.state == InstanceState::Running);
    fleet.sort_by_key(|instance| &instance.id);
    let zone = hold.settings.zone.as_deref();
    let tests = now.world.as_read().routing.as_ref().filter(|routing| !routing.tests.is_empty());
    Continue(HookCall {
        id: run.call(),
        function: hook.function.clone(),
        told: HookTold {
            execution_id: hold.release.clone(),
            lifecycle_stage: run.point.lifecycle_stage(),
            hook_details: run.details.clone().unwrap_or_else(|| serde_json::json!({})),
            service: now.job.role.clone(),
            release: hold.release.clone(),
            pipeline: hold.pipeline.clone(),
            point: run.point,
            instances: fleet.iter().map(|instance| instance.id.clone()).collect(),
            private_ips: fleet.iter().filter_map(|instance| instance.private_ip.clone()).collect(),
            candidate_name: zone.map(|zone| Names::Candidate.fleet_name(&now.job.role, zone)),
            test_address: tests.map(|routing| test_traffic::address(Some(routing))),
        },
    })
}

fn written(held: &Held, run: HookRun, why: &'static str) -> Decision {
    Decision::act(Situation::rewrite(held, |hold| hold.hook = Some(run)), why)
}
