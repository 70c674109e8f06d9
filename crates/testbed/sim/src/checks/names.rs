//! Rules 1 to 3 of a service without a load balancer: the `live` name stands for its switch, running and installed
//! for healthy.

use super::{Act, Checks};
use crate::cloud::{Cloud, Instance};
use crate::past::{Ms, SECOND};
use tagship::{Action, InstanceState, Job, NameChange, ServiceRole};

/// How long a resolver may remember an answer.
const TTL: Ms = tagship::names::TTL_SECS as Ms * SECOND;

/// How long clients may still use the addresses of the predecessor.
const BEFORE: Ms = 60 * SECOND;

impl Cloud {
    /// Dead instances of live fleets to whose addresses the live names lead, and since when they are dead, of services
    /// that nobody holds.
    pub fn dead_names(&self) -> Vec<(ServiceRole, String, Ms)> {
        let mut found = Vec::new();
        for (role, (roster, _)) in self.rosters.iter().filter(|(role, _)| !self.holds.contains_key(*role)) {
            let Some(record) = self.live_name(role).and_then(|name| self.records.get(&name)) else { continue };
            for (id, ip) in roster.members.iter().filter(|(_, ip)| record.values.contains(ip)) {
                let own = |it: &Instance| it.of(role) && it.face.now().release.as_ref() == Some(&roster.release);
                let heir = self.instances.values().any(|it| it.alive() && it.ip == *ip && own(it));
                if let Some(dead) = self.instances.get(id).filter(|it| !it.alive() && !heir) {
                    found.push((role.clone(), id.clone(), dead.face.began(self.now)));
                }
            }
        }
        found
    }
}

impl Checks {
    /// Rule 1: whoever asks for the name now, or asked within its TTL, reaches an instance that serves. If the
    /// world broke an instance, only requests to its address may fail, even once another instance has that address.
    pub(super) fn named(&mut self, cloud: &Cloud, role: &ServiceRole) {
        let Some(live) = cloud.live.get(role) else { return };
        let of = |id: &String| cloud.instances.get(id);
        let broken = |it: &Instance| it.hurt.is_some() || it.face.now().service.is_none();
        let serves = |it: &Instance| it.face.now().state == InstanceState::Running && it.app.is_some();
        let key = (live_key(role), 0);
        if live.now().iter().filter_map(of).any(serves) {
            self.served.insert(key.clone());
        }
        if !self.served.contains(&key) {
            return;
        }
        let before = || live.since(cloud.now - BEFORE).flatten().filter_map(of);
        if live.now().is_empty() {
            if before().any(broken) {
                // The world broke all that it held: until the next release nothing serves.
                self.served.remove(&key);
                return;
            }
            self.broken(cloud.now, 1, role, "no live name", || format!("the live name of {role} is gone"));
        }
        for id in live.since(cloud.now - TTL).flatten() {
            if !of(id).is_some_and(|it| serves(it) || broken(it)) {
                self.broken(cloud.now, 1, role, format!("live {id}"), || {
                    format!("who asks for the live name of {role} reaches {id}, which doesn't serve")
                });
            }
        }
    }

    /// Rule 2: the name moves only to `COUNT` running instances of the candidate, or back to some of the predecessor.
    /// What the world does between the look and the change counts as it was at the look.
    pub(super) fn naming(&mut self, cloud: &Cloud, act: Act<'_>, changes: &[NameChange]) {
        let Job { role, release, action, .. } = act.job;
        let Some(name) = cloud.live_name(role).filter(|_| cloud.live.contains_key(role)) else { return };
        let holds = cloud.records.get(&name).map(|record| &record.values);
        let moved = changes.iter().find_map(|change| match change {
            NameChange::Upsert(record) if record.name == name => {
                Some(&record.values).filter(|values| Some(*values) != holds)
            }
            _ => None,
        });
        // Cleanup only takes addresses out that don't serve any more.
        let moves = matches!(action, Action::Provision | Action::Deploy | Action::Shift | Action::Rollback);
        let Some(to) = moved.filter(|_| moves) else { return };
        let from = act.looked - cloud.nature.lag;
        let reached = to.iter().filter_map(|ip| cloud.instances.get(cloud.with_ip(role, ip)?));
        let own = |it: &&Instance| it.face.since(from).any(|face| face.release.as_ref() == Some(release));
        let running =
            |it: &&Instance| it.app.is_some() && it.face.since(from).any(|face| face.state == InstanceState::Running);
        let (mine, others): (Vec<&Instance>, Vec<&Instance>) = reached.partition(own);
        let count = cloud.holds.get(role).map_or(1, |(hold, _)| hold.settings.count as usize);
        let count = count.min(tagship::names::ADDRESSES_A_NAME);
        let good = mine.iter().filter(|it| running(it)).count();
        // Rollback goes forward too, where the predecessor is dead.
        let forward = !mine.is_empty() && *action != Action::Rollback;
        let right = if forward {
            others.is_empty() && good == count && to.len() == count
        } else {
            others.iter().any(running) || good > 0
        };
        if !right {
            self.broken(cloud.now, 2, role, format!("live name {release}"), || {
                format!(
                    "{action} of {} gives the live name to {} with {good} of {count} good instances of its own",
                    release.short(),
                    to.join(" ")
                )
            });
        }
    }

    /// Rule 3: who was reached by name within the last SETTLE seconds isn't taken away.
    pub(super) fn named_removal(&mut self, cloud: &Cloud, act: Act<'_>, id: &str, settle: Ms) {
        let Job { role, release, action, .. } = act.job;
        let Some(live) = cloud.live.get(role) else { return };
        if live.since(cloud.now - settle).flatten().any(|is| is == id) {
            self.broken(cloud.now, 3, role, format!("{id} by name"), || {
                format!("{action} of {} removes {id}, which the live name has or had within SETTLE", release.short())
            });
        }
    }
}

/// In what has served once.
pub(super) fn live_key(role: &ServiceRole) -> String {
    format!("live {role}")
}
