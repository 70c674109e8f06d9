//! The roster: who the live fleet of a service is between its releases, so that sweep can look after it.

use super::format;
use super::hold::Hold;
use super::noun::{ReleaseId, ServiceRole};
use super::settings::Settings;
use super::world::{Instance, InstanceState};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Where the rosters lie in tagship's bucket.
pub const ROSTERS: &str = "live/";

/// Where the roster of a service lies in tagship's bucket.
pub fn roster_key(role: &ServiceRole) -> String {
    format!("{ROSTERS}{role}.json")
}

/// The S3 object `live/<role>.json`, written when a release has been approved or kept. Every write of it is a
/// compare-and-swap. What of it a later version has added is lost: the next release writes it anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Roster {
    /// The version that wrote it.
    #[serde(default = "format::unversioned")]
    pub v: u32,
    /// Which release is live.
    pub release: ReleaseId,
    /// Its pipeline: whose people are told.
    pub pipeline: String,
    /// Its settings.
    pub settings: Settings,
    /// Its instances, and their private addresses.
    pub members: BTreeMap<String, String>,
    /// Those that don't run any more, as people were told.
    #[serde(skip_serializing_if = "BTreeSet::is_empty", default)]
    pub down: BTreeSet<String>,
}

impl Roster {
    /// Of the release that holds: what of its fleet runs.
    pub fn of<'a>(hold: &Hold, fleet: impl IntoIterator<Item = &'a Instance>) -> Self {
        let running = fleet.into_iter().filter(|instance| instance.state == InstanceState::Running);
        let members = running.filter_map(|instance| Some((instance.id.clone(), instance.private_ip.clone()?)));
        Self {
            v: format::VERSION,
            release: hold.release.clone(),
            pipeline: hold.pipeline.clone(),
            settings: hold.settings.clone(),
            members: members.collect(),
            down: BTreeSet::new(),
        }
    }
}

/// A roster as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolled {
    /// The roster.
    pub roster: Roster,
    /// Its entity tag: the next write's If-Match.
    pub etag: String,
}
