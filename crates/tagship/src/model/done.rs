//! How a job ends well, and what its event tells.

use super::build::Build;
use serde::Serialize;
use std::collections::BTreeMap;

/// A job's success.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Done {
    /// Whether there was nothing (left) to do.
    pub nothing: bool,
    /// What was done, for people.
    pub message: String,
    /// Output variables: name, value.
    pub outputs: Vec<(&'static str, String)>,
    /// For the event.
    pub report: Report,
}

/// What a stage's event tells beyond its message.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// How it ended, where that isn't plain success.
    #[serde(skip)]
    pub ending: Ending,
    /// What people call the build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<Build>,
    /// Instance ids.
    pub instances: Vec<String>,
    /// Names in the zone.
    pub names: Vec<String>,
    /// Switch label → `group=weight, …`.
    pub weights: BTreeMap<String, String>,
    /// What is left behind, a sentence each.
    pub left_behind: Vec<String>,
}

/// Which event a success becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ending {
    /// `Stage Succeeded`
    #[default]
    Succeeded,
    /// `Release Rolled Back`
    RolledBack,
    /// `Release Kept`
    Kept,
    /// `Alarm Rings`: people decide.
    Rings,
    /// `Fleet Degraded`: instances of the live fleet don't run any more.
    Degraded,
}
