//! AWS that throttles and fails for a while: nobody sees it but the metrics.

use std::collections::BTreeSet;
use std::time::Duration;
use tagship_local::artifact::Variant;
use tagship_local::gateway::{Effect, Fault, FaultId, When};
use tagship_local::{Line, Local, Plan};
use tagship_tests::leak::Ear;
use tagship_tests::metrics;
use tagship_tests::releases::{Releases, cloud, start};

const FUNCTIONS: [&str; 4] = ["provision", "deploy", "route", "cleanup"];

/// What each service says when it has had enough, or fails.
const REFUSALS: [(&str, u16, &str); 8] = [
    ("ec2", 503, "RequestLimitExceeded"),
    ("elasticloadbalancing", 400, "Throttling"),
    ("tagging", 400, "ThrottledException"),
    ("s3", 503, "SlowDown"),
    ("route53", 400, "Throttling"),
    ("codedeploy", 400, "ThrottlingException"),
    ("events", 500, "InternalException"),
    ("codepipeline", 503, "ServiceUnavailable"),
];

/// Has every service refuse every function; answers which fault belongs to which service.
fn refuse(local: &Local, when: When) -> Vec<(&'static str, &'static str, FaultId)> {
    let each = FUNCTIONS.into_iter().flat_map(|caller| REFUSALS.map(|refusal| (caller, refusal)));
    let faults = each.map(|(caller, (service, status, code))| {
        let fault = Fault {
            caller: Some(caller.to_owned()),
            service: service.to_owned(),
            operation: None,
            when,
            effect: Effect::Error { status, code: code.to_owned(), message: "Rate exceeded".to_owned() },
        };
        (caller, service, local.gateway.faults().add(fault))
    });
    faults.collect()
}

/// So many calls in a row of each function to each service are refused: the back-off between them is the
/// SDK's and the loop's own, some ten seconds a service.
const REFUSED: u64 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn throttling_of_every_service_is_not_seen() {
    let line = Line::quick("web", "WEB_PRODUCT", "web.example.com", 10);
    let local = cloud(vec![line.clone()]).await;
    let web = Releases::of(&local, &line);
    let faults = refuse(&local, When::First(REFUSED));
    let r1 = web.succeed("r1").await;
    web.assert_alone(&r1).await;
    let met = |caller: &str, service: &str| {
        let (.., fault) = faults.iter().find(|(c, s, _)| (*c, *s) == (caller, service)).expect("a fault");
        local.gateway.faults().remove(*fault)
    };
    for (caller, services) in [
        ("provision", ["ec2", "elasticloadbalancing", "tagging", "s3", "route53", "codepipeline"].as_slice()),
        ("deploy", &["ec2", "elasticloadbalancing", "tagging", "s3", "codedeploy", "codepipeline"]),
        ("route", &["ec2", "elasticloadbalancing", "tagging", "s3", "route53", "codepipeline"]),
        ("cleanup", &["ec2", "elasticloadbalancing", "tagging", "s3", "route53", "codepipeline"]),
    ] {
        for service in services {
            let calls = met(caller, service);
            assert!(calls > REFUSED, "{caller} called {service} {calls} times: the fault was not outlasted");
        }
    }
    for (function, action) in
        [("provision", "provision"), ("deploy", "deploy"), ("route", "shift"), ("cleanup", "retire")]
    {
        calls_are_counted(&local, function, action).await;
    }
}

/// The metrics have the calls that came in, and those of them that were throttled.
async fn calls_are_counted(local: &Local, function: &str, action: &str) {
    metrics::ended(local, function, action).await;
    let lines = metrics::lines(local, function);
    let sum = |name: &str| lines.iter().filter_map(|line| line[name].as_u64()).sum::<u64>();
    let records = local.gateway.recorder().records();
    let records: Vec<_> = records.iter().filter(|record| record.caller == function).collect();
    let throttled = |service: &str| !["events", "codepipeline"].contains(&service);
    let refused = records.iter().filter(|record| record.injected && throttled(&record.service));
    assert_eq!((sum("Calls"), sum("Throttles")), (records.len() as u64, refused.count() as u64), "{function}");
    assert_eq!((sum("StageSucceeded"), sum("StageFailed")), (1, 0), "{function}: {lines:?}");
}

/// Five services, each in the midst of another stage when the minute begins.
#[tokio::test(flavor = "multi_thread")]
async fn a_minute_in_which_every_call_is_refused_is_waited_out() {
    let names = ["launching", "deploying", "shifting", "retiring", "rejected"];
    let lines = (1..).zip(names).map(|(n, name)| {
        let role = format!("{}_PRODUCT", name.to_uppercase());
        let mut line = Line::quick(name, &role, &format!("{name}.example.com"), 10 * n);
        line.settings["COUNT"] = 1.into();
        // What it sees after the minute must not look late: on AWS these are minutes, too.
        line.settings["TIMEOUTS"] =
            serde_json::json!({"BOOT": 200, "INSTALL": 200, "HEALTHY": 200, "WATCH": 3, "SETTLE": 15});
        line
    });
    let mut lines: Vec<Line> = lines.collect();
    lines[2].settings["TIMEOUTS"]["WATCH"] = 15.into();
    lines[3].settings["DRAIN"] = 15.into();
    // Lambda's own: a report that is refused is made by the retry after the minute.
    let retry_after = vec![Duration::from_secs(60), Duration::from_secs(120)];
    let local = start(Plan { retry_after, ..Plan::new(lines.clone()) }).await;
    let mut ear = Ear::open(&local);
    let services: Vec<Releases<'_>> = lines.iter().map(|line| Releases::of(&local, line)).collect();
    let [launching, deploying, shifting, retiring, rejected] = services[..] else { unreachable!() };

    // Two are live already when their next releases come.
    let replaced = async |service: Releases<'_>| {
        let r1 = service.succeed("r1").await;
        let r2 = service.upload("r2", Variant::Healthy).await;
        service.approve(&r2, "QaApproval").await;
        service.asked(&r2, "FinalApproval").await;
        (r1, r2)
    };
    let candidate = async {
        let r1 = shifting.upload("r1", Variant::Healthy).await;
        shifting.asked(&r1, "QaApproval").await;
        r1
    };
    let ((_, retiring_r2), (rejected_r1, rejected_r2), shifting_r1) =
        tokio::join!(replaced(retiring), replaced(rejected), candidate);
    let loads = [retiring.load("retiring.example.com").await, rejected.load("rejected.example.com").await];

    retiring.approve(&retiring_r2, "FinalApproval").await;
    shifting.approve(&shifting_r1, "QaApproval").await;
    shifting.goes_live(&shifting_r1).await;
    let deployments = || {
        let counts = local.gateway.recorder().counts();
        counts.get(&("deploy".to_owned(), "codedeploy".to_owned(), "CreateDeployment".to_owned())).copied()
    };
    let before = deployments();
    let deploying_r1 = deploying.upload("r1", Variant::SlowStart(10)).await;
    while deployments() == before {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    refuse(&local, When::For(Duration::from_secs(60)));
    rejected.reject(&rejected_r2, "FinalApproval").await;
    let launching_r1 = launching.upload("r1", Variant::Healthy).await;

    let succeeds = async |service: Releases<'_>, release: &str| {
        service.succeeds(release).await;
        service.assert_alone(release).await;
        assert_eq!(service.failures(release).await, Default::default(), "{}", service.pipeline);
    };
    tokio::join!(
        succeeds(launching, &launching_r1),
        succeeds(deploying, &deploying_r1),
        async {
            shifting.approve(&shifting_r1, "FinalApproval").await;
            shifting.ends(&shifting_r1, "Succeeded", "approved").await;
            shifting.assert_alone(&shifting_r1).await;
        },
        async {
            retiring.ends(&retiring_r2, "Succeeded", "approved").await;
            retiring.assert_alone(&retiring_r2).await;
        },
        async {
            rejected.ends(&rejected_r2, "Failed", "discarded").await;
            rejected.assert_alone(&rejected_r1).await;
        },
    );
    for load in loads {
        assert_eq!(load.stop().await.failures, []);
    }
    let failed = ear.events().iter().filter(|event| event["detail-type"] == "Stage Failed");
    let failed: Vec<_> = failed.collect();
    assert!(failed.is_empty(), "{failed:?}");
    let records = local.gateway.recorder().records();
    let refused: BTreeSet<&str> = records.iter().filter(|it| it.injected).map(|it| it.caller.as_str()).collect();
    assert_eq!(refused, FUNCTIONS.into());
}
