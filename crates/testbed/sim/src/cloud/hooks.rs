//! Functions that are hooks. Their name says how they answer: some fail, some hang, some are never done.

use super::{Build, Cloud};
use crate::past::{Ms, SECOND};
use rand::RngExt;
use tagship::{HookAnswer, HookCall, ReleaseId, ServiceRole};

/// How hooks answer, by their function's name.
pub const HOOKS: [&str; 6] = ["passes", "judges", "slow", "hangs", "endless", "fickle"];

/// The adapter waits for an answer at most so long.
const CALL: Ms = 60 * SECOND;
/// So often a slow hook isn't done yet.
const SLOW: usize = 2;

impl Cloud {
    /// What the function of a hook answers, and when. It is called as often as somebody calls it.
    pub fn hook(&mut self, role: &ServiceRole, release: &ReleaseId, call: &HookCall) -> (Ms, HookAnswer) {
        let of = (role.clone(), release.clone(), call.id.point, call.id.number);
        let calls = self.hook_calls.entry(of).or_default();
        *calls += 1;
        let calls = *calls;
        let soon = self.rng.random_range(SECOND..20 * SECOND);
        let later = HookAnswer::InProgress { delay_secs: self.rng.random_range(1..40), details: None };
        let failed = || HookAnswer::Failed("it answered FAILED".to_owned());
        let late = || HookAnswer::Failed("it gave no answer within 60 s".to_owned());
        match call.function.as_str() {
            "judges" if self.build(release) == Build::Errs => (soon, failed()),
            "slow" if calls <= SLOW => (soon, later),
            "hangs" => (CALL, late()),
            "endless" => (soon, later),
            "fickle" => match self.rng.random_range(0..10) {
                0 => (soon, failed()),
                1 => (CALL, late()),
                2..4 => (soon, HookAnswer::Unheard("Rate Exceeded".to_owned())),
                4..7 => (soon, later),
                _ => (soon, HookAnswer::Succeeded),
            },
            _ => (soon, HookAnswer::Succeeded),
        }
    }
}
