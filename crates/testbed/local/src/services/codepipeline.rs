//! CodePipeline: its API over the engine of crates/testbed/emulator, and what the engine wants done.

mod api;
mod view;

use crate::services::caller::{CallError, Caller};
use crate::services::events::Events;
use crate::services::lambda::Lambda;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tagship_emulator::change::Origin;
use tagship_emulator::effect::{Approval, Effect, Fetch, Job};
use tagship_emulator::engine::{Engine, Timings};
use tagship_emulator::execution::{Artifact, Override, Revision, Trigger};
use tagship_emulator::pipeline::{Id, Pipeline};
use tagship_emulator::refusal::Refusal;
use tagship_emulator::report::Failure;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// The secret in every job's event. Who finds it anywhere else has found a leak.
pub const ARTIFACT_SECRET: &str = "secret-of-the-artifact-store";

/// What CodePipeline needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The account's id.
    pub account: String,
    /// The Region's name.
    pub region: String,
    /// The gateway's URL: S3 and SNS are behind it.
    pub endpoint_url: String,
    /// How long it waits.
    pub timings: Timings,
}

/// CodePipeline. It stops when the last clone is dropped.
#[derive(Clone)]
pub struct CodePipeline {
    shared: Arc<Shared>,
}

struct Shared {
    account: String,
    region: String,
    timings: Timings,
    aws: Caller,
    lambda: Lambda,
    events: Events,
    lines: Mutex<BTreeMap<String, Line>>,
    /// Something became due earlier.
    changed: Arc<Notify>,
    tasks: Mutex<JoinSet<()>>,
}

/// One pipeline at work.
struct Line {
    engine: Engine<fn() -> Id>,
    origin: Origin,
    created: Timestamp,
    /// Which execution each request to start one has started.
    started: BTreeMap<String, Id>,
}

impl std::fmt::Debug for CodePipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.shared.lines().keys().cloned().collect();
        f.debug_struct("CodePipeline").field("pipelines", &names).finish_non_exhaustive()
    }
}

fn new_id() -> Id {
    uuid::Uuid::new_v4().to_string().into()
}

impl CodePipeline {
    /// Has no pipeline yet; lets `events` start those that come.
    pub fn start(config: Config, lambda: Lambda, events: Events) -> Self {
        let shared = Arc::new(Shared {
            aws: Caller::new(&config.endpoint_url, &config.region, "codepipeline"),
            lines: Mutex::default(),
            account: config.account,
            region: config.region,
            timings: config.timings,
            lambda,
            events,
            changed: Arc::default(),
            tasks: Mutex::default(),
        });
        shared.spawn(keep_time(Arc::downgrade(&shared)));
        let weak = Arc::downgrade(&shared);
        shared.events.on_pipeline(Arc::new(move |name, input, rule| {
            if let Some(shared) = weak.upgrade() {
                shared.start_by_event(name, input, rule);
            }
        }));
        Self { shared }
    }

    /// Runs these pipelines from now on and no others; answers the names of those that are new. One that is there already
    /// goes on as it is, unless its structure is another: that cancels its executions, as on AWS, and its past is
    /// forgotten, which AWS doesn't.
    pub fn keep(&self, pipelines: Vec<Pipeline>) -> Vec<String> {
        let now = Timestamp::now();
        let there: Vec<String> = self.shared.lines().keys().cloned().collect();
        let names = pipelines.iter().map(|pipeline| pipeline.name.to_string());
        let new = names.filter(|name| !there.contains(name)).collect();
        for name in there {
            let stays = self.look(&name, |engine| pipelines.contains(engine.pipeline()));
            if stays != Some(true) {
                self.shared.with(&name, |line| line.cancel(now));
                self.shared.lines().remove(&name);
            }
        }
        for pipeline in pipelines {
            let mut lines = self.shared.lines();
            lines.entry(pipeline.name.to_string()).or_insert_with(|| self.shared.line(pipeline, now));
        }
        new
    }

    /// What AWS does by itself once a pipeline has been created: it runs it. Before the first upload, this fails.
    pub fn created(&self, pipeline: &str) {
        let detail = format!("arn:aws:iam::{}:user/ops", self.shared.account);
        let begun = self.shared.begin(pipeline, Trigger { kind: "CreatePipeline", detail }, BTreeMap::new());
        if let Some(Err(refusal)) = begun {
            tracing::warn!(pipeline, %refusal, "a new pipeline doesn't run");
        }
    }

    /// Looks at a pipeline's engine; `None` if there is no such pipeline.
    pub fn look<T>(&self, pipeline: &str, look: impl FnOnce(&Engine<fn() -> Id>) -> T) -> Option<T> {
        self.shared.lines().get(pipeline).map(|line| look(&line.engine))
    }
}

impl Line {
    /// Cancels what is under way.
    fn cancel(&mut self, now: Timestamp) {
        let executions = self.engine.executions().iter();
        let running: Vec<Id> = executions.filter(|it| !it.status.ended()).map(|it| it.id.clone()).collect();
        for id in running {
            // It ends here at the latest.
            let _ = self.engine.cancel(now, &id);
        }
    }
}

/// Ticks the engines when something is due.
async fn keep_time(shared: Weak<Shared>) {
    loop {
        let Some(strong) = shared.upgrade() else { return };
        let now = Timestamp::now();
        let names: Vec<String> = strong.lines().keys().cloned().collect();
        let due = |name: &String| strong.lines().get(name).and_then(|line| line.engine.due());
        for name in &names {
            if due(name).is_some_and(|due| due <= now) {
                strong.with(name, |line| line.engine.tick(now));
            }
        }
        let wait = names.iter().filter_map(due).min().map_or(Duration::from_secs(3_600), |due| {
            Duration::try_from(due.duration_since(Timestamp::now())).unwrap_or_default()
        });
        let changed = Arc::clone(&strong.changed);
        drop(strong);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = changed.notified() => {}
        }
    }
}

impl Shared {
    fn lines(&self) -> MutexGuard<'_, BTreeMap<String, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// A pipeline that has never run.
    fn line(&self, pipeline: Pipeline, now: Timestamp) -> Line {
        let (account, region, name) = (self.account.clone(), self.region.clone(), pipeline.name.clone());
        let engine = Engine::new(pipeline, self.timings, new_id as fn() -> Id);
        Line { engine, origin: Origin { account, region, pipeline: name }, created: now, started: BTreeMap::new() }
    }

    /// Does something to a pipeline, and then what its engine wants; `None` if there is none.
    fn with<T>(self: &Arc<Self>, pipeline: &str, act: impl FnOnce(&mut Line) -> T) -> Option<T> {
        let mut lines = self.lines();
        let line = lines.get_mut(pipeline)?;
        let result = act(line);
        let effects = line.engine.effects();
        // None of this waits, so the events of a pipeline are emitted in order.
        for effect in effects {
            match effect {
                Effect::Changed(change) => {
                    self.events.emit(change.event(&line.origin, &new_id()));
                }
                Effect::Invoke(job) => self.invoke(line, job),
                Effect::Fetch(fetch) => {
                    let shared = Arc::downgrade(self);
                    let pipeline = pipeline.to_owned();
                    let bucket = line.engine.pipeline().artifact_bucket.clone();
                    let aws = self.aws.clone();
                    self.spawn(async move {
                        let job = fetch.job.clone();
                        let fetched = copy(&aws, &pipeline, bucket, fetch).await;
                        if let Some(shared) = shared.upgrade() {
                            shared.fetched(&pipeline, &job, fetched);
                        }
                    });
                }
                Effect::Ask(approval) => self.ask(&line.origin.pipeline, &approval),
            }
        }
        drop(lines);
        self.changed.notify_one();
        Some(result)
    }

    /// Reports how a source action went.
    fn fetched(self: &Arc<Self>, pipeline: &str, job: &str, fetched: Result<(Revision, Artifact), String>) {
        let now = Timestamp::now();
        let reported = self.with(pipeline, |line| match fetched {
            Ok((revision, artifact)) => line.engine.fetched(now, job, revision, artifact),
            Err(message) => {
                let failure = Failure { kind: "ConfigurationError".into(), message, external_id: None };
                line.engine.job_failed(now, job, failure)
            }
        });
        if let Some(Err(refusal)) = reported {
            // Stopped meanwhile.
            tracing::debug!(pipeline, %refusal, "a source action's result came too late");
        }
    }

    /// Starts a pipeline because of an event, with the source revisions of the target's input.
    fn start_by_event(self: &Arc<Self>, pipeline: &str, input: &str, rule: &str) {
        let overrides = api::overrides_of(input).unwrap_or_else(|error| {
            tracing::warn!(pipeline, %error, "an event's input is not what StartPipelineExecution takes");
            BTreeMap::new()
        });
        let trigger = Trigger { kind: "CloudWatchEvent", detail: rule.to_owned() };
        let (shared, pipeline) = (Arc::downgrade(self), pipeline.to_owned());
        // A task, for events are also emitted while a pipeline is locked.
        self.spawn(async move {
            let Some(shared) = shared.upgrade() else { return };
            match shared.begin(&pipeline, trigger, overrides) {
                Some(Ok(_)) => {}
                Some(Err(refusal)) => tracing::warn!(pipeline, %refusal, "an event started nothing"),
                None => tracing::warn!(pipeline, "an event started nothing: no such pipeline"),
            }
        });
    }

    fn begin(
        self: &Arc<Self>,
        pipeline: &str,
        trigger: Trigger,
        overrides: BTreeMap<String, Override>,
    ) -> Option<Result<Id, Refusal>> {
        let now = Timestamp::now();
        self.with(pipeline, |line| line.engine.start(now, trigger, overrides))
    }

    /// Sends a job to its function, in the shape in which CodePipeline sends it.
    fn invoke(&self, line: &Line, job: Job) {
        let artifacts = job.inputs.iter().map(|artifact| {
            json!({
                "location": {
                    "s3Location": {"bucketName": artifact.bucket, "objectKey": artifact.key},
                    "type": "S3",
                },
                "revision": artifact.revision,
                "name": artifact.name,
            })
        });
        let mut data = json!({
            "actionConfiguration": {"configuration": job.configuration},
            "inputArtifacts": artifacts.collect::<Vec<_>>(),
            "outputArtifacts": [],
            "artifactCredentials": {
                "accessKeyId": "codepipeline-artifacts",
                "secretAccessKey": ARTIFACT_SECRET,
                "sessionToken": ARTIFACT_SECRET,
                "expirationTime": Timestamp::now().as_millisecond() + 3_600_000,
            },
        });
        if let Some(token) = &job.continuation {
            data["continuationToken"] = json!(token);
        }
        let event = json!({"CodePipeline.job": {"id": &*job.id, "accountId": self.account, "data": data}});
        let function = job.configuration.get("FunctionName").map_or("", String::as_str);
        if !self.lambda.invoke_event(function, Bytes::from(event.to_string())) {
            // As on AWS, nobody replies then, and the action fails of silence.
            tracing::warn!(pipeline = &*line.origin.pipeline, function, "an action's function is not there");
        }
    }

    /// Tells people of an approval, in the shape in which CodePipeline tells them.
    fn ask(&self, pipeline: &str, approval: &Approval) {
        let Some(topic) = approval.configuration.get("NotificationArn").cloned() else { return };
        let region = &self.region;
        let link =
            format!("https://console.aws.amazon.com/codesuite/codepipeline/pipelines/{pipeline}/view?region={region}");
        let text = |key: &str| approval.configuration.get(key);
        let message = json!({
            "region": region,
            "consoleLink": link,
            "approval": {
                "pipelineName": pipeline,
                "stageName": &*approval.stage,
                "actionName": &*approval.action,
                "token": &*approval.token,
                "expires": approval.until.strftime("%Y-%m-%dT%H:%MZ").to_string(),
                "externalEntityLink": text("ExternalEntityLink"),
                "approvalReviewLink": format!("{link}#/{}/{}/approve/{}", approval.stage, approval.action, approval.token),
                "customData": text("CustomData"),
            },
        });
        let subject = format!("APPROVAL NEEDED: AWS CodePipeline {pipeline} for action {}", approval.action);
        let subject: String = subject.chars().take(99).collect();
        let aws = self.aws.clone();
        self.spawn(async move {
            if let Err(error) = aws.publish(&topic, Some(&subject), &message.to_string()).await {
                tracing::warn!(topic, %error, "an approval was not published");
            }
        });
    }
}

/// Copies a source object to the artifact bucket, as the S3 source action does.
async fn copy(
    aws: &Caller,
    pipeline: &str,
    artifact_bucket: String,
    fetch: Fetch,
) -> Result<(Revision, Artifact), String> {
    let Fetch { bucket, key, version, artifact, .. } = fetch;
    let explain = |error: CallError| format!("s3://{bucket}/{key} (version {version:?}): {error}");
    let revision = aws.head_object(&bucket, &key, version.as_deref()).await.map_err(explain)?;
    if revision.version.is_empty() {
        return Err(format!("s3://{bucket}: the bucket of a source has to be versioned"));
    }
    let unique: String = new_id().chars().filter(char::is_ascii_alphanumeric).take(7).collect();
    let short = |name: &str, chars: usize| name.chars().take(chars).collect::<String>();
    let to_key = format!("{}/{}/{unique}", short(pipeline, 20), short(&artifact, 10));
    aws.copy_object((&bucket, &key, &revision.version), (&artifact_bucket, &to_key)).await.map_err(explain)?;
    let artifact =
        Artifact { name: artifact, bucket: artifact_bucket, key: to_key, revision: Some(revision.version.clone()) };
    Ok((revision, artifact))
}
