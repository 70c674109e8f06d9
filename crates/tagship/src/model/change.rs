//! The kinds of changes that a step can be: what an action declares that it may do, and what its function's binary links.

use super::step::Step;

/// A kind of changing call, as far as a function's binary links it or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Write the hold, markers and rosters.
    Hold,
    /// RunInstances.
    Launch,
    /// TerminateInstances.
    Terminate,
    /// CreateTags and StopInstances.
    Retire,
    /// AllocateAddress and AssociateAddress.
    GiveAddress,
    /// DisassociateAddress and ReleaseAddress.
    TakeAddress,
    /// ChangeResourceRecordSets.
    Names,
    /// UpdateDeploymentGroup and CreateDeployment.
    Install,
    /// StopDeployment.
    StopInstall,
    /// RegisterTargets.
    Register,
    /// DeregisterTargets.
    Deregister,
    /// ModifyRule and ModifyListener.
    Weights,
    /// ModifyRule, of rules for test traffic.
    Test,
    /// PutEvents: that a release was abandoned.
    Tell,
    /// StopPipelineExecution.
    Stop,
    /// Invoke: a hook.
    Hook,
}

/// A set of kinds of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changes(u16);

impl Changes {
    /// All there are.
    pub const ALL: Self = Self(u16::MAX);

    /// These, and the hold, which every action may write.
    pub const fn of(changes: &[Change]) -> Self {
        let mut set = 1 << Change::Hold as u16;
        let mut n = 0;
        while n < changes.len() {
            set |= 1 << changes[n] as u16;
            n += 1;
        }
        Self(set)
    }

    /// These, and one more.
    #[must_use]
    pub const fn and(self, change: Change) -> Self {
        Self(self.0 | 1 << change as u16)
    }

    /// Whether it is one of them.
    pub const fn has(self, change: Change) -> bool {
        self.0 & (1 << change as u16) != 0
    }
}

impl Step {
    /// Which kind of change it is.
    pub fn change(&self) -> Change {
        match self {
            Step::WriteHold { .. } | Step::WriteEnded(_) | Step::DeleteHold { .. } | Step::WriteRoster { .. } => {
                Change::Hold
            }
            Step::Launch(_) => Change::Launch,
            Step::Terminate { .. } => Change::Terminate,
            Step::TagRetired { .. } | Step::Stop { .. } => Change::Retire,
            Step::AllocateAddress { .. } | Step::AssociateAddress { .. } => Change::GiveAddress,
            Step::DisassociateAddress { .. } | Step::ReleaseAddress { .. } => Change::TakeAddress,
            Step::ChangeNames { .. } => Change::Names,
            Step::FilterDeployments { .. } | Step::CreateDeployment { .. } => Change::Install,
            Step::StopDeployment { .. } => Change::StopInstall,
            Step::Register { .. } => Change::Register,
            Step::Deregister { .. } => Change::Deregister,
            Step::SetWeights { .. } => Change::Weights,
            Step::PointTest { .. } => Change::Test,
            Step::Abandon { .. } => Change::Tell,
            Step::StopExecution { .. } => Change::Stop,
            Step::CallHook(_) => Change::Hook,
        }
    }
}
