//! `plan`: what the next release would do, with today's settings in today's world. It only reads.

use super::status::text::lacking;
use crate::end::{End, Failure, permission, told};
use crate::out::Out;
use crate::service::{Naming, named};
use crate::table::listed;
use crate::words::lasting;
use jiff::Timestamp;
use std::fmt::Write;
use tagship::plan::{self, Basis, Known, Line, Plan, What};
use tagship::settings::Settings;
use tagship::status::Unavailable;
use tagship::{Error, Kind, Parts, ReleaseId, ServiceRole, history};
use tagship_aws::{Account, Foreseen};

/// Executions whose times are looked for, and runs that each may have.
const EXECUTIONS: (i32, usize) = (20, 14);

pub(super) async fn run(account: &Account, out: &Out, name: &str) -> Result<End, Failure> {
    let service = named(account, name, Naming::Loose).await?;
    let settings = match &service.settings {
        Some(settings) => settings.clone(),
        // Why they can't be read is the answer.
        None => account.offered(&service.role).await?.settings,
    };
    let found = made(account, &service.role, &settings, &service.pipeline_name(None)?).await?;
    out.show(&found, || text(&found, out.width()))?;
    Ok(if found.ends == plan::End::Fails { End::Found } else { End::Fine })
}

/// The plan of the service's next release, with these settings.
pub(super) async fn made(
    account: &Account,
    role: &ServiceRole,
    settings: &Settings,
    pipeline: &str,
) -> Result<Plan, Failure> {
    let release = ReleaseId::try_from("next".to_owned()).map_err(Failure::Usage)?;
    let past = async {
        let (most, runs) = EXECUTIONS;
        tokio::try_join!(
            account.executions(pipeline, most),
            account.runs(pipeline, None, usize::try_from(most).unwrap_or_default() * runs)
        )
    };
    let (foreseen, structure, past) =
        tokio::join!(account.foreseen(role, &release, settings), account.pipeline(pipeline), past);
    let (Foreseen { held, mut world, failed }, structure) = (foreseen?, structure?);
    let now = Timestamp::now();
    world.now = now;
    let mut known = Known { now, held, world, pipeline: structure, ..Known::default() };
    for (part, error) in failed {
        match error.kind {
            Kind::Denied => known.unread.push((part, unavailable(called(part), &error))),
            kind if kind.passes() => return Err(error.into()),
            _ => known.refused.push((part, error)),
        }
    }
    match past {
        Ok((executions, runs)) => known.past = history::history(role.as_str(), &executions, &runs, now),
        Err(error) => known.unread.push((Parts::NONE, unavailable("history", &error))),
    }
    plan::plan(role, &release, known).ok_or_else(|| {
        Failure::usage(format!("pipeline {pipeline} has no action for {role}: `tagship doctor {role}` says what lacks"))
    })
}

fn unavailable(part: &'static str, error: &Error) -> Unavailable {
    Unavailable { part, permission: permission(error), why: told(error) }
}

/// A part, for people.
fn called(part: Parts) -> &'static str {
    let names = [
        (Parts::OFFER, "settings"),
        (Parts::INSTANCES, "instances"),
        (Parts::ROUTING, "switches"),
        (Parts::BALANCER, "load balancer"),
        (Parts::ADDRESSES, "addresses"),
        (Parts::NAMES, "names"),
        (Parts::FILTER, "deployment group"),
        (Parts::IMAGE, "image"),
        (Parts::ALARMS, "alarms"),
        (Parts::ARTIFACT, "artifact"),
        (Parts::ROSTER, "roster"),
        (Parts::HOLDER, "execution"),
    ];
    names.into_iter().find(|(known, _)| *known == part).map_or("world", |(_, name)| name)
}

fn text(plan: &Plan, width: usize) -> String {
    let mut text = format!(
        "{}, by pipeline {}: what the next release would do\nSteps follow from what was read; what is taken for granted is \
         `assumed`.\n",
        plan.service, plan.pipeline
    );
    for planned in &plan.actions {
        let usually = planned.seconds.map(|secs| format!("  (usually {})", lasting(secs))).unwrap_or_default();
        let _ = write!(text, "\n{}{usually}\n", planned.action);
        let rows = planned.lines.iter().map(|line| vec![what(line).to_owned(), says(line)]);
        for line in listed(width.saturating_sub(2), rows).lines() {
            let _ = writeln!(text, "  {line}");
        }
    }
    let ends = match plan.ends {
        plan::End::Released => "it is live, and what it replaced is gone",
        plan::End::Parked => "the pre-product is empty again",
        plan::End::Fails => "IT FAILS there",
        plan::End::Unknown => "how it goes on from there can't be known",
    };
    let takes = plan.seconds.map(|secs| format!("; usually after {}", lasting(secs))).unwrap_or_default();
    let _ = write!(text, "\nIn the end {ends}{takes}.\n");
    text + &lacking(&plan.unavailable)
}

/// The call of a step, or how the line is known.
fn what(line: &Line) -> &str {
    match (line.what, line.basis) {
        (What::Step, _) => line.call.map_or("changes", |call| call.rsplit(':').next().unwrap_or(call)),
        (What::Fails, _) => "FAILS",
        (_, Basis::Unknown) => "unknown",
        (What::Wait, _) => "waits for",
        (What::Happens, _) => "assumed",
    }
}

fn says(line: &Line) -> String {
    match line.seconds {
        Some(secs) => format!("{} ({})", line.says, lasting(secs)),
        None => line.says.clone(),
    }
}
