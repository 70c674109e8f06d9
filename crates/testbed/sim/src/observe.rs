//! What a describe says: the cloud's truth in the planners' nouns, behind by as much as describes lag.

use crate::cloud::{Build, Cloud, names_under};
use crate::past::{Ms, timestamp};
use crate::plan::ZONE_ID;
use crate::requests::SKEW;
use rand::RngExt;
use tagship::settings::{Choice, Eip, Settings};
use tagship::{
    Address, Alarm, AlarmState, Balancer, Deployment, DeploymentState, Devices, Enrolled, Error, Execution, Group,
    Held, Hold, Holding, Installed, Instance, InstanceState, Job, Offer, Parts, ReleaseId, Routing, ServiceRole,
    Switch, Target, TestRule, World, execution_of,
};
use tagship_emulator::deployment::Phase;

impl Cloud {
    /// What the bucket says; S3 never lags.
    pub fn holding(&self, role: &ServiceRole, release: &ReleaseId) -> Holding {
        let ended = |release: &ReleaseId| self.ended.get(&(role.clone(), release.clone())).cloned();
        Holding {
            held: self.holds.get(role).map(|(hold, etag)| Held {
                hold: hold.clone(),
                etag: etag.clone(),
                freed: ended(&hold.release).is_some(),
            }),
            ended: ended(release),
        }
    }

    /// These parts of the world, for a job. `execution` says how one stands.
    pub fn observe(
        &mut self,
        job: &Job,
        (parts, settings): (Parts, Option<&Settings>),
        holding: &Holding,
        execution: impl FnOnce(&str, &ReleaseId) -> Execution,
    ) -> Result<World, Error> {
        let role = &job.role;
        let Some(service) = self.services.get(role).cloned() else {
            return Err(Error::configuration(format!("no variable {role}")));
        };
        let mut world = World { now: timestamp(self.now), ..World::default() };
        if parts.has(Parts::HOLDER) {
            world.holder = execution_of(job, holding).map(|(pipeline, release)| execution(pipeline, release));
        }
        if parts.has(Parts::OFFER) {
            // As tags find them.
            let heeded = service.settings.alarms.ids().iter().filter(|name| self.exists(name));
            let alarms = Choice::Ids(heeded.cloned().collect());
            let zone_id = service.settings.zone.as_ref().map(|_| ZONE_ID.to_owned());
            let settings = Settings { alarms, zone_id, ..service.settings.clone() };
            world.offer = Some(Offer { settings, user_data: None });
        }
        if parts.has(Parts::ROSTER) {
            let enrolled = self.rosters.get(role).cloned().map(|(roster, etag)| Enrolled { roster, etag });
            world.roster = enrolled.map(Box::new);
        }
        if parts.has(Parts::IMAGE) {
            world.devices = Some(Devices { root: Some("/dev/xvda".to_owned()), ..Devices::default() });
        }
        // Whoever has neither hold nor settings doesn't know where to look.
        let Some(settings) = settings else { return Ok(world) };
        if parts.has(Parts::INSTANCES) {
            let at = self.lagged();
            world.instances = self.describe_instances(role, at);
        }
        if parts.has(Parts::ROUTING) {
            let at = self.lagged();
            world.routing = Some(Routing {
                groups: service.groups.iter().filter_map(|arn| self.describe_group(arn, at)).collect(),
                switches: service
                    .switches
                    .iter()
                    .filter_map(|arn| self.describe_switch(arn, &service.groups))
                    .collect(),
                untagged: self
                    .switches
                    .iter()
                    .filter(|(arn, switch)| switch.untagged.is_some() && service.switches.contains(arn))
                    .map(|(arn, _)| arn.clone())
                    .collect(),
                tests: service.tests.iter().filter_map(|arn| self.describe_test(arn)).collect(),
            });
        }
        if parts.has(Parts::BALANCER) {
            // Each subnet is a zone.
            let subnets = settings.subnet.ids();
            world.balancer = Some(Balancer {
                zones: subnets.iter().cloned().collect(),
                subnets: subnets.iter().map(|subnet| (subnet.clone(), subnet.clone())).collect(),
                targets: None,
                sticky: Vec::new(),
            });
        }
        if parts.has(Parts::ALARMS) {
            let at = self.lagged();
            world.alarms = settings.alarms.ids().iter().map(|name| self.describe_alarm(name, at)).collect();
        }
        if parts.has(Parts::ADDRESSES) {
            let at = self.lagged();
            world.addresses = self.describe_addresses(role, settings, at);
        }
        if parts.has(Parts::NAMES)
            && let Some(zone) = &settings.zone
        {
            let under = names_under(role, zone);
            world.names = self.records.values().filter(|record| record.name.ends_with(&under)).cloned().collect();
        }
        let own = holding.held.as_ref().map(|held| &held.hold).filter(|hold| hold.release == job.release);
        if let Some(hold) = own.filter(|_| parts.has(Parts::FIGURES)) {
            world.figures = self.figures(role, hold);
        }
        if parts.has(Parts::FILTER) {
            world.filtered = self.filters.get(role) == Some(&job.release);
        }
        if let Some(hold) = own.filter(|_| parts.has(Parts::DEPLOYMENT)) {
            let at = self.lagged();
            world.deployment = self.describe_deployment(role, hold, at);
        }
        if parts.has(Parts::ARTIFACT) {
            world.artifact = Some(match self.build(&job.release) {
                Build::Missing => Err(format!("the artifact of {} doesn't exist (any more)", job.release)),
                _ => Ok(self.artifact(&job.release)),
            });
        }
        Ok(world)
    }

    /// Now, or as long ago as a describe may lag.
    fn lagged(&mut self) -> Ms {
        let lag = self.nature.lag;
        if lag > 0 && self.rng.random_bool(0.3) { self.now - self.rng.random_range(0..=lag) } else { self.now }
    }

    /// What RunInstances answers: the instances of a token, as they are.
    pub fn launched_with(&self, role: &ServiceRole, token: &str) -> Vec<Instance> {
        let mut found = self.describe_instances(role, self.now);
        found.retain(|instance| instance.client_token.as_deref() == Some(token));
        found
    }

    /// The service's instances as they were then.
    pub(crate) fn describe_instances(&self, role: &ServiceRole, at: Ms) -> Vec<Instance> {
        let seen = |(id, instance): (&String, &crate::cloud::Instance)| {
            let face = instance.face.at(at).filter(|face| face.service.as_ref() == Some(role))?;
            let gone = face.state == InstanceState::Terminated;
            if self.forgotten(instance) {
                return None;
            }
            Some(Instance {
                id: id.clone(),
                release: face.release.clone(),
                state: face.state,
                subnet: (!gone).then(|| instance.subnet.clone()),
                instance_type: instance.instance_type.clone(),
                private_ip: (!gone).then(|| instance.ip.clone()),
                launched_at: timestamp(instance.launched),
                retired_by: face.retired_by.clone(),
                reason: match face.state {
                    InstanceState::Pending | InstanceState::Running => None,
                    _ if instance.short => Some("Server.InsufficientInstanceCapacity".to_owned()),
                    _ if instance.hurt.is_some() => Some("Server.InternalError".to_owned()),
                    _ => Some("Client.UserInitiatedShutdown".to_owned()),
                },
                short: gone && instance.short,
                client_token: instance.client_token.clone(),
                // Nobody in the simulator calls a build anything.
                build: None,
            })
        };
        self.launched_for(role).filter_map(seen).collect()
    }

    fn describe_group(&self, arn: &str, at: Ms) -> Option<Group> {
        let group = self.groups.get(arn)?;
        let targets = group.targets.iter().filter_map(|((id, port), target)| {
            let health = (*target.health.at(at)?)?;
            Some(Target { id: id.clone(), port: *port, health, reason: None, description: None })
        });
        Some(Group { arn: arn.to_owned(), name: group.name.clone(), port: group.port, targets: targets.collect() })
    }

    /// None if a person has it forward to neither of the groups.
    fn describe_switch(&self, arn: &str, groups: &[String]) -> Option<Switch> {
        let switch = self.switches.get(arn)?;
        let names_one = switch.weights.now().iter().any(|(group, _)| groups.contains(group));
        names_one.then(|| Switch {
            arn: arn.to_owned(),
            default_action: switch.default_action,
            label: switch.label.clone(),
            weights: switch.weights.now().clone(),
            sticky: false,
            sticky_secs: 0,
        })
    }

    fn describe_test(&self, arn: &str) -> Option<TestRule> {
        let rule = self.tests.get(arn)?;
        Some(TestRule {
            arn: arn.to_owned(),
            label: "HTTP:80 rule 9".to_owned(),
            groups: rule.groups.now().clone(),
            address: "http://web.example.com with header x-tagship-test".to_owned(),
            open: false,
        })
    }

    fn exists(&self, alarm: &str) -> bool {
        self.alarms.get(alarm).is_some_and(|it| *it.now() != AlarmState::Missing)
    }

    fn describe_alarm(&self, name: &str, at: Ms) -> Alarm {
        let found = self.alarms.get(name);
        let state = found.and_then(|alarm| alarm.at(at)).copied().unwrap_or(AlarmState::Missing);
        let since = found.filter(|_| state != AlarmState::Missing).map(|alarm| timestamp(alarm.began(at)));
        Alarm { name: name.to_owned(), state, since, reason: "Threshold crossed".to_owned() }
    }

    fn describe_addresses(&self, role: &ServiceRole, settings: &Settings, at: Ms) -> Vec<Address> {
        let pool = matches!(settings.eip, Eip::Pool(_));
        let seen = |(id, address): (&String, &crate::cloud::Address)| {
            let face = address.face.at(at)?.as_ref()?;
            let ours = face.service.as_ref() == Some(role) && (pool || face.release.is_some());
            ours.then(|| Address {
                id: id.clone(),
                public_ip: address.public_ip.clone(),
                release: face.release.clone(),
                association: face.associated.as_ref().map(|(association, _)| association.clone()),
                instance: face.associated.as_ref().map(|(_, instance)| instance.clone()),
            })
        };
        self.addresses.iter().filter_map(seen).collect()
    }

    fn describe_deployment(&self, role: &ServiceRole, hold: &Hold, at: Ms) -> Option<Deployment> {
        let of_release = self.deployments.iter().filter(|(_, found)| {
            found.service == *role && found.release == hold.release && timestamp(found.created) >= hold.since - SKEW
        });
        let (id, found) =
            of_release.filter(|(_, found)| found.state.at(at).is_some()).max_by_key(|(_, it)| it.created)?;
        let state = *found.state.at(at)?;
        let count = |wanted: Phase| found.machine.targets.values().filter(|it| it.phase == wanted).count();
        let targets = found.machine.targets.iter().map(|(instance, target)| Installed {
            instance: instance.clone(),
            succeeded: target.phase == Phase::Succeeded,
            diagnostics: target
                .events
                .iter()
                .find(|event| event.phase == Phase::Failed)
                .and_then(|event| event.diagnostics.as_ref().map(|said| said.message.clone())),
        });
        let error = found.machine.error.filter(|_| !matches!(state, DeploymentState::Running));
        Some(Deployment {
            id: id.clone(),
            state,
            created_at: timestamp(found.created),
            error: error.map(|(code, message)| format!("{code}: {message}")),
            targets: if state == DeploymentState::Running { Vec::new() } else { targets.collect() },
            overview: format!(
                "{} succeeded, {} in progress, {} pending",
                count(Phase::Succeeded),
                count(Phase::InProgress),
                count(Phase::Pending)
            ),
            begun: count(Phase::Pending) < found.machine.targets.len(),
        })
    }
}
