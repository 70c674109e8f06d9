//! Each step, and the world that it leaves.

use super::*;
use crate::testing::{named, release, routing, target, world};
use crate::{Address, Record, Target, names};

/// Release 1's two addresses, each of an instance of its own, and release 2's.
fn addressed() -> World {
    let address = |n: u8| Address {
        id: format!("eipalloc-{n}"),
        public_ip: format!("192.0.2.{n}"),
        release: Some(release(1)),
        association: Some(format!("eipassoc-{n}")),
        instance: Some(format!("i-1{n}")),
    };
    World { addresses: vec![address(1), address(2)], ..world() }
}

#[track_caller]
fn check(step: Step, expected: impl FnOnce(&mut World)) {
    let mut world = addressed();
    let found = after(world.clone(), &step, &Applied::default());
    expected(&mut world);
    assert_eq!(found, Some(world), "{step}");
}

fn ids(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

#[test]
fn what_a_step_changes_is_known_without_a_look() {
    let state =
        |state| move |world: &mut World| world.instances[..2].iter_mut().for_each(|instance| instance.state = state);
    check(Step::Terminate { instances: ids(&["i-11", "i-12"]) }, state(InstanceState::ShuttingDown));
    check(Step::Stop { instances: ids(&["i-11", "i-12"]) }, state(InstanceState::Stopping));
    check(Step::TagRetired { instances: ids(&["i-12"]), by: release(2) }, |world| {
        world.instances[1].retired_by = Some(release(2));
    });
    let (address, association) = ("eipalloc-2".to_owned(), "eipassoc-2".to_owned());
    check(Step::DisassociateAddress { address: address.clone(), association }, |world| {
        (world.addresses[1].association, world.addresses[1].instance) = (None, None);
    });
    check(Step::ReleaseAddress { address }, |world| drop(world.addresses.remove(1)));
    let targets = vec![("i-21".to_owned(), 8080), ("i-22".to_owned(), 9)];
    check(Step::Deregister { group: "arn:b".to_owned(), targets }, |world| {
        world.routing = Some(routing(
            vec![target(1, 1), target(1, 2)],
            vec![Target { health: Health::Draining, ..target(2, 1) }, target(2, 2)],
        ));
    });
    let weights = vec![("arn:a".to_owned(), 100, 90), ("arn:b".to_owned(), 0, 10)];
    let (switch, label) = ("arn:HTTPS:443".to_owned(), "HTTPS:443".to_owned());
    check(Step::SetWeights { switch, label, weights, unstick: false }, |world| {
        let switch = &mut world.routing.as_mut().expect("routing").switches[1];
        switch.weights = vec![("arn:a".to_owned(), 90), ("arn:b".to_owned(), 10)];
    });
}

#[test]
fn names_are_as_they_were_changed() {
    let old = world().names;
    let (gone, moved) = (old[0].clone(), Record { values: ids(&["10.0.9.9"]), ..old[1].clone() });
    let new = named(names::Names::Live, 9).pop().expect("a record");
    let new = Record { name: "another.cd.internal".to_owned(), ..new };
    let changes =
        vec![NameChange::Delete(gone.clone()), NameChange::Upsert(moved.clone()), NameChange::Upsert(new.clone())];
    check(Step::ChangeNames { zone: "cd.internal".to_owned(), changes }, |world| {
        world.names.retain(|record| *record != gone);
        world.names.iter_mut().filter(|record| record.name == moved.name).for_each(|record| *record = moved.clone());
        world.names.push(new);
        world.names.sort();
    });
}

#[test]
fn what_has_a_life_of_its_own_is_looked_at() {
    let look = |step: Step| assert_eq!(after(world(), &step, &Applied::default()), None, "{step}");
    look(Step::StopDeployment { deployment: "d-1".to_owned() });
    look(Step::Register { group: "arn:b".to_owned(), instances: ids(&["i-21"]), port: 8080 });
}
