//! Worlds as they are today, and what the next release would do in each.

use super::*;
use crate::settings::{Compare, ShiftStep, TargetGroup};
use crate::testing::*;
use crate::{Act, Address, Offer, Phase, Stage, history::Spent};

/// Release 1 is live with a fleet of two; nothing is under way.
fn known() -> Known {
    let settings = settings();
    let mut world = world();
    world.instances.retain(|instance| instance.release == Some(release(1)));
    world.routing = Some(routing(vec![target(1, 1), target(1, 2)], Vec::new()));
    world.names = named(crate::names::Names::Live, 1);
    world.offer = Some(Offer { settings, user_data: None });
    Known { now: at(100), world, pipeline: pipeline(), ..Known::default() }
}

fn pipeline() -> Pipeline {
    let act = |name: &str, does: Does| Act { name: name.to_owned(), does, last: None };
    let invoke =
        |name: &str, action: Action| act(name, Does::Invoke { service: role().to_string(), action: Some(action) });
    let fetch = Does::Fetch { bucket: "releases".to_owned(), key: "web.zip".to_owned() };
    let actions = vec![
        invoke("Provision", Action::Provision),
        invoke("Deploy", Action::Deploy),
        act("QaApproval", Does::Ask),
        invoke("Route", Action::Shift),
        act("FinalApproval", Does::Ask),
        invoke("Cleanup", Action::Retire),
    ];
    let stages = vec![
        Stage { name: "Source".to_owned(), actions: vec![act("Upload", fetch)], ..Stage::default() },
        Stage { name: "Release".to_owned(), actions, ..Stage::default() },
    ];
    Pipeline { name: "web".to_owned(), stages }
}

fn offered(known: &mut Known) -> &mut crate::settings::Settings {
    &mut known.world.offer.as_mut().expect("an offer").settings
}

/// A line in a word or two, each in its action: `step: …`, `wait: …`, `assumed: …`.
fn told(plan: &Plan) -> Vec<String> {
    let line = |line: &Line| {
        let what = match (line.what, line.basis) {
            (What::Step, _) => "step",
            (What::Wait, _) => "wait",
            (What::Fails, _) => "fails",
            (What::Happens, Basis::Assumed) => "assumed",
            (What::Happens, _) => "unknown",
        };
        let secs = line.seconds.map(|secs| format!(" [{secs} s]")).unwrap_or_default();
        format!("{what}: {}{secs}", line.says)
    };
    let of = |planned: &Planned| {
        let name = [format!("{}:", planned.action)];
        name.into_iter().chain(planned.lines.iter().map(line)).collect::<Vec<_>>()
    };
    plan.actions.iter().flat_map(of).collect()
}

/// Each of these lines begins one of the plan's, in this order; in between there may be others.
#[track_caller]
fn check(change: impl FnOnce(&mut Known), ends: End, expected: &[&str]) -> Plan {
    let mut known = known();
    change(&mut known);
    let plan = plan(&role(), &release(9), known).expect("the pipeline is the service's");
    let told = told(&plan);
    let mut lines = told.iter();
    for expected in expected {
        let found = lines.any(|line| line.starts_with(expected));
        assert!(found, "{expected:?} isn't there, or not in its place: {told:#?}");
    }
    assert_eq!(plan.ends, ends, "{told:#?}");
    plan
}

#[test]
fn a_release_from_the_hold_to_its_end() {
    let plan = check(|_| (), End::Released, &[]);
    assert_eq!(
        told(&plan),
        [
            "Provision:",
            "step: take the hold for r0000009",
            "step: launch 1 × t3.micro in subnet-a",
            "step: launch 1 × t3.micro in subnet-b",
            "step: change 3 names in cd.internal",
            "wait: instances to boot, 0 of 2 run: i-new-0001, i-new-0002 pending",
            "assumed: 2 instances boot",
            "Deploy:",
            "step: write the hold: what is installed is chosen once",
            "step: filter the deployment group to r0000009",
            "step: deploy s3://releases/web.zip",
            "wait: deployment d-new: in progress",
            "assumed: the build installs on 2 instances",
            "step: register i-new-0001, i-new-0002 on port 8080 in web-b",
            "wait: 0 of 2 targets in web-b are healthy: i-new-0001 initial, i-new-0002 initial",
            "assumed: 2 targets become healthy",
            "QaApproval:",
            "assumed: somebody approves",
            "Route:",
            "step: write the hold: write down who is live before the first weight moves",
            "step: set HTTP:80 to web-b=100, web-a=0",
            "step: set HTTPS:443 to web-b=100, web-a=0",
            "step: write the hold: every switch has moved",
            "step: change 3 names in cd.internal",
            "wait: 30 s more of watching: 2 of 2 targets healthy [30 s]",
            "FinalApproval:",
            "assumed: somebody approves",
            "Cleanup:",
            "step: write the hold: approved: from here on the traffic doesn't go back",
            "step: deregister i-11, i-12 from web-a",
            "step: change 3 names in cd.internal",
            "wait: 2 targets to drain, 30 s more [30 s]",
            "step: terminate i-11, i-12",
            "step: write the roster of r0000009: 2 instances, down: none",
            "step: mark r0000009 as approved",
            "step: delete the hold",
        ]
    );
    let calls: Vec<&str> = plan.actions[0].lines.iter().filter_map(|line| line.call).collect();
    assert_eq!(
        calls,
        ["s3:PutObject", "ec2:RunInstances", "ec2:RunInstances", "route53:ChangeResourceRecordSets"],
        "each step has its call"
    );
}

#[test]
fn a_gradual_shift_takes_the_time_that_its_steps_say() {
    let steps = |percents: &[u32]| {
        percents.iter().map(|percent| ShiftStep { percent: *percent, bake_secs: 600 }).collect::<Vec<_>>()
    };
    let waits = ["Route:", "step: set HTTP:80", "wait: 10 % on 2 switches", "wait: 50 % on 2 switches", "wait: 30 s"];
    let plan = check(|known| offered(known).shift.steps = steps(&[10, 50]), End::Released, &waits);
    let secs: Vec<i64> = plan.actions[3].lines.iter().filter_map(|line| line.seconds).collect();
    assert_eq!(secs, [600, 600, 30]);
    let compared = |known: &mut Known| {
        offered(known).shift.steps = steps(&[10]);
        offered(known).compare = Some(Compare::default());
    };
    let plan = check(compared, End::Released, &["wait: 10 %", "assumed: its errors are no more than", "wait: 30 s"]);
    let secs: Vec<i64> = plan.actions[3].lines.iter().filter_map(|line| line.seconds).collect();
    assert_eq!(secs, [600, 30], "nothing is waited for twice, where there is enough to compare");
}

#[test]
fn what_would_fail_says_where_and_why() {
    let lone = |known: &mut Known| known.world.routing.as_mut().expect("routing").groups.truncate(1);
    let plan = check(lone, End::Fails, &["Provision:", "fails: "]);
    assert_eq!((plan.actions.len(), plan.seconds), (1, None), "nothing comes after it");
    let refused =
        |known: &mut Known| known.refused = vec![(Parts::OFFER, Error::configuration("no subnet has these tags"))];
    check(refused, End::Fails, &["Provision:", "fails: no subnet has these tags"]);
    let elsewhere = |known: &mut Known| offered(known).pipeline = Some("shop".to_owned());
    check(elsewhere, End::Fails, &["Provision:", "fails: only pipeline shop may release WEB_PRODUCT"]);
    let pool = |known: &mut Known| {
        let selector = crate::settings::Selector::service(&role());
        offered(known).eip = crate::settings::Eip::Pool(selector);
        known.world.addresses = vec![Address {
            id: "eipalloc-1".to_owned(),
            public_ip: "203.0.113.1".to_owned(),
            release: None,
            association: None,
            instance: None,
        }];
    };
    check(pool, End::Fails, &["step: take the hold", "fails: EIP tag:tagship:service=WEB_PRODUCT has 1 address"]);
    let nothing = |known: &mut Known| known.pipeline.stages[0].actions.clear();
    check(nothing, End::Fails, &["Deploy:", "fails: there is nothing to install"]);
    let silent = |known: &mut Known| offered(known).alarms = crate::settings::Choice::Ids(vec!["gone".to_owned()]);
    let missing = |known: &mut Known| {
        silent(known);
        let (name, state) = ("gone".to_owned(), crate::AlarmState::Missing);
        known.world.alarms = vec![crate::Alarm { name, state, since: None, reason: String::new() }];
    };
    check(missing, End::Fails, &["Route:", "fails: it would wait without an end for CloudWatch to show gone"]);
}

#[test]
fn who_holds_the_service_ends_first() {
    let held = |known: &mut Known, change: fn(&mut crate::Hold)| {
        let mut hold = hold(2);
        (hold.phase, hold.group) = (Phase::Open, Some("arn:b".to_owned()));
        change(&mut hold);
        known.held = crate::testing::held(hold).held;
        let world = world();
        (known.world.instances, known.world.routing) = (world.instances, world.routing);
    };
    let awaited =
        ["Provision:", "wait: release r0000002", "unknown: release r0000002 ends; from here on it is planned as"];
    let waits = check(|known| held(known, |_| ()), End::Released, &awaited);
    assert!(told(&waits).iter().any(|line| line.contains("set HTTP:80 to web-b=100, web-a=0")), "{waits:#?}");
    let live = |known: &mut Known| {
        held(known, |hold| hold.moved_at = Some(at(50)));
        known.world.routing = known.world.routing.take().map(|routing| moved(routing, 2));
    };
    let after = check(
        live,
        End::Released,
        &["unknown: release r0000002 ends; from here on it is planned as if it were approved"],
    );
    assert!(told(&after).iter().any(|line| line.contains("set HTTP:80 to web-a=100, web-b=0")), "{after:#?}");
}

#[test]
fn what_cannot_be_read_is_unknown() {
    let unread = |part: Parts, name: &'static str| {
        move |known: &mut Known| {
            let permission = Some("some:Permission".to_owned());
            known.unread = vec![(part, Unavailable { part: name, permission, why: "denied".to_owned() })];
        }
    };
    let filter = unread(Parts::FILTER, "deployment group");
    let plan =
        check(filter, End::Released, &["unknown: the deployment group can't be read: it is assumed that", "Cleanup:"]);
    assert_eq!(plan.unavailable.len(), 1);
    let switches = unread(Parts::ROUTING, "switches");
    check(switches, End::Unknown, &["Provision:", "unknown: the switches can't be read: denied"]);
}

#[test]
fn by_name_only_there_is_no_switch() {
    let named = |known: &mut Known| {
        offered(known).target_group = TargetGroup::None;
        known.world.routing = None;
    };
    let plan =
        check(named, End::Released, &["Route:", "step: change 3 names", "Cleanup:", "step: terminate i-11, i-12"]);
    assert!(!told(&plan).iter().any(|line| line.contains("register") || line.contains("set HTTP")), "{plan:#?}");
}

#[test]
fn times_are_the_median_of_the_last_five_that_went_well() {
    let entry = |n: i64, outcome| Entry {
        release: release(u8::try_from(n).expect("small")),
        began: at(0),
        seconds: 0,
        version: None,
        build: None,
        outcome,
        why: None,
        by: None,
        actions: vec![Spent { action: "Provision".to_owned(), seconds: n }],
    };
    let (good, bad) = (history::Outcome::Released, history::Outcome::FailedBeforeTraffic);
    let past = [(9, bad), (1, good), (2, good), (8, bad), (3, good), (4, good), (5, good), (100, good), (101, good)];
    let past: Vec<Entry> = past.into_iter().map(|(n, outcome)| entry(n, outcome)).collect();
    let plan = check(|known| known.past = past, End::Released, &[]);
    assert_eq!(plan.actions[0].seconds, Some(3));
    assert_eq!(plan.actions[1].seconds, None);
    assert_eq!(plan.seconds, None, "one action's time isn't known");
}
