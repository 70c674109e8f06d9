//! Brings the whole of it up: emulator, gateway, account, functions, instances, balancer, DNS, pipelines.

mod plan;
mod stacks;
mod templates;

pub use plan::{Line, Plan, Play, command};

use crate::instance::instances::{self, Instances};
use crate::ops::Ops;
use crate::services::caller::Caller;
use crate::services::codedeploy::{self, Agents, CodeDeploy};
use crate::services::codepipeline::{self, CodePipeline};
use crate::services::events::{self, Events};
use crate::services::lambda::{self, Function, Lambda};
use crate::services::quotas::Quotas;
use crate::services::tether;
use crate::traffic::balancer::{self, Balancer};
use crate::traffic::dns::Dns;
use crate::traffic::probe::{self, Probes};
use plan::binaries;
use stacks::Stacks;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tagship_cloud::gateway::Gateway;
use tagship_cloud::iam::Iam;
use tagship_cloud::moto::{self, Behaviour, InstancesBy, Moto, TargetsBy};
use tagship_cloud::network::Network;
use tagship_cloud::service::ServiceError;
use tagship_cloud::setup::{self, Account, PipelinePlan, REGION, ServicePlan};
use tagship_cloud::state::State;
use tagship_emulator::policy::Policy;
use tagship_emulator::template::TemplateError;
use templates::{account_template, function_policies, on_failure};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// Why it doesn't come up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A function, or the command, isn't built.
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
    /// A stack's template.
    #[error("stack {name}: {source}")]
    Stack {
        /// Which.
        name: String,
        /// Why.
        source: TemplateError,
    },
    /// An application or a deployment group of a stack's.
    #[error("CodeDeploy: {0}")]
    CodeDeploy(#[from] ServiceError),
    /// Files and sockets.
    #[error(transparent)]
    Io(#[from] std::io::Error),
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
const ARTIFACT_BUCKETS: &str = "artifacts-*";

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
        let pipelines: Vec<PipelinePlan> = plan.lines.iter().map(Line::stack).collect();
        let account = setup::set_up(&gateway.url(), network.octet(), &services, &pipelines).await?;
        let states = moto.watch(LOOK).await?;

        let template = account_template(&account)?;
        let wrong = |source| Error::Template { file: "tagship.yaml", source };
        let lambda = Lambda::start(lambda::Config {
            account: account.account.clone(),
            region: REGION.to_owned(),
            endpoint_url: gateway.url(),
            log_dir: dir.path().join("logs"),
            functions: functions(&plan, &account, &on_failure(&template).map_err(wrong)?)?,
        })?;
        gateway.serve("lambda", Arc::new(lambda.clone()));
        gateway.serve("servicequotas", Arc::new(Quotas));
        gateway.serve("logs", Arc::new(lambda::Logs(lambda.clone())));

        let policies = function_policies(&template).map_err(wrong)?;
        gateway.guard(Iam {
            policies: policies.clone(),
            account: account.account.clone(),
            region: REGION.to_owned(),
            functions: plan.hooks.iter().map(|(name, role)| (name.clone(), tags(role.as_deref()))).collect(),
            emulator: moto.clone(),
        });
        let events = Events::start(
            events::Config {
                account: account.account.clone(),
                region: REGION.to_owned(),
                endpoint_url: gateway.url(),
                rules: template.rules().map_err(wrong)?,
                schedule: plan.sweep,
            },
            lambda.clone(),
        );
        gateway.serve("events", Arc::new(events.clone()));
        events.watch_uploads(&gateway);
        events.watch_alarms(&gateway);
        let pipelines = CodePipeline::start(
            codepipeline::Config {
                account: account.account.clone(),
                region: REGION.to_owned(),
                endpoint_url: gateway.url(),
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
        gateway.serve("codedeploy-commands", codedeploy.clone());
        let stacks = Stacks::new(moto.clone(), &account.account, events.clone(), pipelines.clone(), codedeploy);
        stacks.follow(&gateway).await?;

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
                let mut balancer = Balancer::start(config_of_balancer, states.clone());
                let caller = Caller::new(&gateway.url(), REGION, "elasticloadbalancing");
                balancer.publish(plan.minute_secs, caller, account.load_balancer.clone());
                (Some(Instances::start(config, states.clone())), Some(probes), Some(balancer))
            }
        };
        let dns = Dns::start(states.clone()).await?;
        Ok(Self {
            ops: Ops::new(&gateway.url(), REGION),
            account,
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
fn functions(plan: &Plan, account: &Account, on_failure: &BTreeMap<String, String>) -> Result<Vec<Function>, Error> {
    let bucket = BTreeMap::from([
        ("TAGSHIP_BUCKET".to_owned(), account.bucket.clone()),
        ("TAGSHIP_VERSION".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("TAGSHIP_MINUTE".to_owned(), plan.minute_secs.to_string()),
    ]);
    let own = ["provision", "deploy", "route", "cleanup"].map(|name| {
        let program = plan::built(plan.functions.join(name))?;
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
            on_failure: on_failure.get(&format!("tagship-{name}")).cloned(),
        })
    });
    own.into_iter().chain(plan.hooks.iter().map(|(name, _)| Ok(hook(name)))).collect()
}

/// A function of a team's own: a real one, which asks the release's instances.
fn hook(name: &str) -> Function {
    Function {
        name: name.to_owned(),
        program: binaries().join("tagship-local"),
        arguments: vec!["hook".into()],
        caller: name.to_owned(),
        environment: BTreeMap::new(),
        timeout: Duration::from_secs(60),
        memory_mib: 128,
        retry_after: Vec::new(),
        on_failure: None,
    }
}

/// The tag of a resource that is a service's.
fn tags(role: Option<&str>) -> BTreeMap<String, String> {
    role.map(|role| ("tagship:service".to_owned(), role.to_owned())).into_iter().collect()
}

/// The settings variables of a line's services.
fn settings(line: &Line, account: &Account) -> Vec<(String, String)> {
    let services = line.pre_product.iter().chain([&line.product]);
    services
        .filter_map(|service| {
            let mut settings = line.settings(&account.services.get(&service.service_role)?.settings);
            if line.pre_product.as_ref().is_some_and(|pre| pre.service_role == service.service_role) {
                settings["PRE_PRODUCT"] = true.into();
            }
            Some((service.service_role.clone(), settings.to_string()))
        })
        .collect()
}
