//! Situations of sweep, and what is decided in each.

use super::*;

#[test]
fn sweep_lets_what_is_kept_lie() {
    let sweep = |change: fn(&mut Case), expected: &str| {
        check(
            Action::Sweep,
            |case| {
                kept(|case| case.hold().kept_until = Some(at(700)))(case);
                case.world.holder =
                    Some(Execution { state: ExecutionState::Ended, updated_at: Some(at(-1_000)), build: None });
                change(case);
            },
            expected,
        );
    };
    sweep(
        |_| {},
        "done: r0000002 of WEB_PRODUCT has failed: its instances (i-21, i-22) are kept until 1970-01-12T13:58:20Z",
    );
    sweep(|case| case.world.now = at(700), "do: tell that r0000002 was abandoned: discard");
    sweep(|case| case.state(2, InstanceState::ShuttingDown), "do: tell that r0000002 was abandoned: discard");
}

#[test]
fn sweep() {
    let sweep = |state, ended_at, phase, expected| {
        check(
            Action::Sweep,
            |case| {
                case.world.now = at(1_000);
                case.hold().phase = phase;
                case.world.holder = Some(Execution { state, updated_at: Some(at(ended_at)), build: None });
            },
            expected,
        );
    };
    use ExecutionState::*;
    sweep(Running, 0, Phase::Open, "done: r0000002 of WEB_PRODUCT is still running");
    sweep(Ended, 900, Phase::Open, "done: r0000002 of WEB_PRODUCT has just ended");
    sweep(Ended, 0, Phase::Open, "do: tell that r0000002 was abandoned: discard");
    sweep(NotFound, 0, Phase::Approved, "do: write the hold of r0000002: Approved, previous r0000001");
    sweep(Succeeded, 0, Phase::Approved, "do: tell that r0000002 was abandoned: retire");
    sweep(Succeeded, 0, Phase::Ending, "do: tell that r0000002 was abandoned: discard");

    let missing = |checked, missing_since: Option<i64>, state, expected| {
        check(
            Action::Sweep,
            |case| {
                case.world.now = at(1_000);
                case.hold().checked = checked;
                case.hold().missing_since = missing_since.map(at);
                case.world.holder = Some(Execution { state, updated_at: None, build: None });
            },
            expected,
        );
    };
    missing(true, Some(701), NotFound, "done: r0000002 of WEB_PRODUCT is still running");
    missing(true, Some(700), NotFound, "do: tell that r0000002 was abandoned: discard");
    missing(true, Some(0), Running, "do: write the hold of r0000002: Open, previous r0000001");
    missing(
        false,
        Some(0),
        NotFound,
        "done: r0000002 of WEB_PRODUCT may run or not: CodePipeline doesn't know its exec",
    );
}

/// Release 2 is live, and people have been told that these of it are down.
fn live(down: &[&str], change: fn(&mut Case)) -> impl FnOnce(&mut Case) {
    move |case| {
        case.enroll(2, down);
        let hold = case.hold().clone();
        case.world.names = named(names::Names::Live, 2);
        case.holding = Holding { held: None, ended: Some(Ended::of(&hold, HowEnded::Approved, at(60))) };
        change(case);
    }
}

fn without(case: &mut Case) {
    case.world.instances.retain(|instance| instance.id != "i-22");
}

fn unnamed(case: &mut Case) {
    let ips = ["10.0.2.1".to_owned()];
    let existing = named(names::Names::Live, 2);
    case.world.names.retain(|record| !record.name.starts_with("2."));
    for change in names::toward(&existing, &role(), "cd.internal", names::Names::Live, &ips) {
        if let crate::NameChange::Upsert(record) = change {
            case.world.names.retain(|is| is.name != record.name);
            case.world.names.push(record);
        }
    }
}

#[test]
fn sweep_counts_the_live_fleet() {
    let sweep = |down: &[&str], change: fn(&mut Case), expected: &str| {
        check(Action::Sweep, live(down, change), expected);
    };
    sweep(&[], |_| {}, "done: 2 instances of WEB_PRODUCT are as they were");
    sweep(&[], without, "do: change 2 names in cd.internal");
    sweep(&[], |case| case.state(2, InstanceState::Stopped), "do: change 3 names in cd.internal");
    sweep(
        &[],
        |case| {
            without(case);
            unnamed(case);
        },
        "do: write the roster of r0000002: 2 instances, down: i-22, then done: 1 of the 2 instances of the live release \
         r0000002 of WEB_PRODUCT doesn't run any more (i-22), and its address is removed from the live names",
    );
    // A rollback has named it while it ran again for a while.
    sweep(&["i-22"], without, "do: change 2 names in cd.internal");
    sweep(
        &["i-22"],
        |case| {
            without(case);
            unnamed(case);
        },
        "done: 2 instances of WEB_PRODUCT are as they were",
    );
    // It runs again.
    sweep(&["i-22"], unnamed, "do: change 2 names in cd.internal");
    sweep(&["i-22"], |_| {}, "do: write the roster of r0000002: 2 instances, down: none, then done: i-22 of r0000002");
    // Somebody has replaced it, and EC2 has given the same address.
    sweep(
        &[],
        |case| {
            without(case);
            let mut heir = instance(2, 3);
            heir.private_ip = Some("10.0.2.2".to_owned());
            case.world.instances.push(heir);
        },
        "do: write the roster",
    );
    // Not while a release is under way, nor once another is live.
    sweep(&[], |case| case.holding.held = held(hold(3)).held, "done: r0000003 holds WEB_PRODUCT");
    fn other(case: &mut Case) {
        without(case);
        case.enroll(1, &[]);
    }
    sweep(&[], other, "done: r0000002 isn't the live release of WEB_PRODUCT");
    sweep(&[], |case| case.world.roster = None, "done: r0000002 isn't the live release of WEB_PRODUCT");
}
