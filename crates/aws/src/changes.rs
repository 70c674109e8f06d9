//! What each stage may change: a binary links only these operations.

use tagship::{Stage, cleanup, deploy, provision, route};

/// Kinds of changing calls beyond the hold's own.
#[derive(Debug, Clone, Copy, Default)]
pub struct Changes {
    /// RunInstances, AllocateAddress, AssociateAddress.
    pub launch: bool,
    /// TerminateInstances.
    pub terminate: bool,
    /// CreateTags and StopInstances.
    pub retire: bool,
    /// DisassociateAddress and ReleaseAddress.
    pub addresses: bool,
    /// ChangeResourceRecordSets.
    pub names: bool,
    /// UpdateDeploymentGroup, CreateDeployment, RegisterTargets.
    pub install: bool,
    /// StopDeployment.
    pub stop_install: bool,
    /// DeregisterTargets.
    pub deregister: bool,
    /// ModifyRule and ModifyListener.
    pub weights: bool,
    /// PutEvents: that a release was abandoned.
    pub abandon: bool,
}

impl Changes {
    const NOTHING: Self = Self {
        launch: false,
        terminate: false,
        retire: false,
        addresses: false,
        names: false,
        install: false,
        stop_install: false,
        deregister: false,
        weights: false,
        abandon: false,
    };

    const REMOVAL: Self = Self {
        terminate: true,
        retire: true,
        addresses: true,
        names: true,
        stop_install: true,
        deregister: true,
        ..Self::NOTHING
    };

    const TRAFFIC: Self = Self { weights: true, names: true, ..Self::NOTHING };
}

/// A stage that [`crate::Aws`] carries out.
pub trait Adapted: Stage {
    /// What it may change.
    const CHANGES: Changes;
}

impl Adapted for provision::Provision {
    const CHANGES: Changes =
        Changes { launch: true, terminate: true, addresses: true, names: true, abandon: true, ..Changes::NOTHING };
}

impl Adapted for deploy::Deploy {
    const CHANGES: Changes = Changes { install: true, deregister: true, ..Changes::NOTHING };
}

impl Adapted for route::Shift {
    const CHANGES: Changes = Changes::TRAFFIC;
}

impl Adapted for route::Rollback {
    const CHANGES: Changes = Changes::TRAFFIC;
}

impl Adapted for cleanup::Retire {
    const CHANGES: Changes = Changes::REMOVAL;
}

impl Adapted for cleanup::Discard {
    const CHANGES: Changes = Changes::REMOVAL;
}

impl Adapted for cleanup::Park {
    const CHANGES: Changes = Changes::REMOVAL;
}

impl Adapted for cleanup::Sweep {
    const CHANGES: Changes = Changes { abandon: true, ..Changes::NOTHING };
}
