//! Provision: takes the hold, launches the fleet, gives it addresses and names.

mod address;
mod fleet;
#[cfg(test)]
mod tests;

use crate::names::{self, Names};
use crate::pair::Pair;
use crate::settings::{Settings, TargetGroup};
use crate::{
    Decision, Done, Error, First, Held, Hold, Instance, InstanceState, Kind, Memo, Phase, Reads, Report, Situation,
    Stage, Step, Verdict, World, cleanup, listed,
};
use jiff::{SignedDuration, Timestamp};
use std::ops::ControlFlow::{Break, Continue};

/// How long after its execution's end a holder is given to end by itself.
const GRACE: SignedDuration = SignedDuration::from_secs(30);
/// How often a holder is said to be abandoned.
const REMIND: SignedDuration = SignedDuration::from_secs(60);
/// From taking the hold, provision goes on for so many times `BOOT`: three tries of an instance, and slack.
const BOOTS: i64 = 4;

/// The planner of provision.
#[derive(Debug)]
pub struct Provision;

impl Stage for Provision {
    const READS: Reads = Reads {
        settings: true,
        holder: true,
        instances: true,
        routing: true,
        addresses: true,
        names: true,
        ..Reads::NOTHING
    };

    fn decide(now: &Situation<'_>, memo: &mut Memo) -> Decision {
        let first = match (now.verdict, now.held(), &now.holding.held) {
            (Verdict::Take, _, found) => take(now, found.as_ref()),
            (Verdict::AwaitHolder, _, Some(holder)) => Break(await_holder(now.world, holder, memo)),
            (Verdict::Act, Some(held), _) if held.hold.artifact.is_some() => deployed(now, held),
            (Verdict::Act, Some(held), _) => act(now, held, memo),
            (verdict, ..) => Decision::bug(format!("provision can't {verdict:?} here")),
        };
        let gives_up =
            now.held().is_some_and(|held| held.hold.artifact.is_none() && now.world.now > deadline(&held.hold, memo));
        match first {
            Continue(done) => Decision::Done(done),
            Break(decision @ Decision::Fail(_)) => decision,
            Break(undone) if gives_up => {
                let what = match undone {
                    Decision::Do { step, .. } => step.to_string(),
                    Decision::Wait(why) => format!("wait for {why}"),
                    other => format!("{other:?}"),
                };
                let message = format!("provision gives up {BOOTS} × BOOT after it took the hold: it would {what}");
                now.give_up(Kind::Release, message)
            }
            Break(decision) => decision,
        }
    }
}

/// When provision gives up. That AWS throttles isn't the release's fault.
fn deadline(hold: &Hold, memo: &Memo) -> Timestamp {
    let secs = BOOTS * i64::from(hold.settings.timeouts.boot_secs) + i64::from(memo.throttled_secs);
    hold.since + SignedDuration::from_secs(secs)
}

/// Checks all that can be checked before anything is launched, and takes the hold.
fn take(now: &Situation<'_>, freed: Option<&Held>) -> First<Done> {
    let world = now.world;
    let Some(offer) = &world.settings else {
        return Decision::bug("provision has read no settings");
    };
    if let Err(error) = check_pair(&offer.settings, world) {
        return Break(Decision::Fail(error));
    }
    let hold = Hold {
        release: now.job.release.clone(),
        pipeline: now.job.pipeline.clone(),
        since: world.now,
        phase: Phase::Open,
        settings: offer.settings.clone(),
        artifact: None,
        previous: None,
        moved_at: None,
    };
    let etag = freed.map(|held| held.etag.clone());
    Break(Decision::act(Step::WriteHold { hold: Box::new(hold), etag }, "the service is free"))
}

/// A release that could never go live isn't launched.
fn check_pair(settings: &Settings, world: &World) -> Result<(), Error> {
    match (&settings.target_group, &world.routing) {
        (TargetGroup::None, _) => Ok(()),
        (pair, Some(routing)) => Pair::judge(routing, pair)?.candidate().map(|_| ()),
        (_, None) => Err(Error::new(Kind::Bug, "tagship: provision has not read the pair")),
    }
}

fn await_holder(world: &World, holder: &Held, memo: &mut Memo) -> Decision {
    let hold = &holder.hold;
    let due = memo.abandoned.is_none_or(|told| world.now.duration_since(told) >= REMIND);
    let ended = world.holder.as_ref().and_then(|execution| {
        let quiet = world.now.duration_since(execution.updated_at.unwrap_or(hold.since));
        cleanup::abandoned(holder, execution).filter(|_| quiet >= GRACE)
    });
    let mut doing = match (hold.phase, hold.moved_at) {
        (Phase::Open, None) => "it is being prepared, or waits for an approval".to_owned(),
        (Phase::Open, Some(at)) => format!("it took the traffic at {at:.0} and waits for its approval"),
        (Phase::Approved, _) => "it is approved, and what it replaced is being removed".to_owned(),
        (Phase::Ending, _) => "it is being rolled back and removed".to_owned(),
    };
    match ended {
        Some((action, reason)) if due => {
            memo.abandoned = Some(world.now);
            let step = cleanup::abandon(holder, action, reason);
            return Decision::act(step, "the holder's execution has ended, the holder has not");
        }
        Some(_) => doing.push_str("; its execution has ended, so it has been told to end"),
        None => {}
    }
    Decision::Yield(format!("release {} (pipeline {}) to finish: {doing}", hold.release, hold.pipeline))
}

/// Towards a running, named fleet. A break is what comes first.
fn act(now: &Situation<'_>, held: &Held, memo: &Memo) -> First<Done> {
    let world = now.world;
    let fleet = fleet::launched(now, held, memo)?;
    address::reserve(now, held)?;
    let pending: Vec<&str> = fleet
        .iter()
        .filter(|instance| instance.state != InstanceState::Running)
        .map(|instance| instance.id.as_str())
        .collect();
    if !pending.is_empty() {
        let (ready, all) = (fleet.len() - pending.len(), fleet.len());
        return Break(Decision::Wait(format!("instances to boot, {ready} of {all} run: {} pending", listed(pending))));
    }
    address::associate(now, held, &fleet)?;
    if let Some(zone) = &held.hold.settings.zone {
        let ips: Option<Vec<String>> = fleet.iter().map(|instance| instance.private_ip.clone()).collect();
        let Some(ips) = ips else {
            return Break(Decision::Wait("every instance to have a private address".to_owned()));
        };
        let changes = names::toward(&world.names, &now.job.role, zone, Names::Candidate, &ips);
        if let Some(step) = names::batch(zone, changes) {
            return Break(Decision::act(step, "people reach the candidate by name"));
        }
    }
    // EC2 tells whole seconds.
    let already = fleet.iter().all(|instance| instance.launched_at.as_second() < memo.began.as_second());
    Continue(done(now, held, &fleet, already))
}

/// A late or second invocation, after deploy has begun: the fleet is what deploy says it is. All that
/// may be taken away is a surplus that an invocation before launched and that serves nowhere.
fn deployed(now: &Situation<'_>, held: &Held) -> First<Done> {
    let (hold, world) = (&held.hold, now.world);
    let count = hold.settings.count as usize;
    let alive = fleet::oldest_first(world.fleet(&now.job.release).filter(|instance| instance.alive()));
    let serves = |instance: &Instance| match &world.routing {
        Some(routing) => routing.groups.iter().flat_map(|group| &group.targets).any(|target| target.id == instance.id),
        None => hold.settings.target_group != TargetGroup::None,
    };
    if hold.previous.is_none() {
        let surplus = alive.iter().skip(count).filter(|instance| !serves(instance));
        fleet::terminate(surplus.copied(), "more instances than COUNT, in no target group")?;
    }
    let fleet: Vec<&Instance> =
        alive.into_iter().filter(|instance| instance.state == InstanceState::Running).take(count).collect();
    if fleet.len() < count {
        return Break(now.give_up(
            Kind::Release,
            format!(
                "deploy has begun, and only {} of {count} instances run: provision replaces none any more",
                fleet.len()
            ),
        ));
    }
    Continue(Done { nothing: true, ..done(now, held, &fleet, true) })
}

fn done(now: &Situation<'_>, held: &Held, fleet: &[&Instance], already: bool) -> Done {
    let mut fleet = fleet.to_vec();
    fleet.sort_by_key(|instance| &instance.id);
    let ids = || fleet.iter().map(|instance| instance.id.as_str());
    let ips = fleet.iter().filter_map(|instance| instance.private_ip.as_deref());
    let name = held.hold.settings.zone.as_ref().map(|zone| Names::Candidate.fleet_name(&now.job.role, zone));
    Done {
        message: format!(
            "{}{} instances run ({}){}",
            if already { "already provisioned: " } else { "" },
            fleet.len(),
            listed(ids()),
            name.as_ref().map(|name| format!(", reached as {name}")).unwrap_or_default(),
        ),
        outputs: vec![
            ("InstanceIds", listed(ids())),
            ("PrivateIps", listed(ips)),
            ("CandidateName", name.clone().unwrap_or_else(|| "none".to_owned())),
        ],
        report: Report {
            instances: ids().map(str::to_owned).collect(),
            names: name.into_iter().collect(),
            ..now.report()
        },
        ..Done::default()
    }
}
