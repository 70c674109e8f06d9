//! EventBridge: events matched against the rules of infra/*.yaml, and delivered to their targets.

use crate::services::caller::{Alarm, Caller};
use crate::services::lambda::Lambda;
use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tagship_cloud::gateway::{Call, Gateway, Reply};
use tagship_cloud::service::{Answer, Service, ServiceError};
use tagship_emulator::rule::{Input, On, Rule, Target};
use tokio::sync::broadcast;
use tokio::task::JoinSet;

/// How many events a slow listener may lag behind.
const LISTENER_EVENTS_MAX: usize = 4_096;

/// Starts a pipeline that an event is to start, with the target's input.
pub type StartPipeline = Arc<dyn Fn(&str, &str, &str) + Send + Sync>;

/// How often an event reaches a rule's targets: usually once; 0 loses it, 2 duplicates it.
pub type Deliveries = Arc<dyn Fn(&Rule, &Value) -> usize + Send + Sync>;

/// What the bus needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The account's id.
    pub account: String,
    /// The Region's name.
    pub region: String,
    /// The gateway's URL: SNS is behind it.
    pub endpoint_url: String,
    /// The rules of the account; those of stacks come and go.
    pub rules: Vec<Rule>,
    /// How often a scheduled rule is set off, instead of its own rate.
    pub schedule: Option<Duration>,
}

/// The event bus. Its schedules stop when the last clone is dropped.
#[derive(Clone)]
pub struct Events {
    shared: Arc<Shared>,
}

struct Shared {
    account: String,
    region: String,
    /// The account's.
    own: Vec<Rule>,
    /// All of them.
    rules: RwLock<Arc<Vec<Rule>>>,
    lambda: Lambda,
    sns: Caller,
    start_pipeline: RwLock<Option<StartPipeline>>,
    deliveries: RwLock<Option<Deliveries>>,
    listeners: broadcast::Sender<Arc<Value>>,
    tasks: Mutex<JoinSet<()>>,
    /// Each alarm's state as it was seen last.
    alarms: tokio::sync::Mutex<BTreeMap<String, String>>,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").field("rules", &self.shared.rules().len()).finish_non_exhaustive()
    }
}

impl Events {
    /// Takes events from now on.
    pub fn start(config: Config, lambda: Lambda) -> Self {
        let shared = Arc::new(Shared {
            sns: Caller::new(&config.endpoint_url, &config.region, "events"),
            account: config.account,
            region: config.region,
            rules: RwLock::new(Arc::new(config.rules.clone())),
            own: config.rules,
            lambda,
            start_pipeline: RwLock::default(),
            deliveries: RwLock::default(),
            listeners: broadcast::channel(LISTENER_EVENTS_MAX).0,
            tasks: Mutex::default(),
            alarms: tokio::sync::Mutex::default(),
        });
        for rule in &shared.own {
            if let On::Every(rate) = rule.on {
                let (weak, rule) = (Arc::downgrade(&shared), rule.clone());
                let rate = config.schedule.unwrap_or(rate);
                shared.spawn(async move {
                    loop {
                        tokio::time::sleep(rate).await;
                        let Some(shared) = weak.upgrade() else { return };
                        let event = shared.event("aws.events", "Scheduled Event", json!([rule.arn]), json!({}));
                        shared.deliver(&rule, &event);
                    }
                });
            }
        }
        Self { shared }
    }

    /// Has these rules from now on beside the account's own. Time sets none of them off.
    pub fn keep(&self, rules: Vec<Rule>) {
        let all = self.shared.own.iter().cloned().chain(rules).collect();
        *self.shared.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(all);
    }

    /// Says how pipelines are started.
    pub fn on_pipeline(&self, start: StartPipeline) {
        *self.shared.start_pipeline.write().unwrap_or_else(PoisonError::into_inner) = Some(start);
    }

    /// Says how often events reach targets, to lose or duplicate some.
    pub fn set_deliveries(&self, deliveries: Deliveries) {
        *self.shared.deliveries.write().unwrap_or_else(PoisonError::into_inner) = Some(deliveries);
    }

    /// All events from now on.
    pub fn listen(&self) -> broadcast::Receiver<Arc<Value>> {
        self.shared.listeners.subscribe()
    }

    /// Takes an event in: rules that match have their targets called.
    pub fn emit(&self, event: Value) {
        let event = Arc::new(event);
        // Nobody may be listening.
        let _ = self.shared.listeners.send(Arc::clone(&event));
        for rule in self.shared.rules().iter() {
            if matches!(&rule.on, On::Event(pattern) if pattern.matches(&event)) {
                self.shared.deliver(rule, &event);
            }
        }
    }

    /// Makes an event of each upload that passes the gateway, as S3 does.
    pub fn watch_uploads(&self, gateway: &Gateway) {
        for operation in ["PutObject", "CompleteMultipartUpload", "CopyObject"] {
            let weak = Arc::downgrade(&self.shared);
            gateway.on_success("s3", operation, move |call, reply| {
                if let Some(shared) = weak.upgrade()
                    && let Some(event) = shared.object_created(call, reply)
                {
                    Self { shared }.emit(event);
                }
            });
        }
    }

    /// Makes an event of each change of an alarm's state, as CloudWatch does.
    pub fn watch_alarms(&self, gateway: &Gateway) {
        for operation in ["PutMetricAlarm", "PutCompositeAlarm", "SetAlarmState", "PutMetricData"] {
            let weak = Arc::downgrade(&self.shared);
            gateway.on_success("monitoring", operation, move |_, _| {
                if let Some(shared) = weak.upgrade() {
                    let events = Self { shared: Arc::clone(&shared) };
                    shared.spawn(async move { events.alarms_changed().await });
                }
            });
        }
    }

    /// Looks at all alarms, and tells of those whose state isn't the one seen before.
    async fn alarms_changed(&self) {
        // One look after the other: an older one doesn't overtake a newer.
        let mut states = self.shared.alarms.lock().await;
        let alarms = match self.shared.sns.alarms().await {
            Ok(alarms) => alarms,
            Err(error) => return tracing::warn!(%error, "the alarms can't be read"),
        };
        for Alarm { name, arn, state, reason } in alarms {
            let before = states.insert(name.clone(), state.clone());
            if before.as_ref() != Some(&state) {
                let previous = json!({"value": before.as_deref().unwrap_or("INSUFFICIENT_DATA")});
                let detail = json!({
                    "alarmName": name,
                    "state": {"value": state, "reason": reason, "timestamp": Timestamp::now().to_string()},
                    "previousState": previous,
                });
                let event = self.shared.event("aws.cloudwatch", "CloudWatch Alarm State Change", json!([arn]), detail);
                self.emit(event);
            }
        }
    }

    fn rules(&self, prefix: &str) -> Value {
        let rules = self.shared.rules();
        let rules = rules.iter().filter(|rule| rule.name.starts_with(prefix)).map(|rule| {
            let mut told = json!({"Name": rule.name, "Arn": rule.arn, "State": "ENABLED"});
            match &rule.on {
                On::Event(_) => told["EventPattern"] = rule.pattern.to_string().into(),
                On::Every(rate) => told["ScheduleExpression"] = format!("rate({} minutes)", rate.as_secs() / 60).into(),
            }
            told
        });
        json!({"Rules": rules.collect::<Vec<_>>()})
    }

    fn targets(&self, name: &str) -> Result<Value, ServiceError> {
        let rules = self.shared.rules();
        let rule = rules.iter().find(|rule| rule.name == name).ok_or_else(|| {
            ServiceError::client(
                "ResourceNotFoundException",
                format!("Rule {name} does not exist on EventBus default."),
            )
        })?;
        let targets = rule.targets.iter().map(|target| {
            let mut told = json!({"Id": target.id, "Arn": target.arn});
            match &target.input {
                Input::Event | Input::Path(_) => {}
                Input::Constant(text) => told["Input"] = text.as_str().into(),
                Input::Transformer { template, .. } => told["InputTransformer"] = json!({"InputTemplate": template}),
            }
            told
        });
        Ok(json!({"Targets": targets.collect::<Vec<_>>()}))
    }

    fn put(&self, request: PutEvents) -> Value {
        let mut failed = 0;
        let mut entries = Vec::new();
        for entry in request.entries {
            match serde_json::from_str::<Value>(&entry.detail) {
                Ok(detail) if detail.is_object() => {
                    let resources = json!(entry.resources);
                    let event = self.shared.event(&entry.source, &entry.detail_type, resources, detail);
                    entries.push(json!({"EventId": event["id"]}));
                    self.emit(event);
                }
                _ => {
                    failed += 1;
                    entries.push(json!({"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}));
                }
            }
        }
        json!({"FailedEntryCount": failed, "Entries": entries})
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutEvents {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    source: String,
    detail_type: String,
    detail: String,
    #[serde(default)]
    resources: Vec<String>,
}

impl Service for Events {
    fn call<'a>(&'a self, _caller: &'a str, operation: &'a str, body: Value) -> Answer<'a> {
        Box::pin(async move {
            match operation {
                "ListRules" => return Ok(self.rules(body["NamePrefix"].as_str().unwrap_or_default())),
                "ListTargetsByRule" => return self.targets(body["Rule"].as_str().unwrap_or_default()),
                "PutEvents" => {}
                other => return Err(ServiceError::unknown(other)),
            }
            let request: PutEvents = serde_json::from_value(body)
                .map_err(|error| ServiceError::client("ValidationException", error.to_string()))?;
            if !(1..=10).contains(&request.entries.len()) {
                return Err(ServiceError::client("ValidationException", "Entries has 1 to 10 members"));
            }
            Ok(self.put(request))
        })
    }
}

impl Shared {
    fn rules(&self) -> Arc<Vec<Rule>> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    fn event(&self, source: &str, detail_type: &str, resources: Value, detail: Value) -> Value {
        json!({
            "version": "0",
            "id": uuid::Uuid::new_v4().to_string(),
            "detail-type": detail_type,
            "source": source,
            "account": self.account,
            "time": format!("{:.0}", Timestamp::now()),
            "region": self.region,
            "resources": resources,
            "detail": detail,
        })
    }

    fn object_created(&self, call: &Call, reply: &Reply) -> Option<Value> {
        let (bucket, key) = call.bucket_and_key()?;
        let object = json!({
            "key": key,
            "size": call.body.len(),
            "etag": reply.header("etag").unwrap_or_default().trim_matches('"'),
            "version-id": reply.header("x-amz-version-id"),
        });
        let detail = json!({
            "version": "0",
            "bucket": {"name": bucket},
            "object": object,
            "requester": self.account,
            "reason": call.operation,
        });
        Some(self.event("aws.s3", "Object Created", json!([format!("arn:aws:s3:::{bucket}")]), detail))
    }

    fn deliver(&self, rule: &Rule, event: &Value) {
        let deliveries = self.deliveries.read().unwrap_or_else(PoisonError::into_inner).clone();
        let times = deliveries.map_or(1, |deliveries| deliveries(rule, event));
        for target in (0..times).flat_map(|_| &rule.targets) {
            self.call(rule, target, target.input.of(event, rule));
        }
    }

    fn call(&self, rule: &Rule, target: &Target, input: String) {
        let service = target.arn.split(':').nth(2).unwrap_or_default();
        let called = match service {
            "lambda" => self.lambda.invoke_event(&target.arn, Bytes::from(input)),
            "sns" => {
                let (sns, topic) = (self.sns.clone(), target.arn.clone());
                self.spawn(async move {
                    if let Err(error) = sns.publish(&topic, None, &input).await {
                        tracing::warn!(topic, %error, "an event was not published");
                    }
                });
                true
            }
            "codepipeline" => {
                let start = self.start_pipeline.read().unwrap_or_else(PoisonError::into_inner).clone();
                let name = target.arn.rsplit(':').next().unwrap_or_default();
                start.inspect(|start| start(name, &input, &rule.arn)).is_some()
            }
            _ => false,
        };
        if !called {
            tracing::warn!(rule = rule.name, target = target.arn, "the target of a rule is not there");
        }
    }
}
