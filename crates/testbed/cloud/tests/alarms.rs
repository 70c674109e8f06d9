//! Metric alarms: the state that the last periods' figures give.

use jiff::Timestamp;
use serde_json::{Value, json};
use tagship_cloud::gateway::Gateway;
use tagship_cloud::moto::Moto;

/// An hour, so that no period ends while a test runs.
const PERIOD: i64 = 3_600;

/// Requests and errors of an hour; none where CloudWatch has no figures.
type Hour = Option<(u32, u32)>;

struct Cloud {
    gateway: Gateway,
    http: reqwest::Client,
    _moto: Moto,
}

impl Cloud {
    async fn start() -> Self {
        let moto = Moto::start().await.unwrap_or_else(|error| panic!("{error}"));
        let gateway = Gateway::start(moto.address()).await.expect("a gateway");
        Self { gateway, http: reqwest::Client::new(), _moto: moto }
    }

    async fn call(&self, operation: &str, body: Value) -> (u16, String) {
        let signature = "AWS4-HMAC-SHA256 Credential=ops/20260101/us-east-1/monitoring/aws4_request, SignedHeaders=host, Signature=0";
        let request = self
            .http
            .post(self.gateway.url())
            .header("authorization", signature)
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("GraniteServiceVersion20100801.{operation}"));
        let response = request.body(body.to_string()).send().await.expect("an answer");
        (response.status().as_u16(), response.text().await.expect("a body"))
    }

    /// An alarm on the worse of two groups' share of errors, like that of infra/service.yaml; the older hour comes first.
    async fn check(&self, name: &str, missing: &str, hours: [[Hour; 2]; 2], want: &str) {
        let metric = |id: &str, metric: &str, group: &str| {
            let dimensions = json!([{"Name": "TargetGroup", "Value": format!("{name}-{group}")}]);
            let metric = json!({"Namespace": "Shop", "MetricName": metric, "Dimensions": dimensions});
            json!({"Id": format!("{id}{group}"), "ReturnData": false,
                "MetricStat": {"Metric": metric, "Period": PERIOD, "Stat": "Sum"}})
        };
        let math = |id: &str, text: &str, returned: bool| json!({"Id": id, "Expression": text, "ReturnData": returned});
        let alarm = json!({
            "AlarmName": name, "ComparisonOperator": "GreaterThanThreshold", "Threshold": 5.0, "EvaluationPeriods": 2,
            "DatapointsToAlarm": 1, "TreatMissingData": missing,
            "Metrics": [
                metric("requests", "Requests", "A"), metric("errors", "Errors", "A"),
                metric("requests", "Requests", "B"), metric("errors", "Errors", "B"),
                math("worst", "MAX([percentA, percentB])", true),
                math("percentA", "100 * FILL(errorsA, 0) / requestsA", false),
                math("percentB", "100 * FILL(errorsB, 0) / requestsB", false),
            ],
        });
        let (status, answer) = self.call("PutMetricAlarm", alarm).await;
        assert_eq!(status, 200, "{answer}");
        let ended = Timestamp::now().as_second() / PERIOD * PERIOD;
        let mut data = vec![json!({"MetricName": "Other", "Value": 1})];
        for (ago, groups) in [2, 1].into_iter().zip(hours) {
            for (group, figures) in ["A", "B"].into_iter().zip(groups) {
                let Some((requests, errors)) = figures else { continue };
                for (metric, value) in [("Requests", requests), ("Errors", errors)] {
                    if value > 0 {
                        let dimensions = json!([{"Name": "TargetGroup", "Value": format!("{name}-{group}")}]);
                        data.push(json!({"MetricName": metric, "Dimensions": dimensions, "Value": value,
                            "Timestamp": ended - ago * PERIOD}));
                    }
                }
            }
        }
        let (status, answer) = self.call("PutMetricData", json!({"Namespace": "Shop", "MetricData": data})).await;
        assert_eq!(status, 200, "{answer}");
        let (_, found) = self.call("DescribeAlarms", json!({"AlarmNames": [name]})).await;
        let found: Value = serde_json::from_str(&found).expect("JSON");
        assert_eq!(found["MetricAlarms"][0]["StateValue"], want, "{name}: {found}");
    }
}

#[tokio::test]
async fn an_alarm_rings_by_its_figures() {
    let cloud = Cloud::start().await;
    let (well, ill) = (Some((100, 5)), Some((100, 6)));
    cloud.check("well", "missing", [[well, well], [well, well]], "OK").await;
    cloud.check("one-group", "missing", [[well, well], [well, ill]], "ALARM").await;
    cloud.check("an-hour-ago", "missing", [[ill, well], [well, well]], "ALARM").await;
    // All requests of the one group are few beside the other's.
    cloud.check("few", "missing", [[well, well], [Some((100_000, 0)), Some((3, 3))]], "ALARM").await;
    cloud.check("half", "missing", [[None, None], [well, None]], "OK").await;
    cloud.check("silent", "missing", [[None, None], [None, None]], "INSUFFICIENT_DATA").await;
    cloud.check("silence-is-well", "notBreaching", [[None, None], [None, None]], "OK").await;
    cloud.check("silence-is-ill", "breaching", [[None, None], [None, None]], "ALARM").await;
}

#[tokio::test]
async fn math_that_is_not_played_is_refused() {
    let cloud = Cloud::start().await;
    let check = async |expression: &str, want: &str| {
        let math = json!({"Id": "m", "Expression": expression});
        let alarm = json!({"AlarmName": "a", "ComparisonOperator": "GreaterThanThreshold", "Threshold": 1.0,
            "EvaluationPeriods": 1, "Metrics": [math]});
        let (status, answer) = cloud.call("PutMetricAlarm", alarm).await;
        assert!(status == 400 && answer.contains(want), "{expression}: {status} {answer}");
    };
    check("ANOMALY_DETECTION_BAND(a, 2)", "ANOMALY_DETECTION_BAND").await;
    check("a +", "invalid syntax").await;
}
