//! Park: empties a pre-product. Whether its release was good or not, nobody uses it any more.

use super::removal::{Removal, RemovalMemory, spared};
use super::{CHANGES, READS, free, mark, never_held, releases_but, settle_last, turn};
use crate::engine::{Gate, Removing, Standing, Turning, admission};
use crate::policy::confirm::confirmed;
use crate::{Action, Changes, Decision, Done, Error, First, Held, HowEnded, Job, Parts, Planner, Situation, Step};
use std::ops::ControlFlow::{Break, Continue};

/// The planner of park.
#[derive(Debug)]
pub struct Park;

impl Planner for Park {
    const ACTION: Action = Action::Park;
    const READS: Parts = READS;
    const CHANGES: Changes = CHANGES;
    type Entry<'a> = Removing<'a>;
    type Memory = RemovalMemory;

    fn admit(standing: Standing<'_>) -> Gate<Removing<'_>> {
        admission::park(standing)
    }

    fn decide<'a>(now: &Situation<'a>, entry: Removing<'a>, memory: &mut RemovalMemory) -> First<Done> {
        match entry {
            Removing::MarkDiscarded => {
                confirmed(now)?;
                Break(never_held(now))
            }
            Removing::Turning(Turning::Turn(held, phase)) => {
                pre_product(now, held)?;
                confirmed(now)?;
                Break(turn(held, phase))
            }
            Removing::Turning(Turning::Act(held)) | Removing::FinishRetire(held) => {
                pre_product(now, held)?;
                empty(now, held, memory)?;
                Break(mark(now, held, HowEnded::Parked))
            }
            Removing::Turning(Turning::FreeHold(held, ended)) => free(now, held, ended),
            // It was marked before anybody knew that it holds: what it has launched nevertheless is removed first.
            Removing::Late(held, ended) => {
                pre_product(now, held)?;
                empty(now, held, memory)?;
                free(now, held, ended)
            }
        }
    }

    fn learn(refused: &Step, error: &Error, memory: &RemovalMemory) -> Option<RemovalMemory> {
        spared(refused, error, memory)
    }
}

/// Park removes every release of a service, the live one too: only a pre-product can do without.
fn pre_product(now: &Situation<'_>, held: &Held) -> First<()> {
    if held.hold.settings.pre_product {
        return Continue(());
    }
    let Job { role, release, .. } = now.job;
    Break(Decision::Fail(Error::configuration(format!(
        "park of {release} would remove every release of {role}, which is no pre-product by its settings. Nothing was \
         removed. Correct serviceRole, or, if it is one, add \"PRE_PRODUCT\": true to its settings, which counts from \
         its next release on; discard removes this one alone"
    ))))
}

/// Goes on once no release of the service is left.
fn empty(now: &Situation<'_>, held: &Held, memory: &mut RemovalMemory) -> First<()> {
    let hold = &held.hold;
    let mut releases = releases_but(now, &hold.release)?;
    releases.insert(&hold.release);
    let tagged = now.world.instances()?.iter().filter(|instance| instance.release.is_some());
    let doomed = tagged.map(|instance| instance.id.as_str()).collect();
    let since = *memory.weightless_since.get_or_insert(now.world.since());
    let live = Some(Vec::new());
    Removal { doomed, releases, stop_by: None, live, installs: true, kept: None }.done(now, hold, memory)?;
    settle_last(now, held, since)
}
