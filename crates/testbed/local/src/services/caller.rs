//! The few AWS calls that the services served here make themselves: as AWS's own services do, through
//! the gateway.

use reqwest::{Client, Response, StatusCode};
use tagship_emulator::execution::Revision;

/// One of our services as a caller of others.
#[derive(Clone, Debug)]
pub struct Caller {
    pub(crate) http: Client,
    pub(crate) endpoint_url: String,
    region: String,
    name: &'static str,
}

/// A CloudWatch alarm as it stands.
#[derive(Clone, Debug)]
pub struct Alarm {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// `OK`, `ALARM` or `INSUFFICIENT_DATA`.
    pub state: String,
    /// In CloudWatch's words.
    pub reason: String,
}

/// Why a call failed, for people.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No answer.
    #[error("no answer: {0}")]
    Http(#[from] reqwest::Error),
    /// An answer that is not the one hoped for.
    #[error("{status}: {body}")]
    Status {
        /// HTTP status.
        status: StatusCode,
        /// What AWS says.
        body: String,
    },
}

impl Caller {
    /// Calls through the gateway at `endpoint_url`, under the access key `name`.
    pub fn new(endpoint_url: &str, region: &str, name: &'static str) -> Self {
        Self { http: Client::new(), endpoint_url: endpoint_url.to_owned(), region: region.to_owned(), name }
    }

    /// The object's version (the newest if none is given).
    pub async fn head_object(&self, bucket: &str, key: &str, version: Option<&str>) -> Result<Revision, CallError> {
        let mut request = self.http.head(self.object(bucket, key));
        if let Some(version) = version {
            request = request.query(&[("versionId", version)]);
        }
        let response = self.send(request, "s3").await?;
        let header = |name: &str| {
            let value = response.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().trim_matches('"').to_owned()
        };
        let summary = Some(header("x-amz-meta-codepipeline-artifact-revision-summary")).filter(|it| !it.is_empty());
        Ok(Revision { version: header("x-amz-version-id"), etag: header("etag"), summary })
    }

    /// Copies a version of an object.
    pub async fn copy_object(
        &self,
        (bucket, key, version): (&str, &str, &str),
        (to_bucket, to_key): (&str, &str),
    ) -> Result<(), CallError> {
        let source = self.object(bucket, key);
        let request = self
            .http
            .put(self.object(to_bucket, to_key))
            .header("content-length", 0)
            .header("x-amz-copy-source", format!("{}?versionId={version}", source.path()));
        self.send(request, "s3").await.map(drop)
    }

    /// Every alarm as it stands.
    pub async fn alarms(&self) -> Result<Vec<Alarm>, CallError> {
        let target = ("x-amz-target", "GraniteServiceVersion20100801.DescribeAlarms");
        let body = serde_json::json!({"AlarmTypes": ["MetricAlarm", "CompositeAlarm"]}).to_string();
        let request = self.http.post(&self.endpoint_url).header(target.0, target.1);
        let request = request.header("content-type", "application/x-amz-json-1.0").body(body);
        let found: serde_json::Value = self.send(request, "monitoring").await?.json().await?;
        let alarms =
            ["MetricAlarms", "CompositeAlarms"].into_iter().filter_map(|kind| found[kind].as_array()).flatten();
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let read = |alarm: &serde_json::Value| Alarm {
            name: text(&alarm["AlarmName"]),
            arn: text(&alarm["AlarmArn"]),
            state: text(&alarm["StateValue"]),
            reason: text(&alarm["StateReason"]),
        };
        Ok(alarms.map(read).collect())
    }

    /// Publishes metrics.
    pub async fn put_metrics(&self, namespace: &str, data: Vec<serde_json::Value>) -> Result<(), CallError> {
        let target = ("x-amz-target", "GraniteServiceVersion20100801.PutMetricData");
        let body = serde_json::json!({"Namespace": namespace, "MetricData": data}).to_string();
        let request = self.http.post(&self.endpoint_url).header(target.0, target.1);
        let request = request.header("content-type", "application/x-amz-json-1.0").body(body);
        self.send(request, "monitoring").await.map(drop)
    }

    /// Publishes to an SNS topic.
    pub async fn publish(&self, topic: &str, subject: Option<&str>, message: &str) -> Result<(), CallError> {
        let mut form =
            vec![("Action", "Publish"), ("Version", "2010-03-31"), ("TopicArn", topic), ("Message", message)];
        form.extend(subject.map(|subject| ("Subject", subject)));
        let request = self.http.post(&self.endpoint_url).form(&form);
        self.send(request, "sns").await.map(drop)
    }

    /// Sends a request under the caller's key; any answer but a success is an error.
    pub(crate) async fn send(&self, request: reqwest::RequestBuilder, service: &str) -> Result<Response, CallError> {
        let Self { name, region, .. } = self;
        // The gateway reads the scope; nobody checks the signature.
        let scope = format!("{name}/20000101/{region}/{service}/aws4_request");
        let signed = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0");
        let response = request.header("authorization", signed).send().await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        Err(CallError::Status { status, body: response.text().await? })
    }

    fn object(&self, bucket: &str, key: &str) -> reqwest::Url {
        let mut url: reqwest::Url = self.endpoint_url.parse().expect("the gateway's own address");
        url.path_segments_mut().expect("an http address").push(bucket).extend(key.split('/'));
        url
    }
}
