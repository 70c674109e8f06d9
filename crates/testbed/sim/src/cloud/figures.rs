//! What CloudWatch shows of the balancer's figures: the users' requests of each minute, by the weights that it had.

use super::{Build, Cloud};
use crate::past::{MINUTE, Ms, SECOND, milliseconds, timestamp};
use tagship::{Counted, Counts, Figures, Hold, ReleaseId, ServiceRole};

/// Of a thousand requests, those that a sound release fails.
const FLAWS: u64 = 2;

impl Cloud {
    /// Of the minutes since the hold's first step stood: as far as they are known by now.
    pub(crate) fn figures(&self, role: &ServiceRole, hold: &Hold) -> Figures {
        let mut figures = Figures { minute_secs: 60, counted: Vec::new() };
        let (Some(late), Some(split), Some(service)) =
            (self.nature.figures, &hold.split, self.services.get(role).filter(|service| service.groups.len() == 2))
        else {
            return figures;
        };
        let Some(began) = split.stood.first().map(|stood| stood.since).or(split.since) else { return figures };
        let before = hold.previous.as_ref().and_then(|previous| previous.release.as_ref());
        let mut start = milliseconds(began) / MINUTE * MINUTE;
        while start < self.now {
            for group in &service.groups {
                let own = hold.group.as_ref() == Some(group);
                let release = if own { Some(&hold.release) } else { before };
                let Some(requests) = self.requested(service.requests, &service.switches, group, start) else {
                    continue;
                };
                // The answers of the minute come after its requests, and those of the candidate last.
                let whole = start + MINUTE + if own { late } else { late / 2 } <= self.now;
                let errors = if whole { requests * self.failing(release) / 1_000 } else { requests };
                let counts = Counts { requests, c2xx: requests - errors, ..Counts::default() };
                if requests > 0 {
                    let start = timestamp(start);
                    figures.counted.push(Counted { group: group.clone(), start, counts, latency: None });
                }
            }
            start += MINUTE;
        }
        figures
    }

    /// How many of a service's requests a group had in a minute; none if nobody remembers its weight.
    fn requested(&self, requests: u64, switches: &[String], group: &str, start: Ms) -> Option<u64> {
        let shares: Option<Vec<f64>> = switches
            .iter()
            .filter_map(|arn| self.switches.get(arn))
            .map(|switch| {
                let weights = switch.weights.at(start + 30 * SECOND)?;
                let total: u32 = weights.iter().map(|(_, weight)| weight).sum();
                let own = weights.iter().find(|(arn, _)| arn == group).map_or(0, |(_, weight)| *weight);
                Some(if total == 0 { 0.0 } else { f64::from(own) / f64::from(total) })
            })
            .collect();
        let shares = shares?;
        Some((requests as f64 * shares.iter().sum::<f64>() / shares.len().max(1) as f64) as u64)
    }

    /// Of a thousand requests, those that a release answers with an error.
    fn failing(&self, release: Option<&ReleaseId>) -> u64 {
        match release.map(|release| self.build(release)) {
            Some(Build::Errs) => 200,
            _ => FLAWS,
        }
    }
}
