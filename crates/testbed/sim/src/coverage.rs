//! Crash points: where a process could have died between two steps, and where it did.

use crate::invocation::Asked;
use crate::plan::Fault;
use crate::port::Ask;
use std::collections::BTreeMap;
use std::fmt;
use tagship::{Action, Phase, Step};

/// On which side of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Before it sets out.
    Before,
    /// While it is under way: it still has its effect.
    During,
    /// After it, before the answer is known.
    After,
}

/// A place between two steps: which action's process, at what kind of call, on which side of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// Whose process.
    pub action: &'static str,
    /// At what.
    pub call: &'static str,
    /// On which side.
    pub side: Side,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side {
            Side::Before => "before",
            Side::During => "during",
            Side::After => "after",
        };
        write!(f, "{} {side} {}", self.action, self.call)
    }
}

/// Every point that was passed, with how often a process died there.
#[derive(Debug, Clone, Default)]
pub struct Coverage(pub BTreeMap<Point, u64>);

impl Coverage {
    /// A call is made: it has its points.
    pub fn pass(&mut self, action: Action, asked: &Asked) {
        let sides: &[Side] =
            if asked.changes() { &[Side::Before, Side::During, Side::After] } else { &[Side::Before, Side::After] };
        for side in sides {
            self.0.entry(Point { action: action.as_str(), call: call(asked), side: *side }).or_default();
        }
    }

    /// A process dies of a fault.
    pub fn hit(&mut self, action: Action, asked: &Asked, fault: Fault) {
        let side = match fault {
            Fault::Crash => Side::Before,
            Fault::Late(_) => Side::During,
            Fault::CrashAfter => Side::After,
            Fault::Lost | Fault::Refuse(_) | Fault::Freeze(_) => return,
        };
        *self.0.entry(Point { action: action.as_str(), call: call(asked), side }).or_default() += 1;
    }

    /// Adds what another day passed.
    pub fn join(&mut self, other: &Self) {
        for (point, crashes) in &other.0 {
            *self.0.entry(*point).or_default() += crashes;
        }
    }

    /// The points where no process has died.
    pub fn missed(&self) -> impl Iterator<Item = &Point> {
        self.0.iter().filter(|(_, crashes)| **crashes == 0).map(|(point, _)| point)
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (all, missed) = (self.0.len(), self.missed().count());
        write!(f, "crash points: {} covered out of {all} that were passed", all - missed)?;
        self.missed().try_for_each(|point| write!(f, "\n  never crashed: {point}"))
    }
}

/// What kind of call: a step by what it is for, a look as such.
fn call(asked: &Asked) -> &'static str {
    let step = match asked {
        Asked::Port(Ask::Pause | Ask::Sleep(_)) => return "a pause",
        Asked::Port(Ask::Holding { bound: false, .. }) => return "reading the hold",
        Asked::Port(Ask::Holding { bound: true, .. }) => return "reading the hold again",
        Asked::Port(Ask::Observe { .. }) => return "a look",
        Asked::Report(..) => return "the report",
        Asked::Port(Ask::Apply(step)) => step,
    };
    match step {
        Step::WriteHold { hold, etag } => match (etag, hold.phase) {
            (None, _) => "taking the hold",
            (_, Phase::Ending) if hold.kept_until.is_some() => "writing until when it is kept",
            (_, Phase::Ending) => "ending",
            (_, Phase::Approved) => "approving",
            _ if hold.back.is_some() => "writing why it goes back",
            _ if hold.split.as_ref().is_some_and(|split| split.since.is_some()) => "writing that a step stands",
            _ if hold.split.as_ref().is_some_and(|split| split.step > 0) => "writing the next step",
            _ if hold.moved_at.is_some() => "writing when all had moved",
            _ if hold.hook.is_some() => "writing which hook is called",
            _ if hold.previous.is_some() => "writing who was live",
            _ if hold.artifact.is_some() => "writing the artifact",
            _ => "taking over a freed hold",
        },
        Step::WriteEnded(_) => "writing the marker",
        Step::DeleteHold { .. } => "deleting the hold",
        Step::WriteRoster { etag: None, .. } => "writing the first roster",
        Step::WriteRoster { roster, .. } if roster.down.is_empty() => "writing the roster",
        Step::WriteRoster { .. } => "writing who is down",
        Step::Launch(_) => "RunInstances",
        Step::Terminate { .. } => "TerminateInstances",
        Step::TagRetired { .. } => "CreateTags",
        Step::Stop { .. } => "StopInstances",
        Step::AllocateAddress { .. } => "AllocateAddress",
        Step::AssociateAddress { .. } => "AssociateAddress",
        Step::DisassociateAddress { .. } => "DisassociateAddress",
        Step::ReleaseAddress { .. } => "ReleaseAddress",
        Step::ChangeNames { .. } => "ChangeResourceRecordSets",
        Step::FilterDeployments { .. } => "UpdateDeploymentGroup",
        Step::CreateDeployment { .. } => "CreateDeployment",
        Step::StopDeployment { .. } => "StopDeployment",
        Step::Register { .. } => "RegisterTargets",
        Step::Deregister { .. } => "DeregisterTargets",
        Step::SetWeights { .. } => "ModifyRule or ModifyListener",
        Step::PointTest { .. } => "ModifyRule of a test rule",
        Step::Abandon { .. } => "PutEvents",
        Step::StopExecution { .. } => "StopPipelineExecution",
        Step::CallHook(_) => "Invoke",
    }
}
