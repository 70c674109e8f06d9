//! What the balancer counted, as CloudWatch's own protocol has it.

use crate::account::{Account, Everything, hold, job, look, port};
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum};
use aws_smithy_types::DateTime;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use tagship::{Action, Counts, Held, Holding, Parts, Port, Split};

#[tokio::test]
async fn both_groups_are_counted_by_the_minute() {
    let account = Account::set_up().await;
    let client = aws_sdk_cloudwatch::Client::new(&account.sdk);
    let port = port::<Everything>(&account.cloud);
    let settings = account.settings().await;
    let mut hold = hold(settings.clone());
    let minute = Timestamp::from_second(Timestamp::now().as_second() / 60 * 60 - 240).expect("a minute");
    let since = Some(minute + SignedDuration::from_secs(17));
    hold.split = Some(Split { step: 0, from: vec![0], to: 10, since, old: BTreeMap::new(), stood: Vec::new() });
    let holding = Holding { held: Some(Held { hold, etag: String::new(), freed: false }), ended: None };
    let job = job(Action::Shift);
    let seen = |parts| {
        let (port, job, holding, settings) = (&port, &job, &holding, &settings);
        async move { port.observe(&look(job, holding, Some(settings), parts)).await.expect("a look") }
    };
    let tagship::Routing { groups, switches, .. } = seen(Parts::ROUTING).await.routing.expect("a pair");
    // arn:…:listener-rule/app/NAME/ID/…
    let (_, switch) = switches[0].arn.split_once("/app/").expect("an ARN");
    let balancer = format!("app/{}", switch.splitn(3, '/').take(2).collect::<Vec<_>>().join("/"));
    let publish = |group: &str, name: &str, at: Timestamp, value: f64| {
        let dimension = |name: &str, value: &str| Dimension::builder().name(name).value(value).build();
        let (_, group) = group.rsplit_once(':').expect("an ARN");
        let datum = MetricDatum::builder()
            .metric_name(name)
            .timestamp(DateTime::from_secs(at.as_second()))
            .value(value)
            .dimensions(dimension("LoadBalancer", &balancer))
            .dimensions(dimension("TargetGroup", group));
        let request = client.put_metric_data().namespace("AWS/ApplicationELB").metric_data(datum.build());
        async move { request.send().await.expect("published") }
    };
    let next = minute + SignedDuration::from_mins(1);
    for (n, group) in (1..).zip(&groups) {
        publish(&group.arn, "RequestCount", minute, 100.0 * f64::from(n)).await;
        publish(&group.arn, "HTTPCode_Target_2XX_Count", minute, 90.0).await;
        publish(&group.arn, "TargetResponseTime", minute, 0.25).await;
    }
    publish(&groups[0].arn, "RequestCount", next, 7.0).await;
    let figures = seen(Parts::FIGURES).await.figures;
    assert_eq!(figures.minute_secs, 60);
    let found: Vec<_> = figures.counted.iter().map(|it| (it.group.as_str(), it.start, it.counts, it.latency)).collect();
    let counts = |requests, c2xx| Counts { requests, c2xx, ..Counts::default() };
    let (a, b) = (groups[0].arn.as_str(), groups[1].arn.as_str());
    assert_eq!(
        found,
        [
            (a, minute, counts(100, 90), Some((0.25, 0.25))),
            (a, next, counts(7, 0), None),
            (b, minute, counts(200, 90), Some((0.25, 0.25))),
        ]
    );
}
