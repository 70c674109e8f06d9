//! Situations of provision, and what is decided in each.

use super::*;
use crate::settings::{Eip, Selector, ShiftStep, Volume, sha256};
use crate::testing::*;
use crate::{
    Address, Artifact, Balancer, Build, Devices, Execution, ExecutionState, Holding, Launch, Offer, Previous,
    TAG_BUILD, Target, UserData, World, names,
};

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
fn a_fleet_that_does_not_fit_its_balancer_is_not_launched() {
    fn fits(change: impl FnOnce(&mut Case, &mut Balancer), expected: &str) {
        check(
            |case| {
                case.holding = Holding::default();
                let text = |text: &str| text.to_owned();
                let mut balancer = Balancer {
                    zones: ["one", "two"].map(text).into(),
                    subnets: [("subnet-a", "one"), ("subnet-b", "two")].map(|(id, zone)| (text(id), text(zone))).into(),
                    targets: Some(4),
                    sticky: Vec::new(),
                };
                change(case, &mut balancer);
                case.world.balancer = Some(balancer);
            },
            expected,
        );
    }
    let steps = |case: &mut Case| {
        let settings = &mut case.world.offer.as_mut().expect("an offer").settings;
        settings.shift.steps = vec![ShiftStep { percent: 10, bake_secs: 60 }];
    };
    fits(|_, _| {}, "do: take the hold");
    fits(
        |_, balancer| balancer.zones = ["one".to_owned()].into(),
        "fail: the fleet doesn't fit its load balancer:\n- SUBNET: subnet-b (two) is in a zone that the load balancer hasn't \
         enabled (it has one), so",
    );
    fits(
        |_, balancer| balancer.zones = ["three".to_owned()].into(),
        "fail: the fleet doesn't fit its load balancer:\n- SUBNET: subnet-a (one), subnet-b (two) are in a zone",
    );
    // Two live targets, and two instances to come.
    fits(
        |_, balancer| balancer.targets = Some(3),
        "fail: the fleet doesn't fit its load balancer:\n- COUNT: 2 instances beside the pair's 2 targets are more than the 3 \
         targets that",
    );
    fits(|_, balancer| balancer.targets = None, "do: take the hold");
    fits(|_, balancer| balancer.sticky = vec!["web-a".to_owned()], "do: take the hold");
    fits(
        |case, balancer| {
            steps(case);
            balancer.sticky = vec!["web-a".to_owned()];
        },
        "fail: the fleet doesn't fit its load balancer:\n- SHIFT: target group web-a has stickiness of its own",
    );
    fits(
        |case, balancer| {
            steps(case);
            *balancer = Balancer { targets: Some(1), sticky: vec!["web-a".to_owned()], ..balancer.clone() };
        },
        "fail: the fleet doesn't fit its load balancer:\n- COUNT: …AllAtOnce",
    );
}

fn pool() -> Eip {
    Eip::Pool(Selector { parts: vec![("pool".to_owned(), "web".to_owned())] })
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
fn what_died_for_want_of_capacity_is_launched_elsewhere() {
    let mut case = Case::new();
    case.fleet([1]);
    let first = case.launch();
    assert_eq!((first.subnet.as_str(), first.instance_type.as_str()), ("subnet-b", "t3.micro"));
    // As many as a release may lose otherwise; EC2 has forgotten where they were.
    for n in 2..5 {
        case.world.instances.push(Instance {
            state: InstanceState::Terminated,
            subnet: None,
            reason: Some("Server.InsufficientInstanceCapacity".to_owned()),
            short: true,
            client_token: Some(first.client_token.clone()),
            ..instance(2, n)
        });
    }
    let next = case.launch();
    assert_eq!((next.subnet.as_str(), next.instance_type.as_str()), ("subnet-b", "t3a.micro"));
    assert_eq!(next.client_token.len(), 64);
    // EC2 has forgotten them altogether.
    case.fleet([1]);
    assert_eq!(case.launch().instance_type, "t3a.micro");
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
fn instances_are_spread_and_go_where_there_is_capacity() {
    check(|case| case.fleet([]), "do: launch 1 × t3.micro in subnet-a");
    check(|case| case.fleet([1]), "do: launch 1 × t3.micro in subnet-b");
    let four = |change: fn(&mut Case), expected| {
        check(
            |case| {
                case.hold().settings.count = 5;
                case.fleet([]);
                change(case);
            },
            expected,
        );
    };
    four(|_| {}, "do: launch 3 × t3.micro in subnet-a");
    four(|case| case.fleet([1, 3, 5]), "do: launch 2 × t3.micro in subnet-b");
    // The next type in the same subnet, then the other subnets; what runs there already counts.
    four(|case| case.exhausted(&[("a", "t3.micro")]), "do: launch 3 × t3a.micro in subnet-a");
    four(
        |case| case.exhausted(&[("a", "t3.micro"), ("a", "t3a.micro"), ("b", "t3.micro")]),
        "do: launch 5 × t3a.micro in subnet-b",
    );
    four(
        |case| {
            case.fleet([2, 4]);
            case.exhausted(&[("b", "t3.micro"), ("b", "t3a.micro")]);
        },
        "do: launch 3 × t3.micro in subnet-a",
    );
    four(
        |case| {
            case.fleet([2]);
            case.exhausted(&[("a", "t3.micro"), ("a", "t3a.micro"), ("b", "t3.micro"), ("b", "t3a.micro")]);
        },
        "fail: AWS has no capacity for 4 of 5 instances: t3.micro in subnet-a: InsufficientInstanceCapacity; \
         t3a.micro in subnet-a: InsufficientInstanceCapacity; t3.micro in subnet-b: InsufficientInstanceCapacity; \
         t3a.micro in subnet-b: InsufficientInstanceCapacity. Left behind of release r0000002: 1 instance (i-22), the hold. …Then start a new execution",
    );
}

#[test]
fn a_fleet_is_made_whole_again() {
    let ended = |case: &mut Case, n, state| case.instance(n).state = state;
    check(|case| ended(case, 1, InstanceState::ShuttingDown), "do: launch 1 × t3.micro in subnet-a");
    check(|case| ended(case, 1, InstanceState::Stopped), "do: terminate i-21");
    // Surplus: the newest, ties by id; the hung ones first.
    check(|case| case.fleet([1, 2, 3, 4]), "do: terminate i-23, i-24");
    check(
        |case| {
            case.fleet([1, 2, 3]);
            (1..=3).for_each(|n| case.instance(n).launched_at = at(0));
        },
        "do: terminate i-23",
    );
    check(
        |case| {
            case.world.now = at(700);
            case.fleet([1, 2, 3]);
            ended(case, 1, InstanceState::Pending);
        },
        "do: terminate i-21",
    );
    // Not for ever.
    check(
        |case| {
            case.fleet([1, 2, 3, 4]);
            for n in 1..=3 {
                ended(case, n, InstanceState::Terminated);
                case.instance(n).reason = Some("Client.InternalError".to_owned());
            }
        },
        "fail: 3 instances of this release didn't come up or died, so no more are launched: i-21 (Client.InternalError)",
    );
    check(
        |case| {
            case.world.now = at(2_401);
            case.fleet([1]);
        },
        "fail: only 1 of 2 instances came up in 4 × BOOT",
    );
    // Other services of the account launch too: it isn't the release that is late.
    check(
        |case| {
            case.world.now = at(2_401);
            case.fleet([1]);
            case.throttled_secs = 600;
        },
        "do: launch 1 × t3.micro in subnet-b",
    );
    check(
        |case| {
            case.world.now = at(2_401);
            case.instance(1).private_ip = None;
        },
        "fail: provision gives up 4 × BOOT after it took the hold. It still had to wait for every instance to have a private",
    );
}

/// The same need has the same token, whatever a describe that is behind shows of what was seen to be gone.
#[test]
fn what_was_seen_to_be_gone_stays_gone() {
    let mut case = Case::new();
    case.fleet([1, 2]);
    case.instance(1).state = InstanceState::Terminated;
    let first = case.launch();
    case.instance(1).state = InstanceState::Running;
    let second = case.launch();
    assert_eq!((first.client_token, first.count), (second.client_token, second.count));
}

#[test]
fn a_launch_is_told_by_its_need_alone() {
    let token = |change: &dyn Fn(&mut Case)| {
        let mut case = Case::new();
        case.fleet([]);
        change(&mut case);
        case.launch().client_token
    };
    let first = token(&|_| {});
    assert!(first.len() == 64 && first.bytes().all(|byte| byte.is_ascii_hexdigit()), "{first}");
    let same: [&dyn Fn(&mut Case); 3] = [
        &|case| case.world.now = at(500),
        &|case| case.began = at(0),
        // More is wanted of the same subnet: a conflict with the launch that isn't seen yet.
        &|case| case.exhausted(&[("b", "t3.micro"), ("b", "t3a.micro")]),
    ];
    for change in same {
        assert_eq!(token(change), first);
    }
    let gone = |subnet: Option<&str>| {
        let subnet = subnet.map(str::to_owned);
        move |case: &mut Case| {
            case.fleet([9]);
            let dead = case.instance(9);
            (dead.state, dead.subnet) = (InstanceState::Terminated, subnet.clone());
        }
    };
    let replaced = token(&gone(Some("subnet-a")));
    for forgotten in [Some("subnet-b"), None] {
        assert_eq!(token(&gone(forgotten)), replaced, "EC2 forgets where a terminated instance was");
    }
    let mut all = vec![
        first,
        replaced,
        token(&|case| case.hold().since = at(1)),
        token(&|case| case.exhausted(&[("a", "t3.micro")])),
        token(&|case| case.fleet([1])),
    ];
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 5, "each other need has another token");
}

#[test]
fn a_launch_says_what_the_hold_says() {
    let mut case = Case::new();
    case.fleet([]);
    case.hold().settings.user_data_sha256 = Some(sha256("#!/bin/sh"));
    case.hold().settings.tags = [("Name", "mine"), ("team", "web")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    for changed in [None, Some("#!/bin/bash")] {
        case.world.user_data = changed.map(|text| UserData(text.to_owned()));
        assert!(case.ask().starts_with("fail: USER_DATA of WEB_PRODUCT changed"));
    }
    case.world.user_data = Some(UserData("#!/bin/sh".to_owned()));
    let launch = case.launch();
    assert_eq!((launch.ami.as_str(), launch.user_data.as_deref()), ("ami-1", Some("#!/bin/sh")));
    let tags: Vec<String> = launch.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(
        tags,
        ["Name=web-product-r0000002", "tagship:release=r0000002", "tagship:service=WEB_PRODUCT", "team=web"]
    );
}

#[test]
fn each_instance_has_an_address_of_its_own() {
    let own = |addresses: &[(&str, Option<u8>)], expected| {
        check(|case| case.addresses(Some(2), Eip::Own, addresses), expected);
    };
    own(&[], "do: allocate an address");
    own(&[("e1", Some(1))], "do: allocate an address");
    own(&[("e1", None), ("e2", None), ("e3", None)], "do: release e3");
    own(&[("e2", None), ("e1", None)], "do: associate e1 with i-21");
    own(&[("e2", None), ("e1", Some(1))], "do: associate e2 with i-22");
    own(&[("e1", Some(1)), ("e2", Some(9))], "wait: a public address for i-22");
    own(&[("e1", Some(2)), ("e2", Some(1))], "done: ");
    // Allocated while the instances boot, associated once they run.
    check(
        |case| {
            case.addresses(Some(2), Eip::Own, &[]);
            case.instance(1).state = InstanceState::Pending;
        },
        "do: allocate an address",
    );
    // Another release's are not touched.
    check(|case| case.addresses(Some(1), Eip::Own, &[("e1", None), ("e2", None)]), "do: allocate an address");
}

#[test]
fn a_pool_is_borrowed_from_and_never_stolen_from() {
    let pooled = |addresses: &[(&str, Option<u8>)], expected| {
        check(|case| case.addresses(None, pool(), addresses), expected);
    };
    pooled(&[("e1", Some(9)), ("e3", None), ("e2", None)], "do: associate e2 with i-21");
    pooled(&[("e1", Some(1)), ("e2", Some(2)), ("e3", None)], "done: ");
    let short = "fail: EIP tag:pool=web has 2 addresses, 1 of them free, but COUNT is 2";
    pooled(&[("e1", Some(9)), ("e2", None)], short);
    // Found out before anything is launched.
    check(
        |case| {
            case.addresses(None, pool(), &[("e1", Some(9)), ("e2", None)]);
            case.fleet([]);
        },
        short,
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

/// What an image brings besides its root device is nobody's once the instance is gone.
#[test]
fn volumes_of_the_image_go_with_the_instance() {
    let lasting = |volume: Option<Volume>| {
        let mut case = Case::new();
        case.fleet([]);
        case.hold().settings.volume = volume;
        let lasting = [("/dev/xvda", 8), ("/dev/sdb", 100)].map(|(device, size)| (device.to_owned(), size)).into();
        case.world.devices = Some(Devices { root: Some("/dev/xvda".to_owned()), lasting });
        let found = decide::<Provision>(&case.holding, &case.world, (case.began, 0), &mut case.memory);
        let Break(Decision::Do { step: Step::Launch(launch), .. }) = found else { panic!("{found:?}") };
        launch.lasting.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(lasting(None), ["/dev/sdb", "/dev/xvda"]);
    let volume = Volume { size_gib: 30, r#type: "gp3".to_owned() };
    assert_eq!(lasting(Some(volume)), ["/dev/sdb"], "the root volume is mapped by VOLUME");
}
