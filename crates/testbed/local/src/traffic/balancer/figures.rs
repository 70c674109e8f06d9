//! What the balancer counts of each target group, published to CloudWatch as AWS's balancer does each minute.

use super::{Balancer, Counts, Outcome};
use crate::services::caller::Caller;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What the balancer had counted, by target group and outcome.
type Counted = BTreeMap<(String, Outcome), u64>;

impl Balancer {
    /// Publishes from now on, for periods of so many seconds. `load_balancer` is the ARN that its groups belong to.
    pub(crate) fn publish(&mut self, period_secs: u32, caller: Caller, load_balancer: String) {
        self.tasks.spawn(publish(i64::from(period_secs.max(1)), self.counts.clone(), caller, load_balancer));
    }
}

async fn publish(period: i64, counts: Arc<Counts>, caller: Caller, load_balancer: String) {
    let mut before = counts.read();
    loop {
        let start = Timestamp::now().as_second().div_euclid(period) * period;
        let end = Timestamp::from_second(start + period).unwrap_or_default();
        tokio::time::sleep(Duration::try_from(end.duration_since(Timestamp::now())).unwrap_or_default()).await;
        let after = counts.read();
        let data = data(&before, &after, &counts.take_times(), start, &load_balancer);
        before = after;
        if !data.is_empty()
            && let Err(error) = caller.put_metrics("AWS/ApplicationELB", data).await
        {
            tracing::warn!(%error, "the balancer's figures were not published");
        }
    }
}

/// So many times of a period are published: percentiles are near, and the emulator stays quick.
const SAMPLE: usize = 20;

/// What was counted in between: requests that reached a group, its targets' answers, and how long these took. A code
/// without one is absent.
fn data(
    before: &Counted,
    after: &Counted,
    times: &BTreeMap<String, Vec<Duration>>,
    start: i64,
    load_balancer: &str,
) -> Vec<Value> {
    let mut sums: BTreeMap<(&str, String), u64> = BTreeMap::new();
    for (key, count) in after {
        let more = count - before.get(key).copied().unwrap_or_default();
        let (group, outcome) = key;
        if more == 0 || *outcome == Outcome::NoTarget {
            continue;
        }
        *sums.entry((group, "RequestCount".to_owned())).or_default() += more;
        if let Outcome::Target(class) = outcome {
            *sums.entry((group, format!("HTTPCode_Target_{class}XX_Count"))).or_default() += more;
        }
    }
    let dimension = |name: &str, value: &str| json!({"Name": name, "Value": value});
    let balancer = load_balancer.split_once(":loadbalancer/").map_or(load_balancer, |(_, name)| name);
    let dimensions = |group: &str| {
        let group = group.rsplit_once(':').map_or(group, |(_, name)| name);
        [dimension("LoadBalancer", balancer), dimension("TargetGroup", group)]
    };
    let counted = sums.into_iter().map(|((group, name), sum)| {
        let dimensions = dimensions(group);
        json!({"MetricName": name, "Dimensions": dimensions, "Timestamp": start, "Value": sum, "Unit": "Count"})
    });
    let took = times.iter().map(|(group, times)| {
        let last = times.len().saturating_sub(1);
        let sample = (1..=SAMPLE.min(times.len())).map(|n| times[last * n / SAMPLE.min(times.len())].as_secs_f64());
        json!({"MetricName": "TargetResponseTime", "Dimensions": dimensions(group), "Timestamp": start,
            "Values": sample.collect::<Vec<_>>(), "Unit": "Seconds"})
    });
    counted.chain(took).collect()
}
