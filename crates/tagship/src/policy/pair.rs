//! The pair and its switches, judged: what is set up wrongly, who is live, which group is free.

use crate::policy::test_traffic;
use crate::settings::{Shift, TargetGroup};
use crate::{Error, Group, Health, Instance, ReleaseId, Routing, Split, Step, Switch};
use std::collections::{BTreeMap, BTreeSet};

/// The two groups and their switches.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    /// The two groups.
    pub groups: [&'a Group; 2],
    /// What was judged: at least one switch.
    pub routing: &'a Routing,
}

/// What a switch takes to give its whole weight to one group.
#[derive(Debug, Clone, PartialEq)]
pub enum Turn {
    /// Nothing: it has.
    There,
    /// This change.
    Step(Step),
    /// Something that only a person can do, in words.
    Fault(String),
}

/// How much of each switch a group gets.
#[derive(Debug, Clone, Copy)]
pub struct Share<'a> {
    /// Of the weight that the pair has on the switch.
    pub percent: u32,
    /// What the hold says of that weight, while it is divided.
    pub split: Option<&'a Split>,
}

impl<'a> Pair<'a> {
    /// What was found, if it is two groups; the switches may have faults.
    ///
    /// # Errors
    ///
    /// What was found instead.
    pub fn of(routing: &'a Routing, setting: &TargetGroup) -> Result<Self, Error> {
        let TargetGroup::Pair(selector) = setting else {
            return Err(Error::new(crate::Kind::Bug, "tagship: a pair was judged where TARGET_GROUP is none"));
        };
        let [a, b] = &routing.groups[..] else {
            return Err(Error::configuration(format!(
                "TARGET_GROUP {} must find exactly two target groups; it found {}: {}. Tag the pair with \
                 tagship:service=<service role>, and nothing else",
                String::from(selector.clone()),
                routing.groups.len(),
                crate::listed(routing.groups.iter().map(|group| group.name.as_str())),
            )));
        };
        Ok(Self { groups: [a, b], routing })
    }

    /// A pair without faults: each switch forwards to both groups, with weight on one.
    ///
    /// # Errors
    ///
    /// All faults at once.
    pub fn judge(routing: &'a Routing, setting: &TargetGroup) -> Result<Self, Error> {
        let pair = Self::of(routing, setting)?;
        let mut faults: Vec<String> = pair.groups.iter().filter_map(|group| pair.unswitched(group)).collect();
        faults.extend(pair.groups.iter().filter_map(|group| pair.untagged(&group.arn, &group.name)));
        faults.extend(routing.switches.iter().filter_map(|switch| pair.untagged(&switch.arn, &switch.label)));
        faults.extend(routing.switches.iter().flat_map(|switch| pair.faults(switch)));
        faults.extend(routing.tests.iter().filter_map(test_traffic::fault));
        if faults.is_empty() {
            return Ok(pair);
        }
        let TargetGroup::Pair(selector) = setting else { return Ok(pair) };
        let selector = String::from(selector.clone());
        Err(Error::problems(format!("the switches of {selector} can't be used as they are"), &faults))
    }

    fn unswitched(&self, group: &Group) -> Option<String> {
        let switched = self.routing.switches.iter().any(|switch| switch.weight(&group.arn).is_some());
        (!switched).then(|| {
            format!(
                "target group {} is in no switch, so it is never health-checked: forward to both groups of the pair in \
                 each rule, one at weight 100, the other at 0",
                group.name
            )
        })
    }

    /// What a person has to do before tagship may change this group or switch.
    fn untagged(&self, arn: &str, name: &str) -> Option<String> {
        self.routing.untagged.contains(arn).then(|| {
            format!(
                "{name} doesn't have the tag tagship:service=<service role>, so tagship may not change it: aws elbv2 add-tags \
                 --resource-arns {arn} --tags Key=tagship:service,Value=<service role>"
            )
        })
    }

    /// What is wrong with a switch.
    fn faults(&self, switch: &Switch) -> Vec<String> {
        let ([a, b], label) = (self.groups, &switch.label);
        let mut faults = Vec::new();
        if switch.sticky {
            faults.push(format!(
                "{label} has group stickiness on: its clients would stay on the emptied group and get errors. Turn off the \
                 rule's stickiness, and that of both target groups: AWS refuses a rule of several groups without it while \
                 one of them has its own"
            ));
        }
        match (switch.weight(&a.arn), switch.weight(&b.arn)) {
            (Some(0), Some(0)) => {
                faults.push(format!("{label} gives weight to neither {} nor {}: set one to 100", a.name, b.name));
            }
            (Some(0), Some(_)) | (Some(_), Some(0)) => {}
            (Some(x), Some(y)) => faults.push(format!(
                "{label} gives weight to both groups ({}={x}, {}={y}): set the one that should not be live to 0",
                a.name, b.name
            )),
            (found, _) => {
                let (has, lacks) = if found.is_some() { (a, b) } else { (b, a) };
                faults.push(only(label, has, lacks));
            }
        }
        faults
    }

    /// The group that has no weight on any switch; none if the switches disagree.
    pub fn free(&self) -> Option<&'a Group> {
        self.groups.into_iter().find(|group| self.weighted(group).next().is_none())
    }

    /// The group for the next candidate: the free one. Switches that disagree are for a person to settle.
    pub fn candidate(&self) -> Result<&'a Group, Error> {
        self.free().ok_or_else(|| {
            let weights: Vec<String> =
                self.routing.weights().into_iter().map(|(switch, weights)| format!("{switch} has {weights}")).collect();
            Error::problems(
                "the switches don't give their weight to the same group: set all of them to one group",
                &weights,
            )
        })
    }

    /// The switches that give weight to a group.
    pub fn weighted(&self, group: &Group) -> impl Iterator<Item = &'a Switch> {
        let arn = group.arn.clone();
        self.routing.switches.iter().filter(move |switch| switch.weight(&arn).unwrap_or(0) > 0)
    }

    /// The other group.
    pub fn other(&self, group: &Group) -> &'a Group {
        if self.groups[0].arn == group.arn { self.groups[1] } else { self.groups[0] }
    }

    /// The group that most of a fleet is registered in, draining targets aside; of two alike the one with less
    /// weight, as somebody must have put a fleet that isn't live there.
    pub fn group_of(&self, fleet: &BTreeSet<&str>) -> Option<&'a Group> {
        let targets = |group: &Group| {
            group.targets.iter().filter(|target| target.counts() && fleet.contains(target.id.as_str())).count()
        };
        let registered = self.groups.into_iter().filter(|group| targets(group) > 0);
        registered.max_by_key(|group| (targets(group), std::cmp::Reverse(self.weighted(group).count())))
    }

    /// The releases that a group's targets belong to, with each one's healthy targets.
    pub fn releases_in(&self, group: &Group, instances: &[Instance]) -> BTreeMap<ReleaseId, u32> {
        let mut found = BTreeMap::new();
        for target in group.targets.iter().filter(|target| target.counts()) {
            let instance = instances.iter().find(|instance| instance.id == target.id);
            if let Some(release) = instance.and_then(|instance| instance.release.clone()) {
                *found.entry(release).or_insert(0) += u32::from(target.health == Health::Healthy);
            }
        }
        found
    }

    /// What a switch takes to give `share` of its weight to `group`, whatever a person made of it meanwhile.
    pub fn turn(&self, switch: &Switch, group: &Group, share: Share<'_>) -> Turn {
        let other = self.other(group);
        let (to, from) = match (switch.weight(&group.arn), switch.weight(&other.arn)) {
            (Some(_), None) if share.percent == 100 => return Turn::There,
            (Some(1..), Some(0)) if share.percent == 100 => return Turn::There,
            (Some(to), Some(from)) => (to, from),
            (Some(_), None) => return Turn::Fault(only(&switch.label, group, other)),
            (None, _) => return Turn::Fault(only(&switch.label, other, group)),
        };
        let Some((gets, leaves)) = self.divided(switch, share) else {
            return Turn::Fault(format!(
                "{} also gives weight to groups that aren't the pair's, and {} % of the pair's {} is no whole number: \
                 give the live group a weight that the steps divide, such as 100, and the others in proportion",
                switch.label,
                share.percent,
                self.total(switch, share)
            ));
        };
        if (to, from) == (gets, leaves) {
            return Turn::There;
        }
        self.untagged(&switch.arn, &switch.label).map_or(
            Turn::Step(Step::SetWeights {
                switch: switch.arn.clone(),
                label: switch.label.clone(),
                // One call moves both weights. What the pair has in all is kept, whatever ops chose.
                weights: vec![(group.arn.clone(), to, gets), (other.arn.clone(), from, leaves)],
                unstick: switch.sticky,
            }),
            Turn::Fault,
        )
    }

    /// What the pair's two groups have on a switch at a share: the one that it is for, then the other. Where the weight
    /// doesn't divide, of 100; none if a third group has weight, whose part of the traffic that would change.
    pub fn divided(&self, switch: &Switch, share: Share<'_>) -> Option<(u32, u32)> {
        let total = self.total(switch, share);
        let part = total * share.percent;
        if part.is_multiple_of(100) {
            return Some((part / 100, total - part / 100));
        }
        let ours = |arn: &str| self.groups.iter().any(|group| group.arn == arn);
        let third = switch.weights.iter().any(|(arn, weight)| *weight > 0 && !ours(arn));
        (!third).then_some((share.percent, 100 - share.percent))
    }

    /// Whether each switch can have each step.
    ///
    /// # Errors
    ///
    /// The switches that can't, all at once.
    pub fn fits(&self, shift: &Shift, split: Option<&Split>) -> Result<(), Error> {
        let shares = shift.steps.iter().map(|step| Share { percent: step.percent, split });
        let whole = |switch: &&Switch| !shares.clone().all(|share| self.divided(switch, share).is_some());
        let problem = |switch: &Switch| {
            format!(
                "{} also gives weight to groups that aren't the pair's, and the pair's own weight doesn't divide by the \
                 steps: give the live group a weight that does, such as 100, and the others in proportion",
                switch.label
            )
        };
        let problems: Vec<String> = self.routing.switches.iter().filter(whole).map(problem).collect();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Error::problems("SHIFT's steps don't fit the switches", &problems))
        }
    }

    /// The weight that the pair had on a switch before its traffic was divided.
    fn total(&self, switch: &Switch, share: Share<'_>) -> u32 {
        let now = || self.groups.iter().filter_map(|group| switch.weight(&group.arn)).sum::<u32>().min(WEIGHT_MAX);
        let total = share.split.and_then(|split| split.old.get(&switch.arn).copied()).unwrap_or_else(now);
        if total == 0 { 100 } else { total }
    }

    /// The first change that gives `group` everything, and what only a person can do.
    pub fn toward(&self, group: &Group, split: Option<&Split>) -> (Option<Step>, Vec<String>) {
        self.step(group, Share { percent: 100, split })
    }

    /// The first change that gives `group` its share on every switch, and what only a person can do.
    pub fn step(&self, group: &Group, share: Share<'_>) -> (Option<Step>, Vec<String>) {
        let (mut step, mut faults) = (None, Vec::new());
        for switch in &self.routing.switches {
            match self.turn(switch, group, share) {
                Turn::There => {}
                Turn::Step(found) => step = step.or(Some(found)),
                Turn::Fault(fault) => faults.push(fault),
            }
        }
        (step, faults)
    }
}

/// The greatest weight that AWS takes.
const WEIGHT_MAX: u32 = 999;

fn only(label: &str, has: &Group, lacks: &Group) -> String {
    format!("{label} forwards to {} only: add {} at weight 0", has.name, lacks.name)
}

/// How many of a group's targets are healthy.
pub fn healthy(group: &Group) -> u32 {
    group.targets.iter().filter(|target| target.health == Health::Healthy).count() as u32
}

/// Why targets aren't healthy, each with its reason, for people: `i-1 unhealthy (Target.Timeout: …)`.
pub fn ailing(group: &Group) -> String {
    let words: Vec<String> = group
        .targets
        .iter()
        .filter(|target| target.health != Health::Healthy)
        .map(|target| {
            let state = format!("{:?}", target.health).to_lowercase();
            match (&target.reason, &target.description) {
                (Some(reason), Some(description)) => format!("{} {state} ({reason}: {description})", target.id),
                (Some(reason), None) => format!("{} {state} ({reason})", target.id),
                _ => format!("{} {state}", target.id),
            }
        })
        .collect();
    crate::listed(words.iter().map(String::as_str))
}

#[cfg(test)]
mod tests;
