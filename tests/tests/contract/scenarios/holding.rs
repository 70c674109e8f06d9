//! The hold, the markers, and the execution of who holds.

use crate::scenario::{Act, Move, Scenario, Steps, delete_hold, end, named_artifact, release, write};
use jiff::Timestamp;
use serde_json::{Value, json};
use tagship::settings::HookPoint;
use tagship::{Action, Ended, Hold, HookCall, HookRun, HookTold, HowEnded, Phase, Previous, Roster, Step};

pub(crate) fn all() -> Vec<Scenario> {
    vec![hold(), markers(), roster(), holders(), stopped(), overtaken(), approved(), gone(), hooks()]
}

/// Every write is a compare-and-swap.
fn hold() -> Scenario {
    Scenario::new("HOLD", Value::Null, &["r1", "r2"], |steps| {
        let open = steps.hold("r1");
        let chosen = Hold { artifact: Some(named_artifact("artifact1")), ..open.clone() };
        let watched = Hold {
            previous: Some(Previous { release: Some(release("r0")), healthy: 2 }),
            moved_at: Some(Timestamp::UNIX_EPOCH),
            ..chosen.clone()
        };
        vec![
            Move::Act(Act::Look),
            write(open.clone(), Some("\"0123456789abcdef0123456789abcdef\"")),
            steps.take("r1"),
            Move::Act(Act::Look),
            steps.take("r1"),
            steps.take("r2"),
            write(chosen.clone(), Some("etag1")),
            write(open.clone(), Some("etag1")),
            // Objects with the same content have the same ETag: so phases and marks only ever go forward.
            write(open, Some("etag2")),
            write(chosen, Some("etag1")),
            write(watched.clone(), Some("etag2")),
            write(Hold { phase: Phase::Approved, ..watched.clone() }, Some("etag3")),
            Move::Act(Act::Look),
            write(Hold { phase: Phase::Ending, ..watched }, Some("etag4")),
            Move::Act(Act::Look),
            delete_hold("etag1"),
            delete_hold("etag5"),
            delete_hold("etag5"),
            steps.take("r2"),
            Move::Act(Act::Look),
        ]
    })
}

/// The first marker of a release's end stays, and frees the hold.
fn markers() -> Scenario {
    Scenario::new("MARKERS", Value::Null, &["r1", "r2", "r3"], |steps| {
        let approved = Ended::unheld(release("r1"), HowEnded::Approved, Timestamp::UNIX_EPOCH);
        let approved = Ended { artifact: Some(named_artifact("artifact1")), ..approved };
        vec![
            steps.take("r1"),
            end("r3", HowEnded::Kept),
            Move::Step(Step::WriteEnded(approved)),
            Move::Act(Act::Look),
            end("r1", HowEnded::Discarded),
            end("r2", HowEnded::Parked),
            // The hold is free, and the next release takes it.
            write(steps.hold("r4"), Some("etag1")),
            delete_hold("etag1"),
            delete_hold("etag2"),
            Move::Act(Act::Look),
        ]
    })
}

/// Who is live is written like the hold: by compare-and-swap.
fn roster() -> Scenario {
    Scenario::new("ROSTER", Value::Null, &["r1", "r2"], |steps| {
        let whole = Roster::of(&steps.hold("r1"), &[]);
        let members = [("i-1", "127.16.1.4"), ("i-2", "127.16.2.4")];
        let members = members.map(|(id, ip)| (id.to_owned(), ip.to_owned())).into();
        let whole = Roster { members, ..whole };
        let degraded = Roster { down: ["i-2".to_owned()].into(), ..whole.clone() };
        vec![
            Move::Act(Act::Look),
            steps.take("r1"),
            enroll(whole.clone(), None),
            enroll(whole, None),
            end("r1", HowEnded::Approved),
            delete_hold("etag1"),
            enroll(degraded.clone(), Some("etag2")),
            enroll(degraded, Some("etag2")),
            Move::Act(Act::Look),
        ]
    })
}

/// A hook is called once the hold says so. Here its function is gone; what it answers only its caller knows.
fn hooks() -> Scenario {
    let settings = json!({"HOOKS": {"BEFORE_SHIFT": ["gone"]}});
    Scenario::new("HOOKS", settings, &["r1"], |steps| {
        let open = steps.hold("r1");
        let run = HookRun::first(HookPoint::BeforeShift, 0, &open.settings.hooks.before_shift, Timestamp::UNIX_EPOCH);
        let told = HookTold {
            execution_id: release("r1"),
            lifecycle_stage: run.point.lifecycle_stage(),
            hook_details: json!({}),
            service: steps.role.clone(),
            release: release("r1"),
            pipeline: open.pipeline.clone(),
            point: run.point,
            instances: Vec::new(),
            private_ips: Vec::new(),
            candidate_name: None,
            test_address: None,
        };
        let call = HookCall { id: run.call(), function: "gone".to_owned(), told };
        vec![
            steps.take("r1"),
            write(Hold { hook: Some(run), ..open }, Some("etag1")),
            Move::Step(Step::CallHook(Box::new(call))),
            Move::Act(Act::Look),
        ]
    })
}

fn enroll(roster: Roster, etag: Option<&str>) -> Move {
    Move::Step(Step::WriteRoster { roster: Box::new(roster), etag: etag.map(str::to_owned) })
}

/// What a release that waits sees of the holder's execution.
fn holders() -> Scenario {
    Scenario::new("HOLDERS", Value::Null, &["r1", "r2"], |steps| {
        vec![
            Move::Act(Act::Start("r1")),
            steps.take("r1"),
            Move::Act(Act::Look),
            Move::Act(Act::Halt("r1", false)),
            Move::Act(Act::Look),
            Move::Act(Act::Halt("r1", true)),
            Move::Act(Act::Look),
            abandon(steps, "r1"),
        ]
    })
}

/// An alarm has sent the traffic back while an approval is open: its execution is stopped. A second time changes nothing.
fn stopped() -> Scenario {
    Scenario::new("STOPPED", Value::Null, &["r1"], |steps| {
        let stop = || {
            let (release, pipeline) = (release("r1"), steps.hold("r1").pipeline);
            Move::Step(Step::StopExecution { release, pipeline, reason: "alarm web-5xx is in ALARM".to_owned() })
        };
        let start = Move::Act(Act::Start("r1"));
        vec![start, steps.take("r1"), Move::Act(Act::Look), stop(), Move::Act(Act::Look), stop()]
    })
}

fn abandon(steps: &Steps, of: &str) -> Move {
    Move::Step(Step::Abandon {
        release: release(of),
        pipeline: steps.hold(of).pipeline,
        action: Action::Discard,
        reason: "its execution ended".to_owned(),
    })
}

/// Superseded while it waits for the stage; the one that was inside is rejected.
fn overtaken() -> Scenario {
    Scenario::new("OVERTAKEN", Value::Null, &["r2", "r3"], |steps| {
        vec![
            Move::Act(Act::Start("r1")),
            Move::Act(Act::Start("r2")),
            steps.take("r2"),
            Move::Act(Act::Start("r3")),
            Move::Act(Act::Look),
            delete_hold("etag1"),
            write(steps.hold("r1"), None),
            Move::Act(Act::Reject),
            Move::Act(Act::Look),
        ]
    })
}

/// Succeeded while it still holds.
fn approved() -> Scenario {
    Scenario::new("APPROVED", Value::Null, &["r1", "r2"], |steps| {
        vec![Move::Act(Act::Start("r1")), steps.take("r1"), Move::Act(Act::Approve), Move::Act(Act::Look)]
    })
}

/// Its execution is unknown, and then even its pipeline.
fn gone() -> Scenario {
    Scenario::new("GONE", Value::Null, &["r1", "r2"], |steps| {
        let elsewhere = Hold { pipeline: "no-such-pipeline".to_owned(), ..steps.hold("r1") };
        vec![steps.take("r1"), Move::Act(Act::Look), write(elsewhere, Some("etag1")), Move::Act(Act::Look)]
    })
}
