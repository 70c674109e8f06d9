//! Rule 10 and rule 13: a shift in steps moves by its plan alone, and what goes back stays back.

use super::{Act, Checks, LATE};
use crate::cloud::{Build, Cloud, Switch};
use crate::past::{MINUTE, Ms, SECOND, timestamp};
use std::collections::BTreeSet;
use tagship::settings::OnAlarm;
use tagship::{Action, AlarmState, Health, Hold, Job, Phase, ReleaseId, ServiceRole};

/// Guard looks every minute; its events may get lost, and AWS may throttle.
const UNHEARD: Ms = 12 * MINUTE;

/// So long a release that has failed may keep the traffic of its shift: with throttling, lost invocations, and Lambda's
/// waits before it tries again.
const STRANDED: Ms = 20 * MINUTE;

/// Requests a minute by which even a candidate of 1 % can be judged.
const MUCH: u64 = 6_000;

/// In a step that has stood for so long, there are whole minutes enough: two, the first one, three that are late, what
/// is missing of a minute at both ends, and a minute from look to look.
const TELLING: Ms = 9 * MINUTE;

impl Checks {
    /// Right before a weight is set: only the plan in the hold divides a switch, and nothing that goes back is moved
    /// forward.
    pub(super) fn divided(&mut self, cloud: &Cloud, act: Act<'_>, arn: &str, weights: &[(String, u32, u32)]) {
        let Job { role, release, action, .. } = act.job;
        let Some((hold, _)) = cloud.holds.get(role).filter(|(hold, _)| hold.release == *release) else { return };
        let Some(switch) = cloud.switches.get(arn) else { return };
        let given = |group: &str| weights.iter().find(|(of, _, _)| of == group).map(|(_, _, to)| *to);
        let Some(own) = hold.group.as_deref() else { return };
        let (Some(to), Some(rest)) = (given(own), weights.iter().find(|(of, _, _)| of != own).map(|it| it.2)) else {
            return;
        };
        if to > 0 && rest > 0 && !planned(cloud, role, hold, switch, (to, rest)) {
            let what = format!("{action} of {} divides {} {to} to {rest}: not its plan", release.short(), switch.label);
            self.broken(cloud.now, 13, role, format!("{arn} {release} {to}"), || what);
        }
        let had = switch.weights.now().iter().find(|(of, _)| of == own).map_or(0, |(_, weight)| *weight);
        let turned = self.turned_back.get(&(role.clone(), release.clone()));
        // Rollback decides by itself what serves, where nothing can be restored.
        let listens = matches!(action, Action::Shift | Action::Guard);
        let forward = listens && to > had && turned.is_some_and(|at| *at + LATE < act.sent);
        // Where what was live before can't serve, the better one gets everything. A describe may be behind, or not.
        let seen = [act.looked - cloud.nature.lag, act.looked];
        if forward && rest == 0 && seen.into_iter().any(|at| better(cloud, own, weights, at)) {
            return;
        }
        if forward {
            let what =
                format!("{action} of {} moves {} forward after it was to go back", release.short(), switch.label);
            self.broken(cloud.now, 10, role, format!("{arn} {release} forward"), || what);
        }
        // Less than it has, but not nothing, is the late call of a process that has died in the step before.
        if *action == Action::Shift && to == 0 && had > 0 && hold.back.is_none() && hold.phase == Phase::Open {
            let what = format!("shift of {} gives {} back, and hasn't written why", release.short(), switch.label);
            self.broken(cloud.now, 10, role, format!("{arn} {release} unwritten"), || what);
        }
    }

    /// Right before the hold is written: a step follows another once that has stood, and on every switch.
    pub(super) fn stepped(&mut self, cloud: &Cloud, act: Act<'_>, to: &Hold) {
        let Job { role, release, .. } = act.job;
        let Some((from, _)) = cloud.holds.get(role).filter(|(hold, _)| hold.release == *release) else { return };
        if from.back.is_some() && (to.back.is_none() || to.phase == Phase::Approved) {
            let what = format!("{} forgets that its traffic goes back", release.short());
            self.broken(cloud.now, 10, role, format!("{release} forgets"), || what);
        }
        if to.phase == Phase::Approved {
            self.deaf(cloud, act, from);
        }
        self.compared(cloud, act, from, to);
        let (Some(was), Some(is)) = (&from.split, &to.split) else { return };
        let own = to.group.as_deref().unwrap_or_default();
        let other = cloud.groups.iter().find(|(arn, group)| group.service == *role && *arn != own);
        let weak = other
            .is_some_and(|(arn, _)| healthy(cloud, arn, act.looked, false) < healthy(cloud, own, act.looked, true));
        if is.step > was.step && !weak {
            // By the settings themselves: the hold is what may be wrong.
            let steps = cloud.services.get(role).map(|service| &service.settings.shift.steps);
            let bake = steps.and_then(|steps| steps.get(was.step)).map_or(0, |step| Ms::from(step.bake_secs) * SECOND);
            let stood =
                was.since.is_some_and(|since| since + jiff::SignedDuration::from_millis(bake) <= timestamp(cloud.now));
            if !stood || is.step != was.step + 1 {
                let what = format!("{} goes on to {} % too early", release.short(), is.to);
                self.broken(cloud.now, 13, role, format!("{release} early {}", is.to), || what);
            }
        }
        if is.since.is_some() && was.since.is_none() {
            let behind =
                cloud.switches.values().filter(|it| it.service == *role && it.by_hand.is_none()).find(|switch| {
                    let weight =
                        switch.weights.now().iter().find(|(arn, _)| arn == own).map_or(0, |(_, weight)| *weight);
                    weight == 0
                });
            if let Some(behind) = behind {
                let what = format!("{} has {} % nowhere on {}", release.short(), is.to, behind.label);
                self.broken(cloud.now, 13, role, format!("{release} stands {}", is.to), || what);
            }
        }
    }

    /// Right before the hold is written: a candidate that fails more often is given back by its figures, and no other.
    fn compared(&mut self, cloud: &Cloud, act: Act<'_>, from: &Hold, to: &Hold) {
        let Job { role, release, .. } = act.job;
        let errs = |release: &ReleaseId| cloud.build(release) == Build::Errs;
        let blamed = |back: &tagship::Back| back.why.starts_with("the release fails more often");
        if from.back.is_none() && to.back.as_ref().is_some_and(blamed) && !errs(release) {
            let what = format!("{} is sound, and goes back for its errors", release.short());
            self.broken(cloud.now, 10, role, format!("{release} sound"), || what);
        }
        let Some(service) = cloud.services.get(role).filter(|it| it.requests >= MUCH && it.settings.compare.is_some())
        else {
            return;
        };
        let (Some(was), Some(is), Some(late)) = (&from.split, &to.split, cloud.nature.figures) else { return };
        let before = from.previous.as_ref().and_then(|previous| previous.release.as_ref());
        let sound = before.is_some_and(|before| !errs(before));
        let stood =
            was.since.is_some_and(|since| since + jiff::SignedDuration::from_millis(TELLING) < timestamp(cloud.now));
        let weighted = |group: &String| cloud.weighted_since(cloud.now).contains(group.as_str());
        let divided = service.groups.iter().all(weighted);
        if is.step == was.step + 1 && stood && divided && errs(release) && sound && late <= 3 * MINUTE {
            let what = format!("{} goes on to {} %, and fails a fifth of its requests", release.short(), is.to);
            self.broken(cloud.now, 10, role, format!("{release} errs {}", is.to), || what);
        }
    }

    /// Right before an approval: an alarm that has rung for long sends the traffic back first.
    fn deaf(&mut self, cloud: &Cloud, act: Act<'_>, hold: &Hold) {
        let Job { role, release, .. } = act.job;
        let Some(service) = cloud.services.get(role) else { return };
        let Some(moved) = hold.moved_at.filter(|_| service.settings.on_alarm == OnAlarm::Rollback) else { return };
        let guarded = moved + jiff::SignedDuration::from_secs(service.settings.guard_secs.into());
        let rings = |name: &&String| {
            let Some(alarm) = cloud.alarms.get(*name) else { return false };
            let since = alarm.changed();
            *alarm.now() == AlarmState::Alarm
                && since + UNHEARD < cloud.now
                && timestamp(since + UNHEARD) < guarded
                && moved + jiff::SignedDuration::from_millis(UNHEARD) < timestamp(cloud.now)
                && !hold.ringing.contains(name)
        };
        if let Some(name) = self.heard.get(release).into_iter().flatten().find(rings) {
            let what = format!("{} is approved, and {name} rings", release.short());
            self.broken(cloud.now, 10, role, format!("{release} deaf"), || what);
        }
    }

    /// At any time: while a shift goes on, no release keeps traffic that it can't serve and its predecessor could.
    pub fn stranded(&mut self, cloud: &Cloud) {
        let long = |changed: Ms| changed + STRANDED < cloud.now;
        for (role, (hold, _)) in &cloud.holds {
            let (Some(previous), Some(own)) = (&hold.previous, &hold.group) else { continue };
            if hold.moved_at.is_some() || hold.phase != Phase::Open {
                continue;
            }
            let Some(service) = cloud.services.get(role) else { continue };
            let alike = |arn: &String, health: fn(Option<Health>) -> bool| {
                let targets = cloud.groups.get(arn).into_iter().flat_map(|group| group.targets.values());
                let mut counted = 0;
                let all = targets.filter(|it| it.counts()).all(|it| {
                    counted += 1;
                    health(*it.health.now()) && long(it.health.changed())
                });
                if all { counted } else { 0 }
            };
            let fails = alike(own, |health| health != Some(Health::Healthy)) > 0;
            let others = service.groups.iter().filter(|arn| *arn != own);
            let could = others.map(|arn| alike(arn, |health| health == Some(Health::Healthy))).sum::<u32>();
            let mut switches = service.switches.iter().filter_map(|arn| cloud.switches.get(arn));
            let kept = switches.find(|switch| {
                let weighted = switch.weights.now().iter().any(|(arn, weight)| arn == own && *weight > 0);
                weighted && switch.by_hand.is_none() && long(switch.weights.changed())
            });
            if let Some(switch) = kept.filter(|_| fails && could >= previous.healthy.max(1)) {
                let what = format!("{} keeps traffic of {}, and has failed", hold.release.short(), switch.label);
                self.broken(cloud.now, 13, role, format!("{} stranded", hold.release), || what);
            }
        }
    }

    /// Once the day is over: no switch is left divided but by a person, or because a person then kept it from tagship.
    pub(super) fn undivided(&mut self, cloud: &Cloud) {
        let divided: BTreeSet<(ServiceRole, String)> = cloud
            .switches
            .values()
            .filter(|switch| switch.by_hand.is_none())
            .filter(|switch| switch.withheld.is_none_or(|at| at < switch.weights.changed()))
            .filter(|switch| switch.weights.now().iter().filter(|(_, weight)| *weight > 0).count() > 1)
            .map(|switch| (switch.service.clone(), switch.label.clone()))
            .collect();
        for (role, label) in divided {
            self.broken(cloud.now, 13, &role, format!("left {label}"), || format!("{label} stays divided"));
        }
    }

    /// Remembers when a hold says that its traffic goes back.
    pub(super) fn goes_back(&mut self, now: Ms, role: &ServiceRole, hold: &Hold) {
        if hold.back.is_some() {
            self.turned_back.entry((role.clone(), hold.release.clone())).or_insert(now);
        }
    }
}

/// Whether the hold's plan has these numbers for a switch: of the settings that the service has had, by its own weight,
/// or of 100.
fn planned(cloud: &Cloud, role: &ServiceRole, hold: &Hold, switch: &Switch, (to, rest): (u32, u32)) -> bool {
    let Some(service) = cloud.services.get(role) else { return false };
    let total = hold.split.as_ref().and_then(|split| split.old.get(switch_arn(cloud, switch)).copied()).unwrap_or(100);
    service.settings.shift.steps.iter().any(|step| {
        let exact = total * step.percent == to * 100 && to + rest == total;
        exact || (to == step.percent && to + rest == 100)
    })
}

fn switch_arn<'a>(cloud: &'a Cloud, switch: &Switch) -> &'a str {
    cloud.switches.iter().find(|(_, it)| std::ptr::eq(*it, switch)).map_or("", |(arn, _)| arn)
}

/// Whether the release's group had more healthy targets than the others, when it was looked at.
pub(super) fn better(cloud: &Cloud, own: &str, weights: &[(String, u32, u32)], from: Ms) -> bool {
    let mut others = weights.iter().map(|(arn, _, _)| arn.as_str()).filter(|arn| *arn != own);
    others.all(|arn| healthy(cloud, arn, from, false) < healthy(cloud, own, from, true))
}

/// Targets that were healthy then. Of another release, one whose release tag somebody has removed is nobody's.
fn healthy(cloud: &Cloud, arn: &str, from: Ms, own: bool) -> usize {
    let targets = cloud.groups.get(arn).into_iter().flat_map(|group| &group.targets);
    let tagged = |id: &str| cloud.instances.get(id).is_none_or(|it| it.face.now().release.is_some());
    let healthy = targets.filter(|(_, it)| it.health.at(from).is_some_and(|is| *is == Some(Health::Healthy)));
    healthy.filter(|((id, _), _)| own || tagged(id)).count()
}

/// Whose traffic goes back, and since when.
pub(super) type TurnedBack = std::collections::BTreeMap<(ServiceRole, ReleaseId), Ms>;
