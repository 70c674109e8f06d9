//! What people ask of a pipeline: approve, stop, retry, roll back.

use super::{Engine, Ids};
use crate::change::State;
use crate::execution::{Execution, Place, RunStatus, Status, Trigger};
use crate::pipeline::Id;
use crate::refusal::Refusal;
use crate::report::Success;
use jiff::Timestamp;

impl<I: Ids> Engine<I> {
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

    /// Takes a stage back to the execution `target`, in a new execution.
    pub fn rollback(&mut self, now: Timestamp, stage: &str, target: &str, trigger: Trigger) -> Result<Id, Refusal> {
        let stage = self.stage(stage)?;
        let target = &self.executions[self.index(target)?];
        let refused = |why| Err(Refusal::NoRollback(why));
        if stage == 0 {
            return refused("a source stage can't be");
        }
        if target.rollback.is_some() {
            return refused("the target execution is a rollback itself");
        }
        if target.stages[stage] != Some(Status::Succeeded) {
            return refused("the target execution has not succeeded in it");
        }
        if self.seats[stage].inside.is_some() {
            return refused("it is running");
        }
        let target = target.clone();
        let blank = self.blank(now, trigger);
        let execution = Execution {
            rollback: Some(target.id),
            revisions: target.revisions,
            artifacts: target.artifacts,
            variables: target.variables.into_iter().chain(blank.variables.clone()).collect(),
            ..blank
        };
        Ok(self.begin_at(now, stage, execution))
    }
}
