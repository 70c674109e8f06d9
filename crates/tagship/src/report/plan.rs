//! What the next release would do: the real loop and the real planners, in a world that does what is assumed of it.
//!
//! Serialised it is the command's JSON: fields are only ever added, lists of words may grow.

mod assumed;
mod calls;
mod foreseen;
mod holder;
#[cfg(test)]
mod tests;

pub use calls::call;

use crate::engine::{Memo, Outcome, run};
use crate::history::{self, Entry};
use crate::policy::actions::{self, Visit};
use crate::status::Unavailable;
use crate::{Action, Does, Error, Held, Job, Kind, Parts, Pipeline, Planner, Port, ReleaseId, ServiceRole, World};
use foreseen::Foreseen;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Releases whose times count.
const RELEASES: usize = 5;

/// What was read, before it is planned.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// When it was read.
    pub now: Timestamp,
    /// The service's hold, whoever's it is.
    pub held: Option<Held>,
    /// The world as it is: the settings resolved as provision would take them; as `holder` how the execution stands of
    /// who holds.
    pub world: World,
    /// The parts at which the functions would fail, and how: settings that find nothing, a group of another kind.
    pub refused: Vec<(Parts, Error)>,
    /// The parts that couldn't be read.
    pub unread: Vec<(Parts, Unavailable)>,
    /// The pipeline.
    pub pipeline: Pipeline,
    /// How the service's releases went, the newest first.
    pub past: Vec<Entry>,
}

/// What the next release would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// When the world was read.
    pub at: Timestamp,
    /// The service role.
    pub service: String,
    /// The pipeline.
    pub pipeline: String,
    /// The pipeline's actions, as far as the release comes.
    pub actions: Vec<Planned>,
    /// How it ends.
    pub ends: End,
    /// How long that usually takes in all, people's answers included; none where an action's time isn't known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<i64>,
    /// The parts that couldn't be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unavailable: Vec<Unavailable>,
}

/// How a plan ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The release is live, and what it replaced is gone.
    Released,
    /// The pre-product is empty again.
    Parked,
    /// The release fails.
    Fails,
    /// Nobody can tell, from what may be read.
    Unknown,
}

/// An action of the pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Planned {
    /// Its name in the pipeline.
    pub action: String,
    /// What it does: `provision`, `approval`, `other`.
    pub does: &'static str,
    /// How long it took, the median of the last five releases; none if nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<i64>,
    /// What happens in it, in order.
    pub lines: Vec<Line>,
}

/// One thing that happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// What kind of thing.
    pub what: What,
    /// How it is known.
    pub basis: Basis,
    /// For people.
    pub says: String,
    /// The call that a step is: `ec2:RunInstances`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<&'static str>,
    /// What a step is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<&'static str>,
    /// How long a wait takes, where the settings say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<i64>,
}

/// What kind of thing happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// A function changes something.
    Step,
    /// A function waits.
    Wait,
    /// Something comes about by itself, or by a person.
    Happens,
    /// The release fails.
    Fails,
}

/// How a line is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// By what was read, and what the lines before have made of it.
    Read,
    /// It is taken for granted.
    Assumed,
    /// It can't be known.
    Unknown,
}

impl Line {
    fn new(what: What, basis: Basis, says: impl Into<String>) -> Self {
        Self { what, basis, says: says.into(), call: None, why: None, seconds: None }
    }
}

/// Plans the release of a service under this id; none if the pipeline has no action for it.
pub fn plan(role: &ServiceRole, release: &ReleaseId, known: Known) -> Option<Plan> {
    planned(role, release, known).map(|(plan, _)| plan)
}

/// The same, with the steps themselves.
pub fn planned(role: &ServiceRole, release: &ReleaseId, known: Known) -> Option<(Plan, Vec<(Action, crate::Step)>)> {
    let (at, pipeline, past) = (known.now, known.pipeline.clone(), known.past.clone());
    let unavailable = known.unread.iter().map(|(_, unavailable)| unavailable.clone()).collect();
    let medians = medians(&past);
    let stage = pipeline.stage_of(role.as_str())?;
    let own = |does: &Does| match does {
        Does::Invoke { service, action } if service == role.as_str() => Some(*action),
        _ => None,
    };
    let first = stage.actions.iter().position(|act| own(&act.does).is_some())?;
    let last = stage.actions.iter().rposition(|act| own(&act.does).is_some())?;
    let port = Foreseen::new(role, release, known);
    let mut actions = Vec::new();
    let mut ends = End::Unknown;
    for act in &stage.actions[first..=last] {
        let seconds = medians.get(act.name.as_str()).copied();
        let (does, ended) = match (own(&act.does), &act.does) {
            (Some(Some(action)), _) => {
                let job = Job {
                    role: role.clone(),
                    release: release.clone(),
                    pipeline: pipeline.name.clone(),
                    action,
                    input: None,
                };
                (action.as_str(), port.carry_out(&job))
            }
            (None, Does::Ask) => {
                port.approve(seconds);
                ("approval", None)
            }
            (None, Does::Invoke { service, .. }) => {
                port.note(Line::new(What::Happens, Basis::Assumed, format!("goes well, for {service}")));
                ("other", None)
            }
            _ => {
                port.note(Line::new(What::Happens, Basis::Unknown, "nothing that tagship knows"));
                ("other", None)
            }
        };
        actions.push(Planned { action: act.name.clone(), does, seconds, lines: port.lines() });
        if let Some(end) = ended {
            ends = end;
            break;
        }
    }
    let steps = port.steps();
    let whole = matches!(ends, End::Released | End::Parked);
    let seconds = actions.iter().map(|action| action.seconds).sum::<Option<i64>>().filter(|_| whole);
    let plan = Plan { at, service: role.to_string(), pipeline: pipeline.name, actions, ends, seconds, unavailable };
    Some((plan, steps))
}

/// How long each action took in the last releases that went well.
fn medians(past: &[Entry]) -> BTreeMap<&str, i64> {
    let mut times: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for entry in past.iter().filter(|entry| entry.outcome == history::Outcome::Released).take(RELEASES) {
        for spent in &entry.actions {
            times.entry(&spent.action).or_default().push(spent.seconds);
        }
    }
    let median = |mut times: Vec<i64>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    times.into_iter().map(|(action, times)| (action, median(times))).collect()
}

impl Foreseen {
    /// Has the real loop carry out a job; how the plan ends, if it ends with it.
    fn carry_out(&self, job: &Job) -> Option<End> {
        self.begin(job);
        match actions::visit(job.action, Start { port: self, job }) {
            Some(Outcome::Done(_)) => match job.action {
                Action::Retire => Some(End::Released),
                Action::Park => Some(End::Parked),
                _ => None,
            },
            Some(Outcome::Failed(error)) if error.kind == Kind::Denied => {
                self.note(Line::new(What::Happens, Basis::Unknown, error.message));
                Some(End::Unknown)
            }
            Some(Outcome::Failed(error)) => {
                self.note(Line::new(What::Fails, Basis::Read, error.message));
                Some(End::Fails)
            }
            Some(Outcome::Waiting(why)) => {
                self.note(Line::new(What::Fails, Basis::Read, format!("it would wait without an end for {why}")));
                Some(End::Fails)
            }
            // Nothing in the foreseen world is waited for outside it.
            None => Some(End::Unknown),
        }
    }
}

/// Runs the planner of an action to its end: in a foreseen world nothing has to be waited for.
struct Start<'a> {
    port: &'a Foreseen,
    job: &'a Job,
}

impl Visit for Start<'_> {
    type Out = Option<Outcome>;

    fn visit<P: Planner>(self) -> Option<Outcome> {
        let mut memo = Memo::new(self.port.now());
        let running = pin!(run::<P, Foreseen>(self.port, self.job, &mut memo));
        match running.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        }
    }
}
