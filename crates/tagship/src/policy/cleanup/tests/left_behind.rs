//! What cleanup leaves behind, and in which words people are told.

use super::*;

/// AWS refuses a whole call for one instance that a person has protected.
#[test]
fn what_is_protected_is_left_behind() {
    let terminate = Step::Terminate { instances: vec!["i-11".to_owned(), "i-12".to_owned()] };
    let refused = |kind, words: &str| Error::new(kind, format!("ec2:TerminateInstances on i-11, i-12: {words}"));
    let words = "The instance 'i-12' may not be terminated";
    let learned = |kind, words| Retire::learn(&terminate, &refused(kind, words), &RemovalMemory::default());
    assert_eq!(learned(Kind::Denied, words), None);
    let memory = learned(Kind::Protected, words).expect("it goes on");
    assert_eq!(memory.protected, ["i-12"]);
    assert_eq!(learned(Kind::Protected, "no name").expect("it goes on").protected, ["i-11", "i-12"]);
    let of = |memory: RemovalMemory, expected| {
        let change = |case: &mut Case| {
            case.hold().phase = Phase::Approved;
            case.drained(0);
            case.world.names = named(names::Names::Live, 2);
            case.memory = RemovalMemory { deregistered_since: Some(at(0)), ..memory };
        };
        check(Action::Retire, change, expected);
    };
    of(RemovalMemory::default(), "do: terminate i-11, i-12");
    of(memory, "do: terminate i-11");
    let all = RemovalMemory { protected: vec!["i-11".to_owned(), "i-12".to_owned()], ..RemovalMemory::default() };
    of(all, "do: mark r0000002 as approved");
}

/// Which instances the end tells to be left behind, and in which words.
#[track_caller]
fn left_behind<P: Planner>((phase, how): (Phase, HowEnded), gone: &[&str], expected: &[&str]) {
    let mut holding = held(hold(2));
    let held = holding.held.as_mut().expect("a hold");
    (held.freed, held.hold.phase) = (true, phase);
    holding.ended = Some(Ended::of(&held.hold, how, at(90)));
    let mut world = world();
    world.instances[0].retired_by = Some(release(2));
    for instance in world.instances.iter_mut().filter(|instance| gone.contains(&instance.id.as_str())) {
        instance.state = InstanceState::Terminated;
    }
    world.instances.push(Instance { release: None, ..instance(3, 1) });
    let mut memory = Default::default();
    let found = decide::<P>(&holding, &world, (at(0), 0), &mut memory);
    let Break(Decision::Do { then: Some(done), .. }) = found else { panic!("{found:?}") };
    let mut told: Vec<&str> =
        done.report.left_behind.iter().map(|told| told.split([':', ',']).next().unwrap_or_default()).collect();
    assert_eq!(told.remove(0), "instance i-31 has the service's tag but no tagship");
    assert_eq!(told, expected, "{how:?}");
    // Who has to look is told so.
    assert_eq!(done.report.ending == Ending::Kept, (phase, how) == (Phase::Approved, HowEnded::Kept));
}

#[test]
fn what_stays_is_told_at_the_end() {
    let removed = "could not be removed";
    left_behind::<Retire>((Phase::Approved, HowEnded::Approved), &["i-11", "i-12"], &[]);
    // Kept stopped for the release before is no fault.
    left_behind::<Retire>((Phase::Approved, HowEnded::Approved), &[], &[&format!("instance i-12 {removed}")]);
    left_behind::<Discard>((Phase::Ending, HowEnded::Discarded), &["i-21", "i-22"], &[]);
    let beside = "instance i-22 of this release serves in the live group";
    left_behind::<Discard>((Phase::Ending, HowEnded::Discarded), &["i-21"], &[beside]);
    left_behind::<Park>((Phase::Ending, HowEnded::Parked), &["i-21"], &[&format!("instance i-22 {removed}")]);
    // Rollback had kept it, and told that; or its switches were turned away after the approval.
    left_behind::<Discard>((Phase::Ending, HowEnded::Kept), &[], &[]);
    let both = "the fleets of r0000002 and of the release before it";
    left_behind::<Discard>((Phase::Approved, HowEnded::Kept), &[], &[both]);
}
