//! What ops wrote becomes valid settings: all problems at once, each with its key and what to write instead.

use super::alarms::alarms;
use super::compare::compare;
use super::fields::{Fields, dictionary, flag, name, number, short, text, texts, whole};
use super::hooks::hooks;
use super::literal::Literal;
use super::schema::Described;
use super::shift::{gradual, lasting, shift};
use super::*;
use crate::Offer;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// The keys, as docs/SETTINGS.md has them.
pub(super) const KEYS: [&str; 31] = [
    "SUBNET",
    "AMI",
    "INSTANCE_TYPE",
    "SG",
    "INSTANCE_PROFILE",
    "DEPLOY",
    "EIP",
    "COUNT",
    "PORT",
    "TARGET_GROUP",
    "ZONE",
    "ARTIFACT",
    "KEY_NAME",
    "USER_DATA",
    "VOLUME",
    "TAGS",
    "KEEP",
    "DRAIN",
    "TIMEOUTS",
    "TOPIC",
    "TOPIC_FORMAT",
    "PIPELINE",
    "PRE_PRODUCT",
    "ROLLBACK",
    "IMDS_HOPS",
    "SHIFT",
    "ALARMS",
    "ON_ALARM",
    "GUARD",
    "COMPARE",
    "HOOKS",
];

/// Reading the hold (4 s) and a changing call (10 s) must be over before SETTLE is: rule 3 of docs/RULES.md.
const MIN_SETTLE_SECS: u32 = 15;

/// The next release waits for this one's end within a Lambda action of CodePipeline's, 24 hours. Of those, this leaves
/// an hour for the removal itself, and for the next release's launch four times the longest `BOOT` and the three hours
/// that AWS may throttle it.
const MAX_POSTMORTEM_SECS: u32 = 86_400 - 3_600 - 4 * 3_600 - 3 * 3_600;

/// EC2's limit, before encoding.
const MAX_USER_DATA_BYTES: usize = 16 * 1024;

/// EC2 takes 50 tags a resource; the rest is tagship's own.
const MAX_TAGS: usize = 40;

/// DNS's limit of a name, without the dot at the end.
const MAX_NAME: usize = 253;

impl Settings {
    /// Reads the value of a service's variable: a JSON object or a Python dict literal. Selectors are validated, not
    /// resolved: see [`Settings::resolve`].
    pub fn parse(role: &ServiceRole, text: &str) -> Result<Offer, Error> {
        let heading = format!("the settings of {role} (the provision function's environment variable) are wrong");
        read(role, text, false).map_err(|problems| Error::problems(heading, &problems))
    }

    /// As [`Settings::parse`], of the parameter that the variable refers to. It was decrypted, and may be another one
    /// than was meant: so an error shows nothing of it, but says where to look.
    pub fn parse_parameter(role: &ServiceRole, path: &str, text: &str) -> Result<Offer, Error> {
        let heading = format!("the settings of {role} (parameter {path}, of which nothing is shown) are wrong");
        read(role, text, true).map_err(|problems| Error::problems(heading, &problems))
    }
}

/// The settings, or all that is wrong with them.
fn read(role: &ServiceRole, text: &str, hidden: bool) -> Result<Offer, Vec<String>> {
    if literal::unmarked(text).starts_with("ssm:") {
        return Err(vec![
            "write a reference as ssm:/path; the parameter must contain the settings themselves".to_owned(),
        ]);
    }
    let entries = literal::entries(text).map_err(|illegible| {
        let found = if hidden { illegible.places } else { illegible.complaint };
        vec![format!("write a JSON object or a Python dict. {found}")]
    })?;
    let mut fields = Fields::new("", &KEYS, hidden, entries);
    match offer(role, &mut fields) {
        Some(offer) if fields.problems.is_empty() => Ok(offer),
        _ => Err(fields.problems),
    }
}

/// Every key, as it is asked for.
pub(super) fn described() -> Vec<Described> {
    let mut fields = Fields::describing("", &KEYS);
    // What is read of nothing doesn't matter, nor for whom.
    if let Ok(role) = ServiceRole::try_from("SERVICE".to_owned()) {
        offer(&role, &mut fields);
    }
    fields.asked()
}

const TIMEOUTS: &[&str] = &["BOOT", "INSTALL", "HEALTHY", "WATCH", "SETTLE", "POSTMORTEM", "HOOK"];

/// Every field is read before the first missing one ends it, so that all problems are told.
fn offer(role: &ServiceRole, fields: &mut Fields) -> Option<Offer> {
    const TYPES: &str = "an instance type (t3.small), or a list in order of preference";
    const EIP: &str = "True, False, or a pool's tag selector (tag:KEY=PATTERN[,KEY=PATTERN…])";
    const PAIR: &str = "the tag selector of the two target groups (tag:KEY=PATTERN[,KEY=PATTERN…]), or \"none\"";
    const IDS: &str = "…), a list of ids, or a tag selector (tag:KEY=PATTERN[,KEY=PATTERN…])";

    let subnet = fields.required("SUBNET", &format!("a subnet id (subnet-{IDS}"), |value| choice(value, "subnet-"));
    let ami = fields.required(
        "AMI",
        "an image id (ami-…), ssm:/path of a parameter, or a tag selector (tag:KEY=PATTERN[,KEY=PATTERN…])",
        |value| text(value)?.try_into().ok(),
    );
    let instance_type = fields.required("INSTANCE_TYPE", TYPES, instance_types);
    let sg = fields.required("SG", &format!("a security group's id (sg-{IDS}"), |value| choice(value, "sg-"));
    let instance_profile =
        fields.required("INSTANCE_PROFILE", "an instance profile's name, not its ARN", |value| name(value, 128));
    let section = fields.required("DEPLOY", "{\"VIA\":\"codedeploy\",\"APPLICATION\":…,\"GROUP\":…}", dictionary);
    let deploy = fields.section("DEPLOY", &["VIA", "APPLICATION", "GROUP"], section, deploy);
    let eip = fields.optional("EIP", EIP, eip);
    let count = fields.optional("COUNT", "a whole number from 1 to 1000", |value| whole(value, 1..=1000));
    let port = fields.optional("PORT", "a port from 1 to 65535", |value| whole(value, 1..=65_535));
    let target_group = fields.optional("TARGET_GROUP", PAIR, target_group);
    let zone = fields.optional("ZONE", "a private hosted zone's name (cd.internal)", |value| zone(value, role));
    let section = fields.optional("ARTIFACT", "{\"BUCKET\":…,\"PREFIX\":…,\"TAG\":\"KEY=VALUE\"}", dictionary);
    let artifact = fields.section("ARTIFACT", &["BUCKET", "PREFIX", "TAG"], section, artifact);
    let key_name = fields.optional("KEY_NAME", "a key pair's name", text);
    let user_data = fields.secret("USER_DATA", "text of at most 16384 bytes", |value| {
        let text = value.as_str().filter(|text| !text.trim().is_empty())?;
        (text.len() <= MAX_USER_DATA_BYTES).then(|| text.to_owned())
    });
    let section = fields.optional("VOLUME", "{\"SIZE\":30,\"TYPE\":\"gp3\"}", dictionary);
    let volume = fields.section("VOLUME", &["SIZE", "TYPE"], section, volume);
    let section = fields.optional("TAGS", "a dictionary of tags", dictionary);
    let tags = fields.section("TAGS", &[], section, tags);
    let keep = fields.optional("KEEP", "\"terminate\" or \"stop\"", |value| match value.as_str()? {
        "terminate" => Some(Keep::Terminate),
        "stop" => Some(Keep::Stop),
        _ => None,
    });
    let drain = fields.optional("DRAIN", "seconds from 0 to 300", |value| whole(value, 0..=300));
    let section = fields.optional("TIMEOUTS", "a dictionary of seconds", dictionary);
    let timeouts = fields.section("TIMEOUTS", TIMEOUTS, section, timeouts);
    let topic = fields.optional("TOPIC", "the ARN of an SNS topic that isn't FIFO (arn:aws:sns:…)", topic);
    let topic_format = fields.optional("TOPIC_FORMAT", "\"text\" or \"amazon-q\"", |value| match value.as_str()? {
        "text" => Some(TopicFormat::Text),
        "amazon-q" => Some(TopicFormat::AmazonQ),
        _ => None,
    });
    let pipeline = fields.optional("PIPELINE", "the name of the pipeline that releases the service", |value| {
        short(value, 100).filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || ".@_-".contains(c)))
    });
    let pre_product = fields.optional("PRE_PRODUCT", "True or False", flag);
    let section = fields.optional("ROLLBACK", "{\"HEALTHY\": 0.5}", dictionary);
    let rollback = fields.section("ROLLBACK", &["HEALTHY"], section, rollback);
    let imds_hops = fields.optional("IMDS_HOPS", "a whole number from 1 to 64", |value| whole(value, 1..=64));
    let shift = shift(fields);
    let alarms = fields.optional(
        "ALARMS",
        "at most 100 names of alarms, or a tag selector (tag:KEY=PATTERN[,KEY=PATTERN…])",
        alarms,
    );
    let on_alarm = fields.optional("ON_ALARM", "\"rollback\" or \"tell\"", |value| match value.as_str()? {
        "rollback" => Some(OnAlarm::Rollback),
        "tell" => Some(OnAlarm::Tell),
        _ => None,
    });
    let guard = fields.optional("GUARD", "seconds from 0 to 604800", |value| whole(value, 0..=604_800));
    let compare = compare(fields);
    let hooks = hooks(fields);
    gradual(fields, (shift.as_ref(), compare), target_group.as_ref());
    lasting(fields, (shift.as_ref(), compare, hooks.as_ref()), timeouts.as_ref());
    if target_group == Some(TargetGroup::None) && zone.is_none() {
        fields.problem(
            "ZONE",
            "required if TARGET_GROUP is \"none\": without a load balancer, the service is reached by name only",
        );
    }
    Some(Offer {
        settings: Settings {
            subnet: subnet?,
            ami: ami?,
            instance_type: instance_type?,
            sg: sg?,
            instance_profile: instance_profile?,
            deploy: deploy?,
            eip: eip.unwrap_or(Eip::None),
            count: count.unwrap_or(1),
            port,
            target_group: target_group.unwrap_or_else(|| TargetGroup::Pair(Selector::service(role))),
            zone,
            zone_id: None,
            artifact,
            key_name,
            user_data_sha256: user_data.as_deref().map(sha256),
            volume,
            tags: tags.unwrap_or_default(),
            keep: keep.unwrap_or(Keep::Terminate),
            drain_secs: drain.unwrap_or(30),
            timeouts: timeouts.unwrap_or_default(),
            topic,
            topic_format: topic_format.unwrap_or_default(),
            pipeline,
            pre_product: pre_product.unwrap_or_default(),
            rollback: rollback.unwrap_or_default(),
            imds_hops: imds_hops.unwrap_or(1),
            shift: shift.unwrap_or_default(),
            alarms: alarms.unwrap_or_else(|| Choice::Tags(Selector::service(role))),
            on_alarm: on_alarm.unwrap_or_default(),
            guard_secs: guard.unwrap_or_else(default_guard),
            compare,
            hooks: hooks.unwrap_or_default(),
        },
        user_data,
    })
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            boot_secs: 600,
            install_secs: 1_200,
            healthy_secs: 300,
            watch_secs: 30,
            settle_secs: MIN_SETTLE_SECS,
            postmortem_secs: 0,
            hook_secs: default_hook(),
        }
    }
}

fn deploy(fields: &mut Fields) -> Option<Deploy> {
    let via = fields.required("VIA", "\"codedeploy\"", |value| (value.as_str() == Some("codedeploy")).then_some(()));
    let application = fields.required("APPLICATION", "the CodeDeploy application's name", |value| short(value, 100));
    let group = fields.required("GROUP", "the deployment group's name", |value| short(value, 100));
    via?;
    Some(Deploy { application: application?, group: group? })
}

fn artifact(fields: &mut Fields) -> Option<ArtifactTag> {
    let bucket = fields.required("BUCKET", "the bucket's name", |value| name(value, 63));
    let prefix = fields.required("PREFIX", "the key's beginning", |value| short(value, 1_024));
    let tag = fields.required("TAG", "the object's tag as KEY=VALUE", |value| {
        text(value).filter(|text| selector::pair(text, "").is_ok())
    });
    Some(ArtifactTag { bucket: bucket?, prefix: prefix?, tag: tag? })
}

/// Other types need an IOPS figure or can't be booted from.
fn volume(fields: &mut Fields) -> Option<Volume> {
    let size = fields.required("SIZE", "GiB from 1 to 65536", |value| whole(value, 1..=65_536));
    let r#type = fields.required("TYPE", "\"gp3\", \"gp2\" or \"standard\"", |value| {
        text(value).filter(|text| ["gp3", "gp2", "standard"].contains(&text.as_str()))
    });
    Some(Volume { size_gib: size?, r#type: r#type? })
}

fn timeouts(fields: &mut Fields) -> Option<Timeouts> {
    let mut secs = |key, default, range: RangeInclusive<u32>| {
        let what = format!("seconds from {} to {}", range.start(), range.end());
        fields.optional(key, &what, |value| whole(value, range.clone())).unwrap_or(default)
    };
    let default = Timeouts::default();
    Some(Timeouts {
        boot_secs: secs("BOOT", default.boot_secs, 1..=3_600),
        // A hook of CodeDeploy's may take an hour.
        install_secs: secs("INSTALL", default.install_secs, 1..=14_400),
        healthy_secs: secs("HEALTHY", default.healthy_secs, 1..=3_600),
        watch_secs: secs("WATCH", default.watch_secs, 0..=3_600),
        settle_secs: secs("SETTLE", default.settle_secs, MIN_SETTLE_SECS..=300),
        postmortem_secs: secs("POSTMORTEM", default.postmortem_secs, 0..=MAX_POSTMORTEM_SECS),
        hook_secs: secs("HOOK", default.hook_secs, 1..=36_000),
    })
}

fn rollback(fields: &mut Fields) -> Option<Rollback> {
    let healthy = fields.optional("HEALTHY", "a share from 0.01 to 1 (0.5 is one half), in steps of 0.01", |value| {
        let percent = number(value)? * 100.0;
        // A share that was written in steps of 0.01 is at most a rounding error away from one.
        let whole = (percent - percent.round()).abs() < 1e-6 && (1.0..=100.0).contains(&percent.round());
        whole.then_some(percent.round() as u32)
    });
    Some(healthy.map_or_else(Rollback::default, |healthy_percent| Rollback { healthy_percent }))
}

fn tags(fields: &mut Fields) -> Option<BTreeMap<String, String>> {
    let keys: Vec<String> = fields.entries.keys().cloned().collect();
    if keys.len() > MAX_TAGS {
        fields.problem("", &format!("{} tags: write at most {MAX_TAGS}", keys.len()));
    }
    let mut tags = BTreeMap::new();
    for key in keys {
        let lower = key.to_ascii_lowercase();
        if key == "Name" || lower.starts_with("tagship:") || lower.starts_with("aws:") {
            fields.entries.remove(&key);
            fields.problem(&key, "set by tagship or by AWS: write another key");
        } else if key.trim().is_empty() || key.chars().count() > 128 {
            fields.entries.remove(&key);
            fields.problem(&key, "a tag's key has 1 to 128 characters");
        } else if let Some(value) = fields.optional(&key, "text of at most 256 characters", tag_value) {
            tags.insert(key, value);
        }
    }
    Some(tags)
}

/// As it is: empty, or with spaces at its ends.
fn tag_value(value: &Literal) -> Option<String> {
    value.as_str().filter(|text| text.chars().count() <= 256).map(str::to_owned)
}

fn choice(value: &Literal, prefix: &str) -> Option<Choice> {
    let texts = texts(value)?;
    match texts.as_slice() {
        [text] if text.starts_with(Selector::PREFIX) => text.clone().try_into().ok().map(Choice::Tags),
        ids => ids.iter().all(|id| is_id(id, prefix)).then_some(Choice::Ids(texts)),
    }
}

fn instance_types(value: &Literal) -> Option<Vec<String>> {
    let part = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let mut types = texts(value)?;
    let mut seen = BTreeSet::new();
    types.retain(|name| seen.insert(name.clone()));
    let sound = types.iter().all(|name| name.split_once('.').is_some_and(|(family, size)| part(family) && part(size)));
    sound.then_some(types)
}

fn eip(value: &Literal) -> Option<Eip> {
    match flag(value) {
        Some(true) => Some(Eip::Own),
        Some(false) => Some(Eip::None),
        None => text(value)?.try_into().ok().map(Eip::Pool),
    }
}

fn target_group(value: &Literal) -> Option<TargetGroup> {
    match text(value)? {
        text if text == "none" => Some(TargetGroup::None),
        text => text.try_into().ok().map(TargetGroup::Pair),
    }
}

/// A domain name in which the longest name of the service still fits.
fn zone(value: &Literal, role: &ServiceRole) -> Option<String> {
    let zone = text(value)?.trim_end_matches('.').to_ascii_lowercase();
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let longest = "1000.candidate.".len() + role.label().len() + 1 + zone.len();
    (zone.split('.').all(label) && longest <= MAX_NAME).then_some(zone)
}

fn topic(value: &Literal) -> Option<String> {
    let arn = text(value)?;
    let parts: Vec<&str> = arn.split(':').collect();
    let [first, partition, "sns", region, account, name] = parts.as_slice() else {
        return None;
    };
    let sound = *first == "arn"
        && partition.starts_with("aws")
        && !region.is_empty()
        && account.len() == 12
        && account.chars().all(|c| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    sound.then_some(arn)
}

/// Hexadecimal: 64 digits.
pub(crate) fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
