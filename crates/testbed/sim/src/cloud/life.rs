//! How instances live: what becomes of them by themselves, and what is done to them.

use super::{Cloud, Instance, Turn};
use rand::RngExt;
use tagship::{Health, InstanceState};

impl Cloud {
    /// Something has changed of the service that an instance, a group or a deployment belongs to.
    fn touch(&mut self, turn: &Turn) {
        let role = match turn {
            Turn::Boot(id) | Turn::Gone(id) | Turn::Stopped(id) => {
                self.instances.get(id).and_then(|it| it.face.now().service.as_ref())
            }
            Turn::Probe(arn, _) | Turn::Drained(arn, _) => self.groups.get(arn).map(|group| &group.service),
            Turn::Fetched(id, _) | Turn::Installed(id, _) | Turn::Patience(id) => {
                self.deployments.get(id).map(|found| &found.service)
            }
        };
        match role.cloned() {
            Some(role) => {
                self.touched.insert(role);
            }
            // It has lost its tags, so nobody knows whose it was.
            None => self.touch_all(),
        }
    }

    /// Something has changed of any service.
    pub fn touch_all(&mut self) {
        self.touched.extend(self.services.keys().cloned());
    }

    /// Lets something happen.
    pub fn turn(&mut self, turn: &Turn) {
        self.touch(turn);
        let now = self.now;
        match turn {
            Turn::Boot(id) => {
                let dice: f64 = self.rng.random();
                let hangs = dice < self.nature.boot_hangs;
                let fails = dice < self.nature.boot_hangs + self.nature.boot_fails;
                let Some(instance) = self.instances.get_mut(id) else { return };
                if instance.face.now().state != InstanceState::Pending {
                    return;
                }
                if hangs {
                    instance.hurt = Some(now);
                } else if fails {
                    instance.hurt = Some(now);
                    instance.short = dice < self.nature.boot_hangs + self.nature.boot_fails / 2.0;
                    instance.face.alter(now, |face| face.state = InstanceState::Terminated);
                    self.freed.insert((instance.subnet.clone(), instance.ip.clone()));
                } else {
                    instance.up = Some(now);
                    instance.face.alter(now, |face| face.state = InstanceState::Running);
                }
            }
            Turn::Gone(id) => self.settle(id, InstanceState::ShuttingDown, InstanceState::Terminated),
            Turn::Stopped(id) => self.settle(id, InstanceState::Stopping, InstanceState::Stopped),
            Turn::Probe(arn, key) => {
                let serves = self.serves(&key.0);
                let runs = |it: &Instance| it.face.now().state == InstanceState::Running;
                let used = self.used(arn) && self.instances.get(&key.0).is_some_and(runs);
                let Some(target) = self.groups.get_mut(arn).and_then(|group| group.targets.get_mut(key)) else {
                    return;
                };
                if target.counts() {
                    let health = match (used, serves) {
                        (false, _) => Health::Unused,
                        (true, true) => Health::Healthy,
                        (true, false) => Health::Unhealthy,
                    };
                    target.health.set(now, Some(health));
                    if health == Health::Healthy {
                        target.healthy.get_or_insert(now);
                    }
                }
            }
            Turn::Drained(arn, key) => {
                let Some(target) = self.groups.get_mut(arn).and_then(|group| group.targets.get_mut(key)) else {
                    return;
                };
                if *target.health.now() == Some(Health::Draining) {
                    target.health.set(now, None);
                }
            }
            Turn::Fetched(deployment, id) => self.fetched(deployment, id),
            Turn::Installed(deployment, id) => self.installed(deployment, id),
            Turn::Patience(deployment) => self.patience(deployment),
        }
    }

    fn settle(&mut self, id: &str, from: InstanceState, to: InstanceState) {
        let now = self.now;
        let Some(instance) = self.instances.get_mut(id) else { return };
        if instance.face.now().state != from {
            return;
        }
        instance.face.alter(now, |face| face.state = to);
        if to == InstanceState::Terminated {
            self.freed.insert((instance.subnet.clone(), instance.ip.clone()));
            for address in self.addresses.values_mut() {
                address.face.alter(now, |face| {
                    if let Some(face) = face
                        && face.associated.as_ref().is_some_and(|(_, instance)| instance == id)
                    {
                        face.associated = None;
                    }
                });
            }
        }
    }

    /// The balancer will notice what has become of an instance.
    pub fn probe(&mut self, id: &str) {
        for (arn, key) in self.places(id) {
            self.later(self.nature.probe, Turn::Probe(arn, key));
        }
    }

    /// Where an instance is a target.
    fn places(&self, id: &str) -> Vec<(String, (String, u16))> {
        let every = (id.to_owned(), 0)..=(id.to_owned(), u16::MAX);
        let groups = self.groups.iter();
        groups
            .flat_map(|(arn, group)| group.targets.range(every.clone()).map(|(key, _)| (arn.clone(), key.clone())))
            .collect()
    }

    /// The world breaks an instance: it dies, or a person terminates it.
    pub fn hurt(&mut self, id: &str) {
        let now = self.now;
        self.touch_all();
        if let Some(instance) = self.instances.get_mut(id).filter(|instance| instance.alive()) {
            instance.hurt.get_or_insert(now);
            self.terminate(id);
        }
    }

    /// An instance is told to end; its targets leave their groups.
    pub fn terminate(&mut self, id: &str) {
        let now = self.now;
        let Some(instance) = self.instances.get_mut(id).filter(|instance| instance.exists()) else { return };
        let stopped = instance.face.now().state == InstanceState::Stopped;
        instance.face.alter(now, |face| face.state = InstanceState::ShuttingDown);
        if stopped {
            // Nothing has to shut down.
            self.settle(id, InstanceState::ShuttingDown, InstanceState::Terminated);
        } else {
            self.later(self.nature.shutdown, Turn::Gone(id.to_owned()));
        }
        for (arn, key) in self.places(id) {
            self.deregister(&arn, &key);
        }
    }
}
