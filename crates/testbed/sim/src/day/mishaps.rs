//! What goes wrong by chance: faults of calls, processes that stand still, people who act at the wrong moment.

use super::Day;
use super::queue::Event;
use crate::invocation::Asked;
use crate::past::{MINUTE, Ms, SECOND};
use crate::plan::{Fault, PersonAct};
use crate::port::Ask;
use rand::RngExt;
use tagship::{Action, Hold, Job, Kind, Step};

impl Day {
    /// A person changes a switch between the look that a change of weights is decided by and the change.
    pub(super) fn race(&mut self, job: &Job, asked: &Asked) {
        let about = matches!(asked, Asked::Port(Ask::Holding { bound: true, .. }))
            && matches!(job.action, Action::Shift | Action::Rollback);
        if !about || !self.chance(|odds| odds.race) {
            return;
        }
        let switches = self.cloud.services.get(&job.role).map_or(0, |service| service.switches.len());
        if switches > 0 {
            let (n, back) = (self.rng.random_range(0..switches), self.between(SECOND, 10 * MINUTE));
            self.person(PersonAct::TurnSwitch(job.role.clone(), n, back));
        }
    }

    /// While discard waits for SETTLE to be over, its process stands still for longer; its release gets weight by hand
    /// meanwhile, which rollback takes away again. For how long discard is late.
    pub(super) fn unwatched(&mut self, by: u32, job: &Job, planned: Ms) -> Ms {
        let shifted = |(hold, _): &(Hold, _)| hold.release == job.release && hold.previous.is_some();
        if !self.cloud.holds.get(&job.role).is_some_and(shifted) || !self.chance(|odds| 10.0 * odds.race) {
            return 0;
        }
        let late = self.between(90 * SECOND, 180 * SECOND);
        self.freeze(by, Some(planned + late));
        let until = self.cloud.now + planned + late;
        // What a person has done a moment ago, nobody could know: that doesn't count against discard.
        let (turned, asked) =
            (until - self.between(75 * SECOND, 90 * SECOND), until - self.between(SECOND, 15 * SECOND));
        let switches = self.cloud.services.get(&job.role).map_or(1, |service| service.switches.len());
        let (n, back) = (self.rng.random_range(0..switches.max(1)), self.between(MINUTE, 10 * MINUTE));
        self.at(turned, Event::Person(PersonAct::TurnSwitch(job.role.clone(), n, back)));
        self.at(asked, Event::Person(PersonAct::Ask(job.role.clone(), Action::Rollback)));
        late
    }

    /// What goes wrong by chance.
    pub(super) fn misfortune(&mut self, asked: &Asked) -> Option<Fault> {
        if self.cloud.now >= self.plan.calm {
            return None;
        }
        let odds = self.plan.odds;
        let dice: f64 = self.rng.random();
        let mut below = 0.0;
        let mut falls = |odds: f64| {
            below += odds;
            dice < below
        };
        if falls(odds.crash) {
            return Some(Fault::Crash);
        }
        if falls(odds.crash_after) {
            return Some(Fault::CrashAfter);
        }
        if falls(odds.lost) {
            return Some(Fault::Lost);
        }
        if falls(odds.refuse) {
            let kind = match self.rng.random_range(0..10) {
                0..6 => Kind::Unavailable,
                6..9 => Kind::Conflict,
                _ => Kind::Denied,
            };
            let launch = matches!(asked, Asked::Port(Ask::Apply(Step::Launch(_))));
            return Some(Fault::Refuse(if launch && kind == Kind::Conflict { Kind::Capacity } else { kind }));
        }
        if falls(odds.late) && asked.changes() {
            return Some(Fault::Late(self.between(0, 10 * SECOND)));
        }
        if falls(odds.stale) && matches!(asked, Asked::Port(Ask::Observe { .. } | Ask::Holding { bound: false, .. })) {
            // Long enough for the world to change, mostly too short for Lambda to have tried again.
            let longest = if self.rng.random_bool(0.7) { 6 * MINUTE } else { 60 * MINUTE };
            return Some(Fault::Freeze(self.between(SECOND, longest)));
        }
        None
    }

    pub(super) fn freeze(&mut self, by: u32, length: Option<Ms>) -> Ms {
        let length = length.unwrap_or_else(|| self.rng.random_range(SECOND..=60 * MINUTE));
        if let Some(invocation) = self.invocations.get_mut(&by) {
            invocation.frozen = self.cloud.now + length;
            invocation.line.mailbox().stood += length;
        }
        *self.faults.entry("process frozen").or_default() += 1;
        self.tell(|| "fault".into(), || format!("invocation {by} stands still for {} s", length / SECOND));
        length
    }
}
