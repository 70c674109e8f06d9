//! The log of decisions: what the functions did and waited for, and why, read on as it grows.

use crate::commands::why::{Line, decided};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use tagship::history::Entry;
use tagship::{Error, Hold, ReleaseId, ServiceRole, StageName};
use tagship_aws::Account;

/// A line may come into the log so much later than it was written.
const LATE: SignedDuration = SignedDuration::from_secs(30);
/// After its execution's end a release is rolled back and discarded.
const AFTER: SignedDuration = SignedDuration::from_mins(15);
/// Lines that are shown, the newest.
const LINES: usize = 300;

/// The decisions on one release.
#[derive(Debug, Default)]
pub(super) struct Decisions {
    of: Option<ReleaseId>,
    from: Timestamp,
    /// When nothing more is written; none while it holds the service.
    end: Option<Timestamp>,
    /// Until when each function's log has been read.
    read: BTreeMap<&'static str, Timestamp>,
    lines: BTreeSet<Line>,
}

impl Decisions {
    /// Whose decisions are shown: who holds, or who began last.
    pub(super) fn of(&mut self, hold: Option<&Hold>, history: &[Entry], now: Timestamp) {
        let (release, from, end) = match (hold, history.first()) {
            (Some(hold), _) => (&hold.release, hold.since, None),
            (None, Some(entry)) => {
                let ended = entry.began + SignedDuration::from_secs(entry.seconds);
                (&entry.release, entry.began, Some((ended + AFTER).min(now)))
            }
            (None, None) => return,
        };
        if self.of.as_ref() != Some(release) {
            *self = Self { of: Some(release.clone()), from: from - LATE, ..Self::default() };
        }
        self.end = end.max(self.end.filter(|_| end.is_some()));
    }

    /// Whose logs are to be read on: all of them at first; then every other time that of the function that runs, else the
    /// one that was read longest ago.
    pub(super) fn next(&self, running: Option<StageName>, turn: usize) -> Vec<StageName> {
        if self.of.is_none() {
            return Vec::new();
        }
        let until = |stage: &StageName| self.read.get(stage.as_str()).copied();
        let unread: Vec<StageName> = StageName::ALL.into_iter().filter(|stage| until(stage).is_none()).collect();
        if !unread.is_empty() {
            return unread;
        }
        let open = |stage: &StageName| self.end.is_none_or(|end| until(stage) < Some(end + LATE));
        let running = running.filter(|_| turn.is_multiple_of(2) && self.end.is_none());
        running.or_else(|| StageName::ALL.into_iter().filter(open).min_by_key(until)).into_iter().collect()
    }

    /// Reads it on.
    pub(super) async fn read(&mut self, account: &Account, role: &ServiceRole, stage: StageName) -> Result<(), Error> {
        let Some(release) = &self.of else { return Ok(()) };
        let now = Timestamp::now();
        let from = self.read.get(stage.as_str()).map_or(self.from, |read| *read - LATE);
        for log in account.logs(stage, release, (from, now)).await? {
            let line = decided(&log, role.as_str());
            self.lines.extend(line.map(|says| Line { at: log.at, who: stage.to_string(), says }));
        }
        while self.lines.len() > LINES {
            self.lines.pop_first();
        }
        self.read.insert(stage.as_str(), now);
        Ok(())
    }

    /// The release, and what was decided, the newest first.
    pub(super) fn lines(&self) -> (Option<&ReleaseId>, impl Iterator<Item = &Line>) {
        (self.of.as_ref(), self.lines.iter().rev())
    }
}
