//! The CodeDeploy agent of one instance: fetches commands, carries them out, reports.

mod bundle;
mod hooks;
mod install;

use crate::instance::processes;
use install::Places;
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;
use tagship_emulator::deployment::Diagnostics;
use tokio::io::AsyncReadExt;

/// What an agent is started with.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The instance's id.
    #[arg(long)]
    pub instance: String,
    /// The instance's private address; its processes find it in HOST.
    #[arg(long)]
    pub address: Ipv4Addr,
    /// The directory that stands for the instance's disk; hooks find it in INSTANCE_ROOT.
    #[arg(long)]
    pub root: PathBuf,
    /// Where AWS is.
    #[arg(long)]
    pub endpoint: String,
    /// How long what the instance runs has to end by itself at shutdown.
    #[arg(long, default_value_t = 2000)]
    pub shutdown_millis: u64,
}

/// Between two tries when the service can't be reached.
const RETRY: Duration = Duration::from_millis(500);

/// Serves until standard input ends, which is how the instance is shut down: then everything that
/// the hooks have started is ended too.
pub async fn run(args: Args) -> io::Result<()> {
    let mark = std::env::var(processes::MARK).unwrap_or_default();
    let grace = Duration::from_millis(args.shutdown_millis);
    let agent = Agent { http: reqwest::Client::new(), args };
    let shutdown = async {
        let mut stdin = tokio::io::stdin();
        let mut nothing = [0];
        while stdin.read(&mut nothing).await.is_ok_and(|n| n > 0) {}
    };
    tokio::select! {
        () = agent.serve() => {}
        () = shutdown => {}
    }
    if !mark.is_empty() {
        processes::end(&mark, grace).await;
    }
    Ok(())
}

struct Agent {
    http: reqwest::Client,
    args: Args,
}

/// A deployment as the service specifies it.
struct Deployment {
    id: String,
    group_id: String,
    specification: Value,
}

impl Agent {
    async fn serve(&self) {
        let host = json!({"HostIdentifier": format!("instance/{}", self.args.instance)});
        loop {
            let answer = match self.call("PollHostCommand", &host).await {
                Ok(answer) => answer,
                Err(error) => {
                    tracing::warn!(%error, "no command could be fetched");
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
            };
            let command = &answer["HostCommand"];
            let (Some(id), Some(event), Some(execution)) = (
                command["HostCommandIdentifier"].as_str(),
                command["CommandName"].as_str(),
                command["DeploymentExecutionId"].as_str(),
            ) else {
                continue;
            };
            let diagnostics = match self.carry_out(event, execution).await {
                Ok(warnings) => Diagnostics {
                    error_code: 0,
                    script_name: String::new(),
                    message: format!("Succeeded: {}", warnings.join(" ")),
                    log: String::new(),
                },
                Err(diagnostics) => diagnostics,
            };
            let failed = diagnostics.error_code != 0;
            let body = json!({
                "HostCommandIdentifier": id,
                "CommandStatus": if failed { "Failed" } else { "Succeeded" },
                "Diagnostics": {"Format": "JSON", "Payload": json!(diagnostics).to_string()},
            });
            while let Err(error) = self.call("PutHostCommandComplete", &body).await {
                tracing::warn!(%error, "a command's end could not be reported");
                tokio::time::sleep(RETRY).await;
            }
        }
    }

    /// Carries out a command; what is surely not meant comes back as warnings.
    async fn carry_out(&self, event: &str, execution: &str) -> Result<Vec<String>, Diagnostics> {
        let unknown =
            |message: String| Diagnostics { error_code: 5, script_name: String::new(), message, log: String::new() };
        let deployment = self.deployment(execution).await.map_err(unknown)?;
        match event {
            "DownloadBundle" => self.download(&deployment).await.map_err(unknown)?,
            "Install" => return self.install(&deployment).map_err(unknown),
            hook => self.hook(hook, &deployment, unknown).await?,
        }
        Ok(Vec::new())
    }

    async fn deployment(&self, execution: &str) -> Result<Deployment, String> {
        let host = format!("instance/{}", self.args.instance);
        let asked = json!({"DeploymentExecutionId": execution, "HostIdentifier": host});
        let answer = self.call("GetDeploymentSpecification", &asked).await?;
        let payload = &answer["DeploymentSpecification"]["GenericEnvelope"]["Payload"];
        let specification: Value = serde_json::from_str(payload.as_str().unwrap_or_default())
            .map_err(|error| format!("the deployment's specification: {error}"))?;
        let text = |key: &str| specification[key].as_str().unwrap_or_default().to_owned();
        Ok(Deployment { id: text("DeploymentId"), group_id: text("DeploymentGroupId"), specification })
    }

    /// The agent's own directory for a group, as on an instance.
    fn group_directory(&self, group_id: &str) -> PathBuf {
        self.args.root.join("opt/codedeploy-agent/deployment-root").join(group_id)
    }

    fn archive(&self, group_id: &str, deployment_id: &str) -> PathBuf {
        self.group_directory(group_id).join(deployment_id).join("deployment-archive")
    }

    /// The file that names the last deployment that was installed.
    fn last_install(&self, group_id: &str) -> PathBuf {
        self.group_directory(group_id).join("last_successful_install")
    }

    async fn download(&self, deployment: &Deployment) -> Result<(), String> {
        let revision = &deployment.specification["Revision"]["S3Revision"];
        let text = |key: &str| revision[key].as_str();
        let (Some(bucket), Some(key)) = (text("Bucket"), text("Key")) else {
            return Err("the revision names no object".to_owned());
        };
        let mut url: reqwest::Url = self.args.endpoint.parse().map_err(|error| format!("the endpoint: {error}"))?;
        url.path_segments_mut()
            .map_err(|()| "the endpoint can't have a path".to_owned())?
            .push(bucket)
            .extend(key.split('/'));
        if let Some(version) = text("Version") {
            url.query_pairs_mut().append_pair("versionId", version);
        }
        let request = self.http.get(url).header("authorization", scope("s3"));
        let response = request.send().await.map_err(|error| error.to_string())?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.map_err(|error| error.to_string())?;
        if status != StatusCode::OK {
            return Err(s3_message(&String::from_utf8_lossy(&body), status));
        }
        let tag = headers.get("etag").and_then(|tag| tag.to_str().ok()).unwrap_or_default();
        if let Some(expected) = text("ETag")
            && expected.trim_matches('"') != tag.trim_matches('"')
        {
            return Err(format!("Expected deployment artifact bundle etag {expected} but was actually {tag}"));
        }
        let archive = self.archive(&deployment.group_id, &deployment.id);
        let bundle = archive.with_file_name("bundle.tar");
        let kind = text("BundleType").unwrap_or("tar").to_owned();
        blocking(move || {
            let parent = bundle.parent().unwrap_or(&bundle);
            std::fs::create_dir_all(parent)
                .and_then(|()| std::fs::write(&bundle, body))
                .map_err(|error| format!("{error} - {}", bundle.display()))?;
            bundle::unpack(&bundle, &kind, &archive)
        })
        .await
    }

    fn install(&self, deployment: &Deployment) -> Result<Vec<String>, String> {
        let archive = self.archive(&deployment.group_id, &deployment.id);
        let spec = bundle::appspec(&archive)?;
        spec.check_hooks()?;
        let overrides = &deployment.specification["AgentActionOverrides"]["AgentOverrides"];
        let behavior = overrides["FileExistsBehavior"].as_str().unwrap_or("DISALLOW").to_uppercase();
        let cleanup = self.group_directory(&deployment.group_id).join("cleanup");
        install::install(&spec, Places { archive: &archive, root: &self.args.root, cleanup: &cleanup }, &behavior)?;
        let last = self.last_install(&deployment.group_id);
        std::fs::write(&last, &deployment.id).map_err(|error| error.to_string())?;
        Ok(spec.warnings.into_iter().map(|warning| warning.message).collect())
    }

    async fn hook(
        &self,
        event: &str,
        deployment: &Deployment,
        unknown: impl Fn(String) -> Diagnostics,
    ) -> Result<(), Diagnostics> {
        // What runs is stopped by the revision that started it.
        let id = if event == "ApplicationStop" {
            let Ok(last) = std::fs::read_to_string(self.last_install(&deployment.group_id)) else {
                return Ok(());
            };
            last
        } else {
            deployment.id.clone()
        };
        let archive = self.archive(&deployment.group_id, &id);
        let spec = bundle::appspec(&archive).map_err(unknown)?;
        let scripts = spec.scripts(event);
        if scripts.is_empty() {
            return Ok(());
        }
        let logs = archive.with_file_name("logs");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let told = &deployment.specification;
        let revision = &told["Revision"]["S3Revision"];
        let root = self.args.root.display().to_string();
        let env = [
            ("LIFECYCLE_EVENT", event.to_owned()),
            ("DEPLOYMENT_ID", deployment.id.clone()),
            ("APPLICATION_NAME", text(&told["ApplicationName"])),
            ("DEPLOYMENT_GROUP_NAME", text(&told["DeploymentGroupName"])),
            ("DEPLOYMENT_GROUP_ID", deployment.group_id.clone()),
            ("BUNDLE_BUCKET", text(&revision["Bucket"])),
            ("BUNDLE_KEY", text(&revision["Key"])),
            ("BUNDLE_VERSION", text(&revision["Version"])),
            ("BUNDLE_ETAG", text(&revision["ETag"])),
            ("HOST", self.args.address.to_string()),
            ("INSTANCE_ID", self.args.instance.clone()),
            ("INSTANCE_ROOT", root),
        ];
        hooks::run(event, scripts, &archive, &logs, &env).await
    }

    /// Calls the service in AWS's JSON 1.1.
    async fn call(&self, operation: &str, body: &Value) -> Result<Value, String> {
        let response = self
            .http
            .post(&self.args.endpoint)
            .header("authorization", scope("codedeploy-commands"))
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", format!("CodeDeployCommandService_v20141006.{operation}"))
            .body(body.to_string())
            .send()
            .await
            .map_err(|error| error.to_string())?;
        let status = response.status();
        let text = response.text().await.map_err(|error| error.to_string())?;
        if status.is_success() {
            serde_json::from_str(&text).map_err(|error| error.to_string())
        } else {
            Err(format!("{operation}: {status} {text}"))
        }
    }
}

/// What the gateway reads of a signature: who calls which service. Nobody checks the rest.
fn scope(service: &str) -> String {
    let region = std::env::var("AWS_REGION").unwrap_or_else(|_| "us-east-1".to_owned());
    let key = std::env::var("AWS_ACCESS_KEY_ID").unwrap_or_else(|_| "instance".to_owned());
    format!(
        "AWS4-HMAC-SHA256 Credential={key}/20000101/{region}/{service}/aws4_request, SignedHeaders=host, Signature=0"
    )
}

/// S3's own words, from its XML.
fn s3_message(body: &str, status: StatusCode) -> String {
    let message = body.split_once("<Message>").and_then(|(_, rest)| rest.split_once("</Message>"));
    message.map_or_else(|| format!("S3 answered {status}"), |(message, _)| message.to_owned())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(error.to_string()))
}
