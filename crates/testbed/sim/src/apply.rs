//! What a changing call does to the cloud, and how AWS refuses it.

use crate::cloud::{AddressFace, Cloud, Face, Instance, Turn, ip};
use crate::past::Past;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use tagship::{Applied, Error, InstanceState, Kind, Launch, NameChange, ReleaseId, ServiceRole, Step};

impl Cloud {
    /// Whether the adapter would send the call at all: it reads the switch again right before, and compares the weights
    /// with those that were decided by. Load balancers have no compare-and-swap, so what a person does in between is
    /// overwritten.
    pub fn refuses(&self, step: &Step) -> Option<Error> {
        if let Step::PointTest { rule, label, from, .. } = step {
            let Some(found) = self.tests.get(rule) else { return Some(conflict("RuleNotFound", rule)) };
            let moved = found.groups.now() != from;
            return moved.then(|| Error::new(Kind::Conflict, format!("{label} leads elsewhere by now")));
        }
        let Step::SetWeights { switch, label, weights, .. } = step else { return None };
        let Some(found) = self.switches.get(switch) else { return Some(conflict("RuleNotFound", switch)) };
        let is = found.weights.now();
        let expected = weights.iter().all(|(group, before, _)| is.contains(&(group.clone(), *before)));
        (!expected).then(|| Error::new(Kind::Conflict, format!("{label} has other weights by now")))
    }

    /// Makes a change.
    pub fn apply(&mut self, role: &ServiceRole, step: &Step) -> Result<Applied, Error> {
        self.touched.insert(role.clone());
        let now = self.now;
        match step {
            Step::WriteHold { hold, etag } => {
                self.compare(role, etag.as_deref())?;
                let etag = entity_tag(hold.to_json());
                self.holds.insert(role.clone(), ((**hold).clone(), etag.clone()));
                return Ok(Applied { etag: Some(etag), ..Applied::default() });
            }
            Step::WriteRoster { roster, etag } => {
                if self.rosters.get(role).map(|(_, is)| is) != etag.as_ref() {
                    return Err(conflict("PreconditionFailed", role.as_str()));
                }
                let etag = entity_tag(serde_json::to_string(&**roster));
                self.rosters.insert(role.clone(), ((**roster).clone(), etag.clone()));
                return Ok(Applied { etag: Some(etag), ..Applied::default() });
            }
            Step::DeleteHold { etag } => {
                self.compare(role, Some(etag))?;
                self.holds.remove(role);
            }
            Step::WriteEnded(ended) => {
                // If-None-Match: the first marker of a release's end stays.
                let key = (role.clone(), ended.release.clone());
                if self.ended.contains_key(&key) {
                    return Err(conflict("PreconditionFailed", ended.release.as_str()));
                }
                self.ended.insert(key, ended.clone());
            }
            Step::Launch(launch) => {
                self.launch(launch)?;
                return Ok(Applied { launched: self.launched_with(role, &launch.client_token), ..Applied::default() });
            }
            Step::Terminate { instances } => {
                self.known(instances)?;
                if let Some(id) =
                    instances.iter().find(|id| self.instances[*id].protected && self.instances[*id].exists())
                {
                    let message = format!("The instance '{id}' may not be terminated");
                    let code = Some("OperationNotPermitted".into());
                    return Err(Error { code, ..Error::new(Kind::Protected, message) });
                }
                instances.iter().for_each(|id| self.terminate(id));
            }
            Step::TagRetired { instances, by } => {
                self.known(instances)?;
                self.faces(instances, |face| face.retired_by = Some(by.clone()));
            }
            Step::Stop { instances } => self.stop(instances)?,
            Step::AllocateAddress { tags } => self.allocate(tags)?,
            Step::AssociateAddress { address, instance } => self.associate(address, instance)?,
            // AWS is told the association only.
            Step::DisassociateAddress { association, .. } => {
                let is = |face: &AddressFace| face.associated.as_ref().is_some_and(|(is, _)| is == association);
                let mut addresses = self.addresses.values_mut();
                let Some(found) = addresses.find(|address| address.face.now().as_ref().is_some_and(is)) else {
                    return Err(conflict("InvalidAssociationID.NotFound", association));
                };
                found.face.alter(now, |face| {
                    if let Some(face) = face {
                        face.associated = None;
                    }
                });
            }
            Step::ReleaseAddress { address } => {
                if self.address(address)?.associated.is_some() {
                    return Err(conflict("InvalidIPAddress.InUse", address));
                }
                self.addresses.get_mut(address).expect("found above").face.set(now, None);
            }
            Step::ChangeNames { changes, .. } => self.change_names(role, changes)?,
            Step::FilterDeployments { release } => {
                self.filters.insert(role.clone(), release.clone());
            }
            Step::CreateDeployment { release, .. } => self.deploy(role, release)?,
            Step::StopDeployment { deployment } => self.stop_deployment(deployment)?,
            Step::Register { group, instances, port } => {
                self.known_group(group)?;
                self.known(instances)?;
                if let Some(id) =
                    instances.iter().find(|id| self.instances[*id].face.now().state != InstanceState::Running)
                {
                    return Err(conflict("InvalidTarget", id));
                }
                instances.iter().for_each(|id| self.register(group, (id.clone(), *port), false));
            }
            Step::Deregister { group, targets } => {
                self.known_group(group)?;
                targets.iter().for_each(|key| self.deregister(group, key));
            }
            Step::SetWeights { switch, weights, .. } => {
                let Some(switch) = self.switches.get_mut(switch) else { return Err(conflict("RuleNotFound", switch)) };
                switch.weights.alter(now, |is| {
                    for (group, weight) in is.iter_mut() {
                        if let Some((_, _, to)) = weights.iter().find(|(ours, _, _)| ours == group) {
                            *weight = *to;
                        }
                    }
                });
            }
            Step::PointTest { rule, to, .. } => {
                let Some(rule) = self.tests.get_mut(rule) else { return Err(conflict("RuleNotFound", rule)) };
                rule.groups.set(now, vec![to.clone()]);
            }
            // What a hook answers, the day says.
            Step::Abandon { .. } | Step::StopExecution { .. } | Step::CallHook(_) => {}
        }
        Ok(Applied::default())
    }

    fn compare(&self, role: &ServiceRole, etag: Option<&str>) -> Result<(), Error> {
        if self.holds.get(role).map(|(_, is)| is.as_str()) == etag {
            Ok(())
        } else {
            Err(conflict("PreconditionFailed", role.as_str()))
        }
    }

    fn known(&self, ids: &[String]) -> Result<(), Error> {
        match ids.iter().find(|id| !self.instances.contains_key(*id)) {
            Some(id) => Err(conflict("InvalidInstanceID.NotFound", id)),
            None => Ok(()),
        }
    }

    fn known_group(&self, arn: &str) -> Result<(), Error> {
        if self.groups.contains_key(arn) { Ok(()) } else { Err(conflict("TargetGroupNotFound", arn)) }
    }

    fn faces(&mut self, ids: &[String], change: impl Fn(&mut Face)) {
        let now = self.now;
        for id in ids {
            if let Some(instance) = self.instances.get_mut(id) {
                instance.face.alter(now, &change);
            }
        }
    }

    /// RunInstances: all or none, and by the same token in the same subnet the same instances again.
    fn launch(&mut self, launch: &Launch) -> Result<(), Error> {
        let key = (launch.client_token.clone(), launch.subnet.clone());
        if let Some(before) = self.tokens.get(&key) {
            let same = before == launch;
            let of_token = |it: &&Instance| it.client_token.as_ref() == Some(&launch.client_token);
            let mut launched = self.instances.values().filter(of_token);
            if same && launched.all(|it| it.face.now().state == InstanceState::Terminated) {
                let code = Some("IdempotentInstanceTerminated".into());
                return Err(Error { code, ..Error::new(Kind::Spent, "the token's instance is terminated") });
            }
            return if same { Ok(()) } else { Err(conflict("IdempotentParameterMismatch", &launch.client_token)) };
        }
        let pool = (launch.subnet.clone(), launch.instance_type.clone());
        if let Some(left) = self.capacity.get_mut(&pool) {
            if *left < launch.count {
                let message = format!("no capacity for {} in {}", launch.instance_type, launch.subnet);
                let code = Some("InsufficientInstanceCapacity".into());
                return Err(Error { code, ..Error::new(Kind::Capacity, message) });
            }
            *left -= launch.count;
        }
        let tag = |key: &str| launch.tags.iter().find(|(is, _)| is == key).map(|(_, value)| value.clone());
        let face = Face {
            service: tag(tagship::TAG_SERVICE).and_then(|role| ServiceRole::try_from(role).ok()),
            release: tag(tagship::TAG_RELEASE).and_then(|release| ReleaseId::try_from(release).ok()),
            retired_by: None,
            state: InstanceState::Pending,
        };
        for _ in 0..launch.count {
            let n = self.serial();
            let id = format!("i-{n:06}");
            let instance = Instance {
                face: Past::new(self.now, face.clone()),
                ip: self.private_ip(&launch.subnet, n),
                subnet: launch.subnet.clone(),
                instance_type: launch.instance_type.clone(),
                launched: self.now,
                up: None,
                client_token: Some(launch.client_token.clone()),
                app: None,
                hurt: None,
                short: false,
                protected: false,
                sick: false,
            };
            self.instances.insert(id.clone(), instance);
            self.later(self.nature.boot, Turn::Boot(id.clone()));
            self.index(&id);
        }
        self.tokens.insert(key, launch.clone());
        Ok(())
    }

    /// An address of a subnet: one that an instance had before, if there is one.
    fn private_ip(&mut self, subnet: &str, n: u32) -> String {
        let freed = self.freed.iter().find(|(of, _)| of == subnet).cloned();
        match freed {
            Some(freed) => {
                self.freed.remove(&freed);
                freed.1
            }
            None => ip(n),
        }
    }

    /// Instances are told to stop.
    pub(crate) fn stop(&mut self, ids: &[String]) -> Result<(), Error> {
        self.known(ids)?;
        for id in ids {
            let state = self.instances[id].face.now().state;
            match state {
                InstanceState::Running => {
                    self.faces(std::slice::from_ref(id), |face| face.state = InstanceState::Stopping);
                    self.later(self.nature.shutdown, Turn::Stopped(id.clone()));
                    self.probe(id);
                }
                InstanceState::Stopping | InstanceState::Stopped => {}
                _ => return Err(conflict("IncorrectInstanceState", id)),
            }
        }
        Ok(())
    }

    fn allocate(&mut self, tags: &[(String, String)]) -> Result<(), Error> {
        if self.addresses.values().filter(|address| address.face.now().is_some()).count() >= self.nature.addresses {
            let code = Some("AddressLimitExceeded".into());
            return Err(Error {
                code,
                ..Error::new(Kind::Capacity, "the maximum number of addresses has been reached")
            });
        }
        let tag = |key: &str| tags.iter().find(|(is, _)| is == key).map(|(_, value)| value.clone());
        let face = AddressFace {
            service: tag(tagship::TAG_SERVICE).and_then(|role| ServiceRole::try_from(role).ok()),
            release: tag(tagship::TAG_RELEASE).and_then(|release| ReleaseId::try_from(release).ok()),
            associated: None,
        };
        self.add_address(face);
        Ok(())
    }

    /// An address comes to be.
    pub fn add_address(&mut self, face: AddressFace) {
        let n = self.serial();
        let address =
            crate::cloud::Address { face: Past::new(self.now, Some(face)), public_ip: format!("203.0.113.{n}") };
        self.addresses.insert(format!("eipalloc-{n}"), address);
    }

    fn address(&self, id: &str) -> Result<&AddressFace, Error> {
        let face = self.addresses.get(id).and_then(|address| address.face.now().as_ref());
        face.ok_or_else(|| conflict("InvalidAllocationID.NotFound", id))
    }

    /// AllowReassociation is off: it never steals.
    fn associate(&mut self, address: &str, instance: &str) -> Result<(), Error> {
        let now = self.now;
        self.known(&[instance.to_owned()])?;
        if !matches!(self.instances[instance].face.now().state, InstanceState::Running | InstanceState::Stopped) {
            return Err(conflict("InvalidInstanceID", instance));
        }
        let to = |face: &AddressFace| face.associated.as_ref().map(|(_, instance)| instance.clone());
        match to(self.address(address)?) {
            Some(is) if is == instance => return Ok(()),
            Some(_) => return Err(conflict("Resource.AlreadyAssociated", address)),
            None => {}
        }
        let faces = self.addresses.values().filter_map(|address| address.face.now().as_ref());
        if faces.filter_map(to).any(|is| is == instance) {
            return Err(conflict("Resource.AlreadyAssociated", instance));
        }
        let association = format!("eipassoc-{}", self.serial());
        self.addresses.get_mut(address).expect("found above").face.alter(now, |face| {
            if let Some(face) = face {
                face.associated = Some((association, instance.to_owned()));
            }
        });
        Ok(())
    }

    /// One transaction; a delete must name exactly what is there.
    fn change_names(&mut self, role: &ServiceRole, changes: &[NameChange]) -> Result<(), Error> {
        let mut names = BTreeSet::new();
        for change in changes {
            let (NameChange::Upsert(record) | NameChange::Delete(record)) = change;
            if !names.insert(&record.name) {
                return Err(Error::new(Kind::Bug, format!("InvalidChangeBatch: {} twice", record.name)));
            }
            if matches!(change, NameChange::Delete(_)) && self.records.get(&record.name) != Some(record) {
                return Err(conflict("InvalidChangeBatch", &record.name));
            }
        }
        for change in changes {
            match change {
                NameChange::Upsert(record) => self.records.insert(record.name.clone(), record.clone()),
                NameChange::Delete(record) => self.records.remove(&record.name),
            };
        }
        if let Some(name) = self.live_name(role)
            && names.contains(&name)
        {
            let values = self.records.get(&name).into_iter().flat_map(|record| &record.values);
            let reached = values.map(|ip| self.with_ip(role, ip).unwrap_or(ip).clone()).collect();
            if let Some(live) = self.live.get_mut(role) {
                live.set(self.now, reached);
            }
        }
        Ok(())
    }
}

/// A refusal without an effect, after which the loop looks again.
pub(crate) fn conflict(code: &str, what: &str) -> Error {
    Error { code: Some(code.to_owned()), ..Error::new(Kind::Conflict, format!("{code}: {what}")) }
}

/// As S3's: the same words have the same tag again.
fn entity_tag(json: serde_json::Result<String>) -> String {
    let mut hasher = DefaultHasher::new();
    json.unwrap_or_default().hash(&mut hasher);
    format!("etag-{:016x}", hasher.finish())
}
