//! Where a service's traffic goes, by weights or, without a load balancer, by the `live` name.

use crate::model::words::is_or_are;
use crate::names::{self, Names};
use crate::policy::pair::{self, Pair};
use crate::settings::TargetGroup;
use crate::{Error, First, Group, Health, Hold, Instance, InstanceState, Parts, Previous, ReleaseId, Situation, Step};
use std::collections::BTreeSet;
use std::ops::ControlFlow::Continue;

/// The traffic of a service as its holder sees it: with the candidate, or with the predecessor.
#[derive(Debug)]
pub struct Traffic {
    /// The release that holds.
    pub candidate: Side,
    /// The release that was live before it, or what was there before tagship.
    pub predecessor: Side,
    /// Why the candidate isn't whole (all targets its fleet's, COUNT of them, all healthy); none if it is.
    pub ailing: Option<String>,
    /// Switches that can't give their traffic back, each with what a person has to do.
    pub faults: Vec<String>,
}

/// One side of the traffic.
#[derive(Debug, Default)]
pub struct Side {
    /// The release; none for what was there before tagship, or nothing.
    pub release: Option<ReleaseId>,
    /// Its healthy targets (running instances, where there is no load balancer).
    pub healthy: u32,
    /// Whether any switch gives weight to it.
    pub any: bool,
    /// The next change that gives it the traffic; none if every switch that can has given it.
    pub toward: Option<Step>,
}

impl Traffic {
    /// Looks at it. What makes the pair no pair is the error.
    pub fn of(now: &Situation<'_>, hold: &Hold) -> First<Result<Self, Error>> {
        match &hold.settings.target_group {
            TargetGroup::Pair(_) => by_weights(now, hold),
            TargetGroup::None => by_name(now, hold).map_continue(Ok),
        }
    }

    /// The same, where faults of the switches are errors too: for who moves traffic towards the candidate.
    pub fn judged(now: &Situation<'_>, hold: &Hold) -> First<Result<Self, Error>> {
        if matches!(hold.settings.target_group, TargetGroup::Pair(_))
            && let Err(error) = Pair::judge(now.world.routing()?, &hold.settings.target_group)
        {
            return Continue(Err(error));
        }
        Self::of(now, hold)
    }

    /// Whether every switch gives its traffic to the candidate, and nothing else.
    pub fn moved(&self) -> bool {
        self.candidate.any && self.candidate.toward.is_none() && !self.predecessor.any
    }

    /// Whether the predecessor may have the traffic back: it has a healthy target, and as many as the candidate has now,
    /// or the share of what it had that settings ask for.
    pub fn can_go_back(&self, previous: &Previous, healthy_percent: u32) -> bool {
        let healthy = self.predecessor.healthy;
        healthy > 0 && (healthy >= self.candidate.healthy || healthy * 100 >= previous.healthy * healthy_percent)
    }
}

fn by_weights(now: &Situation<'_>, hold: &Hold) -> First<Result<Traffic, Error>> {
    now.world.need(Parts::INSTANCES.and(Parts::ROUTING))?;
    let routing = now.world.routing()?;
    let instances = now.world.instances()?;
    let pair = match Pair::of(routing, &hold.settings.target_group) {
        Ok(pair) => pair,
        Err(error) => return Continue(Err(error)),
    };
    let fleet = ids(now, &hold.release)?;
    let before = hold.previous.as_ref().and_then(|previous| previous.release.as_ref());
    // Once its predecessor is known, this release's group is the one where that isn't: strays of its own fleet in the
    // other group, or no target left in its own, don't change that.
    let predecessors = match before {
        Some(release) => pair.group_of(&ids(now, release)?),
        None => None,
    };
    let written = hold.group.as_ref().and_then(|arn| pair.groups.into_iter().find(|group| group.arn == *arn));
    let own = written.or_else(|| predecessors.map(|group| pair.other(group))).or_else(|| pair.group_of(&fleet));
    let Some(own) = own else {
        let ailing = Some("no target of this release is registered in either group".to_owned());
        let candidate = Side { release: Some(hold.release.clone()), ..Side::default() };
        return Continue(Ok(Traffic { candidate, predecessor: Side::default(), ailing, faults: Vec::new() }));
    };
    let other = pair.other(own);
    let mut releases = pair.releases_in(other, instances);
    let predecessor = match before {
        Some(release) => Some(release.clone()),
        None => releases
            .iter()
            .filter(|(release, _)| **release != hold.release)
            .max_by_key(|(_, healthy)| **healthy)
            .map(|(release, _)| release.clone()),
    };
    let healthy = match &predecessor {
        Some(release) => releases.remove(release).unwrap_or(0),
        // What was there before tagship carries no release: it serves nevertheless.
        None => pair::healthy(other),
    };
    let (back, faults) = pair.toward(other, hold.split.as_ref());
    Continue(Ok(Traffic {
        candidate: Side {
            release: Some(hold.release.clone()),
            healthy: pair::healthy(own),
            any: pair.weighted(own).next().is_some(),
            toward: pair.toward(own, hold.split.as_ref()).0,
        },
        predecessor: Side { release: predecessor, healthy, any: pair.weighted(other).next().is_some(), toward: back },
        ailing: not_whole(own, &fleet, hold, &now.world.fleet(&hold.release)?),
        faults,
    }))
}

fn ids<'a>(now: &Situation<'a>, release: &ReleaseId) -> First<BTreeSet<&'a str>> {
    Continue(now.world.fleet(release)?.into_iter().map(|instance| instance.id.as_str()).collect())
}

fn by_name(now: &Situation<'_>, hold: &Hold) -> First<Traffic> {
    now.world.need(Parts::INSTANCES.and(Parts::NAMES))?;
    let records = now.world.names()?;
    let zone = hold.settings.zone.as_deref().unwrap_or_default();
    let live = names::held_by(records, &now.job.role, zone, Names::Live);
    let holds = |instance: &&Instance| instance.private_ip.as_ref().is_some_and(|ip| live.contains(ip));
    let candidate = running(now.world.fleet(&hold.release)?);
    let before = match &hold.previous {
        Some(previous) => previous.release.clone(),
        None => {
            let others = now.world.instances()?.iter().filter(|it| it.release.as_ref() != Some(&hold.release));
            others.filter(holds).find_map(|instance| instance.release.clone())
        }
    };
    let predecessor = match &before {
        Some(release) => running(now.world.fleet(release)?),
        None => Vec::new(),
    };
    let count = hold.settings.count as usize;
    let toward = |ips: &[String]| {
        if ips.is_empty() {
            return None;
        }
        names::batch(zone, names::toward(records, &now.job.role, zone, Names::Live, ips))
    };
    let any = |ips: &[String]| ips.iter().any(|ip| live.contains(ip));
    Continue(Traffic {
        ailing: (candidate.len() != count).then(|| {
            format!(
                "{} of {} {} running",
                candidate.len(),
                crate::counted(count, "instance"),
                is_or_are(candidate.len(), count)
            )
        }),
        candidate: Side {
            release: Some(hold.release.clone()),
            healthy: candidate.len() as u32,
            // An address may have been another instance's before: the name is this release's once its shift has begun.
            any: hold.previous.is_some() && any(&candidate),
            toward: toward(&candidate),
        },
        predecessor: Side {
            release: before,
            healthy: predecessor.len() as u32,
            any: any(&predecessor),
            toward: toward(&predecessor),
        },
        faults: Vec::new(),
    })
}

/// The private addresses of the running ones, by address.
pub fn running<'a>(fleet: impl IntoIterator<Item = &'a Instance>) -> Vec<String> {
    let running = fleet.into_iter().filter(|instance| instance.state == InstanceState::Running);
    let mut ips: Vec<String> = running.filter_map(|instance| instance.private_ip.clone()).collect();
    ips.sort_by_key(|ip| ip.parse::<std::net::Ipv4Addr>().ok());
    ips
}

/// The next change that makes the `live` names those of this release's running instances; none if they are, or if
/// there are no names.
pub fn live_names(now: &Situation<'_>, hold: &Hold, release: Option<&ReleaseId>) -> First<Option<Step>> {
    let (Some(zone), Some(release)) = (hold.settings.zone.as_deref(), release) else { return Continue(None) };
    let ips = running(now.world.fleet(release)?);
    // Instances that a describe doesn't show yet, or any more, don't take the name away.
    if ips.is_empty() {
        return Continue(None);
    }
    Continue(names::batch(zone, names::toward(now.world.names()?, &now.job.role, zone, Names::Live, &ips)))
}

/// Why a group isn't exactly this fleet, whole and healthy.
fn not_whole(group: &Group, fleet: &BTreeSet<&str>, hold: &Hold, instances: &[&Instance]) -> Option<String> {
    let count = hold.settings.count as usize;
    let dead: Vec<String> = instances
        .iter()
        .filter(|instance| !instance.alive())
        .map(|instance| format!("{} {:?}", instance.id, instance.state).to_lowercase())
        .collect();
    let counted: Vec<_> = group.targets.iter().filter(|target| target.counts()).collect();
    let strangers: Vec<&str> =
        counted.iter().filter(|target| !fleet.contains(target.id.as_str())).map(|target| target.id.as_str()).collect();
    if !strangers.is_empty() {
        let who = crate::listed(strangers);
        return Some(format!("target group {} also has targets that aren't this release's: {who}", group.name));
    }
    let healthy = counted.iter().filter(|target| target.health == Health::Healthy).count();
    if counted.len() == count && healthy == count {
        return None;
    }
    let mut words = format!(
        "{healthy} of {} in {} {} healthy",
        crate::counted(count, "target"),
        group.name,
        is_or_are(healthy, count)
    );
    if healthy < counted.len() {
        words.push_str(&format!(": {}", pair::ailing(group)));
    }
    if !dead.is_empty() {
        words.push_str(&format!("; {}", crate::listed(dead.iter().map(String::as_str))));
    }
    Some(words)
}
