//! CodePipeline as a pure state machine: what people, jobs and time do to it, and what it does then.

use crate::change::{Change, Outcome, State, Subject};
use crate::execution::{Artifact, Execution, Override, Place, Revision, Run, RunStatus, Status, Trigger, Waits};
use crate::pipeline::{Action, Id, Kind, Mode, Pipeline};
use crate::refusal::Refusal;
use crate::variables::resolve;
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

/// What the engine wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Copy a source object; the answer is [`Engine::fetched`] or [`Engine::job_failed`].
    Fetch(Fetch),
    /// Invoke a function, asynchronously; it answers with [`Engine::job_succeeded`] or
    /// [`Engine::job_failed`].
    Invoke(Job),
    /// Tell people of an approval; the answer is [`Engine::approve`].
    Ask(Approval),
    /// Tell EventBridge.
    Changed(Change),
}

/// A source action at work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// What the answer names.
    pub job: Id,
    /// The bucket to look in.
    pub bucket: String,
    /// The object's key.
    pub key: String,
    /// The version; the newest if none is given.
    pub version: Option<String>,
    /// What the copy is called in the pipeline.
    pub artifact: String,
}

/// A job for a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its id, new with each continuation.
    pub id: Id,
    /// The action's configuration, variables resolved.
    pub configuration: BTreeMap<String, String>,
    /// The input artifacts.
    pub inputs: Vec<Artifact>,
    /// The token that the job before it handed back.
    pub continuation: Option<String>,
}

/// A question to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// The execution.
    pub execution: Id,
    /// The stage's name.
    pub stage: Id,
    /// The action's name.
    pub action: Id,
    /// What the answer must carry.
    pub token: Id,
    /// When it expires.
    pub until: Timestamp,
    /// `NotificationArn`, `CustomData`, `ExternalEntityLink`, variables resolved.
    pub configuration: BTreeMap<String, String>,
}

/// What a job reports when it goes well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Success {
    /// The job isn't done: a new one gets this token.
    pub continuation: Option<String>,
    /// What a person reads.
    pub summary: Option<String>,
    /// The id that the action's provider gave.
    pub external_id: Option<String>,
    /// How far it is, 0 to 100.
    pub percent: Option<u8>,
    /// The output variables.
    pub outputs: BTreeMap<String, String>,
}

/// What a job reports when it fails.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// AWS's type, e.g. `JobFailed`.
    pub kind: String,
    /// What a person reads.
    pub message: String,
    /// The id that the action's provider gave.
    pub external_id: Option<String>,
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
        let id = self.ids.next();
        let own = BTreeMap::from([("PipelineExecutionId".to_owned(), id.to_string())]);
        let index = self.executions.len();
        self.executions.push(Execution {
            id: id.clone(),
            status: Status::InProgress,
            place: Place::Before(0),
            trigger,
            started: now,
            updated: now,
            stop_reason: None,
            revisions: Vec::new(),
            artifacts: BTreeMap::new(),
            variables: BTreeMap::from([("codepipeline".to_owned(), own)]),
            stages: vec![None; self.pipeline.stages.len()],
            runs: Vec::new(),
            overrides,
            done: Vec::new(),
            attempt: 0,
            entered: now,
        });
        self.changed_pipeline(now, index, State::Started);
        self.arrive(now, index, 0);
        Ok(id)
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

    /// A person (`by`, an ARN) approves or rejects.
    #[allow(clippy::too_many_arguments, reason = "as many as PutApprovalResult takes")]
    pub fn approve(
        &mut self,
        now: Timestamp,
        stage: &str,
        action: &str,
        token: &str,
        approved: bool,
        summary: String,
        by: &str,
    ) -> Result<(), Refusal> {
        let stage = self.stage(stage)?;
        let actions = &self.pipeline.stages[stage].actions;
        let Some(action) = actions.iter().position(|it| &*it.name == action) else {
            return Err(Refusal::NoAction);
        };
        let Some(&(index, run)) = self.tokens.get(token) else {
            return Err(Refusal::ApprovalToken);
        };
        let asked = &mut self.executions[index].runs[run];
        if (asked.stage, asked.action) != (stage, action) {
            return Err(Refusal::ApprovalToken);
        }
        if asked.status != RunStatus::InProgress {
            return Err(Refusal::ApprovalCompleted);
        }
        asked.updated_by = Some(by.to_owned());
        asked.outcome.summary = Some(summary.clone()).filter(|summary| !summary.is_empty());
        if approved {
            self.succeed(now, index, run, Success::default());
        } else {
            self.fail(now, index, run, "Rejected", summary);
        }
        Ok(())
    }

    /// Stops an execution: when what is running is done, or at once.
    pub fn stop(&mut self, now: Timestamp, id: &str, abandon: bool, reason: Option<String>) -> Result<(), Refusal> {
        let index = self.index(id)?;
        let execution = &mut self.executions[index];
        match execution.status {
            Status::InProgress => {}
            Status::Stopping if abandon => {}
            Status::Stopping => return Err(Refusal::AlreadyStopping),
            _ => return Err(Refusal::NotStoppable),
        }
        if execution.status == Status::InProgress {
            execution.status = Status::Stopping;
            execution.stop_reason = reason;
            self.changed_pipeline(now, index, State::Stopping);
            if let Place::Inside(stage) = self.executions[index].place {
                self.executions[index].stages[stage] = Some(Status::Stopping);
                self.changed_stage(now, index, stage, State::Stopping);
            }
        }
        match self.executions[index].place {
            Place::Inside(_) if !abandon => self.advance(now, index),
            _ => self.end(now, index, Status::Stopped),
        }
        Ok(())
    }

    /// Cancels an execution, as a change of the pipeline's structure does.
    pub fn cancel(&mut self, now: Timestamp, id: &str) -> Result<(), Refusal> {
        let index = self.index(id)?;
        if self.executions[index].status.ended() {
            return Err(Refusal::NotStoppable);
        }
        self.end(now, index, Status::Cancelled);
        Ok(())
    }

    /// Runs a failed or stopped stage again: what failed and what follows, or `all` of it.
    pub fn retry(&mut self, now: Timestamp, stage: &str, id: &str, all: bool) -> Result<(), Refusal> {
        let stage = self.stage(stage)?;
        let index = self.index(id)?;
        if self.seats[stage].latest != Some(index) {
            return Err(Refusal::NotLatest);
        }
        let execution = &mut self.executions[index];
        if !matches!(execution.stages[stage], Some(Status::Failed | Status::Stopped)) {
            return Err(Refusal::NotRetryable);
        }
        if all {
            execution.done.fill(false);
        }
        execution.status = Status::InProgress;
        execution.attempt = execution.runs.len();
        execution.stages[stage] = Some(Status::InProgress);
        self.seats[stage].inside = Some(index);
        self.changed_pipeline(now, index, State::Resumed);
        self.changed_stage(now, index, stage, State::Resumed);
        self.advance(now, index);
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

    /// An execution comes to a stage: it enters, or waits.
    fn arrive(&mut self, now: Timestamp, index: usize, stage: usize) {
        if self.seats[stage].inside.is_none() {
            return self.enter(now, index, stage);
        }
        self.executions[index].place = Place::Before(stage);
        if self.pipeline.mode == Mode::Superseded {
            for older in std::mem::take(&mut self.seats[stage].waiting) {
                self.finish(now, older, Status::Superseded);
            }
        }
        self.seats[stage].waiting.push_back(index);
    }

    fn enter(&mut self, now: Timestamp, index: usize, stage: usize) {
        let seat = &mut self.seats[stage];
        seat.inside = Some(index);
        seat.latest = Some(index);
        let execution = &mut self.executions[index];
        execution.place = Place::Inside(stage);
        execution.stages[stage] = Some(Status::InProgress);
        execution.done = vec![false; self.pipeline.stages[stage].actions.len()];
        execution.attempt = execution.runs.len();
        execution.entered = now;
        self.changed_stage(now, index, stage, State::Started);
        self.advance(now, index);
    }

    /// Starts what is next in the stage, or ends it.
    fn advance(&mut self, now: Timestamp, index: usize) {
        let execution = &self.executions[index];
        let Place::Inside(stage) = execution.place else { return };
        let attempt = &execution.runs[execution.attempt..];
        if attempt.iter().any(|run| run.status == RunStatus::InProgress) {
            return;
        }
        if execution.status == Status::Stopping {
            return self.end(now, index, Status::Stopped);
        }
        if attempt.iter().any(|run| run.status == RunStatus::Failed) {
            return self.end(now, index, Status::Failed);
        }
        let actions = &self.pipeline.stages[stage].actions;
        let open = actions.iter().zip(&execution.done).filter(|(_, done)| !**done);
        match open.map(|(action, _)| action.run_order).min() {
            Some(order) => {
                let chosen: Vec<usize> =
                    (0..actions.len()).filter(|&it| actions[it].run_order == order && !execution.done[it]).collect();
                // All of them begin before one that fails at once may end the stage.
                let runs: Vec<usize> = chosen.iter().map(|&action| self.begin(now, index, stage, action)).collect();
                for run in runs {
                    self.perform(now, index, run);
                }
            }
            None => {
                self.executions[index].stages[stage] = Some(Status::Succeeded);
                self.changed_stage(now, index, stage, State::Succeeded);
                if stage + 1 < self.seats.len() {
                    self.arrive(now, index, stage + 1);
                } else {
                    self.finish(now, index, Status::Succeeded);
                }
                self.release(now, stage);
            }
        }
    }

    /// Makes a run of an action.
    fn begin(&mut self, now: Timestamp, index: usize, stage: usize, action: usize) -> usize {
        let id = self.ids.next();
        let execution = &mut self.executions[index];
        let run = execution.runs.len();
        execution.updated = now;
        execution.runs.push(Run {
            id,
            stage,
            action,
            status: RunStatus::InProgress,
            started: now,
            changed: now,
            updated_by: None,
            outcome: Outcome::default(),
            error: None,
            percent: None,
            configuration: BTreeMap::new(),
            outputs: BTreeMap::new(),
            waits: Waits::Nothing,
        });
        self.seats[stage].runs[action] = Some((index, run));
        self.changed_action(now, index, run, State::Started);
        run
    }

    /// Does what the run is for.
    fn perform(&mut self, now: Timestamp, index: usize, run: usize) {
        let action = self.action(index, run);
        let variables = &self.executions[index].variables;
        let resolved = action
            .configuration
            .iter()
            .map(|(key, value)| Ok((key.clone(), resolve(value, variables)?)))
            .collect::<Result<BTreeMap<_, _>, String>>();
        let configuration = match resolved {
            Ok(configuration) => configuration,
            Err(name) => {
                let message = format!("The variable #{{{name}}} has no value");
                return self.fail(now, index, run, "InvalidVariable", message);
            }
        };
        let (kind, timeout) = (action.kind, action.timeout);
        self.executions[index].runs[run].configuration = configuration;
        match kind {
            Kind::S3Source => self.fetch(now, index, run),
            Kind::Lambda => self.invoke(now, index, run, None),
            Kind::Approval => {
                let until = now + timeout.unwrap_or(self.timings.approval);
                self.ask(index, run, until);
            }
        }
    }

    fn fetch(&mut self, now: Timestamp, index: usize, run: usize) {
        let job = self.new_job(now, index, run);
        let action = self.action(index, run);
        let version = self.executions[index].overrides.get(&*action.name);
        let fetch = Fetch {
            job,
            bucket: self.fetching(index, run, "S3Bucket"),
            key: self.fetching(index, run, "S3ObjectKey"),
            version: version.and_then(|version| version.version.clone()),
            artifact: action.outputs.first().cloned().unwrap_or_default(),
        };
        self.effects.push(Effect::Fetch(fetch));
    }

    /// The bucket or key that a source action looks for, overrides considered.
    fn fetching(&self, index: usize, run: usize, key: &str) -> String {
        let execution = &self.executions[index];
        let instead = execution.overrides.get(&*self.action(index, run).name);
        match instead.and_then(|instead| instead.key.as_ref()) {
            Some(instead) if key == "S3ObjectKey" => instead.clone(),
            _ => execution.runs[run].configuration.get(key).cloned().unwrap_or_default(),
        }
    }

    fn invoke(&mut self, now: Timestamp, index: usize, run: usize, token: Option<String>) {
        let id = self.new_job(now, index, run);
        let execution = &self.executions[index];
        let inputs = self.action(index, run).inputs.iter();
        let job = Job {
            id,
            configuration: execution.runs[run].configuration.clone(),
            inputs: inputs.filter_map(|name| execution.artifacts.get(name)).cloned().collect(),
            continuation: token,
        };
        self.effects.push(Effect::Invoke(job));
    }

    fn new_job(&mut self, now: Timestamp, index: usize, run: usize) -> Id {
        let id = self.ids.next();
        self.jobs.insert(id.clone(), (index, run));
        let run = &mut self.executions[index].runs[run];
        let until = (now + self.timings.silence).min(run.started + self.timings.action);
        run.waits = Waits::Job { id: id.clone(), until };
        id
    }

    fn ask(&mut self, index: usize, run: usize, until: Timestamp) {
        let token = self.ids.next();
        self.tokens.insert(token.clone(), (index, run));
        let stage = self.executions[index].runs[run].stage;
        let names = (self.pipeline.stages[stage].name.clone(), self.action(index, run).name.clone());
        let execution = &mut self.executions[index];
        let run = &mut execution.runs[run];
        run.outcome.external_url = run.configuration.get("ExternalEntityLink").cloned();
        run.waits = Waits::Approval { token: token.clone(), until };
        self.effects.push(Effect::Ask(Approval {
            execution: execution.id.clone(),
            stage: names.0,
            action: names.1,
            token,
            until,
            configuration: run.configuration.clone(),
        }));
    }

    fn succeed(&mut self, now: Timestamp, index: usize, run: usize, success: Success) {
        let namespace = self.action(index, run).namespace.clone();
        let execution = &mut self.executions[index];
        let done = &mut execution.runs[run];
        done.status = RunStatus::Succeeded;
        done.changed = now;
        done.outcome.summary = success.summary.or(done.outcome.summary.take());
        done.outcome.external_id = success.external_id;
        done.percent = success.percent.or(done.percent);
        done.waits = Waits::Nothing;
        execution.done[done.action] = true;
        if let Some(namespace) = namespace {
            execution.variables.insert(namespace, success.outputs.clone());
        }
        done.outputs = success.outputs;
        execution.updated = now;
        self.changed_action(now, index, run, State::Succeeded);
        self.advance(now, index);
    }

    fn fail(&mut self, now: Timestamp, index: usize, run: usize, code: &str, message: String) {
        let execution = &mut self.executions[index];
        execution.updated = now;
        let failed = &mut execution.runs[run];
        failed.status = RunStatus::Failed;
        failed.changed = now;
        failed.outcome.error_code = Some(code.into());
        failed.outcome.summary.get_or_insert_with(|| message.clone());
        failed.error = Some(message);
        failed.waits = Waits::Nothing;
        self.changed_action(now, index, run, State::Failed);
        self.advance(now, index);
    }

    /// Ends an execution where it stands, abandoning what still runs, and unlocks its stage.
    fn end(&mut self, now: Timestamp, index: usize, status: Status) {
        match self.executions[index].place {
            Place::Before(stage) => {
                self.seats[stage].waiting.retain(|&waiting| waiting != index);
                self.finish(now, index, status);
            }
            Place::Inside(stage) => {
                for run in self.executions[index].attempt..self.executions[index].runs.len() {
                    let abandoned = &mut self.executions[index].runs[run];
                    if abandoned.status == RunStatus::InProgress {
                        abandoned.status = RunStatus::Abandoned;
                        abandoned.changed = now;
                        abandoned.waits = Waits::Nothing;
                        self.changed_action(now, index, run, State::Abandoned);
                    }
                }
                self.executions[index].stages[stage] = Some(status);
                self.changed_stage(now, index, stage, state(status));
                self.finish(now, index, status);
                self.release(now, stage);
            }
        }
    }

    fn finish(&mut self, now: Timestamp, index: usize, status: Status) {
        self.executions[index].status = status;
        self.changed_pipeline(now, index, state(status));
    }

    /// Unlocks a stage and lets the next one in.
    fn release(&mut self, now: Timestamp, stage: usize) {
        self.seats[stage].inside = None;
        if let Some(next) = self.seats[stage].waiting.pop_front() {
            self.enter(now, next, stage);
        }
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

    fn changed_pipeline(&mut self, now: Timestamp, index: usize, state: State) {
        let started = self.executions[index].started;
        self.changed(now, index, started, Subject::Pipeline, state);
    }

    fn changed_stage(&mut self, now: Timestamp, index: usize, stage: usize, state: State) {
        let started = self.executions[index].entered;
        let stage = self.pipeline.stages[stage].name.clone();
        self.changed(now, index, started, Subject::Stage { stage }, state);
    }

    fn changed_action(&mut self, now: Timestamp, index: usize, run: usize, state: State) {
        let action = self.action(index, run);
        let (name, kind) = (action.name.clone(), action.kind);
        let run = &self.executions[index].runs[run];
        let started = run.started;
        let subject = Subject::Action {
            stage: self.pipeline.stages[run.stage].name.clone(),
            action: name,
            id: run.id.clone(),
            kind,
            result: (state != State::Started).then(|| run.outcome.clone()),
        };
        self.changed(now, index, started, subject, state);
    }

    fn changed(&mut self, at: Timestamp, index: usize, started: Timestamp, subject: Subject, state: State) {
        let execution = &mut self.executions[index];
        execution.updated = at;
        let execution = execution.id.clone();
        self.effects.push(Effect::Changed(Change { at, execution, started, subject, state }));
    }
}

/// The word for a status in an event.
fn state(status: Status) -> State {
    match status {
        Status::InProgress => State::Started,
        Status::Succeeded => State::Succeeded,
        Status::Failed => State::Failed,
        Status::Stopping => State::Stopping,
        Status::Stopped => State::Stopped,
        Status::Superseded => State::Superseded,
        Status::Cancelled => State::Canceled,
    }
}
