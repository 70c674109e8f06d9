//! AWS that throttles and fails for a while: nobody sees it but the metrics.

use tagship_local::gateway::{Effect, Fault, When};
use tagship_local::up::{Line, Local};
use tagship_tests::metrics;
use tagship_tests::releases::{Releases, cloud};

/// So many calls in a row of each function to each service are refused: the back-off between them is the
/// SDK's and the loop's own, some ten seconds a service.
const REFUSED: u64 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn throttling_of_every_service_is_not_seen() {
    let line = Line::quick("web", "WEB_PRODUCT", "web.example.com", 10);
    let local = cloud(vec![line.clone()]).await;
    let web = Releases::of(&local, &line);
    let mut faults = Vec::new();
    for (service, status, code) in [
        ("ec2", 503, "RequestLimitExceeded"),
        ("elasticloadbalancing", 400, "Throttling"),
        ("tagging", 400, "ThrottledException"),
        ("s3", 503, "SlowDown"),
        ("route53", 400, "Throttling"),
        ("codedeploy", 400, "ThrottlingException"),
        ("events", 500, "InternalException"),
        ("codepipeline", 503, "ServiceUnavailable"),
    ] {
        for caller in ["provision", "deploy", "route", "cleanup"] {
            let fault = Fault {
                caller: Some(caller.to_owned()),
                service: service.to_owned(),
                operation: None,
                when: When::First(REFUSED),
                effect: Effect::Error { status, code: code.to_owned(), message: "Rate exceeded".to_owned() },
            };
            faults.push((caller, service, local.gateway.faults().add(fault)));
        }
    }
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
