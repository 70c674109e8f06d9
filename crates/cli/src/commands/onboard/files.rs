//! What is written for a new service: the parameters of its two stacks, and its settings. All files, or none.

use super::answers::Answers;
use crate::end::Failure;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use tagship::ServiceRole;
use tagship_aws::{INSTANCE_ROLES, Site};
use tempfile::NamedTempFile;

/// As infra/service.yaml has it, so that both say the same.
const DRAIN_SECS: u32 = 30;

/// A file to write.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct File {
    pub(super) path: PathBuf,
    /// What it is for.
    pub(super) holds: &'static str,
    #[serde(skip)]
    pub(super) text: String,
}

/// What is wanted, with the answers that have defaults filled in.
pub(super) struct Wanted<'a> {
    pub(super) role: &'a ServiceRole,
    pub(super) answers: &'a Answers,
    pub(super) site: &'a Site,
    pub(super) region: &'a str,
    /// What the functions' names begin with.
    pub(super) prefix: &'a str,
    pub(super) priority: u32,
    /// The path of the instance roles that provision may pass.
    pub(super) role_path: &'a str,
}

impl Wanted<'_> {
    pub(super) fn pipeline(&self) -> &str {
        self.answers.pipeline.as_deref().unwrap_or_default()
    }

    /// Known before its stack is there: so the settings can name it.
    pub(super) fn profile(&self) -> String {
        format!("{}-{}", self.role.label(), self.region)
    }

    /// The parameters of infra/service.yaml; what isn't said has the template's default.
    pub(super) fn service(&self) -> Value {
        let answers = self.answers;
        let mut parameters = Map::new();
        let mut set = |key: &str, value: Option<String>| {
            parameters.extend(value.map(|value| (key.to_owned(), Value::String(value))));
        };
        set("ServiceRole", Some(self.role.to_string()));
        set("PipelineName", answers.pipeline.clone());
        set("Vpc", Some(self.site.vpc.clone()));
        set("Subnets", Some(answers.subnet.join(",")));
        for listener in &self.site.listeners {
            let key = if listener.protocol == "HTTPS" { "HttpsListener" } else { "HttpListener" };
            set(key, Some(listener.arn.clone()));
        }
        set("HostNames", Some(answers.host.join(",")));
        set("RulePriority", Some(self.priority.to_string()));
        set("LoadBalancerSecurityGroup", self.site.groups.first().cloned());
        set("Ami", answers.ami.clone());
        set("InstanceType", answers.instance_type.clone());
        set("InstanceProfileName", Some(self.profile()));
        set("InstanceRolePath", (self.role_path != INSTANCE_ROLES).then(|| self.role_path.to_owned()));
        set("Count", answers.count.map(|count| count.to_string()));
        set("Port", answers.port.map(|port| port.to_string()));
        set("HealthCheckPath", answers.health_check.clone());
        set("ZoneName", answers.zone.clone());
        set("ViewerCidr", answers.viewer_cidr.clone());
        set("PreProduct", answers.is_pre_product.then(|| "true".to_owned()));
        json!({"Parameters": parameters})
    }

    /// The parameters of infra/pipeline.yaml.
    pub(super) fn release(&self) -> Value {
        let mut parameters = json!({"PipelineName": self.pipeline(), "ServiceRole": self.role.as_str()});
        let more = [
            ("PreProductServiceRole", self.answers.pre_product.clone()),
            ("TopicArn", self.answers.topic.clone()),
            ("FunctionPrefix", (self.prefix != "tagship-").then(|| self.prefix.to_owned())),
        ];
        for (key, value) in more {
            if let Some(value) = value {
                parameters[key] = value.into();
            }
        }
        json!({"Parameters": parameters})
    }

    /// The settings. The security group is found by the tag that the stack gives it.
    pub(super) fn settings(&self) -> Value {
        let answers = self.answers;
        let mut settings = json!({
            "SUBNET": answers.subnet,
            "AMI": answers.ami,
            "INSTANCE_TYPE": answers.instance_type.as_deref().unwrap_or("t4g.small"),
            "COUNT": answers.count.unwrap_or(2),
            "SG": format!("tag:tagship:service={}", self.role),
            "INSTANCE_PROFILE": self.profile(),
            "DEPLOY": {"VIA": "codedeploy", "APPLICATION": self.pipeline(), "GROUP": self.role.as_str()},
            "DRAIN": DRAIN_SECS,
            "PIPELINE": self.pipeline(),
        });
        if let Some(zone) = &answers.zone {
            settings["ZONE"] = zone.as_str().into();
        }
        if answers.is_pre_product {
            settings["PRE_PRODUCT"] = true.into();
        }
        settings
    }

    pub(super) fn files(&self, into: &Path) -> Vec<File> {
        let file = |name: String, holds, value: Value| File {
            path: into.join(name),
            holds,
            text: serde_json::to_string_pretty(&value).unwrap_or_default() + "\n",
        };
        let label = self.role.label();
        let mut files = vec![file(format!("{label}.service.json"), "parameters of infra/service.yaml", self.service())];
        // A pre-product is released by its product's pipeline.
        if !self.answers.is_pre_product {
            let name = format!("{}.pipeline.json", self.pipeline());
            files.push(file(name, "parameters of infra/pipeline.yaml", self.release()));
        }
        files.push(file(format!("{label}.settings.json"), "settings", self.settings()));
        files
    }
}

/// Writes all of them, or none: what is there already is told first, and what was begun is taken back.
pub(super) fn write(files: &[File], overwrite: bool) -> Result<(), Failure> {
    let differs = |file: &&File| std::fs::read_to_string(&file.path).is_ok_and(|text| text != file.text);
    let there: Vec<String> = files.iter().filter(differs).map(|file| file.path.display().to_string()).collect();
    if !overwrite && !there.is_empty() {
        return Err(Failure::usage(format!(
            "{} with something else in it: nothing was written. Look at it, then give --overwrite, or another --into",
            there_is(&there)
        )));
    }
    let failed = |path: &Path, error: std::io::Error| {
        Failure::usage(format!("{}: {error}. Nothing was written", path.display()))
    };
    let mut ready = Vec::new();
    for file in files {
        let directory = file.path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut new = NamedTempFile::new_in(directory).map_err(|error| failed(&file.path, error))?;
        new.write_all(file.text.as_bytes()).map_err(|error| failed(&file.path, error))?;
        ready.push(new);
    }
    let mut done: Vec<(&Path, Option<Vec<u8>>)> = Vec::new();
    for (file, new) in files.iter().zip(ready) {
        let before = std::fs::read(&file.path).ok();
        if let Err(error) = new.persist(&file.path) {
            for (path, before) in done {
                let _ = match before {
                    Some(before) => std::fs::write(path, before),
                    None => std::fs::remove_file(path),
                };
            }
            return Err(failed(&file.path, error.error));
        }
        done.push((&file.path, before));
    }
    Ok(())
}

fn there_is(there: &[String]) -> String {
    format!("there {} {}", if there.len() == 1 { "is" } else { "are" }, there.join(", "))
}
