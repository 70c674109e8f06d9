//! The hold: the right of one release to change a service, and what each action may do by it.

use crate::settings::Settings;
use crate::{Action, ReleaseId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Where the hold of a service lies in tagship's bucket.
pub fn hold_key(role: &crate::ServiceRole) -> String {
    format!("holds/{role}.json")
}

/// Where the marker of an ended release lies in tagship's bucket.
pub fn ended_key(role: &crate::ServiceRole, release: &ReleaseId) -> String {
    format!("ended/{role}/{release}.json")
}

/// The S3 object `holds/<role>.json`. Every write of it is a compare-and-swap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hold {
    /// Who holds.
    pub release: ReleaseId,
    /// The release's pipeline: who to ask whether it still runs.
    pub pipeline: String,
    /// When it was taken.
    pub since: Timestamp,
    /// How far it has been decided.
    pub phase: Phase,
    /// The settings of this release, as read once by provision.
    pub settings: Settings,
    /// What is installed, chosen once by deploy.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub artifact: Option<Artifact>,
    /// Who was live before the first weight moved; absent until then.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub previous: Option<Previous>,
    /// When the last weight had moved.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub moved_at: Option<Timestamp>,
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
#[serde(rename_all = "camelCase", deny_unknown_fields)]
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
#[serde(deny_unknown_fields)]
pub struct Previous {
    /// The release; none if no release was live.
    pub release: Option<ReleaseId>,
    /// Its healthy targets at that moment (its instances, where there is no load balancer).
    pub healthy: u32,
}

/// How a release ended: `ended/<role>/<release>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ended {
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
    /// It was rejected, but nothing could be restored: it is still live.
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

impl Holding {
    /// Whether a discard that saw no hold marked the release while it took one: what was launched since is still there.
    pub fn late_mark(&self) -> bool {
        self.ended.as_ref().is_some_and(|ended| {
            let open = self.held.as_ref().is_some_and(|held| held.hold.phase == Phase::Open);
            ended.how == HowEnded::Discarded && open
        })
    }
}

/// What an action may do, by the table of phases in DESIGN.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Go on by this hold.
    Act,
    /// Write the phase first.
    Turn(Phase),
    /// Take the hold.
    Take,
    /// Another release holds: wait, and say for whom.
    AwaitHolder,
    /// Nothing is held, so nothing is there to undo: write `discarded`, so that a late start fails.
    MarkDiscarded,
    /// The marker is there but the hold is still this release's: delete it.
    FreeHold,
    /// The release was approved meanwhile: finish that.
    FinishRetire,
    /// Nothing to do, and why.
    Nothing(&'static str),
    /// Not any more, and why.
    Refuse(&'static str),
}

/// The table of phases: what `action` of `release` may do, given what the bucket says.
pub fn admit(action: Action, release: &ReleaseId, holding: &Holding) -> Verdict {
    use Action::*;
    use Verdict::*;
    let mine = holding.held.as_ref().filter(|held| held.hold.release == *release);
    if holding.ended.is_some() {
        return match action {
            Provision | Deploy | Shift => {
                Refuse("this release has ended: start a new execution (Release change), don't retry the stage")
            }
            Sweep if mine.is_some() && holding.late_mark() => Act,
            Retire | Rollback if mine.is_some() && holding.late_mark() => {
                Nothing("this release has ended already: discard or park removes what is left")
            }
            // The process may have died between marker and hold.
            Retire | Rollback | Discard | Park | Sweep if mine.is_some() => FreeHold,
            Retire | Rollback | Discard | Park | Sweep => Nothing("this release has ended already"),
        };
    }
    let Some(held) = mine else {
        return match action {
            Provision if holding.held.as_ref().is_some_and(|held| !held.free()) => AwaitHolder,
            Provision => Take,
            Rollback => Nothing("this release doesn't hold the service, so it has moved no traffic"),
            Discard | Park => MarkDiscarded,
            Sweep => Nothing("no hold"),
            Deploy | Shift | Retire => Refuse(match holding.held {
                Some(_) => "another release holds the service",
                None => "this release doesn't hold the service: provision has not run, or it has been cleaned up",
            }),
        };
    };
    match (held.hold.phase, action) {
        (_, Sweep) | (Phase::Open, Provision | Deploy | Shift) => Act,
        (Phase::Open, Retire) => Turn(Phase::Approved),
        (Phase::Open, Rollback | Discard | Park) => Turn(Phase::Ending),
        (Phase::Approved, Provision | Deploy | Shift) => {
            Nothing("this release is approved already: nothing is left to do")
        }
        (Phase::Approved, Retire) => Act,
        (Phase::Approved, Rollback) => Nothing(
            "this release was approved before: its predecessor is being removed, so it stays. To go back, release the older build again",
        ),
        (Phase::Approved, Discard) => FinishRetire,
        (Phase::Approved, Park) => Refuse("this release was approved: it can't be parked any more"),
        (Phase::Ending, Provision | Deploy | Shift) => {
            Refuse("this release is being rolled back: start a new execution")
        }
        (Phase::Ending, Retire) => Refuse("this release was rejected or failed before: it can't be approved any more"),
        (Phase::Ending, Rollback | Discard | Park) => Act,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{StageName, testing};
    use std::collections::BTreeMap;

    /// The table of phases, row by row; a cell is the verdict's first letters.
    ///
    /// States of the bucket: an ended marker (hold gone; hold still there; hold taken while the marker was on its way),
    /// no hold, another's hold (kept; freed by its own marker; taken while that was on its way), mine in each phase.
    const TABLE: &[(&str, &str)] = &[
        ("state           ", "provision  deploy   shift    retire    rollback  discard   park     sweep"),
        ("ended           ", "Refuse     Refuse   Refuse   Nothing   Nothing   Nothing   Nothing  Nothing"),
        ("ended, mine     ", "Refuse     Refuse   Refuse   Free      Free      Free      Free     Free"),
        ("ended, mine open", "Refuse     Refuse   Refuse   Nothing   Nothing   Free      Free     Act"),
        ("none            ", "Take       Refuse   Refuse   Refuse    Nothing   Mark      Mark     Nothing"),
        ("another's       ", "Await      Refuse   Refuse   Refuse    Nothing   Mark      Mark     Nothing"),
        ("another's, freed", "Take       Refuse   Refuse   Refuse    Nothing   Mark      Mark     Nothing"),
        ("another's, late ", "Await      Refuse   Refuse   Refuse    Nothing   Mark      Mark     Nothing"),
        ("mine, open      ", "Act        Act      Act      Approved  Ending    Ending    Ending   Act"),
        ("mine, approved  ", "Nothing    Nothing  Nothing  Act       Nothing   Finish    Refuse   Act"),
        ("mine, ending    ", "Refuse     Refuse   Refuse   Refuse    Act       Act       Act      Act"),
    ];

    fn cell(verdict: Verdict) -> &'static str {
        match verdict {
            Verdict::Act => "Act",
            Verdict::Turn(Phase::Approved) => "Approved",
            Verdict::Turn(Phase::Ending) => "Ending",
            Verdict::Turn(Phase::Open) => "Open",
            Verdict::Take => "Take",
            Verdict::AwaitHolder => "Await",
            Verdict::MarkDiscarded => "Mark",
            Verdict::FreeHold => "Free",
            Verdict::FinishRetire => "Finish",
            Verdict::Nothing(_) => "Nothing",
            Verdict::Refuse(_) => "Refuse",
        }
    }

    fn bucket(state: &str) -> Holding {
        let me = testing::release(1);
        let held = |release: u8, phase, freed| {
            let hold = Hold { phase, ..testing::hold(release) };
            Some(Held { hold, etag: "e".to_owned(), freed })
        };
        let ended = Ended { release: me, how: HowEnded::Discarded, at: Timestamp::UNIX_EPOCH, artifact: None };
        let (held, ended) = match state {
            "ended" => (None, Some(ended)),
            "ended, mine" => (held(1, Phase::Ending, true), Some(ended)),
            "ended, mine open" => (held(1, Phase::Open, true), Some(ended)),
            "none" => (None, None),
            "another's" => (held(2, Phase::Open, false), None),
            "another's, freed" => (held(2, Phase::Approved, true), None),
            "another's, late" => (held(2, Phase::Open, true), None),
            "mine, open" => (held(1, Phase::Open, false), None),
            "mine, approved" => (held(1, Phase::Approved, false), None),
            "mine, ending" => (held(1, Phase::Ending, false), None),
            other => panic!("no such state: {other}"),
        };
        Holding { held, ended }
    }

    #[test]
    fn every_cell_of_the_table() {
        let actions: BTreeMap<&str, Action> =
            StageName::ALL.iter().flat_map(|stage| stage.actions()).map(|action| (action.as_str(), *action)).collect();
        let columns: Vec<&str> = TABLE[0].1.split_whitespace().collect();
        assert_eq!(columns.len(), actions.len(), "a column an action");
        for (state, row) in &TABLE[1..] {
            for (column, expected) in columns.iter().zip(row.split_whitespace()) {
                let verdict = admit(actions[column], &testing::release(1), &bucket(state.trim()));
                assert_eq!(cell(verdict), expected, "{column} with {}: {verdict:?}", state.trim());
            }
        }
    }

    #[test]
    fn a_hold_reads_back_as_written() {
        let hold = Hold {
            previous: Some(Previous { release: None, healthy: 0 }),
            moved_at: Some(Timestamp::UNIX_EPOCH),
            ..testing::hold(1)
        };
        let text = serde_json::to_string(&hold).expect("a hold can be written");
        assert_eq!(serde_json::from_str::<Hold>(&text).expect("and read"), hold, "{text}");
    }
}
