//! Route: moves every switch to the candidate and watches it, or gives the traffic back.

pub mod traffic;

mod shift;
mod steps;
pub use shift::{Shift, ShiftMemory};

mod alarms;
mod comparison;
mod hooks;
pub use comparison::Comparison;
mod guard;
pub use guard::{Guard, GuardMemory, concerned};
mod rollback;
pub use rollback::{Rollback, RollbackMemory};

#[cfg(test)]
mod tests;

use crate::{Change, Changes, Error, Held, Kind, Parts, Previous, Situation, Step};

/// What a failed shift says where every switch stands as before: history tells by it whether the release had traffic.
pub(crate) const NO_TRAFFIC: &str = "no traffic was moved";

/// What both see.
const READS: Parts = Parts::INSTANCES.and(Parts::ROUTING).and(Parts::NAMES);

/// What both change.
const CHANGES: Changes = Changes::of(&[Change::Weights, Change::Names]);

/// Looks in a row that must find the same before it costs a release its traffic.
const LOOKS: u8 = 2;

/// The predecessor as people are told of it.
fn predecessor_name(held: &Held) -> String {
    match &held.hold.previous {
        Some(Previous { release: Some(release), .. }) => release.to_string(),
        Some(Previous { release: None, healthy: 1.. }) => "what was there before tagship".to_owned(),
        _ => "none".to_owned(),
    }
}

/// Who was live, where the hold says it; else nobody.
fn previous(held: &Held) -> Previous {
    held.hold.previous.clone().unwrap_or(Previous { release: None, healthy: 0 })
}

/// The weights in one line.
fn weights(now: &Situation<'_>) -> String {
    let words: Vec<String> = now.weights().iter().map(|(switch, weights)| format!("{switch}: {weights}")).collect();
    words.join("; ")
}

/// Whether AWS refused to turn a rule's stickiness off together with its weight: a group's own stickiness may ask for it.
/// Then the weight goes back without, and discard waits as long as a cookie lasts.
fn keeps_sticky(refused: &Step, error: &Error) -> bool {
    let sticky = matches!(refused, Step::SetWeights { unstick: true, .. });
    sticky && !error.kind.passes() && error.kind != Kind::Denied
}
