//! What people do to the cloud by hand, and how it dies by itself.

use crate::cloud::{Cloud, Face, Instance};
use crate::past::{Ms, Past};
use crate::plan::PersonAct;
use tagship::{Health, InstanceState, ServiceRole};

impl Cloud {
    /// Does it; what is to be done about it later, and when.
    pub fn by_hand(&mut self, act: PersonAct) -> Option<(Ms, PersonAct)> {
        self.version += 1;
        let now = self.now;
        match act {
            PersonAct::TurnSwitch(role, n, back) => {
                let arn = self.services.get(&role)?.switches.get(n)?.clone();
                let switch = self.switches.get(&arn)?;
                let turned: Vec<u32> = switch.weights.now().iter().rev().map(|(_, weight)| *weight).collect();
                let to = switch.weights.now().iter().zip(&turned).find(|(_, weight)| **weight > 0)?.0.0.clone();
                // Who puts it back looks whether anybody is there; tagship may have been quicker.
                let lives = |arn: &str| {
                    let group = self.groups.get(arn);
                    group
                        .is_some_and(|group| group.targets.values().any(|it| *it.health.now() == Some(Health::Healthy)))
                };
                if back == 0 && !lives(&to) {
                    return None;
                }
                let switch = self.switches.get_mut(&arn)?;
                switch.by_hand = Some(now);
                switch.weights.alter(now, |weights| {
                    weights.iter_mut().zip(turned).for_each(|((_, weight), to)| *weight = to);
                });
                (back > 0).then_some((back, PersonAct::TurnSwitch(role, n, 0)))
            }
            PersonAct::AddStranger(role, n, back) => {
                let arn = self.services.get(&role)?.groups.get(n)?.clone();
                let id = format!("i-stranger-{}", role.label());
                self.instances.entry(id.clone()).or_insert_with(|| Instance {
                    face: Past::new(
                        now,
                        Face { service: None, release: None, retired_by: None, state: InstanceState::Running },
                    ),
                    ip: "10.255.0.1".into(),
                    subnet: "subnet-a".into(),
                    instance_type: "t3.micro".into(),
                    launched: now,
                    client_token: None,
                    app: None,
                    hurt: Some(now),
                    sick: false,
                });
                let key = (id, self.groups.get(&arn)?.port);
                if back == 0 {
                    self.deregister(&arn, &key);
                    return None;
                }
                self.register(&arn, key, true);
                Some((back, PersonAct::AddStranger(role, n, 0)))
            }
            PersonAct::Kill(role, n) => {
                let id = self.nth(&role, n)?;
                self.hurt(&id);
                None
            }
            PersonAct::Untag(role, n) => {
                let id = self.nth(&role, n)?;
                let instance = self.instances.get_mut(&id)?;
                instance.hurt.get_or_insert(now);
                instance.face.alter(now, |face| {
                    face.service = None;
                    face.release = None;
                });
                None
            }
            PersonAct::Sicken(role, n, back) => {
                let id = self.nth(&role, n)?;
                let instance = self.instances.get_mut(&id)?;
                instance.hurt.get_or_insert(now);
                instance.sick = back > 0;
                self.probe(&id);
                (back > 0).then_some((back, PersonAct::Sicken(role, n, 0)))
            }
            PersonAct::TakeOut(role, n) => {
                let id = self.nth(&role, n)?;
                self.instances.get_mut(&id)?.hurt.get_or_insert(now);
                let found = self.groups.iter().flat_map(|(arn, group)| group.targets.keys().map(move |key| (arn, key)));
                let (arn, key) =
                    found.into_iter().find(|(_, key)| key.0 == id).map(|(arn, key)| (arn.clone(), key.clone()))?;
                self.deregister(&arn, &key);
                None
            }
            PersonAct::Exhaust(left) => {
                self.capacity.insert(("subnet-a".into(), "t3.micro".into()), left);
                None
            }
            PersonAct::Resize(role, count) => {
                self.services.get_mut(&role)?.settings.count = count;
                None
            }
            PersonAct::Retry(_) => None,
        }
    }

    /// The service's `n`th living instance, counted from the newest.
    fn nth(&self, role: &ServiceRole, n: usize) -> Option<String> {
        let living =
            self.instances.iter().rev().filter(|(_, it)| it.alive() && it.face.now().service.as_ref() == Some(role));
        let ids: Vec<&String> = living.map(|(id, _)| id).collect();
        ids.get(n % ids.len().max(1)).map(|id| (*id).clone())
    }
}
