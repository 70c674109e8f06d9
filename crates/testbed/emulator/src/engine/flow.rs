//! How executions move: into stages, from action to action, and to their end.

use super::{Engine, Ids};
use crate::change::{Change, Outcome, State, Subject};
use crate::effect::{Approval, Effect, Fetch, Job};
use crate::execution::{Place, Run, RunStatus, Status, Waits};
use crate::pipeline::{Id, Kind, Mode};
use crate::report::Success;
use crate::variables::resolve;
use jiff::Timestamp;
use std::collections::BTreeMap;

impl<I: Ids> Engine<I> {
    /// An execution comes to a stage: it enters, or waits.
    pub(super) fn arrive(&mut self, now: Timestamp, index: usize, stage: usize) {
        if self.seats[stage].inside.is_none() && self.seats[stage].closed.is_none() {
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

    pub(super) fn enter(&mut self, now: Timestamp, index: usize, stage: usize) {
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
    pub(super) fn advance(&mut self, now: Timestamp, index: usize) {
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
                // A rollback is of its stage alone.
                if stage + 1 < self.seats.len() && self.executions[index].rollback.is_none() {
                    self.arrive(now, index, stage + 1);
                } else {
                    self.finish(now, index, Status::Succeeded);
                }
                self.release(now, stage);
            }
        }
    }

    /// Makes a run of an action.
    pub(super) fn begin(&mut self, now: Timestamp, index: usize, stage: usize, action: usize) -> usize {
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
    pub(super) fn perform(&mut self, now: Timestamp, index: usize, run: usize) {
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

    pub(super) fn fetch(&mut self, now: Timestamp, index: usize, run: usize) {
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
    pub(super) fn fetching(&self, index: usize, run: usize, key: &str) -> String {
        let execution = &self.executions[index];
        let instead = execution.overrides.get(&*self.action(index, run).name);
        match instead.and_then(|instead| instead.key.as_ref()) {
            Some(instead) if key == "S3ObjectKey" => instead.clone(),
            _ => execution.runs[run].configuration.get(key).cloned().unwrap_or_default(),
        }
    }

    pub(super) fn invoke(&mut self, now: Timestamp, index: usize, run: usize, token: Option<String>) {
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

    pub(super) fn new_job(&mut self, now: Timestamp, index: usize, run: usize) -> Id {
        let id = self.ids.next();
        self.jobs.insert(id.clone(), (index, run));
        let run = &mut self.executions[index].runs[run];
        let until = (now + self.timings.silence).min(run.started + self.timings.action);
        run.waits = Waits::Job { id: id.clone(), until };
        id
    }

    pub(super) fn ask(&mut self, index: usize, run: usize, until: Timestamp) {
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

    pub(super) fn succeed(&mut self, now: Timestamp, index: usize, run: usize, success: Success) {
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

    pub(super) fn fail(&mut self, now: Timestamp, index: usize, run: usize, code: &str, message: String) {
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
    pub(super) fn end(&mut self, now: Timestamp, index: usize, status: Status) {
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

    pub(super) fn finish(&mut self, now: Timestamp, index: usize, status: Status) {
        self.executions[index].status = status;
        self.changed_pipeline(now, index, state(status));
    }

    /// Unlocks a stage and lets the next one in.
    pub(super) fn release(&mut self, now: Timestamp, stage: usize) {
        self.seats[stage].inside = None;
        if self.seats[stage].closed.is_some() {
            return;
        }
        if let Some(next) = self.seats[stage].waiting.pop_front() {
            self.enter(now, next, stage);
        }
    }

    pub(super) fn changed_pipeline(&mut self, now: Timestamp, index: usize, state: State) {
        let started = self.executions[index].started;
        self.changed(now, index, started, Subject::Pipeline, state);
    }

    pub(super) fn changed_stage(&mut self, now: Timestamp, index: usize, stage: usize, state: State) {
        let started = self.executions[index].entered;
        let stage = self.pipeline.stages[stage].name.clone();
        self.changed(now, index, started, Subject::Stage { stage }, state);
    }

    pub(super) fn changed_action(&mut self, now: Timestamp, index: usize, run: usize, state: State) {
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

    pub(super) fn changed(&mut self, at: Timestamp, index: usize, started: Timestamp, subject: Subject, state: State) {
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
