//! Route's planners: move every switch to the candidate and watch it, or give the traffic back.

use crate::traffic::Traffic;
use crate::{
    Decision, Done, Ended, Ending, Error, Held, HowEnded, Memo, Phase, Previous, Reads, Situation, Stage, Verdict,
    bounded,
};
use jiff::SignedDuration;

const READS: Reads = Reads { instances: true, routing: true, names: true, ..Reads::NOTHING };

/// Rounds in a row that an observation must repeat before it costs a release its traffic.
const ROUNDS: u8 = 2;

/// So much of why the traffic was given back is kept in the continuation token.
const WATCHED: usize = 600;

/// Moves the weights of every switch to the candidate, then watches.
#[derive(Debug)]
pub struct Shift;

impl Stage for Shift {
    const READS: Reads = READS;

    fn decide(now: &Situation<'_>, memo: &mut Memo) -> Decision {
        let Some(held) = now.held() else {
            return Decision::Fail(Error::new(crate::Kind::Bug, "tagship: shift without a hold"));
        };
        let traffic = match Traffic::of(now, &held.hold) {
            Ok(traffic) => traffic,
            Err(error) => return Decision::Fail(error),
        };
        match (held.hold.moved_at, &traffic.forward) {
            (None, _) => forward(now, memo, held, traffic),
            (Some(_), None) if traffic.any_mine => watch(now, memo, held, traffic),
            // It was moved before, and isn't any more: by this planner after a bad watch, or by a person.
            (Some(_), _) => {
                let why = memo.watched.as_deref().unwrap_or("a switch has left this release after the shift");
                back(held, traffic, why)
            }
        }
    }
}

/// Before the last weight has moved.
fn forward(now: &Situation<'_>, memo: &mut Memo, held: &Held, traffic: Traffic) -> Decision {
    let write_previous = |traffic: &Traffic| {
        let previous = Previous { release: traffic.home.clone(), healthy: traffic.home_healthy };
        let step = Situation::rewrite(held, |hold| hold.previous = Some(previous));
        Decision::act(step, "write down who is live before the first weight moves")
    };
    // A person gave it weight before: discard must know that it had some, however this goes on.
    if held.hold.previous.is_none() && traffic.any_mine {
        return write_previous(&traffic);
    }
    if let Some(why) = &traffic.ailing {
        memo.dips = memo.dips.saturating_add(1);
        if memo.dips < ROUNDS {
            return Decision::Wait(format!("a second look at the candidate: {why}"));
        }
        if traffic.any_mine {
            let why = format!("the candidate failed while the switches moved to it ({why})");
            return give_back(held, memo, traffic, &why);
        }
        if let Some(why) = &memo.watched {
            return back(held, traffic, why);
        }
        let fleet = "its fleet, which discard removes";
        let message = format!(
            "release {} of {} is no longer whole, so no traffic was moved to it: {why}. Left behind: {fleet}. Start a new \
             execution",
            held.hold.release, now.job.role
        );
        return Decision::Fail(Error::release(message).leaving(vec![fleet.to_owned()]));
    }
    memo.dips = 0;
    if held.hold.previous.is_none() {
        return write_previous(&traffic);
    }
    match traffic.forward {
        Some(step) => Decision::act(step, "the candidate is whole: a switch moves"),
        None => {
            let step = Situation::rewrite(held, |hold| hold.moved_at = Some(now.world.since()));
            Decision::act(step, "every switch has moved")
        }
    }
}

/// After it: names, and the watch.
fn watch(now: &Situation<'_>, memo: &mut Memo, held: &Held, traffic: Traffic) -> Decision {
    let hold = &held.hold;
    let settings = &hold.settings;
    let moved_at = hold.moved_at.unwrap_or(now.world.now);
    let before = hold.previous.as_ref().map_or(0, |previous| previous.healthy);
    let enough = before.min(settings.count).max(1);
    memo.dips = if traffic.mine_healthy < enough { memo.dips.saturating_add(1) } else { 0 };
    if traffic.mine_healthy == 0 || memo.dips >= ROUNDS {
        let why = traffic.ailing.clone().unwrap_or_else(|| format!("{} healthy targets", traffic.mine_healthy));
        return give_back(held, memo, traffic, &format!("the release failed while it was watched ({why})"));
    }
    if let Some(step) = traffic.names {
        return Decision::act(step, "the live names follow the weights");
    }
    let watched = now.world.now.duration_since(moved_at);
    let left = SignedDuration::from_secs(i64::from(settings.timeouts.watch_secs)) - watched;
    if left > SignedDuration::ZERO {
        return Decision::Wait(format!(
            "{} s more of watching: {} of {} targets healthy",
            left.as_secs() + 1,
            traffic.mine_healthy,
            settings.count
        ));
    }
    let already = if moved_at < memo.began { "already " } else { "" };
    let previous = previous_name(held);
    Decision::Done(Done {
        message: format!(
            "{} of {} is {already}live on every switch with {} healthy targets; before: {previous}",
            hold.release, now.job.role, traffic.mine_healthy
        ),
        outputs: vec![("LiveRelease", hold.release.to_string()), ("PreviousRelease", previous)],
        report: now.report(),
        ..Done::default()
    })
}

/// Restores the predecessor, and keeps in mind why.
fn give_back(held: &Held, memo: &mut Memo, traffic: Traffic, why: &str) -> Decision {
    let why = bounded(why, WATCHED);
    let decision = back(held, traffic, &why);
    memo.watched = Some(why);
    decision
}

/// Restores the predecessor, then fails.
fn back(held: &Held, traffic: Traffic, why: &str) -> Decision {
    let previous = held.hold.previous.clone().unwrap_or(Previous { release: None, healthy: 0 });
    if traffic.any_mine && !traffic.home_can_serve(&previous) {
        let message = format!(
            "{why}, and nothing can be restored: {} has {} healthy targets. Left as it is: {}. Look at the targets now; \
             rollback will keep this release live unless its predecessor recovers",
            previous_name(held),
            traffic.home_healthy,
            weights(&traffic)
        );
        return Decision::Fail(Error::release(message).leaving(vec![format!("live traffic: {}", weights(&traffic))]));
    }
    if let Some(step) = traffic.back {
        return Decision::act(step, "the predecessor serves again");
    }
    if let Some(step) = traffic.names {
        return Decision::act(step, "the live names follow the weights");
    }
    let fleet = format!("the fleet of {}, which discard removes", held.hold.release);
    let message = format!(
        "{why}: the traffic is back with {}. Left behind: {fleet}. Find the cause in its instances' logs before you start \
         a new execution",
        previous_name(held)
    );
    Decision::Fail(Error::release(message).leaving(vec![fleet]))
}

/// Gives the traffic back to the previous release.
#[derive(Debug)]
pub struct Rollback;

impl Stage for Rollback {
    const READS: Reads = READS;

    fn decide(now: &Situation<'_>, memo: &mut Memo) -> Decision {
        let Some(held) = now.held() else {
            return Decision::Fail(Error::new(crate::Kind::Bug, "tagship: rollback without a hold"));
        };
        match now.verdict {
            Verdict::Turn(phase) => {
                let step = Situation::rewrite(held, |hold| hold.phase = phase);
                return Decision::act(step, "from here on this release only ends");
            }
            Verdict::FreeHold => {
                let how = now.holding.ended.as_ref().map_or("ended", |ended| ended.how.as_str());
                return Decision::last(held, kept(now, format!("{} was {how} before", held.hold.release)));
            }
            _ => debug_assert_eq!(held.hold.phase, Phase::Ending),
        }
        let traffic = match Traffic::of(now, &held.hold) {
            Ok(traffic) => traffic,
            Err(error) => return Decision::Fail(error),
        };
        let previous = held.hold.previous.clone().unwrap_or(Previous { release: None, healthy: 0 });
        if !traffic.any_mine {
            return match traffic.names.clone().filter(|_| held.hold.previous.is_some()) {
                Some(step) => Decision::act(step, "the live names follow the weights"),
                None => Decision::Done(restored(now, held)),
            };
        }
        if traffic.home_can_serve(&previous) {
            memo.dips = 0;
            // A person gave it weight before its shift: discard must know that it had some.
            if held.hold.previous.is_none() {
                let previous = Previous { release: traffic.home.clone(), healthy: traffic.home_healthy };
                let step = Situation::rewrite(held, |hold| hold.previous = Some(previous));
                return Decision::act(step, "write down who is live before a weight moves");
            }
            return match traffic.back {
                Some(step) => Decision::act(step, "the predecessor serves again"),
                None => Decision::Wait("the switches to agree".to_owned()),
            };
        }
        // What can't be taken back is decided on more than one look.
        memo.dips = memo.dips.saturating_add(1);
        if memo.dips <= ROUNDS {
            return Decision::Wait(format!(
                "{}, which has {} healthy targets and had {}",
                previous_name(held),
                traffic.home_healthy,
                previous.healthy
            ));
        }
        match traffic.forward {
            Some(step) if traffic.mine_healthy > 0 => {
                Decision::act(step, "nothing can be restored: no switch is left with the dead predecessor")
            }
            _ => Decision::act(
                crate::Step::WriteEnded(Ended {
                    release: held.hold.release.clone(),
                    how: HowEnded::Kept,
                    at: now.world.now,
                    artifact: held.hold.artifact.clone(),
                }),
                "nothing can be restored: the release stays live",
            ),
        }
    }
}

/// Rollback's success where traffic is with the predecessor, or never left it.
fn restored(now: &Situation<'_>, held: &Held) -> Done {
    let hold = &held.hold;
    let mut done = Done { report: now.report(), ..Done::default() };
    match &hold.previous {
        Some(previous) => {
            done.message = format!("{} of {} rolled back: {} serves", hold.release, now.job.role, previous_name(held));
            done.outputs = vec![
                ("LiveRelease", previous.release.as_ref().map_or("none".to_owned(), ToString::to_string)),
                ("PreviousRelease", hold.release.to_string()),
            ];
            done.report.ending = Ending::RolledBack;
            done.report.left_behind = vec![format!("the fleet of {}, which discard removes", hold.release)];
        }
        None => {
            done.nothing = true;
            done.message = format!("{} of {} has moved no traffic", hold.release, now.job.role);
        }
    }
    done
}

/// Rollback's success where nothing could be restored.
fn kept(now: &Situation<'_>, message: String) -> Done {
    let mut report = now.report();
    if now.holding.ended.as_ref().is_some_and(|ended| ended.how == HowEnded::Kept) {
        report.ending = Ending::Kept;
        report.left_behind = vec![format!(
            "release {} stays live on every switch: its predecessor had no targets to serve. Release a good build soon; \
             that removes it",
            now.job.release
        )];
    }
    Done { message, report, ..Done::default() }
}

fn previous_name(held: &Held) -> String {
    match &held.hold.previous {
        Some(Previous { release: Some(release), .. }) => release.to_string(),
        Some(Previous { release: None, healthy: 1.. }) => "what was there before tagship".to_owned(),
        _ => "none".to_owned(),
    }
}

fn weights(traffic: &Traffic) -> String {
    let words: Vec<String> = traffic.weights.iter().map(|(switch, weights)| format!("{switch}: {weights}")).collect();
    words.join("; ")
}

#[cfg(test)]
mod tests;
