//! A release that has been live for long, as a day may begin with.

use super::{Cloud, Face, Instance, Target};
use crate::past::{Past, timestamp};
use crate::pipes::pipeline_name;
use tagship::names::{Names, toward};
use tagship::{Health, Hold, InstanceState, NameChange, ReleaseId, Roster, ServiceRole};

impl Cloud {
    /// Gives a service with a load balancer a whole, healthy fleet in the group that has the weight, and its names.
    pub fn begin_with_live(&mut self, role: &ServiceRole) {
        let Some(service) = self.services.get(role).cloned() else { return };
        let Ok(release) = ReleaseId::try_from("before-0000".to_owned()) else { return };
        let mut ips = Vec::new();
        for n in 0..service.settings.count {
            let face = Face {
                service: Some(role.clone()),
                release: Some(release.clone()),
                retired_by: None,
                state: InstanceState::Running,
            };
            let serial = self.serial();
            let (id, ip) = (format!("i-{serial:06}"), super::ip(serial));
            let instance = Instance {
                face: Past::new(self.now, face),
                ip: ip.clone(),
                subnet: crate::plan::SUBNETS[n as usize % 2].into(),
                instance_type: crate::plan::TYPES[0].into(),
                launched: self.now,
                up: Some(self.now),
                client_token: None,
                app: Some(release.clone()),
                hurt: None,
                short: false,
                protected: false,
                sick: false,
            };
            self.instances.insert(id.clone(), instance);
            self.index(&id);
            ips.push(ip);
            if let Some(group) = service.groups.first().and_then(|arn| self.groups.get_mut(arn)) {
                let target = Target {
                    health: Past::new(self.now, Some(Health::Healthy)),
                    registered: self.now,
                    healthy: Some(self.now),
                    stranger: false,
                    deregistered: None,
                };
                group.targets.insert((id, group.port), target);
            }
        }
        let fleet = self.describe_instances(role, self.now);
        let hold = Hold::taken(release, pipeline_name(role), timestamp(self.now), service.settings.clone());
        self.rosters.insert(role.clone(), (Roster::of(&hold, &fleet), "settled".to_owned()));
        let zone = service.settings.zone.unwrap_or_default();
        for change in toward(&[], role, &zone, Names::Live, &ips) {
            if let NameChange::Upsert(record) = change {
                self.records.insert(record.name.clone(), record);
            }
        }
    }
}
