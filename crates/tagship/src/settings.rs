//! What one release of a service is to be like: the settings, validated and normalised.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The settings of a service (DESIGN: one environment variable a service role).
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

/// A tag selector, `tag:KEY=PATTERN[,KEY=PATTERN…]`: all parts must match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Selector {
    /// Key and pattern; `*` and `?` are wildcards in the pattern.
    pub parts: Vec<(String, String)>,
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
    /// How long after the last weight nothing may be removed (DESIGN, rule 3).
    #[serde(rename = "SETTLE")]
    pub settle_secs: u32,
}

impl TryFrom<String> for Selector {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let malformed = || format!("{text:?} is no tag selector: write tag:KEY=PATTERN[,KEY=PATTERN…]");
        let parts = text.strip_prefix("tag:").ok_or_else(malformed)?;
        let parts = parts
            .split(',')
            .map(|part| part.split_once('=').map(|(key, pattern)| (key.trim().to_owned(), pattern.trim().to_owned())))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(malformed)?;
        Ok(Self { parts })
    }
}

impl From<Selector> for String {
    fn from(selector: Selector) -> Self {
        let parts: Vec<String> = selector.parts.iter().map(|(key, pattern)| format!("{key}={pattern}")).collect();
        format!("tag:{}", parts.join(","))
    }
}

impl TryFrom<String> for Ami {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.starts_with("ami-") {
            Ok(Self::Id(text))
        } else if let Some(path) = text.strip_prefix("ssm:") {
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
