//! One cloud's own ids in the scenario's names and back, and the form in which both clouds are compared.
//!
//! What the comparison leaves out may drift, so each is left out here, in one place, with the reason:
//!
//! - times (`now`, `launched_at`, `created_at`, `updated_at`, `since`, `moved_at`, `at`): one clock is virtual. Whether
//!   there is one is compared.
//! - a group's `name`, a switch's `label`, a target's `reason` and `description`, a deployment's `overview`, whether it has `begun`, and all but
//!   the first word of its `error` and of a target's `diagnostics`: words for people, which no planner branches on; the
//!   simulator has none or its own.
//! - an alarm's `reason`: words for people.
//! - the words of an artifact that wasn't found, and of an error: its kind is compared.
//! - the order of lists: AWS promises none.

use jiff::Timestamp;
use std::cell::RefCell;
use std::collections::BTreeMap;
use tagship::settings::Settings;
use tagship::{
    Address, Alarm, Artifact, Back, Balancer, Deployment, Devices, Ended, Enrolled, Execution, Group, Held, Hold,
    Holding, HookCall, HookTold, Installed, Instance, Launch, NameChange, Offer, Previous, Record, ReleaseId, Roster,
    Routing, Split, Step, Switch, Target, TestRule, World,
};

use crate::scenario::{named_artifact, release};
use tagship_sim::plan::ZONE_ID;

/// Ids of one cloud, in both directions.
#[derive(Debug)]
pub(crate) struct Names {
    real: BTreeMap<String, String>,
    named: BTreeMap<String, String>,
    counts: BTreeMap<&'static str, u32>,
    /// The service's settings in the cloud's ids, and in the scenario's names.
    settings: (Settings, Settings),
    /// When each release took the hold.
    since: RefCell<BTreeMap<ReleaseId, Timestamp>>,
    /// What the cloud would say is the time.
    pub(crate) now: Timestamp,
}

impl Names {
    pub(crate) fn new(real: Settings, named: Settings) -> Self {
        Self {
            real: BTreeMap::new(),
            named: BTreeMap::new(),
            counts: BTreeMap::new(),
            settings: (real, named),
            since: RefCell::default(),
            now: Timestamp::UNIX_EPOCH,
        }
    }

    /// From now on that is called this.
    pub(crate) fn bind(&mut self, name: &str, real: &str) {
        self.real.insert(name.to_owned(), real.to_owned());
        self.named.insert(real.to_owned(), name.to_owned());
    }

    /// The cloud's id; what has no name is meant as it is.
    pub(crate) fn real(&self, name: &str) -> String {
        self.real.get(name).cloned().unwrap_or_else(|| name.to_owned())
    }

    /// The name of an id; one that wasn't seen before gets the next number of its kind.
    fn name(&mut self, kind: &'static str, real: &str) -> String {
        if let Some(name) = self.named.get(real) {
            return name.clone();
        }
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        let name = format!("{kind}{count}");
        self.bind(&name, real);
        name
    }

    /// The name of what has one from the beginning.
    pub(crate) fn known(&self, real: &str) -> String {
        self.named.get(real).cloned().unwrap_or_else(|| real.to_owned())
    }

    fn release(&self, real: &ReleaseId) -> ReleaseId {
        release(&self.known(real.as_str()))
    }

    pub(crate) fn real_release(&self, name: &ReleaseId) -> ReleaseId {
        release(&self.real(name.as_str()))
    }

    fn artifact(&mut self, real: &Artifact) -> Artifact {
        named_artifact(&self.name("artifact", &text(real)))
    }

    fn real_artifact(&self, named: &Artifact) -> Artifact {
        serde_json::from_str(&self.real(&named.key)).unwrap_or_else(|_| named.clone())
    }

    fn settings(&self, real: Settings) -> Settings {
        let zone_id = real.zone_id.as_ref().map(|_| ZONE_ID.to_owned());
        let known = Settings { zone_id: None, ..real.clone() } == self.settings.0;
        if known { Settings { zone_id, ..self.settings.1.clone() } } else { real }
    }
}

fn alarm(found: Alarm) -> Alarm {
    Alarm { since: found.since.map(|_| Timestamp::UNIX_EPOCH), reason: String::new(), ..found }
}

/// As the key that it is known by.
fn text(artifact: &Artifact) -> String {
    serde_json::to_string(artifact).expect("an artifact can be written")
}

/// A step in the cloud's own ids.
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

/// What was seen, in the scenario's names. A field more in any of it doesn't compile here.
impl Names {
    pub(crate) fn holding(&mut self, holding: &Holding) -> Holding {
        let Holding { held, ended } = holding;
        let held = held.as_ref().map(|Held { hold, etag, freed }| Held {
            hold: self.hold(hold),
            etag: self.name("etag", etag),
            freed: *freed,
        });
        let ended = ended.as_ref().map(|Ended { v, release, how, at: _, artifact }| Ended {
            v: *v,
            release: self.release(release),
            how: *how,
            at: Timestamp::UNIX_EPOCH,
            artifact: artifact.as_ref().map(|artifact| self.artifact(artifact)),
        });
        Holding { held, ended }
    }

    fn hold(&mut self, hold: &Hold) -> Hold {
        let Hold {
            v,
            release,
            pipeline,
            checked,
            missing_since,
            build,
            since: _,
            phase,
            kept_until,
            settings,
            artifact,
            group,
            previous,
            split,
            hook,
            back,
            ringing,
            moved_at,
            unknown,
        } = hold;
        Hold {
            release: self.release(release),
            pipeline: pipeline.clone(),
            checked: *checked,
            missing_since: missing_since.map(|_| Timestamp::UNIX_EPOCH),
            build: build.clone(),
            since: Timestamp::UNIX_EPOCH,
            phase: *phase,
            v: *v,
            kept_until: kept_until.map(|_| Timestamp::UNIX_EPOCH),
            unknown: unknown.clone(),
            settings: self.settings(settings.clone()),
            artifact: artifact.as_ref().map(|artifact| self.artifact(artifact)),
            group: group.clone(),
            previous: previous.as_ref().map(|Previous { release, healthy }| Previous {
                release: release.as_ref().map(|release| self.release(release)),
                healthy: *healthy,
            }),
            split: split.as_ref().map(|Split { step, from, to, since, old, stood }| Split {
                step: *step,
                from: from.clone(),
                to: *to,
                since: since.map(|_| Timestamp::UNIX_EPOCH),
                old: old.iter().map(|(switch, weight)| (self.name("switch", switch), *weight)).collect(),
                stood: stood.clone(),
            }),
            hook: hook.clone(),
            back: back.as_ref().map(|Back { why, at: _ }| Back { why: why.clone(), at: Timestamp::UNIX_EPOCH }),
            ringing: ringing.clone(),
            moved_at: moved_at.map(|_| Timestamp::UNIX_EPOCH),
        }
    }

    fn roster(&mut self, roster: Roster) -> Roster {
        let Roster { v, release, pipeline, settings, members, down } = roster;
        Roster {
            v,
            release: self.release(&release),
            pipeline,
            settings: self.settings(settings),
            members: members.iter().map(|(id, ip)| (self.known(id), self.known(ip))).collect(),
            down: down.iter().map(|id| self.known(id)).collect(),
        }
    }

    /// The zones by the subnets in them; the limit is this cloud's own.
    fn balancer(&self, balancer: &Balancer) -> Balancer {
        let within = balancer.subnets.iter().filter(|(_, zone)| balancer.zones.contains(*zone));
        Balancer {
            zones: within.map(|(subnet, _)| self.known(subnet)).collect(),
            subnets: balancer.subnets.keys().map(|subnet| (self.known(subnet), self.known(subnet))).collect(),
            targets: None,
            sticky: balancer.sticky.clone(),
        }
    }

    pub(crate) fn world(&mut self, world: World) -> World {
        let World {
            now: _,
            seen: _,
            read,
            instances,
            routing,
            addresses,
            names,
            filtered,
            deployment,
            artifact,
            offer,
            user_data,
            devices,
            holder,
            alarms,
            figures,
            roster,
            balancer,
            hook,
        } = world;
        let roster = roster.map(|enrolled| {
            let Enrolled { roster, etag } = *enrolled;
            Box::new(Enrolled { roster: self.roster(roster), etag: self.name("etag", &etag) })
        });
        World {
            alarms: alarms.into_iter().map(alarm).collect(),
            figures,
            roster,
            balancer: balancer.map(|balancer| self.balancer(&balancer)),
            hook,
            now: Timestamp::UNIX_EPOCH,
            seen: Timestamp::UNIX_EPOCH,
            instances: sorted_by(instances.into_iter().map(|it| self.instance(it)), |it| it.id.clone()),
            routing: routing.map(|routing| self.routing(routing)),
            addresses: sorted_by(addresses.into_iter().map(|it| self.address(it)), |it| it.id.clone()),
            names: sorted_by(names.into_iter().map(|it| self.record(it)), |it| it.name.clone()),
            read,
            filtered,
            deployment: deployment.map(|deployment| self.deployment(deployment)),
            user_data,
            // Each image has its own.
            devices: devices.map(|Devices { root, lasting: _ }| Devices {
                root: root.map(|_| "root".to_owned()),
                ..Devices::default()
            }),
            artifact: artifact.map(|found| match found {
                Ok(artifact) => Ok(self.artifact(&artifact)),
                Err(_) => Err("missing".to_owned()),
            }),
            offer: offer.map(|Offer { settings, user_data }| Offer { settings: self.settings(settings), user_data }),
            holder: holder.map(|Execution { state, updated_at, build }| Execution {
                state,
                build,
                updated_at: updated_at.map(|_| Timestamp::UNIX_EPOCH),
            }),
        }
    }

    fn instance(&mut self, instance: Instance) -> Instance {
        let Instance {
            id,
            release,
            state,
            subnet,
            instance_type,
            private_ip,
            launched_at: _,
            retired_by,
            reason,
            short,
            client_token,
            build,
        } = instance;
        let new = !self.named.contains_key(&id);
        let id = self.name("instance", &id);
        if let (true, Some(ip)) = (new, &private_ip) {
            // By its instance: a subnet gives an address again once it is free.
            self.bind(&id.replace("instance", "ip"), ip);
        }
        Instance {
            id,
            release: release.map(|release| self.release(&release)),
            state,
            subnet: subnet.map(|subnet| self.known(&subnet)),
            instance_type,
            private_ip: private_ip.map(|ip| self.known(&ip)),
            launched_at: Timestamp::UNIX_EPOCH,
            retired_by: retired_by.map(|release| self.release(&release)),
            reason,
            short,
            client_token,
            build,
        }
    }

    fn routing(&mut self, routing: Routing) -> Routing {
        let Routing { groups, switches, untagged, tests } = routing;
        Routing {
            untagged: untagged.iter().map(|arn| self.known(arn)).collect(),
            groups: sorted_by(groups.into_iter().map(|it| self.group(it)), |it| it.arn.clone()),
            switches: sorted_by(switches.into_iter().map(|it| self.switch(it)), |it| it.arn.clone()),
            tests: sorted_by(tests.into_iter().map(|it| self.test_rule(it)), |it| it.arn.clone()),
        }
    }

    fn group(&mut self, group: Group) -> Group {
        let Group { arn, name: _, port, targets } = group;
        let targets = targets.into_iter().map(|Target { id, port, health, reason: _, description: _ }| Target {
            id: self.name("instance", &id),
            port,
            health,
            reason: None,
            description: None,
        });
        let targets = sorted_by(targets, |it| (it.id.clone(), it.port));
        let arn = self.known(&arn);
        Group { name: arn.clone(), arn, port, targets }
    }

    fn switch(&mut self, switch: Switch) -> Switch {
        let Switch { arn, default_action, label: _, weights, sticky, sticky_secs } = switch;
        let weights = weights.into_iter().map(|(group, weight)| (self.known(&group), weight));
        Switch {
            arn: self.known(&arn),
            default_action,
            label: String::new(),
            weights: sorted_by(weights, |(group, _)| group.clone()),
            sticky,
            sticky_secs,
        }
    }

    fn test_rule(&mut self, rule: TestRule) -> TestRule {
        let TestRule { arn, label: _, groups, address, open } = rule;
        let groups = groups.iter().map(|group| self.known(group)).collect();
        // Whose host it is differs.
        let address = address.split_once(" with ").map_or(String::new(), |(_, door)| door.to_owned());
        TestRule { arn: self.known(&arn), label: String::new(), groups, address, open }
    }

    fn address(&mut self, address: Address) -> Address {
        let Address { id, public_ip, release, association, instance } = address;
        Address {
            id: self.name("address", &id),
            public_ip: self.name("public", &public_ip),
            release: release.map(|release| self.release(&release)),
            association: association.map(|association| self.name("association", &association)),
            instance: instance.map(|instance| self.name("instance", &instance)),
        }
    }

    fn record(&mut self, record: Record) -> Record {
        let Record { name, values, ttl } = record;
        Record { name, values: sorted(values.iter().map(|ip| self.known(ip)).collect()), ttl }
    }

    fn deployment(&mut self, deployment: Deployment) -> Deployment {
        let Deployment { id, state, created_at: _, error, targets, overview: _, begun: _ } = deployment;
        let targets = targets.into_iter().map(|Installed { instance, succeeded, diagnostics }| Installed {
            instance: self.name("instance", &instance),
            succeeded,
            diagnostics: diagnostics.as_deref().map(first_word),
        });
        let targets = sorted_by(targets, |it| it.instance.clone());
        Deployment {
            id: self.name("deployment", &id),
            state,
            created_at: Timestamp::UNIX_EPOCH,
            error: error.as_deref().map(first_word),
            targets,
            overview: String::new(),
            begun: true,
        }
    }
}

/// Up to the first colon.
fn first_word(text: &str) -> String {
    text.split(':').next().unwrap_or_default().to_owned()
}

fn sorted(mut values: Vec<String>) -> Vec<String> {
    values.sort();
    values
}

fn sorted_by<T, K: Ord>(items: impl Iterator<Item = T>, key: impl Fn(&T) -> K) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.sort_by_key(key);
    items
}
