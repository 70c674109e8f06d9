//! Counts the live fleet between releases: takes the addresses of dead instances out of the `live` names, puts those of
//! instances that run again back, and has people told once.

use crate::names::{self, Names};
use crate::{
    Decision, Done, Ending, Enrolled, First, Held, InstanceState, Record, Roster, ServiceRole, Situation, Step,
    counted, listed,
};
use std::collections::BTreeSet;
use std::ops::ControlFlow::{Break, Continue};

/// Goes on once the release that is live from now on is the roster's.
pub(in crate::policy) fn enroll(now: &Situation<'_>, held: &Held) -> First<()> {
    let is = now.world.roster()?;
    if is.is_some_and(|is| is.roster.release == held.hold.release) {
        return Continue(());
    }
    let roster = Box::new(Roster::of(&held.hold, now.world.fleet(&held.hold.release)?));
    let step = Step::WriteRoster { roster, etag: is.map(|is| is.etag.clone()) };
    Break(Decision::act(step, "sweep looks after it from now on"))
}

/// Sweep, of a service that nobody holds.
pub(super) fn count(now: &Situation<'_>) -> First<Done> {
    let nothing = |message: String| Continue(Done { nothing: true, message, ..Done::default() });
    let role = &now.job.role;
    if let Some(held) = &now.holding.held {
        return nothing(format!("{} holds {role}", held.hold.release));
    }
    let Some(Enrolled { roster, etag }) = now.world.roster()?.filter(|it| it.roster.release == now.job.release) else {
        return nothing(format!("{} isn't the live release of {role}", now.job.release));
    };
    let fleet = now.world.instances()?;
    let lives = |id: &str| fleet.iter().any(|instance| instance.id == id && instance.alive());
    let down: BTreeSet<String> = roster.members.keys().filter(|id| !lives(id)).cloned().collect();
    let same = down == roster.down;
    // One that was down may have run again and been named by a rollback, and have died once more, all while a release held
    // the service.
    if let Some(zone) = roster.settings.zone.as_deref().filter(|_| !same || !down.is_empty()) {
        let existing = now.world.names()?;
        let ips = addresses(now, roster, &down, names::of(existing, role, zone, Names::Live))?;
        let changes = names::toward(existing, role, zone, Names::Live, &ips);
        if let Some(step) = names::batch(zone, changes) {
            return Break(Decision::act(step, "the live names keep only addresses of instances that run"));
        }
    }
    if same {
        return nothing(format!("{} of {role} are as they were", counted(roster.members.len(), "instance")));
    }
    let back = roster.down.iter().any(|id| !down.contains(id));
    let done = told(now, roster, &down, back);
    let step = Step::WriteRoster { roster: Box::new(Roster { down, ..roster.clone() }), etag: Some(etag.clone()) };
    Break(Decision::Do { step, why: "people are told once", then: Some(Box::new(done)) })
}

/// What the live names are to hold: what they hold, without what was a dead member's, and with what is that of one that
/// was down and runs again. What a person has put there stays.
fn addresses(now: &Situation<'_>, roster: &Roster, down: &BTreeSet<String>, held: Vec<&Record>) -> First<Vec<String>> {
    let instances = now.world.instances()?;
    let own = now.world.fleet(&roster.release)?;
    let in_use = |ip: &str| own.iter().any(|it| it.alive() && it.private_ip.as_deref() == Some(ip));
    let dead: BTreeSet<&str> = down.iter().map(|id| roster.members[id].as_str()).filter(|ip| !in_use(ip)).collect();
    let running = |id: &str| {
        let found = instances.iter().find(|it| it.id == id && it.state == InstanceState::Running);
        found.and_then(|it| it.private_ip.clone())
    };
    let held = held.into_iter().flat_map(|record| &record.values).filter(|ip| !dead.contains(ip.as_str())).cloned();
    let again = roster.down.iter().filter(|id| !down.contains(*id)).filter_map(|id| running(id));
    Continue(held.chain(again).collect())
}

fn told(now: &Situation<'_>, roster: &Roster, down: &BTreeSet<String>, back: bool) -> Done {
    let role: &ServiceRole = &now.job.role;
    let Roster { release, members, .. } = roster;
    let ids = |ids: &mut dyn Iterator<Item = &String>| listed(ids.map(String::as_str));
    let new = down.iter().any(|id| !roster.down.contains(id));
    let names = match (roster.settings.zone.is_some(), down.len()) {
        (false, _) => "",
        (true, 1) => ", and its address is removed from the live names",
        (true, _) => ", and their addresses are removed from the live names",
    };
    let message = if new {
        format!(
            "{} of the {} of the live release {release} of {role} {} run any more ({}){names}. tagship \
             starts no replacement until the next release",
            down.len(),
            counted(members.len(), "instance"),
            if down.len() == 1 { "doesn't" } else { "don't" },
            ids(&mut down.iter()),
        )
    } else {
        format!("{} of {release} of {role} run again", ids(&mut roster.down.difference(down)))
    };
    let mut done = Done { nothing: !new && !back, message, report: now.report(), ..Done::default() };
    if new {
        done.report.ending = Ending::Degraded;
    }
    done
}
