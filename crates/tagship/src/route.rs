//! Route's planners: move every switch to the candidate and watch it, or give the traffic back.

use crate::traffic::Traffic;
use crate::{
    Decision, Done, Ended, Ending, Error, Held, HowEnded, Memo, Phase, Previous, Reads, Report, Situation, Stage,
    Verdict, bounded,
};
use jiff::SignedDuration;

const READS: Reads = Reads {
    settings: false,
    holder: false,
    instances: true,
    routing: true,
    addresses: false,
    names: true,
    install: false,
    artifact: false,
};

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
        report: report(now, traffic),
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
                return Decision::last(held, kept(now, format!("{} was {how} before", held.hold.release), None));
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
                None => Decision::Done(restored(now, held, traffic)),
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
fn restored(now: &Situation<'_>, held: &Held, traffic: Traffic) -> Done {
    let hold = &held.hold;
    let mut done = Done { report: report(now, traffic), ..Done::default() };
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
fn kept(now: &Situation<'_>, message: String, traffic: Option<Traffic>) -> Done {
    let mut report = traffic.map(|traffic| report(now, traffic)).unwrap_or_default();
    report.instances = now.world.fleet(&now.job.release).map(|instance| instance.id.clone()).collect();
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

fn report(now: &Situation<'_>, traffic: Traffic) -> Report {
    Report {
        instances: now.world.fleet(&now.job.release).map(|instance| instance.id.clone()).collect(),
        names: now.world.names.iter().map(|record| record.name.clone()).collect(),
        weights: traffic.weights,
        ..Report::default()
    }
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
mod tests {
    use super::*;
    use crate::testing::*;
    use crate::{Action, Health, Hold, Holding, World, names};

    /// What a row changes of the usual middle of a release (1 live in a, 2 the candidate in b).
    struct Case {
        holding: Holding,
        world: World,
        memo: Memo,
    }

    impl Case {
        fn hold(&mut self) -> &mut Hold {
            &mut self.holding.held.as_mut().expect("a hold").hold
        }

        fn shifted(&mut self) {
            let hold = self.hold();
            hold.previous = Some(Previous { release: Some(release(1)), healthy: 2 });
            hold.moved_at = Some(at(90));
            self.moved(2);
            self.world.names = named(names::Names::Live, 2);
        }

        fn moved(&mut self, switches: usize) {
            self.world.routing = self.world.routing.take().map(|routing| moved(routing, switches));
        }

        fn sick(&mut self, group: usize, targets: usize) {
            let routing = self.world.routing.as_mut().expect("routing");
            for target in routing.groups[group].targets.iter_mut().take(targets) {
                target.health = Health::Unhealthy;
                target.reason = Some("Target.Timeout".to_owned());
            }
        }
    }

    fn check(action: Action, change: impl FnOnce(&mut Case), expected: &str) {
        let mut case = Case { holding: held(hold(2)), world: world(), memo: Memo::new(at(0)) };
        change(&mut case);
        let found = match action {
            Action::Rollback => ask::<Rollback>(action, &case.holding, &case.world, &mut case.memo),
            _ => ask::<Shift>(action, &case.holding, &case.world, &mut case.memo),
        };
        assert!(found.starts_with(expected), "expected {expected:?}…\n   found {found:?}");
    }

    #[test]
    fn shift() {
        let shift = |change: fn(&mut Case), expected| check(Action::Shift, change, expected);
        shift(|_| {}, "do: write the hold of r0000002: Open, previous r0000001 with 2 healthy");
        let previous = Some(Previous { release: Some(release(1)), healthy: 2 });
        check(Action::Shift, |case| case.hold().previous = previous.clone(), "do: set HTTP:80 to arn:b=100, arn:a=0");
        // Moved by hand and dead: even so, discard must know that there was weight.
        shift(
            |case| {
                case.moved(1);
                case.sick(1, 2);
                case.memo.dips = 1;
            },
            "do: write the hold of r0000002: Open, previous r0000001 with 2 healthy",
        );
        let half = |case: &mut Case| {
            case.hold().previous = previous.clone();
            case.moved(1);
        };
        check(Action::Shift, half, "do: set HTTPS:443 to arn:b=100, arn:a=0");
        let all = |case: &mut Case| {
            case.hold().previous = previous.clone();
            case.moved(2);
        };
        check(Action::Shift, all, "do: write the hold of r0000002: Open, previous r0000001 with 2 healthy, moved at");
        // A candidate that isn't whole, seen twice.
        shift(|case| case.sick(1, 1), "wait: a second look");
        let twice = |case: &mut Case| {
            case.sick(1, 1);
            case.memo.dips = 1;
        };
        check(
            Action::Shift,
            twice,
            "fail: release r0000002 of WEB_PRODUCT is no longer whole, so no traffic was moved to it: 1 of 2 targets in \
             web-b are healthy: i-21 unhealthy (Target.Timeout)",
        );
        shift(
            |case| {
                case.world.routing.as_mut().expect("routing").groups[1].targets.push(target(3, 1));
                case.memo.dips = 1;
            },
            "fail: release r0000002 of WEB_PRODUCT is no longer whole, so no traffic was moved to it: target group web-b \
             also has targets that aren't this release's: i-31",
        );
        // All switches have moved, which isn't written down yet: that too is given back, and then told.
        fn dies(case: &mut Case) {
            case.hold().previous = Some(Previous { release: Some(release(1)), healthy: 2 });
            case.sick(1, 1);
            case.memo.dips = 1;
        }
        shift(
            |case| {
                dies(case);
                case.moved(2);
            },
            "do: set HTTP:80 to arn:a=100, arn:b=0",
        );
        shift(
            |case| {
                dies(case);
                case.memo.watched = Some("i-21 has died".to_owned());
            },
            "fail: i-21 has died: the traffic is back with r0000001",
        );
        // The first release ever.
        shift(
            |case| {
                case.world.instances.drain(..2);
                case.world.routing.as_mut().expect("routing").groups[0].targets.clear();
            },
            "do: write the hold of r0000002: Open, previous none with 0 healthy",
        );
    }

    #[test]
    fn the_watch() {
        let watch = |change: fn(&mut Case), expected| {
            check(
                Action::Shift,
                |case| {
                    case.shifted();
                    change(case);
                },
                expected,
            );
        };
        watch(|_| {}, "wait: 21 s more of watching: 2 of 2 targets healthy");
        watch(|case| case.world.now = at(120), "done: r0000002 of WEB_PRODUCT is live on every switch");
        watch(|case| case.world.names = named(names::Names::Live, 1), "do: change");
        watch(|case| case.sick(1, 1), "wait: 21 s more of watching: 1 of 2");
        watch(
            |case| {
                case.sick(1, 1);
                case.memo.dips = 1;
            },
            "do: set HTTP:80 to arn:a=100, arn:b=0",
        );
        watch(|case| case.sick(1, 2), "do: set HTTP:80 to arn:a=100, arn:b=0");
        watch(
            |case| {
                case.sick(0, 2);
                case.sick(1, 2);
            },
            "fail: the release failed while it was watched (0 of 2 targets in web-b are healthy",
        );
        // Half moved back by an invocation that died, or by a person.
        check(
            Action::Shift,
            |case| {
                case.shifted();
                case.world.routing = world().routing.map(|routing| moved(routing, 1));
            },
            "do: set HTTP:80 to arn:a=100, arn:b=0",
        );
        check(
            Action::Shift,
            |case| {
                case.shifted();
                case.world.routing = world().routing;
                case.world.names = named(names::Names::Live, 1);
            },
            "fail: a switch has left this release after the shift: the traffic is back with r0000001",
        );
        // Given back by this watch: the cause is told when the weights are where they were.
        check(
            Action::Shift,
            |case| {
                case.shifted();
                case.world.routing = world().routing;
                case.world.names = named(names::Names::Live, 1);
                case.memo.watched = Some("i-21 has died".to_owned());
            },
            "fail: i-21 has died: the traffic is back with r0000001",
        );
        // A predecessor that was smaller asks for no more than it had.
        watch(
            |case| {
                case.hold().previous = Some(Previous { release: Some(release(1)), healthy: 1 });
                case.sick(1, 1);
                case.memo.dips = 5;
            },
            "wait: 21 s more",
        );
    }

    #[test]
    fn rollback() {
        let rollback = |change: fn(&mut Case), expected| {
            check(
                Action::Rollback,
                |case| {
                    case.shifted();
                    case.hold().phase = Phase::Ending;
                    change(case);
                },
                expected,
            );
        };
        check(Action::Rollback, |_| {}, "do: write the hold of r0000002: Ending");
        rollback(|_| {}, "do: set HTTP:80 to arn:a=100, arn:b=0");
        rollback(
            |case| {
                case.world.routing = world().routing;
                case.world.names = named(names::Names::Live, 2);
            },
            "do: change",
        );
        rollback(
            |case| {
                case.world.routing = world().routing;
                case.world.names = named(names::Names::Live, 1);
            },
            "done: r0000002 of WEB_PRODUCT rolled back: r0000001 serves",
        );
        // Moved by hand before the shift: discard waits for SETTLE only if it knows that there was weight.
        rollback(|case| case.hold().previous = None, "do: write the hold of r0000002: Ending, previous r0000001");
        // One of two is fewer than it had, and fewer than the candidate has: not good enough …
        rollback(|case| case.sick(0, 1), "wait: r0000001, which has 1 healthy targets and had 2");
        // … but enough if the candidate has no more.
        rollback(
            |case| {
                case.sick(0, 1);
                case.sick(1, 1);
            },
            "do: set HTTP:80 to arn:a=100, arn:b=0",
        );
        let dead = |case: &mut Case| {
            case.sick(0, 2);
            case.memo.dips = 2;
        };
        rollback(
            |case| {
                case.sick(0, 2);
                case.memo.dips = 2;
            },
            "do: mark r0000002 as kept",
        );
        check(
            Action::Rollback,
            |case| {
                case.shifted();
                case.hold().phase = Phase::Ending;
                case.world.routing = world().routing.map(|routing| moved(routing, 1));
                dead(case);
            },
            "do: set HTTPS:443 to arn:b=100, arn:a=0",
        );
        // A late call registered it in its predecessor's group too: that group is home all the same.
        rollback(
            |case| {
                let targets = &mut case.world.routing.as_mut().expect("routing").groups[0].targets;
                targets.extend([target(2, 1), target(2, 2)]);
            },
            "do: set HTTP:80 to arn:a=100, arn:b=0",
        );
        // Somebody registered one of its instances in the live group: that moved no traffic.
        rollback(
            |case| {
                case.hold().previous = None;
                case.world.routing = world().routing;
                case.world.routing.as_mut().expect("routing").groups[0].targets.push(target(2, 1));
            },
            "done: r0000002 of WEB_PRODUCT has moved no traffic",
        );
        // Never shifted: nothing to give back.
        rollback(
            |case| {
                case.hold().previous = None;
                case.world.routing = world().routing;
            },
            "done: r0000002 of WEB_PRODUCT has moved no traffic",
        );
    }
}
