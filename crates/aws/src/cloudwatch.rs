//! CloudWatch's alarms, and its figures of the balancer.

use crate::cloud::timestamp;
use crate::error::Called;
use crate::{Cloud, elb};
use aws_sdk_cloudwatch::types::{
    AlarmType, Dimension, Metric, MetricDataQuery, MetricDataResult, MetricStat, StateValue,
};
use aws_smithy_types::DateTime;
use jiff::Timestamp;
use std::collections::BTreeMap;
use tagship::settings::{Choice, MAX_ALARMS};
use tagship::{Alarm, AlarmState, Counted, Counts, Error, Figures, Split, listed};

/// These alarms, each as CloudWatch shows it. Composite ones are shown only if they are asked for.
pub(crate) async fn alarms(cloud: &Cloud, names: &[String]) -> Result<Vec<Alarm>, Error> {
    let mut found = BTreeMap::new();
    for names in names.chunks(MAX_ALARMS) {
        let request = cloud
            .cloudwatch()
            .describe_alarms()
            .set_alarm_names(Some(names.to_vec()))
            .alarm_types(AlarmType::MetricAlarm)
            .alarm_types(AlarmType::CompositeAlarm)
            .max_records(100);
        let resource = || listed(names.iter().map(String::as_str));
        let answer = request.send().await.called("cloudwatch:DescribeAlarms", resource())?;
        for alarm in answer.metric_alarms() {
            let since = alarm.state_transitioned_timestamp().or(alarm.state_updated_timestamp());
            let is = (alarm.state_value(), since, alarm.state_reason());
            found.extend(alarm.alarm_name().map(|name| (name.to_owned(), seen(name, is))));
        }
        for alarm in answer.composite_alarms() {
            let since = alarm.state_transitioned_timestamp().or(alarm.state_updated_timestamp());
            let is = (alarm.state_value(), since, alarm.state_reason());
            found.extend(alarm.alarm_name().map(|name| (name.to_owned(), seen(name, is))));
        }
    }
    let missing =
        |name: &String| Alarm { name: name.clone(), state: AlarmState::Missing, since: None, reason: String::new() };
    Ok(names.iter().map(|name| found.remove(name).unwrap_or_else(|| missing(name))).collect())
}

/// How long each of these metric alarms needs to ring, in seconds: its period, so often as it evaluates. Of a composite
/// one, and where CloudWatch doesn't say, nothing.
pub(crate) async fn delays(cloud: &Cloud, names: &[String]) -> Result<BTreeMap<String, u32>, Error> {
    let mut delays = BTreeMap::new();
    for names in names.chunks(MAX_ALARMS) {
        let request = cloud.cloudwatch().describe_alarms().set_alarm_names(Some(names.to_vec())).max_records(100);
        let resource = || listed(names.iter().map(String::as_str));
        let answer = request.send().await.called("cloudwatch:DescribeAlarms", resource())?;
        for alarm in answer.metric_alarms() {
            let of_metrics = alarm.metrics().iter().flat_map(|metric| {
                [metric.period(), metric.metric_stat().and_then(|stat| stat.period())].into_iter().flatten()
            });
            let period = alarm.period().or(of_metrics.max()).and_then(|period| u32::try_from(period).ok());
            let times = alarm.evaluation_periods().and_then(|times| u32::try_from(times).ok());
            if let (Some(name), Some(period), Some(times)) = (alarm.alarm_name(), period, times) {
                delays.insert(name.to_owned(), period.saturating_mul(times));
            }
        }
    }
    Ok(delays)
}

fn seen(
    name: &str,
    (state, since, reason): (Option<&StateValue>, Option<&aws_smithy_types::DateTime>, Option<&str>),
) -> Alarm {
    let state = match state {
        Some(StateValue::Ok) => AlarmState::Ok,
        Some(StateValue::Alarm) => AlarmState::Alarm,
        _ => AlarmState::NoData,
    };
    Alarm { name: name.to_owned(), state, since: since.map(timestamp), reason: reason.unwrap_or_default().to_owned() }
}

/// The alarms that settings name and that exist, or that their tags find.
pub(crate) async fn heeded(cloud: &Cloud, choice: &Choice) -> Result<Vec<String>, Error> {
    match choice {
        Choice::Ids(names) if names.is_empty() => Ok(Vec::new()),
        Choice::Ids(names) => {
            let found = alarms(cloud, names).await?.into_iter();
            Ok(found.filter(|alarm| alarm.state != AlarmState::Missing).map(|alarm| alarm.name).collect())
        }
        // arn:aws:cloudwatch:eu-west-1:123456789012:alarm:web-5xx
        Choice::Tags(selector) => {
            let arns = elb::tagged(cloud, &["cloudwatch:alarm"], selector).await?;
            Ok(arns.iter().filter_map(|arn| arn.split_once(":alarm:")).map(|(_, name)| name.to_owned()).collect())
        }
    }
}

/// What is asked of each group.
const METRICS: [(&str, &str); 6] = [
    ("RequestCount", "Sum"),
    ("HTTPCode_Target_2XX_Count", "Sum"),
    ("HTTPCode_Target_3XX_Count", "Sum"),
    ("HTTPCode_Target_4XX_Count", "Sum"),
    ("TargetResponseTime", "p50"),
    ("TargetResponseTime", "p99"),
];

/// What the balancer counted of both groups, each with its balancer's ARN, since the traffic was divided.
pub(crate) async fn figures(cloud: &Cloud, pair: &[(String, String)], split: &Split) -> Result<Figures, Error> {
    let began = split.stood.first().map(|stood| stood.since).or(split.since);
    figures_since(cloud, pair, began).await
}

/// The same since this time; none if there was none.
pub(crate) async fn figures_since(
    cloud: &Cloud,
    pair: &[(String, String)],
    began: Option<Timestamp>,
) -> Result<Figures, Error> {
    const ACTION: &str = "cloudwatch:GetMetricData";
    let minute_secs = cloud.minute_secs;
    let empty = Figures { minute_secs, counted: Vec::new() };
    let Some(began) = began.filter(|_| !pair.is_empty()) else { return Ok(empty) };
    // CloudWatch counts periods from the start that it is given.
    let start = began.as_second() - began.as_second().rem_euclid(minute_secs.into());
    // Of a clock that is ahead nothing is lost.
    let end = Timestamp::now().as_second().max(start) + i64::from(minute_secs);
    let queries = (0..).zip(pair).flat_map(|(n, (group, balancer))| {
        (0..)
            .zip(METRICS)
            .map(move |(of, (name, stat))| query(&format!("g{n}m{of}"), group, balancer, (name, stat), minute_secs))
    });
    let request = cloud
        .cloudwatch()
        .get_metric_data()
        .start_time(DateTime::from_secs(start))
        .end_time(DateTime::from_secs(end))
        .set_metric_data_queries(Some(queries.collect()));
    let mut results = request.into_paginator().send();
    let mut minutes: BTreeMap<(usize, i64), [Option<f64>; METRICS.len()]> = BTreeMap::new();
    while let Some(page) = results.next().await {
        let groups = || listed(pair.iter().map(|(group, _)| group.as_str()));
        for found in page.called(ACTION, groups())?.metric_data_results() {
            let Some((group, metric)) = named(found) else { continue };
            for (at, value) in found.timestamps().iter().zip(found.values()) {
                let minute = minutes.entry((group, at.secs())).or_default();
                if let Some(cell) = minute.get_mut(metric) {
                    *cell = Some(*value);
                }
            }
        }
    }
    let counted = minutes.into_iter().filter_map(|((group, at), [requests, c2xx, c3xx, c4xx, p50, p99])| {
        let count = |value: Option<f64>| value.unwrap_or_default() as u64;
        Some(Counted {
            group: pair.get(group)?.0.clone(),
            start: Timestamp::from_second(at).ok()?,
            counts: Counts { requests: requests? as u64, c2xx: count(c2xx), c3xx: count(c3xx), c4xx: count(c4xx) },
            latency: p50.zip(p99),
        })
    });
    Ok(Figures { counted: counted.collect(), ..empty })
}

/// `g1m2`: of the second group the third metric.
fn named(result: &MetricDataResult) -> Option<(usize, usize)> {
    let (group, metric) = result.id()?.strip_prefix('g')?.split_once('m')?;
    Some((group.parse().ok()?, metric.parse().ok()?))
}

fn query(id: &str, group: &str, balancer: &str, (name, stat): (&str, &str), minute_secs: u32) -> MetricDataQuery {
    let dimension = |name: &str, value: &str| Dimension::builder().name(name).value(value).build();
    // arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/web-a/73e2d6bc24d8a067
    let group = group.rsplit_once(':').map_or(group, |(_, name)| name);
    let balancer = balancer.split_once(":loadbalancer/").map_or(balancer, |(_, name)| name);
    let metric = Metric::builder()
        .namespace("AWS/ApplicationELB")
        .metric_name(name)
        .dimensions(dimension("LoadBalancer", balancer))
        .dimensions(dimension("TargetGroup", group));
    let of = MetricStat::builder().metric(metric.build()).period(minute_secs as i32).stat(stat);
    MetricDataQuery::builder().id(id).metric_stat(of.build()).return_data(true).build()
}
