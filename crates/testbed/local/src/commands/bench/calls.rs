//! What the functions called, counted from the gateway's records.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::iter::Sum;
use std::time::Duration;
use tagship_cloud::gateway::Record;

/// The functions, in the order of a release; also the names of their programs and access keys.
pub(super) const FUNCTIONS: [&str; 4] = ["provision", "deploy", "route", "cleanup"];

/// The functions' calls, in the order in which they came in.
pub(super) fn of_functions(mut records: Vec<Record>) -> Vec<Record> {
    records.retain(|record| FUNCTIONS.contains(&record.caller.as_str()));
    records.sort_by_key(|record| record.at);
    records
}

/// Calls of one function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) changing: usize,
    pub(super) reads: usize,
}

impl Sum for Count {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |sum, count| Self {
            changing: sum.changing + count.changing,
            reads: sum.reads + count.reads,
        })
    }
}

/// Function → its calls.
pub(super) fn by_function(records: &[Record]) -> BTreeMap<&str, Count> {
    let mut counts: BTreeMap<&str, Count> = BTreeMap::new();
    for record in records {
        let count = counts.entry(&record.caller).or_default();
        if record.changing { count.changing += 1 } else { count.reads += 1 }
    }
    counts
}

/// Whether it only tells somebody something: CodePipeline, or the event bus.
pub(super) fn reports(record: &Record) -> bool {
    matches!(record.operation.as_str(), "PutJobSuccessResult" | "PutJobFailureResult" | "PutEvents" | "Publish")
}

/// Whether it is about the hold, or the markers of ended releases that are read with it.
fn of_hold(record: &Record) -> bool {
    record.service == "s3" && ["/holds/", "/ended/", "/live/"].iter().any(|part| record.request.path.contains(part))
}

/// What was read, round by round.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rounds {
    pub(super) rounds: usize,
    /// Reads in them, the hold's apart.
    pub(super) reads: usize,
    /// What was read again within a round.
    pub(super) repeated: Vec<String>,
}

/// Between two looks a function pauses for a second at least.
const PAUSE: SignedDuration = SignedDuration::from_millis(900);

/// Splits the functions' reads into rounds.
///
/// A round begins with the hold's read, or after a pause: while a function only waits, it doesn't read the hold at each
/// look. Everything else is read after it, once. The hold is read again just before a change, after which nothing but
/// the change comes: that makes no round. Another page, and another resource where AWS takes one (or a batch) a call,
/// counts as another read; a read that AWS refused may be repeated.
pub(super) fn rounds(records: &[Record]) -> Rounds {
    let mut all = Rounds::default();
    for function in FUNCTIONS {
        let mut seen = BTreeSet::new();
        let mut before: Option<Timestamp> = None;
        for record in records.iter().filter(|record| record.caller == function && !record.changing) {
            let paused = before.replace(record.at).is_some_and(|before| record.at.duration_since(before) >= PAUSE);
            if paused || of_hold(record) {
                seen.clear();
            }
            if of_hold(record) {
                continue;
            }
            let Some(200..400) = record.status else { continue };
            all.rounds += usize::from(seen.is_empty());
            all.reads += 1;
            let kind = kind(record);
            if !seen.insert(kind.clone()) {
                all.repeated.push(format!("{function}: {kind}"));
            }
        }
    }
    all
}

/// The members of a request that make it another page, another batch, or one of a resource that AWS takes alone.
const APART: [&str; 13] = [
    "NextToken",
    "nextToken",
    "Marker",
    "PaginationToken",
    "continuation-token",
    "name", // where a page of records starts
    "ResourceTypeFilters",
    "TargetGroupArn",
    "TargetGroupArns.member.1",
    "ListenerArn",
    "LoadBalancerArn",
    "deploymentIds",
    "targetIds",
];

fn kind(record: &Record) -> String {
    let request = &record.request;
    let body = request.body.as_deref().unwrap_or_default();
    let mut apart: Vec<String> = Vec::new();
    for pair in request.query.split('&').chain(body.split('&')) {
        if let Some((name, value)) = pair.split_once('=')
            && APART.contains(&name)
        {
            apart.push(format!("{name}={value}"));
        }
    }
    if let Ok(Value::Object(members)) = serde_json::from_str(body) {
        // An empty token is the first page's.
        let named = members.iter().filter(|(name, value)| APART.contains(&name.as_str()) && *value != "");
        apart.extend(named.map(|(name, value)| format!("{name}={value}")));
    }
    format!("{}:{} {}", record.service, record.operation, apart.join(" ")).trim_end().to_owned()
}

/// A rollback's changing calls until the last weight is back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Restored {
    /// Of the hold.
    pub(super) hold: usize,
    /// All others.
    pub(super) others: usize,
    /// From the event's first call until the last weight's.
    pub(super) took: Duration,
}

/// Counts what route did since the event, up to the last weight that it moved.
pub(super) fn until_restored(records: &[Record]) -> Restored {
    let route: Vec<&Record> = records.iter().filter(|record| record.caller == "route").collect();
    let moved = route.iter().rposition(|record| matches!(record.operation.as_str(), "ModifyRule" | "ModifyListener"));
    let until = &route[..moved.map_or(0, |last| last + 1)];
    let (hold, others): (Vec<_>, Vec<_>) =
        until.iter().copied().filter(|record| record.changing).partition(|record| of_hold(record));
    let took = match until {
        [first, .., last] => last.at.duration_since(first.at).unsigned_abs(),
        _ => Duration::ZERO,
    };
    Restored { hold: hold.len(), others: others.len(), took }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tagship_cloud::gateway::RawRequest;

    /// `caller service:Operation path?query body`, a call a line, each a tenth of a second after the one before; `…` is
    /// a pause of a second.
    fn records(lines: &str) -> Vec<Record> {
        let mut at = Timestamp::UNIX_EPOCH;
        let record = |line: &str| {
            at += SignedDuration::from_millis(if line.trim() == "…" { 1_000 } else { 100 });
            if line.trim() == "…" {
                return None;
            }
            let mut parts = line.trim().splitn(4, ' ');
            let mut part = || parts.next().unwrap_or_default().to_owned();
            let (caller, what, uri, body) = (part(), part(), part(), part());
            let (service, operation) = what.split_once(':').expect("service:Operation");
            let (path, query) = uri.split_once('?').unwrap_or((&uri, ""));
            Some(Record {
                at,
                caller,
                service: service.to_owned(),
                operation: operation.to_owned(),
                status: Some(200),
                changing: !operation.starts_with("Get") && !operation.starts_with("Describe"),
                injected: false,
                requests: Vec::new(),
                request: RawRequest {
                    method: "POST".to_owned(),
                    path: path.to_owned(),
                    query: query.to_owned(),
                    headers: BTreeMap::new(),
                    body: Some(body),
                },
            })
        };
        lines.trim().lines().filter_map(record).collect()
    }

    #[track_caller]
    fn check(lines: &str, rounds: usize, repeated: &[&str]) {
        let found = super::rounds(&records(lines));
        assert_eq!((found.rounds, found.repeated), (rounds, repeated.iter().map(ToString::to_string).collect()));
    }

    #[test]
    fn a_round_reads_each_kind_once() {
        check(
            "route s3:GetObject /t/holds/A.json
             route s3:GetObject /t/ended/A/1.json
             route ec2:DescribeInstances / Action=DescribeInstances
             route ec2:DescribeInstances / Action=DescribeInstances&NextToken=2
             route elb:DescribeTargetHealth / TargetGroupArn=a
             route elb:DescribeTargetHealth / TargetGroupArn=b
             route s3:GetObject /t/holds/A.json
             route elb:ModifyRule / RuleArn=r
             route s3:GetObject /t/holds/A.json
             route ec2:DescribeInstances / Action=DescribeInstances
             …
             route ec2:DescribeInstances / Action=DescribeInstances",
            3,
            &[],
        );
    }

    #[test]
    fn a_second_read_is_found() {
        check(
            "deploy s3:GetObject /t/holds/A.json
             deploy ec2:DescribeInstances / Filter.1=a
             cleanup ec2:DescribeInstances / Filter.1=a
             deploy ec2:DescribeInstances / Filter.1=b
             deploy codedeploy:BatchGetDeployments / {\"deploymentIds\":[\"d\"]}
             deploy elb:DescribeTargetHealth / TargetGroupArn=a
             deploy elb:DescribeTargetHealth / TargetGroupArn=a",
            2,
            &["deploy: ec2:DescribeInstances", "deploy: elb:DescribeTargetHealth TargetGroupArn=a"],
        );
    }

    #[test]
    fn a_rollback_counts_until_the_last_weight() {
        let records = records(
            "route s3:GetObject /t/holds/A.json
             cleanup s3:PutObject /t/holds/A.json
             route s3:PutObject /t/holds/A.json
             route elb:ModifyRule / RuleArn=r
             route elb:ModifyListener / ListenerArn=l
             route route53:ChangeResourceRecordSets /",
        );
        assert_eq!(until_restored(&records), Restored { hold: 1, others: 2, took: Duration::from_millis(400) });
    }
}
