//! One scenario through the adapter: its steps, and what each release then sees.

use super::{Everything, Wire, port};
use crate::looks::{LOOKERS, Look, Seen, admitted, first, open_eyed, then};
use crate::names::Names;
use crate::scenario::{Act, Move, Scenario, release, settings};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use tagship::notify::Notice;
use tagship::settings::{Ami, Choice, Eip, TargetGroup};
use tagship::{
    Action, Artifact, CallId, Error, Holding, HookAnswer, Job, Parts, Planner, Port, ReleaseId, Step, Visit, World,
    actions,
};
use tagship_local::moto::Behaviour;
use tagship_local::setup::ServiceStack;
use tagship_sim::cloud::Build;

/// One scenario's service on the wire.
pub(super) struct Play<'a> {
    pub(super) wire: &'a Wire,
    pub(super) scenario: &'a Scenario,
    pub(super) stack: &'a ServiceStack,
    pub(super) names: Names,
    holding: Holding,
    pub(super) builds: BTreeMap<ReleaseId, Build>,
    /// Instances whose artifact is installed, and of which release.
    pub(super) installed: BTreeMap<String, ReleaseId>,
    pub(super) sick: BTreeSet<String>,
}

impl<'a> Play<'a> {
    pub(super) async fn begin(wire: &'a Wire, scenario: &'a Scenario) -> Self {
        let stack = &wire.account.services[scenario.name];
        let real = settings(&scenario.role(), &scenario.text(stack.settings.clone()));
        let named = scenario.named_settings();
        let mut names = Names::new(real.clone(), named.clone());
        let pairs = [(&named.subnet, &real.subnet), (&named.sg, &real.sg)];
        for (named, real) in pairs {
            let (Choice::Ids(named), Choice::Ids(real)) = (named, real) else { panic!("settings are resolved") };
            named.iter().zip(real).for_each(|(name, id)| names.bind(name, id));
        }
        let (Ami::Id(name), Ami::Id(id)) = (&named.ami, &real.ami) else { panic!("settings are resolved") };
        names.bind(name, id);
        names.bind(&named.instance_profile, &real.instance_profile);
        for (name, arn) in ["a", "b"].into_iter().zip(&stack.target_groups) {
            names.bind(name, arn);
        }
        names.bind("other", &wire.other);
        for (name, arn) in ["http", "https"].into_iter().zip(&stack.rules) {
            names.bind(name, arn);
        }
        stack.test_rule.iter().for_each(|arn| names.bind("test", arn));
        let mut play = Self {
            wire,
            scenario,
            stack,
            names,
            holding: Holding::default(),
            builds: BTreeMap::new(),
            installed: BTreeMap::new(),
            sick: BTreeSet::new(),
        };
        let plenty = Behaviour { capacity: Some(Vec::new()), address_limit: Some(1_000), ..Behaviour::default() };
        wire.moto.client().configure(&plenty).await.expect("configured");
        play.listen().await;
        play.make_pool().await;
        let group = json!({"applicationName": real.deploy.application, "deploymentGroupName": real.deploy.group,
            "serviceRoleArn": "arn:aws:iam::123456789012:role/codedeploy"});
        wire.deployments("CreateApplication", group.clone()).await;
        wire.deployments("CreateDeploymentGroup", group).await;
        for of in &scenario.releases {
            wire.ops.upload(&stack.bucket, of, b"a zip".to_vec()).await.expect("an artifact");
        }
        play
    }

    /// One of the account's listeners is for whoever plays: its default action is a switch too.
    async fn listen(&mut self) {
        if matches!(self.scenario.named_settings().target_group, TargetGroup::Pair(_)) {
            self.names.bind("default", &self.wire.listener);
            let tag = [
                ("ResourceArns.member.1", self.wire.listener.as_str()),
                ("Tags.member.1.Key", tagship::TAG_SERVICE),
                ("Tags.member.1.Value", self.scenario.name),
            ];
            self.wire.query("elasticloadbalancing", "AddTags", &tag).await;
            self.turn("default", &[("a", 100), ("b", 0)]).await;
        }
    }

    /// Two fleets' worth of addresses, where the settings name a pool.
    async fn make_pool(&self) {
        let settings = self.scenario.named_settings();
        if !matches!(settings.eip, Eip::Pool(_)) {
            return;
        }
        for _ in 0..2 * settings.count {
            let tag = "TagSpecification.1.Tag.1";
            let parameters = [
                ("Domain", "vpc"),
                ("TagSpecification.1.ResourceType", "elastic-ip"),
                (&format!("{tag}.Key"), tagship::TAG_SERVICE),
                (&format!("{tag}.Value"), self.scenario.name),
            ];
            self.wire.query("ec2", "AllocateAddress", &parameters).await;
        }
    }

    pub(super) async fn make(&mut self, it: &Move) -> Seen {
        self.names.now = Timestamp::now();
        let (it, unseen) = it.parts();
        let mut seen = Seen::default();
        match it {
            Move::Step(step) => {
                let (applied, requests) = self.step(step).await;
                (seen.refused, seen.requests) = (applied.err().map(|error| error.kind), requests);
            }
            Move::Act(act) => self.act(act).await,
            Move::Unseen(_) => unreachable!("unseen once is enough"),
        }
        if unseen {
            return seen;
        }
        let by_all = matches!(it, Move::Act(Act::Look));
        for of in self.scenario.watchers(by_all) {
            seen.looks.extend(self.look(of, by_all).await);
        }
        seen
    }

    async fn step(&mut self, step: &Step) -> (Result<(), Error>, Vec<String>) {
        let step = self.names.real_step(step);
        if matches!(step, Step::CreateDeployment { .. }) {
            self.refresh().await;
        }
        let of = self.names.real_release(&release(self.scenario.releases[0]));
        let port = port::<Everything>(&self.wire.cloud);
        // As the loop does: it reads the hold again before each change.
        let holding = port.holding(&self.scenario.role(), &of, true).await;
        self.holding = holding.unwrap_or_else(|error| panic!("{error}"));
        let job = self.job(Action::Provision, &of);
        let (holding, parts, began) = (&self.holding, Parts::NONE, Timestamp::now());
        let settings = holding.held.as_ref().map(|held| &held.hold.settings);
        let look = tagship::Look { job: &job, holding, settings, parts, began };
        let mut told = self.wire.events.listen();
        self.wire.gateway.recorder().take();
        let applied = port.apply(&look, &step).await;
        if let Step::CallHook(call) = &step {
            hook_answers(&port, &look, call.id).await;
        }
        let requests = self.requests();
        if let Err(error) = &applied {
            // Shown if the test fails.
            println!("{}: wire: {error}", self.scenario.name);
        }
        if let (Step::Abandon { release, pipeline, action, reason }, Ok(_)) = (&step, &applied) {
            let notice = Notice::abandoned(&self.scenario.role(), release, pipeline, *action, reason);
            let event = told.recv().await.expect("an event");
            let detail: Value = serde_json::from_str(&notice.detail()).expect("JSON");
            assert_eq!((&event["source"], &event["detail-type"]), (&json!("tagship"), &json!("Release Abandoned")));
            assert_eq!(event["detail"], detail);
        }
        (applied.map(drop), requests)
    }

    /// What the adapter has called since the recorder was emptied, sorted.
    fn requests(&self) -> Vec<String> {
        let records = self.wire.gateway.recorder().take().into_iter();
        let mut operations: Vec<String> =
            records.filter(|record| record.caller == CALLER).map(|record| record.operation).collect();
        operations.sort();
        operations
    }

    fn job(&self, action: Action, release: &ReleaseId) -> Job {
        let input =
            self.scenario.releases.iter().find(|name| self.names.real_release(&self::release(name)) == *release);
        let input = input.map(|key| Artifact {
            bucket: self.stack.bucket.clone(),
            key: (*key).to_owned(),
            version: None,
            etag: None,
        });
        let (role, pipeline) = (self.scenario.role(), self.scenario.pipeline());
        Job { role, release: release.clone(), pipeline, action, input }
    }

    async fn look(&mut self, of: &'static str, by_all: bool) -> Vec<Look> {
        let id = self.names.real_release(&release(of));
        let holding = port::<Everything>(&self.wire.cloud).holding(&self.scenario.role(), &id, false).await;
        let holding = holding.unwrap_or_else(|error| panic!("{error}"));
        let named = self.names.holding(&holding);
        let mut looks = Vec::new();
        let stages = LOOKERS.into_iter().filter(|_| by_all).map(Some);
        for stage in [None].into_iter().chain(stages) {
            let by = match stage {
                None => open_eyed(&id, &holding),
                Some(action) => Some(action).filter(|action| admitted(*action, &id, &holding)),
            };
            let (world, requests, again) = match by {
                None => (None, Vec::new(), Vec::new()),
                Some(action) => {
                    let observe = Observe { play: self, stage, job: &self.job(action, &id), holding: &holding };
                    let (world, requests, again) = match stage {
                        None => observe.visit::<Everything>().await,
                        Some(action) => actions::visit(action, observe).await,
                    };
                    (Some(world.map(|world| self.names.world(world)).map_err(|error| error.kind)), requests, again)
                }
            };
            looks.push(Look { release: of, stage, holding: named.clone(), world, requests, again });
        }
        looks
    }
}

/// Waits for the answer of the hook that was called: there is no function, which is told to its caller.
async fn hook_answers(port: &impl Port, look: &tagship::Look<'_>, id: CallId) {
    loop {
        let look = tagship::Look { parts: Parts::HOOK, ..*look };
        let called = port.observe(&look).await.expect("a world").hook.expect("a call");
        assert_eq!(called.id, id);
        match called.answer {
            None => tokio::task::yield_now().await,
            Some(answer) => return assert!(matches!(answer, HookAnswer::Failed(_)), "{answer:?}"),
        }
    }
}

/// Looks twice, as an invocation of the action's own binary does, and tells what the looks were on the wire.
struct Observe<'o, 'a> {
    play: &'o Play<'a>,
    stage: Option<Action>,
    job: &'o Job,
    holding: &'o Holding,
}

type Observed = (Result<World, Error>, Vec<String>, Vec<String>);

impl<'o> Visit for Observe<'o, '_> {
    type Out = Pin<Box<dyn Future<Output = Observed> + 'o>>;

    fn visit<P: Planner>(self) -> Self::Out {
        Box::pin(async move {
            let port = port::<P>(&self.play.wire.cloud);
            self.play.wire.gateway.recorder().take();
            let world = self.world(&port).await;
            let requests = self.play.requests();
            let _ = self.world(&port).await;
            (world, requests, self.play.requests())
        })
    }
}

impl Observe<'_, '_> {
    /// As the simulator's twin does: first what tells the settings, then the service.
    async fn world(&self, port: &impl Port) -> Result<World, Error> {
        let (job, holding) = (self.job, self.holding);
        let reads = self.stage.map_or(Parts::ALL, actions::reads);
        let look = |settings, parts| tagship::Look { job, holding, settings, parts, began: Timestamp::now() };
        let own = holding.held.as_ref().map(|held| &held.hold).filter(|hold| hold.release == job.release);
        let mut world = World::default();
        let begins = first(reads, job.action, &job.release, holding);
        if !begins.is_empty() {
            world.add(begins, port.observe(&look(None, begins)).await?);
        }
        let offered = world.offer.as_ref().map(|offer| offer.settings.clone());
        if let Some(settings) = own.map(|hold| hold.settings.clone()).or(offered) {
            let chosen = own.is_some_and(|hold| hold.artifact.is_some());
            for parts in then(reads, &settings, own.is_some(), chosen) {
                world.add(parts, port.observe(&look(Some(&settings), parts)).await?);
            }
        }
        Ok(world)
    }
}

/// The adapter's access key.
const CALLER: &str = "provision";
