//! The parts of the local cloud together, without tagship: two fleets' lives as a person leads them, launched, installed,
//! balanced, moved over and ended, and not a request is lost.

use serde_json::{Value, json};
use std::time::Duration;
use tagship_local::artifact::{Variant, pack};
use tagship_local::load::{Config, Load, Site};
use tagship_local::setup::ServiceStack;
use tagship_local::state::{InstanceState, State, TargetState};
use tagship_local::{Line, Local, Plan};

const ROLE: &str = "MZUM_WEB_PRODUCT";
const PIPELINE: &str = "mzum-web";
const HOST: &str = "web.example.com";
const LOOK: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread")]
async fn two_releases_one_after_the_other_lose_no_request() {
    let node_delays = vec![Duration::from_millis(50), Duration::from_millis(150)];
    let plan = Plan { node_delays, ..Plan::new(vec![Line::quick(PIPELINE, ROLE, HOST, 1)]) };
    let local = Local::start(plan).await.unwrap_or_else(|error| panic!("{error}"));
    let person = Person { local: &local, service: &local.account.services[ROLE] };

    person.brings_up("r1", 0).await;
    let load = person.visits().await;
    served_by("r1", &load).await;
    person.brings_up("r2", 1).await;
    served_by("r2", &load).await;
    person.ends("r1", 0).await;

    // r2: an agent, the application and the shell that waits for it each.
    assert_eq!(local.processes(), 6);
    let tally = load.stop().await;
    assert_eq!(tally.failures, []);
    assert_eq!(tally.by_version.keys().collect::<Vec<_>>(), ["r1", "r2"]);
}

/// Who does by hand what tagship does.
struct Person<'a> {
    local: &'a Local,
    service: &'a ServiceStack,
}

impl Person<'_> {
    /// A release in a group of the pair, from its launch to all of the traffic.
    async fn brings_up(&self, release: &str, group: usize) {
        self.launches(release).await;
        self.installs(release).await;
        self.registers(release, group).await;
        self.moves_every_switch_to(group).await;
    }

    async fn launches(&self, release: &str) {
        let account = &self.local.account;
        let launch = [
            ("ImageId", account.image.as_str()),
            ("SubnetId", &account.subnets[0]),
            ("SecurityGroupId.1", &self.service.security_group),
            ("InstanceType", "t3.micro"),
            ("MinCount", "2"),
            ("MaxCount", "2"),
            ("ClientToken", release),
            ("TagSpecification.1.ResourceType", "instance"),
            ("TagSpecification.1.Tag.1.Key", "release"),
            ("TagSpecification.1.Tag.1.Value", release),
        ];
        self.query("ec2", "RunInstances", &launch).await;
        let runs = |state: &State| {
            let fleet = fleet_of(state, release);
            fleet.len() == 2 && fleet.iter().all(|(_, state)| *state == InstanceState::Running)
        };
        self.local.until(runs).await;
    }

    async fn installs(&self, release: &str) {
        let (bucket, key) = (&self.service.bucket, format!("{release}.zip"));
        self.local.ops.upload(bucket, &key, pack(release, Variant::Healthy).expect("a zip")).await.expect("uploaded");
        let filter = json!([[{"Key": "release", "Value": release, "Type": "KEY_AND_VALUE"}]]);
        let update = json!({
            "applicationName": PIPELINE, "currentDeploymentGroupName": ROLE, "ec2TagSet": {"ec2TagSetList": filter},
        });
        self.codedeploy("UpdateDeploymentGroup", update).await;
        let create = json!({
            "applicationName": PIPELINE, "deploymentGroupName": ROLE, "description": release,
            "deploymentConfigName": "CodeDeployDefault.AllAtOnce",
            "revision": {"revisionType": "S3", "s3Location": {"bucket": bucket, "key": key, "bundleType": "zip"}},
        });
        let id = json!({"deploymentId": self.codedeploy("CreateDeployment", create).await["deploymentId"]});
        loop {
            let info = self.codedeploy("GetDeployment", id.clone()).await["deploymentInfo"].clone();
            if info["status"] != "InProgress" {
                assert_eq!(info["deploymentOverview"]["Succeeded"], 2, "{info}");
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Registers the fleet, and waits for the probes to find it healthy.
    async fn registers(&self, release: &str, group: usize) {
        let arn = &self.service.target_groups[group];
        self.query("elasticloadbalancing", "RegisterTargets", &targets(arn, &self.ids(release))).await;
        let healthy = |state: &State| {
            let group = state.target_groups.iter().find(|group| group.arn == *arn).expect("the group");
            group.targets.len() == 2 && group.targets.iter().all(|target| target.state == TargetState::Healthy)
        };
        self.local.until(healthy).await;
    }

    async fn moves_every_switch_to(&self, group: usize) {
        const TUPLES: &str = "Actions.member.1.ForwardConfig.TargetGroups.member";
        for rule in &self.service.rules {
            let mut form = vec![("RuleArn".to_owned(), rule.as_str()), ("Actions.member.1.Type".to_owned(), "forward")];
            for (n, arn) in self.service.target_groups.iter().enumerate() {
                form.push((format!("{TUPLES}.{}.TargetGroupArn", n + 1), arn));
                form.push((format!("{TUPLES}.{}.Weight", n + 1), if n == group { "1" } else { "0" }));
            }
            let form: Vec<_> = form.iter().map(|(key, value)| (key.as_str(), *value)).collect();
            self.query("elasticloadbalancing", "ModifyRule", &form).await;
        }
    }

    /// Deregisters and terminates a fleet, and waits until it is gone.
    async fn ends(&self, release: &str, group: usize) {
        let ids = self.ids(release);
        let arn = &self.service.target_groups[group];
        self.query("elasticloadbalancing", "DeregisterTargets", &targets(arn, &ids)).await;
        let ids = [("InstanceId.1", ids[0].as_str()), ("InstanceId.2", &ids[1])];
        self.query("ec2", "TerminateInstances", &ids).await;
        let gone =
            |state: &State| fleet_of(state, release).iter().all(|(_, state)| *state == InstanceState::Terminated);
        self.local.until(gone).await;
    }

    /// Constant requests, from the moment that both nodes of both listeners serve.
    async fn visits(&self) -> Load {
        let (account, http) = (&self.local.account, reqwest::Client::new());
        let balancer = self.local.balancer.as_ref().expect("a balancer");
        let mut sites = Vec::new();
        for listener in [&account.http_listener, &account.https_listener] {
            let address = balancer.address(listener).await;
            let mut served = 0;
            while served < 4 {
                let asked = http.get(format!("http://{address}/")).header("host", HOST).send().await;
                served = if asked.expect("an answer").status() == 200 { served + 1 } else { 0 };
            }
            sites.push(Site { address, host: HOST.into(), path: "/".into() });
        }
        Load::start(&Config { sites, rate: 200, connections: 2, timeout: Duration::from_secs(30) })
    }

    fn ids(&self, release: &str) -> Vec<String> {
        fleet_of(&self.local.states.borrow(), release).into_iter().map(|(id, _)| id).collect()
    }

    async fn query(&self, service: &str, action: &str, form: &[(&str, &str)]) {
        self.local.ops.query(service, action, form).await.unwrap_or_else(|error| panic!("{error}"));
    }

    async fn codedeploy(&self, operation: &str, body: Value) -> Value {
        let target = format!("CodeDeploy_20141006.{operation}");
        self.local.ops.json("codedeploy", &target, body).await.unwrap_or_else(|error| panic!("{error}"))
    }
}

fn fleet_of(state: &State, release: &str) -> Vec<(String, InstanceState)> {
    let ours = state.instances.iter().filter(|instance| instance.tags.get("release").is_some_and(|tag| tag == release));
    ours.map(|instance| (instance.id.clone(), instance.state)).collect()
}

fn targets<'a>(group: &'a str, fleet: &'a [String]) -> [(&'a str, &'a str); 3] {
    [("TargetGroupArn", group), ("Targets.member.1.Id", &fleet[0]), ("Targets.member.2.Id", &fleet[1])]
}

/// Waits until every request of 40 in a row was served by this release.
async fn served_by(release: &str, load: &Load) {
    let seen = || load.tally().by_version.get(release).copied().unwrap_or(0);
    let (mut others, mut ours) = (u64::MAX, 0);
    while seen() < ours + 40 {
        let now = load.tally().requests - seen();
        if now != others {
            (others, ours) = (now, seen());
        }
        tokio::time::sleep(LOOK).await;
    }
}
