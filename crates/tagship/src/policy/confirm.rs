//! Whether a release's execution has ended as somebody says who is no pipeline: CodePipeline has the word.

use crate::policy::cleanup::ABANDONED_SECS;
use crate::{Action, Decision, Done, Error, ExecutionState, First, Situation};
use jiff::{SignedDuration, Timestamp};
use std::ops::ControlFlow::{Break, Continue};

/// So long CodePipeline is asked again, in seconds: the event of an end can come before the answer says so.
pub(super) const ASKED_SECS: u32 = 60;

/// Goes on if the release's execution has ended in a way that this action may follow. A pipeline's own job needs no
/// such proof; whoever can send an event or invoke a function does.
pub(super) fn confirmed(now: &Situation<'_>) -> First<()> {
    use ExecutionState::{Ended, NotFound, Running, Stopping, Succeeded};
    if !now.direct {
        return Continue(());
    }
    let (action, release) = (now.job.action, &now.job.release);
    let Some(execution) = now.world.holder()? else {
        return Break(Decision::Fail(Error::configuration(format!(
            "{action} of {release}: tagship first asks CodePipeline whether the execution has ended, so add \"pipeline\", the \
             name of its pipeline, to the invocation. Nothing was changed"
        ))));
    };
    let (fits, awaited) = match action {
        Action::Retire => (execution.state == Succeeded, "has succeeded"),
        Action::Park => (matches!(execution.state, Succeeded | Ended), "has ended"),
        _ => (execution.state == Ended, "has failed, or was stopped, superseded or cancelled"),
    };
    if fits {
        return Continue(());
    }
    if let Some(held) = now.held().filter(|held| held.hold.missing_since.is_some() && execution.state != NotFound) {
        let step = Situation::rewrite(held, |hold| hold.missing_since = None);
        return Break(Decision::act(step, "CodePipeline knows the execution after all: it wasn't deleted"));
    }
    let says = match execution.state {
        Running => "says that it is in progress",
        Stopping => "says that it is being stopped",
        Succeeded => "says that it has succeeded",
        Ended => "says that it has failed, or was stopped, superseded or cancelled",
        NotFound => "knows no such execution",
    };
    if let Some((_, left)) = now.left(now.began, ASKED_SECS) {
        return Break(Decision::wait(format!(
            "CodePipeline to say that the execution of {release} {awaited}: it {says} (asked for {left} s more)"
        )));
    }
    // Deleted, with its pipeline or by its age: it can't go on. That it succeeded, nobody says. Of one that was known
    // sweep must have seen it too, long before.
    let long = |since: Timestamp| now.world.now().duration_since(since) >= SignedDuration::from_secs(ABANDONED_SECS);
    if execution.state == NotFound && action != Action::Retire {
        match now.held() {
            Some(held) if !held.hold.checked || held.hold.missing_since.is_some_and(long) => return Continue(()),
            Some(_) => {}
            // It may run all the same: one answer doesn't say that it was deleted, and there is nothing to undo.
            None => {
                let message = format!(
                    "nothing was changed: {release} doesn't hold {}, and CodePipeline {says}. If there is one to {action}, \
                     correct release and pipeline in the invocation",
                    now.job.role
                );
                return Break(Decision::Done(Done { nothing: true, message, ..Done::default() }));
            }
        }
    }
    Break(Decision::Fail(Error::release(format!(
        "{action} of {release} was invoked directly. It works only after the execution {awaited}, but CodePipeline \
         {says}. Nothing was changed. Answer the open approval, or stop the execution: then {action} follows automatically"
    ))))
}
