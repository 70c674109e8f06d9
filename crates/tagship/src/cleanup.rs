//! Cleanup's planners: retire, discard, park, and the sweep for holds that nobody ended.

use crate::removal::{Removal, serving};
use crate::settings::Keep;
use crate::traffic::{Traffic, running};
use crate::{
    Action, Decision, Done, Ended, Error, Execution, ExecutionState, Held, HowEnded, Instance, Memo, Phase, Reads,
    ReleaseId, Report, Situation, Stage, Step, Verdict, listed,
};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;

const READS: Reads = Reads {
    settings: false,
    holder: false,
    instances: true,
    routing: true,
    addresses: true,
    names: true,
    install: true,
    artifact: false,
};

/// How long an execution must have ended before sweep calls its hold abandoned, in seconds: its own end is
/// probably still being handled.
pub const ABANDONED_SECS: i64 = 300;

/// Removes what the approved release replaced.
#[derive(Debug)]
pub struct Retire;

impl Stage for Retire {
    const READS: Reads = READS;

    fn decide(now: &Situation<'_>, memo: &mut Memo) -> Decision {
        let Some(held) = now.held() else { return lost() };
        if now.verdict == Verdict::FreeHold {
            return ended(now, held);
        }
        retire(now, memo, held)
    }
}

/// Retire itself; discard comes here too if the release was approved meanwhile.
fn retire(now: &Situation<'_>, memo: &mut Memo, held: &Held) -> Decision {
    let hold = &held.hold;
    let traffic = match Traffic::of(now, hold) {
        Ok(traffic) => traffic,
        Err(error) => return Decision::Fail(error),
    };
    let world = now.world;
    let serving = serving(world.routing.as_ref());
    let live = traffic.any_mine && traffic.forward.is_none();
    let refused = if let Verdict::Turn(_) = now.verdict {
        if !live {
            Some("it is not live on every switch")
        } else if traffic.mine_healthy == 0 && traffic.home_healthy > 0 {
            Some("it has no healthy target, and what it replaced has")
        } else {
            None
        }
    } else {
        // Approved before: only a switch turned elsewhere stops it, not that its own fleet died meanwhile.
        let other = |instance: &&Instance| instance.release.as_ref().is_some_and(|release| *release != hold.release);
        let elsewhere = world.instances.iter().filter(other).any(|instance| serving.contains(instance.id.as_str()));
        (!live && elsewhere).then_some("it is not live on every switch")
    };
    if let Some(why) = refused {
        let weights: Vec<String> = traffic.weights.iter().map(|(switch, value)| format!("{switch}: {value}")).collect();
        return Decision::Fail(Error::release(format!(
            "release {} of {} can't be retired into: {why} ({}). Nothing was removed. If the weights were changed by \
             hand, set them to this release's group and retry; else reject it",
            hold.release,
            now.job.role,
            weights.join("; ")
        )));
    }
    if let Verdict::Turn(phase) = now.verdict {
        let step = Situation::rewrite(held, |hold| hold.phase = phase);
        return Decision::act(step, "approved: from here on there is no way back");
    }
    let others = world.instances.iter().filter(|instance| {
        instance.release.as_ref().is_some_and(|release| *release != hold.release)
            && !serving.contains(instance.id.as_str())
    });
    let removal = Removal {
        doomed: others.clone().map(|instance| instance.id.as_str()).collect(),
        releases: releases_but(now, &hold.release),
        stop_by: (hold.settings.keep == Keep::Stop).then_some(&hold.release),
        live: Some(running(world.fleet(&hold.release))),
    };
    let moved_at = hold.moved_at.unwrap_or(*memo.weightless.get_or_insert(world.since()));
    if !removal.doomed.is_empty()
        && let Some(wait) = settle(moved_at, now, held)
    {
        return wait;
    }
    removal.next(now, hold, memo).unwrap_or_else(|| mark(now, held, HowEnded::Approved))
}

/// Every release that an instance or address names, but one.
fn releases_but<'a>(now: &Situation<'a>, own: &ReleaseId) -> BTreeSet<&'a ReleaseId> {
    let instances = now.world.instances.iter().filter_map(|instance| instance.release.as_ref());
    let addresses = now.world.addresses.iter().filter_map(|address| address.release.as_ref());
    instances.chain(addresses).filter(|release| *release != own).collect()
}

/// Removes a rejected or failed candidate.
#[derive(Debug)]
pub struct Discard;

impl Stage for Discard {
    const READS: Reads = READS;

    fn decide(now: &Situation<'_>, memo: &mut Memo) -> Decision {
        if now.verdict == Verdict::MarkDiscarded {
            return never_held(now);
        }
        let Some(held) = now.held() else { return lost() };
        match now.verdict {
            // Marked before it held: what it launched all the same goes first.
            Verdict::FreeHold if !now.holding.late_mark() => return ended(now, held),
            Verdict::FinishRetire => return retire(now, memo, held),
            Verdict::Turn(phase) => return turn(held, phase),
            _ => {}
        }
        let hold = &held.hold;
        let world = now.world;
        let own: BTreeSet<&str> = world.fleet(&hold.release).map(|instance| instance.id.as_str()).collect();
        let weighted = Traffic::of(now, hold).is_ok_and(|traffic| traffic.any_mine);
        let serving = serving(world.routing.as_ref());
        let strays: Vec<&str> = own.intersection(&serving).copied().collect();
        if weighted || !strays.is_empty() {
            memo.weightless = None;
            return Decision::Wait(if weighted {
                "rollback to take the traffic away from this release".to_owned()
            } else {
                let strays = listed(strays);
                format!(
                    "a person to deregister {strays} of this release from the live group, where tagship put none of it"
                )
            });
        }
        let weightless = *memo.weightless.get_or_insert(world.since());
        let settled = settle(weightless, now, held);
        // A release that was never shifted has had no weight: it may go at once.
        if hold.previous.is_some()
            && let Some(wait) = settled
        {
            return wait;
        }
        // Rollback may have died between the weights and the names: what it left is done here.
        let live = hold.previous.as_ref().map(|previous| match &previous.release {
            Some(release) => running(world.fleet(release)),
            None => Vec::new(),
        });
        let removal = Removal { doomed: own, releases: BTreeSet::from([&hold.release]), stop_by: None, live };
        // The last look is SETTLE after the phase: what a late call of an earlier stage left is seen by then.
        removal.next(now, hold, memo).or(settled).unwrap_or_else(|| match now.verdict {
            Verdict::FreeHold => ended(now, held),
            _ => mark(now, held, HowEnded::Discarded),
        })
    }
}

/// Nothing was held: provision must not start later.
fn never_held(now: &Situation<'_>) -> Decision {
    let ended = Ended { release: now.job.release.clone(), how: HowEnded::Discarded, at: now.world.now, artifact: None };
    let message = format!("{} of {} never held the service: nothing to remove", now.job.release, now.job.role);
    Decision::Do {
        step: Step::WriteEnded(ended),
        why: "a late start of this release fails by it",
        then: Some(Box::new(Done { message, outputs: vec![("Terminated", "none".to_owned())], ..Done::default() })),
    }
}

/// Empties a pre-product environment.
#[derive(Debug)]
pub struct Park;

impl Stage for Park {
    const READS: Reads = READS;

    fn decide(now: &Situation<'_>, memo: &mut Memo) -> Decision {
        let Some(held) = now.held() else { return lost() };
        match now.verdict {
            Verdict::FreeHold => return ended(now, held),
            Verdict::Turn(phase) => return turn(held, phase),
            _ => {}
        }
        let world = now.world;
        let tagged = world.instances.iter().filter(|instance| instance.release.is_some());
        let mut releases = releases_but(now, &held.hold.release);
        releases.insert(&held.hold.release);
        let removal = Removal {
            doomed: tagged.map(|instance| instance.id.as_str()).collect(),
            releases,
            stop_by: None,
            live: Some(Vec::new()),
        };
        let settled = settle(*memo.weightless.get_or_insert(world.since()), now, held);
        removal.next(now, &held.hold, memo).or(settled).unwrap_or_else(|| mark(now, held, HowEnded::Parked))
    }
}

/// Looks after one hold on a schedule: deletes it if its release has ended, and tells of it if it was abandoned.
#[derive(Debug)]
pub struct Sweep;

impl Stage for Sweep {
    const READS: Reads = Reads { holder: true, ..Reads::NOTHING };

    fn decide(now: &Situation<'_>, _: &mut Memo) -> Decision {
        let Some(held) = now.held() else { return lost() };
        if now.verdict == Verdict::FreeHold {
            return ended(now, held);
        }
        let Some(execution) = &now.world.holder else {
            return Decision::Fail(Error::new(crate::Kind::Bug, "tagship: the holder's execution was not read"));
        };
        let nothing = |message: String| Decision::Done(Done { nothing: true, message, ..Done::default() });
        let Some((action, reason)) = abandoned(held, execution) else {
            return nothing(format!("{} of {} is still running", held.hold.release, now.job.role));
        };
        let ended_at = execution.updated_at.unwrap_or(held.hold.since);
        if now.world.now.duration_since(ended_at) < SignedDuration::from_secs(ABANDONED_SECS) {
            return nothing(format!("{} of {} has just ended", held.hold.release, now.job.role));
        }
        let done = Done {
            message: format!("{} of {} was abandoned ({reason}): asked for {action}", held.hold.release, now.job.role),
            ..Done::default()
        };
        let step = abandon(held, action, reason);
        Decision::Do { step, why: "its end was not handled", then: Some(Box::new(done)) }
    }
}

/// What is to become of a hold whose execution has ended, and why; none while it runs.
pub fn abandoned(held: &Held, execution: &Execution) -> Option<(Action, String)> {
    let words = match execution.state {
        ExecutionState::Running => return None,
        ExecutionState::Succeeded => "its execution succeeded",
        ExecutionState::Ended => "its execution failed, was stopped, superseded or cancelled",
        ExecutionState::NotFound => "CodePipeline doesn't know its execution",
    };
    // Retire refuses what is ending, whatever its execution says.
    let retire = execution.state == ExecutionState::Succeeded && held.hold.phase != Phase::Ending;
    Some((if retire { Action::Retire } else { Action::Discard }, words.to_owned()))
}

/// The event that has an abandoned release ended.
pub fn abandon(held: &Held, action: Action, reason: String) -> Step {
    Step::Abandon { release: held.hold.release.clone(), pipeline: held.hold.pipeline.clone(), action, reason }
}

fn lost() -> Decision {
    Decision::Fail(Error::new(crate::Kind::Bug, "tagship: cleanup without a hold"))
}

fn turn(held: &Held, phase: Phase) -> Decision {
    Decision::act(Situation::rewrite(held, |hold| hold.phase = phase), "from here on this release only ends")
}

/// Waits until SETTLE seconds have passed since `since`.
fn settle(since: Timestamp, now: &Situation<'_>, held: &Held) -> Option<Decision> {
    let settle_secs = held.hold.settings.timeouts.settle_secs;
    let left = SignedDuration::from_secs(i64::from(settle_secs)) - now.world.now.duration_since(since);
    (left > SignedDuration::ZERO).then(|| {
        Decision::Wait(format!("late calls and the balancer's nodes to settle, {} s more", left.as_secs() + 1))
    })
}

/// All is done: the marker first, then the hold.
fn mark(now: &Situation<'_>, held: &Held, how: HowEnded) -> Decision {
    let ended =
        Ended { release: held.hold.release.clone(), how, at: now.world.now, artifact: held.hold.artifact.clone() };
    Decision::act(Step::WriteEnded(ended), "all of it is done")
}

/// The marker is written: free the hold and tell what was done.
fn ended(now: &Situation<'_>, held: &Held) -> Decision {
    let world = now.world;
    let how = now.holding.ended.as_ref().map_or("ended", |ended| ended.how.as_str());
    // EC2 shows terminated instances for an hour: those of earlier releases are not this one's doing.
    let whose = match now.job.action {
        Action::Retire => held.hold.previous.as_ref().and_then(|previous| previous.release.as_ref()),
        _ => Some(&held.hold.release),
    };
    let removed: Vec<String> = whose
        .into_iter()
        .flat_map(|release| world.fleet(release))
        .filter(|instance| instance.gone() || instance.retired_by.as_ref() == Some(&held.hold.release))
        .map(|instance| instance.id.clone())
        .collect();
    let unowned = world.instances.iter().filter(|instance| instance.release.is_none() && !instance.gone());
    let left_behind = unowned
        .map(|instance| {
            format!(
                "instance {} has the service's tag but no tagship:release: tag or terminate it by hand",
                instance.id
            )
        })
        .collect();
    let terminated = listed(removed.iter().map(String::as_str));
    let done = Done {
        message: format!("{} of {} is {how}; removed: {terminated}", held.hold.release, now.job.role),
        outputs: vec![("Terminated", terminated)],
        report: Report { instances: removed, left_behind, ..Report::default() },
        ..Done::default()
    };
    Decision::last(held, done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use crate::{Address, Health, Hold, Holding, InstanceState, Previous, World, names};

    struct Case {
        holding: Holding,
        world: World,
        memo: Memo,
    }

    impl Case {
        fn hold(&mut self) -> &mut Hold {
            &mut self.holding.held.as_mut().expect("a hold").hold
        }

        /// Every doomed target of a group is deregistered, and DRAIN seconds are over.
        fn drained(&mut self, group: usize) {
            let routing = self.world.routing.as_mut().expect("routing");
            routing.groups[group].targets.iter_mut().for_each(|target| target.health = Health::Draining);
            self.memo.since = Some(at(0));
        }

        fn state(&mut self, of: u8, state: InstanceState) {
            let release = release(of);
            let fleet = self.world.instances.iter_mut().filter(|i| i.release.as_ref() == Some(&release));
            fleet.for_each(|instance| instance.state = state);
        }
    }

    /// Release 2 was shifted at 50 s; it is 100 s now.
    fn check(action: Action, change: impl FnOnce(&mut Case), expected: &str) {
        let mut case = Case { holding: held(hold(2)), world: world(), memo: Memo::new(at(0)) };
        let hold = case.hold();
        hold.previous = Some(Previous { release: Some(release(1)), healthy: 2 });
        hold.moved_at = Some(at(50));
        case.world.routing = case.world.routing.map(|routing| moved(routing, 2));
        case.world.names.extend(named(names::Names::Live, 2));
        change(&mut case);
        let found = match action {
            Action::Discard => ask::<Discard>(action, &case.holding, &case.world, &mut case.memo),
            Action::Park => ask::<Park>(action, &case.holding, &case.world, &mut case.memo),
            Action::Sweep => ask::<Sweep>(action, &case.holding, &case.world, &mut case.memo),
            _ => ask::<Retire>(action, &case.holding, &case.world, &mut case.memo),
        };
        assert!(found.starts_with(expected), "expected {expected:?}…\n   found {found:?}");
    }

    fn approved(change: fn(&mut Case)) -> impl FnOnce(&mut Case) {
        move |case| {
            case.hold().phase = Phase::Approved;
            change(case);
        }
    }

    fn ending(change: fn(&mut Case)) -> impl FnOnce(&mut Case) {
        move |case| {
            case.hold().phase = Phase::Ending;
            case.world.routing = world().routing;
            case.world.names = world().names;
            case.memo.weightless = Some(at(50));
            change(case);
        }
    }

    #[test]
    fn retire() {
        let retire = |change: fn(&mut Case), expected| check(Action::Retire, approved(change), expected);
        check(Action::Retire, |_| {}, "do: write the hold of r0000002: Approved");
        check(
            Action::Retire,
            |case| case.world.routing = world().routing.map(|routing| moved(routing, 1)),
            "fail: release r0000002 of WEB_PRODUCT can't be retired into: it is not live on every switch",
        );
        fn dead(case: &mut Case) {
            case.state(2, InstanceState::Terminated);
            case.world.routing.as_mut().expect("routing").groups[1].targets.clear();
        }
        check(
            Action::Retire,
            dead,
            "fail: release r0000002 of WEB_PRODUCT can't be retired into: it has no healthy target",
        );
        retire(
            |case| case.world.routing = world().routing,
            "fail: release r0000002 of WEB_PRODUCT can't be retired into: it is not live on every switch",
        );
        // It died once approved: its predecessor goes all the same, or the hold would never be freed.
        retire(
            |case| {
                dead(case);
                case.drained(0);
            },
            "do: change",
        );
        // A person took the release's tag off its own fleet: that isn't another release.
        retire(
            |case| {
                case.drained(0);
                let own = case.world.instances.iter_mut().filter(|i| i.release == Some(release(2)));
                own.for_each(|instance| instance.release = None);
            },
            "do: ",
        );
        retire(|case| case.hold().moved_at = Some(at(90)), "wait: late calls and the balancer's nodes to settle, 6 s");
        retire(|_| {}, "do: deregister i-11, i-12 from arn:a");
        retire(
            |case| {
                case.drained(0);
                case.memo.since = None;
            },
            "wait: 2 targets to drain, 31 s more",
        );
        // Another invocation may have deregistered them at the end of a long look.
        retire(
            |case| {
                case.drained(0);
                case.memo.since = None;
                case.world.seen = at(120);
            },
            "wait: 2 targets to drain, 51 s more",
        );
        retire(|case| case.drained(0), "do: change");
        fn bare(case: &mut Case) {
            case.drained(0);
            case.world.names = named(names::Names::Live, 2);
        }
        retire(bare, "do: terminate i-11, i-12");
        retire(
            |case| {
                bare(case);
                case.state(1, InstanceState::ShuttingDown);
            },
            "do: mark r0000002 as approved",
        );
        // An address goes before its instance, the one of a pool is only given back.
        let address = |release, association: bool| Address {
            id: "eipalloc-1".to_owned(),
            public_ip: "1.2.3.4".to_owned(),
            release,
            association: association.then(|| "eipassoc-1".to_owned()),
            instance: association.then(|| "i-11".to_owned()),
        };
        for (address, expected) in [
            (address(Some(release(1)), true), "do: disassociate eipalloc-1"),
            (address(Some(release(1)), false), "do: release eipalloc-1"),
            (address(None, true), "do: disassociate eipalloc-1"),
            (address(None, false), "do: terminate"),
        ] {
            check(
                Action::Retire,
                |case| {
                    case.hold().phase = Phase::Approved;
                    bare(case);
                    case.world.addresses.push(address);
                },
                expected,
            );
        }
        // KEEP stop: tagged, stopped, and terminated by the next.
        retire(
            |case| {
                bare(case);
                case.hold().settings.keep = Keep::Stop;
            },
            "do: tag i-11, i-12 as retired by r0000002",
        );
        fn tagged(case: &mut Case) {
            bare(case);
            case.hold().settings.keep = Keep::Stop;
            case.world.instances.iter_mut().take(2).for_each(|instance| instance.retired_by = Some(release(2)));
        }
        retire(tagged, "do: stop i-11, i-12");
        retire(
            |case| {
                tagged(case);
                case.state(1, InstanceState::Stopping);
            },
            "do: mark r0000002 as approved",
        );
        retire(
            |case| {
                tagged(case);
                case.state(1, InstanceState::Stopped);
                case.world.instances[0].retired_by = Some(release(9));
            },
            "do: terminate i-11",
        );
        // What lost its release tag is nobody's to remove.
        retire(
            |case| {
                case.world.instances[0].release = None;
                case.world.routing.as_mut().expect("routing").groups[0].targets.clear();
                case.world.names = named(names::Names::Live, 2);
            },
            "do: terminate i-12",
        );
    }

    #[test]
    fn discard() {
        let discard = |change: fn(&mut Case), expected| check(Action::Discard, ending(change), expected);
        check(Action::Discard, |_| {}, "do: write the hold of r0000002: Ending");
        discard(|case| case.world.routing = world().routing.map(|routing| moved(routing, 1)), "wait: rollback to take");
        // Somebody registered one of its instances beside its predecessor's.
        discard(
            |case| case.world.routing.as_mut().expect("routing").groups[0].targets.push(target(2, 1)),
            "wait: a person to deregister i-21 of this release from the live group",
        );
        discard(|case| case.memo.weightless = None, "wait: late calls and the balancer's nodes to settle, 16 s");
        // Rollback may have moved the weight at the end of a long look.
        discard(
            |case| {
                case.memo.weightless = None;
                case.world.seen = at(120);
            },
            "wait: late calls and the balancer's nodes to settle, 36 s",
        );
        discard(|_| {}, "do: deregister i-21, i-22 from arn:b");
        // Never shifted: it may go at once, but the last look is later.
        fn unshifted(case: &mut Case) {
            case.hold().previous = None;
            case.memo.weightless = None;
        }
        discard(unshifted, "do: deregister i-21, i-22 from arn:b");
        // Marked as discarded while it took the hold: what it launched goes first, then the hold.
        fn marked(case: &mut Case) {
            unshifted(case);
            case.hold().phase = Phase::Open;
            case.holding.held.as_mut().expect("a hold").freed = true;
            let how = HowEnded::Discarded;
            case.holding.ended = Some(Ended { release: release(2), how, at: at(80), artifact: None });
        }
        discard(marked, "do: deregister i-21, i-22 from arn:b");
        discard(
            |case| {
                marked(case);
                case.world = crate::World { now: at(100), routing: world().routing, ..crate::World::default() };
                case.world.routing.as_mut().expect("routing").groups[1].targets.clear();
                case.memo.weightless = Some(at(50));
            },
            "do: delete the hold",
        );
        // A deployment is stopped even if its instances are all gone: it would keep the next one waiting.
        discard(
            |case| {
                case.state(2, InstanceState::Terminated);
                case.world.install = Some(crate::Install {
                    filtered: true,
                    deployment: Some(crate::Deployment {
                        id: "d-1".to_owned(),
                        state: crate::DeploymentState::Running,
                        created_at: at(0),
                        error: None,
                        targets: Vec::new(),
                        overview: String::new(),
                    }),
                });
            },
            "do: stop deployment d-1",
        );
        // Rollback died between the weights and the names.
        discard(
            |case| {
                case.drained(1);
                case.world.names = named(names::Names::Live, 2);
            },
            "do: change 3 names in cd.internal",
        );
        fn gone(case: &mut Case) {
            case.drained(1);
            case.state(2, InstanceState::Terminated);
            case.world.names = named(names::Names::Live, 1);
        }
        discard(
            |case| {
                unshifted(case);
                gone(case);
            },
            "wait: late calls",
        );
        discard(gone, "do: mark r0000002 as discarded");
        check(Action::Discard, |case| case.holding = Holding::default(), "do: mark r0000002 as discarded, then done");
        check(Action::Discard, approved(|_| {}), "do: deregister i-11, i-12 from arn:a");
    }

    #[test]
    fn park() {
        let park = |change: fn(&mut Case), expected| check(Action::Park, ending(change), expected);
        check(Action::Park, |_| {}, "do: write the hold of r0000002: Ending");
        park(|_| {}, "do: deregister i-11, i-12 from arn:a");
        park(
            |case| {
                case.drained(0);
                case.drained(1);
                case.world.names.clear();
            },
            "do: terminate i-11, i-12, i-21, i-22",
        );
    }

    #[test]
    fn sweep() {
        let sweep = |state, ended_at, phase, expected| {
            check(
                Action::Sweep,
                |case| {
                    case.world.now = at(1_000);
                    case.hold().phase = phase;
                    case.world.holder = Some(Execution { state, updated_at: Some(at(ended_at)) });
                },
                expected,
            );
        };
        use ExecutionState::*;
        sweep(Running, 0, Phase::Open, "done: r0000002 of WEB_PRODUCT is still running");
        sweep(Ended, 900, Phase::Open, "done: r0000002 of WEB_PRODUCT has just ended");
        sweep(Ended, 0, Phase::Open, "do: tell that r0000002 was abandoned: discard");
        sweep(NotFound, 0, Phase::Approved, "do: tell that r0000002 was abandoned: discard");
        sweep(Succeeded, 0, Phase::Approved, "do: tell that r0000002 was abandoned: retire");
        sweep(Succeeded, 0, Phase::Ending, "do: tell that r0000002 was abandoned: discard");
    }
}
