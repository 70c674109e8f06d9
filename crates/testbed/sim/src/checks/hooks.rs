//! Rule 16: a release moves on only by what its hooks have said.

use super::{Act, Checks};
use crate::cloud::Cloud;
use tagship::settings::{Hook, HookPoint};
use tagship::{Action, CallId, Hold, HookAnswer, HookRun, Job, Phase, ReleaseId, ServiceRole};

impl Checks {
    /// A process hears what its call of a hook was answered.
    pub fn heard(&mut self, role: &ServiceRole, release: &ReleaseId, id: CallId, answer: &HookAnswer) {
        if *answer == HookAnswer::Succeeded {
            self.passed.insert((role.clone(), release.clone(), id));
        }
    }

    /// Right before the hold is written: a hook has been passed if its own call says so, and an approval comes after all
    /// of them.
    pub(super) fn hooked(&mut self, cloud: &Cloud, act: Act<'_>, to: &Hold) {
        let Job { role, release, .. } = act.job;
        let Some((from, _)) = cloud.holds.get(role).filter(|(hold, _)| hold.release == *release) else { return };
        if let Some(is) = to.hook.as_ref().filter(|is| is.number > 0 && from.hook.as_ref() != Some(is)) {
            let went_on = |was: &HookRun| (was.point, was.number + 1) == (is.point, is.number);
            let same = |was: &HookRun| (was.point, was.number) == (is.point, is.number);
            let key = |was: &HookRun| (role.clone(), release.clone(), was.call());
            let was = from.hook.as_ref();
            let sound = was.is_some_and(|was| same(was) || (went_on(was) && self.passed.contains(&key(was))));
            if !sound {
                let what = format!(
                    "{} goes on to hook {} of {:?}, and the one before hasn't passed it",
                    release.short(),
                    is.number + 1,
                    is.point
                );
                self.broken(cloud.now, 16, role, format!("{release} hook {:?} {}", is.point, is.number), || what);
            }
        }
        if to.phase == Phase::Approved && from.phase == Phase::Open && !passed(cloud, role, to, HookPoint::AfterShift) {
            let what = format!("{} is approved before its hooks have passed it", release.short());
            self.broken(cloud.now, 16, role, format!("{release} approved unhooked"), || what);
        }
    }

    /// Right before shift gives a release more weight: every hook before the shift has passed it.
    pub(super) fn unhooked(&mut self, cloud: &Cloud, act: Act<'_>, arn: &str, weights: &[(String, u32, u32)]) {
        let Job { role, release, action, .. } = act.job;
        let Some((hold, _)) = cloud.holds.get(role).filter(|(hold, _)| hold.release == *release) else { return };
        let more = weights.iter().any(|(group, had, to)| hold.group.as_ref() == Some(group) && to > had);
        if *action == Action::Shift && more && hold.back.is_none() && !passed(cloud, role, hold, HookPoint::BeforeShift)
        {
            let what = format!("{} gets weight before its hooks have passed it", release.short());
            self.broken(cloud.now, 16, role, format!("{arn} {release} unhooked"), || what);
        }
    }
}

/// Whether the hold says that it has passed the hooks of this point. By the settings themselves: the hold's may be wrong.
fn passed(cloud: &Cloud, role: &ServiceRole, hold: &Hold, point: HookPoint) -> bool {
    let hooks: &[Hook] = cloud.services.get(role).map_or(&[], |service| service.settings.hooks.at(point));
    let run = hold.hook.as_ref();
    hooks.is_empty() || run.is_some_and(|run| run.point > point || (run.point == point && run.number >= hooks.len()))
}

/// Which calls of hooks were answered SUCCEEDED to whom made them.
pub(super) type Passed = std::collections::BTreeSet<(ServiceRole, ReleaseId, CallId)>;
