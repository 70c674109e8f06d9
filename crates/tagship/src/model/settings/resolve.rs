//! What the settings refer to becomes ids: a release goes by what its selectors found when it took the hold.

use super::{Ami, Choice, MAX_ALARMS, Settings, is_id};
use crate::{Error, listed};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// What the selectors and the parameter of settings led to. A part that the settings give as ids stays empty.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Resolved {
    /// Ids of the subnets found.
    pub subnets: Vec<String>,
    /// The available images found.
    pub images: Vec<Image>,
    /// The value of the image's parameter, decrypted, so it is never shown; none if there is no such parameter.
    pub image_parameter: Option<String>,
    /// Ids of the security groups found.
    pub security_groups: Vec<String>,
    /// Names of the alarms that exist, of those that are named or that the tags find.
    pub alarms: Vec<String>,
    /// Ids of the private hosted zones of `ZONE`'s name; none if nobody looked.
    pub zones: Option<Vec<String>>,
    /// Functions of hooks that can't be called, each with what is wrong and what to do.
    pub hooks: BTreeMap<String, String>,
}

impl std::fmt::Debug for Resolved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { subnets, images, image_parameter: _, security_groups, alarms, zones, hooks } = self;
        let mut shown = f.debug_struct("Resolved");
        shown
            .field("subnets", subnets)
            .field("images", images)
            .field("security_groups", security_groups)
            .field("alarms", alarms)
            .field("zones", zones)
            .field("hooks", hooks);
        shown.finish_non_exhaustive()
    }
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
        match heeded(&self.alarms, found.alarms) {
            Ok(names) => self.alarms = Choice::Ids(names),
            Err(problem) => problems.push(problem),
        }
        if let (Some(zone), Some(ids)) = (&self.zone, found.zones) {
            match only_zone(zone, ids) {
                Ok(id) => self.zone_id = Some(id),
                Err(problem) => problems.push(problem),
            }
        }
        problems.extend(found.hooks.iter().map(|(function, problem)| format!("HOOKS: function {function} {problem}")));
        let image = match &self.ami {
            Ami::Id(id) => Ok(id.clone()),
            Ami::Tags(selector) => match found.images.into_iter().max() {
                Some(image) => Ok(image.id),
                None => Err(format!("AMI: {selector} matches no available image")),
            },
            Ami::Parameter(path) => match found.image_parameter.as_deref().map(str::trim) {
                Some(id) if is_id(id, "ami-") => Ok(id.to_owned()),
                // It may be the path of a password, so what it holds isn't told.
                Some(_) => Err(format!(
                    "AMI: parameter {path} holds no image id: write the path of one that holds ami-…, and nothing else"
                )),
                None => Err(format!("AMI: there is no parameter {path}")),
            },
        };
        match image {
            Ok(id) => self.ami = Ami::Id(id),
            Err(problem) => problems.push(problem),
        }
        match problems.is_empty() {
            true => Ok(self),
            false => Err(Error::problems(
                "the settings name resources that don't exist; correct the settings or the tags",
                &problems,
            )),
        }
    }
}

/// The id of the one private hosted zone of this name.
///
/// # Errors
///
/// If there is none, or more than one: what to do about it.
pub fn only_zone(zone: &str, mut ids: Vec<String>) -> Result<String, String> {
    match ids.len() {
        0 => Err(format!("ZONE {zone}: there is no private hosted zone of this name")),
        1 => Ok(ids.swap_remove(0)),
        many => Err(format!(
            "ZONE {zone}: {many} private hosted zones have this name ({}); names would be ambiguous, keep one",
            listed(ids.iter().map(String::as_str))
        )),
    }
}

/// The names of the alarms, each of which exists. Tags that find none are no problem.
fn heeded(choice: &Choice, found: Vec<String>) -> Result<Vec<String>, String> {
    if let Choice::Ids(names) = choice {
        let missing: Vec<&str> = names.iter().filter(|name| !found.contains(name)).map(String::as_str).collect();
        if !missing.is_empty() {
            return Err(format!("ALARMS: CloudWatch has no alarm {} in this Region", crate::listed(missing)));
        }
    }
    let names: BTreeSet<String> = found.into_iter().collect();
    match names.len() {
        ..=MAX_ALARMS => Ok(names.into_iter().collect()),
        many => {
            Err(format!("ALARMS: {many} alarms match: at most {MAX_ALARMS} are possible, so name the ones that matter"))
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
