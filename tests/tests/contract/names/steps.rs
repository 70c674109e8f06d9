//! A step, and the hold and roster that it writes, in the cloud's own ids.

use super::{Names, sorted};
use tagship::{Back, Ended, Hold, HookCall, HookTold, Launch, NameChange, Previous, Record, Roster, Split, Step};

impl Names {
    pub(crate) fn real_step(&self, step: &Step) -> Step {
        let id = |name: &String| self.real(name);
        let ids = |names: &[String]| names.iter().map(id).collect();
        match step {
            Step::WriteHold { hold, etag } => {
                Step::WriteHold { hold: Box::new(self.real_hold(hold)), etag: etag.as_ref().map(id) }
            }
            Step::WriteEnded(ended) => Step::WriteEnded(Ended {
                v: ended.v,
                release: self.real_release(&ended.release),
                how: ended.how,
                at: self.now,
                artifact: ended.artifact.as_ref().map(|artifact| self.real_artifact(artifact)),
            }),
            Step::DeleteHold { etag } => Step::DeleteHold { etag: id(etag) },
            Step::WriteRoster { roster, etag } => {
                Step::WriteRoster { roster: Box::new(self.real_roster(roster)), etag: etag.as_ref().map(id) }
            }
            Step::Launch(launch) => Step::Launch(Box::new(Launch {
                release: self.real_release(&launch.release),
                subnet: id(&launch.subnet),
                ami: id(&launch.ami),
                security_groups: ids(&launch.security_groups),
                instance_profile: id(&launch.instance_profile),
                tags: self.real_tags(&launch.tags),
                ..(**launch).clone()
            })),
            Step::Terminate { instances } => Step::Terminate { instances: ids(instances) },
            Step::TagRetired { instances, by } => {
                Step::TagRetired { instances: ids(instances), by: self.real_release(by) }
            }
            Step::Stop { instances } => Step::Stop { instances: ids(instances) },
            Step::AllocateAddress { tags } => Step::AllocateAddress { tags: self.real_tags(tags) },
            Step::AssociateAddress { address, instance } => {
                Step::AssociateAddress { address: id(address), instance: id(instance) }
            }
            Step::DisassociateAddress { address, association } => {
                Step::DisassociateAddress { address: id(address), association: id(association) }
            }
            Step::ReleaseAddress { address } => Step::ReleaseAddress { address: id(address) },
            Step::ChangeNames { zone, changes } => {
                let record = |record: &Record| Record { values: sorted(ids(&record.values)), ..record.clone() };
                let change = |change: &NameChange| match change {
                    NameChange::Upsert(it) => NameChange::Upsert(record(it)),
                    NameChange::Delete(it) => NameChange::Delete(record(it)),
                };
                Step::ChangeNames { zone: zone.clone(), changes: changes.iter().map(change).collect() }
            }
            Step::FilterDeployments { release } => Step::FilterDeployments { release: self.real_release(release) },
            Step::CreateDeployment { release, artifact } => {
                Step::CreateDeployment { release: self.real_release(release), artifact: self.real_artifact(artifact) }
            }
            Step::StopDeployment { deployment } => Step::StopDeployment { deployment: id(deployment) },
            Step::Register { group, instances, port } => {
                Step::Register { group: id(group), instances: ids(instances), port: *port }
            }
            Step::Deregister { group, targets } => {
                let targets = targets.iter().map(|(instance, port)| (id(instance), *port)).collect();
                Step::Deregister { group: id(group), targets }
            }
            Step::SetWeights { switch, label, weights, unstick } => Step::SetWeights {
                switch: id(switch),
                label: label.clone(),
                weights: weights.iter().map(|(group, is, to)| (id(group), *is, *to)).collect(),
                unstick: *unstick,
            },
            Step::PointTest { rule, label, from, to } => {
                Step::PointTest { rule: id(rule), label: label.clone(), from: ids(from), to: id(to) }
            }
            Step::StopExecution { pipeline, release, reason } => Step::StopExecution {
                pipeline: pipeline.clone(),
                release: self.real_release(release),
                reason: reason.clone(),
            },
            Step::CallHook(call) => {
                let told = HookTold {
                    execution_id: self.real_release(&call.told.execution_id),
                    release: self.real_release(&call.told.release),
                    instances: ids(&call.told.instances),
                    private_ips: ids(&call.told.private_ips),
                    ..call.told.clone()
                };
                Step::CallHook(Box::new(HookCall { told, ..(**call).clone() }))
            }
            Step::Abandon { release, pipeline, action, reason } => Step::Abandon {
                release: self.real_release(release),
                pipeline: pipeline.clone(),
                action: *action,
                reason: reason.clone(),
            },
        }
    }

    fn real_tags(&self, tags: &[(String, String)]) -> Vec<(String, String)> {
        tags.iter().map(|(key, value)| (key.clone(), self.real(value))).collect()
    }

    fn real_roster(&self, roster: &Roster) -> Roster {
        let members = roster.members.iter().map(|(id, ip)| (self.real(id), self.real(ip)));
        Roster {
            v: roster.v,
            release: self.real_release(&roster.release),
            pipeline: roster.pipeline.clone(),
            settings: if roster.settings == self.settings.1 {
                self.settings.0.clone()
            } else {
                roster.settings.clone()
            },
            members: members.collect(),
            down: roster.down.iter().map(|id| self.real(id)).collect(),
        }
    }

    fn real_hold(&self, hold: &Hold) -> Hold {
        Hold {
            release: self.real_release(&hold.release),
            pipeline: hold.pipeline.clone(),
            checked: hold.checked,
            missing_since: hold.missing_since.map(|_| self.now),
            build: hold.build.clone(),
            since: *self.since.borrow_mut().entry(hold.release.clone()).or_insert(self.now),
            phase: hold.phase,
            settings: if hold.settings == self.settings.1 { self.settings.0.clone() } else { hold.settings.clone() },
            v: hold.v,
            kept_until: hold.kept_until.map(|_| self.now),
            unknown: hold.unknown.clone(),
            artifact: hold.artifact.as_ref().map(|artifact| self.real_artifact(artifact)),
            group: hold.group.clone(),
            previous: hold.previous.as_ref().map(|previous| Previous {
                release: previous.release.as_ref().map(|release| self.real_release(release)),
                healthy: previous.healthy,
            }),
            split: hold.split.as_ref().map(|split| Split {
                old: split.old.iter().map(|(switch, weight)| (self.real(switch), *weight)).collect(),
                since: split.since.map(|_| self.now),
                ..split.clone()
            }),
            hook: hold.hook.clone(),
            back: hold.back.as_ref().map(|back| Back { at: self.now, ..back.clone() }),
            ringing: hold.ringing.clone(),
            moved_at: hold.moved_at.map(|_| self.now),
        }
    }
}
