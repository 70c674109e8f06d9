//! What is measured: lines of the log in CloudWatch's embedded metric format, from which CloudWatch makes metrics.
//!
//! Every metric is read by an alarm or a widget of infra/tagship.yaml, by the dimensions that it has here; a test holds
//! the two together. What nobody reads would cost all the same.

use crate::notify::{Headline, Notice};
use crate::{Done, Hold, Outcome, Request, Roster, ServiceRole};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The metrics' namespace.
pub const NAMESPACE: &str = "tagship";

/// One metric, by action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Metric {
    name: &'static str,
    unit: &'static str,
    /// By service too: that is a metric a service, with a price.
    by_service: bool,
}

impl Metric {
    const CALLS: Self = Self::count("Calls");
    const THROTTLES: Self = Self::count("Throttles");
    const ELAPSED: Self = Self { unit: "Seconds", ..Self::count("Elapsed") };
    const DEGRADED_FLEETS: Self = Self::count("DegradedFleets");
    const OLDEST_HOLD: Self = Self { unit: "Seconds", ..Self::count("OldestHold") };

    const fn count(name: &'static str) -> Self {
        Self { name, unit: "Count", by_service: false }
    }

    /// Named as the event's detail-type.
    const fn of(headline: Headline) -> Self {
        match headline {
            Headline::Succeeded => Self::count("StageSucceeded"),
            Headline::Failed => Self { by_service: true, ..Self::count("StageFailed") },
            Headline::RolledBack => Self::count("ReleaseRolledBack"),
            Headline::Kept => Self::count("ReleaseKept"),
            Headline::Rings => Self::count("AlarmRings"),
            Headline::Degraded => Self::count("FleetDegraded"),
            Headline::Abandoned => Self::count("ReleaseAbandoned"),
        }
    }
}

/// AWS calls, each attempt by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Calls {
    /// All of them.
    pub made: u64,
    /// Those that AWS refused for being too many.
    pub throttled: u64,
}

/// One line of the log: metrics, and beside them whom they are of.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    action: &'static str,
    values: Vec<(Metric, u64)>,
    properties: Map<String, Value>,
}

impl Line {
    fn new<const N: usize>(action: &'static str, properties: [(&str, &str); N]) -> Self {
        let mut line = Self { action, values: Vec::new(), properties: Map::new() };
        for (name, value) in properties.into_iter().filter(|(_, value)| !value.is_empty()) {
            line.properties.insert(name.to_owned(), value.into());
        }
        line
    }

    /// A stage has ended, or a release was found abandoned.
    pub fn ended(notice: &Notice) -> Self {
        // Of parameters that couldn't be read the function is known, if not the action.
        let action = if notice.action.is_empty() { notice.stage } else { notice.action };
        let outcome = match notice.headline {
            Headline::Succeeded => "done",
            Headline::Failed => "failed",
            Headline::RolledBack => "rolled back",
            Headline::Kept => "kept",
            Headline::Rings => "told",
            Headline::Degraded => "degraded",
            Headline::Abandoned => "abandoned",
        };
        let mut line = Self::new(
            action,
            [
                ("service", &notice.service),
                ("release", &notice.release),
                ("pipeline", &notice.pipeline),
                ("stage", notice.stage),
                ("outcome", outcome),
                ("message", &notice.message),
                ("reason", notice.reason.as_deref().unwrap_or_default()),
            ],
        );
        line.values.push((Metric::of(notice.headline), 1));
        if notice.headline != Headline::Abandoned {
            line.values.push((Metric::ELAPSED, u64::try_from(notice.elapsed_seconds).unwrap_or_default()));
        }
        line
    }

    /// An invocation that ended nothing: it waits, there was nothing (left) to do, or it was a sweep. A release that is
    /// asked about twice is counted once.
    pub fn unended(request: &Request, outcome: &Outcome) -> Self {
        let (outcome, message) = match outcome {
            Outcome::Done(Done { nothing: true, message, .. }) => ("nothing", message),
            Outcome::Done(done) => ("done", &done.message),
            Outcome::Failed(error) => ("failed", &error.message),
            Outcome::Waiting(why) => ("", why),
        };
        match request {
            // Hundreds a day: what is said of them is in the log beside.
            Request::Sweep => Self::new("sweep", []),
            Request::Died(_) => Self::new("died", []),
            Request::Guard(_) => Self::new("guard", []),
            Request::Release(job) => Self::new(
                job.action.as_str(),
                [
                    ("service", job.role.as_str()),
                    ("release", job.release.as_str()),
                    ("pipeline", &job.pipeline),
                    ("stage", job.action.stage().as_str()),
                    ("outcome", outcome),
                    ("message", message),
                ],
            ),
        }
    }

    /// How long the service that is held longest has been held, and which it is.
    pub fn oldest_hold(holds: &[(ServiceRole, Hold)], now: Timestamp) -> Self {
        let oldest = holds.iter().min_by_key(|(_, hold)| hold.since);
        let mut line = match oldest {
            None => Self::new("sweep", []),
            Some((role, hold)) => Self::new(
                "sweep",
                [("service", role.as_str()), ("release", hold.release.as_str()), ("pipeline", &hold.pipeline)],
            ),
        };
        let age = oldest.map_or(0, |(_, hold)| now.duration_since(hold.since).as_secs());
        line.values.push((Metric::OLDEST_HOLD, u64::try_from(age).unwrap_or_default()));
        line
    }

    /// How many live fleets had instances that don't run when sweep looked last, and of which services.
    pub fn degraded_fleets(rosters: &[(ServiceRole, Roster)]) -> Self {
        let degraded = rosters.iter().filter(|(_, roster)| !roster.down.is_empty()).map(|(role, _)| role.as_str());
        let degraded: Vec<&str> = degraded.collect();
        let mut line = Self::new("sweep", [("services", &degraded.join(" "))]);
        line.values.push((Metric::DEGRADED_FLEETS, u64::try_from(degraded.len()).unwrap_or_default()));
        line
    }

    /// The same with the calls that the invocation has made.
    pub fn with_calls(mut self, calls: Calls) -> Self {
        self.values.extend([(Metric::CALLS, calls.made), (Metric::THROTTLES, calls.throttled)]);
        self
    }

    /// The line as CloudWatch takes it.
    pub fn json(&self, at: Timestamp) -> String {
        let metrics = |wanted: fn(&Metric) -> bool| -> Vec<Value> {
            let metrics = self.values.iter().map(|(metric, _)| metric).filter(|metric| wanted(metric));
            metrics.map(|metric| json!({"Name": metric.name, "Unit": metric.unit})).collect()
        };
        let directive = |dimensions: &[&str], metrics: Vec<Value>| json!({"Namespace": NAMESPACE, "Dimensions": [dimensions], "Metrics": metrics});
        let mut directives = vec![directive(&["action"], metrics(|_| true))];
        let by_service = metrics(|metric| metric.by_service);
        // A dimension has to have a value.
        if !by_service.is_empty() && self.properties.contains_key("service") {
            directives.push(directive(&["action", "service"], by_service));
        }
        let mut line = self.properties.clone();
        line.insert("action".to_owned(), self.action.into());
        line.extend(self.values.iter().map(|(metric, value)| (metric.name.to_owned(), (*value).into())));
        line.insert("_aws".to_owned(), json!({"Timestamp": at.as_millisecond(), "CloudWatchMetrics": directives}));
        Value::Object(line).to_string()
    }
}

#[cfg(test)]
mod tests;
