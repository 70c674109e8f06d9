//! CodePipeline as a pure state machine: what people, jobs and time do to it, and what it does then.

mod asked;
mod flow;

use crate::change::State;
use crate::effect::Effect;
use crate::execution::{Artifact, Execution, Override, Place, Revision, Run, Status, Trigger, Waits};
use crate::pipeline::{Action, Id, Pipeline};
use crate::refusal::Refusal;
use crate::report::{Failure, Success};
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

/// Where new ids (executions, runs, jobs, approval tokens) come from.
pub trait Ids {
    /// An id that was never given before.
    fn next(&mut self) -> Id;
}

impl<F: FnMut() -> Id> Ids for F {
    fn next(&mut self) -> Id {
        self()
    }
}

/// How long CodePipeline waits.
#[derive(Clone, Copy, Debug)]
pub struct Timings {
    /// From a continuation token to the next invocation. AWS publishes no figure.
    pub reinvoke: Duration,
    /// Without a reply, a job has failed.
    pub silence: Duration,
    /// An action altogether, all its continuations included.
    pub action: Duration,
    /// An approval that has no time-out of its own.
    pub approval: Duration,
}

impl Default for Timings {
    /// AWS's figures; the re-invocation, which it doesn't publish, after 30 seconds.
    fn default() -> Self {
        Self {
            reinvoke: Duration::from_secs(30),
            silence: Duration::from_secs(20 * 60),
            action: Duration::from_secs(24 * 3_600),
            approval: Duration::from_secs(7 * 24 * 3_600),
        }
    }
}

/// The pipeline at work.
///
/// Every method that changes something appends to the effects, which the caller takes with
/// [`Engine::effects`] and carries out.
#[derive(Debug)]
pub struct Engine<I> {
    pipeline: Pipeline,
    timings: Timings,
    ids: I,
    executions: Vec<Execution>,
    seats: Vec<Seat>,
    /// Each job's execution and run.
    jobs: HashMap<Id, (usize, usize)>,
    /// Each approval token's execution and run.
    tokens: HashMap<Id, (usize, usize)>,
    effects: Vec<Effect>,
}

/// One stage's lock.
#[derive(Clone, Debug, Default)]
struct Seat {
    inside: Option<usize>,
    waiting: VecDeque<usize>,
    /// The execution that entered last.
    latest: Option<usize>,
    /// Each action's latest execution and run.
    runs: Vec<Option<(usize, usize)>>,
    /// Why its inbound transition is disabled.
    closed: Option<Closed>,
}

/// A disabled transition into a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Why.
    pub reason: String,
    /// The ARN of who disabled it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

impl<I: Ids> Engine<I> {
    /// A pipeline that has never run.
    pub fn new(pipeline: Pipeline, timings: Timings, ids: I) -> Self {
        let seat = |actions: usize| Seat { runs: vec![None; actions], ..Seat::default() };
        let seats = pipeline.stages.iter().map(|stage| seat(stage.actions.len())).collect();
        Self {
            pipeline,
            timings,
            ids,
            executions: Vec::new(),
            seats,
            jobs: HashMap::new(),
            tokens: HashMap::new(),
            effects: Vec::new(),
        }
    }

    /// What is to be done since the last time.
    pub fn effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// The pipeline.
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// All executions, oldest first.
    pub fn executions(&self) -> &[Execution] {
        &self.executions
    }

    /// The execution called `id`.
    pub fn execution(&self, id: &str) -> Option<&Execution> {
        self.executions.iter().rev().find(|execution| &*execution.id == id)
    }

    /// The execution that entered the stage last.
    pub fn latest(&self, stage: usize) -> Option<&Execution> {
        self.seats[stage].latest.map(|index| &self.executions[index])
    }

    /// Why the stage's inbound transition is disabled; none while it is enabled.
    pub fn closed(&self, stage: usize) -> Option<&Closed> {
        self.seats[stage].closed.as_ref()
    }

    /// Lets nothing into a stage from now on: what comes waits.
    pub fn close(&mut self, stage: &str, closed: Closed) -> Result<(), Refusal> {
        let letters = |c: char| c.is_ascii_alphanumeric() || "!@ ().*?-".contains(c);
        if closed.reason.is_empty() || closed.reason.len() > 300 || !closed.reason.chars().all(letters) {
            let why = "'reason' must have 1 to 300 characters of the pattern [a-zA-Z0-9!@ \\(\\)\\.\\*\\?\\-]+";
            return Err(Refusal::Validation(why.to_owned()));
        }
        let stage = self.stage(stage)?;
        self.seats[stage].closed = Some(closed);
        Ok(())
    }

    /// Lets executions into a stage again: the one that waits enters at once.
    pub fn open(&mut self, now: Timestamp, stage: &str) -> Result<(), Refusal> {
        let stage = self.stage(stage)?;
        self.seats[stage].closed = None;
        if self.seats[stage].inside.is_none() {
            self.release(now, stage);
        }
        Ok(())
    }

    /// Those that wait for the stage, first come first.
    pub fn waiting(&self, stage: usize) -> impl Iterator<Item = &Execution> {
        self.seats[stage].waiting.iter().map(|&index| &self.executions[index])
    }

    /// The action's latest run, and the execution that it belongs to.
    pub fn latest_run(&self, stage: usize, action: usize) -> Option<(&Execution, &Run)> {
        let (execution, run) = self.seats[stage].runs[action]?;
        let execution = &self.executions[execution];
        Some((execution, &execution.runs[run]))
    }

    /// When [`Engine::tick`] has something to do next.
    pub fn due(&self) -> Option<Timestamp> {
        let inside = self.seats.iter().filter_map(|seat| seat.inside);
        let runs = inside.flat_map(|index| &self.executions[index].runs);
        runs.filter_map(|run| run.waits.due()).min()
    }

    /// Starts an execution. `overrides` says, by source action, which object to take.
    pub fn start(
        &mut self,
        now: Timestamp,
        trigger: Trigger,
        overrides: BTreeMap<String, Override>,
    ) -> Result<Id, Refusal> {
        let sources = &self.pipeline.stages[0].actions;
        if let Some(unknown) = overrides.keys().find(|name| sources.iter().all(|action| *action.name != **name)) {
            return Err(Refusal::Validation(format!("{unknown} is not a source action")));
        }
        let execution = self.blank(now, trigger);
        Ok(self.begin_at(now, 0, Execution { overrides, ..execution }))
    }

    /// A source object was copied to `artifact`'s place.
    pub fn fetched(
        &mut self,
        now: Timestamp,
        job: &str,
        revision: Revision,
        artifact: Artifact,
    ) -> Result<(), Refusal> {
        let (index, run) = self.open_job(job)?;
        let outputs = BTreeMap::from([
            ("VersionId".to_owned(), revision.version.clone()),
            ("ETag".to_owned(), revision.etag.clone()),
            ("BucketName".to_owned(), self.fetching(index, run, "S3Bucket")),
            ("ObjectKey".to_owned(), self.fetching(index, run, "S3ObjectKey")),
        ]);
        let name = self.action(index, run).name.clone();
        let summary = Some(format!("Amazon S3 version id: {}", revision.version));
        let execution = &mut self.executions[index];
        execution.revisions.push((name, revision));
        execution.artifacts.insert(artifact.name.clone(), artifact);
        self.succeed(now, index, run, Success { summary, outputs, ..Success::default() });
        Ok(())
    }

    /// A job reports success, or hands back a continuation token.
    pub fn job_succeeded(&mut self, now: Timestamp, job: &str, success: Success) -> Result<(), Refusal> {
        success.check()?;
        let (index, run) = self.open_job(job)?;
        match success.continuation {
            None => self.succeed(now, index, run, success),
            Some(token) => {
                let execution = &mut self.executions[index];
                execution.updated = now;
                let run = &mut execution.runs[run];
                run.changed = now;
                run.outcome.summary = success.summary.or(run.outcome.summary.take());
                run.percent = success.percent.or(run.percent);
                run.waits = Waits::Again { token, at: now + self.timings.reinvoke };
            }
        }
        Ok(())
    }

    /// A job reports failure.
    pub fn job_failed(&mut self, now: Timestamp, job: &str, failure: Failure) -> Result<(), Refusal> {
        failure.check()?;
        let (index, run) = self.open_job(job)?;
        self.executions[index].runs[run].outcome.external_id = failure.external_id;
        self.fail(now, index, run, &failure.kind, failure.message);
        Ok(())
    }

    /// Does what is due at `now`.
    pub fn tick(&mut self, now: Timestamp) {
        for stage in 0..self.seats.len() {
            let Some(index) = self.seats[stage].inside else { continue };
            for run in self.executions[index].attempt..self.executions[index].runs.len() {
                let waiting = &mut self.executions[index].runs[run];
                if waiting.waits.due().is_none_or(|due| due > now) {
                    continue;
                }
                match std::mem::replace(&mut waiting.waits, Waits::Nothing) {
                    Waits::Again { token, .. } => self.invoke(now, index, run, Some(token)),
                    Waits::Approval { .. } => {
                        let message = "The approval expired before anyone answered";
                        self.fail(now, index, run, "ApprovalExpired", message.into());
                    }
                    _ => {
                        let silent = self.timings.silence.as_secs() / 60;
                        let message = format!("No reply from the job within {silent} minutes");
                        self.fail(now, index, run, "Timeout", message);
                    }
                }
            }
        }
    }

    /// An execution that has done nothing yet.
    fn blank(&mut self, now: Timestamp, trigger: Trigger) -> Execution {
        let id = self.ids.next();
        let own = BTreeMap::from([("PipelineExecutionId".to_owned(), id.to_string())]);
        Execution {
            id,
            status: Status::InProgress,
            place: Place::Before(0),
            trigger,
            rollback: None,
            started: now,
            updated: now,
            stop_reason: None,
            revisions: Vec::new(),
            artifacts: BTreeMap::new(),
            variables: BTreeMap::from([("codepipeline".to_owned(), own)]),
            stages: vec![None; self.pipeline.stages.len()],
            runs: Vec::new(),
            overrides: BTreeMap::new(),
            done: Vec::new(),
            attempt: 0,
            entered: now,
        }
    }

    fn begin_at(&mut self, now: Timestamp, stage: usize, execution: Execution) -> Id {
        let id = execution.id.clone();
        let index = self.executions.len();
        self.executions.push(execution);
        self.changed_pipeline(now, index, State::Started);
        self.arrive(now, index, stage);
        id
    }

    fn open_job(&self, job: &str) -> Result<(usize, usize), Refusal> {
        let &(index, run) = self.jobs.get(job).ok_or(Refusal::NoJob)?;
        match &self.executions[index].runs[run].waits {
            Waits::Job { id, .. } if &**id == job => Ok((index, run)),
            _ => Err(Refusal::JobState),
        }
    }

    fn action(&self, index: usize, run: usize) -> &Action {
        let run = &self.executions[index].runs[run];
        &self.pipeline.stages[run.stage].actions[run.action]
    }

    fn stage(&self, name: &str) -> Result<usize, Refusal> {
        let mut stages = self.pipeline.stages.iter();
        stages.position(|stage| &*stage.name == name).ok_or(Refusal::NoStage)
    }

    fn index(&self, id: &str) -> Result<usize, Refusal> {
        let mut executions = self.executions.iter();
        executions.rposition(|execution| &*execution.id == id).ok_or(Refusal::NoExecution)
    }
}
