//! Park: empties a pre-product. Whether its release was good or not, nobody uses it any more.

use super::removal::{Removal, RemovalMemory};
use super::{CHANGES, READS, free, mark, never_held, releases_but, settle_last, turn};
use crate::engine::{Gate, Removing, Standing, Turning, admission};
use crate::{Action, Changes, Done, First, Held, HowEnded, Parts, Planner, Situation};
use std::ops::ControlFlow::Break;

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
            Removing::MarkDiscarded => Break(never_held(now)),
            Removing::Turning(Turning::Turn(held, phase)) => Break(turn(held, phase)),
            Removing::Turning(Turning::Act(held)) | Removing::FinishRetire(held) => {
                empty(now, held, memory)?;
                Break(mark(now, held, HowEnded::Parked))
            }
            Removing::Turning(Turning::FreeHold(held, ended)) => free(now, held, ended),
            // It was marked before anybody knew that it holds: what it has launched nevertheless is removed first.
            Removing::Late(held, ended) => {
                empty(now, held, memory)?;
                free(now, held, ended)
            }
        }
    }
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
