//! Planners that make a planted mistake.

use crate::mistake::{Mistake, planted};
use jiff::SignedDuration;
use std::marker::PhantomData;
use std::ops::ControlFlow::{Break, Continue};
use tagship::engine::{Gate, Standing};
use tagship::names::{Names, batch, toward};
use tagship::route::traffic::running;
use tagship::settings::{Choice, Hooks, TargetGroup};
use tagship::{
    Action, Changes, Decision, Done, Error, ExecutionState, First, Group, Health, Hold, HookAnswer, Kind, Launch,
    Parts, Phase, Planner, Situation, Step, View, World,
};

/// By how much figures are read too early: as if they, and the step that they belong to, were older.
const FRESH: SignedDuration = SignedDuration::from_mins(3);

/// A planner with the planted mistake.
#[derive(Debug)]
pub(crate) struct Wrong<P>(PhantomData<P>);

impl<P: Planner> Planner for Wrong<P> {
    const ACTION: Action = P::ACTION;
    const READS: Parts = P::READS;
    const CHANGES: Changes = Changes::ALL;
    type Entry<'a> = P::Entry<'a>;
    type Memory = P::Memory;

    fn admit(standing: Standing<'_>) -> Gate<P::Entry<'_>> {
        P::admit(standing)
    }

    fn decide<'a>(now: &Situation<'a>, entry: P::Entry<'a>, memory: &mut P::Memory) -> First<Done> {
        let Some(mistake) = planted() else { return P::decide(now, entry, memory) };
        let mut world = now.world.as_read().clone();
        blur(mistake, now, &mut world);
        let mut holding = now.holding.clone();
        if mistake == Mistake::NoSettling
            && let Some(held) = holding.held.as_mut().filter(|held| held.hold.phase != Phase::Open)
        {
            held.hold.settings.timeouts.settle_secs = 0;
        }
        if let Some(held) = holding.held.as_mut().filter(|_| mistake == Mistake::ProductParked) {
            held.hold.settings.pre_product = true;
        }
        if let Some(held) = holding.held.as_mut() {
            misread(mistake, &mut held.hold);
        }
        let direct = now.direct && mistake != Mistake::DirectBelieved;
        let watched_since = if mistake == Mistake::GapIgnored { now.began } else { now.watched_since };
        // Where it writes no hold any more: the settings themselves are right.
        if mistake == Mistake::NothingKept
            && now.job.action == Action::Discard
            && let Some(held) = holding.held.as_mut().filter(|held| held.hold.phase == Phase::Ending)
        {
            held.hold.settings.timeouts.postmortem_secs = 0;
        }
        let decision = match P::admit(Standing::of(&now.job.release, &holding)) {
            Gate::Admit(entry) => {
                let seen = Situation { world: View::of(&world), holding: &holding, direct, watched_since, ..*now };
                P::decide(&seen, entry, memory)
            }
            Gate::Nothing(_) | Gate::Refuse(_) => P::decide(now, entry, memory),
        };
        match decision {
            // It sees what it wants to see first.
            Break(Decision::Look(parts)) => Break(Decision::Look(parts)),
            _ if mistake == Mistake::AlarmAwaited && awaits_alarm(memory) => Break(Decision::wait("a planted mistake")),
            decision => match instead(mistake, now, &world) {
                Some(instead) => Break(instead),
                None => altered(mistake, now, decision),
            },
        }
    }

    fn learn(refused: &Step, error: &Error, memory: &P::Memory) -> Option<P::Memory> {
        if planted() == Some(Mistake::ProtectedInsisted) && error.kind == Kind::Protected {
            return None;
        }
        P::learn(refused, error, memory)
    }
}

/// The decision with what is wrong about it.
fn altered(mistake: Mistake, now: &Situation<'_>, decision: First<Done>) -> First<Done> {
    let with = |mut launch: Box<Launch>, token: String, why, then| {
        launch.client_token = token;
        Break(Decision::Do { step: Step::Launch(launch), why, then })
    };
    match (mistake, now.job.action, decision) {
        (Mistake::TokenWithoutSince, _, Break(Decision::Do { step: Step::Launch(launch), why, then })) => {
            let token = format!("{}-{}-{}", launch.role, launch.subnet, launch.count);
            with(launch, token, why, then)
        }
        (Mistake::TokenOfTheMoment, _, Break(Decision::Do { step: Step::Launch(launch), why, then })) => {
            let runs = now.world.as_read().fleet(&now.job.release).filter(|instance| instance.alive()).count();
            let token = format!("{}-{runs}", launch.client_token);
            with(launch, token, why, then)
        }
        (Mistake::LaunchAgain, _, Break(Decision::Do { step: Step::Launch(launch), why, then })) => {
            let token = format!("{}-{}", launch.client_token, now.began.as_second());
            with(launch, token, why, then)
        }
        (
            Mistake::BackUnwritten,
            Action::Shift,
            Break(Decision::Do { step: Step::WriteHold { hold, etag }, why, then }),
        ) => {
            let hold = Box::new(Hold { back: None, ..*hold });
            Break(Decision::Do { step: Step::WriteHold { hold, etag }, why, then })
        }
        (Mistake::HoldNeverFreed, _, Break(Decision::Do { step: Step::DeleteHold { .. }, .. })) => {
            Continue(Done::default())
        }
        (Mistake::RetiredBeforeApproval, Action::Shift, Continue(done)) => match predecessors(now) {
            ids if ids.is_empty() => Continue(done),
            instances => Break(Decision::act(Step::Terminate { instances }, "a planted mistake")),
        },
        (_, _, decision) => decision,
    }
}

/// What the planner reads wrongly in its hold.
fn misread(mistake: Mistake, hold: &mut Hold) {
    match mistake {
        Mistake::BakeSkipped => hold.settings.shift.steps.iter_mut().for_each(|step| step.bake_secs = 0),
        Mistake::ShareExceeded => {
            hold.settings.shift.steps.iter_mut().for_each(|step| step.percent = (step.percent + 7).min(99));
        }
        Mistake::BackForgotten => hold.back = None,
        Mistake::FiguresTooFresh => {
            hold.settings.shift.steps.iter_mut().for_each(|step| step.bake_secs += FRESH.as_secs() as u32);
            let split = hold.split.iter_mut();
            split.for_each(|split| split.since = split.since.map(|since| since - FRESH));
        }
        Mistake::AlarmsIgnored => hold.settings.alarms = Choice::Ids(Vec::new()),
        Mistake::HooksSkipped => hold.settings.hooks = Hooks::default(),
        _ => {}
    }
}

/// What the planner sees wrongly.
fn blur(mistake: Mistake, now: &Situation<'_>, world: &mut World) {
    let groups = world.routing.iter_mut().flat_map(|routing| &mut routing.groups);
    let targets = groups.flat_map(|group| &mut group.targets).filter(|target| target.counts());
    match (mistake, now.job.action) {
        (Mistake::WeightsBeforeHealth, Action::Deploy | Action::Shift) => {
            targets.for_each(|target| target.health = Health::Healthy);
        }
        (Mistake::UncheckedIsHealthy, Action::Deploy | Action::Shift) => {
            let unchecked = targets.filter(|target| target.health == Health::Initial);
            unchecked.for_each(|target| target.health = Health::Healthy);
        }
        (Mistake::SecondSwitchForgotten, _) => {
            if let Some(routing) = &mut world.routing {
                routing.switches.truncate(1);
            }
        }
        (Mistake::AnyPipeline, Action::Provision) => {
            if let Some(offer) = &mut world.offer {
                offer.settings.pipeline = Some(now.job.pipeline.clone());
            }
        }
        (Mistake::MissingIsEnded, _) => {
            for holder in world.holder.iter_mut().filter(|it| it.state == ExecutionState::NotFound) {
                holder.state = ExecutionState::Ended;
            }
        }
        (Mistake::UntaggedMoved, _) => {
            if let Some(routing) = &mut world.routing {
                routing.untagged.clear();
            }
        }
        (Mistake::TestForgotten, Action::Retire | Action::Discard) => {
            world.routing.iter_mut().for_each(|routing| routing.tests.clear());
        }
        (Mistake::AddressLeaked, Action::Discard) => world.addresses.clear(),
        (Mistake::NameLeaked, Action::Discard) | (Mistake::DeadNamed, Action::Sweep) => world.names.clear(),
        (Mistake::DrainSkipped, Action::Retire | Action::Discard) => {
            let groups = world.routing.iter_mut().flat_map(|routing| &mut routing.groups);
            groups.for_each(|group| group.targets.retain(|target| target.health != Health::Draining));
        }
        (Mistake::KeptInItsGroup, Action::Discard) if now.held().is_some_and(|it| it.hold.kept_until.is_none()) => {
            let groups = world.routing.iter_mut().flat_map(|routing| &mut routing.groups);
            groups.for_each(|group| group.targets.clear());
        }
        (Mistake::HookBelieved, _) => {
            for answer in world.hook.iter_mut().filter_map(|called| called.answer.as_mut()) {
                *answer = HookAnswer::Succeeded;
            }
        }
        (Mistake::ErrorsOverlooked, _) => {
            world.figures.counted.iter_mut().for_each(|it| it.counts.c2xx = it.counts.requests);
        }
        (Mistake::FiguresTooFresh, _) => {
            world.figures.counted.iter_mut().for_each(|it| it.start -= FRESH);
        }
        (Mistake::LaunchAgain, Action::Provision) => {
            world.instances.retain(|instance| instance.launched_at >= now.began);
        }
        _ => {}
    }
}

/// What the planner does instead of what it should.
fn instead(mistake: Mistake, now: &Situation<'_>, world: &World) -> Option<Decision> {
    let routing = world.routing.as_ref();
    let planted = |step| Some(Decision::act(step, "a planted mistake"));
    match (mistake, now.job.action) {
        (Mistake::HoldIgnored, Action::Provision) => {
            let held = now.holding.held.as_ref().filter(|held| held.hold.release != now.job.release && !held.free())?;
            let (release, pipeline) = (now.job.release.clone(), now.job.pipeline.clone());
            let hold = Hold::taken(release, pipeline, world.now, held.hold.settings.clone());
            planted(Step::WriteHold { hold: Box::new(hold), etag: Some(held.etag.clone()) })
        }
        (Mistake::StrangerTerminated, Action::Deploy | Action::Retire | Action::Discard) => {
            now.held()?;
            let targets = routing?.groups.iter().flat_map(|group| &group.targets).filter(|target| target.counts());
            let known = |id: &str| world.instances.iter().any(|instance| instance.id == id);
            let strangers: Vec<String> = targets.filter(|it| !known(&it.id)).map(|it| it.id.clone()).collect();
            if strangers.is_empty() { None } else { planted(Step::Terminate { instances: strangers }) }
        }
        (Mistake::RollbackToTheDead, Action::Rollback) => {
            now.held().filter(|held| held.hold.phase == Phase::Ending)?.hold.moved_at?;
            let routing = routing?;
            let own = |id: &str| world.fleet(&now.job.release).any(|instance| instance.id == id);
            let (mine, other) = match &routing.groups[..] {
                [a, b] if a.targets.iter().any(|target| own(&target.id)) => (a, b),
                [a, b] if b.targets.iter().any(|target| own(&target.id)) => (b, a),
                _ => return None,
            };
            let switch = routing.switches.iter().find(|switch| switch.weight(&mine.arn).unwrap_or(0) > 0)?;
            let weight = switch.weight(&mine.arn)?;
            planted(Step::SetWeights {
                switch: switch.arn.clone(),
                label: switch.label.clone(),
                weights: vec![(other.arn.clone(), 0, weight), (mine.arn.clone(), weight, 0)],
                unstick: false,
            })
        }
        (Mistake::TestBeforeHealth, Action::Deploy) => {
            let own = now.held()?.hold.group.clone()?;
            let ailing = |group: &&Group| {
                let mut targets = group.targets.iter().filter(|target| target.counts());
                group.arn == own && targets.any(|target| target.health != Health::Healthy)
            };
            routing?.groups.iter().find(ailing)?;
            let rule = routing?.tests.iter().find(|rule| !rule.groups.contains(&own))?;
            let (rule, label, from) = (rule.arn.clone(), rule.label.clone(), rule.groups.clone());
            planted(Step::PointTest { rule, label, from, to: own })
        }
        (Mistake::NamedBeforeInstall, Action::Provision) => {
            let held = now.held().filter(|held| held.hold.settings.target_group == TargetGroup::None)?;
            let zone = held.hold.settings.zone.as_deref()?;
            let ips = running(world.fleet(&now.job.release));
            let changes = toward(&world.names, &now.job.role, zone, Names::Live, &ips);
            batch(zone, changes).filter(|_| !ips.is_empty()).and_then(planted)
        }
        (Mistake::RetiredWhileNamed, Action::Shift) => {
            let held = now.held().filter(|held| held.hold.settings.target_group == TargetGroup::None)?;
            let instances = predecessors(now);
            (held.hold.previous.is_some() && held.hold.moved_at.is_none() && !instances.is_empty())
                .then(|| Decision::act(Step::Terminate { instances }, "a planted mistake"))
        }
        (Mistake::WrongGroupEmptied, Action::Deploy) => {
            now.held()?;
            let own = |id: &str| world.fleet(&now.job.release).any(|instance| instance.id == id);
            routing?.groups.iter().find_map(|group| {
                let counted = group.targets.iter().filter(|target| target.counts() && !own(&target.id));
                let targets: Vec<_> = counted.map(|target| (target.id.clone(), target.port)).collect();
                (!targets.is_empty())
                    .then(|| Decision::act(Step::Deregister { group: group.arn.clone(), targets }, "a planted mistake"))
            })
        }
        _ => None,
    }
}

/// Whether shift remembers that an alarm couldn't be seen.
fn awaits_alarm(memory: &impl tagship::engine::Memory) -> bool {
    serde_json::to_value(memory).is_ok_and(|memory| memory.get("unseen").is_some())
}

fn predecessors(now: &Situation<'_>) -> Vec<String> {
    let others =
        now.world.as_read().instances.iter().filter(|instance| instance.release.as_ref() != Some(&now.job.release));
    others.filter(|instance| instance.alive()).map(|instance| instance.id.clone()).collect()
}
