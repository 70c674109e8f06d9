//! The balancer's health checks: every target of every group in use, by the group's own settings.

use crate::traffic::balancer::addresses;
use http_body_util::Empty;
use hyper::Request;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tagship_cloud::state::{Action, HealthCheck, State, TargetState};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// Healths by target group's ARN and `<instance id>:<port>`: the body of `POST /tagship/health`.
pub type Report = BTreeMap<String, BTreeMap<String, Health>>;

/// What the checks say of one target, in the load balancer's own words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    /// `initial`, `healthy` or `unhealthy`.
    pub state: TargetState,
    /// E.g. `Target.Timeout`; empty for a healthy target.
    pub reason: String,
    /// The reason in words.
    pub description: String,
}

/// The running health checks; they end when dropped.
#[derive(Debug)]
pub struct Probes {
    _tasks: JoinSet<()>,
}

impl Probes {
    /// Checks what `states` says is registered, and sends every change of a verdict to `reports`.
    ///
    /// A verdict is sent again while the state says otherwise.
    pub fn start(states: watch::Receiver<Arc<State>>, reports: mpsc::UnboundedSender<Report>) -> Self {
        let mut tasks = JoinSet::new();
        tasks.spawn(keep_checking(states, reports));
        Self { _tasks: tasks }
    }
}

/// Sends reports to the emulator, what came in while one was on its way as one.
pub async fn post(url: String, mut reports: mpsc::UnboundedReceiver<Report>) {
    let client = reqwest::Client::new();
    while let Some(mut report) = reports.recv().await {
        loop {
            while let Ok(next) = reports.try_recv() {
                for (group, targets) in next {
                    report.entry(group).or_default().extend(targets);
                }
            }
            let sent = client.post(&url).json(&report).send().await;
            match sent.and_then(reqwest::Response::error_for_status) {
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(%error, "health could not be reported, trying again");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }
}

/// One target of one group, with everything that makes its checks what they are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Subject {
    group: String,
    /// `<instance id>:<port>`.
    target: String,
    /// Where the check goes.
    address: SocketAddr,
}

/// A subject's running checks.
struct Check {
    settings: HealthCheck,
    verdict: watch::Receiver<Option<Health>>,
    _task: JoinSet<()>,
}

async fn keep_checking(mut states: watch::Receiver<Arc<State>>, reports: mpsc::UnboundedSender<Report>) {
    let mut running: BTreeMap<Subject, Check> = BTreeMap::new();
    loop {
        let state = states.borrow_and_update().clone();
        let mut report = Report::new();
        let mut wanted = BTreeMap::new();
        for (subject, settings, known) in subjects(&state) {
            wanted.insert(subject, (settings, known));
        }
        running.retain(|subject, check| wanted.get(subject).is_some_and(|(settings, _)| check.settings == **settings));
        for (subject, (settings, known)) in wanted {
            let check =
                running.entry(subject.clone()).or_insert_with(|| start(subject.clone(), settings, reports.clone()));
            // The emulator may not have heard, or have forgotten.
            if let Some(health) = check.verdict.borrow().clone()
                && health.state != known
            {
                report.entry(subject.group).or_default().insert(subject.target, health);
            }
        }
        if !report.is_empty() && reports.send(report).is_err() {
            return;
        }
        if states.changed().await.is_err() {
            return;
        }
    }
}

/// What is to be checked: the targets, but draining ones, of the groups that some rule names,
/// at whatever weight.
fn subjects(state: &State) -> Vec<(Subject, &HealthCheck, TargetState)> {
    let addresses = addresses(state);
    let in_use: HashSet<&str> = state
        .listeners
        .iter()
        .flat_map(|l| l.default.iter().chain(l.rules.iter().flat_map(|r| &r.actions)))
        .flat_map(Action::groups)
        .map(|group| group.arn.as_str())
        .collect();
    let mut subjects = Vec::new();
    for group in &state.target_groups {
        if !in_use.contains(group.arn.as_str()) {
            continue;
        }
        for target in &group.targets {
            let ip = addresses.get(target.id.as_str()).copied();
            let Some(ip) = ip.or_else(|| target.id.parse().ok()) else {
                continue;
            };
            if target.state == TargetState::Draining {
                continue;
            }
            let port = group.health.port.parse().unwrap_or(target.port);
            let subject = Subject {
                group: group.arn.clone(),
                target: format!("{}:{}", target.id, target.port),
                address: (ip, port).into(),
            };
            subjects.push((subject, &group.health, target.state));
        }
    }
    subjects
}

fn start(subject: Subject, settings: &HealthCheck, reports: mpsc::UnboundedSender<Report>) -> Check {
    let (verdict, seen) = watch::channel(None);
    let mut task = JoinSet::new();
    let own = settings.clone();
    task.spawn(async move {
        let mut history = History::new(&own);
        let every = Duration::from_secs(own.interval_secs.max(1));
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let failure = check(subject.address, &own).await.err();
            let health = history.after(failure);
            let changed = verdict.send_if_modified(|before| {
                let changed = before.as_ref() != Some(&health);
                *before = Some(health.clone());
                changed
            });
            if changed {
                tracing::debug!(target = subject.target, ?health, "health");
                let one = BTreeMap::from([(subject.target.clone(), health)]);
                if reports.send(BTreeMap::from([(subject.group.clone(), one)])).is_err() {
                    return;
                }
            }
        }
    });
    Check { settings: settings.clone(), verdict: seen, _task: task }
}

/// Why a check failed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Failure {
    Connection,
    Timeout,
    Status(u16),
}

impl Failure {
    fn reason(&self) -> &'static str {
        match self {
            Self::Connection => "Target.FailedHealthChecks",
            Self::Timeout => "Target.Timeout",
            Self::Status(_) => "Target.ResponseCodeMismatch",
        }
    }

    fn description(&self) -> String {
        match self {
            Self::Connection => "Health checks failed".to_owned(),
            Self::Timeout => "Request timed out".to_owned(),
            Self::Status(code) => format!("Health checks failed with these codes: [{code}]"),
        }
    }
}

/// A target's checks so far, as far as they matter.
struct History {
    healthy_threshold: u32,
    unhealthy_threshold: u32,
    health: Option<TargetState>,
    /// Checks in a row that speak against `health`.
    against: u32,
}

impl History {
    fn new(settings: &HealthCheck) -> Self {
        Self { healthy_threshold: settings.healthy, unhealthy_threshold: settings.unhealthy, health: None, against: 0 }
    }

    /// The verdict after one more check.
    fn after(&mut self, failure: Option<Failure>) -> Health {
        let (towards, threshold) = match (self.health, &failure) {
            // A new target is healthy after one passing check, whatever the threshold.
            (None, None) => (TargetState::Healthy, 1),
            (_, None) => (TargetState::Healthy, self.healthy_threshold),
            (_, Some(_)) => (TargetState::Unhealthy, self.unhealthy_threshold),
        };
        if self.health == Some(towards) {
            self.against = 0;
        } else {
            self.against += 1;
            if self.against >= threshold {
                self.health = Some(towards);
                self.against = 0;
            }
        }
        let (state, reason, description) = match (self.health, failure) {
            (Some(TargetState::Healthy), _) => (TargetState::Healthy, "", String::new()),
            (Some(_), Some(failure)) => (TargetState::Unhealthy, failure.reason(), failure.description()),
            (Some(_), None) => (TargetState::Unhealthy, "Target.FailedHealthChecks", "Health checks failed".to_owned()),
            (None, _) => {
                (TargetState::Initial, "Elb.InitialHealthChecking", "Initial health checks in progress".to_owned())
            }
        };
        Health { state, reason: reason.to_owned(), description }
    }
}

/// One check over a connection of its own.
async fn check(address: SocketAddr, settings: &HealthCheck) -> Result<(), Failure> {
    let timeout = Duration::from_secs(settings.timeout_secs.max(1));
    let status =
        tokio::time::timeout(timeout, status(address, &settings.path)).await.map_err(|_| Failure::Timeout)??;
    if passes(&settings.matcher, status) { Ok(()) } else { Err(Failure::Status(status)) }
}

async fn status(address: SocketAddr, path: &str) -> Result<u16, Failure> {
    let broken = |error: hyper::Error| {
        tracing::debug!(%address, %error, "health check");
        Failure::Connection
    };
    let stream = TcpStream::connect(address).await.map_err(|_| Failure::Connection)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let request = Request::get(path)
        .header(HOST, address.to_string())
        .header(USER_AGENT, "ELB-HealthChecker/2.0")
        .header(CONNECTION, "close")
        .body(Empty::<bytes::Bytes>::new())
        .map_err(|_| Failure::Connection)?;
    let answer = sender.send_request(request);
    tokio::pin!(connection, answer);
    // The connection carries the request; it may end before the answer is looked at.
    let response = tokio::select! {
        response = &mut answer => response,
        _ = &mut connection => answer.await,
    };
    Ok(response.map_err(broken)?.status().as_u16())
}

/// Whether ELB's matcher (`200`, `200,202`, `200-299`) takes the status.
fn passes(matcher: &str, status: u16) -> bool {
    matcher.split(',').any(|part| match part.trim().split_once('-') {
        Some((from, to)) => matches!((from.parse(), to.parse()), (Ok(from), Ok(to)) if (from..=to).contains(&status)),
        None => part.trim().parse() == Ok(status),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds() {
        // + passes, - fails; the state after each check, by its first letter.
        for (checks, want) in [
            ("+", "h"),
            ("-+", "ih"),
            ("--", "iu"),
            ("+-+-", "hhhh"),
            ("+--+-+++", "hhuuuuhh"),
            ("--+", "iuu"),
            ("--++", "iuuh"),
        ] {
            let mut history = History { healthy_threshold: 2, unhealthy_threshold: 2, health: None, against: 0 };
            let got: String = checks
                .chars()
                .map(|c| match history.after((c == '-').then_some(Failure::Timeout)).state {
                    TargetState::Healthy => 'h',
                    TargetState::Unhealthy => 'u',
                    _ => 'i',
                })
                .collect();
            assert_eq!(got, want, "{checks}");
        }
    }

    #[test]
    fn matchers() {
        for (matcher, status, want) in [
            ("200", 200, true),
            ("200", 201, false),
            ("200,202", 202, true),
            ("200-299", 204, true),
            ("200-299", 301, false),
        ] {
            assert_eq!(passes(matcher, status), want, "{matcher} {status}");
        }
    }
}
