//! The canonical stories, and each of them with a fault at every call.

use crate::cloud::Build;
use crate::past::{MINUTE, SECOND};
use crate::plan::{Plan, ReleasePlan, ServicePlan, Vote, role, settings};
use tagship::settings::{Compare, Eip, Hook, Hooks, Keep, Selector, Shift, ShiftStep, TargetGroup};

/// A story that must always end the same.
#[derive(Debug, Clone)]
pub struct Story {
    /// What it is called.
    pub name: &'static str,
    /// What happens.
    pub plan: Plan,
}

/// All of them.
pub fn stories() -> Vec<Story> {
    let first = || ReleasePlan::at(SECOND);
    let second = || ReleasePlan::at(30 * MINUTE);
    let reject = Vote::Reject(2 * MINUTE);
    let story = |name, plan| Story { name, plan };
    let quiet = || Plan::quiet(1);
    vec![
        story("first release", quiet().releases([first()])),
        story("normal release", quiet().releases([first(), second()])),
        story("failed health", quiet().releases([first(), second().build(Build::Unhealthy)])),
        story("failed install", quiet().releases([first(), second().build(Build::FailsOnOne)])),
        story("rejection", quiet().releases([first(), second().vote("FinalApproval", reject)])),
        story("first release rejected", quiet().releases([first().vote("FinalApproval", reject)])),
        story("discard", quiet().releases([first(), second().vote("QaApproval", reject)])),
        story("park", park(Vote::Grant(MINUTE), None)),
        story("park by name", park(Vote::Grant(MINUTE), Some(TargetGroup::None))),
        story("pre-product rejected", park(reject, None)),
        story(
            "two at once",
            quiet().releases([
                first(),
                second().vote("FinalApproval", Vote::Reject(MINUTE)),
                ReleasePlan::at(31 * MINUTE),
            ]),
        ),
        story("own addresses", with(quiet(), |service| service.settings.eip = Eip::Own)),
        story("pool of addresses", {
            let selector = Selector { parts: vec![("tagship:service".into(), "WEB_PRODUCT".into())] };
            with(quiet(), |service| service.settings.eip = Eip::Pool(selector))
        }),
        story("kept stopped", with(quiet(), |service| service.settings.keep = Keep::Stop)),
        story("three steps", {
            let mut plan = quiet().releases([first(), second()]);
            plan.services[0].settings.shift = steps(&[10, 25, 50], 1);
            plan
        }),
        story("compared in a step", compared()),
        story("hooks", {
            let mut plan = quiet().releases([first()]);
            plan.services[0].settings.hooks = hooks(&["passes", "slow"], &["passes"]);
            plan
        }),
        story("a hook fails before the shift", hooked(hooks(&["passes", "judges"], &[]))),
        story("a hook fails after the shift", hooked(hooks(&["passes"], &["judges"]))),
        story("by name only", with(quiet(), |service| service.settings.target_group = TargetGroup::None)),
    ]
}

/// Three releases, of which the second is rejected.
fn with(mut plan: Plan, change: impl FnOnce(&mut ServicePlan)) -> Plan {
    plan.services[0].releases = vec![
        ReleasePlan::at(SECOND),
        ReleasePlan::at(30 * MINUTE).vote("FinalApproval", Vote::Reject(2 * MINUTE)),
        ReleasePlan::at(60 * MINUTE),
    ];
    change(&mut plan.services[0]);
    plan
}

/// These percentages, each for so long.
pub fn steps(of: &[u32], bake_secs: u32) -> Shift {
    Shift { steps: of.iter().map(|percent| ShiftStep { percent: *percent, bake_secs }).collect() }
}

/// The second release answers errors, and is found out at 10 %.
fn compared() -> Plan {
    let mut plan = Plan::quiet(1);
    plan.services[0].releases = vec![ReleasePlan::at(SECOND), ReleasePlan::at(30 * MINUTE).build(Build::Errs)];
    let settings = &mut plan.services[0].settings;
    settings.shift = Shift { steps: vec![ShiftStep { percent: 10, bake_secs: 600 }] };
    settings.compare = Some(Compare::default());
    plan
}

fn hooks(before: &[&str], after: &[&str]) -> Hooks {
    let of = |names: &[&str]| names.iter().map(|name| Hook { function: (*name).to_owned(), details: None }).collect();
    Hooks { before_shift: of(before), after_shift: of(after) }
}

/// The second release answers errors, and a hook finds that out.
fn hooked(hooks: Hooks) -> Plan {
    let mut plan = Plan::quiet(1);
    plan.services[0].releases = vec![ReleasePlan::at(SECOND), ReleasePlan::at(30 * MINUTE).build(Build::Errs)];
    plan.services[0].settings.hooks = hooks;
    plan
}

/// A product with a pre-product, which is parked whatever becomes of its release.
fn park(vote: Vote, target_group: Option<TargetGroup>) -> Plan {
    let mut plan = Plan::quiet(1).releases([ReleasePlan::at(SECOND).vote("PreApproval", vote)]);
    let qa = role("WEB_QA");
    let mut settings = settings(&qa, 1);
    if let Some(target_group) = target_group {
        settings.target_group = target_group;
    }
    plan.services[0].pre = Some((qa, settings));
    plan
}
