//! One cloud's own ids in the scenario's names and back, and the form in which both clouds are compared.
//!
//! What the comparison leaves out may drift, so each is left out here, in one place, with the reason:
//!
//! - times (`now`, `launched_at`, `created_at`, `updated_at`, `since`, `moved_at`, `at`): one clock is virtual. Whether
//!   there is one is compared.
//! - a group's `name`, a switch's `label`, a target's `reason` and `description`, a deployment's `overview`, whether it has `begun`, and all but
//!   the first word of its `error` and of a target's `diagnostics`: words for people, which no planner branches on; the
//!   simulator has none or its own.
//! - an alarm's `reason`: words for people.
//! - the words of an artifact that wasn't found, and of an error: its kind is compared.
//! - the order of lists: AWS promises none.

mod seen;
mod steps;

use jiff::Timestamp;
use std::cell::RefCell;
use std::collections::BTreeMap;
use tagship::settings::Settings;
use tagship::{Artifact, ReleaseId};

use crate::scenario::{named_artifact, release};
use tagship_sim::plan::ZONE_ID;

/// Ids of one cloud, in both directions.
#[derive(Debug)]
pub(crate) struct Names {
    real: BTreeMap<String, String>,
    named: BTreeMap<String, String>,
    counts: BTreeMap<&'static str, u32>,
    /// The service's settings in the cloud's ids, and in the scenario's names.
    settings: (Settings, Settings),
    /// When each release took the hold.
    since: RefCell<BTreeMap<ReleaseId, Timestamp>>,
    /// What the cloud would say is the time.
    pub(crate) now: Timestamp,
}

impl Names {
    pub(crate) fn new(real: Settings, named: Settings) -> Self {
        Self {
            real: BTreeMap::new(),
            named: BTreeMap::new(),
            counts: BTreeMap::new(),
            settings: (real, named),
            since: RefCell::default(),
            now: Timestamp::UNIX_EPOCH,
        }
    }

    /// From now on that is called this.
    pub(crate) fn bind(&mut self, name: &str, real: &str) {
        self.real.insert(name.to_owned(), real.to_owned());
        self.named.insert(real.to_owned(), name.to_owned());
    }

    /// The cloud's id; what has no name is meant as it is.
    pub(crate) fn real(&self, name: &str) -> String {
        self.real.get(name).cloned().unwrap_or_else(|| name.to_owned())
    }

    /// The name of an id; one that wasn't seen before gets the next number of its kind.
    fn name(&mut self, kind: &'static str, real: &str) -> String {
        if let Some(name) = self.named.get(real) {
            return name.clone();
        }
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        let name = format!("{kind}{count}");
        self.bind(&name, real);
        name
    }

    /// The name of what has one from the beginning.
    pub(crate) fn known(&self, real: &str) -> String {
        self.named.get(real).cloned().unwrap_or_else(|| real.to_owned())
    }

    fn release(&self, real: &ReleaseId) -> ReleaseId {
        release(&self.known(real.as_str()))
    }

    pub(crate) fn real_release(&self, name: &ReleaseId) -> ReleaseId {
        release(&self.real(name.as_str()))
    }

    fn artifact(&mut self, real: &Artifact) -> Artifact {
        named_artifact(&self.name("artifact", &text(real)))
    }

    fn real_artifact(&self, named: &Artifact) -> Artifact {
        serde_json::from_str(&self.real(&named.key)).unwrap_or_else(|_| named.clone())
    }

    fn settings(&self, real: Settings) -> Settings {
        let zone_id = real.zone_id.as_ref().map(|_| ZONE_ID.to_owned());
        let known = Settings { zone_id: None, ..real.clone() } == self.settings.0;
        if known { Settings { zone_id, ..self.settings.1.clone() } } else { real }
    }
}

/// As the key that it is known by.
fn text(artifact: &Artifact) -> String {
    serde_json::to_string(artifact).expect("an artifact can be written")
}

fn sorted(mut values: Vec<String>) -> Vec<String> {
    values.sort();
    values
}
