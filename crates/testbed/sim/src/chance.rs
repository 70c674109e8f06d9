//! A day made by chance: services, releases, people and every fault, all from one seed.

use crate::cloud::{Build, HOOKS, Nature};
use crate::limits::{Limits, Rate};
use crate::mistake::Mistake;
use crate::past::{HOUR, MINUTE, Ms, SECOND};
use crate::plan::{Odds, PersonAct, Plan, ReleasePlan, SUBNETS, ServicePlan, TYPES, Vote, role, settings};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use tagship::settings::{
    Choice, Compare, Eip, Hook, Hooks, Keep, OnAlarm, Selector, Shift, ShiftStep, TargetGroup, Volume,
};
use tagship::{Action, AlarmState};

/// Faults and people do their worst for so long.
const BUSY: Ms = 4 * HOUR;

/// The plan of a seed.
pub fn plan(seed: u64, mistake: Option<Mistake>) -> Plan {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed ^ 0x7461_6773_6869_7000);
    let names = ["WEB_PRODUCT", "API_PRODUCT", "JOBS_PRODUCT"];
    let count = rng.random_range(1..=names.len());
    let mut services: Vec<ServicePlan> = names[..count].iter().map(|name| service(&mut rng, name)).collect();
    let mut acts: Vec<_> = (0..rng.random_range(0..12)).map(|_| act(&mut rng, &services)).collect();
    // Of a chance of their own: a seed's day has otherwise stayed what it was.
    let mut hooked = Xoshiro256PlusPlus::seed_from_u64(seed ^ 0x686f_6f6b_7300);
    for service in &mut services {
        if hooked.random_bool(0.25) {
            service.settings.hooks = hooks(&mut hooked);
            service.settings.timeouts.hook_secs = [120, 600, 3_600][hooked.random_range(0..3)];
        }
        if !service.settings.shift.at_once() && hooked.random_bool(0.25) {
            acts.push((0, PersonAct::Wreck(service.role.clone(), ((BUSY - HOUR) / MINUTE) as u32)));
        }
    }
    // A bad zone: instances hang together, and describes are behind.
    let bad = hooked.random_bool(0.05);
    let nature = Nature {
        lag: [0, 2 * SECOND, 10 * SECOND][rng.random_range(0..3)],
        boot_fails: [0.0, 0.0, 0.05][rng.random_range(0..3)],
        boot_hangs: [0.0, 0.0, 0.02][rng.random_range(0..3)],
        addresses: [50, 50, 12][rng.random_range(0..3)],
        limits: Limits {
            // No figure is published: none at all, or few.
            balancing: [None, Some(Rate { burst: 20.0, per_sec: 5.0 })][rng.random_range(0..2)],
            ..Limits::default()
        },
        figures: [Some(MINUTE), Some(3 * MINUTE), Some(3 * MINUTE), None][rng.random_range(0..4)],
        nodes: [rng.random_range(0..2 * SECOND), rng.random_range(0..5 * SECOND)],
        ..Nature::default()
    };
    let nature = if bad { Nature { lag: 10 * SECOND, boot_hangs: 0.3, ..nature } } else { nature };
    let harsh = [0.0, 0.3, 1.0, 3.0][rng.random_range(0..4)];
    let odds = Odds {
        crash: 0.003 * harsh,
        crash_after: 0.003 * harsh,
        late: 0.01 * harsh,
        lost: 0.003 * harsh,
        refuse: 0.005 * harsh,
        freeze: 0.000_03 * harsh,
        stale: 0.008 * harsh,
        slow: 0.05 * harsh,
        race: 0.01 * harsh,
        duplicate: 0.1 * harsh,
        lose_event: 0.1 * harsh,
        late_event: 0.1 * harsh,
        unknown: 0.003 * harsh,
    };
    Plan {
        seed,
        nature,
        services,
        acts,
        odds,
        injected: BTreeMap::new(),
        mishaps: BTreeMap::new(),
        calm: BUSY,
        patience: 6 * HOUR,
        timeout: [2 * MINUTE, 5 * MINUTE, 15 * MINUTE][rng.random_range(0..3)],
        mistake,
    }
}

fn service(rng: &mut Xoshiro256PlusPlus, name: &str) -> ServicePlan {
    let count = [1, 2, 3, 5][rng.random_range(0..4)];
    let mut service = ServicePlan::new(name, count);
    let selector = Selector { parts: vec![("tagship:service".into(), name.into())] };
    service.settings.eip = match rng.random_range(0..6) {
        0 => Eip::Own,
        1 => Eip::Pool(selector),
        _ => Eip::None,
    };
    if rng.random_bool(0.2) {
        service.settings.keep = Keep::Stop;
    }
    if rng.random_bool(0.3) {
        service.settings.volume = Some(Volume { size_gib: 9, r#type: "gp3".into() });
    }
    if rng.random_bool(0.1) {
        service.settings.target_group = TargetGroup::None;
    } else if rng.random_bool(0.2) {
        service.settings.zone = None;
    }
    if rng.random_bool(0.2) {
        let qa = role(&name.replace("PRODUCT", "QA"));
        let mut settings = settings(&qa, rng.random_range(1..=2));
        if rng.random_bool(0.5) {
            settings.target_group = TargetGroup::None;
        }
        service.pre = Some((qa, settings));
    }
    if service.pre.is_none() && rng.random_bool(0.05) {
        service.mistyped = Some(if rng.random_bool(0.5) { role("WEB_PRODUCT") } else { service.role.clone() });
    }
    if rng.random_bool(0.3) {
        service.settings.timeouts.postmortem_secs = rng.random_range(0..=20 * 60);
    }
    if rng.random_bool(0.5) {
        service.settings.alarms = Choice::Ids(vec![format!("{name}-5xx")]);
        service.settings.guard_secs = [600, 3_600][rng.random_range(0..2)];
        service.settings.on_alarm = if rng.random_bool(0.2) { OnAlarm::Tell } else { OnAlarm::Rollback };
    }
    if service.settings.target_group != TargetGroup::None && rng.random_bool(0.4) {
        service.settings.shift = shift(rng);
        service.settings.compare = rng.random_bool(0.5).then(Compare::default);
    }
    service.requests = [0, 60, 6_000, 60_000][rng.random_range(0..4)];
    service.switches = rng.random_range(1..=3);
    service.tested = rng.random_bool(0.4);
    service.queued = rng.random_bool(0.3);
    let mut at = 0;
    for _ in 0..rng.random_range(1..=4) {
        at += rng.random_range(SECOND..=60 * MINUTE);
        service.releases.push(release(rng, at));
        if rng.random_bool(0.05) {
            // The upload's event comes twice, and starts two executions.
            let twin = service.releases.last().map(|first| ReleasePlan { at: at + 2 * SECOND, ..first.clone() });
            service.releases.extend(twin);
        }
    }
    service
}

/// Up to two hooks at each point. Most of them pass what is sound.
fn hooks(rng: &mut Xoshiro256PlusPlus) -> Hooks {
    let mut some = || -> Vec<Hook> {
        let hook = |function: &str| Hook { function: function.to_owned(), details: None };
        let kinds = 0..if rng.random_bool(0.5) { 3 } else { HOOKS.len() };
        (0..rng.random_range(0..=2)).map(|_| hook(HOOKS[rng.random_range(kinds.clone())])).collect()
    };
    Hooks { before_shift: some(), after_shift: some() }
}

/// One to three steps.
fn shift(rng: &mut Xoshiro256PlusPlus) -> Shift {
    let mut percent = 0;
    let mut steps = Vec::new();
    for _ in 0..rng.random_range(1..=3) {
        percent += rng.random_range(1..=33);
        steps.push(ShiftStep { percent, bake_secs: [1, 20, 60, 300, 900][rng.random_range(0..5)] });
    }
    Shift { steps }
}

fn release(rng: &mut Xoshiro256PlusPlus, at: Ms) -> ReleasePlan {
    let build = match rng.random_range(0..20) {
        0..2 => Build::Unhealthy,
        2 => Build::FailsOnOne,
        3 => Build::Hangs,
        6 => Build::NoAgent,
        4..6 => Build::Errs,
        _ => Build::Good,
    };
    let mut plan = ReleasePlan::at(at).build(build);
    for approval in ["PreApproval", "QaApproval", "FinalApproval"] {
        let vote = match rng.random_range(0..10) {
            0..7 => Vote::Grant(rng.random_range(0..20 * MINUTE)),
            7..9 => Vote::Reject(rng.random_range(0..20 * MINUTE)),
            _ => Vote::Silence,
        };
        plan = plan.vote(approval, vote);
    }
    if rng.random_bool(0.1) {
        plan.stop = Some((at + rng.random_range(0..30 * MINUTE), rng.random_bool(0.5)));
    }
    plan
}

fn act(rng: &mut Xoshiro256PlusPlus, services: &[ServicePlan]) -> (Ms, PersonAct) {
    let service = &services[rng.random_range(0..services.len())];
    let role = service.role.clone();
    let back = rng.random_range(SECOND..10 * MINUTE);
    let act = match rng.random_range(0..35) {
        33 | 34 => PersonAct::PointTest(role),
        31 | 32 => PersonAct::Halt(role, rng.random_range(0..6), back),
        28..31 => {
            let (state, times) = match rng.random_range(0..20) {
                0..15 => (AlarmState::Alarm, 3),
                15 | 16 => (AlarmState::NoData, 3),
                _ => (AlarmState::Missing, 12),
            };
            PersonAct::Ring(role, state, times * back)
        }
        26 | 27 => PersonAct::Reweigh(role, rng.random_range(0..service.switches)),
        25 => PersonAct::SplitSwitch(role, rng.random_range(0..service.switches), back),
        0 => PersonAct::TurnSwitch(role, rng.random_range(0..service.switches), back),
        1 => PersonAct::AddStranger(role, rng.random_range(0..2), back),
        2..6 => PersonAct::Kill(role, rng.random_range(0..6)),
        6 => PersonAct::Untag(role, rng.random_range(0..6), rng.random_bool(0.5)),
        7..9 => PersonAct::Resize(role, rng.random_range(1..=4)),
        9..13 => PersonAct::Sicken(role, rng.random_range(0..6), back),
        13 => PersonAct::TakeOut(role, rng.random_range(0..6)),
        14 => {
            let (subnet, kind) = (SUBNETS[rng.random_range(0..2)], TYPES[usize::from(rng.random_bool(0.2))]);
            PersonAct::Exhaust(subnet, kind, rng.random_range(0..3))
        }
        15 | 16 => PersonAct::Storm(2 * back),
        17 => PersonAct::Keep(role, if rng.random_bool(0.5) { Keep::Stop } else { Keep::Terminate }),
        18 if !matches!(service.settings.eip, Eip::Pool(_)) => PersonAct::Addresses(role, rng.random_bool(0.5)),
        18 => PersonAct::Move(role),
        19 => PersonAct::Retry(role),
        21 => PersonAct::UntagSwitch(role, rng.random_range(0..service.switches), back),
        20 => PersonAct::Protect(role, rng.random_range(0..6)),
        _ => {
            let actions = [Action::Retire, Action::Rollback, Action::Discard, Action::Park];
            PersonAct::Ask(role, actions[rng.random_range(0..actions.len())])
        }
    };
    // Most happens while something is under way.
    let near = &service.releases[rng.random_range(0..service.releases.len())];
    if rng.random_bool(0.7) {
        return (near.at + rng.random_range(0..20 * MINUTE), act);
    }
    (rng.random_range(0..BUSY), act)
}
