//! Lambda: functions as processes that speak the Runtime API, killed at their time-out, their
//! asynchronous invocations retried.

mod logs;
mod sandbox;

use bytes::Bytes;
use jiff::Timestamp;
pub use logs::Logs;
use sandbox::{Invocation, Sandbox};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tagship_cloud::service::{Answer, Service, ServiceError};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How long a process may take to ask for work first, as on Lambda.
const INIT_TIMEOUT: Duration = Duration::from_secs(10);

/// All configured variables together, in bytes, as on Lambda.
const ENVIRONMENT_BYTES_MAX: usize = 4_096;

/// One function.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The program that is its process.
    pub program: PathBuf,
    /// The program's arguments; none for a real function.
    pub arguments: Vec<OsString>,
    /// The access key that its calls are signed with: what the gateway knows it by.
    pub caller: String,
    /// The configured variables.
    pub environment: BTreeMap<String, String>,
    /// When an invocation is killed.
    pub timeout: Duration,
    /// What its process is told of its memory; not enforced.
    pub memory_mib: u32,
    /// How long after a failure an asynchronous invocation is tried again: AWS waits 1 minute, then
    /// 2. As many entries as retries.
    pub retry_after: Vec<Duration>,
    /// The function that is told of what failed to the last; none where nobody is.
    pub on_failure: Option<String>,
}

/// Where the functions live.
#[derive(Clone, Debug)]
pub struct Config {
    /// The account's id.
    pub account: String,
    /// The Region's name.
    pub region: String,
    /// Where all AWS services are: the gateway.
    pub endpoint_url: String,
    /// Where each function's output goes, `<name>.log`.
    pub log_dir: PathBuf,
    /// The functions.
    pub functions: Vec<Function>,
}

/// An invocation's failure, as Lambda describes it: the payload of a function error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", String::from_utf8_lossy(.0))]
pub struct FunctionError(pub Bytes);

/// The host of the functions. When the last clone is dropped, their processes are killed.
#[derive(Clone, Debug)]
pub struct Lambda {
    entries: Arc<Entries>,
}

#[derive(Debug)]
struct Entries(BTreeMap<String, Arc<Entry>>);

impl Drop for Entries {
    fn drop(&mut self) {
        for entry in self.0.values() {
            // The tasks own the processes.
            entry.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
        }
    }
}

/// One function with its processes.
#[derive(Debug)]
struct Entry {
    arn: String,
    log: PathBuf,
    endpoint_url: String,
    region: String,
    state: Mutex<State>,
    tasks: Mutex<JoinSet<()>>,
}

#[derive(Debug)]
struct State {
    function: Arc<Function>,
    generation: u64,
    idle: Vec<Arc<Sandbox>>,
    /// Idle or at work.
    all: Vec<Weak<Sandbox>>,
}

impl Lambda {
    /// Makes the functions known. A process starts with the first invocation that needs it.
    pub fn start(config: Config) -> io::Result<Self> {
        std::fs::create_dir_all(&config.log_dir)?;
        let entry = |function: Function| {
            let Config { account, region, .. } = &config;
            let name = function.name.clone();
            let state = State { function: Arc::new(function), generation: 0, idle: Vec::new(), all: Vec::new() };
            let entry = Entry {
                arn: format!("arn:aws:lambda:{region}:{account}:function:{name}"),
                log: config.log_dir.join(format!("{name}.log")),
                endpoint_url: config.endpoint_url.clone(),
                region: region.clone(),
                state: Mutex::new(state),
                tasks: Mutex::default(),
            };
            (name, Arc::new(entry))
        };
        let entries = config.functions.clone().into_iter().map(entry);
        Ok(Self { entries: Arc::new(Entries(entries.collect())) })
    }

    /// Invokes a function and waits for its answer. `None`: there is no such function.
    pub async fn invoke(&self, name: &str, event: Bytes) -> Option<Result<Bytes, FunctionError>> {
        let entry = self.entry(name)?;
        Some(entry.run(&new_id(), event).await)
    }

    /// Invokes a function asynchronously: a failure is retried. `false`: there is no such function.
    pub fn invoke_event(&self, name: &str, event: Bytes) -> bool {
        let Some(entry) = self.entry(name) else { return false };
        let entry = Arc::clone(entry);
        let running = Arc::downgrade(&entry);
        let host = Arc::downgrade(&self.entries);
        let name = name.to_owned();
        entry.spawn(async move {
            let id = new_id();
            let mut failures = 0;
            // The host may be gone by the time of a retry.
            while let Some(entry) = running.upgrade() {
                let (function, _) = entry.function();
                let Err(error) = entry.run(&id, event.clone()).await else { return };
                let arn = entry.arn.clone();
                drop(entry);
                tracing::warn!(function = name, request = id, %error, "an invocation failed");
                failures += 1;
                let Some(&delay) = function.retry_after.get(failures - 1) else {
                    if let (Some(entries), Some(destination)) = (host.upgrade(), &function.on_failure) {
                        Self { entries }.invoke_event(destination, record(&id, &arn, failures, &event, &error));
                    }
                    return;
                };
                sleep(delay).await;
            }
        });
        true
    }

    /// Replaces a function's variables, as ops do who edit settings: all of them, for invocations
    /// from now on.
    pub fn set_environment(&self, name: &str, environment: BTreeMap<String, String>) -> Result<(), ServiceError> {
        let bytes: usize = environment.iter().map(|(key, value)| key.len() + value.len()).sum();
        if bytes > ENVIRONMENT_BYTES_MAX {
            let message = format!("the environment variables have {bytes} bytes of at most 4,096");
            return Err(ServiceError::client("InvalidParameterValueException", message));
        }
        let entry = self.entry(name).ok_or_else(|| not_found(name))?;
        let mut state = entry.state();
        let function = Function { environment, ..(*state.function).clone() };
        state.function = Arc::new(function);
        state.generation += 1;
        for sandbox in std::mem::take(&mut state.idle) {
            sandbox.kill();
        }
        Ok(())
    }

    /// The ids of a function's processes that wait for work.
    pub fn warm(&self, name: &str) -> Vec<u32> {
        let Some(entry) = self.entry(name) else { return Vec::new() };
        let state = entry.state();
        state.idle.iter().map(|sandbox| sandbox.process()).collect()
    }

    /// Kills every process of a function, whatever it is doing: what a machine's failure does to it.
    pub fn crash(&self, name: &str) {
        let Some(entry) = self.entry(name) else { return };
        for sandbox in std::mem::take(&mut entry.state().all).iter().filter_map(Weak::upgrade) {
            sandbox.kill();
        }
    }

    /// A function by its name or ARN.
    fn entry(&self, name: &str) -> Option<&Arc<Entry>> {
        self.entries.0.get(name.rsplit(':').next().unwrap_or(name))
    }
}

/// What the on-failure destination gets.
fn record(id: &str, arn: &str, count: usize, event: &[u8], error: &FunctionError) -> Bytes {
    let parsed = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap_or_default();
    let record = json!({
        "version": "1.0",
        "timestamp": Timestamp::now().to_string(),
        "requestContext": {
            "requestId": id,
            "functionArn": format!("{arn}:$LATEST"),
            "condition": "RetriesExhausted",
            "approximateInvokeCount": count,
        },
        "requestPayload": parsed(event),
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": parsed(&error.0),
    });
    record.to_string().into()
}

impl Entry {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The function as it is configured now, and which configuration that is.
    fn function(&self) -> (Arc<Function>, u64) {
        let state = self.state();
        (Arc::clone(&state.function), state.generation)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// A process asks for work and there is none: it is kept warm.
    fn free(&self, sandbox: &Arc<Sandbox>) {
        let mut state = self.state();
        if sandbox.generation == state.generation {
            state.idle.push(Arc::clone(sandbox));
        } else {
            sandbox.kill();
        }
    }

    /// What Lambda's own variables say. The session token is what temporary credentials have.
    fn environment(&self) -> [(&'static str, String); 17] {
        let (function, _) = self.function();
        let root = function.program.parent().map(|path| path.display().to_string());
        [
            ("AWS_LAMBDA_FUNCTION_NAME", function.name.clone()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".into()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", function.memory_mib.to_string()),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".into()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", function.name)),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "local".into()),
            ("AWS_REGION", self.region.clone()),
            ("AWS_DEFAULT_REGION", self.region.clone()),
            ("AWS_ACCESS_KEY_ID", function.caller.clone()),
            ("AWS_SECRET_ACCESS_KEY", "local".into()),
            ("AWS_SESSION_TOKEN", "local".into()),
            ("AWS_ENDPOINT_URL", self.endpoint_url.clone()),
            ("LAMBDA_TASK_ROOT", root.unwrap_or_default()),
            ("_HANDLER", "bootstrap".into()),
            ("LANG", "en_US.UTF-8".into()),
            ("PATH", "/usr/local/bin:/usr/bin:/bin:/opt/bin".into()),
            ("TZ", ":UTC".into()),
        ]
    }

    /// Runs one invocation in a process of its own, a warm one if there is one.
    async fn run(self: &Arc<Self>, id: &str, payload: Bytes) -> Result<Bytes, FunctionError> {
        loop {
            let (function, _) = self.function();
            let warm = self.state().idle.pop();
            let was_warm = warm.is_some();
            let sandbox = match warm {
                Some(sandbox) => sandbox,
                None => {
                    let started = Sandbox::start(self).await;
                    let sandbox =
                        started.map_err(|error| failure("Runtime.InvalidEntrypoint", id, &error.to_string()))?;
                    let all = &mut self.state().all;
                    all.retain(|sandbox| sandbox.strong_count() > 0);
                    all.push(Arc::downgrade(&sandbox));
                    sandbox
                }
            };
            let (delivered, taken) = oneshot::channel();
            let (reply, answer) = oneshot::channel();
            let invocation = Invocation { id: id.to_owned(), payload: payload.clone(), delivered, reply };
            if sandbox.give(invocation).is_err() && was_warm {
                continue;
            }
            match timeout(INIT_TIMEOUT, taken).await {
                Ok(Ok(())) => {}
                // It died while it was idle: not this invocation's fault.
                Ok(Err(_)) if was_warm => continue,
                Ok(Err(_)) => {
                    return Err(failure("Runtime.ExitError", id, "Runtime exited before it asked for work"));
                }
                Err(_) => {
                    sandbox.kill();
                    return Err(failure("Sandbox.Timedout", id, "The process asked for no work"));
                }
            }
            return match timeout(function.timeout, answer).await {
                Ok(Ok(result)) => result.map_err(FunctionError),
                Ok(Err(_)) => Err(failure("Runtime.ExitError", id, "Runtime exited")),
                Err(_) => {
                    sandbox.kill();
                    let secs = function.timeout.as_secs_f64();
                    let message = format!("Task timed out after {secs:.2} seconds");
                    Err(failure("Sandbox.Timedout", id, &message))
                }
            };
        }
    }
}

fn new_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

fn failure(kind: &str, id: &str, message: &str) -> FunctionError {
    let message = format!("RequestId: {id} Error: {message}");
    let payload = json!({"errorType": kind, "errorMessage": message});
    FunctionError(Bytes::from(payload.to_string()))
}

fn not_found(name: &str) -> ServiceError {
    ServiceError {
        status: 404,
        code: "ResourceNotFoundException".into(),
        message: format!("Function not found: {name}"),
    }
}

impl Lambda {
    /// GetFunctionConfiguration and UpdateFunctionConfiguration, of which the variables alone can be changed.
    fn configuration(&self, method: &str, name: &str, body: &Value) -> Result<Value, ServiceError> {
        let entry = self.entry(name).ok_or_else(|| not_found(name))?;
        let (_, generation) = entry.function();
        if method == "PUT" {
            if body["RevisionId"].as_str().is_some_and(|wanted| wanted != generation.to_string()) {
                return Err(ServiceError {
                    status: 412,
                    code: "PreconditionFailedException".into(),
                    message: "The Revision Id provided does not match the latest Revision Id. Call the \
                              GetFunction/GetAlias API to retrieve the latest Revision Id"
                        .into(),
                });
            }
            let variables = serde_json::from_value(body["Environment"]["Variables"].clone())
                .map_err(|error| ServiceError::client("InvalidParameterValueException", error.to_string()))?;
            self.set_environment(name, variables)?;
        }
        let (function, generation) = entry.function();
        Ok(json!({
            "FunctionName": function.name,
            "FunctionArn": entry.arn,
            "RevisionId": generation.to_string(),
            "Environment": {"Variables": function.environment},
            "MemorySize": function.memory_mib,
            "Timeout": function.timeout.as_secs(),
            "State": "Active",
            "LastUpdateStatus": "Successful",
        }))
    }
}

impl Service for Lambda {
    fn call<'a>(&'a self, _caller: &'a str, operation: &'a str, body: Value) -> Answer<'a> {
        Box::pin(async move {
            if let Some((method, rest)) = operation.split_once(" /2015-03-31/functions/")
                && let Some(name) = rest.strip_suffix("/configuration")
            {
                return self.configuration(method, &name.replace("%3A", ":"), &body);
            }
            let (path, kind) = operation.split_once("?InvocationType=").unwrap_or((operation, ""));
            let name = path
                .strip_prefix("POST /2015-03-31/functions/")
                .and_then(|rest| rest.strip_suffix("/invocations"))
                .ok_or_else(|| ServiceError::unknown(operation))?
                .replace("%3A", ":");
            let payload = Bytes::from(body.to_string());
            match kind {
                "Event" if self.invoke_event(&name, payload.clone()) => Ok(Value::Null),
                "Event" => Err(not_found(&name)),
                "DryRun" => self.entry(&name).map(|_| Value::Null).ok_or_else(|| not_found(&name)),
                _ => match self.invoke(&name, payload).await.ok_or_else(|| not_found(&name))? {
                    Ok(answer) => serde_json::from_slice(&answer).map_err(|error| ServiceError {
                        status: 502,
                        code: "InvalidRuntimeException".into(),
                        message: format!("{name} answered what is not JSON: {error}"),
                    }),
                    // The gateway's way to say a function error: status 200.
                    Err(error) => {
                        Err(ServiceError { status: 200, code: "Unhandled".into(), message: error.to_string() })
                    }
                },
            }
        })
    }
}
