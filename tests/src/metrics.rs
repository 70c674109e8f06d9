//! The metrics in the functions' logs, held against CloudWatch's embedded metric format.

use crate::releases::LOOK;
use serde_json::Value;
use tagship_local::Local;

/// The units that tagship uses, of CloudWatch's.
const UNITS: [&str; 2] = ["Count", "Seconds"];

/// The lines of a function's log that CloudWatch takes for metrics.
///
/// # Panics
///
/// If CloudWatch would refuse one, or miss some of its metrics.
pub fn lines(local: &Local, function: &str) -> Vec<Value> {
    let log = std::fs::read_to_string(local.logs().join(format!("tagship-{function}.log"))).unwrap_or_default();
    // One that is just being written has no end yet.
    let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let lines = whole.lines().filter(|line| line.contains("\"_aws\"") || line.contains("CloudWatchMetrics"));
    let lines: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("not the bare object: {error}: {line}")))
        .collect();
    lines.iter().for_each(check);
    lines
}

/// Waits until an action's end was written, and with it all that its invocation did.
pub async fn ended(local: &Local, function: &str, action: &str) {
    while !lines(local, function).iter().any(|line| line["action"] == action && line["outcome"] == "done") {
        tokio::time::sleep(LOOK).await;
    }
}

fn check(line: &Value) {
    let meta = &line["_aws"];
    assert!(meta["Timestamp"].as_i64().is_some_and(|at| at > 1_700_000_000_000), "milliseconds: {line}");
    let directives = meta["CloudWatchMetrics"].as_array().expect("directives");
    assert!(!directives.is_empty(), "{line}");
    for directive in directives {
        assert_eq!(directive["Namespace"], "tagship", "{line}");
        for set in directive["Dimensions"].as_array().expect("sets of dimensions") {
            for dimension in set.as_array().expect("a set") {
                let value = line[dimension.as_str().expect("a name")].as_str().unwrap_or_default();
                assert!((1..=1_024).contains(&value.len()), "no value of {dimension}: {line}");
            }
        }
        let metrics = directive["Metrics"].as_array().expect("metrics");
        assert!((1..=100).contains(&metrics.len()), "{line}");
        for metric in metrics {
            assert!(line[metric["Name"].as_str().expect("a name")].is_u64(), "no value of {metric}: {line}");
            assert!(UNITS.iter().any(|unit| metric["Unit"] == **unit), "{metric}: {line}");
        }
    }
}
