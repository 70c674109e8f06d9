//! Situations of deploy, and what is decided in each.

use super::*;
use crate::settings::Choice;
use crate::testing::*;
use crate::{
    Alarm, Deployment, DeploymentState, Health, Hold, Holding, Installed, Previous, Routing, Target, TestRule, World,
    bounded,
};

mod install;
mod targets;

/// Release 2 holds, its deployment of 10 s has succeeded, its targets in `b` are healthy. It is 100 s.
struct Case {
    holding: Holding,
    world: World,
    began: Timestamp,
    memory: DeployMemory,
}

fn artifact() -> Artifact {
    Artifact { bucket: "builds".to_owned(), key: "web.zip".to_owned(), version: Some("v1".to_owned()), etag: None }
}

fn installed(instance: &str, diagnostics: Option<&str>) -> Installed {
    Installed {
        instance: instance.to_owned(),
        succeeded: diagnostics.is_none(),
        diagnostics: diagnostics.map(str::to_owned),
    }
}

impl Case {
    fn new() -> Self {
        let deployment = Deployment {
            id: "d-1".to_owned(),
            state: DeploymentState::Succeeded,
            created_at: at(10),
            error: None,
            targets: vec![installed("i-21", None), installed("i-22", None)],
            overview: "1 succeeded, 1 in progress".to_owned(),
            begun: true,
        };
        let artifact = Some(Ok(artifact()));
        let world = World { filtered: true, deployment: Some(deployment), artifact, ..world() };
        let hold = Hold { artifact: Some(self::artifact()), ..hold(2) };
        Self { holding: held(hold), world, began: at(0), memory: DeployMemory::default() }
    }

    fn hold(&mut self) -> &mut Hold {
        &mut self.holding.held.as_mut().expect("a hold").hold
    }

    fn deployment(&mut self) -> &mut Deployment {
        self.world.deployment.as_mut().expect("a deployment")
    }

    fn routing(&mut self) -> &mut Routing {
        self.world.routing.as_mut().expect("routing")
    }

    /// The candidate group's targets.
    fn targets(&mut self) -> &mut Vec<Target> {
        &mut self.routing().groups[1].targets
    }

    /// The free group has been seen without weight for long enough.
    fn settled(&mut self) {
        self.memory.weightless_since = Some(at(0));
    }
}

/// `expected` is the answer's beginning; after a `…` its end.
#[track_caller]
fn check(change: impl FnOnce(&mut Case), expected: &str) -> Case {
    let mut case = Case::new();
    change(&mut case);
    let found = ask::<Deploy>(&case.holding, &case.world, (case.began, 0), &mut case.memory);
    let (start, end) = expected.split_once('…').unwrap_or((expected, ""));
    assert!(found.starts_with(start) && found.ends_with(end), "expected {expected:?}\n   found {found:?}");
    case
}

const LEFT: &str = "\nLeft behind of release r0000002: 2 instances (i-21, i-22), the hold. Discard removes all of this once the pipeline \
                    execution has ended. Then start a new execution";

#[test]
fn an_installed_and_healthy_fleet_is_done() {
    let words =
        "s3://builds/web.zip version v1 is installed on 2 instances (deployment d-1), 2 targets are healthy in web-b";
    check(|_| {}, &format!("done: {words}"));
    check(|case| case.began = at(11), &format!("done: already deployed: {words}"));
    // A late invocation, after the traffic moved: the free group is the predecessor's now.
    check(
        |case| {
            case.hold().previous = Some(Previous { release: Some(release(1)), healthy: 2 });
            case.world.routing = world().routing.map(|routing| moved(routing, 2));
        },
        "done: already deployed, the shift has begun: s3://builds/web.zip",
    );
    check(
        |case| {
            case.hold().settings.target_group = TargetGroup::None;
            case.world.routing = None;
        },
        "done: s3://builds/web.zip version v1 is installed on 2 instances (deployment d-1)",
    );
}

#[test]
fn a_pair_that_cannot_be_used_is_found_before_anything_is_changed() {
    let first = |change: fn(&mut Case), expected: &str| {
        check(
            |case| {
                case.hold().artifact = None;
                change(case);
            },
            expected,
        );
    };
    first(|_| {}, "do: write the hold of r0000002: Open");
    first(
        |case| case.world.routing = world().routing.map(|routing| moved(routing, 1)),
        "fail: the switches don't give their weight",
    );
    first(
        |case| case.routing().switches[0].sticky = true,
        &format!("fail: the switches of tag:tagship:service=WEB_PRODUCT can't be used as they are:…{LEFT}"),
    );
    first(
        |case| case.world.routing = world().routing.map(|routing| moved(routing, 2)),
        "fail: web-b has this release's instances or was chosen for them, and has the weight already (HTTP:80: web-a=0, web-b=100; HTTPS:443",
    );
}

#[test]
fn the_fleet_must_be_whole() {
    let looks = |looks: u8, change: fn(&mut Case), expected: &str| {
        check(
            |case| {
                case.memory.incomplete_looks = looks - 1;
                change(case);
            },
            expected,
        )
    };
    let dead = |case: &mut Case| {
        case.world.instances[3].state = InstanceState::Terminated;
        case.world.instances[3].reason = Some("Server.SpotInstanceTermination".to_owned());
    };
    let found = "1 instance of this release runs, COUNT is 2: i-22 is Terminated (Server.SpotInstanceTermination)";
    looks(1, dead, &format!("wait: the fleet to be complete; {found}"));
    looks(
        10,
        dead,
        &format!("fail: {found}. Deploy doesn't replace instances. Left behind of release r0000002: 1 instance (i-21)"),
    );
    looks(10, |case| drop(case.world.instances.pop()), "fail: 1 instance of this release runs, COUNT is 2. Deploy");
    looks(1, |case| case.world.instances.push(instance(2, 3)), "wait: the fleet to be complete; 3 instances");
    looks(
        1,
        |case| case.world.instances[3].state = InstanceState::Pending,
        "wait: the fleet to be complete; 1 instance",
    );
    // A surplus that was taken away is no loss; and the looks count in a row only.
    let surplus = |case: &mut Case| {
        case.world.instances.push(instance(2, 3));
        case.world.instances[4].state = InstanceState::ShuttingDown;
    };
    assert_eq!(looks(9, surplus, "done: ").memory.incomplete_looks, 0);
}

fn artifact_of(key: &str) -> Artifact {
    Artifact { key: key.to_owned(), ..artifact() }
}

#[test]
fn the_artifact_is_chosen_once() {
    let artifact = |found, expected: &str| {
        check(
            |case| {
                case.hold().artifact = None;
                case.world.artifact = found;
            },
            expected,
        );
    };
    artifact(Some(Ok(artifact_of("new.zip"))), "do: write the hold");
    artifact(Some(Err("s3://builds/web.zip is not there".to_owned())), "fail: s3://builds/web.zip is not there. Left");
    artifact(None, "fail: there is nothing to install");
    check(|case| case.world.artifact = Some(Ok(artifact_of("new.zip"))), "done: s3://builds/web.zip");
}

#[test]
fn whoever_approves_is_told_which_alarms_ring() {
    #[track_caller]
    fn told(alarms: &[(&str, AlarmState)], expected: &str) {
        let mut case = Case::new();
        let names = alarms.iter().map(|(name, _)| (*name).to_owned()).collect();
        case.hold().settings.alarms = Choice::Ids(names);
        let alarm = |(name, state): &(&str, AlarmState)| Alarm {
            name: (*name).to_owned(),
            state: *state,
            since: Some(at(30)),
            reason: "Threshold crossed".to_owned(),
        };
        case.world.alarms = alarms.iter().map(alarm).collect();
        let Continue(done) = decide::<Deploy>(&case.holding, &case.world, (case.began, 0), &mut case.memory) else {
            panic!("it isn't done")
        };
        assert!(done.outputs.contains(&("Alarms", expected.to_owned())), "{:?}", done.outputs);
    }
    told(&[], "none are set up");
    told(&[("web-5xx", AlarmState::Ok), ("web-p99", AlarmState::NoData)], "none is ringing");
    let rings = format!("web-5xx has been ringing since {}", at(30));
    told(&[("web-5xx", AlarmState::Alarm), ("web-p99", AlarmState::Ok)], &rings);
}

#[test]
fn test_traffic_is_led_to_a_candidate_that_is_healthy() {
    check(|case| case.routing().tests = vec![test_rule(&["a"])], "do: lead HTTPS:443 rule 9 to arn:b");
    check(|case| case.routing().tests = vec![test_rule(&["a", "b"])], "do: lead HTTPS:443 rule 9 to arn:b");
    check(|case| case.routing().tests = vec![test_rule(&["b"])], "done: s3://builds/web.zip");
    check(
        |case| {
            case.routing().tests = vec![test_rule(&["a"])];
            case.targets()[0].health = Health::Initial;
        },
        "wait: 1 of 2 targets in web-b is healthy",
    );
    // What it leads to isn't deregistered: it is led away first.
    check(
        |case| {
            case.settled();
            case.routing().tests = vec![test_rule(&["b"])];
            case.targets().push(target(3, 1));
        },
        "do: lead HTTPS:443 rule 9 to arn:a",
    );
    check(
        |case| case.routing().tests = vec![TestRule { open: true, ..test_rule(&["a"]) }],
        "fail: the switches of tag:tagship:service=WEB_PRODUCT can't be used as they are:\n- HTTPS:443 rule 9 is a rule \
         for test traffic (tagship:test) and open to everybody",
    );
}
