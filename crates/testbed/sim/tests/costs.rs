//! What a shift in steps costs: its calls, and how soon the traffic is back.

use std::collections::BTreeMap;
use tagship::AlarmState;
use tagship::settings::{Choice, Shift};
use tagship_sim::day::Day;
use tagship_sim::past::{MINUTE, Ms, SECOND};
use tagship_sim::plan::{Mishap, Odds, PersonAct, Plan, ReleasePlan, ServicePlan, Vote, role};
use tagship_sim::story::steps;

/// A service with a release live, and an alarm if it is to be heard, that releases another one.
fn release(shift: Shift, switches: usize, alarm: bool) -> Plan {
    let mut service = ServicePlan::new("WEB_PRODUCT", 2);
    let votes = ["QaApproval", "FinalApproval"].map(|approval| (approval.to_owned(), Vote::Grant(0)));
    service.releases = vec![ReleasePlan { votes: votes.into(), ..ReleasePlan::at(SECOND) }];
    (service.settled, service.switches, service.settings.shift) = (true, switches, shift);
    service.settings.alarms = Choice::Ids(if alarm { vec!["web-5xx".to_owned()] } else { Vec::new() });
    Plan { services: vec![service], ..Plan::quiet(1) }
}

fn lived(plan: Plan) -> Day {
    let mut day = Day::new(plan, true);
    day.live();
    assert_eq!(day.checks.violations, []);
    day
}

/// Requests of these actions, by operation.
fn requests(day: &Day, actions: &[&str]) -> BTreeMap<&'static str, u64> {
    let mut requests = BTreeMap::new();
    for ((_, operation), requested) in day.requests.iter().filter(|((action, _), _)| actions.contains(action)) {
        *requests.entry(*operation).or_default() += requested.made;
    }
    requests
}

/// Weight calls, hold writes, and how often alarms, figures and the execution are asked for.
fn told(requests: &BTreeMap<&'static str, u64>) -> [u64; 5] {
    let of = |operations: &[&str]| operations.iter().filter_map(|operation| requests.get(operation)).sum();
    [
        of(&["elasticloadbalancing:ModifyRule", "elasticloadbalancing:ModifyListener"]),
        of(&["s3:PutObject"]),
        of(&["cloudwatch:DescribeAlarms"]),
        of(&["cloudwatch:GetMetricData"]),
        of(&["codepipeline:GetPipelineExecution"]),
    ]
}

/// From the first to the last that is told of the shift.
fn lasted(day: &Day) -> Ms {
    let mut of_shift = day.story.iter().filter(|line| line.who.contains(" shift ")).map(|line| line.at);
    let first = of_shift.next().expect("a shift");
    of_shift.next_back().unwrap_or(first) - first
}

/// `k` steps on `s` switches, the last step to 100 % among them: k·s calls for weights, 2k writes of the hold, and at most
/// one question a minute to each of those who are asked at all. All at once nobody is asked but the alarms.
#[track_caller]
fn costs(shift: Shift, switches: usize, alarm: bool) {
    let (k, s, at_once) = (shift.steps.len() as u64 + 1, switches as u64, shift.at_once());
    let mut plan = release(shift, switches, alarm);
    plan.services[0].settings.compare = (!at_once).then(Default::default);
    let day = lived(plan);
    let [weights, writes, asked @ ..] = told(&requests(&day, &["shift"]));
    assert_eq!((weights, writes), (k * s, 2 * k));
    let minutes = (lasted(&day) / MINUTE) as u64 + 1;
    for (asked, asks) in asked.into_iter().zip([alarm, !at_once, !at_once]) {
        assert!(asked <= if asks { minutes } else { 0 }, "{asked} questions in {minutes} minutes");
    }
}

#[test]
fn a_shift_makes_no_more_calls_than_its_steps_and_minutes_need() {
    for alarm in [false, true] {
        costs(Shift::default(), 1, alarm);
        costs(Shift::default(), 3, alarm);
        costs(steps(&[10], 300), 2, alarm);
        costs(steps(&[10, 25, 50], 60), 3, alarm);
        costs(steps(&[10, 25, 50], 3_600), 1, alarm);
    }
}

/// An alarm rings at 10 %: one write of the hold, one call a switch and who makes it (guard, and shift where it runs), and
/// the candidate never has more than its 10 % of the requests. For so long at most until all weights are back.
#[track_caller]
fn rings(at: Ms, switches: usize, lost: bool, longest: Ms) {
    let mut plan = release(steps(&[10], 1_200), switches, true);
    plan.acts = vec![(at, PersonAct::Ring(role("WEB_PRODUCT"), AlarmState::Alarm, 60 * MINUTE))];
    plan.odds = Odds { lose_event: if lost { 1.0 } else { 0.0 }, ..Odds::default() };
    let day = lived(plan);
    let s = switches as u64;
    let [weights, writes, ..] = told(&requests(&day, &["shift", "guard"]));
    let makers = if lost { 1 } else { 2 };
    // Of both, the first step's are taken off.
    assert!((s..=makers * s).contains(&(weights - s)), "{weights} calls for {s} switches");
    assert_eq!(writes - 2, 1);
    let back = day.cloud.switches.values().map(|switch| switch.weights.changed()).max().expect("switches");
    assert!(back - at <= longest, "{} ms", back - at);
    let given = day.story.iter().filter(|line| line.what.contains("✓ set "));
    let more: Vec<_> = given.filter(|line| !line.what.contains("-b=10,") && !line.what.contains("-b=0")).collect();
    assert!(more.is_empty(), "{more:?}");
}

#[test]
fn an_alarm_sends_the_traffic_back_within_seconds_or_a_minute_if_its_event_is_lost() {
    for secs in [10, 25, 45] {
        for switches in [1, 3] {
            rings(5 * MINUTE + secs * SECOND, switches, false, 10 * SECOND);
            rings(5 * MINUTE + secs * SECOND, switches, true, 65 * SECOND);
        }
    }
}

/// From a person's no to the last weight that is set; none if nothing was uploaded.
fn took(plan: Plan, no: &str) -> Option<Ms> {
    let day = lived(plan);
    let no = day.story.iter().find(|line| line.who == "person" && line.what.starts_with(no))?.at;
    Some(day.cloud.switches.values().map(|switch| switch.weights.changed()).max()? - no)
}

/// A person says no: the traffic is back `soon`; if any one event is lost, after `late` at most.
#[track_caller]
fn says_no(plan: &Plan, no: &str, soon: Ms, late: Ms) {
    /// More than such a day has.
    const EVENTS: u64 = 30;
    let undisturbed = took(plan.clone(), no).expect("a no");
    assert!((1..=soon).contains(&undisturbed), "{undisturbed} ms");
    let lost = |event: u64| Plan { mishaps: [(event, Mishap::Lost)].into(), ..plan.clone() };
    let longest = (0..EVENTS).filter_map(|event| took(lost(event), no)).max().expect("events");
    assert!((soon + 1..=late).contains(&longest), "{longest} ms if an event is lost");
}

#[test]
fn a_rejection_sends_the_traffic_back_within_seconds_or_minutes_if_its_event_is_lost() {
    for switches in [1, 3] {
        for shift in [Shift::default(), steps(&[10], 300)] {
            let mut plan = release(shift, switches, false);
            plan.services[0].releases[0].votes.insert("FinalApproval".to_owned(), Vote::Reject(0));
            says_no(&plan, "rejects FinalApproval", 10 * SECOND, 11 * MINUTE);
        }
    }
}

#[test]
fn a_stop_sends_the_traffic_back_within_seconds_or_minutes_if_its_event_is_lost() {
    for switches in [1, 3] {
        for (abandon, late) in [(false, 70 * SECOND), (true, 11 * MINUTE)] {
            // While a step stands, and while only the final approval is open.
            for shift in [steps(&[10], 1_200), Shift::default()] {
                let mut plan = release(shift, switches, false);
                plan.services[0].releases[0].votes.insert("FinalApproval".to_owned(), Vote::Silence);
                plan.services[0].releases[0].stop = Some((5 * MINUTE + 25 * SECOND, abandon));
                says_no(&plan, "stops", 10 * SECOND, late);
            }
        }
    }
}
