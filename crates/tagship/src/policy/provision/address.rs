//! Public addresses: one an instance, the release's own or borrowed from the service's pool.

use super::fleet;
use crate::settings::Eip;
use crate::{Address, Decision, First, Held, Instance, Kind, Situation, Step, counted};
use std::collections::BTreeSet;
use std::ops::ControlFlow::{Break, Continue};

/// As many addresses as instances.
///
/// AllocateAddress has no client token: after a lagging describe there can be one too many, told by its tag.
pub(super) fn reserve(now: &Situation<'_>, held: &Held) -> First<()> {
    let count = held.hold.settings.count as usize;
    match held.hold.settings.eip {
        Eip::None => Continue(()),
        Eip::Pool(_) => reserve_pool(now, held),
        Eip::Own => {
            let own = usable(now, held)?;
            let spare = own.iter().rev().find(|address| address.association.is_none());
            match (own.len(), spare) {
                (some, _) if some < count => {
                    let tags = fleet::tags(now.job, &held.hold);
                    Break(Decision::act(Step::AllocateAddress { tags }, "an address for each instance"))
                }
                (some, Some(address)) if some > count => {
                    let address = address.id.clone();
                    Break(Decision::act(Step::ReleaseAddress { address }, "more addresses than COUNT"))
                }
                _ => Continue(()),
            }
        }
    }
}

/// Whether the pool, if there is one, has enough for the fleet: asked before anything is launched.
pub(super) fn reserve_pool(now: &Situation<'_>, held: &Held) -> First<()> {
    let Eip::Pool(selector) = &held.hold.settings.eip else {
        return Continue(());
    };
    let count = held.hold.settings.count as usize;
    let fleet: BTreeSet<&str> =
        now.world.fleet(&now.job.release)?.into_iter().map(|instance| instance.id.as_str()).collect();
    let pool = usable(now, held)?;
    let ours = |address: &&&Address| address.instance.as_deref().is_some_and(|id| fleet.contains(id));
    let free = pool.iter().filter(|address| address.association.is_none() || ours(address)).count();
    if free >= count {
        return Continue(());
    }
    let message = format!(
        "EIP {} has {}, {free} of them free, but COUNT is {count}: a pool holds enough for two fleets, {}. \
         Give more addresses these tags and tagship:service={}, or free some",
        String::from(selector.clone()),
        counted(pool.len(), "address"),
        2 * count,
        now.job.role,
    );
    Break(now.give_up(Kind::Configuration, message))
}

/// Every instance has one. An address in use is never taken away.
pub(super) fn associate(now: &Situation<'_>, held: &Held, fleet: &[&Instance]) -> First<()> {
    if held.hold.settings.eip == Eip::None {
        return Continue(());
    }
    let addresses = usable(now, held)?;
    let mut ids: Vec<&str> = fleet.iter().map(|instance| instance.id.as_str()).collect();
    ids.sort_unstable();
    let bare = |id: &&str| !addresses.iter().any(|address| address.instance.as_deref() == Some(id));
    let Some(instance) = ids.into_iter().find(bare) else {
        return Continue(());
    };
    Break(match addresses.iter().find(|address| address.association.is_none()) {
        Some(address) => {
            let step = Step::AssociateAddress { address: address.id.clone(), instance: instance.to_owned() };
            Decision::act(step, "an address for each instance")
        }
        None => Decision::wait(format!("a public address for {instance}: none is free at the moment")),
    })
}

/// The release's own addresses, or the pool's (which are no release's), by id.
fn usable<'a>(now: &Situation<'a>, held: &Held) -> First<Vec<&'a Address>> {
    let owner = match held.hold.settings.eip {
        Eip::Own => Some(&now.job.release),
        Eip::None | Eip::Pool(_) => None,
    };
    let of_owner = |address: &&Address| address.release.as_ref() == owner;
    let mut addresses: Vec<&Address> = now.world.addresses()?.iter().filter(of_owner).collect();
    addresses.sort_by_key(|address| &address.id);
    Continue(addresses)
}
