//! The deployment: created or adopted, and judged by what each instance says.

use super::*;

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
