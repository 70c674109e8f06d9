//! Brings the whole of it up: emulator, gateway, account, functions, instances, balancer, DNS, pipelines.

use crate::balancer::{self, Balancer};
use crate::codedeploy::{self, Agents, CodeDeploy};
use crate::codepipeline::{self, CodePipeline};
use crate::dns::Dns;
use crate::events::{self, Events};
use crate::gateway::Gateway;
use crate::iam::Iam;
use crate::instances::{self, Instances};
use crate::lambda::{self, Function, Lambda};
use crate::moto::{self, Behaviour, InstancesBy, Moto, TargetsBy};
use crate::network::Network;
use crate::ops::{self, Ops};
use crate::probe::{self, Probes};
use crate::setup::{self, Account, REGION, ServicePlan};
use crate::state::State;
use crate::tether;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tagship_pipeline::engine::Timings;
use tagship_pipeline::policy::Policy;
use tagship_pipeline::template::{Stack, Template, TemplateError};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// Why it doesn't come up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A Lambda binary isn't built.
    #[error("{0} is not built: run `cargo build --workspace` (make does)")]
    NotBuilt(PathBuf),
    /// The emulator.
    #[error(transparent)]
    Moto(#[from] moto::Error),
    /// The account.
    #[error(transparent)]
    SetUp(#[from] setup::Error),
    /// A template in infra/.
    #[error("infra/{file}: {source}")]
    Template {
        /// Which.
        file: &'static str,
        /// Why.
        source: TemplateError,
    },
    /// Files and sockets.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The first calls.
    #[error(transparent)]
    Ops(#[from] ops::Error),
}

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
        }
    }
}

/// Where this program is, and so the functions are too.
fn binaries() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let dir = program.parent().unwrap_or(Path::new("."));
    // Tests run from a directory below.
    if dir.ends_with("deps") { dir.parent().unwrap_or(dir).to_owned() } else { dir.to_owned() }
}

/// A running cloud. Dropping it ends every process that it started.
pub struct Local {
    /// What was set up.
    pub account: Account,
    /// What a person does.
    pub ops: Ops,
    /// The one address of all AWS services.
    pub gateway: Gateway,
    /// The functions.
    pub lambda: Lambda,
    /// The event bus.
    pub events: Events,
    /// The pipelines.
    pub pipelines: CodePipeline,
    /// The balancer; none if instances are timers.
    pub balancer: Option<Balancer>,
    /// The private zone's server.
    pub dns: Dns,
    /// The emulator's state as it was 100 ms ago at most.
    pub states: watch::Receiver<Arc<State>>,
    /// The emulator's plug-in.
    pub moto: moto::Client,
    /// What each function may do, by its access key's name: its role in infra/tagship.yaml, which the gateway holds each
    /// of its calls against.
    pub policies: BTreeMap<String, Policy>,
    /// The functions' logs and the instances' disks.
    pub dir: tempfile::TempDir,
    instances: Option<Instances>,
    _probes: Option<Probes>,
    _tasks: JoinSet<()>,
    _moto: Moto,
    // Last: given back when nothing runs in it any more.
    _network: Network,
}

/// The buckets beyond the pipelines' own that the setting `ARTIFACT` may name here.
pub const ARTIFACT_BUCKETS: &str = "artifacts-*";

/// How often the emulator's state is looked at.
const LOOK: Duration = Duration::from_millis(100);

impl Local {
    /// Brings it up.
    pub async fn start(plan: Plan) -> Result<Self, Error> {
        let network = Network::claim()?;
        let dir = tempfile::Builder::new().prefix("tagship-").tempdir()?;
        let emulator = Moto::start().await?;
        let moto = emulator.client();
        let (instances_by, targets_by) = match plan.play {
            Play::Processes => (InstancesBy::Processes, TargetsBy::Probes),
            Play::Timers => (InstancesBy::Timer, TargetsBy::Timer),
        };
        let behaviour = Behaviour { instances: Some(instances_by), targets: Some(targets_by), ..Behaviour::default() };
        moto.configure(&behaviour).await?;
        let gateway = Gateway::start(emulator.address()).await?;
        let services: Vec<ServicePlan> =
            plan.lines.iter().flat_map(|line| line.pre_product.iter().chain([&line.product])).cloned().collect();
        let account = setup::set_up(&gateway.url(), network.octet(), &services).await?;
        let states = moto.watch(LOOK).await?;

        let lambda = Lambda::start(lambda::Config {
            account: account.account.clone(),
            region: REGION.to_owned(),
            endpoint_url: gateway.url(),
            log_dir: dir.path().join("logs"),
            functions: functions(&plan, &account)?,
        })?;
        gateway.serve("lambda", Arc::new(lambda.clone()));

        let mut pipelines = Vec::new();
        let template = account_template(&account)?;
        let wrong = |source| Error::Template { file: "tagship.yaml", source };
        let mut rules = template.rules().map_err(wrong)?;
        let policies = function_policies(&template).map_err(wrong)?;
        gateway.guard(Iam {
            policies: policies.clone(),
            account: account.account.clone(),
            region: REGION.to_owned(),
            instance_roles: instance_roles(&account),
            emulator: moto.clone(),
        });
        for line in &plan.lines {
            let template = pipeline_template(line, &account)?;
            let wrong = |source| Error::Template { file: "pipeline.yaml", source };
            pipelines.extend(template.pipelines().map_err(wrong)?);
            rules.extend(template.rules().map_err(wrong)?);
        }
        let events = Events::start(
            events::Config {
                account: account.account.clone(),
                region: REGION.to_owned(),
                endpoint_url: gateway.url(),
                rules,
                schedule: plan.sweep,
            },
            lambda.clone(),
        );
        gateway.serve("events", Arc::new(events.clone()));
        events.watch_uploads(&gateway);
        let pipelines = CodePipeline::start(
            codepipeline::Config {
                account: account.account.clone(),
                region: REGION.to_owned(),
                endpoint_url: gateway.url(),
                pipelines,
                timings: plan.timings,
            },
            lambda.clone(),
            events.clone(),
        );
        gateway.serve("codepipeline", Arc::new(pipelines.clone()));

        let agents = match plan.play {
            Play::Processes => Agents::Polling { fetch: Duration::from_secs(30), poll: Duration::from_secs(20) },
            Play::Timers => Agents::Absent(Duration::from_millis(200)),
        };
        let config = codedeploy::Config { agents, account: account.account.clone(), region: REGION.to_owned() };
        let codedeploy = Arc::new(CodeDeploy::new(config, states.clone()));
        gateway.serve("codedeploy", codedeploy.clone());
        gateway.serve("codedeploy-commands", codedeploy);

        let ops = Ops::new(&gateway.url(), REGION);
        for line in &plan.lines {
            make_deployment_groups(&ops, line, &account).await?;
        }

        let mut tasks = JoinSet::new();
        let (instances, probes, balancer) = match plan.play {
            Play::Timers => (None, None, None),
            Play::Processes => {
                let (reports, reported) = mpsc::unbounded_channel();
                let probes = Probes::start(states.clone(), reports);
                tasks.spawn(probe::post(format!("http://{}/tagship/health", emulator.address()), reported));
                let config = instances::Config {
                    program: plan.functions.join("tagship-local"),
                    endpoint: gateway.url(),
                    report: format!("http://{}/tagship/instance", emulator.address()),
                    root: dir.path().join("instances"),
                    boot: Duration::from_millis(500),
                    shutdown: Duration::from_secs(2),
                    region: REGION.to_owned(),
                };
                let config_of_balancer =
                    balancer::Config { node_delays: plan.node_delays.clone(), ..balancer::Config::default() };
                (
                    Some(Instances::start(config, states.clone())),
                    Some(probes),
                    Some(Balancer::start(config_of_balancer, states.clone())),
                )
            }
        };
        let dns = Dns::start(states.clone()).await?;
        Ok(Self {
            account,
            ops,
            gateway,
            lambda,
            events,
            pipelines,
            balancer,
            dns,
            states,
            moto,
            policies,
            dir,
            instances,
            _probes: probes,
            _tasks: tasks,
            _moto: emulator,
            _network: network,
        })
    }

    /// Where the functions and the instances write their logs.
    pub fn logs(&self) -> PathBuf {
        self.dir.path().join("logs")
    }

    /// Processes that play instances.
    pub fn processes(&self) -> usize {
        self.instances.as_ref().map_or(0, Instances::processes)
    }

    /// Takes the power from an instance that is played by processes.
    pub fn unplug(&self, instance: &str) {
        if let Some(instances) = &self.instances {
            instances.unplug(instance);
        }
    }

    /// Waits until the emulator's state is as asked for.
    pub async fn until(&self, mut wanted: impl FnMut(&State) -> bool) {
        // The sender lives as long as the emulator does, which `self` owns.
        let _ = self.states.clone().wait_for(|state| wanted(state)).await;
    }
}

/// The four functions; only provision is given the services' settings.
fn functions(plan: &Plan, account: &Account) -> Result<Vec<Function>, Error> {
    let bucket = BTreeMap::from([("TAGSHIP_BUCKET".to_owned(), account.bucket.clone())]);
    ["provision", "deploy", "route", "cleanup"]
        .map(|name| {
            let program = plan.functions.join(name);
            if !program.exists() {
                return Err(Error::NotBuilt(program));
            }
            let mut environment = bucket.clone();
            if name == "provision" {
                environment.extend(plan.lines.iter().flat_map(|line| settings(line, account)));
            }
            Ok(Function {
                name: format!("tagship-{name}"),
                arguments: tether::arguments(&program),
                program: binaries().join("tagship-local"),
                caller: name.to_owned(),
                environment,
                timeout: plan.function_timeout,
                memory_mib: 128,
                retry_after: plan.retry_after.clone(),
            })
        })
        .into_iter()
        .collect()
}

/// The settings variables of a line's services.
fn settings(line: &Line, account: &Account) -> Vec<(String, String)> {
    let services = line.pre_product.iter().chain([&line.product]);
    services
        .filter_map(|service| {
            let mut settings = account.services.get(&service.service_role)?.settings.clone();
            for (key, value) in line.settings.as_object().into_iter().flatten() {
                settings[key] = value.clone();
            }
            Some((service.service_role.clone(), settings.to_string()))
        })
        .collect()
}

fn pipeline_template(line: &Line, account: &Account) -> Result<Template, Error> {
    let mut parameters = line.parameters.clone();
    parameters.insert("PipelineName".to_owned(), line.pipeline.clone());
    parameters.insert("ServiceRole".to_owned(), line.product.service_role.clone());
    parameters.insert("TopicArn".to_owned(), account.topic.clone());
    if let Some(service) = &line.pre_product {
        parameters.insert("PreProductServiceRole".to_owned(), service.service_role.clone());
    }
    let stack = Stack {
        name: line.pipeline.clone(),
        account: account.account.clone(),
        region: REGION.to_owned(),
        parameters,
        ..Stack::default()
    };
    let file = "pipeline.yaml";
    let text = std::fs::read_to_string(setup::infra(file))?;
    Template::read(&text, stack).map_err(|source| Error::Template { file, source })
}

/// What an account has once: the sweep, what tells people, and the functions' roles.
fn account_template(account: &Account) -> Result<Template, Error> {
    let bucket = &account.bucket;
    let known = [
        ("Topic", account.topic.clone()),
        ("ChatTopic", account.chat_topic.clone()),
        ("Bucket", bucket.clone()),
        ("Bucket.Arn", format!("arn:aws:s3:::{bucket}")),
    ];
    let stack = Stack {
        name: "tagship".to_owned(),
        account: account.account.clone(),
        region: REGION.to_owned(),
        parameters: BTreeMap::from([
            ("Chat".to_owned(), "amazon-q".to_owned()),
            ("ArtifactBuckets".to_owned(), ARTIFACT_BUCKETS.to_owned()),
        ]),
        known: known.map(|(name, value)| (name.to_owned(), value)).into(),
        ..Stack::default()
    };
    let file = "tagship.yaml";
    let text = std::fs::read_to_string(setup::infra(file))?;
    Template::read(&text, stack).map_err(|source| Error::Template { file, source })
}

/// What each function may do, by the access key that it calls with.
fn function_policies(template: &Template) -> Result<BTreeMap<String, Policy>, TemplateError> {
    let mut policies = template.policies()?;
    let roles =
        [("provision", "ProvisionRole"), ("deploy", "DeployRole"), ("route", "RouteRole"), ("cleanup", "CleanupRole")];
    let role = |(name, role): (&str, &str)| (name.to_owned(), policies.remove(role).unwrap_or_default());
    Ok(roles.map(role).into())
}

/// The role in each instance profile.
fn instance_roles(account: &Account) -> BTreeMap<String, String> {
    let services = account.services.values();
    services.map(|service| (service.instance_profile.clone(), service.instance_role.clone())).collect()
}

/// CodeDeploy's application and groups, as infra/pipeline.yaml has them.
async fn make_deployment_groups(ops: &Ops, line: &Line, account: &Account) -> Result<(), Error> {
    let file = "pipeline.yaml";
    let template = pipeline_template(line, account)?;
    let of = |kind: &str| template.resources(kind).map_err(|source| Error::Template { file, source });
    let call = async |operation: &str, body: Value| {
        ops.json("codedeploy", &format!("CodeDeploy_20141006.{operation}"), body).await
    };
    for (_, resource) in of("AWS::CodeDeploy::Application")? {
        call("CreateApplication", camel(&resource)).await?;
    }
    for (_, resource) in of("AWS::CodeDeploy::DeploymentGroup")? {
        call("CreateDeploymentGroup", camel(&resource)).await?;
    }
    Ok(())
}

/// CloudFormation's keys (`Ec2TagSet`) as the API has them (`ec2TagSet`); those of a tag filter stay as they are.
fn camel(properties: &Value) -> Value {
    match properties {
        Value::Object(fields) if fields.contains_key("Key") => properties.clone(),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| {
                let mut letters = key.chars();
                let first = letters.next().map(|letter| letter.to_ascii_lowercase());
                (first.into_iter().chain(letters).collect::<String>(), camel(value))
            })
            .collect(),
        // A group of filters is a list by itself there.
        Value::Array(items) => items.iter().map(|item| camel(item.get("Ec2TagGroup").unwrap_or(item))).collect(),
        other => other.clone(),
    }
}
