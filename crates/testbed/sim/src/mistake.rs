//! Planted mistakes: planners that are wrong on purpose, to prove that the checkers can fail.

use crate::chance;
use crate::checks::Violation;
use crate::day::Day;
use std::cell::Cell;
use std::marker::PhantomData;
use std::ops::Range;
use tagship::names::{Names, batch, toward};
use tagship::settings::TargetGroup;
use tagship::traffic::running;
use tagship::{Action, Decision, Done, Health, Hold, Memo, Phase, Reads, Situation, Stage, Step, Verdict, World};

/// One mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// The client token names the service, but neither the release nor the hold's `since`.
    TokenWithoutSince,
    /// The phase isn't read again before a change.
    NoSecondLook,
    /// Weights move before the candidate is healthy.
    WeightsBeforeHealth,
    /// Only one switch is looked at.
    SecondSwitchForgotten,
    /// The predecessor is terminated once the weights have moved.
    RetiredBeforeApproval,
    /// An instance that isn't the service's is terminated because it is in the pair.
    StrangerTerminated,
    /// Rollback goes to a group without a healthy target.
    RollbackToTheDead,
    /// Discard forgets the addresses.
    AddressLeaked,
    /// Discard forgets the names.
    NameLeaked,
    /// Provision takes a hold that another release has.
    HoldIgnored,
    /// The hold is never deleted.
    HoldNeverFreed,
    /// What is deregistered is terminated at once.
    DrainSkipped,
    /// A target that hasn't been checked is read as healthy.
    UncheckedIsHealthy,
    /// A new invocation launches again, whatever is there.
    LaunchAgain,
    /// SETTLE isn't waited for.
    NoSettling,
    /// Deploy takes what isn't its own out of either group, the live one too.
    WrongGroupEmptied,
    /// Provision gives the live name to its fleet before anything is installed on it.
    NamedBeforeInstall,
    /// Shift terminates the predecessor while the live name still leads to it.
    RetiredWhileNamed,
}

impl Mistake {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::TokenWithoutSince,
        Self::NoSecondLook,
        Self::WeightsBeforeHealth,
        Self::SecondSwitchForgotten,
        Self::RetiredBeforeApproval,
        Self::StrangerTerminated,
        Self::RollbackToTheDead,
        Self::AddressLeaked,
        Self::NameLeaked,
        Self::HoldIgnored,
        Self::HoldNeverFreed,
        Self::DrainSkipped,
        Self::UncheckedIsHealthy,
        Self::LaunchAgain,
        Self::NoSettling,
        Self::WrongGroupEmptied,
        Self::NamedBeforeInstall,
        Self::RetiredWhileNamed,
    ];
}

impl Mistake {
    /// The first seed that finds it, and how.
    pub fn found(self, seeds: Range<u64>) -> Option<(u64, Violation)> {
        seeds.into_iter().find_map(|seed| {
            let mut day = Day::new(chance::plan(seed, Some(self)), false);
            day.live();
            day.checks.violations.into_iter().next().map(|violation| (seed, violation))
        })
    }
}

thread_local! {
    static PLANTED: Cell<Option<Mistake>> = const { Cell::new(None) };
}

/// The mistake that this thread's planners make from now on.
pub fn plant(mistake: Option<Mistake>) {
    PLANTED.set(mistake);
}

/// A planner with the planted mistake.
#[derive(Debug)]
pub struct Wrong<S>(PhantomData<S>);

impl<S: Stage> Stage for Wrong<S> {
    const READS: Reads = S::READS;

    fn decide(now: &Situation<'_>, memo: &mut Memo) -> Decision {
        let Some(mistake) = PLANTED.get() else { return S::decide(now, memo) };
        let action = now.job.action;
        let mut world = now.world.clone();
        let mut holding = now.holding.clone();
        blur(mistake, now, memo, &mut world);
        if mistake == Mistake::NoSettling
            && let Some(held) = holding.held.as_mut().filter(|held| held.hold.phase != Phase::Open)
        {
            held.hold.settings.timeouts.settle_secs = 0;
        }
        if let Some(decision) = instead(mistake, now, &world) {
            return decision;
        }
        let decision = S::decide(&Situation { world: &world, holding: &holding, ..*now }, memo);
        match (mistake, action, decision) {
            (Mistake::TokenWithoutSince, _, Decision::Do { step: Step::Launch(mut launch), why, then }) => {
                launch.client_token = format!("{}-{}-{}", launch.role, launch.subnet, launch.count);
                Decision::Do { step: Step::Launch(launch), why, then }
            }
            (Mistake::LaunchAgain, _, Decision::Do { step: Step::Launch(mut launch), why, then }) => {
                launch.client_token = format!("{}-{}", launch.client_token, memo.began.as_second());
                Decision::Do { step: Step::Launch(launch), why, then }
            }
            (Mistake::HoldNeverFreed, _, Decision::Do { step: Step::DeleteHold { .. }, .. }) => {
                Decision::Done(Done::default())
            }
            (Mistake::RetiredBeforeApproval, Action::Shift, Decision::Done(done)) => match predecessors(now) {
                ids if ids.is_empty() => Decision::Done(done),
                instances => Decision::act(Step::Terminate { instances }, "a planted mistake"),
            },
            (_, _, decision) => decision,
        }
    }
}

/// What the planner sees wrongly.
fn blur(mistake: Mistake, now: &Situation<'_>, memo: &Memo, world: &mut World) {
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
        (Mistake::AddressLeaked, Action::Discard) => world.addresses.clear(),
        (Mistake::NameLeaked, Action::Discard) => world.names.clear(),
        (Mistake::DrainSkipped, Action::Retire | Action::Discard) => {
            let groups = world.routing.iter_mut().flat_map(|routing| &mut routing.groups);
            groups.for_each(|group| group.targets.retain(|target| target.health != Health::Draining));
        }
        (Mistake::LaunchAgain, Action::Provision) => {
            world.instances.retain(|instance| instance.launched_at >= memo.began);
        }
        _ => {}
    }
}

/// What the planner does instead of what it should.
fn instead(mistake: Mistake, now: &Situation<'_>, world: &World) -> Option<Decision> {
    let routing = world.routing.as_ref();
    let planted = |step| Some(Decision::act(step, "a planted mistake"));
    match (mistake, now.job.action) {
        (Mistake::HoldIgnored, Action::Provision) if now.verdict == Verdict::AwaitHolder => {
            let held = now.holding.held.as_ref()?;
            let hold = Hold {
                release: now.job.release.clone(),
                pipeline: now.job.pipeline.clone(),
                since: world.now,
                phase: Phase::Open,
                settings: held.hold.settings.clone(),
                artifact: None,
                previous: None,
                moved_at: None,
            };
            planted(Step::WriteHold { hold: Box::new(hold), etag: Some(held.etag.clone()) })
        }
        (Mistake::StrangerTerminated, Action::Deploy | Action::Retire | Action::Discard) => {
            now.held()?;
            let targets = routing?.groups.iter().flat_map(|group| &group.targets).filter(|target| target.counts());
            let known = |id: &str| world.instances.iter().any(|instance| instance.id == id);
            let strangers: Vec<String> = targets.filter(|it| !known(&it.id)).map(|it| it.id.clone()).collect();
            if strangers.is_empty() { None } else { planted(Step::Terminate { instances: strangers }) }
        }
        (Mistake::RollbackToTheDead, Action::Rollback) if now.verdict == Verdict::Act => {
            now.held()?.hold.moved_at?;
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
            })
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

fn predecessors(now: &Situation<'_>) -> Vec<String> {
    let others = now.world.instances.iter().filter(|instance| instance.release.as_ref() != Some(&now.job.release));
    others.filter(|instance| instance.alive()).map(|instance| instance.id.clone()).collect()
}
