//! A shift in steps: every switch gets each step before the next begins, and the hold says how far it has come.

use super::comparison::worse;
use super::shift::{ShiftMemory, WATCH_EVERY_SECS, enough, turn_back};
use super::traffic::Traffic;
use super::{LOOKS, previous};
use crate::policy::pair::{self, Pair, Share};
use crate::{
    Decision, Done, Error, ExecutionState, First, Group, Held, Situation, Split, Stood, Switch, counted, duration,
};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::ops::ControlFlow::{Break, Continue};

/// Seconds between two questions whether the execution is being stopped.
const ASK_EVERY_SECS: u32 = 60;

/// The plan as it begins: what each switch has, and the first step. Where the predecessor can't serve, everything is
/// the first step.
pub(super) fn begun(now: &Situation<'_>, held: &Held, traffic: &Traffic) -> First<Option<Split>> {
    let (hold, plan) = (&held.hold, &held.hold.settings.shift);
    if plan.at_once() {
        return Continue(None);
    }
    let routing = now.world.routing()?;
    let Ok(pair) = Pair::of(routing, &hold.settings.target_group) else { return Continue(None) };
    let total = |switch: &Switch| pair.groups.iter().filter_map(|group| switch.weight(&group.arn)).sum::<u32>();
    let old: BTreeMap<String, u32> =
        routing.switches.iter().map(|switch| (switch.arn.clone(), total(switch))).collect();
    let step = if traffic.predecessor.healthy == 0 { plan.steps.len() } else { 0 };
    Continue(Some(Split { step, from: vec![0], to: plan.percent(step), since: None, old, stood: Vec::new() }))
}

/// What doesn't divide on a switch is told before anything moves.
pub(super) fn undivided(now: &Situation<'_>, held: &Held, split: &Split) -> First<Option<Error>> {
    let (pair, _) = match own(now, held)? {
        Ok(found) => found,
        Err(error) => return Continue(Some(error)),
    };
    Continue(pair.fits(&held.hold.settings.shift, Some(split)).err())
}

/// The pair, and the release's own group in it.
fn own<'a>(now: &Situation<'a>, held: &'a Held) -> First<Result<(Pair<'a>, &'a Group), Error>> {
    let routing = now.world.routing()?;
    let pair = match Pair::of(routing, &held.hold.settings.target_group) {
        Ok(pair) => pair,
        Err(error) => return Continue(Err(error)),
    };
    let own = pair.groups.into_iter().find(|group| held.hold.group.as_ref() == Some(&group.arn));
    Continue(own.map(|own| (pair, own)).ok_or_else(|| {
        Error::release(format!(
            "the target group of release {} ({}) isn't one of the pair any more: tag it with tagship:service={} again, or \
             reject the release",
            held.hold.release,
            held.hold.group.as_deref().unwrap_or("none written"),
            now.job.role
        ))
    }))
}

/// The next move of a shift that has begun, until everything has moved.
pub(super) fn forward(
    now: &Situation<'_>,
    held: &Held,
    split: &Split,
    traffic: &Traffic,
    memory: &mut ShiftMemory,
) -> First<Done> {
    let (pair, own) = match own(now, held)? {
        Ok(found) => found,
        Err(error) => return Break(Decision::Fail(error)),
    };
    if let Some(why) = stopped(now, memory)? {
        return Break(turn_back(now, held, &why));
    }
    if let Some(why) = changed(now, held, &pair, own, split) {
        memory.away_looks = memory.away_looks.saturating_add(1);
        if memory.away_looks < LOOKS {
            return Break(Decision::wait(format!("a second look at the switches: {why}")));
        }
        return Break(turn_back(now, held, &why));
    }
    memory.away_looks = 0;
    health(now, held, split, traffic, memory)?;
    if let Some(bar) = held.hold.settings.compare.filter(|_| split.since.is_some())
        && let Some(why) = worse(now, (split, bar), (own, pair.other(own)), &mut memory.comparison)?
    {
        return Break(turn_back(now, held, &why));
    }
    let (late, _) = pair.step(own, Share { percent: split.to, split: Some(split) });
    match split.since.filter(|_| late.is_none()) {
        None => given(now, held, split, traffic, &pair, own, memory),
        Some(since) => {
            baking(now, held, (split, since), (&pair, traffic.candidate.healthy), memory)?;
            whole(now, held, traffic, memory)?;
            let why = "the step's bake is over: the next step";
            Break(advance(now, held, split, split.step + 1, vec![split.to], why))
        }
    }
}

/// Waits while a step stands and both groups are as whole as they were: by the switches and their targets alone, so that
/// many services can do so at the same time. All else is looked at once a minute.
pub(super) fn quiet(now: &Situation<'_>, held: &Held, split: &Split, memory: &ShiftMemory) -> First<()> {
    let compares = held.hold.settings.compare.is_some();
    let due = asks(now, memory) || (compares && memory.comparison.due(now.world.now()));
    let doubted = memory.ailing_looks + memory.lone_looks + memory.away_looks > 0 || memory.unwhole_since.is_some();
    let Some(since) = split.since.filter(|_| !due && !doubted) else { return Continue(()) };
    let Ok((pair, own)) = own(now, held)? else { return Continue(()) };
    let whole = |group: &Group, count: u32| {
        let counts = group.targets.iter().filter(|target| target.counts()).count();
        counts == count as usize && pair::healthy(group) == count
    };
    let whole = whole(own, held.hold.settings.count) && whole(pair.other(own), previous(held).healthy);
    let (late, faults) = pair.step(own, Share { percent: split.to, split: Some(split) });
    if whole && late.is_none() && faults.is_empty() {
        baking(now, held, (split, since), (&pair, pair::healthy(own)), memory)?;
    }
    Continue(())
}

/// Waits as long as the step has to stand, and says where it is, for the console.
fn baking(
    now: &Situation<'_>,
    held: &Held,
    (split, since): (&Split, Timestamp),
    (pair, healthy): (&Pair<'_>, u32),
    memory: &ShiftMemory,
) -> First<()> {
    let settings = &held.hold.settings;
    let bake_secs = settings.shift.steps.get(split.step).map_or(0, |step| step.bake_secs);
    // Once, by its own length, while there is too little traffic to compare by.
    let more = settings.compare.is_some() && !memory.comparison.enough;
    let extended_secs = if more { 2 * bake_secs } else { bake_secs };
    let left = now.left(since, bake_secs).or_else(|| now.left(since, extended_secs));
    let Some((until, left)) = left else { return Continue(()) };
    let next = until.min(now.world.now() + SignedDuration::from_secs(WATCH_EVERY_SECS));
    let mut words = format!(
        "{} % on {}, {} more; {healthy} of {} healthy",
        split.to,
        counted(pair.routing.switches.len(), "switch"),
        duration(left),
        counted(settings.count, "target")
    );
    for more in [&memory.alarms, &memory.comparison.words].into_iter().filter(|words| !words.is_empty()) {
        words = format!("{words}; {more}");
    }
    Break(Decision::wait_until(next, words))
}

/// Whether CodePipeline is to be asked again.
fn asks(now: &Situation<'_>, memory: &ShiftMemory) -> bool {
    memory.asked_at.is_none_or(|asked| now.left(asked, ASK_EVERY_SECS).is_none())
}

/// Why it can't go on by itself: somebody stops the execution.
pub(super) fn stopped(now: &Situation<'_>, memory: &mut ShiftMemory) -> First<Option<String>> {
    if !asks(now, memory) {
        return Continue(None);
    }
    let execution = now.world.holder()?;
    memory.asked_at = Some(now.world.now());
    let ends = execution.is_some_and(|it| matches!(it.state, ExecutionState::Stopping | ExecutionState::Ended));
    Continue(ends.then(|| "somebody stopped the pipeline's execution".to_owned()))
}

/// What a person has made of a switch that neither the step nor the one before it explains. For `SETTLE` seconds after
/// the step was given, the step before may be the late call of a process that died; a person's 0 % never is.
fn changed(now: &Situation<'_>, held: &Held, pair: &Pair<'_>, own: &Group, split: &Split) -> Option<String> {
    let settle_secs = held.hold.settings.timeouts.settle_secs;
    let settled = split.since.is_some_and(|since| now.left(since, settle_secs).is_none());
    let before = split.from.iter().copied().filter(|percent| !settled && (split.since.is_none() || *percent > 0));
    let shares: Vec<u32> = before.chain([split.to]).collect();
    let explained = |switch: &&Switch| {
        let other = pair.other(own);
        let is = switch.weight(&own.arn).zip(switch.weight(&other.arn));
        shares
            .iter()
            .any(|percent| is.is_some() && is == pair.divided(switch, Share { percent: *percent, split: Some(split) }))
    };
    let switch = pair.routing.switches.iter().find(|switch| !explained(switch))?;
    let weight = |group: &Group| switch.weight(&group.arn).map_or("none".to_owned(), |weight| weight.to_string());
    Some(format!(
        "somebody changed {} while the shift was at {} %: {} has {}, {} has {}",
        switch.label,
        split.to,
        own.name,
        weight(own),
        pair.other(own).name,
        weight(pair.other(own))
    ))
}

/// Goes on if both that have weight can serve.
fn health(now: &Situation<'_>, held: &Held, split: &Split, traffic: &Traffic, memory: &mut ShiftMemory) -> First<()> {
    let (candidate, predecessor) = (&traffic.candidate, &traffic.predecessor);
    let ailing = candidate.healthy < enough(held);
    let alone = predecessor.healthy == 0 && candidate.healthy > 0 && split.to < 100;
    memory.ailing_looks = if ailing { memory.ailing_looks.saturating_add(1) } else { 0 };
    memory.lone_looks = if alone { memory.lone_looks.saturating_add(1) } else { 0 };
    let serves = serves_alone(held, traffic);
    if memory.lone_looks >= LOOKS || (memory.ailing_looks >= LOOKS && serves && split.to < 100) {
        let from = split.from.iter().copied().filter(|_| split.since.is_none()).chain([split.to]).collect();
        let last = held.hold.settings.shift.steps.len();
        return Break(advance(
            now,
            held,
            split,
            last,
            from,
            "the predecessor can't serve: every switch goes to the release",
        ));
    }
    if memory.ailing_looks >= LOOKS && !serves {
        let why = traffic.ailing.clone().unwrap_or_else(|| counted(candidate.healthy, "healthy target"));
        let why = format!("the release failed with {} % of the traffic ({why})", split.to);
        return Break(turn_back(now, held, &why));
    }
    if (ailing && !serves) || (alone && memory.lone_looks < LOOKS) {
        let who = if ailing { "release" } else { "predecessor" };
        return Break(Decision::wait(format!("a second look at the {who}: {}", healthy(traffic))));
    }
    Continue(())
}

/// Whether the release is the better of the two, and the predecessor can't have the traffic back.
fn serves_alone(held: &Held, traffic: &Traffic) -> bool {
    let percent = held.hold.settings.rollback.healthy_percent;
    traffic.candidate.healthy > 0 && !traffic.can_go_back(&previous(held), percent)
}

fn healthy(traffic: &Traffic) -> String {
    let (candidate, predecessor) = (traffic.candidate.healthy, traffic.predecessor.healthy);
    format!("it has {}, its predecessor {predecessor}", counted(candidate, "healthy target"))
}

/// The next switch gets the step; once all have it, that is written down.
fn given(
    now: &Situation<'_>,
    held: &Held,
    split: &Split,
    traffic: &Traffic,
    pair: &Pair<'_>,
    own: &Group,
    memory: &mut ShiftMemory,
) -> First<Done> {
    let (step, faults) = pair.step(own, Share { percent: split.to, split: Some(split) });
    if let Some(fault) = faults.first() {
        return Break(turn_back(now, held, fault));
    }
    let since = now.world.since();
    Break(match step {
        Some(step) => {
            whole(now, held, traffic, memory)?;
            Decision::act(step, "all of the candidate is healthy: a switch takes the step")
        }
        None if split.to == 100 => {
            Decision::act(Situation::rewrite(held, |hold| hold.moved_at = Some(since)), "every switch has moved")
        }
        None => {
            let split = Split { since: Some(since), ..split.clone() };
            Decision::act(Situation::rewrite(held, |hold| hold.split = Some(split)), "every switch has the step")
        }
    })
}

/// Goes on if the release is whole, or the only one that serves; after `TIMEOUTS.HEALTHY` without, the traffic goes
/// back.
fn whole(now: &Situation<'_>, held: &Held, traffic: &Traffic, memory: &mut ShiftMemory) -> First<()> {
    let Some(why) = traffic.ailing.as_ref().filter(|_| !serves_alone(held, traffic)) else {
        memory.unwhole_since = None;
        return Continue(());
    };
    let since = *memory.unwhole_since.get_or_insert(now.world.since());
    Break(match now.left(since, held.hold.settings.timeouts.healthy_secs) {
        Some((_, left)) => {
            Decision::wait(format!("all of the release to be healthy before the next step ({}): {why}", duration(left)))
        }
        None => turn_back(now, held, &format!("not all of the release was healthy in time for the next step ({why})")),
    })
}

/// Writes down that a step is being given.
fn advance(
    now: &Situation<'_>,
    held: &Held,
    split: &Split,
    step: usize,
    from: Vec<u32>,
    why: &'static str,
) -> Decision {
    let to = held.hold.settings.shift.percent(step);
    let mut stood = split.stood.clone();
    if held.hold.settings.compare.is_some() {
        stood.extend(split.since.map(|since| Stood { since, until: now.world.now() }));
    }
    let split = Split { step, from, to, since: None, old: split.old.clone(), stood };
    Decision::act(Situation::rewrite(held, |hold| hold.split = Some(split)), why)
}
