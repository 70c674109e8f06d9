//! Situations of retire, park, and of who asks directly, and what is decided in each.

mod discard;
mod left_behind;
mod sweep;

use super::removal::RemovalMemory;
use super::*;
use crate::settings::Keep;
use crate::testing::*;
use crate::{Address, Error, Health, Hold, Holding, InstanceState, Kind, Planner, Previous, World, names};
use crate::{Deployment, DeploymentState, Enrolled, Execution, ExecutionState, Roster};

struct Case {
    holding: Holding,
    world: World,
    memory: RemovalMemory,
    /// Since then somebody has looked without a break.
    began: Timestamp,
}

impl Case {
    fn hold(&mut self) -> &mut Hold {
        &mut self.holding.held.as_mut().expect("a hold").hold
    }

    /// Every doomed target of a group is deregistered, and DRAIN seconds are over.
    fn drained(&mut self, group: usize) {
        let routing = self.world.routing.as_mut().expect("routing");
        routing.groups[group].targets.iter_mut().for_each(|target| target.health = Health::Draining);
        self.memory.deregistered_since = Some(at(0));
    }

    /// The roster says that release `n` is live, and that these of it are down.
    fn enroll(&mut self, n: u8, down: &[&str]) {
        let roster = Roster::of(&hold(n), &[instance(n, 1), instance(n, 2)]);
        let roster = Roster { down: down.iter().map(|id| (*id).to_owned()).collect(), ..roster };
        self.world.roster = Some(Box::new(Enrolled { roster, etag: "roster".to_owned() }));
    }

    fn state(&mut self, of: u8, state: InstanceState) {
        let release = release(of);
        let fleet = self.world.instances.iter_mut().filter(|i| i.release.as_ref() == Some(&release));
        fleet.for_each(|instance| instance.state = state);
    }
}

/// Release 2 was shifted at 50 s; it is 100 s now.
fn check(action: Action, change: impl FnOnce(&mut Case), expected: &str) {
    let (holding, memory) = (held(hold(2)), RemovalMemory::default());
    let mut case = Case { holding, world: world(), memory, began: at(0) };
    let hold = case.hold();
    hold.previous = Some(Previous { release: Some(release(1)), healthy: 2 });
    hold.moved_at = Some(at(50));
    case.world.routing = case.world.routing.map(|routing| moved(routing, 2));
    case.world.names.extend(named(names::Names::Live, 2));
    case.hold().settings.pre_product = true;
    case.enroll(2, &[]);
    change(&mut case);
    let found = match action {
        Action::Discard => ask::<Discard>(&case.holding, &case.world, (case.began, 0), &mut case.memory),
        Action::Park => ask::<Park>(&case.holding, &case.world, (case.began, 0), &mut case.memory),
        Action::Sweep => ask::<Sweep>(&case.holding, &case.world, (at(0), 0), &mut ()),
        _ => ask::<Retire>(&case.holding, &case.world, (case.began, 0), &mut case.memory),
    };
    let (start, middle) = expected.split_once('…').unwrap_or((expected, ""));
    let fits = found.starts_with(start) && found.contains(middle);
    assert!(fits, "expected {expected:?}…\n   found {found:?}");
}

fn approved(change: fn(&mut Case)) -> impl FnOnce(&mut Case) {
    move |case| {
        case.hold().phase = Phase::Approved;
        change(case);
    }
}

fn ending(change: fn(&mut Case)) -> impl FnOnce(&mut Case) {
    move |case| {
        case.hold().phase = Phase::Ending;
        case.world.routing = world().routing;
        case.world.names = world().names;
        case.memory.weightless_since = Some(at(50));
        change(case);
    }
}

#[test]
fn retire() {
    let retire = |change: fn(&mut Case), expected| check(Action::Retire, approved(change), expected);
    check(Action::Retire, |_| {}, "do: write the hold of r0000002: Approved");
    check(
        Action::Retire,
        |case| case.world.routing = world().routing.map(|routing| moved(routing, 1)),
        "fail: release r0000002 of WEB_PRODUCT can't replace the one before it: it is not live on every switch…The \
         execution has failed, so the traffic goes back",
    );
    fn dead(case: &mut Case) {
        case.state(2, InstanceState::Terminated);
        case.world.routing.as_mut().expect("routing").groups[1].targets.clear();
    }
    check(
        Action::Retire,
        dead,
        "wait: the release to have 2 healthy targets: it has 0 now, and what it replaced has 2",
    );
    let poor = |case: &mut Case| {
        dead(case);
        case.memory.poor_since = Some(at(-200));
    };
    check(
        Action::Retire,
        poor,
        "fail: release r0000002 of WEB_PRODUCT can't replace the one before it: it has 0 healthy targets, and what it",
    );
    retire(
        |case| case.world.routing = world().routing,
        "fail: release r0000002 of WEB_PRODUCT can't replace the one before it: it is not live on every switch…It was \
         approved before, so no traffic goes back by itself. Set every switch to this release's target group by hand",
    );
    // It died once approved: its predecessor goes all the same, or the hold would never be freed.
    retire(
        |case| {
            dead(case);
            case.drained(0);
        },
        "do: change",
    );
    // A person took the release's tag off its own fleet: that isn't another release.
    retire(
        |case| {
            case.drained(0);
            let own = case.world.instances.iter_mut().filter(|i| i.release == Some(release(2)));
            own.for_each(|instance| instance.release = None);
        },
        "do: ",
    );
    retire(
        |case| case.hold().moved_at = Some(at(90)),
        "wait: the load balancer to use the new weights everywhere, 5 s",
    );
    retire(|_| {}, "do: deregister i-11, i-12 from arn:a");
    retire(
        |case| {
            case.drained(0);
            case.memory.deregistered_since = None;
            case.world.names = named(names::Names::Live, 2);
        },
        "wait: 2 targets to drain, 30 s more",
    );
    // Another invocation may have deregistered them at the end of a long look.
    retire(
        |case| {
            case.drained(0);
            case.memory.deregistered_since = None;
            case.world.names = named(names::Names::Live, 2);
            case.world.seen = at(120);
        },
        "wait: 2 targets to drain, 50 s more",
    );
    retire(|case| case.drained(0), "do: change");
    fn bare(case: &mut Case) {
        case.drained(0);
        case.world.names = named(names::Names::Live, 2);
    }
    retire(bare, "do: terminate i-11, i-12");
    retire(
        |case| {
            bare(case);
            case.state(1, InstanceState::ShuttingDown);
        },
        "do: mark r0000002 as approved",
    );
    // An address goes before its instance, the one of a pool is only given back.
    let address = |release, association: bool| Address {
        id: "eipalloc-1".to_owned(),
        public_ip: "1.2.3.4".to_owned(),
        release,
        association: association.then(|| "eipassoc-1".to_owned()),
        instance: association.then(|| "i-11".to_owned()),
    };
    for (address, expected) in [
        (address(Some(release(1)), true), "do: disassociate eipalloc-1"),
        (address(Some(release(1)), false), "do: release eipalloc-1"),
        (address(None, true), "do: disassociate eipalloc-1"),
        (address(None, false), "do: terminate"),
    ] {
        check(
            Action::Retire,
            |case| {
                case.hold().phase = Phase::Approved;
                bare(case);
                case.world.addresses.push(address);
            },
            expected,
        );
    }
    // KEEP stop: tagged, stopped, and terminated by the next.
    retire(
        |case| {
            bare(case);
            case.hold().settings.keep = Keep::Stop;
        },
        "do: tag i-11, i-12 as retired by r0000002",
    );
    fn tagged(case: &mut Case) {
        bare(case);
        case.hold().settings.keep = Keep::Stop;
        case.world.instances.iter_mut().take(2).for_each(|instance| instance.retired_by = Some(release(2)));
    }
    retire(tagged, "do: stop i-11, i-12");
    retire(
        |case| {
            tagged(case);
            case.state(1, InstanceState::Stopping);
        },
        "do: mark r0000002 as approved",
    );
    retire(
        |case| {
            tagged(case);
            case.state(1, InstanceState::Stopped);
            case.world.instances[0].retired_by = Some(release(9));
        },
        "do: terminate i-11",
    );
    // EC2 stops none that is still booting; one that never comes up isn't kept.
    fn booting(case: &mut Case, launched_at: i64) {
        tagged(case);
        case.state(1, InstanceState::Pending);
        case.world.instances.iter_mut().for_each(|instance| instance.launched_at = at(launched_at));
    }
    retire(|case| booting(case, 0), "wait: an instance that goes to boot, 500 s more at most");
    retire(|case| booting(case, -600), "do: terminate i-11, i-12");
    // Nothing has to go, and somebody has led test traffic away.
    retire(
        |case| {
            case.world.instances.retain(|instance| instance.release != Some(release(1)));
            case.hold().group = Some("arn:b".to_owned());
            let routing = case.world.routing.as_mut().expect("routing");
            routing.groups[0].targets.clear();
            routing.tests = vec![test_rule(&["a"])];
        },
        "do: lead HTTPS:443 rule 9 to arn:b",
    );
    // What lost its release tag is nobody's to remove.
    retire(
        |case| {
            case.world.instances[0].release = None;
            case.world.routing.as_mut().expect("routing").groups[0].targets.clear();
            case.world.names = named(names::Names::Live, 2);
        },
        "do: terminate i-12",
    );
}

fn unshifted(case: &mut Case) {
    case.hold().previous = None;
    case.memory.weightless_since = None;
}

/// Marked as discarded while it took the hold: what it launched goes first, then the hold.
fn marked(case: &mut Case) {
    unshifted(case);
    case.hold().phase = Phase::Open;
    case.holding.held.as_mut().expect("a hold").freed = true;
    let how = HowEnded::Discarded;
    case.holding.ended = Some(Ended::unheld(release(2), how, at(80)));
}

fn marked_and_bare(case: &mut Case) {
    marked(case);
    case.world = World { now: at(100), read: Parts::ALL, routing: world().routing, ..World::default() };
    case.world.routing.as_mut().expect("routing").groups[1].targets.clear();
    case.memory.weightless_since = Some(at(50));
}

/// POSTMORTEM is 600 s.
fn kept(change: fn(&mut Case)) -> impl FnOnce(&mut Case) {
    move |case| {
        ending(|_| {})(case);
        case.hold().settings.timeouts.postmortem_secs = 600;
        case.drained(1);
        change(case);
    }
}

#[test]
fn park() {
    let park = |change: fn(&mut Case), expected| check(Action::Park, ending(change), expected);
    check(Action::Park, |_| {}, "do: write the hold of r0000002: Ending");
    park(|_| {}, "do: deregister i-11, i-12 from arn:a");
    park(
        |case| {
            case.drained(0);
            case.drained(1);
            case.world.names.clear();
        },
        "do: terminate i-11, i-12, i-21, i-22",
    );
    park(marked, "do: deregister i-11, i-12 from arn:a");
    park(
        |case| {
            marked_and_bare(case);
            case.world.routing.as_mut().expect("routing").groups[0].targets.clear();
        },
        "do: delete the hold",
    );
    // Its execution ended before it held the pre-product.
    check(Action::Park, |case| case.holding = Holding::default(), "do: mark r0000002 as discarded, then done");
}

/// Who can send an event or invoke a function ends no release by that alone.
#[test]
fn who_asks_directly_is_believed_once_codepipeline_says_the_same() {
    use ExecutionState::*;
    fn of(action: Action, holding: &Holding, state: Option<ExecutionState>, began: i64) -> String {
        match action {
            Action::Retire => ask_directly::<Retire>(holding, state, began),
            Action::Discard => ask_directly::<Discard>(holding, state, began),
            Action::Park => ask_directly::<Park>(holding, state, began),
            _ => ask_directly::<crate::route::Rollback>(holding, state, began),
        }
    }
    let mut own = held(hold(2));
    let hold = &mut own.held.as_mut().expect("a hold").hold;
    hold.settings.pre_product = true;
    let known = Holding { held: own.held.clone(), ended: None };
    own.held.as_mut().expect("a hold").hold.missing_since = Some(at(-200));
    let states = [Running, Succeeded, Ended, NotFound];
    // Whether each of these states is enough, once it has been asked for in vain for 60 s.
    for (action, enough) in [
        (Action::Retire, [false, true, false, false]),
        (Action::Rollback, [false, false, true, true]),
        (Action::Discard, [false, false, true, true]),
        (Action::Park, [false, true, true, true]),
    ] {
        for (state, enough) in states.into_iter().zip(enough) {
            // Sweep has missed it for long.
            let holding = if state == NotFound { &own } else { &known };
            let found = of(action, holding, Some(state), 0);
            let refused = found.starts_with(&format!("fail: {action} of r0000002 was invoked directly"));
            assert_eq!(refused, !enough, "{action}, {state:?}: {found}");
            let soon = of(action, holding, Some(state), 90);
            assert_eq!(
                soon.starts_with("wait: CodePipeline"),
                !enough || state == NotFound,
                "{action}, {state:?}: {soon}"
            );
        }
        let found = of(action, &own, Some(Running), 0);
        assert!(found.starts_with("do: write the hold of r0000002: Open"), "{action}, found after all: {found}");
        let found = of(action, &known, Some(NotFound), 0);
        assert!(found.starts_with("fail:"), "{action}, not found by this look alone: {found}");
        let found = of(action, &own, None, 0);
        assert!(found.contains("so add \"pipeline\""), "{found}");
    }
    for action in [Action::Discard, Action::Park] {
        let found = of(action, &Holding::default(), Some(Running), 0);
        assert!(found.starts_with("fail:"), "{action} would mark a release that runs: {found}");
        let found = of(action, &Holding::default(), Some(NotFound), 0);
        let nothing =
            "done: nothing was changed: r0000002 doesn't hold WEB_PRODUCT, and CodePipeline knows no such execution";
        assert!(found.starts_with(nothing), "{action} would mark a release that may run: {found}");
        let found = of(action, &Holding::default(), Some(Ended), 0);
        assert!(found.starts_with("do: mark r0000002 as discarded"), "{found}");
    }
}

#[test]
fn a_product_is_never_parked() {
    for phase in [Phase::Open, Phase::Ending] {
        let change = |case: &mut Case| {
            case.hold().phase = phase;
            case.hold().settings.pre_product = false;
        };
        check(Action::Park, change, "fail: park of r0000002 would remove every release of WEB_PRODUCT, which is no");
    }
}

/// As the version before PIPELINE and PRE_PRODUCT wrote it, in the middle of a release.
#[test]
fn a_hold_from_before_pre_products_were_named_ends_by_one_command() {
    let before = || {
        let mut own = held(hold(2));
        let held = own.held.as_mut().expect("a hold");
        let mut stored: serde_json::Value =
            serde_json::from_str(&held.hold.to_json().expect("a hold can be written")).expect("JSON");
        stored["settings"].as_object_mut().expect("settings").remove("PIPELINE");
        stored.as_object_mut().expect("a hold").remove("v");
        held.hold = Hold::from_json(stored.to_string().as_bytes()).expect("an older hold is read");
        own
    };
    let holding = |case: &mut Case| case.holding = before();
    // Whether it is a pre-product nobody knows: its other releases stay, and the message names what ends it.
    check(Action::Park, holding, "fail: park of r0000002 would remove every release…discard removes this one alone");
    check(Action::Discard, holding, "do: write the hold of r0000002: Ending");
    let abandoned = |case: &mut Case| {
        holding(case);
        case.world.now = at(1_000);
        case.world.holder = Some(Execution { state: ExecutionState::Ended, updated_at: Some(at(0)), build: None });
    };
    check(Action::Sweep, abandoned, "do: tell that r0000002 was abandoned: discard");
}
