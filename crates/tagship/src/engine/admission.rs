//! The table of phases (docs/RULES.md): what an action may do, given what the bucket says. A row is a [`Standing`], a column one of the
//! functions below; what a planner is admitted with carries the hold that it goes by.

use crate::{Ended, Held, Holding, HowEnded, Phase, ReleaseId};

/// How a release stands with its service, by hold and marker: a row of the table.
#[derive(Debug, Clone, Copy)]
pub enum Standing<'a> {
    /// It has ended, and its hold is gone.
    Ended,
    /// It has ended, but its hold is still there: the process died between the two.
    EndedHolding(&'a Held, &'a Ended),
    /// It was marked as discarded while it took the hold: what it launched since is still there.
    EndedLate(&'a Held, &'a Ended),
    /// Nobody holds the service.
    Free,
    /// Another release holds it, or has ended and left its hold.
    Another(&'a Held),
    /// It holds the service.
    Holds(&'a Held),
}

impl<'a> Standing<'a> {
    /// How the release stands.
    pub fn of(release: &ReleaseId, holding: &'a Holding) -> Self {
        let own = holding.held.as_ref().filter(|held| held.hold.release == *release);
        match (&holding.ended, own, &holding.held) {
            (Some(ended), Some(held), _) if ended.how == HowEnded::Discarded && held.hold.phase == Phase::Open => {
                Self::EndedLate(held, ended)
            }
            (Some(ended), Some(held), _) => Self::EndedHolding(held, ended),
            (Some(_), None, _) => Self::Ended,
            (None, Some(held), _) => Self::Holds(held),
            (None, None, Some(held)) => Self::Another(held),
            (None, None, None) => Self::Free,
        }
    }
}

/// A cell of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate<E> {
    /// Go on by this.
    Admit(E),
    /// Nothing to do, and why.
    Nothing(&'static str),
    /// Not any more, and why.
    Refuse(&'static str),
}

/// What provision is admitted with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Launching<'a> {
    /// Take the hold: a new one, or the one that an ended release has left.
    Take(Option<&'a Held>),
    /// Another release holds: wait, and say for whom.
    Await(&'a Held),
    /// Go on by this hold.
    Act(&'a Held),
}

/// What an action that turns the phase is admitted with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Turning<'a> {
    /// Write this phase first.
    Turn(&'a Held, Phase),
    /// The phase is written: go on.
    Act(&'a Held),
    /// The release has ended: delete the hold.
    FreeHold(&'a Held, &'a Ended),
}

/// What an action that removes a release is admitted with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Removing<'a> {
    /// It never held, so there is nothing to undo: write `discarded`, so that a late start fails.
    MarkDiscarded,
    /// As of any action that turns the phase.
    Turning(Turning<'a>),
    /// It was marked before it was known to hold: what it launched since goes, then the hold.
    Late(&'a Held, &'a Ended),
    /// It was approved meanwhile: finish that.
    FinishRetire(&'a Held),
}

/// What sweep is admitted with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sweeping<'a> {
    /// Ask whether its execution has ended.
    Look(&'a Held),
    /// The release has ended: delete the hold.
    FreeHold(&'a Held, &'a Ended),
    /// Nobody holds: if the release is the live one, count its fleet.
    Count,
}

const HAS_ENDED: &str = "this release has ended already";
const LATE: &str = "this release has ended already: discard or park removes what is left";
const RESTART: &str = "this release has ended: start a new execution (Release change), don't retry the stage";
const BEING_ROLLED_BACK: &str = "this release is being rolled back: start a new execution";
const GOES_BACK: &str = "this release has failed and its traffic goes back, as its hold says: start a new execution";
const APPROVED: &str = "this release is approved already: nothing is left to do";
const ANOTHER: &str = "another release holds the service";
const NOT_HELD: &str = "this release doesn't hold the service: provision has not run, or it has been cleaned up";

/// Provision's column.
pub fn provision(standing: Standing<'_>) -> Gate<Launching<'_>> {
    use Standing::*;
    match standing {
        Ended | EndedHolding(..) | EndedLate(..) => Gate::Refuse(RESTART),
        Free => Gate::Admit(Launching::Take(None)),
        Another(held) if held.free() => Gate::Admit(Launching::Take(Some(held))),
        Another(held) => Gate::Admit(Launching::Await(held)),
        Holds(held) => match held.hold.phase {
            Phase::Open if held.hold.back.is_some() => Gate::Refuse(GOES_BACK),
            Phase::Open => Gate::Admit(Launching::Act(held)),
            Phase::Approved => Gate::Nothing(APPROVED),
            Phase::Ending => Gate::Refuse(BEING_ROLLED_BACK),
        },
    }
}

/// Deploy's column.
pub fn deploy(standing: Standing<'_>) -> Gate<&Held> {
    match shift(standing) {
        Gate::Admit(held) if held.hold.back.is_some() => Gate::Refuse(GOES_BACK),
        gate => gate,
    }
}

/// Shift's column. Where the traffic goes back, it goes on with that.
pub fn shift(standing: Standing<'_>) -> Gate<&Held> {
    use Standing::*;
    match standing {
        Ended | EndedHolding(..) | EndedLate(..) => Gate::Refuse(RESTART),
        Free => Gate::Refuse(NOT_HELD),
        Another(_) => Gate::Refuse(ANOTHER),
        Holds(held) => match held.hold.phase {
            Phase::Open => Gate::Admit(held),
            Phase::Approved => Gate::Nothing(APPROVED),
            Phase::Ending => Gate::Refuse(BEING_ROLLED_BACK),
        },
    }
}

/// Guard's column.
pub fn guard(standing: Standing<'_>) -> Gate<&Held> {
    match standing {
        Standing::Holds(held) => match held.hold.phase {
            Phase::Open => Gate::Admit(held),
            Phase::Approved => {
                Gate::Nothing("this release was approved before: alarms don't move its traffic any more")
            }
            Phase::Ending => Gate::Nothing("this release is being rolled back already"),
        },
        _ => Gate::Nothing("this release doesn't hold the service, so it has moved no traffic"),
    }
}

/// Retire's column.
pub fn retire(standing: Standing<'_>) -> Gate<Turning<'_>> {
    use Standing::*;
    match standing {
        Ended => Gate::Nothing(HAS_ENDED),
        EndedLate(..) => Gate::Nothing(LATE),
        EndedHolding(held, ended) => Gate::Admit(Turning::FreeHold(held, ended)),
        Free => Gate::Refuse(NOT_HELD),
        Another(_) => Gate::Refuse(ANOTHER),
        Holds(held) => match held.hold.phase {
            Phase::Open if held.hold.back.is_some() => Gate::Refuse(GOES_BACK),
            Phase::Open => Gate::Admit(Turning::Turn(held, Phase::Approved)),
            Phase::Approved => Gate::Admit(Turning::Act(held)),
            Phase::Ending => Gate::Refuse("this release was rejected or failed before: it can't be approved any more"),
        },
    }
}

/// Rollback's column.
pub fn rollback(standing: Standing<'_>) -> Gate<Turning<'_>> {
    use Standing::*;
    match standing {
        Ended => Gate::Nothing(HAS_ENDED),
        EndedLate(..) => Gate::Nothing(LATE),
        EndedHolding(held, ended) => Gate::Admit(Turning::FreeHold(held, ended)),
        Free | Another(_) => Gate::Nothing("this release doesn't hold the service, so it has moved no traffic"),
        Holds(held) => match held.hold.phase {
            Phase::Open => Gate::Admit(Turning::Turn(held, Phase::Ending)),
            Phase::Approved => Gate::Nothing(
                "this release was approved before: its predecessor is being removed, so it stays. To go back, release \
                 the older build again",
            ),
            Phase::Ending => Gate::Admit(Turning::Act(held)),
        },
    }
}

/// Discard's column.
pub fn discard(standing: Standing<'_>) -> Gate<Removing<'_>> {
    match standing {
        Standing::Holds(held) if held.hold.phase == Phase::Approved => Gate::Admit(Removing::FinishRetire(held)),
        other => park(other),
    }
}

/// Park's column.
pub fn park(standing: Standing<'_>) -> Gate<Removing<'_>> {
    use Standing::*;
    match standing {
        Ended => Gate::Nothing(HAS_ENDED),
        EndedLate(held, ended) => Gate::Admit(Removing::Late(held, ended)),
        EndedHolding(held, ended) => Gate::Admit(Removing::Turning(Turning::FreeHold(held, ended))),
        Free | Another(_) => Gate::Admit(Removing::MarkDiscarded),
        Holds(held) => match held.hold.phase {
            Phase::Open => Gate::Admit(Removing::Turning(Turning::Turn(held, Phase::Ending))),
            Phase::Approved => Gate::Refuse("this release was approved: it can't be parked any more"),
            Phase::Ending => Gate::Admit(Removing::Turning(Turning::Act(held))),
        },
    }
}

/// Sweep's column.
pub fn sweep(standing: Standing<'_>) -> Gate<Sweeping<'_>> {
    use Standing::*;
    match standing {
        Ended | Free => Gate::Admit(Sweeping::Count),
        Another(_) => Gate::Nothing("another release holds the service"),
        EndedHolding(held, ended) => Gate::Admit(Sweeping::FreeHold(held, ended)),
        EndedLate(held, _) | Holds(held) => Gate::Admit(Sweeping::Look(held)),
    }
}

/// A cell in a word, for the table in the documentation.
pub trait Word {
    /// The word.
    fn word(&self) -> &'static str;
}

impl Word for &Held {
    fn word(&self) -> &'static str {
        "act"
    }
}

impl Word for Launching<'_> {
    fn word(&self) -> &'static str {
        match self {
            Self::Take(_) => "take",
            Self::Await(_) => "wait",
            Self::Act(_) => "act",
        }
    }
}

impl Word for Turning<'_> {
    fn word(&self) -> &'static str {
        match self {
            Self::Turn(_, Phase::Approved) => "approve",
            Self::Turn(_, Phase::Ending) => "end",
            Self::Turn(_, Phase::Open) => "open",
            Self::Act(_) => "act",
            Self::FreeHold(..) => "free",
        }
    }
}

impl Word for Removing<'_> {
    fn word(&self) -> &'static str {
        match self {
            Self::MarkDiscarded => "mark",
            Self::Turning(turning) => turning.word(),
            Self::Late(..) => "late",
            Self::FinishRetire(_) => "finish",
        }
    }
}

impl Word for Sweeping<'_> {
    fn word(&self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Look(_) => "look",
            Self::FreeHold(..) => "free",
        }
    }
}

impl<E: Word> Word for Gate<E> {
    fn word(&self) -> &'static str {
        match self {
            Self::Admit(entry) => entry.word(),
            Self::Nothing(_) => "nothing",
            Self::Refuse(_) => "refuse",
        }
    }
}
