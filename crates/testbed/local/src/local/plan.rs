//! What is to be brought up: pipelines, their services, and how instances and time are played.

use super::Error;
use crate::traffic::balancer;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tagship_cloud::setup::{PipelinePlan, ServicePlan};
use tagship_emulator::engine::Timings;

/// One pipeline and its services.
#[derive(Clone, Debug)]
pub struct Line {
    /// The pipeline's name.
    pub pipeline: String,
    /// The product.
    pub product: ServicePlan,
    /// Its pre-product.
    pub pre_product: Option<ServicePlan>,
    /// Settings put over those that infra/service.yaml gives, for each of the services.
    pub settings: Value,
    /// Parameters of infra/pipeline.yaml, e.g. `ExecutionMode`.
    pub parameters: BTreeMap<String, String>,
}

impl Line {
    /// A product of two small instances, with waits as short as tagship allows.
    pub fn quick(pipeline: &str, role: &str, host: &str, priority: u32) -> Self {
        Self {
            pipeline: pipeline.to_owned(),
            product: ServicePlan::quick(role, pipeline, host, priority),
            pre_product: None,
            settings: json!({
                "DRAIN": 2,
                "TIMEOUTS": {"BOOT": 60, "INSTALL": 60, "HEALTHY": 8, "WATCH": 3, "SETTLE": 15},
            }),
            parameters: BTreeMap::new(),
        }
    }

    /// Its stack of infra/pipeline.yaml.
    pub(super) fn stack(&self) -> PipelinePlan {
        let mut parameters = self.parameters.clone();
        parameters.insert("ServiceRole".to_owned(), self.product.service_role.clone());
        if let Some(service) = &self.pre_product {
            parameters.insert("PreProductServiceRole".to_owned(), service.service_role.clone());
        }
        PipelinePlan { name: self.pipeline.clone(), parameters }
    }

    /// What infra/service.yaml offers, with this line's settings over it.
    pub(crate) fn settings(&self, offered: &Value) -> Value {
        let mut settings = offered.clone();
        for (key, value) in self.settings.as_object().into_iter().flatten() {
            settings[key] = value.clone();
        }
        settings
    }
}

/// What instances are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Play {
    /// Process groups on addresses of their own, behind a real balancer.
    Processes,
    /// Entries in the emulator that become running and healthy by themselves: for fleets of 1,000.
    Timers,
}

/// What to bring up.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The pipelines.
    pub lines: Vec<Line>,
    /// What instances are.
    pub play: Play,
    /// Where the functions' binaries are.
    pub functions: PathBuf,
    /// When an invocation is killed.
    pub function_timeout: Duration,
    /// From a failed asynchronous invocation to its retries.
    pub retry_after: Vec<Duration>,
    /// How often sweep runs, instead of infra/'s every 5 minutes.
    pub sweep: Option<Duration>,
    /// CodePipeline's figures.
    pub timings: Timings,
    /// A balancer's node each: how much later it sees a change.
    pub node_delays: Vec<Duration>,
    /// For how many seconds the balancer's figures in CloudWatch are, instead of 60.
    pub minute_secs: u32,
    /// Functions that releases have as hooks, each with the service role in its tag; none for a function without.
    pub hooks: Vec<(String, Option<String>)>,
}

impl Plan {
    /// These lines with real processes, and the waits of a cloud that is small and near.
    pub fn new(lines: Vec<Line>) -> Self {
        Self {
            lines,
            play: Play::Processes,
            functions: binaries(),
            function_timeout: Duration::from_secs(900),
            retry_after: vec![Duration::from_secs(2), Duration::from_secs(4)],
            sweep: None,
            timings: Timings { reinvoke: Duration::from_secs(1), ..Timings::default() },
            node_delays: balancer::Config::default().node_delays,
            minute_secs: 60,
            hooks: Vec::new(),
        }
    }
}

/// The command `tagship`, beside this program.
pub fn command() -> Result<PathBuf, Error> {
    built(binaries().join("tagship"))
}

/// This program, if it has been built.
pub(super) fn built(program: PathBuf) -> Result<PathBuf, Error> {
    if program.exists() { Ok(program) } else { Err(Error::NotBuilt(program)) }
}

/// Where this program is, and so the functions are too.
pub(super) fn binaries() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let dir = program.parent().unwrap_or(Path::new("."));
    // Tests run from a directory below.
    if dir.ends_with("deps") { dir.parent().unwrap_or(dir).to_owned() } else { dir.to_owned() }
}
