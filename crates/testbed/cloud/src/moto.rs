//! The emulator: moto with our plug-in (`python/tagship_moto`) as a process of ours, and a client for the plug-in's routes.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{ETAG, HeaderValue, IF_NONE_MATCH};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::state::{InstanceState, State, TargetState};

/// Where this crate's Python lives.
const PYTHON_DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python");

/// Why the emulator can't be started or asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no Python with moto in it.
    #[error(
        "no Python at {}: run `make venv`, or set TAGSHIP_PYTHON to a Python that has crates/testbed/cloud/python/requirements.txt",
        .0.display()
    )]
    NoPython(PathBuf),
    /// The process did not come up.
    #[error("{python} -m tagship_moto did not start: {source}; its own words are above")]
    Start {
        /// The Python that was tried.
        python: String,
        /// What went wrong.
        source: io::Error,
    },
    /// A route of the plug-in could not be reached, or refused.
    #[error("the emulator's plug-in: {0}")]
    Route(#[from] reqwest::Error),
}

/// The Python to run: `TAGSHIP_PYTHON`, else the workspace's `.venv`.
pub fn python() -> Result<PathBuf, Error> {
    let python = std::env::var_os("TAGSHIP_PYTHON")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../.venv/bin/python3"), PathBuf::from);
    if python.exists() { Ok(python) } else { Err(Error::NoPython(python)) }
}

/// A command that runs a Python module of this crate in a process group of its own, killed on drop.
pub(crate) fn python_module(module: &str) -> Result<Command, Error> {
    let mut command = Command::new(python()?);
    command
        .args(["-m", module])
        .current_dir(PYTHON_DIR)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .process_group(0)
        .kill_on_drop(true);
    Ok(command)
}

/// The running emulator. It has ended when this is dropped, and ends when our process does in any way: it
/// exits when its standard input closes.
#[derive(Debug)]
pub struct Moto {
    process: Child,
    address: SocketAddr,
}

#[derive(Deserialize)]
struct Ready {
    port: u16,
}

impl Moto {
    /// Starts it on a free port of 127.0.0.1 and waits until it answers.
    pub async fn start() -> Result<Self, Error> {
        let mut command = python_module("tagship_moto")?;
        let python = command.as_std().get_program().display().to_string();
        let failed = |source| Error::Start { python: python.clone(), source };
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(failed)?;
        let mut line = String::new();
        if let Some(stdout) = process.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).await.map_err(failed)?;
        }
        let ready: Ready = serde_json::from_str(&line).map_err(|error| failed(error.into()))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ready.port));
        Ok(Self { process, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A client of the plug-in's routes.
    pub fn client(&self) -> Client {
        Client { http: reqwest::Client::new(), base: format!("http://{}/tagship", self.address) }
    }
}

impl Drop for Moto {
    /// Killed is not yet gone: the kernel takes its memory apart first, and until then it holds our standard error.
    fn drop(&mut self) {
        const ROUNDS: usize = 1_000;
        let _ = self.process.start_kill();
        for _ in 0..ROUNDS {
            match self.process.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(5)),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        tracing::error!("the emulator could not be killed");
    }
}

/// How the emulated cloud behaves; keys left out stay as they are.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Behaviour {
    /// Whether what takes time goes on with real time; set it before anything is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<Clock>,
    /// Who says that an instance is up or gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instances: Option<InstancesBy>,
    /// `Timer`: seconds from pending to running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_secs: Option<f64>,
    /// `Timer`: seconds from shutting-down to terminated, and from stopping to stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shutdown_secs: Option<f64>,
    /// Who says that a target is healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub targets: Option<TargetsBy>,
    /// `Timer`: seconds from registered, in a group in use, to healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthy_secs: Option<f64>,
    /// Where there is little or no room for instances; the first match counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Vec<Capacity>>,
    /// The account's quota of Elastic IP addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address_limit: Option<u32>,
    /// The account's quota of targets a load balancer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_limit: Option<u32>,
}

/// The time of what falls due later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// Real time.
    Runs,
    /// It stands, but for [`Client::skip`].
    Stands,
}

/// Who says that an instance is up or gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum InstancesBy {
    /// The instance manager, of its processes.
    Processes,
    /// A timer: there are no processes.
    Timer,
}

/// Who says that a target is healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetsBy {
    /// The balancer's probes.
    Probes,
    /// A timer: there is no balancer.
    Timer,
}

/// The room that EC2 has for a type in a subnet.
#[derive(Clone, Debug, Serialize)]
pub struct Capacity {
    /// A subnet, or `*`.
    pub subnet: String,
    /// An instance type, or `*`.
    #[serde(rename = "type")]
    pub instance_type: String,
    /// AWS's error code when `MinCount` doesn't fit, e.g. `InsufficientInstanceCapacity`.
    pub code: String,
    /// How many instances still fit.
    pub available: u32,
}

/// A stack of CloudFormation's that is there.
#[derive(Clone, Debug, Deserialize)]
pub struct Deployed {
    /// Its name.
    pub name: String,
    /// Its template's text.
    pub template: String,
    /// The parameters that it was given; the others have their defaults.
    pub parameters: BTreeMap<String, String>,
}

/// A client of the plug-in's routes.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: String,
}

impl Client {
    /// Changes how the emulated cloud behaves.
    pub async fn configure(&self, behaviour: &Behaviour) -> Result<(), Error> {
        self.post("config", behaviour).await
    }

    /// Reports an instance as the instance manager does: up (`running`) or gone (`stopped`, `terminated`), with EC2's
    /// reason if it has another than the usual one. A report that comes too late changes nothing.
    pub async fn report_instance(&self, id: &str, state: InstanceState, reason: Option<&str>) -> Result<(), Error> {
        self.post("instance", &json!({"id": id, "state": state, "reason": reason})).await
    }

    /// Reports a target's health as the balancer's probes do; `reason` is ELB's code.
    pub async fn report_target(
        &self,
        group: &str,
        (id, port): (&str, u16),
        state: TargetState,
        reason: Option<&str>,
    ) -> Result<(), Error> {
        self.post("health", &json!({group: {format!("{id}:{port}"): {"state": state, "reason": reason}}})).await
    }

    /// Puts the plug-in's clock forward: what is then due happens before the next request is answered.
    pub async fn skip(&self, time: Duration) -> Result<(), Error> {
        self.post("skip", &json!({"secs": time.as_secs_f64()})).await
    }

    /// The snapshot as it is now.
    pub async fn state(&self) -> Result<State, Error> {
        let response = self.http.get(format!("{}/state", self.base)).send().await?;
        Ok(response.error_for_status()?.json().await?)
    }

    /// The tags of each of these that exists, by id or ARN: instances and their network interfaces, addresses (or what
    /// an association is of), and whatever load balancing and SNS have.
    pub async fn tags(&self, ids: &[String]) -> Result<BTreeMap<String, BTreeMap<String, String>>, Error> {
        let of: Vec<_> = ids.iter().map(|id| ("of", id)).collect();
        self.get("tags", &of).await
    }

    /// The ARN of the role in an instance profile; none without such a profile.
    pub async fn role_in(&self, profile: &str) -> Result<Option<String>, Error> {
        self.get("role", &[("profile", profile)]).await
    }

    /// The stacks that are there.
    pub async fn stacks(&self) -> Result<Vec<Deployed>, Error> {
        self.get("stacks", &[("", ""); 0]).await
    }

    async fn get<T: DeserializeOwned>(&self, route: &str, query: &impl Serialize) -> Result<T, Error> {
        let response = self.http.get(format!("{}/{route}", self.base)).query(query).send().await?;
        Ok(response.error_for_status()?.json().await?)
    }

    /// Publishes a snapshot whenever one differs from the one before, looking every `period`. Ends
    /// when every receiver is dropped or the emulator is gone.
    pub async fn watch(&self, period: Duration) -> Result<watch::Receiver<Arc<State>>, Error> {
        let (publish, states) = watch::channel(Arc::new(self.state().await?));
        let client = self.clone();
        tokio::spawn(async move {
            let mut version = None;
            let mut ticks = tokio::time::interval(period);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = publish.closed() => return,
                    _ = ticks.tick() => {}
                }
                match client.newer(&mut version).await {
                    Ok(Some(state)) => {
                        publish.send_if_modified(|last| {
                            let differs = **last != state;
                            if differs {
                                *last = Arc::new(state);
                            }
                            differs
                        });
                    }
                    Ok(None) => {}
                    Err(error) => {
                        tracing::debug!(%error, "no more snapshots");
                        return;
                    }
                }
            }
        });
        Ok(states)
    }

    /// The snapshot, unless it is still of `version`; the emulator counts its changes.
    async fn newer(&self, version: &mut Option<HeaderValue>) -> Result<Option<State>, Error> {
        let mut request = self.http.get(format!("{}/state", self.base));
        if let Some(version) = &version {
            request = request.header(IF_NONE_MATCH, version);
        }
        let response = request.send().await?.error_for_status()?;
        if response.status() == StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        *version = response.headers().get(ETAG).cloned();
        Ok(Some(response.json().await?))
    }

    async fn post(&self, route: &str, body: &impl Serialize) -> Result<(), Error> {
        let request = self.http.post(format!("{}/{route}", self.base)).json(body);
        request.send().await?.error_for_status()?;
        Ok(())
    }
}
