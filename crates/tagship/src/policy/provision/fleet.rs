//! A fleet of exactly `COUNT`: what to launch where, what to replace, what is too much.

use super::{Exhausted, ProvisionMemory, deadline};
use crate::settings::{Ami, Choice, Settings, Volume, sha256};
use crate::{
    Decision, Error, First, Held, Hold, INSTANCES_A_CALL, Instance, InstanceState, Job, Kind, Launch, Situation, Step,
    TAG_BUILD, TAG_RELEASE, TAG_SERVICE, counted, listed, name_tag,
};
use jiff::SignedDuration;
use std::collections::BTreeMap;
use std::ops::ControlFlow::{Break, Continue};

/// How many instances of a release may die (or `COUNT`, if that is more) before the release is given up: otherwise an
/// image that can't boot would be launched for ever.
const DEATHS: usize = 3;

/// The fleet, if exactly `COUNT` instances are pending or running.
pub(super) fn launched<'a>(now: &Situation<'a>, held: &Held, memory: &mut ProvisionMemory) -> First<Vec<&'a Instance>> {
    let settings = &held.hold.settings;
    let time = now.world.now();
    let count = settings.count as usize;
    let boot = SignedDuration::from_secs(settings.timeouts.boot_secs.into());
    let hung = |instance: &Instance| {
        instance.state == InstanceState::Pending && time.duration_since(instance.launched_at) > boot
    };
    let fleet = now.world.fleet(&now.job.release)?;
    for instance in fleet.iter().filter(|instance| instance.gone()) {
        if !memory.gone.contains(&instance.id) {
            memory.gone.push(instance.id.clone());
        }
    }
    let gone = |instance: &Instance| memory.gone.contains(&instance.id);
    let (fit, dead): (Vec<&Instance>, Vec<&Instance>) =
        fleet.into_iter().partition(|instance| instance.alive() && !hung(instance) && !gone(instance));

    // Neither is used again: a stopped instance wouldn't count as running, and a hung one came up too late.
    let lingering = dead.iter().filter(|instance| !gone(instance));
    terminate(lingering.copied(), "stopped, or not up within BOOT")?;
    let mut fit = oldest_first(fit);
    terminate(fit.drain(fit.len().min(count)..), "more instances than COUNT")?;
    if fit.len() == count {
        return Continue(fit);
    }

    remember_short(held, &dead, memory);
    let faulty: Vec<&&Instance> = dead.iter().filter(|instance| !instance.short).collect();
    if faulty.len() >= count.max(DEATHS) {
        let why = |instance: &&Instance| {
            format!("{} ({})", instance.id, instance.reason.as_deref().unwrap_or("no reason given"))
        };
        let died: Vec<String> = faulty.iter().map(|instance| why(instance)).collect();
        let message = format!(
            "{} of this release didn't come up or died, so no more are launched: {}. Look at the image, its volumes' key \
             and the instance profile",
            counted(faulty.len(), "instance"),
            listed(died.iter().map(String::as_str))
        );
        return Break(now.give_up(Kind::Release, message));
    }
    if time > deadline(now, &held.hold) {
        let message =
            format!("only {} of {} came up in {} × BOOT", fit.len(), counted(count, "instance"), super::BOOTS);
        return Break(now.give_up(Kind::Release, message));
    }
    super::address::reserve_pool(now, held)?;
    launch(now, held, memory, &fit, &dead)
}

/// A launch that was accepted and died for want of capacity counts as lack of capacity where it was: EC2 forgets where
/// that was, its token says so.
fn remember_short(held: &Held, dead: &[&Instance], memory: &mut ProvisionMemory) {
    let settings = &held.hold.settings;
    let Choice::Ids(subnets) = &settings.subnet else { return };
    let places = || subnets.iter().flat_map(|subnet| settings.instance_type.iter().map(move |kind| (subnet, kind)));
    for instance in dead.iter().filter(|instance| instance.short) {
        let token = instance.client_token.as_deref().unwrap_or_default();
        let Some((subnet, kind)) = places().find(|(subnet, kind)| token.starts_with(&place(subnet, kind))) else {
            continue;
        };
        if !memory.exhausted.iter().any(|full| full.subnet == *subnet && full.kind == *kind) {
            let reason = instance.reason.clone().unwrap_or_else(|| "no capacity".to_owned());
            memory.exhausted.push(Exhausted { subnet: subnet.clone(), kind: kind.clone(), reason });
        }
    }
}

/// Whether this instance is, or was, in that subnet. EC2 forgets where a terminated one was: its token says so. One
/// that tells neither counts in every subnet.
fn was_in(instance: &Instance, subnet: &str, settings: &Settings) -> bool {
    let Some(token) = instance.client_token.as_deref().filter(|_| instance.subnet.is_none()) else {
        return instance.subnet.as_deref().is_none_or(|is| is == subnet);
    };
    settings.instance_type.iter().any(|kind| token.starts_with(&place(subnet, kind)))
}

/// How the client tokens of launches of a type in a subnet begin.
fn place(subnet: &str, kind: &str) -> String {
    let mut place = sha256(&format!("{subnet}\n{kind}"));
    place.truncate(PLACE);
    place
}

/// Hexadecimal digits of a token that say where, and those after them that say the launch's number there.
const PLACE: usize = 8;
const NUMBER: usize = 4;

/// The number of a launch in its subnet.
pub(super) fn number(launch: &Launch) -> Option<usize> {
    usize::from_str_radix(launch.client_token.get(PLACE..PLACE + NUMBER)?, 16).ok()
}

/// The order in which instances are kept. It is the same in every invocation: so two that see different parts of the
/// fleet never terminate different instances and leave too few.
pub(super) fn oldest_first<'a>(instances: impl IntoIterator<Item = &'a Instance>) -> Vec<&'a Instance> {
    let mut instances: Vec<&Instance> = instances.into_iter().collect();
    instances.sort_by_key(|instance| (instance.launched_at, &instance.id));
    instances
}

/// The step that terminates these, if there are any.
pub(super) fn terminate<'a>(instances: impl Iterator<Item = &'a Instance>, why: &'static str) -> First<()> {
    let instances: Vec<String> = instances.take(INSTANCES_A_CALL).map(|instance| instance.id.clone()).collect();
    if instances.is_empty() { Continue(()) } else { Break(Decision::act(Step::Terminate { instances }, why)) }
}

/// One RunInstances: the first subnet that lacks instances, the first type that isn't exhausted there.
fn launch<T>(
    now: &Situation<'_>,
    held: &Held,
    memory: &ProvisionMemory,
    fit: &[&Instance],
    dead: &[&Instance],
) -> First<T> {
    let settings = &held.hold.settings;
    let (Choice::Ids(subnets), Choice::Ids(security_groups), Ami::Id(ami)) =
        (&settings.subnet, &settings.sg, &settings.ami)
    else {
        return Break(Decision::Fail(bug("the hold's settings aren't resolved to ids")));
    };
    let in_subnet = |subnet: &str| fit.iter().filter(|instance| instance.subnet.as_deref() == Some(subnet)).count();
    let have: Vec<usize> = subnets.iter().map(|subnet| in_subnet(subnet)).collect();
    let types: Vec<Option<&String>> = subnets.iter().map(|subnet| available(settings, memory, subnet)).collect();

    // Evenly: each missing instance goes where there are fewest; a subnet without capacity keeps what it has.
    let mut want = have.clone();
    for _ in fit.len()..settings.count as usize {
        match (0..subnets.len()).filter(|&n| types[n].is_some()).min_by_key(|&n| want[n]) {
            Some(n) => want[n] += 1,
            None => return Break(exhausted(now, settings, memory, fit.len())),
        }
    }
    let lacking = (0..subnets.len()).find(|&n| want[n] > have[n]).and_then(|n| Some((n, types[n]?)));
    let Some((n, instance_type)) = lacking else {
        return Break(Decision::Fail(bug("the fleet has too few instances, but no subnet has")));
    };
    let user_data = user_data(now, settings)?;
    let volume = volume(now, settings, ami)?;
    let mut lasting = now.world.devices()?.map(|devices| devices.lasting.clone()).unwrap_or_default();
    if let Some((root, _)) = &volume {
        lasting.remove(root);
    }
    let subnet = &subnets[n];
    let gone = dead.iter().filter(|instance| was_in(instance, subnet, settings)).count();
    let launch = Launch {
        role: now.job.role.clone(),
        release: now.job.release.clone(),
        subnet: subnet.clone(),
        instance_type: instance_type.clone(),
        count: (want[n] - have[n]) as u32,
        client_token: Need { held, subnet, instance_type, number: memory.unused(subnet, have[n] + gone) }
            .token(now.job),
        ami: ami.clone(),
        security_groups: security_groups.clone(),
        instance_profile: settings.instance_profile.clone(),
        key_name: settings.key_name.clone(),
        user_data,
        imds_hops: settings.imds_hops,
        volume,
        lasting,
        tags: tags(now.job, &held.hold),
    };
    Break(Decision::act(Step::Launch(Box::new(launch)), "instances of the fleet are missing"))
}

/// The first type that has not been found exhausted in this subnet.
fn available<'a>(settings: &'a Settings, memory: &ProvisionMemory, subnet: &str) -> Option<&'a String> {
    let full = |kind: &str| memory.exhausted.iter().any(|full| full.subnet == subnet && full.kind == kind);
    settings.instance_type.iter().find(|kind| !full(kind))
}

fn exhausted(now: &Situation<'_>, settings: &Settings, memory: &ProvisionMemory, have: usize) -> Decision {
    let each: Vec<String> =
        memory.exhausted.iter().map(|it| format!("{} in {}: {}", it.kind, it.subnet, it.reason)).collect();
    let message = format!(
        "AWS has no capacity for {} of {}: {}",
        settings.count as usize - have,
        counted(settings.count, "instance"),
        each.join("; ")
    );
    now.give_up(Kind::Release, message)
}

/// The text whose SHA-256 the hold carries: settings that changed since don't meet a release half-way.
fn user_data(now: &Situation<'_>, settings: &Settings) -> First<Option<String>> {
    let Some(expected) = &settings.user_data_sha256 else {
        return Continue(None);
    };
    match now.world.user_data()?.filter(|text| sha256(&text.0) == *expected) {
        Some(text) => Continue(Some(text.0.clone())),
        None => {
            let message = format!(
                "USER_DATA of {} changed while this release was being launched, so its instances would differ",
                now.job.role
            );
            Break(now.give_up(Kind::Configuration, message))
        }
    }
}

/// What is on all that a release creates. Ours win over `TAGS`.
pub(super) fn tags(job: &Job, hold: &Hold) -> Vec<(String, String)> {
    let mut tags: BTreeMap<String, String> = hold.settings.tags.clone();
    tags.insert(TAG_SERVICE.to_owned(), job.role.to_string());
    tags.insert(TAG_RELEASE.to_owned(), job.release.to_string());
    tags.extend(hold.build.as_ref().map(|build| (TAG_BUILD.to_owned(), build.to_string())));
    tags.insert("Name".to_owned(), name_tag(&job.role, &job.release));
    tags.into_iter().collect()
}

/// The root volume under the name that the image has for it: a mapping of another name would add a second volume.
fn volume(now: &Situation<'_>, settings: &Settings, ami: &str) -> First<Option<(String, Volume)>> {
    let Some(volume) = &settings.volume else { return Continue(None) };
    match now.world.devices()?.and_then(|devices| devices.root.clone()) {
        Some(device) => Continue(Some((device, volume.clone()))),
        None => {
            let message = format!("AMI {ami} has no root device: VOLUME can't be set");
            Break(now.give_up(Kind::Configuration, message))
        }
    }
}

fn bug(message: &str) -> Error {
    Error::new(Kind::Bug, format!("tagship: {message}"))
}

/// What a launch is needed for.
struct Need<'a> {
    held: &'a Held,
    subnet: &'a str,
    instance_type: &'a str,
    /// Instances of the release that the subnet has ever had: each launch makes them more. More, if that number is used.
    number: usize,
}

impl Need<'_> {
    /// The client token: the same for the same need, however often it is looked at, and whoever looks. 64 hexadecimal
    /// digits. The count is left out on purpose: where a describe lags, or another instance has died meanwhile, another
    /// count is a conflict, not another launch.
    fn token(&self, job: &Job) -> String {
        let Need { held, subnet, instance_type, number } = self;
        let since = held.hold.since;
        let what = format!("{}\n{}\n{since}\n{subnet}\n{instance_type}\n{number}", job.role, job.release);
        let mut token = format!("{}{number:04x}{}", place(subnet, instance_type), sha256(&what));
        token.truncate(64);
        token
    }
}
