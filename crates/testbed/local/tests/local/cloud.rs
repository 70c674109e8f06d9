//! CodeDeploy behind the real gateway, real instances, and just enough of S3 and EC2 behind it.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tagship_local::codedeploy::{Agents, CodeDeploy, Config};
use tagship_local::gateway::Gateway;
use tagship_local::instances::{self, Instances};
use tagship_local::state::State;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) struct Cloud {
    pub(crate) gateway: Gateway,
    pub(crate) states: watch::Sender<Arc<State>>,
    objects: Objects,
    emulator: std::net::SocketAddr,
    disks: tempfile::TempDir,
    _tasks: JoinSet<()>,
}

type Objects = Arc<Mutex<HashMap<String, Bytes>>>;

#[derive(Clone)]
struct Emulator {
    objects: Objects,
    states: watch::Sender<Arc<State>>,
}

impl Cloud {
    /// `count` instances with the tag `release=r1`, still pending, on addresses that are free.
    pub(crate) async fn start(count: usize, agents: Agents) -> Self {
        let mut instances = Vec::new();
        for n in 1..=count {
            instances.push(json!({
                "id": format!("i-{n}"), "ip": free_address().await, "state": "pending", "tags": {"release": "r1"},
            }));
        }
        let state: State = serde_json::from_value(json!({"instances": instances})).unwrap();
        let states = watch::Sender::new(Arc::new(state));
        let objects = Objects::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let emulator = listener.local_addr().unwrap();
        let routes = Router::new()
            .route("/tagship/instance", post(report))
            .route("/artifacts/{*key}", get(object))
            .with_state(Emulator { objects: objects.clone(), states: states.clone() });
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        let gateway = Gateway::start(emulator).await.unwrap();
        let config = Config { agents, account: "123456789012".into(), region: "eu-west-1".into() };
        let codedeploy = Arc::new(CodeDeploy::new(config, states.subscribe()));
        gateway.serve("codedeploy", codedeploy.clone());
        gateway.serve("codedeploy-commands", codedeploy);
        let disks = tempfile::tempdir().unwrap();
        let cloud = Self { gateway, states, objects, emulator, disks, _tasks: tasks };
        cloud.ok("CreateApplication", json!({"applicationName": "web"})).await;
        let group = json!({
            "applicationName": "web", "deploymentGroupName": "web", "serviceRoleArn": "arn:aws:iam::123456789012:role/r",
            "ec2TagSet": {"ec2TagSetList": [[{"Key": "release", "Value": "r1", "Type": "KEY_AND_VALUE"}]]},
        });
        cloud.ok("CreateDeploymentGroup", group).await;
        cloud
    }

    /// Plays the instances and waits until all are running.
    pub(crate) async fn boot(&self) -> Instances {
        let instances = self.play();
        self.all_are("running").await;
        instances
    }

    /// Plays the instances.
    pub(crate) fn play(&self) -> Instances {
        let config = instances::Config {
            program: env!("CARGO_BIN_EXE_tagship-local").into(),
            endpoint: self.gateway.url(),
            report: format!("http://{}/tagship/instance", self.emulator),
            root: self.disks.path().to_owned(),
            boot: Duration::ZERO,
            shutdown: Duration::from_secs(5),
            region: "eu-west-1".into(),
        };
        Instances::start(config, self.states.subscribe())
    }

    /// Sets the state that EC2 would show.
    pub(crate) fn set_all(&self, state: &str) {
        let wanted = serde_json::from_value(json!(state)).unwrap();
        self.states.send_modify(|all| {
            for instance in &mut Arc::make_mut(all).instances {
                instance.state = wanted;
            }
        });
    }

    pub(crate) async fn all_are(&self, state: &str) {
        let wanted = serde_json::from_value(json!(state)).unwrap();
        let mut states = self.states.subscribe();
        states.wait_for(|all| all.instances.iter().all(|i| i.state == wanted)).await.unwrap();
    }

    pub(crate) fn address(&self, n: usize) -> Ipv4Addr {
        self.states.borrow().instances[n].ip
    }

    /// The instance's disk.
    pub(crate) fn disk(&self, instance: &str) -> std::path::PathBuf {
        self.disks.path().join(instance)
    }

    pub(crate) async fn call(&self, operation: &str, body: Value) -> Result<Value, String> {
        let response = reqwest::Client::new()
            .post(self.gateway.url())
            .header("x-amz-target", format!("CodeDeploy_20141006.{operation}"))
            .header(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=deploy/20260101/eu-west-1/codedeploy/aws4_request, Signature=0",
            )
            .body(body.to_string())
            .send()
            .await
            .unwrap();
        let failed = !response.status().is_success();
        let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        if failed { Err(answer["__type"].as_str().unwrap().to_owned()) } else { Ok(answer) }
    }

    pub(crate) async fn ok(&self, operation: &str, body: Value) -> Value {
        self.call(operation, body).await.unwrap()
    }

    /// CreateDeployment's input for an object that `put` has put.
    pub(crate) fn request(&self, key: &str) -> Value {
        json!({
            "applicationName": "web", "deploymentGroupName": "web", "description": "r1",
            "deploymentConfigName": "CodeDeployDefault.AllAtOnce",
            "revision": {"revisionType": "S3", "s3Location": {
                "bucket": "artifacts", "key": key, "bundleType": "zip", "version": "v1"}},
        })
    }

    pub(crate) fn put(&self, key: &str, content: Vec<u8>) {
        self.objects.lock().unwrap().insert(key.to_owned(), content.into());
    }

    /// Deploys and waits for the end; gives `DeploymentInfo`.
    pub(crate) async fn deploy(&self, key: &str) -> Value {
        let created = self.ok("CreateDeployment", self.request(key)).await;
        self.ended(created["deploymentId"].as_str().unwrap()).await
    }

    pub(crate) async fn ended(&self, id: &str) -> Value {
        loop {
            let answer = self.ok("GetDeployment", json!({"deploymentId": id})).await;
            let info = &answer["deploymentInfo"];
            if info["status"] != "InProgress" {
                return info.clone();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The events of one target as `name status`, and the diagnostics of the one that failed.
    pub(crate) async fn events(&self, deployment: &Value, instance: &str) -> (Vec<String>, Value) {
        let asked = json!({"deploymentId": deployment["deploymentId"], "targetIds": [instance]});
        let answer = self.ok("BatchGetDeploymentTargets", asked).await;
        let events = answer["deploymentTargets"][0]["instanceTarget"]["lifecycleEvents"].clone();
        let text = |event: &Value, key: &str| event[key].as_str().unwrap().to_owned();
        let events = events.as_array().unwrap();
        let failed = events.iter().find(|event| event["status"] == "Failed");
        (
            events.iter().map(|e| format!("{} {}", text(e, "lifecycleEventName"), text(e, "status"))).collect(),
            failed.map(|event| event["diagnostics"].clone()).unwrap_or_default(),
        )
    }
}

async fn report(Shared(emulator): Shared<Emulator>, body: Bytes) {
    let news: Value = serde_json::from_slice(&body).unwrap();
    emulator.states.send_modify(|all| {
        let mut instances = Arc::make_mut(all).instances.iter_mut();
        let instance = instances.find(|instance| news["id"] == instance.id.as_str()).unwrap();
        instance.state = serde_json::from_value(news["state"].clone()).unwrap();
    });
}

async fn object(Shared(emulator): Shared<Emulator>, Path(key): Path<String>) -> Response {
    match emulator.objects.lock().unwrap().get(&key) {
        Some(content) => content.clone().into_response(),
        None => {
            let error = "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>";
            (StatusCode::NOT_FOUND, error).into_response()
        }
    }
}

/// An address whose port 8080 nobody has, other tests included.
async fn free_address() -> Ipv4Addr {
    loop {
        let address = Ipv4Addr::new(127, 16, rand::random_range(100..=254), rand::random_range(1..=254));
        if TcpListener::bind((address, 8080)).await.is_ok() {
            return address;
        }
    }
}
