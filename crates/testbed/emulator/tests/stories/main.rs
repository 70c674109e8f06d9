//! What CodePipeline does with a release, told as stories: `>` is what happens to it, the lines
//! below are all that it does then.

mod teller;

use jiff::Timestamp;
use std::fmt::Write;
use std::time::Duration;
use teller::teller;

#[track_caller]
fn check(mode: &str, story: &str) {
    let mut teller = teller(mode);
    let mut told = String::new();
    let mut expected = String::new();
    for line in story.lines().map(str::trim).filter(|line| !line.is_empty()) {
        writeln!(expected, "{line}").expect("text");
        if let Some(input) = line.strip_prefix("> ") {
            writeln!(told, "{line}").expect("text");
            told.push_str(&teller.happen(input));
        }
    }
    assert_eq!(told, expected, "\n--- told:\n{told}\n--- expected:\n{expected}");
}

/// How each story begins: e1 is inside Release, both functions of the first order at work.
const BEGUN: &str = "
    > start v7
    e1 STARTED
    e1 Source STARTED
    e1 Upload STARTED
    fetch uploads/web.zip v7
    > fetched Upload v7
    e1 Upload SUCCEEDED
    e1 Source SUCCEEDED
    e1 Release STARTED
    e1 Provision STARTED
    e1 Check STARTED
    invoke provision e1 v7 with App
    invoke check";

const ASKED: &str = "
    > done provision Name=candidate.web
    e1 Provision SUCCEEDED
    > done check
    e1 Check SUCCEEDED
    e1 Approve STARTED
    ask look at candidate.web";

#[test]
fn a_release_that_is_approved() {
    check(
        "SUPERSEDED",
        &format!(
            "{BEGUN}{ASKED}
            > approve fine
            e1 Approve SUCCEEDED
            e1 Route STARTED
            invoke route
            > approve twice
            ApprovalAlreadyCompletedException
            > done route
            e1 Route SUCCEEDED
            e1 Release SUCCEEDED
            e1 SUCCEEDED
            > done route
            InvalidJobStateException
            > stop e1
            PipelineExecutionNotStoppableException"
        ),
    );
}

#[test]
fn a_release_that_is_rejected_and_asked_again() {
    check(
        "SUPERSEDED",
        &format!(
            "{BEGUN}{ASKED}
            > reject no
            e1 Approve FAILED
            e1 Release FAILED
            e1 FAILED
            > retry e1
            e1 RESUMED
            e1 Release RESUMED
            e1 Approve STARTED
            ask look at candidate.web
            > wait 3600
            e1 Approve FAILED
            e1 Release FAILED
            e1 FAILED
            > retry e1 all
            e1 RESUMED
            e1 Release RESUMED
            e1 Provision STARTED
            e1 Check STARTED
            invoke provision e1 v7 with App
            invoke check
            > retry e1
            StageNotRetryableException"
        ),
    );
}

#[test]
fn continuations_are_new_jobs_and_silence_fails_an_action() {
    check(
        "SUPERSEDED",
        &format!(
            "{BEGUN}
            > done check
            e1 Check SUCCEEDED
            > again provision t1
            > wait 9
            > wait 1
            invoke provision e1 v7 with App again t1
            > done-before provision
            InvalidJobStateException
            > wait 1199
            > again provision t2
            > wait 10
            invoke provision e1 v7 with App again t2
            > wait 1200
            e1 Provision FAILED
            e1 Release FAILED
            e1 FAILED
            > done provision
            InvalidJobStateException"
        ),
    );
}

#[test]
fn the_other_actions_of_an_order_finish_before_their_stage_fails() {
    check(
        "SUPERSEDED",
        &format!(
            "{BEGUN}
            > failed provision no capacity
            e1 Provision FAILED
            > done check
            e1 Check SUCCEEDED
            e1 Release FAILED
            e1 FAILED"
        ),
    );
}

#[test]
fn a_variable_without_a_value_fails_the_action() {
    check(
        "SUPERSEDED",
        &format!(
            "{BEGUN}
            > done provision Other=x
            e1 Provision SUCCEEDED
            > done check
            e1 Check SUCCEEDED
            e1 Approve STARTED
            e1 Approve FAILED
            e1 Release FAILED
            e1 FAILED"
        ),
    );
}

/// Two more come while the first is inside: e2 and e3.
fn two_more(superseded: &str) -> String {
    format!(
        "{BEGUN}
        > start
        e2 STARTED
        e2 Source STARTED
        e2 Upload STARTED
        fetch uploads/web.zip newest
        > fetched Upload v8
        e2 Upload SUCCEEDED
        e2 Source SUCCEEDED
        > start
        e3 STARTED
        e3 Source STARTED
        e3 Upload STARTED
        fetch uploads/web.zip newest
        > fetched Upload v9
        e3 Upload SUCCEEDED
        e3 Source SUCCEEDED
        {superseded}
        > failed check no
        e1 Check FAILED
        > failed provision no
        e1 Provision FAILED
        e1 Release FAILED
        e1 FAILED"
    )
}

#[test]
fn the_last_of_those_that_wait_supersedes_the_others() {
    check(
        "SUPERSEDED",
        &format!(
            "{}
            e3 Release STARTED
            e3 Provision STARTED
            e3 Check STARTED
            invoke provision e3 v9 with App
            invoke check
            > retry e1
            NotLatestPipelineExecutionException",
            two_more("e2 SUPERSEDED")
        ),
    );
}

#[test]
fn or_they_queue() {
    check(
        "QUEUED",
        &format!(
            "{}
            e2 Release STARTED
            e2 Provision STARTED
            e2 Check STARTED
            invoke provision e2 v8 with App
            invoke check
            > stop e3
            e3 STOPPING
            e3 STOPPED
            > cancel e2
            e2 Provision ABANDONED
            e2 Check ABANDONED
            e2 Release CANCELED
            e2 CANCELED",
            two_more("")
        ),
    );
}

#[test]
fn a_stop_waits_for_what_runs_or_abandons_it() {
    check(
        "SUPERSEDED",
        &format!(
            "{BEGUN}
            > stop e1
            e1 STOPPING
            e1 Release STOPPING
            > stop e1
            DuplicatedStopRequestException
            > again provision t1
            > wait 10
            invoke provision e1 v7 with App again t1
            > done check
            e1 Check SUCCEEDED
            > done provision
            e1 Provision SUCCEEDED
            e1 Release STOPPED
            e1 STOPPED"
        ),
    );
    check(
        "SUPERSEDED",
        &format!(
            "{BEGUN}
            > abandon e1
            e1 STOPPING
            e1 Release STOPPING
            e1 Provision ABANDONED
            e1 Check ABANDONED
            e1 Release STOPPED
            e1 STOPPED
            > done provision
            InvalidJobStateException"
        ),
    );
}

#[test]
fn a_stop_hangs_on_an_open_approval_until_somebody_answers_or_abandons() {
    let stopping = format!(
        "{BEGUN}{ASKED}
        > stop e1
        e1 STOPPING
        e1 Release STOPPING
        > wait 3599"
    );
    for end in [
        "
        > approve fine
        e1 Approve SUCCEEDED
        e1 Release STOPPED
        e1 STOPPED",
        "
        > wait 1
        e1 Approve FAILED
        e1 Release STOPPED
        e1 STOPPED",
        "
        > abandon e1
        e1 Approve ABANDONED
        e1 Release STOPPED
        e1 STOPPED",
    ] {
        check("SUPERSEDED", &format!("{stopping}{end}"));
    }
}

#[test]
fn a_stage_is_taken_back_by_a_new_execution_of_that_stage_alone() {
    let released = format!(
        "{BEGUN}{ASKED}
        > approve fine
        e1 Approve SUCCEEDED
        e1 Route STARTED
        invoke route
        > done route
        e1 Route SUCCEEDED
        e1 Release SUCCEEDED
        e1 Report STARTED
        e1 Report STARTED
        invoke report"
    );
    check(
        "SUPERSEDED, Report",
        &format!(
            "{released}
            > rollback Report e1
            UnableToRollbackStageException
            > done report
            e1 Report SUCCEEDED
            e1 Report SUCCEEDED
            e1 SUCCEEDED
            > rollback Source e1
            UnableToRollbackStageException
            > rollback Nowhere e1
            StageNotFoundException
            > rollback Release nobody
            PipelineExecutionNotFoundException
            > rollback Release e1
            e2 STARTED
            e2 Release STARTED
            e2 Provision STARTED
            e2 Check STARTED
            invoke provision e2 v7 with App
            invoke check
            > rollback Release e1
            UnableToRollbackStageException
            > done provision Name=candidate.old
            e2 Provision SUCCEEDED
            > done check
            e2 Check SUCCEEDED
            e2 Approve STARTED
            ask look at candidate.old
            > approve fine
            e2 Approve SUCCEEDED
            e2 Route STARTED
            invoke route
            > done route
            e2 Route SUCCEEDED
            e2 Release SUCCEEDED
            e2 SUCCEEDED
            > rollback Release e2
            UnableToRollbackStageException"
        ),
    );
    // A target that failed there, and one that never came there.
    check(
        "SUPERSEDED, Report",
        &format!(
            "{BEGUN}
            > failed check no
            e1 Check FAILED
            > done provision Name=x
            e1 Provision SUCCEEDED
            e1 Release FAILED
            e1 FAILED
            > rollback Release e1
            UnableToRollbackStageException
            > rollback Report e1
            UnableToRollbackStageException"
        ),
    );
}

#[test]
fn reports_that_break_aws_limits_are_refused() {
    check(
        "SUPERSEDED",
        &format!(
            "{BEGUN}
            > again provision {}
            ValidationException
            > failed provision {}
            ValidationException
            > done provision A.B=x
            ValidationException",
            "x".repeat(2_049),
            "x".repeat(5_001),
        ),
    );
}

#[test]
fn time_is_asked_for_only_where_it_matters() {
    let mut teller = teller("QUEUED");
    assert_eq!(teller.engine.due(), None);
    teller.happen("start");
    let minutes = |count: u64| Some(Timestamp::UNIX_EPOCH + Duration::from_secs(count * 60));
    assert_eq!(teller.engine.due(), minutes(20));
    teller.happen("fetched Upload v1");
    teller.happen("done provision Name=x");
    teller.happen("done check");
    assert_eq!(teller.engine.due(), minutes(60));
    teller.happen("reject no");
    assert_eq!(teller.engine.due(), None);
}
