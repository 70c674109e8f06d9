//! What tagship can change: each step is exactly one changing AWS call.

use super::hold::{Artifact, Ended, Hold};
use super::hook::HookCall;
use super::noun::{Action, ReleaseId, ServiceRole};
use super::roster::Roster;
use super::settings::Volume;
use super::words::{counted, listed};
use super::world::Record;
use std::collections::BTreeMap;
use std::fmt;

/// One changing AWS call. A crash point is a place between two steps.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Write the hold: create it if `etag` is none, else only if it is still that one.
    WriteHold {
        /// What to write.
        hold: Box<Hold>,
        /// The entity tag of what it replaces.
        etag: Option<String>,
    },
    /// Write `ended/<role>/<release>.json`.
    WriteEnded(Ended),
    /// Delete the hold, if it is still that one.
    DeleteHold {
        /// The entity tag that it must have.
        etag: String,
    },
    /// Write the roster of the live fleet: create it if `etag` is none, else only if it is still that one.
    WriteRoster {
        /// What to write.
        roster: Box<Roster>,
        /// The entity tag of what it replaces.
        etag: Option<String>,
    },
    /// RunInstances.
    Launch(Box<Launch>),
    /// TerminateInstances, at most 1,000.
    Terminate {
        /// Instance ids.
        instances: Vec<String>,
    },
    /// CreateTags: mark instances as retired by a release, before they are stopped.
    TagRetired {
        /// Instance ids.
        instances: Vec<String>,
        /// The release that replaced them.
        by: ReleaseId,
    },
    /// StopInstances.
    Stop {
        /// Instance ids.
        instances: Vec<String>,
    },
    /// AllocateAddress, with tags.
    AllocateAddress {
        /// The release's Name, service, release and further tags.
        tags: Vec<(String, String)>,
    },
    /// AssociateAddress, never stealing.
    AssociateAddress {
        /// `eipalloc-…`
        address: String,
        /// `i-…`
        instance: String,
    },
    /// DisassociateAddress.
    DisassociateAddress {
        /// `eipalloc-…`
        address: String,
        /// `eipassoc-…`
        association: String,
    },
    /// ReleaseAddress.
    ReleaseAddress {
        /// `eipalloc-…`
        address: String,
    },
    /// ChangeResourceRecordSets: one transactional batch, at most [`NAMES_A_BATCH`] changes.
    ChangeNames {
        /// The zone's name.
        zone: String,
        /// What changes.
        changes: Vec<NameChange>,
    },
    /// UpdateDeploymentGroup: its tag filter is the service and this release.
    FilterDeployments {
        /// The release.
        release: ReleaseId,
    },
    /// CreateDeployment.
    CreateDeployment {
        /// The release, for the description by which it is found again.
        release: ReleaseId,
        /// What is installed.
        artifact: Artifact,
    },
    /// StopDeployment.
    StopDeployment {
        /// `d-…`
        deployment: String,
    },
    /// RegisterTargets.
    Register {
        /// The target group's ARN.
        group: String,
        /// Instance ids.
        instances: Vec<String>,
        /// The target port.
        port: u16,
    },
    /// DeregisterTargets.
    Deregister {
        /// The target group's ARN.
        group: String,
        /// Instance ids and ports.
        targets: Vec<(String, u16)>,
    },
    /// ModifyRule or ModifyListener: the weights of our two groups; all else in the action list is kept.
    SetWeights {
        /// The rule's or listener's ARN.
        switch: String,
        /// For people.
        label: String,
        /// Group, the weight it is expected to have, the weight it gets.
        weights: Vec<(String, u32, u32)>,
        /// Whether the rule's group stickiness, which is stronger than weights, is turned off by the same call.
        unstick: bool,
    },
    /// ModifyRule: a rule for test traffic leads to one group; all else in its action list is kept.
    PointTest {
        /// The rule's ARN.
        rule: String,
        /// For people.
        label: String,
        /// The groups that it is expected to lead to.
        from: Vec<String>,
        /// The group that it leads to from then on.
        to: String,
    },
    /// PutEvents: `Release Abandoned`, which infra/ turns into the action.
    Abandon {
        /// The abandoned release.
        release: ReleaseId,
        /// Its pipeline.
        pipeline: String,
        /// `discard` or `retire`.
        action: Action,
        /// Why.
        reason: String,
    },
    /// StopPipelineExecution, with abandon: its approval is not to be answered any more.
    StopExecution {
        /// The pipeline.
        pipeline: String,
        /// The release.
        release: ReleaseId,
        /// For people, at most 200 characters.
        reason: String,
    },
    /// Invoke: a hook's function is called. Its answer isn't waited for: it is a part of the world.
    CallHook(Box<HookCall>),
}

impl Step {
    /// The same, but that a change of weights leaves stickiness alone if `keeps`.
    #[must_use]
    pub fn sticky(self, keeps: bool) -> Self {
        match self {
            Step::SetWeights { switch, label, weights, unstick } => {
                Step::SetWeights { switch, label, weights, unstick: unstick && !keeps }
            }
            step => step,
        }
    }
}

/// UPSERT counts twice against Route 53's 1,000 records a batch.
pub const NAMES_A_BATCH: usize = 500;

/// RegisterTargets and DeregisterTargets have no published limit a call; a target group takes 1,000.
pub const TARGETS_A_CALL: usize = 500;

/// TerminateInstances' own limit; the other calls on instance ids are given no more.
pub const INSTANCES_A_CALL: usize = 1_000;

/// RunInstances: all that its request says. The client token is derived, see [`crate::provision`].
#[derive(Clone, PartialEq)]
pub struct Launch {
    /// The service.
    pub role: ServiceRole,
    /// The release.
    pub release: ReleaseId,
    /// Where.
    pub subnet: String,
    /// The type.
    pub instance_type: String,
    /// MinCount and MaxCount.
    pub count: u32,
    /// ≤ 64 ASCII characters.
    pub client_token: String,
    /// The image.
    pub ami: String,
    /// Security group ids.
    pub security_groups: Vec<String>,
    /// The instance profile's name.
    pub instance_profile: String,
    /// The key pair.
    pub key_name: Option<String>,
    /// Plain text; the adapter encodes it. May hold secrets.
    pub user_data: Option<String>,
    /// Network hops within which the instance's metadata answers.
    pub imds_hops: u32,
    /// The root volume, and what the image calls that device.
    pub volume: Option<(String, Volume)>,
    /// Devices of the image with volumes that would outlive the instance, and their sizes in GiB: they go with it.
    pub lasting: BTreeMap<String, u32>,
    /// On instances, volumes and network interfaces.
    pub tags: Vec<(String, String)>,
}

impl fmt::Debug for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launch")
            .field("subnet", &self.subnet)
            .field("instance_type", &self.instance_type)
            .field("count", &self.count)
            .field("client_token", &self.client_token)
            .finish_non_exhaustive()
    }
}

/// A change of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameChange {
    /// Create or replace.
    Upsert(Record),
    /// Delete exactly this.
    Delete(Record),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |ids: &[String]| listed(ids.iter().map(String::as_str));
        match self {
            Step::WriteHold { hold, etag: None } => write!(f, "take the hold for {}", hold.release),
            Step::WriteHold { hold, .. } => {
                write!(f, "write the hold of {}: {:?}", hold.release, hold.phase)?;
                if let Some(previous) = &hold.previous {
                    let name = previous.release.as_ref().map_or("none", |release| release.short());
                    write!(f, ", previous {name} with {} healthy", previous.healthy)?;
                }
                if let Some(split) = &hold.split {
                    let stands = if split.since.is_some() { "stands" } else { "is given" };
                    write!(f, ", {} % {stands}", split.to)?;
                }
                if let Some(run) = &hold.hook {
                    write!(f, ", hook {} of {} is due at {}", run.number + 1, run.point.as_str(), run.due)?;
                }
                if let Some(back) = &hold.back {
                    write!(f, ", back: {}", back.why)?;
                }
                if let Some(at) = hold.moved_at {
                    write!(f, ", moved at {at}")?;
                }
                match hold.kept_until {
                    Some(until) => write!(f, ", kept until {until}"),
                    None => Ok(()),
                }
            }
            Step::WriteEnded(ended) => write!(f, "mark {} as {}", ended.release, ended.how.as_str()),
            Step::DeleteHold { .. } => write!(f, "delete the hold"),
            Step::WriteRoster { roster, .. } => {
                let down = listed(roster.down.iter().map(String::as_str));
                write!(
                    f,
                    "write the roster of {}: {}, down: {down}",
                    roster.release,
                    counted(roster.members.len(), "instance")
                )
            }
            Step::Launch(launch) => {
                write!(f, "launch {} × {} in {}", launch.count, launch.instance_type, launch.subnet)
            }
            Step::Terminate { instances } => write!(f, "terminate {}", list(instances)),
            Step::TagRetired { instances, by } => write!(f, "tag {} as retired by {by}", list(instances)),
            Step::Stop { instances } => write!(f, "stop {}", list(instances)),
            Step::AllocateAddress { .. } => write!(f, "allocate an address"),
            Step::AssociateAddress { address, instance } => write!(f, "associate {address} with {instance}"),
            Step::DisassociateAddress { address, .. } => write!(f, "disassociate {address}"),
            Step::ReleaseAddress { address } => write!(f, "release {address}"),
            Step::ChangeNames { zone, changes } => write!(f, "change {} in {zone}", counted(changes.len(), "name")),
            Step::FilterDeployments { release } => write!(f, "filter the deployment group to {release}"),
            Step::CreateDeployment { artifact, .. } => write!(f, "deploy {artifact}"),
            Step::StopDeployment { deployment } => write!(f, "stop deployment {deployment}"),
            Step::Register { group, instances, port } => {
                write!(f, "register {} on port {port} in {group}", list(instances))
            }
            Step::Deregister { group, targets } => {
                write!(f, "deregister {} from {group}", listed(targets.iter().map(|(id, _)| id.as_str())))
            }
            Step::SetWeights { label, weights, unstick, .. } => {
                write!(f, "set {label} to ")?;
                for (n, (group, _, weight)) in weights.iter().enumerate() {
                    write!(f, "{}{group}={weight}", if n > 0 { ", " } else { "" })?;
                }
                if *unstick { write!(f, ", group stickiness off") } else { Ok(()) }
            }
            Step::PointTest { label, to, .. } => write!(f, "lead {label} to {to}"),
            Step::CallHook(call) => write!(f, "call hook {} ({})", call.function, call.id.point.as_str()),
            Step::StopExecution { release, reason, .. } => write!(f, "stop the execution of {release}: {reason}"),
            Step::Abandon { release, action, .. } => write!(f, "tell that {release} was abandoned: {action}"),
        }
    }
}
