//! Rule 15: where rules for test traffic lead, and that nothing goes to which they lead.

use super::{Act, Checks, UNSEEN, UNWATCHED};
use crate::cloud::{Cloud, TestRule};
use crate::past::Ms;
use tagship::{Ended, Health, HowEnded, Phase, ServiceRole};

impl Checks {
    /// A rule is led to what has weight, or to a candidate that is whole. What the world does between the look and the
    /// change counts as it was at the look.
    pub(super) fn pointed(&mut self, cloud: &Cloud, act: Act<'_>, to: &String) {
        let (role, release) = (&act.job.role, &act.job.release);
        let from = act.looked - cloud.nature.lag;
        let by_hand = cloud.switches.values().any(|switch| switch.service == *role && switch.by_hand.is_some());
        let Some(group) = cloud.groups.get(to) else { return };
        if by_hand || cloud.weighted_since(from).contains(to.as_str()) {
            return;
        }
        let counted: Vec<_> = group.targets.iter().filter(|(_, target)| target.counts() && !target.stranger).collect();
        let unchanged = group.targets.values().all(|target| target.health.changed() < from);
        let good = |id: &String| {
            let faces = cloud.instances.get(id).map(|it| it.face.since(from));
            faces.into_iter().flatten().any(|face| face.release.as_ref() == Some(release))
        };
        let healthy =
            counted.iter().filter(|((id, _), it)| *it.health.now() == Some(Health::Healthy) && good(id)).count();
        let count = cloud.holds.get(role).map_or(1, |(hold, _)| hold.settings.count as usize);
        if unchanged && (healthy != count || counted.len() != count) {
            self.broken(cloud.now, 15, role, format!("pointed {to} {release}"), || {
                format!("test traffic is led to {} with {healthy} of {count} good targets", group.name)
            });
        }
    }

    /// The group of a target that is removed, if test traffic leads to it, or led to it within `settle` for long enough to
    /// be seen.
    pub(super) fn tested(&mut self, cloud: &Cloud, act: Act<'_>, id: &str, target: Option<&String>, settle: Ms) {
        let role = &act.job.role;
        let from = cloud.now - settle;
        let unseen = |rule: &TestRule| rule.by_hand.is_some_and(|at| at > from - UNSEEN);
        let mut rules = cloud.tests.values().filter(|rule| rule.service == *role && !unseen(rule));
        let led = rules.find_map(|rule| {
            rule.groups.lasted(from, UNWATCHED).flatten().find(|arn| {
                let registered = |target: &crate::cloud::Target| {
                    target.health.since(from).flatten().any(|health| *health != Health::Draining)
                };
                target.is_none_or(|is| is == *arn)
                    && cloud.groups.get(*arn).is_some_and(|group| {
                        group.targets.iter().any(|((of, _), target)| of == id && registered(target))
                    })
            })
        });
        if let Some(arn) = led.cloned() {
            self.broken(cloud.now, 15, role, format!("tested {id} {}", act.step), || {
                format!("{} removes {id} from {arn}, to which test traffic leads or led within SETTLE", act.job.action)
            });
        }
    }

    /// A release that has ended leaves test traffic with what is live.
    pub(super) fn tests_left(&mut self, cloud: &Cloud, role: &ServiceRole, ended: &Ended) {
        let by_hand = cloud.switches.values().any(|switch| switch.service == *role && switch.by_hand.is_some());
        let Some((hold, _)) = cloud.holds.get(role).filter(|(hold, _)| hold.release == ended.release) else { return };
        if by_hand || hold.phase == Phase::Open || matches!(ended.how, HowEnded::Parked | HowEnded::Kept) {
            return;
        }
        let weighted = cloud.weighted_since(cloud.now);
        // What a person has led elsewhere is theirs until the next release leads it.
        let own = |rule: &&TestRule| rule.by_hand != Some(rule.groups.changed());
        for rule in cloud.tests.values().filter(|rule| rule.service == *role).filter(own) {
            if !rule.groups.now().iter().all(|arn| weighted.contains(arn.as_str())) {
                self.broken(cloud.now, 15, role, format!("left {}", ended.release), || {
                    format!("{} ends, and test traffic still leads to {:?}", ended.release.short(), rule.groups.now())
                });
            }
        }
    }
}
