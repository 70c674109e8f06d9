//! `status`: what is live, what is under way, for whom it waits.

pub(super) mod text;

use crate::end::{End, Failure, permission, told};
use crate::out::Out;
use crate::service::{Naming, Service, meant, settings};
use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tagship::status::{Seen, Status, Unavailable, status};
use tagship::{Build, Error, Instance, Pipeline, ReleaseId, ServiceRole, Stage};
use tagship_aws::Account;

/// Between two looks at a service while it is held, or at all of them.
const LOOK: Duration = Duration::from_secs(3);
/// Between two looks where nothing is under way.
const CALM: Duration = Duration::from_secs(30);

/// Pipelines that are asked for at a time.
const AT_ONCE: usize = 8;

/// A service among all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    service: String,
    live: Option<ReleaseId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    live_build: Option<Build>,
    candidate: Option<ReleaseId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    candidate_build: Option<Build>,
    phase: Option<tagship::Phase>,
    since: Option<Timestamp>,
    /// What runs, or the approval that waits.
    at: Option<String>,
    waits_for_a_person: bool,
}

#[derive(Serialize)]
pub(crate) struct Overview {
    at: Timestamp,
    services: Vec<Row>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unavailable: Vec<Unavailable>,
}

/// All services.
pub(super) async fn all(account: &Account, out: &Out, watch: bool) -> Result<End, Failure> {
    loop {
        let overview = overview(account).await?;
        let text = || text::overview(&overview.services, &overview.unavailable, overview.at, out.width());
        if !watch {
            out.show(&overview, text)?;
            return Ok(End::Fine);
        }
        out.again(&overview, text)?;
        if pause(CALM).await {
            return Ok(End::Fine);
        }
    }
}

pub(crate) async fn overview(account: &Account) -> Result<Overview, Failure> {
    let (holds, instances) = tokio::join!(account.holds(), account.all_instances());
    let mut unavailable = Vec::new();
    let holds = part("holds", holds, &mut unavailable).unwrap_or_default();
    let instances = part("instances", instances, &mut unavailable).unwrap_or_default();
    let mut fleets: BTreeMap<ServiceRole, Vec<Instance>> = BTreeMap::new();
    for (role, instance) in instances {
        fleets.entry(role).or_default().push(instance);
    }
    let names: BTreeSet<&str> = holds.iter().map(|(_, hold)| hold.pipeline.as_str()).collect();
    let stands = stream::iter(names).map(|name| async move { (name, account.standing(name).await) }).buffered(AT_ONCE);
    let mut pipelines = BTreeMap::new();
    for (name, found) in stands.collect::<Vec<_>>().await {
        pipelines.extend(part("pipeline", found, &mut unavailable).map(|pipeline: Pipeline| (name, pipeline)));
    }
    let mut roles: BTreeSet<ServiceRole> = account.services();
    roles.extend(fleets.keys().cloned());
    roles.extend(holds.iter().map(|(role, _)| role.clone()));
    let services = roles.into_iter().map(|role| {
        let hold = holds.iter().find(|(held, _)| *held == role).map(|(_, hold)| hold);
        let stage = hold.and_then(|hold| {
            let own = |stage: &&Stage| stage.latest.as_ref() == Some(&hold.release);
            let goes = |stage: &&Stage| stage.approval().is_some() || stage.running().is_some();
            pipelines.get(hold.pipeline.as_str())?.stages.iter().filter(own).find(goes)
        });
        // A release of a pre-product and its product waits for one answer: both wait for it.
        let asked = stage.and_then(Stage::approval);
        let (asks, since_asked) =
            (asked.as_ref().map(|open| open.action.to_owned()), asked.and_then(|open| open.since));
        let runs = stage.and_then(|stage| Some(stage.running()?.name.clone()));
        let fleet = fleets.get(&role).map(Vec::as_slice).unwrap_or_default();
        let live = tagship::status::live(fleet, hold);
        Row {
            live_build: live.as_ref().and_then(|live| tagship::status::build(live, fleet, hold)).cloned(),
            live,
            candidate: hold.map(|hold| hold.release.clone()),
            candidate_build: hold.and_then(|hold| hold.build.clone()),
            phase: hold.map(|hold| hold.phase),
            since: since_asked.or(hold.map(|hold| hold.since)),
            waits_for_a_person: asks.is_some(),
            at: asks.or(runs),
            service: role.into(),
        }
    });
    Ok(Overview { at: Timestamp::now(), services: services.collect(), unavailable })
}

/// One service.
pub(super) async fn one(account: &Account, out: &Out, name: &str, watch: bool) -> Result<End, Failure> {
    let role = meant(account, name, Naming::Loose)?;
    loop {
        let (status, _) = look(account, &role).await?;
        let text = || text::service(&status, out.width());
        if !watch {
            out.show(&status, text)?;
            return Ok(End::Fine);
        }
        out.again(&status, text)?;
        if pause(if status.held.is_some() { LOOK } else { CALM }).await {
            return Ok(End::Fine);
        }
    }
}

/// Waits; whether the person has had enough.
async fn pause(time: Duration) -> bool {
    tokio::select! {
        () = tokio::time::sleep(time) => false,
        _ = tokio::signal::ctrl_c() => true,
    }
}

/// Everything that is to be known of a service; what can't be read is named. First what the name alone leads to, the
/// settings with it: where those are in a parameter, nothing waits for them alone.
pub(super) async fn look(account: &Account, role: &ServiceRole) -> Result<(Status, Option<Pipeline>), Failure> {
    let mut unavailable = Vec::new();
    let (settings, hold, instances, own) =
        tokio::join!(settings(account, role), account.hold(role), account.instances(role), account.own(role));
    let hold = part("hold", hold, &mut unavailable).flatten();
    let instances = part("instances", instances, &mut unavailable);
    let service = Service { role: role.clone(), settings: settings? };
    let settings = service.in_force(hold.as_ref());
    let traffic = async {
        match settings {
            Some(settings) => account.traffic(role, settings, own).await,
            None => (Ok(None), Ok(Vec::new())),
        }
    };
    let names = async {
        match settings.and_then(|settings| settings.zone.as_ref()) {
            Some(zone) => account.names(role, zone).await,
            None => Ok(Vec::new()),
        }
    };
    let pipeline = async {
        match service.pipeline_name(hold.as_ref()) {
            Ok(name) => account.pipeline(&name).await.map(Some),
            Err(_) => Ok(None),
        }
    };
    let (pipeline, (routing, alarms), names) = tokio::join!(pipeline, traffic, names);
    let pipeline = part("pipeline", pipeline, &mut unavailable).flatten();
    let routing = part("switches", routing, &mut unavailable).flatten();
    let names = part("names", names, &mut unavailable);
    let alarms = part("alarms", alarms, &mut unavailable);
    if settings.is_none() {
        unavailable.push(no_settings(account));
    }
    let seen = Seen {
        now: Timestamp::now(),
        hold: hold.as_ref(),
        instances: instances.as_deref(),
        routing: routing.as_ref(),
        names: names.as_deref(),
        alarms: alarms.as_deref(),
        pipeline: pipeline.as_ref(),
        unavailable,
    };
    Ok((status(role, &seen), pipeline))
}

/// That the settings aren't known, and what follows from it.
pub(crate) fn no_settings(account: &Account) -> Unavailable {
    Unavailable {
        part: "settings",
        permission: (!account.sees_settings()).then(|| "lambda:GetFunctionConfiguration".to_owned()),
        why: "the settings can't be read, so switches, names and alarms aren't known".to_owned(),
    }
}

/// What was read, or why it couldn't be.
pub(crate) fn part<T>(part: &'static str, read: Result<T, Error>, unavailable: &mut Vec<Unavailable>) -> Option<T> {
    read.map_err(|error| unavailable.push(Unavailable { part, permission: permission(&error), why: told(&error) })).ok()
}
