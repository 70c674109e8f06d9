//! Where a service's traffic goes, by weights or, without a load balancer, by the `live` name.

use crate::names::{self, Names};
use crate::pair::{self, Pair};
use crate::settings::TargetGroup;
use crate::{Error, Group, Health, Hold, Instance, InstanceState, Previous, ReleaseId, Situation, Step};
use std::collections::{BTreeMap, BTreeSet};

/// The traffic of a service as the holder's planners see it: mine, or home (where it was before).
#[derive(Debug)]
pub struct Traffic {
    /// Whether any switch gives weight to this release.
    pub any_mine: bool,
    /// The next change towards this release; none if every switch is there.
    pub forward: Option<Step>,
    /// The next change towards home; none if every switch is there.
    pub back: Option<Step>,
    /// Why this release isn't whole (all targets its fleet's, COUNT of them, all healthy); none if it is.
    pub ailing: Option<String>,
    /// This release's healthy targets.
    pub mine_healthy: u32,
    /// Who is at home.
    pub home: Option<ReleaseId>,
    /// Home's healthy targets.
    pub home_healthy: u32,
    /// The change that makes the `live` names follow the weights; none if they do, or there are none.
    pub names: Option<Step>,
    /// For events: switch → `web-a=100, web-b=0`.
    pub weights: BTreeMap<String, String>,
}

impl Traffic {
    /// Looks at it. Faults of the pair are the error.
    pub fn of(now: &Situation<'_>, hold: &Hold) -> Result<Self, Error> {
        match &hold.settings.target_group {
            TargetGroup::Pair(_) => Self::by_weights(now, hold),
            TargetGroup::None => Ok(Self::by_name(now, hold)),
        }
    }

    /// Whether home may have the traffic back: it has a healthy target, and at least as many as it had or as
    /// this release has now.
    pub fn home_can_serve(&self, previous: &Previous) -> bool {
        self.home_healthy > 0 && (self.home_healthy >= previous.healthy || self.home_healthy >= self.mine_healthy)
    }

    fn by_weights(now: &Situation<'_>, hold: &Hold) -> Result<Self, Error> {
        let world = now.world;
        let Some(routing) = &world.routing else {
            return Err(Error::new(crate::Kind::Bug, "tagship: the switches were not read"));
        };
        let pair = Pair::judge(routing, &hold.settings.target_group)?;
        let fleet: BTreeSet<&str> = world.fleet(&hold.release).map(|instance| instance.id.as_str()).collect();
        let before = hold.previous.as_ref().and_then(|previous| previous.release.as_ref());
        // Once its predecessor is known, this release's group is the one where that isn't: strays of its own fleet
        // in the other group, or no target left in its own, don't change that.
        let home = before.and_then(|release| {
            let before: BTreeSet<&str> = world.fleet(release).map(|instance| instance.id.as_str()).collect();
            pair.group_of(&before)
        });
        let mine = home.map(|group| pair.other(group)).or_else(|| pair.group_of(&fleet));
        let weights = routing.weights();
        let Some(mine) = mine else {
            let free = "no target of this release is registered in either group".to_owned();
            return Ok(Self::away(Some(free), weights));
        };
        let other = pair.other(mine);
        let home = match before {
            Some(release) => Some(release.clone()),
            None => pair
                .releases_in(other, &world.instances)
                .into_iter()
                .filter(|(release, _)| *release != hold.release)
                .max_by_key(|(_, healthy)| *healthy)
                .map(|(release, _)| release),
        };
        let home_healthy = match &home {
            Some(release) => pair.releases_in(other, &world.instances).get(release).copied().unwrap_or(0),
            // What was there before tagship carries no release: it serves all the same.
            None => pair::healthy(other),
        };
        let turn = |group: &Group| routing.switches.iter().find_map(|switch| pair.turn(switch, group));
        let live = if pair.weighted(other).next().is_none() { Some(&hold.release) } else { home.as_ref() };
        Ok(Self {
            any_mine: pair.weighted(mine).next().is_some(),
            forward: turn(mine),
            back: turn(other),
            ailing: not_whole(mine, &fleet, hold, world.fleet(&hold.release)),
            mine_healthy: pair::healthy(mine),
            names: live.and_then(|release| live_names(now, hold, release)),
            home,
            home_healthy,
            weights,
        })
    }

    fn by_name(now: &Situation<'_>, hold: &Hold) -> Self {
        let world = now.world;
        let zone = hold.settings.zone.as_deref().unwrap_or_default();
        let live = names::held_by(&world.names, &now.job.role, zone, Names::Live);
        let holds = |instance: &&Instance| instance.private_ip.as_ref().is_some_and(|ip| live.contains(ip));
        let mine = running(world.fleet(&hold.release));
        let home = match &hold.previous {
            Some(previous) => previous.release.clone(),
            None => world
                .instances
                .iter()
                .filter(|instance| instance.release.as_ref() != Some(&hold.release))
                .find(holds)
                .and_then(|instance| instance.release.clone()),
        };
        let home_running = home.as_ref().map(|release| running(world.fleet(release))).unwrap_or_default();
        let count = hold.settings.count as usize;
        let toward =
            |ips: &[String]| names::batch(zone, names::toward(&world.names, &now.job.role, zone, Names::Live, ips));
        Self {
            any_mine: mine.iter().any(|ip| live.contains(ip)),
            forward: toward(&mine),
            back: if home_running.is_empty() { None } else { toward(&home_running) },
            ailing: (mine.len() != count).then(|| format!("{} of {count} instances are running", mine.len())),
            mine_healthy: mine.len() as u32,
            home,
            home_healthy: home_running.len() as u32,
            names: None,
            weights: weights(now),
        }
    }

    fn away(ailing: Option<String>, weights: BTreeMap<String, String>) -> Self {
        Self {
            any_mine: false,
            forward: None,
            back: None,
            ailing,
            mine_healthy: 0,
            home: None,
            home_healthy: 0,
            names: None,
            weights,
        }
    }
}

/// For events: what each switch gives to whom, or whose addresses the `live` name holds.
pub fn weights(now: &Situation<'_>) -> BTreeMap<String, String> {
    let held = now.held().map(|held| &held.hold.settings);
    match (held.filter(|settings| settings.target_group == TargetGroup::None), &now.world.routing) {
        (Some(settings), _) => {
            let zone = settings.zone.as_deref().unwrap_or_default();
            let live = names::held_by(&now.world.names, &now.job.role, zone, Names::Live).join(" ");
            BTreeMap::from([("live name".to_owned(), if live.is_empty() { "none".to_owned() } else { live })])
        }
        (None, Some(routing)) => routing.weights(),
        (None, None) => BTreeMap::new(),
    }
}

/// The private addresses of the running ones, by address.
pub fn running<'a>(fleet: impl Iterator<Item = &'a Instance>) -> Vec<String> {
    let mut ips: Vec<String> = fleet
        .filter(|instance| instance.state == InstanceState::Running)
        .filter_map(|instance| instance.private_ip.clone())
        .collect();
    ips.sort_by_key(|ip| ip.parse::<std::net::Ipv4Addr>().ok());
    ips
}

/// The next change that makes the `live` names those of this release's running instances.
fn live_names(now: &Situation<'_>, hold: &Hold, release: &ReleaseId) -> Option<Step> {
    let zone = hold.settings.zone.as_deref()?;
    let ips = running(now.world.fleet(release));
    // Instances that a describe doesn't show yet, or any more, don't take the name away.
    if ips.is_empty() {
        return None;
    }
    names::batch(zone, names::toward(&now.world.names, &now.job.role, zone, Names::Live, &ips))
}

/// Why a group isn't exactly this fleet, whole and healthy.
fn not_whole<'a>(
    group: &Group,
    fleet: &BTreeSet<&str>,
    hold: &Hold,
    instances: impl Iterator<Item = &'a Instance>,
) -> Option<String> {
    let count = hold.settings.count as usize;
    let dead: Vec<String> = instances
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
    let mut words = format!("{healthy} of {count} targets in {} are healthy", group.name);
    if healthy < counted.len() {
        words.push_str(&format!(": {}", pair::ailing(group)));
    }
    if !dead.is_empty() {
        words.push_str(&format!("; {}", crate::listed(dead.iter().map(String::as_str))));
    }
    Some(words)
}
