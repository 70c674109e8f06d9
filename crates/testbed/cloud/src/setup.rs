//! An account to release into: network, load balancer, buckets, and `infra/service.yaml` and `infra/pipeline.yaml`, the
//! files that go to AWS, deployed for each service and pipeline through the emulator's CloudFormation.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;

use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;

use crate::moto;

/// The Region of everything.
pub const REGION: &str = "us-east-1";

/// Why the account can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no Python to run the set-up with.
    #[error(transparent)]
    Python(#[from] moto::Error),
    /// The set-up could not be run.
    #[error("running setup_account: {0}")]
    Run(#[from] std::io::Error),
    /// It failed; its words are in the message.
    #[error("setup_account: {0}")]
    Failed(String),
    /// What it printed is not what [`Account`] says.
    #[error("setup_account printed: {0}")]
    Printed(#[from] serde_json::Error),
}

/// A service to set up: the parameters of `infra/service.yaml` that differ.
#[derive(Clone, Debug, Serialize)]
pub struct ServicePlan {
    /// E.g. `MZUM_WEB_PRODUCT`.
    pub service_role: String,
    /// The pipeline that releases it, e.g. `mzum-web`.
    pub pipeline: String,
    /// Host names of its rules.
    pub hosts: Vec<String>,
    /// The application's port.
    pub port: u16,
    /// Its rules' place; differs from service to service.
    pub rule_priority: u32,
    /// The place of its rule for test traffic, and the secret that this asks for in a header; none without.
    pub test: Option<(u32, String)>,
    /// Instances of a fleet.
    pub count: u32,
    /// The private zone; the first service that names it creates it.
    pub zone: Option<String>,
    /// The health check's path.
    pub health_check_path: String,
    /// From one health check to the next; AWS takes no less than 5.
    pub health_check_secs: u32,
    /// Less than the interval.
    pub health_check_timeout_secs: u32,
    /// Deregistration delay, and the setting `DRAIN`.
    pub drain_secs: u32,
}

impl ServicePlan {
    /// A quick service of two instances on port 8080, health-checked every two seconds.
    pub fn quick(service_role: &str, pipeline: &str, host: &str, rule_priority: u32) -> Self {
        Self {
            service_role: service_role.to_owned(),
            pipeline: pipeline.to_owned(),
            hosts: vec![host.to_owned()],
            port: 8080,
            rule_priority,
            test: None,
            count: 2,
            zone: Some("cd.internal".to_owned()),
            health_check_path: "/health".to_owned(),
            health_check_secs: 2,
            health_check_timeout_secs: 1,
            drain_secs: 2,
        }
    }
}

/// A pipeline to set up: the parameters of `infra/pipeline.yaml` that differ.
#[derive(Clone, Debug, Serialize)]
pub struct PipelinePlan {
    /// Its name, e.g. `mzum-web`.
    pub name: String,
    /// The parameters beside that and the account's topic.
    pub parameters: BTreeMap<String, String>,
}

/// What was set up.
#[derive(Clone, Debug, Deserialize)]
pub struct Account {
    /// The account's number.
    pub account: String,
    /// [`REGION`].
    pub region: String,
    /// The VPC, 127.OCTET.0.0/16.
    pub vpc: String,
    /// Two subnets in different zones.
    pub subnets: Vec<String>,
    /// The image; the parameter `/tagship/ami` names it too.
    pub image: String,
    /// A key pair.
    pub key_name: String,
    /// The load balancer's ARN.
    pub load_balancer: String,
    /// The ARN of its listener on port 80.
    pub http_listener: String,
    /// The ARN of its listener on port 443, which speaks HTTP here.
    pub https_listener: String,
    /// tagship's own bucket, versioned: holds and history.
    pub bucket: String,
    /// The SNS topic's ARN.
    pub topic: String,
    /// The ARN of the one that a chat reads.
    pub chat_topic: String,
    /// The services by service role.
    pub services: BTreeMap<String, ServiceStack>,
}

/// What `infra/service.yaml` made for a service.
#[derive(Clone, Debug, Deserialize)]
pub struct ServiceStack {
    /// The pipeline that releases it.
    pub pipeline: String,
    /// The pipeline's bucket, versioned: uploads and artifacts. It is there even if the pipeline isn't set up.
    pub bucket: String,
    /// The pair's ARNs.
    pub target_groups: Vec<String>,
    /// The switches: the rules' ARNs on the HTTP and HTTPS listener.
    pub rules: Vec<String>,
    /// The rule for test traffic; none without.
    pub test_rule: Option<String>,
    /// The instances' security group.
    pub security_group: String,
    /// The instance profile's name.
    pub instance_profile: String,
    /// The instance role's ARN.
    pub instance_role: String,
    /// The settings to start from: the template's own output.
    pub settings: serde_json::Value,
}

/// Where the templates are: the workspace's `infra/`.
pub fn infra(file: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../infra")).join(file)
}

/// The variables with which a process of ops (`aws`, boto3) works against the gateway.
pub fn ops_environment(gateway_url: &str) -> [(&'static str, String); 5] {
    [
        ("AWS_ENDPOINT_URL", gateway_url.to_owned()),
        ("AWS_ACCESS_KEY_ID", "ops".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "local".to_owned()),
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_DEFAULT_REGION", REGION.to_owned()),
    ]
}

/// Sets everything up through the gateway, as the caller `ops`. `octet` is the VPC's second one: of a
/// [`crate::network::Network`] if instances are to be processes, else any.
pub async fn set_up(
    gateway_url: &str,
    octet: u8,
    services: &[ServicePlan],
    pipelines: &[PipelinePlan],
) -> Result<Account, Error> {
    let templates = serde_json::json!({"service": infra("service.yaml"), "pipeline": infra("pipeline.yaml")});
    let plan =
        serde_json::json!({"templates": templates, "octet": octet, "services": services, "pipelines": pipelines});
    let mut child = moto::python_module("setup_account")?
        .envs(ops_environment(gateway_url))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(plan.to_string().as_bytes()).await?;
    }
    let output = child.wait_with_output().await?;
    if !output.status.success() {
        return Err(Error::Failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
