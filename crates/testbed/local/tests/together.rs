//! A fleet's whole life through the gateway: launched, installed, balanced, moved over and ended,
//! with real processes behind the emulator's API.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tagship_local::artifact::{Variant, pack};
use tagship_local::balancer::{self, Balancer};
use tagship_local::codedeploy::{self, Agents, CodeDeploy};
use tagship_local::gateway::Gateway;
use tagship_local::instances::{self, Instances};
use tagship_local::load::{self, Load, Site};
use tagship_local::moto::{Behaviour, InstancesBy, Moto, TargetsBy};
use tagship_local::network::Network;
use tagship_local::probe::{self, Probes};
use tagship_local::setup::{self, ServicePlan};
use tagship_local::state::{InstanceState, State, TargetState};
use tokio::sync::{mpsc, watch};

const ROLE: &str = "MZUM_WEB_PRODUCT";

struct Aws {
    url: String,
    http: reqwest::Client,
}

impl Aws {
    async fn send(&self, service: &str, request: reqwest::RequestBuilder) -> String {
        let signature =
            format!("AWS4-HMAC-SHA256 Credential=ops/20260101/us-east-1/{service}/aws4_request, Signature=0");
        let response = request.header("authorization", signature).send().await.expect("an answer");
        let status = response.status();
        let body = response.text().await.expect("a body");
        assert!(status.is_success(), "{service}: {status} {body}");
        body
    }

    async fn query(&self, service: &str, action: &str, params: &[(&str, &str)]) -> String {
        let version = if service == "ec2" { "2016-11-15" } else { "2015-12-01" };
        let mut form = format!("Action={action}&Version={version}");
        for (name, value) in params {
            form += &format!("&{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC));
        }
        let request = self.http.post(&self.url).header("content-type", "application/x-www-form-urlencoded");
        self.send(service, request.body(form)).await
    }

    async fn deploy(&self, operation: &str, body: Value) -> Value {
        let request = self.http.post(&self.url).header("x-amz-target", format!("CodeDeploy_20141006.{operation}"));
        serde_json::from_str(&self.send("codedeploy", request.body(body.to_string())).await).expect("JSON")
    }
}

/// Waits until the state says so.
async fn when(states: &watch::Receiver<Arc<State>>, met: impl FnMut(&Arc<State>) -> bool) {
    states.clone().wait_for(met).await.expect("a state");
}

fn release_of(state: &State, release: &str) -> Vec<(String, InstanceState)> {
    let ours = state.instances.iter().filter(|i| i.tags.get("release").map(String::as_str) == Some(release));
    ours.map(|instance| (instance.id.clone(), instance.state)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_releases_one_after_the_other_lose_no_request() {
    let network = Network::claim().expect("a VPC");
    let moto = Moto::start().await.unwrap_or_else(|error| panic!("{error}"));
    let gateway = Gateway::start(moto.address()).await.expect("a gateway");
    let behaviour =
        Behaviour { instances: Some(InstancesBy::Processes), targets: Some(TargetsBy::Probes), ..Behaviour::default() };
    moto.client().configure(&behaviour).await.expect("configured");
    let states = moto.client().watch(Duration::from_millis(20)).await.expect("states");
    let agents = Agents::Polling { fetch: Duration::from_secs(60), poll: Duration::from_secs(5) };
    let config = codedeploy::Config { agents, account: "123456789012".into(), region: setup::REGION.into() };
    let codedeploy = Arc::new(CodeDeploy::new(config, states.clone()));
    gateway.serve("codedeploy", codedeploy.clone());
    gateway.serve("codedeploy-commands", codedeploy);
    let disks = tempfile::tempdir().expect("a directory");
    let fleet = Instances::start(
        instances::Config {
            program: env!("CARGO_BIN_EXE_tagship-local").into(),
            endpoint: gateway.url(),
            report: format!("http://{}/tagship/instance", moto.address()),
            root: disks.path().to_owned(),
            boot: Duration::ZERO,
            shutdown: Duration::from_secs(5),
            region: setup::REGION.into(),
        },
        states.clone(),
    );
    let delays = vec![Duration::from_millis(50), Duration::from_millis(150)];
    let balancing = balancer::Config { node_delays: delays, ..balancer::Config::default() };
    let balancer = Balancer::start(balancing, states.clone());
    let (report, reports) = mpsc::unbounded_channel();
    let _probes = Probes::start(states.clone(), report);
    tokio::spawn(probe::post(format!("http://{}/tagship/health", moto.address()), reports));
    let plan = [ServicePlan::quick(ROLE, "mzum-web", "web.example.com", 1)];
    let account = setup::set_up(&gateway.url(), network.octet(), &plan).await.unwrap_or_else(|error| panic!("{error}"));
    let service = &account.services[ROLE];
    let aws = Aws { url: gateway.url(), http: reqwest::Client::new() };
    aws.deploy("CreateApplication", json!({"applicationName": "web"})).await;
    let role = "arn:aws:iam::123456789012:role/codedeploy";
    let group = json!({"applicationName": "web", "deploymentGroupName": "web", "serviceRoleArn": role});
    aws.deploy("CreateDeploymentGroup", group).await;

    let mut load: Option<Load> = None;
    for (release, to) in [("r1", 0), ("r2", 1)] {
        // Launch, wait for the processes.
        let launch = [
            ("ImageId", account.image.as_str()),
            ("SubnetId", &account.subnets[0]),
            ("SecurityGroupId.1", &service.security_group),
            ("InstanceType", "t3.micro"),
            ("MinCount", "2"),
            ("MaxCount", "2"),
            ("ClientToken", release),
            ("TagSpecification.1.ResourceType", "instance"),
            ("TagSpecification.1.Tag.1.Key", "release"),
            ("TagSpecification.1.Tag.1.Value", release),
        ];
        aws.query("ec2", "RunInstances", &launch).await;
        when(&states, |state| {
            let ours = release_of(state, release);
            ours.len() == 2 && ours.iter().all(|(_, state)| *state == InstanceState::Running)
        })
        .await;
        // Install.
        let key = format!("{release}.zip");
        let url = format!("{}/{}/{key}", gateway.url(), service.bucket);
        aws.send("s3", aws.http.put(url).body(pack(release, Variant::Healthy).expect("a zip"))).await;
        let filter = json!([[{"Key": "release", "Value": release, "Type": "KEY_AND_VALUE"}]]);
        let update = json!({
            "applicationName": "web", "currentDeploymentGroupName": "web", "ec2TagSet": {"ec2TagSetList": filter},
        });
        aws.deploy("UpdateDeploymentGroup", update).await;
        let location = json!({"bucket": service.bucket, "key": key, "bundleType": "zip"});
        let create = json!({
            "applicationName": "web", "deploymentGroupName": "web", "description": release,
            "deploymentConfigName": "CodeDeployDefault.AllAtOnce",
            "revision": {"revisionType": "S3", "s3Location": location},
        });
        let id = json!({"deploymentId": aws.deploy("CreateDeployment", create).await["deploymentId"]});
        loop {
            let info = aws.deploy("GetDeployment", id.clone()).await["deploymentInfo"].clone();
            if info["status"] != "InProgress" {
                assert_eq!(info["deploymentOverview"]["Succeeded"], 2, "{info}");
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // Register, wait for the probes.
        let fleet: Vec<String> = release_of(&states.borrow(), release).into_iter().map(|(id, _)| id).collect();
        let targets = [
            ("TargetGroupArn", service.target_groups[to].as_str()),
            ("Targets.member.1.Id", &fleet[0]),
            ("Targets.member.2.Id", &fleet[1]),
        ];
        aws.query("elasticloadbalancing", "RegisterTargets", &targets).await;
        when(&states, |state| {
            let group = state.target_groups.iter().find(|group| group.arn == service.target_groups[to]);
            group.is_some_and(|g| g.targets.len() == 2 && g.targets.iter().all(|t| t.state == TargetState::Healthy))
        })
        .await;
        // Move every switch.
        for rule in &service.rules {
            let weights = if to == 0 { ["1", "0"] } else { ["0", "1"] };
            let tuples = "Actions.member.1.ForwardConfig.TargetGroups.member";
            let [arn1, weight1] = ["TargetGroupArn", "Weight"].map(|key| format!("{tuples}.1.{key}"));
            let [arn2, weight2] = ["TargetGroupArn", "Weight"].map(|key| format!("{tuples}.2.{key}"));
            let action = [
                ("RuleArn", rule.as_str()),
                ("Actions.member.1.Type", "forward"),
                (&arn1, &service.target_groups[0]),
                (&weight1, weights[0]),
                (&arn2, &service.target_groups[1]),
                (&weight2, weights[1]),
            ];
            aws.query("elasticloadbalancing", "ModifyRule", &action).await;
        }
        // Load, from the moment that the first release serves on both nodes.
        let running = match load.take() {
            Some(load) => load,
            None => {
                let mut sites = Vec::new();
                for listener in [&account.http_listener, &account.https_listener] {
                    let address = balancer.address(listener).await;
                    let url = format!("http://{address}/");
                    let mut served = 0;
                    while served < 4 {
                        let asked = aws.http.get(&url).header("host", "web.example.com").send().await;
                        served = if asked.expect("an answer").status() == 200 { served + 1 } else { 0 };
                    }
                    sites.push(Site { address, host: "web.example.com".into(), path: "/".into() });
                }
                let timeout = Duration::from_secs(30);
                Load::start(&load::Config { sites, rate: 200, connections: 2, timeout })
            }
        };
        // Until every request of 40 in a row was served by this release.
        let seen = |release: &str| running.tally().by_version.get(release).copied().unwrap_or(0);
        let (mut others, mut ours) = (u64::MAX, 0);
        while seen(release) < ours + 40 {
            let now = running.tally().requests - seen(release);
            if now != others {
                (others, ours) = (now, seen(release));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        load = Some(running);
    }
    // Retire the first: deregister, and terminate what is drained.
    let old: Vec<String> = release_of(&states.borrow(), "r1").into_iter().map(|(id, _)| id).collect();
    let targets = [
        ("TargetGroupArn", service.target_groups[0].as_str()),
        ("Targets.member.1.Id", &old[0]),
        ("Targets.member.2.Id", &old[1]),
    ];
    aws.query("elasticloadbalancing", "DeregisterTargets", &targets).await;
    let ids = [("InstanceId.1", old[0].as_str()), ("InstanceId.2", &old[1])];
    aws.query("ec2", "TerminateInstances", &ids).await;
    when(&states, |state| release_of(state, "r1").iter().all(|(_, state)| *state == InstanceState::Terminated)).await;
    // r2: an agent, the application and the shell that waits for it each.
    assert_eq!(fleet.processes(), 6);
    let tally = load.take().expect("load").stop().await;
    assert_eq!(tally.failures, []);
    assert_eq!(tally.by_version.keys().collect::<Vec<_>>(), ["r1", "r2"]);
    drop(fleet);
}
