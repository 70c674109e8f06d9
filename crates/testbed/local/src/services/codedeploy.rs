//! CodeDeploy's API for in-place deployments, and the commands that agents fetch.

mod commands;
mod group;
mod shape;

use group::{chosen, configure};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use shape::seconds;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tagship_cloud::service::{Answer, Service, ServiceError};
use tagship_cloud::state::State;
use tagship_emulator::deployment::{Deployment, Patience, Status};
use tokio::sync::watch;

/// The most ids that BatchGetDeployments and BatchGetDeploymentTargets take.
const BATCH: usize = 25;
/// Ids on one page of a list.
const PAGE: usize = 100;
/// The only configuration that is played: the others install on one instance after another.
const ALL_AT_ONCE: &str = "CodeDeployDefault.AllAtOnce";

/// How deployments behave.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who carries them out.
    pub agents: Agents,
    /// The account of the instances' ARNs.
    pub account: String,
    /// The Region of the instances' ARNs.
    pub region: String,
}

/// Who carries deployments out.
#[derive(Clone, Copy, Debug)]
pub enum Agents {
    /// Agents that poll.
    Polling {
        /// How long an agent may take to fetch an event before its target fails; AWS: 5 minutes.
        fetch: Duration,
        /// How long a poll without a command is held; AWS: up to a minute.
        poll: Duration,
    },
    /// Nobody: instances have no processes, and every deployment succeeds after this long.
    Absent(Duration),
}

/// The service; register it as `codedeploy`, and for the agents as `codedeploy-commands`.
pub struct CodeDeploy {
    config: Config,
    states: watch::Receiver<Arc<State>>,
    store: Mutex<Store>,
    /// Counts the changes that a held poll waits for.
    changes: watch::Sender<u64>,
}

impl std::fmt::Debug for CodeDeploy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CodeDeploy").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Everything that was created, deployments in the order of their creation.
#[derive(Default)]
struct Store {
    /// Groups (`DeploymentGroupInfo`) by application and name.
    applications: BTreeMap<String, BTreeMap<String, Map<String, Value>>>,
    deployments: Vec<Requested>,
}

/// A deployment, and what CreateDeployment asked for.
struct Requested {
    id: String,
    application: String,
    group: String,
    /// As it was asked for, with the group's configuration where it named none.
    request: Value,
    deployment: Deployment,
}

impl Service for CodeDeploy {
    fn call<'a>(&'a self, _caller: &'a str, operation: &'a str, body: Value) -> Answer<'a> {
        Box::pin(async move {
            if operation == "PollHostCommand" {
                return self.poll(&body).await;
            }
            let now = Timestamp::now();
            let answer = self.answer(operation, &body, now);
            self.changes.send_modify(|n| *n += 1);
            answer
        })
    }
}

impl CodeDeploy {
    /// A service without any application; targets are chosen from `states`.
    pub fn new(config: Config, states: watch::Receiver<Arc<State>>) -> Self {
        Self { config, states, store: Mutex::default(), changes: watch::Sender::new(0) }
    }

    /// Has these applications and groups from now on and no others, as CreateApplication and CreateDeploymentGroup take
    /// them; those that are there already stay as they are.
    pub fn keep(&self, applications: &[Value], groups: &[Value]) -> Result<(), ServiceError> {
        let now = Timestamp::now();
        let of = |application: &str, group: &str| {
            groups.iter().any(|it| it["applicationName"] == application && it["deploymentGroupName"] == group)
        };
        self.store(now).applications.retain(|name, there| {
            there.retain(|group, _| of(name, group));
            applications.iter().any(|it| it["applicationName"] == name.as_str())
        });
        for (operation, bodies) in [("CreateApplication", applications), ("CreateDeploymentGroup", groups)] {
            for body in bodies {
                match self.answer(operation, body, now) {
                    Err(error) if error.code.ends_with("AlreadyExistsException") => {}
                    answer => drop(answer?),
                }
            }
        }
        Ok(())
    }

    /// The store as it is at `now`: what time alone brings about has happened.
    fn store(&self, now: Timestamp) -> MutexGuard<'_, Store> {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        for Requested { deployment, .. } in &mut store.deployments {
            match self.config.agents {
                Agents::Polling { fetch, .. } => {
                    let pending = SignedDuration::try_from(fetch).unwrap_or(SignedDuration::MAX);
                    // AWS gives a running event an hour.
                    let running = SignedDuration::from_hours(1);
                    deployment.lose_patience(Patience { pending, running }, now);
                }
                Agents::Absent(after) => {
                    let took = now.duration_since(deployment.created);
                    if Duration::try_from(took).is_ok_and(|took| took >= after) {
                        deployment.succeed(now);
                    }
                }
            }
        }
        store
    }

    fn answer(&self, operation: &str, body: &Value, now: Timestamp) -> Result<Value, ServiceError> {
        let mut store = self.store(now);
        match operation {
            "CreateApplication" => {
                let name = text(body, "applicationName")?;
                if store.applications.contains_key(name) {
                    let message = format!("An application with name {name} already exists");
                    return Err(ServiceError::client("ApplicationAlreadyExistsException", message));
                }
                store.applications.insert(name.to_owned(), BTreeMap::new());
                Ok(json!({"applicationId": uuid::Uuid::new_v4().to_string()}))
            }
            "CreateDeploymentGroup" => {
                let name = text(body, "deploymentGroupName")?;
                let groups = store.application(body)?;
                if groups.contains_key(name) {
                    let message = format!("Deployment group name {name} already exists");
                    let code = "DeploymentGroupAlreadyExistsException";
                    return Err(ServiceError::client(code, message));
                }
                let id = uuid::Uuid::new_v4().to_string();
                let mut group = Map::new();
                group.insert("deploymentGroupId".into(), json!(id));
                group.insert("deploymentConfigName".into(), json!("CodeDeployDefault.OneAtATime"));
                group.insert("computePlatform".into(), json!("Server"));
                let style = json!({"deploymentType": "IN_PLACE", "deploymentOption": "WITHOUT_TRAFFIC_CONTROL"});
                group.insert("deploymentStyle".into(), style);
                configure(&mut group, body)?;
                groups.insert(name.to_owned(), group);
                Ok(json!({"deploymentGroupId": id}))
            }
            "GetDeploymentGroup" => {
                let group = store.group(body, "deploymentGroupName")?.clone();
                Ok(json!({"deploymentGroupInfo": group}))
            }
            "UpdateDeploymentGroup" => {
                configure(store.group(body, "currentDeploymentGroupName")?, body)?;
                Ok(json!({"hooksNotCleanedUp": []}))
            }
            "ListApplications" => Ok(json!({"applications": store.applications.keys().collect::<Vec<_>>()})),
            "ListDeploymentGroups" => {
                let groups: Vec<String> = store.application(body)?.keys().cloned().collect();
                Ok(json!({"applicationName": body["applicationName"], "deploymentGroups": groups}))
            }
            "CreateDeployment" => self.create(&mut store, body, now),
            "GetDeployment" => Ok(json!({"deploymentInfo": store.deployment(body)?.info()})),
            "BatchGetDeployments" => {
                let ids = texts(body, "deploymentIds");
                if ids.len() > BATCH {
                    let message = format!("The maximum number of deployment ids is {BATCH}");
                    return Err(ServiceError::client("BatchLimitExceededException", message));
                }
                let found = store.deployments.iter().filter(|d| ids.contains(&d.id.as_str()));
                Ok(json!({"deploymentsInfo": found.map(Requested::info).collect::<Vec<_>>()}))
            }
            "ListDeployments" => store.list(body),
            "ListDeploymentTargets" => {
                let ids: Vec<_> = store.deployment(body)?.deployment.targets.keys().cloned().collect();
                page(ids, "targetIds", body)
            }
            "BatchGetDeploymentTargets" => self.targets(&mut store, body),
            "StopDeployment" => {
                let deployment = store.deployment(body)?;
                if deployment.deployment.status != Status::InProgress {
                    let message = format!("The deployment {} is already completed", deployment.id);
                    let code = "DeploymentAlreadyCompletedException";
                    return Err(ServiceError::client(code, message));
                }
                deployment.deployment.stop(now);
                Ok(json!({"status": "Succeeded", "statusMessage": "No more instances will be updated"}))
            }
            "GetDeploymentSpecification" => self.specification(&mut store, body),
            "PutHostCommandComplete" => commands::complete(&mut store, body, now),
            other => Err(ServiceError::unknown(other)),
        }
    }

    fn create(&self, store: &mut Store, body: &Value, now: Timestamp) -> Result<Value, ServiceError> {
        let group = store.group(body, "deploymentGroupName")?.clone();
        let (application, name) = (text(body, "applicationName")?, text(body, "deploymentGroupName")?);
        if body["revision"]["revisionType"] != "S3" {
            let message = "only revisions in S3 are deployed on one machine";
            return Err(ServiceError::client("InvalidRevisionException", message));
        }
        if body.get("targetInstances").is_some() {
            let message = "Target instances are valid only for blue/green deployments";
            return Err(ServiceError::client("InvalidTargetInstancesException", message));
        }
        let behavior = &body["fileExistsBehavior"];
        if !behavior.is_null() && !["DISALLOW", "OVERWRITE", "RETAIN"].iter().any(|known| behavior == known) {
            let message = format!("{behavior} is no file-exists behavior: DISALLOW, OVERWRITE or RETAIN");
            return Err(ServiceError::client("InvalidFileExistsBehaviorException", message));
        }
        let mut request = body.clone();
        if request["deploymentConfigName"].is_null() {
            request["deploymentConfigName"] = group["deploymentConfigName"].clone();
        }
        if request["deploymentConfigName"] != ALL_AT_ONCE {
            let message =
                format!("{} is not played on one machine, only {ALL_AT_ONCE}", request["deploymentConfigName"]);
            return Err(ServiceError::client("InvalidDeploymentConfigNameException", message));
        }
        let active = store
            .deployments
            .iter()
            .find(|d| d.deployment.status == Status::InProgress && d.application == application && d.group == name);
        if let Some(active) = active {
            let message = format!("The Deployment Group '{name}' already has an active Deployment '{}'", active.id);
            return Err(ServiceError::client("DeploymentLimitExceededException", message));
        }
        let instances = chosen(&group, &self.states.borrow());
        let random = uuid::Uuid::new_v4().simple().to_string().to_uppercase();
        let id = format!("d-{}", &random[..9]);
        let (application, name) = (application.to_owned(), name.to_owned());
        let ignores_stop_failures = request["ignoreApplicationStopFailures"] == Value::Bool(true);
        let deployment = Deployment::new(instances, ignores_stop_failures, now);
        store.deployments.push(Requested { id: id.clone(), application, group: name, request, deployment });
        Ok(json!({"deploymentId": id}))
    }

    fn targets(&self, store: &mut Store, body: &Value) -> Result<Value, ServiceError> {
        let ids = texts(body, "targetIds");
        if ids.len() > BATCH {
            let message = format!("The maximum number of target ids is {BATCH}");
            return Err(ServiceError::client("DeploymentTargetListSizeExceededException", message));
        }
        let deployment = store.deployment(body)?;
        let arns = format!("arn:aws:ec2:{}:{}:instance/", self.config.region, self.config.account);
        let targets = ids
            .into_iter()
            .map(|id| {
                deployment.target(id, &arns).ok_or_else(|| {
                    let message = format!("Deployment {} has no target {id}", deployment.id);
                    ServiceError::client("DeploymentTargetDoesNotExistException", message)
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(json!({"deploymentTargets": targets}))
    }
}

impl Store {
    fn application(&mut self, body: &Value) -> Result<&mut BTreeMap<String, Map<String, Value>>, ServiceError> {
        let name = text(body, "applicationName")?;
        self.applications.get_mut(name).ok_or_else(|| {
            let message = format!("No application found for name: {name}");
            ServiceError::client("ApplicationDoesNotExistException", message)
        })
    }

    fn group(&mut self, body: &Value, key: &str) -> Result<&mut Map<String, Value>, ServiceError> {
        let name = text(body, key)?;
        self.application(body)?.get_mut(name).ok_or_else(|| {
            let message = format!("No Deployment Group found for name: {name}");
            ServiceError::client("DeploymentGroupDoesNotExistException", message)
        })
    }

    fn deployment(&mut self, body: &Value) -> Result<&mut Requested, ServiceError> {
        let id = text(body, "deploymentId")?;
        self.deployments.iter_mut().find(|d| d.id == id).ok_or_else(|| {
            let message = format!("The deployment {id} could not be found");
            ServiceError::client("DeploymentDoesNotExistException", message)
        })
    }

    /// Newest first.
    fn list(&mut self, body: &Value) -> Result<Value, ServiceError> {
        if !body["applicationName"].is_null() {
            self.group(body, "deploymentGroupName")?;
        }
        let is = |key: &str, value: &str| body[key].is_null() || body[key] == value;
        let statuses = texts(body, "includeOnlyStatuses");
        let limit = |key: &str| body["createTimeRange"][key].as_f64();
        let within = |created: Timestamp| {
            let created = seconds(created).as_f64();
            limit("start").is_none_or(|start| created >= Some(start))
                && limit("end").is_none_or(|end| created <= Some(end))
        };
        let ids = self
            .deployments
            .iter()
            .rev()
            .filter(|d| is("applicationName", &d.application))
            .filter(|d| is("deploymentGroupName", &d.group))
            .filter(|d| statuses.is_empty() || statuses.contains(&d.deployment.status.as_str()))
            .filter(|d| within(d.deployment.created))
            .map(|d| d.id.clone())
            .collect();
        page(ids, "deployments", body)
    }
}

/// One page of `ids`; the token is where the next one starts.
fn page(ids: Vec<String>, key: &str, body: &Value) -> Result<Value, ServiceError> {
    let from = match body["nextToken"].as_str() {
        Some(token) => token
            .parse()
            .map_err(|_| ServiceError::client("InvalidNextTokenException", format!("no such token: {token}")))?,
        None => 0,
    };
    let rest = ids.len().saturating_sub(from);
    let shown: Vec<_> = ids.into_iter().skip(from).take(PAGE).collect();
    let mut answer = json!({key: shown});
    if rest > PAGE {
        answer["nextToken"] = json!((from + PAGE).to_string());
    }
    Ok(answer)
}

/// A required string; CodeDeploy's error names what is missing, `DeploymentIdRequiredException`.
fn text<'a>(body: &'a Value, key: &str) -> Result<&'a str, ServiceError> {
    body[key].as_str().filter(|text| !text.is_empty()).ok_or_else(|| {
        let name = key.replace("currentDeployment", "deployment");
        let code = format!("{}{}RequiredException", name[..1].to_uppercase(), &name[1..]);
        ServiceError::client(code, format!("{key} is required"))
    })
}

fn texts<'a>(body: &'a Value, key: &str) -> Vec<&'a str> {
    let list = body[key].as_array();
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}
