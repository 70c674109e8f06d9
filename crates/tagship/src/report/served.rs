//! Requests and errors by release: the balancer counts by group, and who was in a group is told by when.

#[cfg(test)]
mod tests;

use crate::{Figures, Instance, ReleaseId, Routing};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;

/// The minutes that are shown, the newest.
const MINUTES: i32 = 30;

/// Since when figures are shown: so many of the balancer's minutes ago.
pub fn since(now: Timestamp, minute_secs: u32) -> Timestamp {
    now - SignedDuration::from_secs(minute_secs.into()) * MINUTES
}

/// A release in one of the pair's groups.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Tenure {
    group: String,
    release: ReleaseId,
    /// The launch of its first instance: before that no request was its.
    from: Timestamp,
    /// When it was seen there last.
    to: Timestamp,
}

/// Which release was in which group when, as far as somebody looked.
#[derive(Debug, Clone, Default)]
pub struct Tenures(Vec<Tenure>);

impl Tenures {
    /// Who is in the groups now.
    pub fn add(&mut self, now: Timestamp, routing: &Routing, instances: &[Instance]) {
        for group in &routing.groups {
            let of = |id: &str| instances.iter().find(|instance| instance.id == id);
            let members = group.targets.iter().filter_map(|target| of(&target.id));
            let mut fleets: BTreeMap<&ReleaseId, (usize, Timestamp)> = BTreeMap::new();
            for (release, launched) in members.filter_map(|it| Some((it.release.as_ref()?, it.launched_at))) {
                let fleet = fleets.entry(release).or_insert((0, launched));
                *fleet = (fleet.0 + 1, fleet.1.min(launched));
            }
            // While one release's targets drain, the next has none there yet.
            let Some((release, (_, from))) = fleets.into_iter().max_by_key(|(_, (count, _))| *count) else { continue };
            match self.0.iter_mut().find(|known| known.group == group.arn && known.release == *release) {
                Some(known) => known.to = now,
                None => self.0.push(Tenure { group: group.arn.clone(), release: release.clone(), from, to: now }),
            }
        }
    }

    /// What each release served, the oldest first. A request of a minute in which nobody was seen in the group is nobody's.
    pub fn served(&mut self, figures: &Figures, now: Timestamp) -> Served {
        let minute = SignedDuration::from_secs(figures.minute_secs.into());
        let shown = since(now, figures.minute_secs);
        self.0.retain(|tenure| tenure.to + minute >= shown);
        let mut minutes: BTreeMap<(Timestamp, &ReleaseId), BTreeMap<Timestamp, Minute>> = BTreeMap::new();
        for counted in figures.counted.iter().filter(|counted| counted.start + minute > shown) {
            let own = |tenure: &&Tenure| {
                tenure.group == counted.group
                    && tenure.from < counted.start + minute
                    // It was there until the next look, which is less than a minute later.
                    && counted.start <= tenure.to + minute
            };
            let Some(tenure) = self.0.iter().filter(own).max_by_key(|tenure| tenure.from) else { continue };
            let (at, counts) = (counted.start, counted.counts);
            let own = minutes.entry((tenure.from, &tenure.release)).or_default();
            let sum = own.entry(at).or_insert(Minute { at, requests: 0, errors: 0 });
            (sum.requests, sum.errors) = (sum.requests + counts.requests, sum.errors + counts.errors());
        }
        let releases = minutes.into_iter().map(|((_, release), minutes)| Requests {
            release: release.clone(),
            minutes: minutes.into_values().collect(),
        });
        Served { minute_secs: figures.minute_secs, releases: releases.collect() }
    }
}

/// The requests of the last minutes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Served {
    /// How long each of them is for, in seconds.
    pub minute_secs: u32,
    /// Those that served.
    pub releases: Vec<Requests>,
}

/// Those of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Requests {
    /// Which.
    pub release: ReleaseId,
    /// The oldest first. A minute without requests isn't there.
    pub minutes: Vec<Minute>,
}

/// One minute of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Minute {
    /// When it began.
    pub at: Timestamp,
    /// All requests.
    pub requests: u64,
    /// Those without a good answer.
    pub errors: u64,
}
