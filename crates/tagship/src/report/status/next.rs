//! What a person can do next with a service, as commands.

use super::{Asked, Held};
use crate::Phase;
use serde::Serialize;

/// Something that a person can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Next {
    /// The command.
    pub command: String,
    /// What it does.
    pub does: String,
}

impl Next {
    fn new(command: String, does: impl Into<String>) -> Self {
        Self { command, does: does.into() }
    }
}

/// How things are besides.
pub(super) struct Now {
    /// Whether an execution is in the stage.
    pub(super) going: bool,
    /// Whether nothing may enter it.
    pub(super) frozen: bool,
    /// Whether a release is live.
    pub(super) live: bool,
}

/// What can be done, the likeliest first.
pub(super) fn next(service: &str, held: Option<&Held>, approval: Option<&Asked>, now: Now) -> Vec<Next> {
    let mut next = Vec::new();
    if let Some(asked) = approval {
        next.push(Next::new(format!("tagship approve {service}"), asked.approving));
        next.push(Next::new(format!("tagship reject {service}"), asked.rejecting));
    } else if now.going {
        next.push(Next::new(
            format!("tagship stop {service} -m WHY"),
            "ends the release: the traffic goes back, and it is removed",
        ));
    } else if held.is_some_and(|held| held.phase != Phase::Approved) {
        next.push(Next::new(
            format!("tagship stop {service} -m WHY"),
            "removes what the ended release left behind, if that hasn't begun automatically",
        ));
    }
    if held.is_some() {
        next.push(Next::new(format!("tagship why {service}"), "shows what has been decided so far, and why"));
    } else {
        next.push(Next::new(format!("tagship release {service} BUILD.zip"), "releases a build"));
        if now.live {
            next.push(Next::new(
                format!("tagship rollback {service}"),
                "releases the build before the live one again, if there was one",
            ));
        }
    }
    if now.frozen {
        next.push(Next::new(format!("tagship unfreeze {service}"), "lets releases in again"));
    }
    next
}
