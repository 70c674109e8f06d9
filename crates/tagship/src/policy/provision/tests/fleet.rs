//! What is launched, where, and what is replaced or too much.

use super::*;

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

/// The describe doesn't show those that died yet: whoever sees them, and whoever was told so by AWS, launch the same.
#[test]
fn a_token_that_is_used_up_is_followed_by_the_one_that_their_deaths_make() {
    let mut case = Case::new();
    case.hold().settings.subnet = Choice::Ids(vec!["subnet-a".to_owned()]);
    case.fleet([]);
    let first = case.launch();
    let refused = Error::new(Kind::Spent, "IdempotentInstanceTerminated");
    let learned = Provision::learn(&Step::Launch(Box::new(first.clone())), &refused, &case.memory);
    case.memory = learned.expect("something to remember");
    let second = case.launch();
    assert_ne!(second.client_token, first.client_token);
    case.fleet([1, 2]);
    for n in [1, 2] {
        let dead = case.instance(n);
        (dead.state, dead.subnet) = (InstanceState::Terminated, None);
        dead.client_token = Some(first.client_token.clone());
    }
    assert_eq!(case.launch().client_token, second.client_token);
    case.memory = ProvisionMemory::default();
    assert_eq!(case.launch().client_token, second.client_token);
}

#[test]
fn a_launch_is_told_by_its_need_alone() {
    fn token(change: impl FnOnce(&mut Case)) -> String {
        let mut case = Case::new();
        case.fleet([]);
        change(&mut case);
        case.launch().client_token
    }
    let first = token(|_| {});
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
    // EC2 forgets where a terminated instance was: its token says so. One that tells neither may have been anywhere.
    let gone = |subnet: Option<&str>, launched_by: Option<&str>| {
        let (subnet, client_token) = (subnet.map(str::to_owned), launched_by.map(str::to_owned));
        move |case: &mut Case| {
            case.fleet([9]);
            let dead = case.instance(9);
            (dead.state, dead.subnet, dead.client_token) = (InstanceState::Terminated, subnet, client_token);
        }
    };
    let elsewhere = {
        let mut case = Case::new();
        case.exhausted(&[("a", "t3.micro"), ("a", "t3a.micro")]);
        case.fleet([]);
        case.launch().client_token
    };
    let replaced = token(gone(Some("subnet-a"), None));
    assert_eq!(token(gone(None, Some(&first))), replaced);
    assert_eq!(token(gone(None, None)), replaced);
    assert_eq!(token(gone(Some("subnet-b"), None)), first);
    assert_eq!(token(gone(None, Some(&elsewhere))), first);
    // Another one has died meanwhile, and the describe doesn't show the replacement yet: a conflict, not one too many.
    let died = |states: [InstanceState; 2]| {
        move |case: &mut Case| {
            case.hold().settings.subnet = Choice::Ids(vec!["subnet-a".to_owned()]);
            case.fleet([1, 2]);
            for (n, state) in [(1, states[0]), (2, states[1])] {
                (case.instance(n).state, case.instance(n).subnet) = (state, Some("subnet-a".to_owned()));
            }
        }
    };
    let (gone, runs) = (InstanceState::Terminated, InstanceState::Running);
    assert_eq!(token(died([gone, runs])), token(died([gone, gone])));
    let mut all = vec![
        first,
        replaced,
        token(|case| case.hold().since = at(1)),
        token(|case| case.exhausted(&[("a", "t3.micro")])),
        token(|case| case.fleet([1])),
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
