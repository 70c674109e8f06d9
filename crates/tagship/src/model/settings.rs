//! What one release of a service is to be like: the settings, validated and normalised.

mod fields;
mod literal;
mod parse;
pub(crate) use parse::sha256;
mod selector;
pub use selector::Selector;

use crate::{Error, ServiceRole};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The settings of a service: one environment variable for each service role (docs/SETTINGS.md).
///
/// Serialised under the same keys that ops write, so that a hold can be read by a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", deny_unknown_fields)]
pub struct Settings {
    /// Where instances are launched; in a hold always ids.
    pub subnet: Choice,
    /// What they boot from; in a hold always an id.
    pub ami: Ami,
    /// Types in order of preference.
    pub instance_type: Vec<String>,
    /// Their security groups; in a hold always ids.
    pub sg: Choice,
    /// The instance profile's name.
    pub instance_profile: String,
    /// How the artifact is installed.
    pub deploy: Deploy,
    /// Public addresses.
    pub eip: Eip,
    /// Instances in the fleet.
    pub count: u32,
    /// The target port; none is the group's own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub port: Option<u16>,
    /// The pair of target groups.
    pub target_group: TargetGroup,
    /// The private hosted zone's name, without a dot at the end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub zone: Option<String>,
    /// Where the artifact is looked for, if not in the action's input.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub artifact: Option<ArtifactTag>,
    /// The key pair's name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key_name: Option<String>,
    /// The user data's SHA-256, hexadecimal; the text itself never leaves provision.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user_data_sha256: Option<String>,
    /// The root volume.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub volume: Option<Volume>,
    /// More tags for what is created.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub tags: BTreeMap<String, String>,
    /// What becomes of retired instances.
    pub keep: Keep,
    /// Seconds from deregistering to terminating.
    #[serde(rename = "DRAIN")]
    pub drain_secs: u32,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// An SNS topic told of this service's stages.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub topic: Option<String>,
    /// How it is told.
    #[serde(skip_serializing_if = "TopicFormat::is_text", default)]
    pub topic_format: TopicFormat,
}

/// Ids, or the tags that find them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Choice {
    /// As given.
    Ids(Vec<String>),
    /// To be looked up.
    Tags(Selector),
}

/// What instances boot from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Ami {
    /// `ami-…`
    Id(String),
    /// `ssm:/path`: the parameter that names the image.
    Parameter(String),
    /// The newest available image with these tags.
    Tags(Selector),
}

/// CodeDeploy, the one way of installing so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE", deny_unknown_fields)]
pub struct Deploy {
    /// The CodeDeploy application.
    pub application: String,
    /// Its deployment group, which belongs to this service role alone.
    pub group: String,
}

/// Public addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Eip {
    /// None.
    None,
    /// Allocated and released with the instance.
    Own,
    /// Borrowed from a pool with these tags and given back, never released.
    Pool(Selector),
}

/// The pair of target groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetGroup {
    /// The two groups with these tags.
    Pair(Selector),
    /// No load balancer: reached by name only.
    None,
}

/// The newest object under a prefix with an S3 object tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE", deny_unknown_fields)]
pub struct ArtifactTag {
    /// The bucket.
    pub bucket: String,
    /// The key's beginning.
    pub prefix: String,
    /// The tag, `KEY=VALUE`.
    pub tag: String,
}

/// The root volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE", deny_unknown_fields)]
pub struct Volume {
    /// Its size.
    #[serde(rename = "SIZE")]
    pub size_gib: u32,
    /// As EC2 names it: `gp3`.
    pub r#type: String,
}

/// What becomes of retired instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// They are terminated.
    Terminate,
    /// They are kept stopped until the next release's retire.
    Stop,
}

/// How a topic is told: for people's mail, or for a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TopicFormat {
    /// Subject and text.
    #[default]
    Text,
    /// Amazon Q Developer's custom notification, for Slack or Teams; it drops any other text unseen.
    AmazonQ,
}

impl TopicFormat {
    /// The default, which a hold doesn't say.
    fn is_text(&self) -> bool {
        *self == Self::Text
    }
}

/// How long things may take, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE", deny_unknown_fields)]
pub struct Timeouts {
    /// From launch to running.
    #[serde(rename = "BOOT")]
    pub boot_secs: u32,
    /// From the deployment's beginning to its end.
    #[serde(rename = "INSTALL")]
    pub install_secs: u32,
    /// From registration to healthy.
    #[serde(rename = "HEALTHY")]
    pub healthy_secs: u32,
    /// How long the switches are watched after the shift.
    #[serde(rename = "WATCH")]
    pub watch_secs: u32,
    /// How long after the last weight nothing may be removed: rule 3 of docs/RULES.md.
    #[serde(rename = "SETTLE")]
    pub settle_secs: u32,
}

impl TryFrom<String> for Ami {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if is_id(&text, "ami-") {
            Ok(Self::Id(text))
        } else if let Some(path) = reference(&text) {
            Ok(Self::Parameter(path.to_owned()))
        } else {
            Selector::try_from(text).map(Self::Tags)
        }
    }
}

impl From<Ami> for String {
    fn from(ami: Ami) -> Self {
        match ami {
            Ami::Id(id) => id,
            Ami::Parameter(path) => format!("ssm:{path}"),
            Ami::Tags(selector) => selector.into(),
        }
    }
}

/// What a settings variable refers to, where it doesn't hold the settings themselves: `ssm:/path` gives `/path`.
pub fn reference(text: &str) -> Option<&str> {
    let path = text.trim().strip_prefix("ssm:")?;
    let known = |c: char| c.is_ascii_alphanumeric() || "/_.-:".contains(c);
    (!path.is_empty() && path.chars().all(known)).then_some(path)
}

/// The error for a service role without a variable: names it, and the closest of those that exist.
pub fn missing<'a>(role: &ServiceRole, existing: impl IntoIterator<Item = &'a str>) -> Error {
    let closest = match closest(role.as_str(), existing) {
        Some(name) => format!(" The closest variable that it has is {name}."),
        None => String::new(),
    };
    Error::configuration(format!(
        "service role {role} has no settings: the provision function has no environment variable {role}.{closest} \
         Correct serviceRole in the action's UserParameters, or add the variable"
    ))
}

/// The candidate most like `name`, if one is like it at all.
pub(crate) fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Below, the two have little in common but their length.
    const ALIKE: f64 = 0.6;
    let name = name.to_ascii_uppercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::normalized_damerau_levenshtein(&name, &candidate.to_ascii_uppercase()), candidate))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// Whether this is an AWS id of that kind: `subnet-…`.
fn is_id(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix)
        .is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'))
}

/// What the selectors and the parameter of settings led to. A part that the settings give as ids stays empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resolved {
    /// Ids of the subnets found.
    pub subnets: Vec<String>,
    /// The available images found.
    pub images: Vec<Image>,
    /// The value of the image's parameter; none if there is no such parameter.
    pub image_parameter: Option<String>,
    /// Ids of the security groups found.
    pub security_groups: Vec<String>,
}

/// An image that a selector found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Image {
    /// When it was created.
    pub created: Timestamp,
    /// `ami-…`
    pub id: String,
}

impl Settings {
    /// The settings with every selector replaced by the ids that it led to, as a hold carries them.
    pub fn resolve(mut self, found: Resolved) -> Result<Self, Error> {
        let mut problems = Vec::new();
        if let Err(problem) = self.subnet.resolve("SUBNET", "subnet", found.subnets) {
            problems.push(problem);
        }
        if let Err(problem) = self.sg.resolve("SG", "security group", found.security_groups) {
            problems.push(problem);
        }
        let image = match &self.ami {
            Ami::Id(id) => Ok(id.clone()),
            Ami::Tags(selector) => match found.images.into_iter().max() {
                Some(image) => Ok(image.id),
                None => Err(format!("AMI: {selector} matches no available image")),
            },
            Ami::Parameter(path) => match found.image_parameter {
                Some(id) if is_id(&id, "ami-") => Ok(id),
                Some(value) => Err(format!("AMI: parameter {path} holds {value:?}, which is no image id (ami-…)")),
                None => Err(format!("AMI: there is no parameter {path}")),
            },
        };
        match image {
            Ok(id) => self.ami = Ami::Id(id),
            Err(problem) => problems.push(problem),
        }
        match problems.is_empty() {
            true => Ok(self),
            false => Err(Error::problems("the settings name what isn't there; correct them or the tags", &problems)),
        }
    }
}

impl Choice {
    /// Becomes ids, sorted and each once.
    fn resolve(&mut self, key: &str, what: &str, found: Vec<String>) -> Result<(), String> {
        let ids = match self {
            Self::Ids(ids) => std::mem::take(ids),
            Self::Tags(selector) if found.is_empty() => return Err(format!("{key}: {selector} matches no {what}")),
            Self::Tags(_) => found,
        };
        *self = Self::Ids(ids.into_iter().collect::<BTreeSet<_>>().into_iter().collect());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
