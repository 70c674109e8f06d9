use super::*;
use crate::Run;
use crate::testing::{at, release};

const OPS: &str = "arn:aws:iam::123456789012:user/kim";

fn run(action: &str, does: Does, begins: i64, status: RunStatus) -> PastRun {
    let ask = does == Does::Ask;
    PastRun {
        release: release(1),
        stage: "Release".to_owned(),
        action: action.to_owned(),
        does,
        began: at(begins),
        run: Run {
            status,
            since: Some(at(begins + 10)),
            summary: ask.then(|| "not on a Friday".to_owned()),
            error: (status == RunStatus::Failed && !ask).then(|| "the hook failed".to_owned()),
            token: None,
            by: (ask && status != RunStatus::Running).then(|| OPS.to_owned()),
        },
        outputs: Vec::new(),
    }
}

fn invoke(action: Action) -> Does {
    Does::Invoke { service: "WEB_PRODUCT".to_owned(), action: Some(action) }
}

fn check(status: &str, how: &[RunStatus], outcome: Outcome, why: Option<&str>) {
    check_error(status, how, None, (outcome, why));
}

/// The same with other words of the actions that failed.
fn check_error(status: &str, how: &[RunStatus], error: Option<&str>, (outcome, why): (Outcome, Option<&str>)) {
    let all = [
        ("Deploy", invoke(Action::Deploy)),
        ("QaApproval", Does::Ask),
        ("Route", invoke(Action::Shift)),
        ("FinalApproval", Does::Ask),
        ("Cleanup", invoke(Action::Retire)),
    ];
    let went = all.into_iter().zip(how).zip((0..).step_by(20));
    let mut runs: Vec<PastRun> = went.map(|(((name, does), how), begins)| run(name, does, begins, *how)).collect();
    if let Some(error) = error {
        runs.iter_mut().filter(|run| run.run.error.is_some()).for_each(|run| run.run.error = Some(error.to_owned()));
    }
    let other = Does::Invoke { service: "WEB_PRE".to_owned(), action: Some(Action::Shift) };
    runs.push(run("PreRoute", other, 0, RunStatus::Succeeded));
    let execution = PastRelease {
        release: release(1),
        status: status.to_owned(),
        began: at(0),
        changed: at(300),
        version: Some("v1".to_owned()),
        build: Some("web 1.2".to_owned()),
        trigger: None,
        stopped: (status == "Stopped").then(|| "wrong build".to_owned()),
    };
    let entry = history("WEB_PRODUCT", &[execution], &runs, at(400)).remove(0);
    assert_eq!((entry.outcome, entry.why.as_deref()), (outcome, why), "{status} {how:?}");
    assert_eq!(entry.actions.len(), how.len(), "the other service's actions don't count");
    assert_eq!(entry.seconds, if outcome == Outcome::Running { 400 } else { 300 });
}

#[test]
fn a_no_before_traffic_is_told_apart_from_one_after_it() {
    use RunStatus::{Abandoned, Failed, Running, Succeeded};
    let words = Some("QaApproval: not on a Friday");
    check("Failed", &[Succeeded, Failed], Outcome::RejectedBeforeTraffic, words);
    let words = Some("FinalApproval: not on a Friday");
    check("Failed", &[Succeeded, Succeeded, Succeeded, Failed], Outcome::RolledBack, words);
    check("Failed", &[Failed], Outcome::FailedBeforeTraffic, Some("Deploy: the hook failed"));
    check("Failed", &[Succeeded, Succeeded, Failed], Outcome::FailedAfterTraffic, Some("Route: the hook failed"));
    let unmoved = "release 1 is no longer healthy, so no traffic was moved to it";
    let told = format!("Route: {unmoved}");
    let expected = (Outcome::FailedBeforeTraffic, Some(told.as_str()));
    check_error("Failed", &[Succeeded, Succeeded, Failed], Some(unmoved), expected);
    check("Stopped", &[Succeeded, Abandoned], Outcome::Stopped, Some("wrong build"));
    check("Superseded", &[], Outcome::Superseded, None);
    check("InProgress", &[Succeeded, Running], Outcome::Running, None);
    check("Succeeded", &[Succeeded; 5], Outcome::Released, None);
}
