//! What to do next, for the person who is told.

use super::{Headline, never_empty};
use crate::{Action, Kind, StageName};

pub(super) fn after_success(headline: Headline, action: Action, pipeline: &str) -> String {
    let pipeline = never_empty(pipeline, "the service's");
    match (headline, action) {
        (Headline::Kept, Action::Discard) => {
            "Decide which of the two target groups is to serve, and set every switch to it by hand. The next release \
             removes the instances of the other group. Until you have set the switches, no release can begin."
                .to_owned()
        }
        (Headline::Kept, _) => {
            "This release still serves, though it was rejected: nothing could be restored. Release a build that works."
                .to_owned()
        }
        (Headline::Rings, _) => format!(
            "Look at the alarm and at the service now, and decide: reject the release in pipeline {pipeline}, or stop its \
             execution, and the traffic goes back. There is no second message for this alarm until it has been OK."
        ),
        (Headline::Degraded, _) => format!(
            "tagship replaces nothing between releases. Start what was stopped, or release the same build again through \
             pipeline {pipeline}: that launches a whole fleet. If the service was taken down on purpose, delete its roster \
             (live/<service role>.json in tagship's bucket)."
        ),
        (Headline::RolledBack, _) => "Nothing urgent: the previous release serves. Find out what was wrong.".to_owned(),
        (_, Action::Deploy) => {
            format!("Look at the candidate. If pipeline {pipeline} asks for it, approve or reject there.")
        }
        (_, Action::Shift) => format!(
            "Watch it. Approving in pipeline {pipeline} removes the previous release, rejecting moves the traffic back to it."
        ),
        (_, Action::Provision) => "Nothing: deploy follows.".to_owned(),
        _ => "Nothing.".to_owned(),
    }
}

/// The cause's remedy, then what to look after meanwhile.
pub(super) fn after_failure(kind: Kind, stage: StageName, action: Option<Action>) -> String {
    let remedy = match kind {
        Kind::Configuration => "Correct what is listed above and start a new execution (Release change).".to_owned(),
        Kind::Denied => format!("Give the role of the {stage} function this permission (infra/tagship.yaml)."),
        Kind::Throttled => "Wait until the account makes fewer requests, or ask AWS for a higher limit.".to_owned(),
        Kind::Unavailable => "Look at AWS's health dashboard; repeat once AWS answers again.".to_owned(),
        Kind::Bug => "Report this with the function's log: it is a mistake in tagship.".to_owned(),
        Kind::Protected | Kind::Refused => "Do what the message says; AWS's own words are in it.".to_owned(),
        Kind::Conflict | Kind::Spent | Kind::Capacity | Kind::Release => "Correct what the message names.".to_owned(),
    };
    let meanwhile = match action {
        Some(Action::Provision | Action::Deploy) => {
            "No traffic has moved. What was made for this release is removed once its execution has failed."
        }
        Some(Action::Shift) => {
            "Rollback starts by itself, and its message follows. The candidate's instances are removed soon: to look at \
             such instances, set TIMEOUTS.POSTMORTEM before the next try."
        }
        Some(Action::Rollback) => {
            "Look at the switches' weights now: the traffic may not be back. Then repeat the rollback."
        }
        Some(Action::Retire) => {
            "If the removal had begun, discard finishes it. Otherwise the traffic goes back to the previous release."
        }
        Some(Action::Discard | Action::Park) => {
            "What is left still costs money. The sweep repeats the action every five minutes; you can repeat it sooner."
        }
        Some(Action::Guard) => {
            "Look at the switches' weights now: the traffic may not be back. Guard tries again every minute."
        }
        Some(Action::Sweep) | None => "Nothing was changed.",
    };
    format!("{remedy} {meanwhile}")
}
