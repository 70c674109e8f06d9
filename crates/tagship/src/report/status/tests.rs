use super::*;
use crate::settings::HookPoint;
use crate::testing::{self, at, hold, instance, release, role};
use crate::{Act, Back, Does, Run, RunStatus, Split};

/// What is seen while release 2 replaces release 1.
fn instances() -> Vec<Instance> {
    vec![instance(1, 1), instance(1, 2), instance(2, 1), instance(2, 2)]
}

fn check(what: &str, hold: Option<Hold>, retired: bool, live: u8, roles: &[(u8, Role)]) {
    let mut instances = instances();
    for gone in instances.iter_mut().filter(|instance| retired && instance.release == Some(release(1))) {
        gone.retired_by = Some(release(2));
        gone.state = InstanceState::Stopped;
    }
    // Of the same second, the newer release's are newer.
    for newer in instances.iter_mut().filter(|instance| instance.release == Some(release(2))) {
        newer.launched_at = at(100);
    }
    let seen = Seen { now: at(200), hold: hold.as_ref(), instances: Some(&instances), ..Seen::default() };
    let status = status(&role(), &seen);
    assert_eq!(status.live, Some(release(live)), "{what}");
    let found: Vec<(ReleaseId, Role)> = status.releases.iter().map(|it| (it.release.clone(), it.role)).collect();
    let expected: Vec<(ReleaseId, Role)> = roles.iter().map(|(n, role)| (release(*n), *role)).collect();
    assert_eq!(found, expected, "{what}");
}

#[test]
fn a_release_is_candidate_until_its_last_weight_has_moved() {
    use Role::{Candidate, Live, Retired};
    let moved = |hold: Hold| Hold { moved_at: Some(at(150)), ..hold };
    let back = Some(Back { why: "an alarm".to_owned(), at: at(160) });
    for (what, hold, retired, live, roles) in [
        ("prepared", Some(hold(2)), false, 1, [(2, Candidate), (1, Live)]),
        ("shifted", Some(moved(hold(2))), false, 2, [(2, Live), (1, Retired)]),
        ("going back", Some(Hold { back, ..moved(hold(2)) }), false, 1, [(2, Candidate), (1, Live)]),
        ("approved", Some(Hold { phase: Phase::Approved, ..moved(hold(2)) }), false, 2, [(2, Live), (1, Retired)]),
        ("ended, kept stopped", None, true, 2, [(2, Live), (1, Retired)]),
    ] {
        check(what, hold, retired, live, &roles);
    }
}

#[test]
fn a_step_says_how_long_it_lasts_still() {
    let mut split = hold(2);
    let written = serde_json::json!({"STEPS": [{"WEIGHT": 10, "BAKE": 300}, {"WEIGHT": 50, "BAKE": 60}]});
    split.settings.shift = serde_json::from_value(written).expect("a shift");
    split.split =
        Some(Split { step: 1, from: vec![50], to: 50, since: Some(at(20)), old: BTreeMap::new(), stood: Vec::new() });
    let expected = Step { step: 2, of: 2, percent: 50, since: Some(at(20)), until: Some(at(80)) };
    assert_eq!(held(&split).step, Some(expected));
}

#[test]
fn a_hook_is_shown_while_it_is_called() {
    let mut hooked = hold(2);
    hooked.settings.hooks.before_shift =
        vec![crate::settings::Hook { function: "smoke-test".to_owned(), details: None }];
    let run =
        |number| crate::HookRun { point: HookPoint::BeforeShift, number, since: at(20), due: at(50), details: None };
    hooked.hook = Some(run(0));
    let (function, point) = ("smoke-test".to_owned(), HookPoint::BeforeShift);
    assert_eq!(held(&hooked).hook, Some(Hook { function, point, since: at(20), until: at(3_620) }));
    let back = Some(Back { why: "it has failed".to_owned(), at: at(60) });
    assert_eq!(held(&Hold { back, ..hooked.clone() }).hook, None);
    hooked.hook = Some(run(1));
    assert_eq!(held(&hooked).hook, None);
}

#[test]
fn what_can_be_done_depends_on_what_is_open() {
    let pipeline = |open: Option<&str>, frozen: bool| {
        let act = |name: &str, does: Does| Act {
            name: name.to_owned(),
            does,
            last: Some(Run {
                status: if open == Some(name) { RunStatus::Running } else { RunStatus::Succeeded },
                since: Some(at(1)),
                summary: Some("waiting for instances".to_owned()),
                error: None,
                token: Some("t".to_owned()),
                by: None,
            }),
        };
        let invoke = |action| Does::Invoke { service: role().to_string(), action: Some(action) };
        let closed = crate::Frozen { reason: "a holiday".to_owned(), by: None, since: None };
        let stage = Stage {
            name: "Release".to_owned(),
            latest: Some(release(2)),
            status: if open.is_some() { "InProgress" } else { "Succeeded" }.to_owned(),
            frozen: frozen.then_some(closed),
            waiting: vec![release(3)],
            actions: vec![
                act("Deploy", invoke(Action::Deploy)),
                act("QaApproval", Does::Ask),
                act("Route", invoke(Action::Shift)),
                act("FinalApproval", Does::Ask),
                act("Cleanup", invoke(Action::Retire)),
            ],
        };
        Pipeline { name: "web".to_owned(), stages: vec![stage] }
    };
    let holds = Some(hold(2));
    for (what, hold, open, frozen, expected) in [
        ("an approval", &holds, Some("QaApproval"), false, vec!["approve", "reject", "why"]),
        ("an action", &holds, Some("Route"), false, vec!["stop", "why"]),
        ("ended, but held", &holds, None, false, vec!["stop", "why"]),
        ("nothing", &None, None, false, vec!["release", "rollback"]),
        ("frozen", &None, None, true, vec!["release", "rollback", "unfreeze"]),
    ] {
        let pipeline = pipeline(open, frozen);
        let instances = instances();
        let seen = Seen {
            now: at(9),
            hold: hold.as_ref(),
            instances: Some(&instances),
            pipeline: Some(&pipeline),
            ..Seen::default()
        };
        let status = status(&role(), &seen);
        let verbs: Vec<&str> = status.next.iter().filter_map(|next| next.command.split_whitespace().nth(1)).collect();
        assert_eq!(verbs, expected, "{what}");
        assert_eq!(status.queued, [Queued { release: release(3) }], "{what}");
        assert_eq!(status.approval.map(|it| it.approval).as_deref(), open.filter(|name| name.contains("Approval")));
        assert_eq!(status.running.map(|it| it.action).as_deref(), open.filter(|name| *name == "Route"), "{what}");
    }
}

/// What a rejection can't do is said before it is given.
#[test]
fn a_question_says_what_the_answer_will_really_do() {
    let release_2 = release(2);
    let approval = Approval {
        stage: "Release",
        action: "FinalApproval",
        release: &release_2,
        since: None,
        token: "t",
        services: Vec::new(),
        begins: Some(Action::Retire),
    };
    let check = |previous: Option<u8>, healthy: bool, rejecting: &str| {
        let mut routing = testing::routing(vec![testing::target(1, 1)], vec![testing::target(2, 1)]);
        routing.groups[0].targets[0].health = if healthy { Health::Healthy } else { Health::Unhealthy };
        let before = crate::Previous { release: previous.map(release), healthy: 1 };
        let hold = Hold { previous: Some(before), moved_at: Some(at(5)), ..hold(2) };
        let instances = instances();
        let seen = Seen { hold: Some(&hold), instances: Some(&instances), routing: Some(&routing), ..Seen::default() };
        let releases = releases(&instances, Some(&release(2)), &seen);
        let asked = asked(&approval, &seen, &releases);
        assert!(asked.rejecting.contains(rejecting), "{asked:?}");
    };
    check(Some(1), true, "moves all traffic back");
    check(Some(1), false, "its predecessor has no healthy target");
    check(None, true, "there is nothing to go back to");
}

#[test]
fn a_weight_names_the_release_of_its_group() {
    let routing = testing::routing(vec![testing::target(1, 1)], vec![testing::target(2, 1)]);
    let instances = instances();
    let seen = Seen { now: at(9), instances: Some(&instances), routing: Some(&routing), ..Seen::default() };
    let switches = status(&role(), &seen).switches;
    assert_eq!(switches.len(), routing.switches.len());
    for switch in &switches {
        assert_eq!(switch.groups.iter().map(|it| it.percent).sum::<u32>(), 100, "{switch:?}");
    }
}
