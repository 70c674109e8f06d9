//! Deploy: installs the artifact on the fleet, registers it in the free group, and waits until it is healthy.

mod install;
mod targets;
#[cfg(test)]
mod tests;

use crate::names::Names;
use crate::pair::Pair;
use crate::settings::TargetGroup;
use crate::{
    Artifact, Decision, Done, First, Held, Instance, InstanceState, Kind, Memo, Reads, Report, Situation, Stage,
    Verdict, listed,
};
use std::ops::ControlFlow::{Break, Continue};

/// So many looks in a row must find another fleet than `COUNT` running instances: describes lag, and a
/// second provision may still be taking its surplus away.
const ROUNDS: u8 = 10;

/// The planner of deploy.
#[derive(Debug)]
pub struct Deploy;

impl Stage for Deploy {
    const READS: Reads = Reads { instances: true, routing: true, install: true, artifact: true, ..Reads::NOTHING };

    fn decide(now: &Situation<'_>, memo: &mut Memo) -> Decision {
        let first = match (now.verdict, now.held()) {
            (Verdict::Act, Some(held)) => act(now, held, memo),
            (verdict, _) => Decision::bug(format!("deploy can't {verdict:?} here")),
        };
        match first {
            Continue(done) => Decision::Done(done),
            Break(decision) => decision,
        }
    }
}

/// Towards a fleet that could take the traffic. A break is what comes first.
fn act(now: &Situation<'_>, held: &Held, memo: &mut Memo) -> First<Done> {
    let hold = &held.hold;
    if hold.previous.is_some() {
        // A late invocation: by now the free group is its predecessor's.
        let done = done(now, held, hold.artifact.as_ref(), "already deployed, the shift has begun: ");
        return Continue(Done { nothing: true, ..done });
    }
    let pair = pair(now, held)?;
    let group = match &pair {
        Some(pair) => Some(free_group(now, pair, memo)?),
        None => None,
    };
    let fleet = whole(now, held, memo)?;
    let artifact = artifact(now, held)?;
    let deployment = install::installed(now, held, memo, &fleet, artifact)?;
    if let Some(group) = group {
        targets::healthy(now, held, memo, &fleet, group)?;
    }
    // CodeDeploy may tell whole seconds.
    let already = deployment.created_at.as_second() < memo.began.as_second();
    Continue(done(now, held, Some(artifact), if already { "already deployed: " } else { "" }))
}

fn pair<'a>(now: &Situation<'a>, held: &Held) -> First<Option<Pair<'a>>> {
    match (&held.hold.settings.target_group, &now.world.routing) {
        (TargetGroup::None, _) => Continue(None),
        (_, None) => Decision::bug("deploy has not read the pair"),
        (setting, Some(routing)) => match Pair::judge(routing, setting) {
            Ok(pair) => Continue(Some(pair)),
            Err(error) => Break(now.give_up(error.kind, error)),
        },
    }
}

/// The group that no switch gives weight to, and since when it has been seen so.
fn free_group<'a>(now: &Situation<'_>, pair: &Pair<'a>, memo: &mut Memo) -> First<&'a crate::Group> {
    let group = match pair.candidate() {
        Ok(group) => group,
        Err(error) => return Break(now.give_up(error.kind, error)),
    };
    memo.weightless.get_or_insert(now.world.since());
    let weighted = pair.other(group);
    let fleet = now.world.fleet(&now.job.release).map(|instance| instance.id.as_str()).collect();
    match pair.group_of(&fleet) {
        Some(home) if home.arn == weighted.arn => Break(now.give_up(
            Kind::Configuration,
            format!(
                "instances of this release are targets of {}, which has the weight already ({}). Somebody else changed \
                 weights or targets: set the weights back to the group of the release that is live",
                weighted.name,
                pair.routing.weights().into_iter().map(|(switch, weights)| format!("{switch}: {weights}")).collect::<Vec<_>>().join("; ")
            ),
        )),
        _ => Continue(group),
    }
}

/// The fleet's ids, sorted, if exactly `COUNT` instances run. Deploy doesn't heal it.
fn whole<'a>(now: &Situation<'a>, held: &Held, memo: &mut Memo) -> First<Vec<&'a str>> {
    let count = held.hold.settings.count as usize;
    let fleet = || now.world.fleet(&now.job.release);
    let running = |instance: &&Instance| instance.state == InstanceState::Running;
    let mut ids: Vec<&str> = fleet().filter(running).map(|instance| instance.id.as_str()).collect();
    if ids.len() == count && fleet().filter(|instance| instance.alive()).count() == count {
        memo.dips = 0;
        ids.sort_unstable();
        return Continue(ids);
    }
    let others: Vec<String> = fleet()
        .filter(|instance| !running(instance))
        .map(|instance| match &instance.reason {
            Some(reason) => format!("{} is {:?} ({reason})", instance.id, instance.state),
            None => format!("{} is {:?}", instance.id, instance.state),
        })
        .collect();
    let mut found = format!("{} instances of this release run, COUNT is {count}", ids.len());
    if !others.is_empty() {
        found = format!("{found}: {}", listed(others.iter().map(String::as_str)));
    }
    memo.dips = memo.dips.saturating_add(1);
    Break(if memo.dips < ROUNDS {
        Decision::Wait(format!("the fleet to be whole; {found}"))
    } else {
        now.give_up(Kind::Release, format!("{found}. Deploy doesn't mend a fleet"))
    })
}

/// What is installed: chosen once, and written down before anything else is changed.
fn artifact<'a>(now: &Situation<'_>, held: &'a Held) -> First<&'a Artifact> {
    match (&held.hold.artifact, &now.world.artifact) {
        (Some(artifact), _) => Continue(artifact),
        (None, Some(Ok(found))) => {
            let step = Situation::rewrite(held, |hold| hold.artifact = Some(found.clone()));
            Break(Decision::act(step, "what is installed is chosen once"))
        }
        (None, Some(Err(why))) => Break(now.give_up(Kind::Release, why)),
        (None, None) => Break(now.give_up(
            Kind::Configuration,
            "there is nothing to install: give the deploy action an input artifact, or set ARTIFACT",
        )),
    }
}

fn done(now: &Situation<'_>, held: &Held, artifact: Option<&Artifact>, preface: &str) -> Done {
    let world = now.world;
    let hold = &held.hold;
    let running = world.fleet(&hold.release).filter(|instance| instance.state == InstanceState::Running);
    let mut ids: Vec<String> = running.map(|instance| instance.id.clone()).collect();
    ids.sort_unstable();
    let deployment = world.install.as_ref().and_then(|install| install.deployment.as_ref());
    let deployment = deployment.map_or("none", |deployment| &deployment.id);
    let artifact = artifact.map_or("none".to_owned(), Artifact::to_string);
    let mut message = format!("{preface}{artifact} is installed on {} instances (deployment {deployment})", ids.len());
    let pair = world.routing.as_ref().and_then(|routing| Pair::judge(routing, &hold.settings.target_group).ok());
    let fleet = ids.iter().map(String::as_str).collect();
    let healthy = pair.and_then(|pair| pair.group_of(&fleet)).map(|group| {
        let healthy = targets::own(group, &hold.settings, |id| fleet.contains(id)).filter(targets::is_healthy).count();
        message.push_str(&format!(", {healthy} targets are healthy in {}", group.name));
        healthy
    });
    let name = hold.settings.zone.as_ref().map(|zone| Names::Candidate.fleet_name(&now.job.role, zone));
    Done {
        message,
        outputs: vec![
            ("DeploymentId", deployment.to_owned()),
            ("HealthyTargets", healthy.map_or("none".to_owned(), |healthy| healthy.to_string())),
            ("Artifact", artifact),
        ],
        report: Report { names: name.into_iter().collect(), instances: ids, ..now.report() },
        ..Done::default()
    }
}
