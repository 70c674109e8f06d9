//! Situations of provision, and what is decided in each.

use super::*;
use crate::settings::{Choice, Eip, Selector, ShiftStep, Volume, sha256};
use crate::testing::*;
use crate::{
    Address, Artifact, Balancer, Build, Devices, Execution, ExecutionState, Holding, Launch, Offer, Previous,
    TAG_BUILD, Target, UserData, World, names,
};

mod address;
mod fit;
mod fleet;

/// Release 2 holds; its fleet of two runs, is named, and waits for deploy in no group. It is 100 s.
struct Case {
    holding: Holding,
    world: World,
    began: Timestamp,
    throttled_secs: u32,
    memory: ProvisionMemory,
}

impl Case {
    fn new() -> Self {
        let offer = Offer { settings: settings(), user_data: None };
        let mut world = World { offer: Some(offer), ..world() };
        world.routing = Some(routing(vec![target(1, 1), target(1, 2)], Vec::new()));
        let memory = ProvisionMemory::default();
        Self { holding: held(hold(2)), world, began: at(10), throttled_secs: 0, memory }
    }

    fn hold(&mut self) -> &mut Hold {
        &mut self.holding.held.as_mut().expect("a hold").hold
    }

    /// Instance `n` of release 2.
    fn instance(&mut self, n: u8) -> &mut Instance {
        let id = instance(2, n).id;
        self.world.instances.iter_mut().find(|instance| instance.id == id).expect("an instance")
    }

    /// Only these of release 2 are seen.
    fn fleet(&mut self, numbers: impl IntoIterator<Item = u8>) {
        self.world.instances.retain(|instance| instance.release != Some(release(2)));
        self.world.instances.extend(numbers.into_iter().map(|n| instance(2, n)));
    }

    fn exhausted(&mut self, pairs: &[(&str, &str)]) {
        let reason = "InsufficientInstanceCapacity";
        let words = |(subnet, kind): &(&str, &str)| Exhausted {
            subnet: format!("subnet-{subnet}"),
            kind: (*kind).to_owned(),
            reason: reason.to_owned(),
        };
        self.memory.exhausted = pairs.iter().map(words).collect();
    }

    /// Addresses by id, each with the instance of release 2 (or 0 for a stranger's) that has it.
    fn addresses(&mut self, of: Option<u8>, eip: Eip, addresses: &[(&str, Option<u8>)]) {
        self.hold().settings.eip = eip;
        let address = |(id, holder): &(&str, Option<u8>)| Address {
            id: (*id).to_owned(),
            public_ip: format!("ip-{id}"),
            release: of.map(release),
            association: holder.map(|_| format!("assoc-{id}")),
            instance: holder.map(|n| instance(2, n).id),
        };
        self.world.addresses = addresses.iter().map(address).collect();
    }

    fn ask(&mut self) -> String {
        ask::<Provision>(&self.holding, &self.world, (self.began, self.throttled_secs), &mut self.memory)
    }

    fn launch(&mut self) -> Launch {
        match decide::<Provision>(&self.holding, &self.world, (self.began, 0), &mut self.memory) {
            Break(Decision::Do { step: Step::Launch(launch), .. }) => *launch,
            other => panic!("no launch: {other:?}"),
        }
    }
}

/// `expected` is the answer's beginning; after a `…` its end.
#[track_caller]
fn check(change: impl FnOnce(&mut Case), expected: &str) {
    let mut case = Case::new();
    change(&mut case);
    let found = case.ask();
    let (start, end) = expected.split_once('…').unwrap_or((expected, ""));
    assert!(found.starts_with(start) && found.ends_with(end), "expected {expected:?}\n   found {found:?}");
}

#[test]
fn what_people_call_the_build_is_written_down_and_on_the_instances() {
    let build = Build::of("version 1.4.2, commit 9f3c01ab52");
    let mut case = Case::new();
    case.holding = Holding::default();
    case.world.holder = case.world.holder.take().map(|it| Execution { build: build.clone(), ..it });
    let taken = decide::<Provision>(&case.holding, &case.world, (case.began, 0), &mut case.memory);
    let Break(Decision::Do { step: Step::WriteHold { hold, .. }, .. }) = taken else { panic!("{taken:?}") };
    assert_eq!(hold.build, build);
    let tag = |launch: Launch| launch.tags.into_iter().find(|(key, _)| key == TAG_BUILD).map(|(_, value)| value);
    let mut case = Case::new();
    case.fleet([]);
    assert_eq!(tag(case.launch()), None);
    case.hold().build = build;
    assert_eq!(tag(case.launch()).as_deref(), Some("1.4.2+9f3c01ab"));
}

#[test]
fn the_hold_is_taken_when_all_can_be_launched() {
    let free = |change: fn(&mut Case), expected| {
        check(
            |case| {
                case.holding = Holding::default();
                change(case);
            },
            expected,
        );
    };
    free(|_| {}, "do: take the hold for r0000002");
    fn pipeline(case: &mut Case, name: Option<&str>) {
        case.world.offer.as_mut().expect("an offer").settings.pipeline = name.map(str::to_owned);
    }
    free(
        |case| pipeline(case, Some("api")),
        "fail: only pipeline api may release WEB_PRODUCT (PIPELINE in its settings), and this is web: correct",
    );
    free(
        |case| pipeline(case, None),
        "fail: the settings of WEB_PRODUCT don't say which pipeline may release it: if it is this one, add \"PIPELINE\": \
         \"web\" to them",
    );
    fn unknown(case: &mut Case, began: i64) {
        case.world.holder = Some(Execution { state: ExecutionState::NotFound, updated_at: None, build: None });
        case.began = at(began);
    }
    free(|case| unknown(case, 41), "wait: CodePipeline to know execution r0000002 of pipeline web");
    free(|case| unknown(case, 40), "fail: CodePipeline doesn't know execution r0000002 of pipeline web: write");
    free(
        |case| {
            case.holding = held(hold(1));
            let held = case.holding.held.as_mut().expect("a hold");
            held.freed = true;
            held.hold.phase = Phase::Approved;
        },
        "do: write the hold of r0000002: Open",
    );
    free(
        |case| case.world.routing = world().routing.map(|routing| moved(routing, 1)),
        "fail: the switches don't give their weight to the same group: set all of them to one group:\n- HTTP:80 has web-a=0, web-b=100\n- HTTPS:443 has web-a=100, web-b=0",
    );
    free(
        |case| case.world.routing.as_mut().expect("routing").switches[1].sticky = true,
        "fail: the switches of tag:tagship:service=WEB_PRODUCT can't be used as they are:\n- HTTPS:443 has group stickiness",
    );
    free(
        |case| {
            let settings = &mut case.world.offer.as_mut().expect("an offer").settings;
            settings.shift.steps = vec![ShiftStep { percent: 5, bake_secs: 60 }];
            let switch = &mut case.world.routing.as_mut().expect("routing").switches[1];
            switch.weights = vec![("arn:a".to_owned(), 1), ("arn:b".to_owned(), 0), ("arn:c".to_owned(), 9)];
        },
        "fail: SHIFT's steps don't fit the switches:\n- HTTPS:443 also gives weight to groups that aren't the pair's",
    );
    free(
        |case| {
            let routing = case.world.routing.as_mut().expect("routing");
            routing.untagged = ["arn:b", "arn:HTTPS:443"].map(str::to_owned).into();
        },
        "fail: the switches of tag:tagship:service=WEB_PRODUCT can't be used as they are:\n- web-b doesn't have the tag \
         tagship:service=<service role>, so tagship may not change it: aws elbv2 add-tags --resource-arns arn:b --tags \
         Key=tagship:service,Value=<service role>\n- HTTPS:443 doesn't have the tag",
    );
    free(
        |case| {
            case.world.routing = None;
            case.world.offer.as_mut().expect("an offer").settings.target_group = TargetGroup::None;
        },
        "do: take the hold",
    );
}

#[test]
fn another_holder_is_waited_for_but_not_in_vain() {
    let holder =
        |change: fn(&mut Hold), state: ExecutionState, updated_at: Option<i64>, told: Option<i64>, expected| {
            check(
                |case| {
                    case.holding = held(hold(1));
                    change(case.hold());
                    case.world.holder = Some(Execution { state, updated_at: updated_at.map(at), build: None });
                    case.memory.told_at = told.map(at);
                },
                expected,
            );
        };
    use ExecutionState::*;
    let prepared = "yield: release r0000001 (pipeline web) to finish: it is being prepared, or waits for an approval";
    holder(|_| {}, Running, Some(0), None, prepared);
    holder(|hold| hold.phase = Phase::Approved, Running, None, None, "yield: …and what it replaced is being removed");
    holder(|hold| hold.phase = Phase::Ending, Running, None, None, "yield: …it is being rolled back and removed");
    holder(|hold| hold.moved_at = Some(at(50)), Running, None, None, "yield: …and waits for its approval");
    fn kept(hold: &mut Hold) {
        (hold.phase, hold.kept_until) = (Phase::Ending, Some(at(700)));
    }
    let kept_until = "yield: release r0000001 (pipeline web) to finish: it has failed, and its instances (i-11, i-12) are \
                      kept until 1970-01-12T13:58:20Z (TIMEOUTS.POSTMORTEM), out of every target group, so that people can \
                      find out what failed. To end this sooner, terminate them";
    holder(kept, Ended, Some(0), None, kept_until);
    let over = |hold: &mut Hold| (hold.phase, hold.kept_until) = (Phase::Ending, Some(at(100)));
    holder(over, Ended, Some(0), None, "do: tell that r0000001 was abandoned: discard");
    // Its end is given time to be handled.
    holder(|_| {}, Ended, Some(71), None, prepared);
    holder(|_| {}, Ended, Some(70), None, "do: tell that r0000001 was abandoned: discard");
    holder(|_| {}, Ended, Some(0), Some(41), "yield: …its execution has ended, so tagship is ending it");
    holder(|_| {}, Ended, Some(0), Some(40), "do: tell that r0000001 was abandoned: discard");
    holder(|_| {}, Succeeded, Some(0), None, "do: tell that r0000001 was abandoned: retire");
    holder(
        |hold| hold.phase = Phase::Ending,
        Succeeded,
        Some(0),
        None,
        "do: tell that r0000001 was abandoned: discard",
    );
    let unknown = "yield: …CodePipeline doesn't know its execution, so it may run or not";
    holder(|_| {}, NotFound, None, None, unknown);
    let missing = |since: i64, checked, expected| {
        check(
            |case| {
                case.holding = held(hold(1));
                case.hold().checked = checked;
                case.world.holder = Some(Execution { state: NotFound, updated_at: None, build: None });
                case.memory.missing_since = Some(at(since));
            },
            expected,
        );
    };
    missing(-199, true, unknown);
    missing(-200, true, "do: tell that r0000001 was abandoned: discard");
    missing(-200, false, unknown);
}

#[test]
fn a_whole_fleet_is_done() {
    check(
        |_| {},
        "done: already provisioned: 2 instances run (i-21, i-22), reached as candidate.web-product.cd.internal",
    );
    check(|case| case.began = at(1), "done: 2 instances run");
    check(|case| case.instance(1).state = InstanceState::Pending, "wait: instances to boot, 1 of 2 run: i-21 pending");
    check(|case| case.world.names.clear(), "do: change 3 names in cd.internal");
    // Names are given while instances boot, once all have addresses; after that, only to another fleet.
    check(
        |case| {
            case.world.names.clear();
            case.instance(1).state = InstanceState::Pending;
        },
        "do: change 3 names in cd.internal",
    );
    check(
        |case| {
            case.world.names.clear();
            case.instance(1).state = InstanceState::Pending;
            case.instance(1).private_ip = None;
        },
        "wait: instances to boot",
    );
    check(|case| case.instance(1).private_ip = None, "wait: every instance to have a private address");
    check(
        |case| {
            case.world.names.clear();
            case.memory.named = sha256("10.0.2.1\n10.0.2.2");
        },
        "done: already provisioned",
    );
    check(|case| case.world.names = named(names::Names::Candidate, 1), "do: change 3 names in cd.internal");
    check(
        |case| {
            case.hold().settings.zone = None;
            case.world.names.clear();
        },
        "done: already provisioned: 2 instances run (i-21, i-22)",
    );
}

#[test]
fn once_deploy_has_begun_nothing_is_launched_or_taken_away() {
    let late = |change: fn(&mut Case), expected| {
        check(
            |case| {
                case.hold().artifact =
                    Some(Artifact { bucket: "b".to_owned(), key: "k".to_owned(), version: None, etag: None });
                change(case);
            },
            expected,
        );
    };
    let register = |case: &mut Case, targets: Vec<Target>| {
        case.world.routing.as_mut().expect("routing").groups[1].targets = targets;
    };
    late(|case| case.world.names.clear(), "done: already provisioned");
    late(
        |case| case.fleet([1]),
        "fail: only 1 of 2 instances is running: provision doesn't replace instances once deploy has begun",
    );
    late(|case| case.fleet([1, 2, 3]), "do: terminate i-23");
    let registered = move |case: &mut Case| {
        case.fleet([1, 2, 3]);
        register(case, vec![target(2, 3)]);
    };
    check(
        |case| {
            case.hold().artifact =
                Some(Artifact { bucket: "b".to_owned(), key: "k".to_owned(), version: None, etag: None });
            registered(case);
        },
        "done: already provisioned",
    );
    late(
        |case| {
            case.fleet([1, 2, 3]);
            case.hold().previous = Some(Previous { release: None, healthy: 0 });
        },
        "done: already provisioned",
    );
}
