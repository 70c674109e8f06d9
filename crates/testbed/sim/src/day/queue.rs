//! What happens when.

use crate::cloud::Turn;
use crate::invocation::Delivery;
use crate::past::Ms;
use crate::plan::PersonAct;
use std::cmp::Ordering;
use tagship::{CallId, HookAnswer, ServiceRole};
use tagship_emulator::pipeline::Id;

/// What happens at a time.
#[derive(Debug)]
pub(super) enum Event {
    Turn(Turn),
    /// A node of the balancer hears of the weights of a service.
    Node(ServiceRole),
    Deliver(Delivery),
    Wake(u32),
    /// A throttled request of a call is repeated.
    Request(u64, usize),
    Effect(u64),
    Reply(u64),
    /// Lambda's time-out.
    Timeout(u32),
    Tick(usize),
    Upload(usize, usize),
    Fetched(usize, Id),
    Voted {
        pipe: usize,
        stage: Id,
        action: Id,
        token: Id,
        granted: bool,
    },
    Stop(usize, Id, bool),
    Person(PersonAct),
    /// A hook answers an invocation that has called it.
    Hook(u32, CallId, HookAnswer),
    Sweep,
    /// Guard is asked on its schedule.
    Guard,
}

pub(super) struct Due(pub(super) Ms, pub(super) u64, pub(super) Event);

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    /// The earliest is the greatest, as a heap wants it.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.0, other.1).cmp(&(self.0, self.1))
    }
}
