//! What one release of a service is to be like: the settings, validated and normalised.

mod alarms;
pub use alarms::{MAX_ALARMS, OnAlarm};
mod compare;
pub use compare::Compare;
mod fields;
mod hooks;
pub use hooks::{Hook, HookPoint, Hooks, MAX_DETAILS};
pub(crate) mod literal;
mod parse;
pub(crate) use parse::sha256;
mod selector;
pub use selector::Selector;
mod shift;
pub use shift::{Shift, ShiftStep};
mod resolve;
pub use resolve::{Image, Resolved, only_zone};
mod schema;
pub use schema::schema;

use crate::{Error, ServiceRole};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The settings of a service: one environment variable for each service role (docs/SETTINGS.md).
///
/// Serialised under the same keys that ops write, so that a hold can be read by a person. Keys that came later than the
/// others aren't written where they have their default: so the version before reads them too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
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
    /// The id of `zone`, once provision has looked it up; a hold of an older version has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone_id: Option<String>,
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
    /// The pipeline that may release the service.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pipeline: Option<String>,
    /// Whether the service is a pre-product: one that may be parked.
    #[serde(skip_serializing_if = "is_false", default)]
    pub pre_product: bool,
    /// When a rollback may give the traffic back.
    #[serde(skip_serializing_if = "Rollback::is_default", default)]
    pub rollback: Rollback,
    /// How many network hops away from an instance its metadata may be asked: a container on it is one more.
    #[serde(skip_serializing_if = "is_one", default = "one")]
    pub imds_hops: u32,
    /// By which steps the traffic moves.
    #[serde(skip_serializing_if = "Shift::at_once", default)]
    pub shift: Shift,
    /// CloudWatch alarms that send the traffic back; in a hold always names.
    #[serde(skip_serializing_if = "Choice::is_empty", default = "Choice::none")]
    pub alarms: Choice,
    /// What is done when one of them rings.
    #[serde(skip_serializing_if = "OnAlarm::is_rollback", default)]
    pub on_alarm: OnAlarm,
    /// How long after the last weight an alarm still sends the traffic back.
    #[serde(rename = "GUARD", skip_serializing_if = "is_default_guard", default = "default_guard")]
    pub guard_secs: u32,
    /// Whether both releases' errors are compared while the traffic is divided, and by which bar.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub compare: Option<Compare>,
    /// Lambda functions that a release has to pass.
    #[serde(skip_serializing_if = "Hooks::is_none", default)]
    pub hooks: Hooks,
}

fn default_guard() -> u32 {
    3_600
}

fn is_default_guard(secs: &u32) -> bool {
    *secs == default_guard()
}

fn default_hook() -> u32 {
    3_600
}

fn is_default_hook(secs: &u32) -> bool {
    *secs == default_hook()
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn is_one(number: &u32) -> bool {
    *number == 1
}

fn one() -> u32 {
    1
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

impl Choice {
    /// The ids; none while it is tags.
    pub fn ids(&self) -> &[String] {
        match self {
            Self::Ids(ids) => ids,
            Self::Tags(_) => &[],
        }
    }

    fn none() -> Self {
        Self::Ids(Vec::new())
    }

    fn is_empty(&self) -> bool {
        *self == Self::none()
    }
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
#[serde(rename_all = "UPPERCASE")]
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
#[serde(rename_all = "UPPERCASE")]
pub struct ArtifactTag {
    /// The bucket.
    pub bucket: String,
    /// The key's beginning.
    pub prefix: String,
    /// The tag, `KEY=VALUE`; key or value may be in single quotes.
    pub tag: String,
}

impl ArtifactTag {
    /// Whether this tag of an object is the one.
    pub fn is(&self, key: &str, value: &str) -> bool {
        selector::pair(&self.tag, "").is_ok_and(|(wanted, of, _)| wanted == key && of == value)
    }
}

/// The root volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
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
    /// How long a failed candidate is kept, out of every group, before it is removed.
    #[serde(rename = "POSTMORTEM", skip_serializing_if = "is_zero", default)]
    pub postmortem_secs: u32,
    /// How long a hook may take, from its first call to its success.
    #[serde(rename = "HOOK", skip_serializing_if = "is_default_hook", default = "default_hook")]
    pub hook_secs: u32,
}

/// When a rollback may give the traffic back without a person's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub struct Rollback {
    /// The share of the previous release's targets that must be healthy, in percent.
    pub healthy_percent: u32,
}

impl Default for Rollback {
    fn default() -> Self {
        Self { healthy_percent: 50 }
    }
}

impl Rollback {
    /// Whether a hold needn't say it.
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
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
    let path = literal::unmarked(text).trim().strip_prefix("ssm:")?;
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
pub fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
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

#[cfg(test)]
mod tests;
