//! The hold: the right of one release to change a service, and how releases have ended.

use super::build::Build;
use super::format::{self, Unknown};
use super::hook::HookRun;
use super::noun::{ReleaseId, ServiceRole};
use super::settings::Settings;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where the hold of a service lies in tagship's bucket.
pub fn hold_key(role: &ServiceRole) -> String {
    format!("holds/{role}.json")
}

/// Where the marker of an ended release lies in tagship's bucket.
pub fn ended_key(role: &ServiceRole, release: &ReleaseId) -> String {
    format!("ended/{role}/{release}.json")
}

/// The S3 object `holds/<role>.json`. Every write of it is a compare-and-swap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// The version that wrote it.
    #[serde(default = "format::unversioned")]
    pub v: u32,
    /// Who holds.
    pub release: ReleaseId,
    /// The release's pipeline: who to ask whether it still runs.
    pub pipeline: String,
    /// Whether CodePipeline knew the release's execution in that pipeline when the hold was taken.
    #[serde(skip_serializing_if = "is_false", default)]
    pub checked: bool,
    /// Since when CodePipeline hasn't known it any more, as sweep saw it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub missing_since: Option<Timestamp>,
    /// What people call the build, if its artifact says so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub build: Option<Build>,
    /// When it was taken.
    pub since: Timestamp,
    /// How far it has been decided.
    pub phase: Phase,
    /// The settings of this release, as read once by provision.
    pub settings: Settings,
    /// What is installed, chosen once by deploy.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub artifact: Option<Artifact>,
    /// The candidate's target group (its ARN), chosen with the artifact; none without a load balancer.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub group: Option<String>,
    /// Who was live before the first weight moved; absent until then.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub previous: Option<Previous>,
    /// How far a shift in steps has come; none before it, and where everything moves at once.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub split: Option<Split>,
    /// How far it has come with its hooks; none before the first, or where there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hook: Option<HookRun>,
    /// Why the traffic goes back, written before a weight does. One way only: it never moves forward again.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub back: Option<Back>,
    /// Alarms that rang before the first weight moved: they count once they have been OK.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub ringing: Vec<String>,
    /// When the last weight had moved.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub moved_at: Option<Timestamp>,
    /// Until when discard keeps what has failed (`TIMEOUTS.POSTMORTEM`); written once none of it is in a target group.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub kept_until: Option<Timestamp>,
    /// What a later version has written besides.
    #[serde(skip)]
    pub unknown: Unknown,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl Hold {
    /// A release's hold as it is taken.
    pub fn taken(release: ReleaseId, pipeline: String, since: Timestamp, settings: Settings) -> Self {
        Self {
            v: format::VERSION,
            release,
            pipeline,
            checked: false,
            missing_since: None,
            build: None,
            since,
            phase: Phase::Open,
            settings,
            artifact: None,
            group: None,
            previous: None,
            split: None,
            hook: None,
            back: None,
            ringing: Vec::new(),
            moved_at: None,
            kept_until: None,
            unknown: Unknown::default(),
        }
    }

    /// The release as people know it: `1.4.2 (5b2cc88f-…)`, or its id alone.
    pub fn called(&self) -> String {
        called(self.build.as_ref(), self.release.as_str())
    }

    /// Reads a hold as any version wrote it.
    ///
    /// # Errors
    ///
    /// If it is no JSON, or lacks what this version needs.
    pub fn from_json(text: &[u8]) -> serde_json::Result<Self> {
        format::read(text).map(|(hold, unknown)| Self { unknown, ..hold })
    }

    /// As it is stored, with what was unknown when it was read.
    ///
    /// # Errors
    ///
    /// If it can't be written as JSON.
    pub fn to_json(&self) -> serde_json::Result<String> {
        let hold = Self { v: self.v.max(format::VERSION), ..self.clone() };
        serde_json::to_string_pretty(&format::write(&hold, &self.unknown)?)
    }
}

/// What people call a build, and in brackets its release.
pub fn called(build: Option<&Build>, release: &str) -> String {
    build.map_or_else(|| release.to_owned(), |build| format!("{build} ({release})"))
}

/// One way only: `open` → `approved`, or `open` → `ending`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Being prepared, shifted or watched.
    Open,
    /// A person approved: what it replaced is being removed.
    Approved,
    /// Rejected, failed, stopped, superseded or parked: it is being removed.
    Ending,
}

/// A version of an S3 object: what is installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// The version, where the bucket keeps versions.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<String>,
    /// The entity tag, without quotes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub etag: Option<String>,
}

impl std::fmt::Display for Artifact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)?;
        match &self.version {
            Some(version) => write!(f, " version {version}"),
            None => Ok(()),
        }
    }
}

/// Who was live before the first weight moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// The release; none if no release was live.
    pub release: Option<ReleaseId>,
    /// Its healthy targets at that moment (its instances, where there is no load balancer).
    pub healthy: u32,
}

/// How far a shift in steps has come. The steps themselves are in the settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Split {
    /// The step that is being given or stands, counted from 0; beyond the last one everything is given.
    pub step: usize,
    /// The candidate's percentages that a switch may still have while the step is being given.
    pub from: Vec<u32>,
    /// The candidate's percentage at this step.
    pub to: u32,
    /// Since when every switch has it; none while it is being given.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub since: Option<Timestamp>,
    /// The weight that the pair had on each switch (by its ARN) before the first step.
    pub old: BTreeMap<String, u32>,
    /// When the steps before stood: their minutes are compared too.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub stood: Vec<Stood>,
}

/// While all switches had the numbers of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stood {
    /// From then on.
    pub since: Timestamp,
    /// Until then.
    pub until: Timestamp,
}

/// Why the traffic goes back, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Back {
    /// For people.
    pub why: String,
    /// When it was decided.
    pub at: Timestamp,
}

/// How a release ended: `ended/<role>/<release>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ended {
    /// The version that wrote it.
    #[serde(default = "format::unversioned")]
    pub v: u32,
    /// The release.
    pub release: ReleaseId,
    /// How.
    pub how: HowEnded,
    /// When.
    pub at: Timestamp,
    /// What it had installed, for the service's history.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub artifact: Option<Artifact>,
}

impl Ended {
    /// How the release that holds has ended.
    pub fn of(hold: &Hold, how: HowEnded, at: Timestamp) -> Self {
        Self { artifact: hold.artifact.clone(), ..Self::unheld(hold.release.clone(), how, at) }
    }

    /// How a release has ended that holds nothing.
    pub fn unheld(release: ReleaseId, how: HowEnded, at: Timestamp) -> Self {
        Self { v: format::VERSION, release, how, at, artifact: None }
    }
}

/// How a release ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HowEnded {
    /// It is live, and what it replaced is gone.
    Approved,
    /// It is gone.
    Discarded,
    /// It and its whole environment are gone: a pre-product's success.
    Parked,
    /// It stays, and what was before it too: it was rejected, but nothing could be restored; or it was approved, but
    /// somebody turned switches away from it.
    Kept,
}

impl HowEnded {
    /// As written in the marker.
    pub fn as_str(self) -> &'static str {
        match self {
            HowEnded::Approved => "approved",
            HowEnded::Discarded => "discarded",
            HowEnded::Parked => "parked",
            HowEnded::Kept => "kept",
        }
    }
}

/// A hold as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The hold.
    pub hold: Hold,
    /// Its entity tag: the next write's If-Match.
    pub etag: String,
    /// Whether the *holder's* release has an ended marker: then the hold is free, see [`Held::free`].
    pub freed: bool,
}

impl Held {
    /// Whether another release may take the hold over. Not while it is open: then its release was marked before it
    /// was known to hold anything, and discard has something to remove first.
    pub fn free(&self) -> bool {
        self.freed && self.hold.phase != Phase::Open
    }
}

/// What the bucket says about a release and its service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holding {
    /// The service's hold.
    pub held: Option<Held>,
    /// The marker of the release that asks.
    pub ended: Option<Ended>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::HookPoint;
    use crate::testing;
    use serde_json::{Value, json};

    #[test]
    fn a_hold_reads_back_as_written() {
        let hold = Hold {
            previous: Some(Previous { release: None, healthy: 0 }),
            moved_at: Some(Timestamp::UNIX_EPOCH),
            kept_until: Some(Timestamp::UNIX_EPOCH),
            ringing: vec!["web-5xx".to_owned()],
            build: Build::of("version 1.4.2"),
            back: Some(Back { why: "an alarm".to_owned(), at: Timestamp::UNIX_EPOCH }),
            split: Some(Split {
                step: 1,
                from: vec![10],
                to: 50,
                since: Some(Timestamp::UNIX_EPOCH),
                old: BTreeMap::from([("arn:a".to_owned(), 100)]),
                stood: vec![Stood { since: Timestamp::UNIX_EPOCH, until: Timestamp::UNIX_EPOCH }],
            }),
            hook: Some(HookRun {
                point: HookPoint::AfterShift,
                number: 1,
                since: Timestamp::UNIX_EPOCH,
                due: Timestamp::UNIX_EPOCH,
                details: Some(json!({"run": [7]})),
            }),
            ..testing::hold(1)
        };
        let text = hold.to_json().expect("a hold can be written");
        assert_eq!(Hold::from_json(text.as_bytes()).expect("and read"), hold, "{text}");
    }

    #[test]
    fn the_version_before_and_the_version_after_are_read() {
        let stored = |change: fn(&mut Value)| {
            let text = testing::hold(1).to_json().expect("a hold can be written");
            let mut stored: Value = serde_json::from_str(&text).expect("JSON");
            change(&mut stored);
            stored
        };
        let rewritten = |stored: &Value| -> Value {
            let hold = Hold::from_json(stored.to_string().as_bytes()).expect("any version's hold is read");
            serde_json::from_str(&hold.to_json().expect("and written")).expect("as JSON")
        };
        // Before there were versions.
        let before = stored(|hold| {
            hold.as_object_mut().expect("an object").remove("v");
        });
        assert_eq!(rewritten(&before)["v"], json!(format::VERSION));
        // A later one: its fields and its version stay.
        let after = stored(|hold| {
            hold["v"] = json!(9);
            hold["shift"] = json!({"step": 2});
            hold["settings"]["LATER"] = json!({"KEY": [1]});
        });
        assert_eq!(rewritten(&after), after);
        let marker = json!({"v": 9, "release": "r1", "how": "kept", "at": "2026-11-26T00:00:00Z", "later": 1});
        assert_eq!(serde_json::from_value::<Ended>(marker).expect("a later marker").how, HowEnded::Kept);
        let marker = json!({"release": "r1", "how": "approved", "at": "2026-11-26T00:00:00Z"});
        assert_eq!(serde_json::from_value::<Ended>(marker).expect("an earlier marker").v, 1);
    }
}
