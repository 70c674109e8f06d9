//! Plays the instances: each is an agent, and what its hooks start, on an address and a disk of its own.

use crate::instance::processes;
use serde_json::json;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tagship_cloud::state::{Instance, InstanceState, State};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How instances are played.
#[derive(Clone, Debug)]
pub struct Config {
    /// The program that has the `agent` subcommand.
    pub program: PathBuf,
    /// Where AWS is, for the agents.
    pub endpoint: String,
    /// Where it is said that an instance is up or gone: the URL of `/tagship/instance`.
    pub report: String,
    /// The directory that gets one directory an instance.
    pub root: PathBuf,
    /// From `pending` to `running`.
    pub boot: Duration,
    /// How long processes have to end by themselves at shutdown.
    pub shutdown: Duration,
    /// The Region that the agents sign for.
    pub region: String,
}

/// The running instances; dropping it kills everything that they run.
#[derive(Debug)]
pub struct Instances {
    /// What the marks of all these instances start with.
    mark: String,
    tasks: JoinSet<()>,
}

impl Instances {
    /// Starts what `states` says is pending or running, and ends what it says is going away.
    pub fn start(config: Config, states: watch::Receiver<Arc<State>>) -> Self {
        let mark = format!("{}/", uuid::Uuid::new_v4());
        let mut tasks = JoinSet::new();
        tasks.spawn(follow(Arc::new(config), mark.clone(), states));
        Self { mark, tasks }
    }

    /// Kills all that an instance runs, agent included, as if its machine had lost its power.
    pub fn unplug(&self, id: &str) {
        processes::kill_all(&format!("{}{id}/", self.mark));
    }

    /// The processes of all instances, agents included.
    pub fn processes(&self) -> usize {
        processes::marked(&self.mark).len()
    }
}

impl Drop for Instances {
    fn drop(&mut self) {
        self.tasks.abort_all();
        processes::kill_all(&self.mark);
    }
}

async fn follow(config: Arc<Config>, mark: String, mut states: watch::Receiver<Arc<State>>) {
    // One task an instance, told whether it should be up.
    let mut wanted: HashMap<String, watch::Sender<bool>> = HashMap::new();
    let mut tasks = JoinSet::new();
    let http = reqwest::Client::new();
    loop {
        let state = states.borrow_and_update().clone();
        for instance in &state.instances {
            let up = matches!(instance.state, InstanceState::Pending | InstanceState::Running);
            match wanted.get(&instance.id) {
                Some(wanted) => {
                    wanted.send_if_modified(|was| std::mem::replace(was, up) != up);
                }
                None if !matches!(instance.state, InstanceState::Terminated | InstanceState::Stopped) => {
                    let (sender, receiver) = watch::channel(up);
                    wanted.insert(instance.id.clone(), sender);
                    let machine = Machine {
                        config: config.clone(),
                        // The slash keeps i-1 apart from i-12.
                        mark: format!("{mark}{}/", instance.id),
                        instance: instance.clone(),
                        http: http.clone(),
                    };
                    tasks.spawn(machine.live(receiver));
                }
                None => {}
            }
        }
        if states.changed().await.is_err() {
            return;
        }
    }
}

/// One instance, from boot to shutdown and, if it was only stopped, again.
struct Machine {
    config: Arc<Config>,
    mark: String,
    instance: Instance,
    http: reqwest::Client,
}

impl Machine {
    async fn live(self, mut up: watch::Receiver<bool>) {
        loop {
            if *up.borrow_and_update() {
                self.run(&mut up).await;
            }
            // An instance that was ended before it could boot is gone as well.
            self.report("terminated").await;
            if up.wait_for(|up| *up).await.is_err() {
                return;
            }
        }
    }

    /// From boot to shutdown.
    async fn run(&self, up: &mut watch::Receiver<bool>) {
        tokio::select! {
            () = tokio::time::sleep(self.config.boot) => {}
            _ = up.wait_for(|up| !*up) => return,
        }
        let mut agent = match self.boot() {
            Ok(agent) => agent,
            Err(error) => {
                tracing::error!(instance = self.instance.id, %error, "the instance's agent could not be started");
                return;
            }
        };
        self.report("running").await;
        // Kept aside: waiting for a child closes its standard input.
        let lifeline = agent.stdin.take();
        tokio::select! {
            _ = up.wait_for(|up| !*up) => {}
            status = agent.wait() => {
                tracing::error!(instance = self.instance.id, ?status, "the instance's agent has ended by itself");
            }
        }
        // The end of its standard input tells the agent to end what it has started.
        drop(lifeline);
        self.shut_down(&mut agent).await;
    }

    fn boot(&self) -> io::Result<Child> {
        let root = self.config.root.join(&self.instance.id);
        fs::create_dir_all(&root)?;
        let log = File::options().create(true).append(true).open(root.join("agent.log"))?;
        let kept = ["PATH", "HOME", "RUST_LOG"].into_iter();
        let kept = kept.filter_map(|key| Some((key, std::env::var_os(key)?)));
        Command::new(&self.config.program)
            .arg("agent")
            .args(["--instance", &self.instance.id])
            .args(["--address", &self.instance.ip.to_string()])
            .args(["--endpoint", &self.config.endpoint])
            .args(["--shutdown-millis", &self.config.shutdown.as_millis().to_string()])
            .arg("--root")
            .arg(root)
            .env_clear()
            .envs(kept)
            .env(processes::MARK, &self.mark)
            .env("AWS_REGION", &self.config.region)
            .env("AWS_ACCESS_KEY_ID", "instance")
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C in the terminal is for us; the agents are told by their standard input's end.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }

    /// Waits until nothing of the instance runs any more.
    async fn shut_down(&self, agent: &mut Child) {
        const SLACK: Duration = Duration::from_secs(2);
        let limit = self.config.shutdown + SLACK;
        if tokio::time::timeout(limit, agent.wait()).await.is_err() {
            tracing::warn!(instance = self.instance.id, "the agent did not end in time");
        }
        processes::kill_all(&self.mark);
        let _ = agent.wait().await;
    }

    async fn report(&self, state: &str) {
        const TRIES: usize = 20;
        let body = json!({"id": self.instance.id, "state": state});
        for _ in 0..TRIES {
            let sent = self.http.post(&self.config.report).json(&body).send().await;
            match sent.and_then(reqwest::Response::error_for_status) {
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(instance = self.instance.id, state, %error, "not reported");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }
}
