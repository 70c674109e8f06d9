//! Situations of deploy, and what is decided in each.

use super::*;
use crate::settings::Choice;
use crate::testing::*;
use crate::{
    Alarm, Deployment, DeploymentState, Health, Hold, Holding, Installed, Previous, Routing, Target, TestRule, World,
    bounded,
};

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
    looks(1, dead, &format!("wait: the fleet to be whole; {found}"));
    looks(
        10,
        dead,
        &format!("fail: {found}. Deploy doesn't replace instances. Left behind of release r0000002: 1 instance (i-21)"),
    );
    looks(10, |case| drop(case.world.instances.pop()), "fail: 1 instance of this release runs, COUNT is 2. Deploy");
    looks(1, |case| case.world.instances.push(instance(2, 3)), "wait: the fleet to be whole; 3 instances");
    looks(1, |case| case.world.instances[3].state = InstanceState::Pending, "wait: the fleet to be whole; 1 instance");
    // A surplus that was taken away is no loss; and the looks count in a row only.
    let surplus = |case: &mut Case| {
        case.world.instances.push(instance(2, 3));
        case.world.instances[4].state = InstanceState::ShuttingDown;
    };
    assert_eq!(looks(9, surplus, "done: ").memory.incomplete_looks, 0);
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

fn artifact_of(key: &str) -> Artifact {
    Artifact { key: key.to_owned(), ..artifact() }
}

#[test]
fn one_deployment_is_created_or_adopted() {
    check(
        |case| (case.world.filtered, case.world.deployment) = (false, None),
        "do: filter the deployment group to r0000002",
    );
    check(|case| case.world.deployment = None, "do: deploy s3://builds/web.zip version v1");
    check(
        |case| case.deployment().state = DeploymentState::Running,
        "wait: deployment d-1: 1 succeeded, 1 in progress",
    );
    let late = |case: &mut Case| case.world.now = at(1_211);
    check(
        |case| {
            case.deployment().state = DeploymentState::Running;
            late(case);
        },
        "fail: deployment d-1 of s3://builds/web.zip version v1 was not finished in 1200 s (INSTALL): 1 succeeded, \
         1 in progress. Left behind of release r0000002: 2 instances (i-21, i-22), deployment d-1, still running, the hold",
    );
    // No agent has asked for it.
    check(
        |case| {
            let deployment = case.deployment();
            deployment.state = DeploymentState::Running;
            deployment.overview = "2 pending".to_owned();
            deployment.begun = false;
            late(case);
        },
        "fail: deployment d-1 of s3://builds/web.zip version v1 was not finished in 1200 s (INSTALL): 2 pending. No \
         instance has begun, so most likely the image has no CodeDeploy agent, or one that is too old for IMDSv2",
    );
    check(
        |case| {
            case.world.deployment = None;
            late(case);
        },
        "fail: no deployment of s3://builds/web.zip version v1 could be created in 1200 s",
    );
}

#[test]
fn every_instance_is_asked_whether_it_succeeded() {
    use DeploymentState::*;
    let ended = |state, error: Option<&str>, targets: Vec<Installed>, expected: &str| {
        check(
            |case| {
                let deployment = case.deployment();
                (deployment.state, deployment.targets) = (state, targets);
                deployment.error = error.map(str::to_owned);
            },
            expected,
        );
    };
    let failed = || installed("i-21", Some("ApplicationStart: start.sh exited with 1: no such file"));
    ended(
        Succeeded,
        None,
        vec![failed(), installed("i-22", None)],
        &format!(
            "fail: s3://builds/web.zip version v1 was not installed on 1 of 2 instances:\n- i-21: ApplicationStart: \
             start.sh exited with 1: no such file\nCodeDeploy's status of deployment d-1: succeeded{LEFT}"
        ),
    );
    ended(
        Failed,
        Some("HEALTH_CONSTRAINTS: too few"),
        vec![failed()],
        &format!(
            "fail: s3://builds/web.zip version v1 was not installed on 2 of 2 instances:\n- i-21: ApplicationStart: \
             start.sh exited with 1: no such file\n- i-22: CodeDeploy did not include it: does it have its tags?\n\
             CodeDeploy's status of deployment d-1: failed: HEALTH_CONSTRAINTS: too few{LEFT}"
        ),
    );
    // Another instance's failure is none of ours.
    ended(
        Failed,
        None,
        vec![installed("i-21", None), installed("i-22", None), installed("i-99", Some("old"))],
        "done: ",
    );
    ended(Stopped, None, Vec::new(), "fail: s3://builds/web.zip version v1 was not installed on 2 of 2");
}

#[test]
fn a_failure_of_many_with_long_logs_is_bounded() {
    let mut case = Case::new();
    case.hold().settings.count = 9;
    let log = format!("AfterInstall: {} the end", "로그 ".repeat(5_000));
    for n in 3..=9 {
        case.world.instances.push(instance(2, n));
    }
    case.deployment().targets = (1..=9).map(|n| installed(&format!("i-2{n}"), Some(&log))).collect();
    let found = ask::<Deploy>(&case.holding, &case.world, (case.began, 0), &mut case.memory);
    assert_eq!(bounded(&found, 5_000), found);
    assert_eq!((found.matches("AfterInstall").count(), found.matches("the end\n").count()), (3, 3));
    assert!(found.contains("\n- 6 more\n"), "{found}");
    // The log of a single one has the room of three.
    case.deployment().targets = (1..=9).map(|n| installed(&format!("i-2{n}"), (n == 1).then_some(&log))).collect();
    let single = ask::<Deploy>(&case.holding, &case.world, (case.began, 0), &mut case.memory);
    assert_eq!(bounded(&single, 5_000), single);
    assert!(single.matches("로그").count() > 1_000, "{single}");
}

#[test]
fn a_deployment_that_is_too_late_tells_what_has_failed_by_then() {
    check(
        |case| {
            case.world.now = at(10_000);
            let deployment = case.deployment();
            deployment.state = DeploymentState::Running;
            let failed = installed("i-21", Some("AfterInstall: migrate.sh: locked"));
            deployment.targets = vec![failed, Installed { succeeded: false, ..installed("i-22", None) }];
        },
        "fail: deployment d-1 of s3://builds/web.zip version v1 was not finished in 1200 s (INSTALL): 1 succeeded, \
         1 in progress\n- i-21: AfterInstall: migrate.sh: locked",
    );
}

#[test]
fn the_candidate_group_holds_this_fleet_alone() {
    let draining = |of, n| Target { health: Health::Draining, ..target(of, n) };
    let group = |settled: bool, targets: Vec<Target>, expected: &str| {
        check(
            |case| {
                *case.targets() = targets;
                if settled {
                    case.settled();
                }
            },
            expected,
        );
    };
    group(true, vec![], "do: register i-21, i-22 on port 8080 in arn:b");
    group(true, vec![target(2, 1)], "do: register i-22 on port 8080 in arn:b");
    group(true, vec![target(2, 1), draining(2, 2)], "do: register i-22 on port 8080 in arn:b");
    // Strangers leave before anybody comes, and not before their last weight has settled.
    group(true, vec![target(1, 1)], "do: deregister i-11 from arn:b");
    group(false, vec![target(1, 1)], "wait: web-b to be without weight for 15 s more");
    // It may have had weight while nobody could look.
    check(
        |case| {
            *case.targets() = vec![target(1, 1)];
            case.settled();
            case.began = at(95);
        },
        "wait: web-b to be without weight for 10 s more",
    );
    group(true, vec![target(2, 1), target(2, 2), target(9, 9)], "do: deregister i-99 from arn:b");
    group(true, vec![target(2, 1), target(2, 2), Target { port: 9, ..target(2, 1) }], "do: deregister i-21 from arn:b");
    group(true, vec![draining(1, 1)], "do: register i-21, i-22");
    check(
        |case| {
            case.hold().settings.port = Some(9_000);
            case.targets().clear();
        },
        "do: register i-21, i-22 on port 9000 in arn:b",
    );
    // 1,000 in two calls.
    check(
        |case| {
            case.settled();
            *case.targets() = (0..1_000).map(|n| Target { id: format!("i-x{n}"), ..target(1, 1) }).collect();
        },
        "do: deregister i-x0, i-x1, i-x2, i-x3, i-x4, +495 from arn:b",
    );
}

#[test]
fn every_target_must_become_healthy_in_time() {
    let ailing = |since: Option<i64>, health, reason: &'static str, expected: &str| {
        check(
            |case| {
                let target = &mut case.targets()[1];
                (target.health, target.reason) = (health, Some(reason.to_owned()));
                case.memory.registered_since = since.map(at);
            },
            expected,
        )
    };
    let case = ailing(
        None,
        Health::Initial,
        "Elb.RegistrationInProgress",
        "wait: 1 of 2 targets in web-b is healthy: i-22 initial (Elb.RegistrationInProgress)",
    );
    assert_eq!(case.memory.registered_since, Some(at(100)));
    ailing(Some(-199), Health::Unhealthy, "Target.Timeout", "wait: 1 of 2 targets in web-b");
    ailing(
        Some(-200),
        Health::Unhealthy,
        "Target.Timeout",
        "fail: after 300 s (HEALTHY) 1 of 2 targets in web-b is healthy: i-22 unhealthy (Target.Timeout). No traffic was moved",
    );
    ailing(
        None,
        Health::Unused,
        "Target.NotInUse",
        "wait: 1 of 2 targets in web-b is healthy: i-22 unused (Target.NotInUse)",
    );
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
