//! Provision: takes the hold, launches the fleet, gives it addresses and names.

mod address;
mod fit;
mod fleet;
#[cfg(test)]
mod tests;

use crate::engine::{Gate, Launching, Memory, Standing, admission};
use crate::model::words::is_or_are;
use crate::names::{self, Names};
use crate::policy::cleanup;
use crate::policy::confirm::ASKED_SECS;
use crate::policy::pair::Pair;
use crate::settings::{Settings, TargetGroup, sha256};
use crate::{
    Action, Change, Changes, Decision, Done, Error, ExecutionState, First, Held, Hold, Instance, InstanceState, Job,
    Kind, Parts, Phase, Planner, Report, Situation, Step, counted, listed,
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow::{Break, Continue};

/// How long after its execution's end a holder is given to end by itself.
const GRACE: SignedDuration = SignedDuration::from_secs(30);
/// How often the event is sent that a holder was abandoned.
const REMIND: SignedDuration = SignedDuration::from_secs(60);
/// For how many times `BOOT` provision goes on after it has taken the hold: three tries of an instance, and slack.
const BOOTS: i64 = 4;
/// The least time that an instance takes to run, in seconds (docs/AWS.md: 5 s measured).
const BOOT_LEAST_SECS: i64 = 5;
/// The planner of provision.
#[derive(Debug)]
pub struct Provision;

/// What provision remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProvisionMemory {
    /// Capacity found exhausted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exhausted: Vec<Exhausted>,
    /// By subnet, the first number of a launch that may be unused: the instances of those before it have been terminated,
    /// and AWS takes no client token of theirs again.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub numbers: BTreeMap<String, usize>,
    /// Instances of the release that have been seen to be gone: a describe that is behind may show them alive again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<String>,
    /// The SHA-256 of the fleet's private addresses that have been seen to be named.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub named: String,
    /// When the holder was last told to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub told_at: Option<Timestamp>,
    /// Since when CodePipeline hasn't known the holder's execution, without a break.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_since: Option<Timestamp>,
}

impl ProvisionMemory {
    /// The number of the next launch in a subnet that has had so many instances.
    fn unused(&self, subnet: &str, ever: usize) -> usize {
        self.numbers.get(subnet).copied().unwrap_or_default().max(ever)
    }
}

/// A type that AWS had no capacity for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exhausted {
    /// Where.
    pub subnet: String,
    /// The type.
    pub kind: String,
    /// AWS's code or words.
    pub reason: String,
}

impl Memory for ProvisionMemory {
    /// What is gone is seen again, and the oldest that was exhausted is found out again.
    fn shorten(&mut self) -> bool {
        self.gone.pop().is_some() || (!self.exhausted.is_empty()).then(|| self.exhausted.remove(0)).is_some()
    }
}

impl Planner for Provision {
    const ACTION: Action = Action::Provision;
    const READS: Parts = Parts::OFFER
        .and(Parts::USER_DATA)
        .and(Parts::IMAGE)
        .and(Parts::HOLDER)
        .and(Parts::INSTANCES)
        .and(Parts::ROUTING)
        .and(Parts::BALANCER)
        .and(Parts::ADDRESSES)
        .and(Parts::NAMES)
        .and(Parts::FILTER);
    const CHANGES: Changes = Changes::of(&[
        Change::Launch,
        Change::Terminate,
        Change::GiveAddress,
        Change::TakeAddress,
        Change::Names,
        Change::Tell,
    ]);
    type Entry<'a> = Launching<'a>;
    type Memory = ProvisionMemory;

    fn admit(standing: Standing<'_>) -> Gate<Launching<'_>> {
        admission::provision(standing)
    }

    fn decide<'a>(now: &Situation<'a>, entry: Launching<'a>, memory: &mut ProvisionMemory) -> First<Done> {
        match entry {
            Launching::Take(freed) => take(now, freed),
            Launching::Await(holder) => await_holder(now, holder, memory),
            Launching::Act(held) if held.hold.artifact.is_some() => deployed(now, held),
            Launching::Act(held) => in_time(now, held, act(now, held, memory)),
        }
    }

    fn learn(refused: &Step, error: &Error, memory: &ProvisionMemory) -> Option<ProvisionMemory> {
        let Step::Launch(launch) = refused else { return None };
        let mut memory = memory.clone();
        match error.kind {
            Kind::Capacity => {
                let reason = error.code.clone().unwrap_or_else(|| error.message.clone());
                let (subnet, kind) = (launch.subnet.clone(), launch.instance_type.clone());
                memory.exhausted.push(Exhausted { subnet, kind, reason });
            }
            Kind::Spent => {
                let next = fleet::number(launch).unwrap_or_default() + launch.count as usize;
                memory.numbers.insert(launch.subnet.clone(), next);
            }
            _ => return None,
        }
        Some(memory)
    }
}

/// Gives up where there is more to do, but no more time.
fn in_time(now: &Situation<'_>, held: &Held, first: First<Done>) -> First<Done> {
    let undone = match first {
        Break(Decision::Do { ref step, .. }) => step.to_string(),
        Break(Decision::Wait { ref why, .. } | Decision::Yield(ref why)) => format!("wait for {why}"),
        Break(Decision::Look(_) | Decision::Done(_) | Decision::Fail(_)) | Continue(_) => return first,
    };
    if now.world.now() <= deadline(now, &held.hold) {
        return first;
    }
    let message = format!("provision gives up {BOOTS} × BOOT after it took the hold. It still had to {undone}");
    Break(now.give_up(Kind::Release, message))
}

/// When provision gives up. That AWS throttles isn't the release's fault.
fn deadline(now: &Situation<'_>, hold: &Hold) -> Timestamp {
    let secs = BOOTS * i64::from(hold.settings.timeouts.boot_secs) + i64::from(now.throttled_secs);
    hold.since + SignedDuration::from_secs(secs)
}

/// Checks all that can be checked before anything is launched, and takes the hold.
fn take(now: &Situation<'_>, freed: Option<&Held>) -> First<Done> {
    let Some(offer) = now.world.offer()? else { return Break(Decision::Look(Parts::OFFER)) };
    let settings = &offer.settings;
    if let Err(error) = check_pipeline(now.job, settings) {
        return Break(Decision::Fail(error));
    }
    let checked = known(now)?;
    // Whoever reads the deployment group refuses one of another shape.
    let pair = settings.target_group != TargetGroup::None;
    now.world.need(Parts::FILTER.and(Parts::ROUTING.when(pair)))?;
    if let Err(error) = check_pair(now, settings)? {
        return Break(Decision::Fail(error));
    }
    if pair
        && let Some(balancer) = now.world.balancer()?
        && let Err(error) = fit::check(balancer, now.world.routing()?, settings)
    {
        return Break(Decision::Fail(error));
    }
    let hold = Hold::taken(now.job.release.clone(), now.job.pipeline.clone(), now.world.now(), settings.clone());
    let build = now.world.holder()?.and_then(|execution| execution.build.clone());
    let hold = Hold { checked, build, ..hold };
    let etag = freed.map(|held| held.etag.clone());
    Break(Decision::act(Step::WriteHold { hold: Box::new(hold), etag }, "the service is free"))
}

/// Only the service's own pipeline releases it: a mistyped role would replace another product's fleet.
fn check_pipeline(job: &Job, settings: &Settings) -> Result<(), Error> {
    let Job { role, pipeline, .. } = job;
    match &settings.pipeline {
        Some(own) if own == pipeline => Ok(()),
        Some(own) => Err(Error::configuration(format!(
            "only pipeline {own} may release {role} (PIPELINE in its settings), and this is {pipeline}: correct \
             serviceRole or pipeline in the action's UserParameters, or PIPELINE. Nothing was launched"
        ))),
        None => Err(Error::configuration(format!(
            "the settings of {role} don't say which pipeline may release it: if it is this one, add \"PIPELINE\": \
             \"{pipeline}\" to them. Nothing was launched"
        ))),
    }
}

/// Whether CodePipeline knows this execution. Else nobody could tell later whether it has ended.
fn known(now: &Situation<'_>) -> First<bool> {
    let Job { release, pipeline, .. } = now.job;
    let found = now.world.holder()?.is_some_and(|execution| execution.state != ExecutionState::NotFound);
    if found || now.direct {
        return Continue(found);
    }
    Break(match now.left(now.began, ASKED_SECS) {
        Some(_) => Decision::wait(format!("CodePipeline to know execution {release} of pipeline {pipeline}")),
        None => Decision::Fail(Error::configuration(format!(
            "CodePipeline doesn't know execution {release} of pipeline {pipeline}: write \
             #{{codepipeline.PipelineExecutionId}} as release, and the pipeline's own name as pipeline, in the action's \
             UserParameters. Nothing was launched"
        ))),
    })
}

/// A release that could never go live isn't launched.
fn check_pair(now: &Situation<'_>, settings: &Settings) -> First<Result<(), Error>> {
    if settings.target_group == TargetGroup::None {
        return Continue(Ok(()));
    }
    let pair = Pair::judge(now.world.routing()?, &settings.target_group);
    Continue(pair.and_then(|pair| pair.candidate().and(pair.fits(&settings.shift, None))))
}

fn await_holder(now: &Situation<'_>, holder: &Held, memory: &mut ProvisionMemory) -> First<Done> {
    let (hold, time) = (&holder.hold, now.world.now());
    if let Some((_, told)) = cleanup::kept(now, hold)? {
        let (release, pipeline) = (hold.called(), &hold.pipeline);
        return Break(Decision::Yield(format!(
            "release {release} (pipeline {pipeline}) to finish: it has failed, and {told}"
        )));
    }
    let due = memory.told_at.is_none_or(|told| time.duration_since(told) >= REMIND);
    let execution = now.world.holder()?;
    let missing = execution.is_some_and(|execution| execution.state == ExecutionState::NotFound);
    let missing_since = if missing { Some(*memory.missing_since.get_or_insert(time)) } else { None };
    memory.missing_since = missing_since;
    let ended = execution.and_then(|execution| {
        let quiet = time.duration_since(execution.updated_at.unwrap_or(hold.since));
        cleanup::abandoned(holder, execution, missing_since, time).filter(|_| quiet >= GRACE)
    });
    let mut doing = match (hold.phase, hold.moved_at) {
        (Phase::Open, None) => "it is being prepared, or waits for an approval".to_owned(),
        (Phase::Open, Some(at)) => format!("it took the traffic at {at:.0} and waits for its approval"),
        (Phase::Approved, _) => "it is approved, and what it replaced is being removed".to_owned(),
        (Phase::Ending, _) => "it is being rolled back and removed".to_owned(),
    };
    match ended {
        Some((action, reason)) if due => {
            memory.told_at = Some(time);
            let step = cleanup::abandon(holder, action, reason);
            return Break(Decision::act(
                step,
                "the execution of the release that holds the service has ended, but the hold is still there",
            ));
        }
        Some(_) => doing.push_str("; its execution has ended, so tagship is ending it"),
        None if missing => doing.push_str("; CodePipeline doesn't know its execution, so it may run or not"),
        None => {}
    }
    Break(Decision::Yield(format!("release {} (pipeline {}) to finish: {doing}", hold.called(), hold.pipeline)))
}

/// Towards a running, named fleet.
fn act(now: &Situation<'_>, held: &Held, memory: &mut ProvisionMemory) -> First<Done> {
    let fleet = fleet::launched(now, held, memory)?;
    address::reserve(now, held)?;
    // EC2 gives private addresses at the launch: naming takes none of the time that the boot doesn't take anyway.
    let named = give_names(now, held, &fleet, memory)?;
    booted(&fleet)?;
    address::associate(now, held, &fleet)?;
    if !named {
        return Break(Decision::wait("every instance to have a private address"));
    }
    // EC2 tells whole seconds.
    let already = fleet.iter().all(|instance| instance.launched_at.as_second() < now.began.as_second());
    Continue(done(now, held, &fleet, already))
}

/// Gives the fleet its names; false while an instance has no address yet.
fn give_names(now: &Situation<'_>, held: &Held, fleet: &[&Instance], memory: &mut ProvisionMemory) -> First<bool> {
    let Some(zone) = &held.hold.settings.zone else { return Continue(true) };
    let ips: Option<Vec<String>> = fleet.iter().map(|instance| instance.private_ip.clone()).collect();
    let Some(ips) = ips else { return Continue(false) };
    let of = sha256(&ips.join("\n"));
    if memory.named != of {
        let changes = names::toward(now.world.names()?, &now.job.role, zone, Names::Candidate, &ips);
        if let Some(step) = names::batch(zone, changes) {
            return Break(Decision::act(step, "people reach the candidate by name"));
        }
        memory.named = of;
    }
    Continue(true)
}

/// Waits for instances that boot.
fn booted(fleet: &[&Instance]) -> First<()> {
    let pending: Vec<&&Instance> = fleet.iter().filter(|it| it.state != InstanceState::Running).collect();
    let Some(latest) = pending.iter().map(|instance| instance.launched_at).max() else { return Continue(()) };
    let (ready, all) = (fleet.len() - pending.len(), fleet.len());
    let ids = listed(pending.iter().map(|instance| instance.id.as_str()));
    let until = latest + SignedDuration::from_secs(BOOT_LEAST_SECS);
    Break(Decision::wait_until(until, format!("instances to boot, {ready} of {all} run: {ids} pending")))
}

/// A late or second invocation, after deploy has begun: the fleet stays as deploy found it. Only surplus instances of an
/// earlier invocation are removed, if they are in no target group.
fn deployed(now: &Situation<'_>, held: &Held) -> First<Done> {
    let hold = &held.hold;
    let count = hold.settings.count as usize;
    let pair = hold.settings.target_group != TargetGroup::None;
    now.world.need(Parts::INSTANCES.and(Parts::ROUTING.when(pair)))?;
    let alive = fleet::oldest_first(now.world.fleet(&now.job.release)?.into_iter().filter(|it| it.alive()));
    if hold.previous.is_none() {
        let routing = if pair { Some(now.world.routing()?) } else { None };
        let groups = routing.into_iter().flat_map(|routing| &routing.groups);
        let serving: BTreeSet<&str> = groups.flat_map(|group| &group.targets).map(|it| it.id.as_str()).collect();
        let surplus = alive.iter().skip(count).filter(|instance| !serving.contains(instance.id.as_str()));
        fleet::terminate(surplus.copied(), "more instances than COUNT, in no target group")?;
    }
    let fleet: Vec<&Instance> =
        alive.into_iter().filter(|instance| instance.state == InstanceState::Running).take(count).collect();
    if fleet.len() < count {
        return Break(now.give_up(
            Kind::Release,
            format!(
                "only {} of {} {} running: provision doesn't replace instances once deploy has begun",
                fleet.len(),
                counted(count, "instance"),
                is_or_are(fleet.len(), count)
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
            "{}{} {} ({}){}",
            if already { "already provisioned: " } else { "" },
            counted(fleet.len(), "instance"),
            if fleet.len() == 1 { "runs" } else { "run" },
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
