//! A scenario through the AWS adapter: the emulator with its plug-in behind the gateway, one account for all scenarios.
//!
//! Nothing there moves by itself: instances, probes and agents are played by `nature.rs`, and the plug-in's clock is put
//! forward.

mod nature;
mod play;

use crate::looks::Seen;
use crate::scenario::{Scenario, pipeline};
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use play::Play;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tagship::engine::{Gate, Standing, admission};
use tagship::{Action, Changes, Decision, Done, First, Held, Parts, Planner, Situation};
use tagship_aws::{Aws, Cloud};
use tagship_emulator::engine::Timings;
use tagship_local::codedeploy::{self, Agents, CodeDeploy};
use tagship_local::codepipeline::{self, CodePipeline};
use tagship_local::events::{self, Events};
use tagship_local::gateway::Gateway;
use tagship_local::lambda::{self, Lambda};
use tagship_local::moto::{Behaviour, Clock, InstancesBy, Moto, TargetsBy};
use tagship_local::ops::Ops;
use tagship_local::service::Service;
use tagship_local::setup::{self, Account, ServicePlan};
use tagship_local::state::State;
use tokio::sync::watch;

/// Reads and changes everything, so decides nothing.
struct Everything;

impl Planner for Everything {
    const ACTION: Action = Action::Provision;
    const READS: Parts = Parts::ALL;
    const CHANGES: Changes = Changes::ALL;
    type Entry<'a> = &'a Held;
    type Memory = ();

    fn admit(standing: Standing<'_>) -> Gate<&Held> {
        admission::shift(standing)
    }

    fn decide<'a>(_: &Situation<'a>, _: &'a Held, (): &mut ()) -> First<Done> {
        ControlFlow::Break(Decision::wait("a test"))
    }
}

/// One account with a service a scenario.
pub(crate) struct Wire {
    moto: Moto,
    account: Account,
    /// Whose default action is a switch of the service at play.
    listener: String,
    /// A group that is nobody's.
    other: String,
    cloud: Cloud,
    codedeploy: Arc<CodeDeploy>,
    states: watch::Sender<Arc<State>>,
    events: Events,
    ops: Ops,
    _pipelines: CodePipeline,
    _logs: tempfile::TempDir,
    gateway: Gateway,
}

impl Wire {
    pub(crate) async fn set_up(scenarios: &[Scenario]) -> Self {
        let moto = Moto::start().await.unwrap_or_else(|error| panic!("{error}"));
        let gateway = Gateway::start(moto.address()).await.expect("a gateway");
        let behaviour = Behaviour {
            clock: Some(Clock::Stands),
            instances: Some(InstancesBy::Processes),
            targets: Some(TargetsBy::Probes),
            ..Behaviour::default()
        };
        moto.client().configure(&behaviour).await.expect("configured");
        let plans: Vec<_> = scenarios.iter().enumerate().map(|(n, it)| plan(it, n)).collect();
        let account = setup::set_up(&gateway.url(), 16, &plans, &[]).await.unwrap_or_else(|error| panic!("{error}"));

        let mut variables: BTreeMap<String, String> = scenarios
            .iter()
            .map(|it| (it.name.to_owned(), it.text(account.services[it.name].settings.clone())))
            .collect();
        variables.insert("TAGSHIP_BUCKET".to_owned(), account.bucket.clone());
        let access = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .region(Region::new(setup::REGION))
            .endpoint_url(gateway.url())
            .credentials_provider(Credentials::new("provision", "local", None, None, "test"));
        let cloud = Cloud::new(variables, access).await;

        let logs = tempfile::tempdir().expect("a directory");
        let lambda = Lambda::start(lambda::Config {
            account: account.account.clone(),
            region: setup::REGION.to_owned(),
            endpoint_url: gateway.url(),
            log_dir: logs.path().to_owned(),
            functions: Vec::new(),
        });
        let lambda = lambda.expect("a host without functions");
        let config = events::Config {
            account: account.account.clone(),
            region: setup::REGION.to_owned(),
            endpoint_url: gateway.url(),
            rules: Vec::new(),
            schedule: None,
        };
        let events = Events::start(config, lambda.clone());
        gateway.serve("lambda", Arc::new(lambda.clone()));
        gateway.serve("events", Arc::new(events.clone()));
        let config = codepipeline::Config {
            account: account.account.clone(),
            region: setup::REGION.to_owned(),
            endpoint_url: gateway.url(),
            timings: Timings::default(),
        };
        let pipelines = CodePipeline::start(config, lambda, events.clone());
        pipelines.keep(scenarios.iter().map(pipeline).collect());
        gateway.serve("codepipeline", Arc::new(pipelines.clone()));
        let states = watch::Sender::new(Arc::new(State::default()));
        let config = codedeploy::Config {
            agents: Agents::Polling { fetch: Duration::from_secs(3_600), poll: Duration::ZERO },
            account: account.account.clone(),
            region: setup::REGION.to_owned(),
        };
        let codedeploy = Arc::new(CodeDeploy::new(config, states.subscribe()));
        gateway.serve("codedeploy", codedeploy.clone());
        let ops = Ops::new(&gateway.url(), setup::REGION);
        let parameters = [
            ("LoadBalancerArn", account.load_balancer.as_str()),
            ("Protocol", "HTTP"),
            ("Port", "8000"),
            ("DefaultActions.member.1.Type", "fixed-response"),
            ("DefaultActions.member.1.FixedResponseConfig.StatusCode", "404"),
        ];
        let answer = ops.query("elasticloadbalancing", "CreateListener", &parameters).await.expect("a listener");
        let listener = text_in(&answer, "ListenerArn");
        let parameters = [("Name", "other"), ("Protocol", "HTTP"), ("Port", "80"), ("VpcId", account.vpc.as_str())];
        let answer = ops.query("elasticloadbalancing", "CreateTargetGroup", &parameters).await.expect("a group");
        let other = text_in(&answer, "TargetGroupArn");
        let (_pipelines, _logs) = (pipelines, logs);
        Self { moto, account, listener, other, cloud, codedeploy, states, events, ops, _pipelines, _logs, gateway }
    }

    /// What came of each move.
    pub(crate) async fn play(&self, scenario: &Scenario) -> Vec<Seen> {
        let mut play = Play::begin(self, scenario).await;
        let mut seen = Vec::new();
        for it in &scenario.moves {
            seen.push(play.make(it).await);
        }
        seen
    }

    async fn query(&self, service: &str, action: &str, parameters: &[(&str, &str)]) -> String {
        let answer = self.ops.query(service, action, parameters).await;
        answer.unwrap_or_else(|error| panic!("{error}"))
    }

    async fn pipeline(&self, operation: &str, body: Value) -> Value {
        self.ops.pipeline(operation, body).await.unwrap_or_else(|error| panic!("{error}"))
    }

    async fn deployments(&self, operation: &str, body: Value) -> Value {
        let answer = self.codedeploy.call("agent", operation, body).await;
        answer.unwrap_or_else(|error| panic!("{operation}: {error}"))
    }
}

fn port<P: Planner>(cloud: &Cloud) -> Aws<'_, P> {
    Aws::new(cloud, Instant::now() + Duration::from_secs(300), true)
}

/// What stands first in this element.
fn text_in(xml: &str, element: &str) -> String {
    let rest = xml.split(&format!("<{element}>")).nth(1).unwrap_or_else(|| panic!("no {element} in {xml}"));
    rest.split('<').next().unwrap_or_default().to_owned()
}

fn plan(scenario: &Scenario, n: usize) -> ServicePlan {
    let n = u32::try_from(n).expect("a few scenarios");
    let test = scenario.tested().then(|| (10 * (n + 1) - 1, "a-secret-of-16-or-more".to_owned()));
    let plan = ServicePlan::quick(scenario.name, &scenario.pipeline(), &format!("{n}.example.com"), 10 * (n + 1));
    ServicePlan { test, ..plan }
}
