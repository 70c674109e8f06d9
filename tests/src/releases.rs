//! A service's releases: uploaded, approved, rejected, awaited. What goes otherwise than told fails the
//! test with the pipeline's own words.

use crate::person::lookup;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;
use tagship_local::artifact::{Variant, pack};
use tagship_local::leftovers::leftovers;
use tagship_local::load::{Config, Load, Site};
use tagship_local::state::{Action, Instance, InstanceState, Rule, State};
use tagship_local::{Line, Local, Plan};

/// How often a test looks.
pub const LOOK: Duration = Duration::from_millis(100);

/// The private zone of [`Line::quick`]'s services.
pub const ZONE: &str = "cd.internal";

/// Brings up a cloud with these lines.
pub async fn cloud(lines: Vec<Line>) -> Local {
    start(Plan::new(lines)).await
}

/// Brings up a cloud.
pub async fn start(plan: Plan) -> Local {
    Local::start(plan).await.unwrap_or_else(|error| panic!("{error}"))
}

/// One service and the pipeline that releases it.
#[derive(Clone, Copy)]
pub struct Releases<'a> {
    /// Where.
    pub local: &'a Local,
    /// The service role.
    pub role: &'a str,
    /// The pipeline's name.
    pub pipeline: &'a str,
}

impl<'a> Releases<'a> {
    /// Those of a line's product.
    pub fn of(local: &'a Local, line: &'a Line) -> Self {
        Self { local, role: &line.product.service_role, pipeline: &line.pipeline }
    }

    /// Uploads a release; answers its execution.
    pub async fn upload(&self, version: &str, variant: Variant) -> String {
        let artifact = pack(version, variant).expect("an artifact");
        let bucket = &self.local.account.services[self.role].bucket;
        self.local.ops.release(self.pipeline, bucket, artifact).await.expect("an upload")
    }

    /// Waits for an approval, and approves.
    pub async fn approve(&self, execution: &str, action: &str) {
        self.answer(execution, action, true).await;
    }

    /// Waits for an approval, and rejects; the execution fails.
    pub async fn reject(&self, execution: &str, action: &str) {
        self.answer(execution, action, false).await;
    }

    async fn answer(&self, execution: &str, action: &str, approve: bool) {
        self.asked(execution, action).await;
        self.local.ops.answer(self.pipeline, action, approve, "so be it").await.expect("an answer taken");
    }

    /// Waits until an approval is asked for.
    pub async fn asked(&self, execution: &str, action: &str) {
        let asked = self.local.ops.await_approval(self.pipeline, execution, action).await.expect("a state");
        assert!(asked, "{action} was never asked for: {:?}", self.failures(execution).await);
    }

    /// Uploads a release that is approved throughout, and waits for its good end.
    pub async fn succeed(&self, version: &str) -> String {
        let execution = self.upload(version, Variant::Healthy).await;
        self.succeeds(&execution).await;
        execution
    }

    /// Approves an execution twice, and waits for its good end.
    pub async fn succeeds(&self, execution: &str) {
        self.approve(execution, "QaApproval").await;
        self.approve(execution, "FinalApproval").await;
        self.ends(execution, "Succeeded", "approved").await;
    }

    /// Waits for an execution's end and for the release's, which have to be these.
    pub async fn ends(&self, execution: &str, status: &str, how: &str) {
        let ended = self.local.ops.await_end(self.pipeline, execution).await.expect("an end");
        assert_eq!(ended, status, "{execution} of {}: {:?}", self.role, self.failures(execution).await);
        self.marked(execution, how).await;
    }

    /// Waits until the history has a release's end, which has to be this, and the release holds its service no more.
    pub async fn marked(&self, execution: &str, how: &str) {
        let key = format!("ended/{}/{execution}.json", self.role);
        let marker = loop {
            match self.object(&key).await {
                Some(marker) => break marker,
                None => tokio::time::sleep(LOOK).await,
            }
        };
        assert_eq!(marker["how"], how, "{execution} of {}", self.role);
        while self.hold().await.is_some_and(|hold| hold["release"] == execution) {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until a release holds the service; answers the hold.
    pub async fn held(&self, execution: &str) -> Value {
        loop {
            match self.hold().await {
                Some(hold) if hold["release"] == execution => return hold,
                _ => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// Waits until the service is free.
    pub async fn freed(&self) {
        while self.hold().await.is_some() {
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn hold(&self) -> Option<Value> {
        self.object(&format!("holds/{}.json", self.role)).await
    }

    async fn object(&self, key: &str) -> Option<Value> {
        let object = self.local.ops.object(&self.local.account.bucket, key).await;
        object.unwrap_or_else(|error| panic!("{key}: {error}"))
    }

    /// Each failed action of an execution: its failure's type and message.
    pub async fn failures(&self, execution: &str) -> BTreeMap<String, (String, String)> {
        let body = serde_json::json!({
            "pipelineName": self.pipeline, "filter": {"pipelineExecutionId": execution},
        });
        let answer = self.local.ops.pipeline("ListActionExecutions", body).await.expect("an answer");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let details = answer["actionExecutionDetails"].as_array().cloned().unwrap_or_default();
        let failed = details.iter().filter(|detail| detail["status"] == "Failed");
        failed
            .map(|detail| {
                let error = &detail["output"]["executionResult"]["errorDetails"];
                (text(&detail["actionName"]), (text(&error["code"]), text(&error["message"])))
            })
            .collect()
    }

    /// Waits until an execution fails by this action; answers the failure's type and message.
    pub async fn fails(&self, execution: &str, action: &str) -> (String, String) {
        let ended = self.local.ops.await_end(self.pipeline, execution).await.expect("an end");
        let mut failures = self.failures(execution).await;
        assert_eq!(ended, "Failed", "{execution} of {}: {failures:?}", self.role);
        failures.remove(action).unwrap_or_else(|| panic!("{action} is not what failed: {failures:?}"))
    }

    /// The fleet of a release, instances that are gone among it.
    pub fn fleet(&self, execution: &str) -> Vec<Instance> {
        let state = self.local.states.borrow();
        state.instances.iter().filter(|instance| self.is_of(execution, instance)).cloned().collect()
    }

    /// Whether an instance is one of a release's.
    pub fn is_of(&self, execution: &str, instance: &Instance) -> bool {
        let tag = |key: &str| instance.tags.get(key).map(String::as_str);
        (tag("tagship:service"), tag("tagship:release")) == (Some(self.role), Some(execution))
    }

    /// The ids of the fleet.
    pub fn ids(&self, execution: &str) -> BTreeSet<String> {
        self.fleet(execution).into_iter().map(|instance| instance.id).collect()
    }

    /// The private addresses of the fleet, sorted.
    pub fn ips(&self, execution: &str) -> Vec<Ipv4Addr> {
        let mut ips: Vec<Ipv4Addr> = self.fleet(execution).into_iter().map(|instance| instance.ip).collect();
        ips.sort_unstable();
        ips
    }

    /// Waits until all of the fleet's instances are in that state.
    pub async fn reaches(&self, execution: &str, state: InstanceState) {
        let is = |instance: &Instance| !self.is_of(execution, instance) || instance.state == state;
        self.local.until(|seen| seen.instances.iter().all(is)).await;
    }

    /// The addresses of `live` or `candidate` in the private zone, sorted.
    pub fn named(&self, which: &str) -> Vec<Ipv4Addr> {
        let label = self.role.to_lowercase().replace('_', "-");
        lookup(self.local.dns.address(), &format!("{which}.{label}.{ZONE}"))
    }

    /// The group of the pair that the live release isn't in.
    pub fn free_group(&self, live: &str) -> String {
        let (state, fleet) = (self.local.states.borrow().clone(), self.ids(live));
        let pair = &self.local.account.services[self.role].target_groups;
        let groups = state.target_groups.iter().filter(|group| pair.contains(&group.arn));
        let free = groups.filter(|group| !group.targets.iter().any(|target| fleet.contains(&target.id)));
        free.map(|group| group.arn.clone()).next().expect("a free group")
    }

    /// Whether every switch gives weight to targets of this release, and to no others.
    pub fn live(&self, state: &State, execution: &str) -> bool {
        let ours = state.instances.iter().filter(|instance| self.is_of(execution, instance));
        let fleet: Vec<_> = ours.map(|instance| &instance.id).collect();
        let service = &self.local.account.services[self.role];
        let rules = state.listeners.iter().flat_map(|listener| &listener.rules);
        let rules: Vec<_> = rules.filter(|rule| service.rules.contains(&rule.arn)).collect();
        let serves = |rule: &&Rule| {
            let groups = rule.actions.iter().flat_map(Action::groups);
            let weighted: Vec<_> = groups.filter(|group| group.weight > 0).map(|group| &group.arn).collect();
            let groups = state.target_groups.iter().filter(|group| weighted.contains(&&group.arn));
            let targets: Vec<_> = groups.flat_map(|group| &group.targets).collect();
            !targets.is_empty() && targets.iter().all(|target| fleet.contains(&&target.id))
        };
        !rules.is_empty() && rules.iter().all(serves)
    }

    /// Waits until a release is live.
    pub async fn goes_live(&self, execution: &str) {
        self.local.until(|state| self.live(state, execution)).await;
    }

    /// Asserts that nothing is left but this release, and that it serves.
    pub async fn assert_alone(&self, execution: &str) {
        self.freed().await;
        let left = leftovers(self.local, self.role, Some(execution)).await.expect("an answer");
        assert_eq!(left, Vec::<String>::new());
        let state = self.local.states.borrow().clone();
        assert!(self.live(&state, execution), "{execution} does not serve: {:?}", state.listeners);
    }

    /// Constant requests through both listeners.
    pub async fn load(&self, host: &str) -> Load {
        let balancer = self.local.balancer.as_ref().expect("a balancer");
        let mut sites = Vec::new();
        for listener in [&self.local.account.http_listener, &self.local.account.https_listener] {
            let address = balancer.address(listener).await;
            sites.push(Site { address, host: host.to_owned(), path: "/".to_owned() });
        }
        Load::start(&Config { sites, rate: 20, connections: 2, timeout: Duration::from_secs(10) })
    }
}
