//! What was seen, in the scenario's names. A field more in any of it doesn't compile here.

use super::{Names, sorted};
use jiff::Timestamp;
use tagship::{
    Address, Alarm, Back, Balancer, Deployment, Devices, Ended, Enrolled, Execution, Group, Held, Hold, Holding,
    Installed, Instance, Offer, Previous, Record, Roster, Routing, Split, Switch, Target, TestRule, World,
};

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

fn alarm(found: Alarm) -> Alarm {
    Alarm { since: found.since.map(|_| Timestamp::UNIX_EPOCH), reason: String::new(), ..found }
}

/// Up to the first colon.
fn first_word(text: &str) -> String {
    text.split(':').next().unwrap_or_default().to_owned()
}

fn sorted_by<T, K: Ord>(items: impl Iterator<Item = T>, key: impl Fn(&T) -> K) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.sort_by_key(key);
    items
}
