//! Retire: removes what the approved release replaced.

use super::removal::{Removal, RemovalMemory, serving, spared};
use super::{CHANGES, READS, enroll, free, mark, releases_but, settle};
use crate::engine::{Gate, Standing, Turning, admission};
use crate::policy::confirm::confirmed;
use crate::policy::route::traffic::{Traffic, running};
use crate::policy::test_traffic;
use crate::settings::{Keep, TargetGroup};
use crate::{
    Action, Changes, Decision, Done, Error, First, Held, HowEnded, Instance, Parts, Phase, Planner, Situation, Step,
    counted,
};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::ops::ControlFlow::{Break, Continue};

/// The planner of retire.
#[derive(Debug)]
pub struct Retire;

impl Planner for Retire {
    const ACTION: Action = Action::Retire;
    const READS: Parts = READS;
    const CHANGES: Changes = CHANGES;
    type Entry<'a> = Turning<'a>;
    type Memory = RemovalMemory;

    fn admit(standing: Standing<'_>) -> Gate<Turning<'_>> {
        admission::retire(standing)
    }

    fn decide<'a>(now: &Situation<'a>, entry: Turning<'a>, memory: &mut RemovalMemory) -> First<Done> {
        match entry {
            Turning::Turn(held, phase) => approve(now, held, phase, memory),
            Turning::Act(held) if turned_away(now, held)? => {
                Break(refuse(now, held, "it is not live on every switch", TURNED_AWAY))
            }
            Turning::Act(held) => remove(now, held, memory),
            Turning::FreeHold(held, ended) => free(now, held, ended),
        }
    }

    fn learn(refused: &Step, error: &Error, memory: &RemovalMemory) -> Option<RemovalMemory> {
        spared(refused, error, memory)
    }
}

/// Whether the release may be approved; then that is written down.
fn approve(now: &Situation<'_>, held: &Held, phase: Phase, memory: &mut RemovalMemory) -> First<Done> {
    confirmed(now)?;
    let hold = &held.hold;
    let traffic = match Traffic::of(now, hold)? {
        Ok(traffic) => traffic,
        Err(error) => return Break(Decision::Fail(error)),
    };
    if !traffic.moved() {
        return Break(refuse(now, held, "it is not live on every switch", REFUSED));
    }
    // The watch's own bar. What serves better than it isn't removed.
    let (healthy, before) = (traffic.candidate.healthy, traffic.predecessor.healthy);
    let had = hold.previous.as_ref().map_or(before, |previous| previous.healthy);
    let enough = had.min(hold.settings.count).max(1);
    if healthy < enough && before > healthy {
        let since = *memory.poor_since.get_or_insert(now.world.since());
        let found = format!("it has {}, and what it replaced has {before}", counted(healthy, "healthy target"));
        return Break(match now.left(since, hold.settings.timeouts.healthy_secs) {
            Some(_) => Decision::wait(format!(
                "the release to have {}: it has {healthy} now, and what it replaced has {before}",
                counted(enough, "healthy target")
            )),
            None => refuse(now, held, &found, REFUSED),
        });
    }
    let step = Situation::rewrite(held, |hold| hold.phase = phase);
    Break(Decision::act(step, "approved: from here on the traffic doesn't go back"))
}

/// What a refused approval leads to.
const REFUSED: &str = "The execution has failed, so the traffic goes back. Start a new execution";

/// What somebody has to do who has moved a switch away from an approved release.
const TURNED_AWAY: &str = "It was approved before, so no traffic goes back by itself. Set every switch to this release's \
                           target group by hand within five minutes: discard then finishes the removal. After that it \
                           leaves both fleets as they are, and frees the service";

fn refuse(now: &Situation<'_>, held: &Held, why: &str, next: &str) -> Decision {
    let weights: Vec<String> = now.weights().iter().map(|(switch, value)| format!("{switch}: {value}")).collect();
    Decision::Fail(Error::release(format!(
        "release {} of {} can't replace the one before it: {why} ({}). Nothing was removed. {next}",
        held.hold.release,
        now.job.role,
        weights.join("; ")
    )))
}

/// Leads test traffic to the release, where somebody has led it elsewhere; then tells since when it has been there.
fn without_tests(now: &Situation<'_>, held: &Held, memory: &mut RemovalMemory) -> First<Option<Timestamp>> {
    let hold = &held.hold;
    let (Some(own), TargetGroup::Pair(_)) = (&hold.group, &hold.settings.target_group) else { return Continue(None) };
    let routing = now.world.routing()?;
    let Some(own) = routing.groups.iter().find(|group| group.arn == *own).filter(|_| !routing.tests.is_empty()) else {
        return Continue(None);
    };
    if let Some(step) = test_traffic::toward(routing, own) {
        memory.tested_since = None;
        return Break(Decision::act(step, "test traffic goes to the live release before anything is removed"));
    }
    let since = *memory.tested_since.get_or_insert(now.world.since());
    Continue(Some(since.max(now.watched_since)))
}

/// Whether somebody has turned a switch from the approved release to instances of another. That its own fleet died
/// meanwhile is something else.
pub(super) fn turned_away(now: &Situation<'_>, held: &Held) -> First<bool> {
    let traffic = match Traffic::of(now, &held.hold)? {
        Ok(traffic) => traffic,
        Err(error) => return Break(Decision::Fail(error)),
    };
    let serving = in_use(now, held)?;
    let mut others = now.world.instances()?.iter().filter(|instance| of_another(instance, held));
    Continue(!traffic.moved() && others.any(|instance| serving.contains(instance.id.as_str())))
}

fn of_another(instance: &Instance, held: &Held) -> bool {
    instance.release.as_ref().is_some_and(|release| *release != held.hold.release)
}

fn in_use<'a>(now: &Situation<'a>, held: &Held) -> First<BTreeSet<&'a str>> {
    Continue(match held.hold.settings.target_group {
        TargetGroup::Pair(_) => serving(now.world.routing()?),
        TargetGroup::None => BTreeSet::new(),
    })
}

/// Retire itself; discard comes here too if the release was approved meanwhile.
pub(super) fn remove(now: &Situation<'_>, held: &Held, memory: &mut RemovalMemory) -> First<Done> {
    let hold = &held.hold;
    let instances = now.world.instances()?;
    let serving = in_use(now, held)?;
    let doomed: BTreeSet<&str> = instances
        .iter()
        .filter(|instance| of_another(instance, held))
        .map(|instance| instance.id.as_str())
        .filter(|id| !serving.contains(id))
        .collect();
    let weightless = *memory.weightless_since.get_or_insert(now.world.since());
    let moved_at = hold.moved_at.unwrap_or(weightless.max(now.watched_since));
    if !doomed.is_empty() {
        settle(now, held, moved_at)?;
    }
    let tested_since = without_tests(now, held, memory)?;
    if let Some(since) = tested_since.filter(|_| !doomed.is_empty()) {
        settle(now, held, since)?;
    }
    let removal = Removal {
        doomed,
        releases: releases_but(now, &hold.release)?,
        stop_by: (hold.settings.keep == Keep::Stop).then_some(&hold.release),
        live: Some(running(now.world.fleet(&hold.release)?)),
        installs: false,
        kept: None,
    };
    removal.done(now, hold, memory)?;
    enroll(now, held)?;
    Break(mark(now, held, HowEnded::Approved))
}
