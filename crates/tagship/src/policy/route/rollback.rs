//! Rollback: gives the traffic back to the previous release, as somebody said no or the execution failed.

use super::traffic::{Traffic, live_names};
use super::{CHANGES, LOOKS, READS, keeps_sticky, predecessor_name, previous};
use crate::engine::{Gate, Memory, Standing, Turning, admission};
use crate::policy::cleanup::enroll;
use crate::policy::confirm::confirmed;
use crate::policy::pair::Pair;
use crate::settings::TargetGroup;
use crate::{
    Action, Changes, Decision, Done, Ended, Ending, Error, First, Held, HowEnded, Parts, Planner, Previous, Situation,
    Step, counted,
};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow::{Break, Continue};

/// The planner of rollback.
#[derive(Debug)]
pub struct Rollback;

/// What rollback remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RollbackMemory {
    /// Looks in a row that found a predecessor that can't serve.
    pub hopeless_looks: u8,
    /// Whether AWS has refused to turn a switch's group stickiness off.
    pub keeps_sticky: bool,
}

impl Memory for RollbackMemory {}

impl Planner for Rollback {
    const ACTION: Action = Action::Rollback;
    const READS: Parts = READS.and(Parts::HOLDER).and(Parts::ROSTER);
    const CHANGES: Changes = CHANGES;
    type Entry<'a> = Turning<'a>;
    type Memory = RollbackMemory;

    fn admit(standing: Standing<'_>) -> Gate<Turning<'_>> {
        admission::rollback(standing)
    }

    fn decide<'a>(now: &Situation<'a>, entry: Turning<'a>, memory: &mut RollbackMemory) -> First<Done> {
        match entry {
            Turning::Turn(held, phase) => {
                confirmed(now)?;
                let step = Situation::rewrite(held, |hold| hold.phase = phase);
                Break(Decision::act(step, "the release ends: it can't be approved any more"))
            }
            Turning::FreeHold(held, ended) => Break(Decision::last(held, freed(now, held, ended))),
            Turning::Act(held) => back(now, held, memory),
        }
    }

    fn learn(refused: &Step, error: &Error, memory: &RollbackMemory) -> Option<RollbackMemory> {
        keeps_sticky(refused, error).then(|| RollbackMemory { keeps_sticky: true, ..memory.clone() })
    }
}

fn back(now: &Situation<'_>, held: &Held, memory: &mut RollbackMemory) -> First<Done> {
    let hold = &held.hold;
    let traffic = match Traffic::of(now, hold)? {
        Ok(traffic) => traffic,
        Err(error) => return Break(Decision::Fail(error)),
    };
    if !traffic.candidate.any {
        let Some(previous) = &hold.previous else { return Continue(unmoved(now, held)) };
        return match live_names(now, hold, previous.release.as_ref())? {
            Some(step) => Break(Decision::act(step, "the live names follow the weights")),
            None => Continue(restored(now, held, traffic.predecessor.healthy)),
        };
    }
    if traffic.can_go_back(&previous(held), hold.settings.rollback.healthy_percent) {
        memory.hopeless_looks = 0;
        return Break(give_back(held, traffic, memory));
    }
    // What can't be taken back is decided on more than one look.
    memory.hopeless_looks = memory.hopeless_looks.saturating_add(1);
    if memory.hopeless_looks <= LOOKS {
        return Break(Decision::wait(format!(
            "{}, which has {} and had {}",
            predecessor_name(held),
            counted(traffic.predecessor.healthy, "healthy target"),
            previous(held).healthy
        )));
    }
    let Traffic { candidate, predecessor, .. } = traffic;
    // Neither can serve, and it was tagship that divided the traffic. The first switch is the first to get a step, so all
    // of them end on one side.
    let back = predecessor.toward.filter(|_| predecessor.release.is_some());
    let either = [back, candidate.toward.clone()].into_iter().flatten();
    let whole = either.filter(|_| hold.split.is_some()).find(divides);
    Break(match (candidate.toward, whole) {
        (Some(step), _) if candidate.healthy > 0 => {
            Decision::act(step, "nothing can be restored: all switches move to the release that still serves")
        }
        (_, Some(step)) => Decision::act(
            step.sticky(memory.keeps_sticky),
            "nothing serves, and divided switches would stop every later release",
        ),
        _ => {
            enroll(now, held)?;
            Decision::act(
                Step::WriteEnded(Ended::of(hold, HowEnded::Kept, now.world.now())),
                "nothing can be restored: the release stays live",
            )
        }
    })
}

/// Whether the switch that this changes is divided now.
fn divides(step: &Step) -> bool {
    matches!(step, Step::SetWeights { weights, .. } if weights.iter().all(|(_, is, _)| *is > 0))
}

/// The next switch goes back; those that can't are told once the others have.
fn give_back(held: &Held, traffic: Traffic, memory: &RollbackMemory) -> Decision {
    // A person gave it weight before its shift: discard must know that it had some.
    if held.hold.previous.is_none() {
        let release = traffic.predecessor.release.clone();
        let previous = Previous { release, healthy: traffic.predecessor.healthy };
        let step = Situation::rewrite(held, |hold| hold.previous = Some(previous));
        return Decision::act(step, "write down who is live before a weight moves");
    }
    match traffic.predecessor.toward {
        Some(step) => Decision::act(step.sticky(memory.keeps_sticky), "the predecessor serves again"),
        None if traffic.faults.is_empty() => Decision::wait("all switches to lead to the same group"),
        None => Decision::Fail(Error::problems(
            format!(
                "release {} was rejected or failed, and every switch that can be moved back serves {} again. \
                 These can't go back by themselves: change them by hand. Rollback then goes on by itself",
                held.hold.release,
                predecessor_name(held)
            ),
            &traffic.faults,
        )),
    }
}

/// Success where traffic never left the predecessor.
fn unmoved(now: &Situation<'_>, held: &Held) -> Done {
    let message = format!("{} of {} has moved no traffic", held.hold.release, now.job.role);
    Done { nothing: true, message, report: now.report(), ..Done::default() }
}

/// Success where traffic is with the predecessor again.
fn restored(now: &Situation<'_>, held: &Held, healthy: u32) -> Done {
    let hold = &held.hold;
    let live = previous(held).release.map_or("none".to_owned(), |release| release.to_string());
    let predecessor = predecessor_name(held);
    let serves = match healthy {
        0 => format!("{predecessor} has the traffic, and no healthy target"),
        _ => format!("{predecessor} serves"),
    };
    let mut done = Done {
        message: format!("{} of {} rolled back: {serves}", hold.release, now.job.role),
        outputs: vec![("LiveRelease", live), ("PreviousRelease", hold.release.to_string())],
        report: now.report(),
        ..Done::default()
    };
    done.report.ending = Ending::RolledBack;
    done.report.left_behind = vec![format!("the fleet of {}, which discard removes", hold.release)];
    done
}

/// Success where the release has ended: as `kept`, if rollback could restore nothing.
fn freed(now: &Situation<'_>, held: &Held, ended: &Ended) -> Done {
    let setting = &held.hold.settings.target_group;
    let kept = ended.how == HowEnded::Kept;
    // Only told: where it can't be read, the service becomes free all the same.
    let routing = now.world.as_read().routing.as_ref().filter(|_| kept && *setting != TargetGroup::None);
    let refused = routing.and_then(|routing| Pair::judge(routing, setting).err());
    let mut report = now.report();
    if kept {
        report.ending = Ending::Kept;
        report.left_behind = vec![format!(
            "release {} stays live on every switch: its predecessor ({}) could not serve. Release a good build soon; that \
             removes it",
            now.job.release,
            predecessor_name(held)
        )];
        // A switch that a person keeps from tagship could stay divided.
        let stops = |error: Error| format!("the next release will be refused: {}", error.message.replace("\n- ", " "));
        report.left_behind.extend(refused.map(stops));
    }
    let (release, predecessor) = (&held.hold.release, predecessor_name(held));
    let message = match ended.how {
        HowEnded::Kept => {
            format!("release {release} stays live: its predecessor ({predecessor}) can't take the traffic back")
        }
        how => format!("release {release} has already ended: {}", how.as_str()),
    };
    Done { message, report, ..Done::default() }
}
