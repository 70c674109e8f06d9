//! What a launch stands on, and whether a release would go through: by the functions' own planners.

use super::{Check, Verdict};
use crate::commands::plan;
use crate::end::Failure;
use std::collections::BTreeSet;
use tagship::plan::{End, Line, Planned, What};
use tagship::settings::Settings;
use tagship::{Routing, ServiceRole, ground};
use tagship_aws::Account;

/// The image, the types, the subnets, the security groups and the ways between them.
pub(super) async fn check(account: &Account, settings: &Settings, routing: Option<&Routing>) -> Check {
    const PART: &str = "launch";
    const FIT: &str = "image, types, profile, quota, subnets and security groups fit each other";
    const UNSEEN: &str =
        "; whether the image has the CodeDeploy agent can't be seen: infra/README.md has a USER_DATA for it";
    let ground = match account.ground(settings, routing).await {
        Ok(ground) => ground,
        Err(error) => return Check::failed(PART, &error),
    };
    // Where something serves, the agent has installed it.
    let installed = routing.into_iter().flat_map(|it| &it.groups).any(|group| !group.targets.is_empty());
    let ports: BTreeSet<u16> = routing.into_iter().flat_map(|it| &it.groups).map(|group| group.port).collect();
    let found = ground::problems(&ground, settings, &ports, account.passes());
    match (found.errors.is_empty(), found.warnings.is_empty()) {
        (false, _) => Check::new(PART, Verdict::Error, [found.errors, found.warnings].concat()),
        (true, false) => Check::new(PART, Verdict::Warning, found.warnings),
        (true, true) => Check::fine(PART, format!("{FIT}{}", if installed { "" } else { UNSEEN })),
    }
}

/// Whether the next release would go through, as `tagship plan` tells it step by step.
pub(super) async fn release(account: &Account, role: &ServiceRole, settings: &Settings) -> Check {
    const PART: &str = "release";
    let Some(pipeline) = &settings.pipeline else { return Check::skipped(PART, "pipeline") };
    let plan = match plan::made(account, role, settings, pipeline).await {
        Ok(plan) => plan,
        Err(Failure::Refused(error)) => return Check::failed(PART, &error),
        Err(failure) => return Check::new(PART, Verdict::Error, vec![failure.to_string()]),
    };
    match plan.ends {
        End::Released | End::Parked => Check::fine(PART, format!("it would go through: tagship plan {role}")),
        End::Fails => Check::new(PART, Verdict::Error, plan.actions.last().map(fails).unwrap_or_default()),
        End::Unknown => {
            let unread = plan.unavailable.iter().map(|it| format!("{}: {}", it.part, it.why)).collect();
            Check::new(PART, Verdict::Unknown, unread)
        }
    }
}

/// The words of the planner, without what it says of a release that there isn't yet.
fn fails(planned: &Planned) -> Vec<String> {
    let failure = planned.lines.iter().rev().find(|line| line.what == What::Fails);
    let words = |line: &Line| line.says.split("Left behind of release").next().unwrap_or_default().trim().to_owned();
    let text = failure.map(words).unwrap_or_default();
    text.split("\n- ").map(|each| format!("{}: {each}", planned.action)).collect()
}
