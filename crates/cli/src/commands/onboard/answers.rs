//! What a new service's person says of it: by flags, in a file, or asked at a terminal.

use crate::end::Failure;
use clap::Args;
use dialoguer::{Input, MultiSelect};
use serde::Deserialize;
use std::io::IsTerminal;
use tagship::ServiceRole;
use tagship_aws::{Site, Subnet};

/// What a pipeline's name may have, as infra/pipeline.yaml says it.
const PIPELINE_MAX: usize = 20;

#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[command(next_help_heading = "Answers")]
pub(crate) struct Answers {
    /// The ARN of the load balancer's listener that reaches the service; twice for HTTPS and HTTP
    #[arg(long, value_name = "ARN")]
    pub(crate) listener: Vec<String>,
    /// A host name under which people reach it; up to five
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Vec<String>,
    /// A subnet to launch into; several, in different zones
    #[arg(long, value_name = "ID")]
    pub(crate) subnet: Vec<String>,
    /// The image, which has the CodeDeploy agent: ami-…, ssm:/parameter or tag:KEY=VALUE
    #[arg(long)]
    pub(crate) ami: Option<String>,
    /// The pipeline's name; without it the service's own, without -product
    #[arg(long, value_name = "NAME")]
    pub(crate) pipeline: Option<String>,
    /// The instance type [default: t4g.small]
    #[arg(long, value_name = "TYPE")]
    pub(crate) instance_type: Option<String>,
    /// Instances of a fleet [default: 2]
    #[arg(long)]
    pub(crate) count: Option<u32>,
    /// Where the application listens [default: 8080]
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// What the load balancer asks an instance for [default: /health]
    #[arg(long, value_name = "PATH")]
    pub(crate) health_check: Option<String>,
    /// The place of its rules; without it the first that is free
    #[arg(long)]
    pub(crate) priority: Option<u32>,
    /// The private zone of the names candidate.… and live.…; none without it
    #[arg(long, value_name = "NAME")]
    pub(crate) zone: Option<String>,
    /// From where people look at a candidate by its name
    #[arg(long, value_name = "CIDR")]
    pub(crate) viewer_cidr: Option<String>,
    /// The topic that is told of approvals: the output Topic of tagship's own stack
    #[arg(long, value_name = "ARN")]
    pub(crate) topic: Option<String>,
    /// The service role of its pre-product, which the same pipeline releases first
    #[arg(long, value_name = "SERVICE", conflicts_with = "is_pre_product")]
    pub(crate) pre_product: Option<String>,
    /// It is itself a pre-product: no pipeline of its own
    #[arg(long, requires = "pipeline")]
    pub(crate) is_pre_product: bool,
}

impl Answers {
    /// These; where one lacks, that of the file.
    pub(super) fn or(self, file: Self) -> Self {
        let list = |own: Vec<String>, other| if own.is_empty() { other } else { own };
        Self {
            listener: list(self.listener, file.listener),
            host: list(self.host, file.host),
            subnet: list(self.subnet, file.subnet),
            ami: self.ami.or(file.ami),
            pipeline: self.pipeline.or(file.pipeline),
            instance_type: self.instance_type.or(file.instance_type),
            count: self.count.or(file.count),
            port: self.port.or(file.port),
            health_check: self.health_check.or(file.health_check),
            priority: self.priority.or(file.priority),
            zone: self.zone.or(file.zone),
            viewer_cidr: self.viewer_cidr.or(file.viewer_cidr),
            topic: self.topic.or(file.topic),
            pre_product: self.pre_product.or(file.pre_product),
            is_pre_product: self.is_pre_product || file.is_pre_product,
        }
    }

    /// The flags without which nothing can be written.
    fn lacking(&self) -> Vec<&'static str> {
        let lacks = [
            (self.listener.is_empty(), "--listener ARN"),
            (self.host.is_empty(), "--host NAME"),
            (self.subnet.is_empty(), "--subnet ID"),
            (self.ami.is_none(), "--ami AMI"),
            (self.pipeline.is_none(), "--pipeline NAME"),
        ];
        lacks.into_iter().filter_map(|(lacks, flag)| lacks.then_some(flag)).collect()
    }

    /// Without a terminal nobody can be asked: then all that lacks is named at once. With one, the listener is asked for
    /// first: what can be chosen follows from it.
    pub(super) fn begun(mut self, role: &ServiceRole) -> Result<Self, Failure> {
        self.pipeline = self.pipeline.or_else(|| called(role));
        let lacking = self.lacking();
        if lacking.is_empty() {
            return Ok(self);
        }
        if !std::io::stdin().is_terminal() {
            return Err(Failure::usage(format!(
                "there is no terminal to ask on: give {} too, or a file with them (--answers). Nothing was written",
                lacking.join(", ")
            )));
        }
        if self.listener.is_empty() {
            let question = "ARN of the load balancer's listener (of two, with a space between)";
            self.listener =
                words(&ask(question, "", each("the ARN of an Application Load Balancer's listener", is_listener))?);
        }
        Ok(self)
    }

    /// The rest, once it is known what there is.
    pub(super) fn asked(mut self, site: &Site) -> Result<Self, Failure> {
        if self.host.is_empty() {
            self.host = words(&ask("Host names under which people reach it", "", each("a host name", is_host))?);
        }
        if self.subnet.is_empty() {
            let fit: Vec<&Subnet> = site.subnets.iter().filter(|it| site.zones.contains(&it.zone)).collect();
            if fit.is_empty() {
                return Err(Failure::usage(format!(
                    "{} has no subnet in a zone that the load balancer has enabled. Nothing was written",
                    site.vpc
                )));
            }
            let items: Vec<String> = fit.iter().map(|it| format!("{} {} {}", it.id, it.zone, it.words)).collect();
            // Enter alone chooses none.
            while self.subnet.is_empty() {
                let select = MultiSelect::new().with_prompt("Subnets to launch into: space chooses, Enter ends");
                let chosen = select.items(&items).interact().map_err(unanswered)?;
                self.subnet = chosen.into_iter().filter_map(|index| Some(fit.get(index)?.id.clone())).collect();
            }
        }
        if self.ami.is_none() {
            let question = "Image with the CodeDeploy agent: ami-…, ssm:/parameter or tag:KEY=VALUE";
            self.ami = Some(ask(question, "", each("an image", is_image))?);
            let usual = self.instance_type.as_deref().unwrap_or("t4g.small");
            self.instance_type = Some(ask("Instance type", usual, each("an instance type", |it| it.contains('.')))?);
        }
        if self.pipeline.is_none() {
            let question = "Name of its pipeline: lower-case letters, digits and dashes, at most 20";
            self.pipeline = Some(ask(question, "", each("such a name", is_pipeline))?);
        }
        Ok(self)
    }
}

/// Asks until the answer is one.
fn ask(question: &str, default: &str, fits: impl Fn(&String) -> Result<(), String>) -> Result<String, Failure> {
    let mut input = Input::<String>::new().with_prompt(question).validate_with(fits);
    if !default.is_empty() {
        input = input.default(default.to_owned());
    }
    input.interact_text().map_err(unanswered)
}

/// Whether each of the words fits; there is at least one.
fn each(what: &str, fits: impl Fn(&str) -> bool) -> impl Fn(&String) -> Result<(), String> {
    move |text| match words(text).into_iter().find(|word| !fits(word)) {
        Some(word) => Err(format!("{word} isn't {what}")),
        None if words(text).is_empty() => Err(format!("that isn't {what}")),
        None => Ok(()),
    }
}

fn is_listener(text: &str) -> bool {
    text.starts_with("arn:") && text.contains(":listener/app/")
}

fn is_image(text: &str) -> bool {
    ["ami-", "ssm:", "tag:"].iter().any(|kind| text.starts_with(kind))
}

/// Why there is no answer: Ctrl-C, or the terminal has gone.
fn unanswered(error: dialoguer::Error) -> Failure {
    let dialoguer::Error::IO(error) = error;
    match error.kind() {
        std::io::ErrorKind::Interrupted => Failure::Stopped,
        _ => Failure::usage(format!("no answer: {error}. Nothing was written")),
    }
}

fn words(text: &str) -> Vec<String> {
    text.split([' ', ',']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// What the pipeline is called where nobody says: `mzum-web` of `MZUM_WEB_PRODUCT`; none if that is too long.
fn called(role: &ServiceRole) -> Option<String> {
    let label = role.label();
    let name = label.strip_suffix("-product").unwrap_or(&label);
    is_pipeline(name).then(|| name.to_owned())
}

/// A name that a rule takes; `*` and `?` stand for others.
pub(super) fn is_host(name: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || "-._*?".contains(c);
    name.len() <= 128 && name.contains('.') && name.chars().all(known)
}

/// As infra/pipeline.yaml takes it.
pub(super) fn is_pipeline(name: &str) -> bool {
    (2..=PIPELINE_MAX).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}
