//! What people do to the cloud by hand, and how it dies by itself.

use crate::cloud::{Cloud, Face, Instance};
use crate::past::{HOUR, MINUTE, Ms, Past};
use crate::plan::{PersonAct, SUBNETS};
use tagship::settings::{Choice, Eip};
use tagship::{AlarmState, Health, InstanceState, Phase, ServiceRole};

impl Cloud {
    /// Does it; what is to be done about it later, and when.
    pub fn by_hand(&mut self, act: PersonAct) -> Option<(Ms, PersonAct)> {
        self.touch_all();
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
            PersonAct::PointTest(role) => {
                let service = self.services.get(&role)?;
                let rule = self.tests.get_mut(service.tests.first()?)?;
                let other = service.groups.iter().find(|group| !rule.groups.now().contains(group))?.clone();
                rule.by_hand = Some(now);
                rule.groups.set(now, vec![other]);
                None
            }
            PersonAct::UntagSwitch(role, n, back) => {
                let arn = self.services.get(&role)?.switches.get(n)?.clone();
                let switch = self.switches.get_mut(&arn)?;
                switch.untagged = (back > 0).then_some(now);
                switch.withheld = switch.untagged.or(switch.withheld);
                (back > 0).then_some((back, PersonAct::UntagSwitch(role, n, 0)))
            }
            PersonAct::SplitSwitch(role, n, back) => {
                let arn = self.services.get(&role)?.switches.get(n)?.clone();
                let switch = self.switches.get_mut(&arn)?;
                let divided = switch.weights.now().iter().all(|(_, weight)| *weight > 0);
                let own = divided && switch.weights.now().iter().all(|(_, weight)| [10, 90].contains(weight));
                // Who makes it whole again looks whether it still is as it was left: tagship may have been quicker.
                if if back == 0 { !own || switch.by_hand.is_none() } else { divided } {
                    return None;
                }
                switch.by_hand = Some(now);
                switch.weights.alter(now, |weights| {
                    for (_, weight) in weights.iter_mut() {
                        *weight = match (*weight, back) {
                            (0, 1..) => 10,
                            (_, 1..) => 90,
                            (90.., _) => 100,
                            _ => 0,
                        };
                    }
                });
                (back > 0).then_some((back, PersonAct::SplitSwitch(role, n, 0)))
            }
            PersonAct::Reweigh(role, n) => {
                let arn = self.services.get(&role)?.switches.get(n)?.clone();
                let switch = self.switches.get_mut(&arn)?;
                let divided = switch.weights.now().iter().filter(|(_, weight)| *weight > 0).count() > 1;
                if divided {
                    switch.by_hand = Some(now);
                    switch
                        .weights
                        .alter(now, |weights| weights.iter_mut().for_each(|(_, weight)| *weight = *weight / 2 + 3));
                }
                None
            }
            PersonAct::Ring(role, state, back) => {
                self.alarmed(&role, if back > 0 { state } else { AlarmState::Ok });
                (back > 0).then_some((back, PersonAct::Ring(role, state, 0)))
            }
            PersonAct::Wreck(role, minutes) => {
                let divided = self.holds.get(&role).filter(|(hold, _)| {
                    hold.moved_at.is_none() && hold.split.as_ref().is_some_and(|split| split.since.is_some())
                });
                let Some((hold, _)) = divided else {
                    return minutes.checked_sub(1).map(|left| (MINUTE, PersonAct::Wreck(role, left)));
                };
                let release = hold.release.clone();
                self.alarmed(&role, AlarmState::Missing);
                let own = |it: &Instance| it.of(&role) && it.face.now().release.as_ref() == Some(&release);
                self.sicken(true, own);
                Some((HOUR, PersonAct::Restore(role)))
            }
            PersonAct::Restore(role) => {
                self.alarmed(&role, AlarmState::Ok);
                self.sicken(false, |it| it.of(&role));
                None
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
                    up: Some(now),
                    client_token: None,
                    app: None,
                    hurt: Some(now),
                    short: false,
                    protected: false,
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
            PersonAct::Halt(role, n, back) => {
                if back == 0 {
                    self.start(&role);
                    return None;
                }
                let id = self.nth(&role, n).filter(|_| !self.holds.contains_key(&role))?;
                self.instances.get_mut(&id)?.hurt.get_or_insert(now);
                self.stop(&[id]).ok()?;
                Some((back, PersonAct::Halt(role, n, 0)))
            }
            PersonAct::Untag(role, n, whole) => {
                let id = self.nth(&role, n)?;
                let instance = self.instances.get_mut(&id)?;
                instance.hurt.get_or_insert(now);
                instance.face.alter(now, |face| {
                    face.release = None;
                    if whole {
                        face.service = None;
                    }
                });
                None
            }
            PersonAct::Protect(role, n) => {
                let id = self.nth(&role, n)?;
                self.instances.get_mut(&id)?.protected = true;
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
            PersonAct::Exhaust(subnet, kind, left) => {
                self.capacity.insert((subnet.into(), kind.into()), left);
                None
            }
            PersonAct::Storm(length) => {
                self.buckets.storm(now, now + length);
                None
            }
            PersonAct::Keep(role, keep) => {
                let settings = &mut self.services.get_mut(&role)?.settings;
                settings.keep = keep;
                settings.drain_secs = if settings.drain_secs == 30 { 5 } else { 30 };
                None
            }
            PersonAct::Addresses(role, own) => {
                self.services.get_mut(&role)?.settings.eip = if own { Eip::Own } else { Eip::None };
                None
            }
            PersonAct::Move(role) => {
                let settings = &mut self.services.get_mut(&role)?.settings;
                settings.instance_type.reverse();
                settings.subnet = Choice::Ids(vec![SUBNETS[1].into()]);
                None
            }
            PersonAct::Resize(role, count) => {
                self.services.get_mut(&role)?.settings.count = count;
                None
            }
            PersonAct::Mend => {
                self.mend();
                None
            }
            PersonAct::Retry(_) | PersonAct::Ask(..) => None,
        }
    }

    /// What a person has stopped runs again.
    fn start(&mut self, role: &ServiceRole) {
        let stopped = self.instances.iter().filter(|(_, it)| {
            let face = it.face.now();
            it.of(role) && face.state == InstanceState::Stopped && face.retired_by.is_none()
        });
        for id in stopped.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            if let Some(instance) = self.instances.get_mut(&id) {
                instance.face.alter(self.now, |face| face.state = InstanceState::Running);
            }
            self.probe(&id);
        }
    }

    fn mend(&mut self) {
        for (role, (hold, _)) in self.holds.iter().filter(|(_, (hold, _))| hold.phase == Phase::Approved) {
            let of_release = |id: &String| {
                self.instances.get(id).and_then(|it| it.face.now().release.as_ref()) == Some(&hold.release)
            };
            let home = self.groups.iter().find(|(_, group)| {
                group.service == *role && group.targets.iter().any(|((id, _), it)| it.counts() && of_release(id))
            });
            let Some((home, _)) = home else { continue };
            for switch in self.switches.values_mut().filter(|it| it.service == *role && it.by_hand.is_some()) {
                switch.by_hand = Some(self.now);
                switch.weights.alter(self.now, |weights| {
                    weights.iter_mut().for_each(|(arn, weight)| *weight = if arn == home { 100 } else { 0 });
                });
            }
        }
    }

    /// The service's `n`th living instance, counted from the newest.
    fn alarmed(&mut self, role: &ServiceRole, state: AlarmState) {
        let name = self.alarm(role);
        if let Some(alarm) = name.and_then(|name| self.alarms.get_mut(&name)) {
            alarm.set(self.now, state);
        }
    }

    /// These fail their health checks, or don't any more.
    fn sicken(&mut self, sick: bool, which: impl Fn(&Instance) -> bool) {
        let now = self.now;
        let concerned = self.instances.iter_mut().filter(|(_, it)| it.alive() && which(it) && it.sick != sick);
        let ids: Vec<String> = concerned
            .map(|(id, it)| {
                it.hurt.get_or_insert(now);
                it.sick = sick;
                id.clone()
            })
            .collect();
        ids.iter().for_each(|id| self.probe(id));
    }

    fn nth(&self, role: &ServiceRole, n: usize) -> Option<String> {
        let living =
            self.instances.iter().rev().filter(|(_, it)| it.alive() && it.face.now().service.as_ref() == Some(role));
        let ids: Vec<&String> = living.map(|(id, _)| id).collect();
        ids.get(n % ids.len().max(1)).map(|id| (*id).clone())
    }
}
