//! Settings as ops write them, right and wrong, and as a hold carries them.

use super::parse::KEYS;
use super::*;
use crate::{Kind, Offer};
use proptest::prelude::*;
use serde_json::{Value, json};

mod gradual;
mod selectors;
mod text;
mod versions;

fn role() -> ServiceRole {
    ServiceRole::try_from("MZUM_WEB_PRODUCT".to_owned()).expect("a role")
}

/// The least that a service has to say, with this difference; `null` takes a key away.
fn written(difference: Value) -> String {
    let mut settings = json!({
        "SUBNET": "subnet-1", "AMI": "ami-1", "INSTANCE_TYPE": "t3.small", "SG": "sg-1", "INSTANCE_PROFILE": "web",
        "DEPLOY": {"VIA": "codedeploy", "APPLICATION": "web", "GROUP": "product"},
    });
    let (Value::Object(settings), Value::Object(difference)) = (&mut settings, difference) else {
        panic!("dictionaries");
    };
    settings.extend(difference);
    json!(settings).to_string()
}

#[track_caller]
fn parsed(text: &str) -> Offer {
    Settings::parse(&role(), text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The difference makes these problems, told together.
#[track_caller]
fn check(difference: Value, problems: &[&str]) {
    let text = written(difference);
    let error = Settings::parse(&role(), &text).expect_err(&text);
    let told: Vec<&str> = error.message.split("\n- ").skip(1).collect();
    assert_eq!(told, problems, "{text}");
    assert_eq!(error.kind, Kind::Configuration);
    assert!(error.message.contains("MZUM_WEB_PRODUCT"));
}

/// The difference reads as this, under these keys of the hold; `null` where the hold has none.
#[track_caller]
fn check_read(difference: Value, expected: Value) {
    let text = written(difference);
    let read = json!(parsed(&text).settings);
    for (key, value) in expected.as_object().expect("a dictionary") {
        assert_eq!(read.get(key).unwrap_or(&Value::Null), value, "{key} of {text}");
    }
}

#[test]
fn the_least_is_completed_with_defaults() {
    check_read(
        json!({}),
        json!({
            "SUBNET": ["subnet-1"], "AMI": "ami-1", "INSTANCE_TYPE": ["t3.small"], "SG": ["sg-1"], "EIP": "none",
            "COUNT": 1, "PORT": null, "TARGET_GROUP": {"pair": "tag:tagship:service=MZUM_WEB_PRODUCT"}, "ZONE": null,
            "ARTIFACT": null, "KEY_NAME": null, "USER_DATA_SHA256": null, "VOLUME": null, "TAGS": null,
            "KEEP": "terminate", "DRAIN": 30, "TOPIC": null,
            "TIMEOUTS": {"BOOT": 600, "INSTALL": 1200, "HEALTHY": 300, "WATCH": 30, "SETTLE": 15},
            "PIPELINE": null, "PRE_PRODUCT": null, "ROLLBACK": null, "IMDS_HOPS": null,
        }),
    );
    let least = parsed(&written(json!({}))).settings;
    assert_eq!((least.pre_product, least.imds_hops, least.rollback.healthy_percent), (false, 1, 50));
    assert_eq!(least.timeouts.postmortem_secs, 0);
}

#[test]
fn every_key_is_read() {
    check_read(json!({"SUBNET": ["subnet-2", "subnet-1"]}), json!({"SUBNET": ["subnet-2", "subnet-1"]}));
    check_read(json!({"SUBNET": "['subnet-1','subnet-2']"}), json!({"SUBNET": ["subnet-1", "subnet-2"]}));
    check_read(json!({"SUBNET": "('subnet-1',)"}), json!({"SUBNET": ["subnet-1"]}));
    check_read(json!({"SUBNET": "'subnet-1','subnet-2'"}), json!({"SUBNET": ["subnet-1", "subnet-2"]}));
    check_read(json!({"SUBNET": "'subnet-1'"}), json!({"SUBNET": ["subnet-1"]}));
    check_read(json!({"SG": "\"sg-1\", 'sg-2'"}), json!({"SG": ["sg-1", "sg-2"]}));
    check_read(json!({"SUBNET": "tag:Tier=web-*, Zone=?"}), json!({"SUBNET": "tag:Tier=web-*,Zone=?"}));
    check_read(json!({"SG": ["tag:Name=웹"]}), json!({"SG": "tag:Name=웹"}));
    check_read(json!({"AMI": "ssm:/aws/service/ami"}), json!({"AMI": "ssm:/aws/service/ami"}));
    check_read(json!({"AMI": " tag:Name=web-* "}), json!({"AMI": "tag:Name=web-*"}));
    check_read(
        json!({"INSTANCE_TYPE": ["c7g.large", "t3.a", "c7g.large"]}),
        json!({"INSTANCE_TYPE": ["c7g.large", "t3.a"]}),
    );
    check_read(json!({"INSTANCE_TYPE": "[\"u-6tb1.56xlarge\"]"}), json!({"INSTANCE_TYPE": ["u-6tb1.56xlarge"]}));
    check_read(json!({"EIP": true}), json!({"EIP": "own"}));
    check_read(json!({"EIP": "true"}), json!({"EIP": "own"}));
    check_read(json!({"EIP": "False"}), json!({"EIP": "none"}));
    check_read(json!({"EIP": "tag:pool=web"}), json!({"EIP": {"pool": "tag:pool=web"}}));
    check_read(json!({"COUNT": "1000", "PORT": " 8080 "}), json!({"COUNT": 1000, "PORT": 8080}));
    check_read(
        json!({"TARGET_GROUP": "none", "ZONE": "CD.internal."}),
        json!({"TARGET_GROUP": "none", "ZONE": "cd.internal"}),
    );
    check_read(json!({"TARGET_GROUP": "tag:pair=web"}), json!({"TARGET_GROUP": {"pair": "tag:pair=web"}}));
    let artifact = json!({"BUCKET": "builds", "PREFIX": "web/", "TAG": "release=candidate"});
    check_read(json!({"ARTIFACT": artifact}), json!({"ARTIFACT": artifact}));
    check_read(json!({"KEY_NAME": "ops"}), json!({"KEY_NAME": "ops"}));
    check_read(json!({"VOLUME": {"SIZE": "30", "TYPE": "gp3"}}), json!({"VOLUME": {"SIZE": 30, "TYPE": "gp3"}}));
    let tags = json!({"cost": "웹", "a=b, c": " x ", " d ": ""});
    check_read(json!({"TAGS": tags}), json!({"TAGS": tags}));
    check_read(json!({"KEEP": "stop", "DRAIN": 0}), json!({"KEEP": "stop", "DRAIN": 0}));
    check_read(
        json!({"TIMEOUTS": {"BOOT": 60, "SETTLE": "20"}}),
        json!({"TIMEOUTS": {"BOOT": 60, "INSTALL": 1200, "HEALTHY": 300, "WATCH": 30, "SETTLE": 20}}),
    );
    let topic = "arn:aws:sns:ap-northeast-2:123456789012:releases";
    check_read(json!({"TOPIC": topic, "TOPIC_FORMAT": "text"}), json!({"TOPIC": topic}));
    let chat = json!({"TOPIC": topic, "TOPIC_FORMAT": "amazon-q"});
    check_read(chat.clone(), chat);
    check_read(
        json!({"PIPELINE": "mzum-web.2@kr_1", "PRE_PRODUCT": "True", "IMDS_HOPS": "2", "TIMEOUTS": {"POSTMORTEM": 57_600}}),
        json!({
            "PIPELINE": "mzum-web.2@kr_1", "PRE_PRODUCT": true, "IMDS_HOPS": 2,
            "TIMEOUTS": {
                "BOOT": 600, "INSTALL": 1200, "HEALTHY": 300, "WATCH": 30, "SETTLE": 15, "POSTMORTEM": 57_600,
            },
        }),
    );
    for (share, percent) in
        [(json!(0.01), 1), (json!(0.07), 7), (json!(0.29), 29), (json!("0.75"), 75), (json!(1), 100)]
    {
        check_read(json!({"ROLLBACK": {"HEALTHY": share}}), json!({"ROLLBACK": {"HEALTHY_PERCENT": percent}}));
    }
    check_read(json!({"ROLLBACK": {"HEALTHY": 0.5}}), json!({"ROLLBACK": null}));
    check_read(json!({"ROLLBACK": {}}), json!({"ROLLBACK": null}));
    check_read(json!({"COUNT": null, "KEY_NAME": null}), json!({"COUNT": 1, "KEY_NAME": null}));
}

#[test]
fn a_dict_of_the_first_generation_reads_as_json_does() {
    let python = "
        {
            'SUBNET': \"['subnet-1','subnet-2']\",   # two zones
            'AMI': 'ami-1', 'INSTANCE_TYPE': 't3.small', 'SG': 'sg-1', 'INSTANCE_PROFILE': u'web',
            'EIP': 'True', 'COUNT': '2', 'KEY_NAME': None,
            'DEPLOY': {'VIA': 'codedeploy', 'APPLICATION': 'w' 'eb', 'GROUP': 'product'},
        }";
    let json = written(json!({"SUBNET": ["subnet-1", "subnet-2"], "EIP": true, "COUNT": 2}));
    assert_eq!(parsed(python), parsed(&json));
}

#[test]
fn user_data_leaves_only_its_digest_in_the_settings() {
    let offer = parsed(&written(json!({"USER_DATA": " #!/bin/sh\n"})));
    assert_eq!(offer.user_data.as_deref(), Some(" #!/bin/sh\n"));
    assert!(!format!("{offer:?}{}", json!(offer.settings)).contains("/bin/sh"));
    // FIPS 180-2, appendix B.1.
    let digest = parsed(&written(json!({"USER_DATA": "abc"}))).settings.user_data_sha256;
    assert_eq!(digest.as_deref(), Some("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
}

#[test]
fn every_problem_is_told_with_its_key_and_its_remedy() {
    let ids = "…), a list of ids, or a tag selector (tag:KEY=PATTERN[,KEY=PATTERN…])";
    let subnet = format!("a subnet id (subnet-{ids}");
    check(json!({"SUBNET": null}), &[&format!("SUBNET: missing: write {subnet}")]);
    for (wrong, shown) in [
        (json!(""), "\"\""),
        (json!([]), "[]"),
        (json!(7), "7"),
        (json!({"a": 1}), "a dictionary"),
        (json!([["subnet-1"]]), "a list"),
        (json!("subnet-"), "\"subnet-\""),
        (json!("subnet-1,subnet-2"), "\"subnet-1,subnet-2\""),
        (json!(["subnet-1", "sg-1"]), "[\"subnet-1\",\"sg-1\"]"),
        (json!(["subnet-1", "tag:a=b"]), "[\"subnet-1\",\"tag:a=b\"]"),
        (json!("['subnet-1'"), "\"['subnet-1'\""),
        (json!("subnet-1\u{200b}"), "\"subnet-1⟨ZERO WIDTH SPACE⟩\""),
    ] {
        check(json!({"SUBNET": wrong}), &[&format!("SUBNET: {shown} isn't accepted: write {subnet}")]);
    }
    let once = "tag: is written once, at the beginning: tag:Name=web,Tier=app. Quote a key that begins so";
    for (wrong, hint) in [
        ("tag:", "a part has no ="),
        ("tag:=a", "a key is empty"),
        ("tag:''=a", "a key is empty"),
        ("tag:a=", "write '' for an empty value"),
        ("tag:a=b,", "a part has no ="),
        ("tag:a*=b", "the wildcards * and ? work in a pattern only"),
        ("tag:a=\\*", "a backslash can't be looked for"),
        ("tag:Name=web,tag:Tier=app", once),
        ("tag:tag:Name=web", once),
        ("tag:a='b", "a quote ' isn't closed"),
        ("tag:a='b'c", "a quote ' is closed too early: write '' for one inside"),
        ("#{x.y}", "a variable of CodePipeline's, which isn't resolved in settings"),
    ] {
        let shown = json!(wrong);
        check(json!({"SUBNET": wrong}), &[&format!("SUBNET: {shown} isn't accepted ({hint}): write {subnet}")]);
    }
    let image = "an image id (ami-…), ssm:/path of a parameter, or a tag selector (tag:KEY=PATTERN[,KEY=PATTERN…])";
    check(json!({"AMI": "AMI-1"}), &[&format!("AMI: \"AMI-1\" isn't accepted: write {image}")]);
    check(json!({"AMI": "ssm:"}), &[&format!("AMI: \"ssm:\" isn't accepted: write {image}")]);
    check(
        json!({"INSTANCE_TYPE": ["t3.small", "small"]}),
        &["INSTANCE_TYPE: [\"t3.small\",\"small\"] isn't accepted: write an instance type (t3.small), \
           or a list in order of preference"],
    );
    check(
        json!({"INSTANCE_PROFILE": "arn:aws:iam::1:instance-profile/web"}),
        &["INSTANCE_PROFILE: \"arn:aws:iam::1:instance-profile/web\" isn't accepted: \
           write an instance profile's name, not its ARN"],
    );
    let deploy = "{\"VIA\":\"codedeploy\",\"APPLICATION\":…,\"GROUP\":…}";
    check(json!({"DEPLOY": null}), &[&format!("DEPLOY: missing: write {deploy}")]);
    check(json!({"DEPLOY": "web"}), &[&format!("DEPLOY: \"web\" isn't accepted: write {deploy}")]);
    check(
        json!({"DEPLOY": "{'VIA': 'codedeploy'}"}),
        &[&format!(
            "DEPLOY: \"{{'VIA': 'codedeploy'}}\" isn't accepted (a dictionary that is encoded twice: remove the quotes \
             around it): write {deploy}"
        )],
    );
    check(
        json!({"DEPLOY": {"VIA": "ssm", "APPLICATION": "", "GRUOP": "x"}}),
        &[
            "DEPLOY.GRUOP: no such key: write GROUP",
            "DEPLOY.VIA: \"ssm\" isn't accepted: write \"codedeploy\"",
            "DEPLOY.APPLICATION: \"\" isn't accepted: write the CodeDeploy application's name",
            "DEPLOY.GROUP: missing: write the deployment group's name",
        ],
    );
    let eip = "True, False, or a pool's tag selector (tag:KEY=PATTERN[,KEY=PATTERN…])";
    check(json!({"EIP": "yes"}), &[&format!("EIP: \"yes\" isn't accepted: write {eip}")]);
    for wrong in [json!(0), json!(1001), json!(-1), json!(1.5), json!("two"), json!(true), json!([1])] {
        check(
            json!({"COUNT": wrong}),
            &[&format!("COUNT: {wrong} isn't accepted: write a whole number from 1 to 1000")],
        );
    }
    for wrong in [json!(0), json!(65_536)] {
        check(json!({"PORT": wrong}), &[&format!("PORT: {wrong} isn't accepted: write a port from 1 to 65535")]);
    }
    let pair = "the tag selector of the two target groups (tag:KEY=PATTERN[,KEY=PATTERN…]), or \"none\"";
    check(json!({"TARGET_GROUP": "web"}), &[&format!("TARGET_GROUP: \"web\" isn't accepted: write {pair}")]);
    check(
        json!({"TARGET_GROUP": "none"}),
        &["ZONE: required if TARGET_GROUP is \"none\": without a load balancer, the service is reached by name only"],
    );
    let long = format!("{}.internal", ["abcdefghij"; 22].join("."));
    for (wrong, shown) in [
        ("cd..internal", "\"cd..internal\""),
        ("-a.b", "\"-a.b\""),
        (&long, "\"abcdefghij.abcdefghij.abcdefghij.abcdefghij.abcdefghij.abc…"),
    ] {
        check(
            json!({"ZONE": wrong}),
            &[&format!("ZONE: {shown} isn't accepted: write a private hosted zone's name (cd.internal)")],
        );
    }
    check(
        json!({"ARTIFACT": {"BUCKET": "a b", "PREFIX": "", "TAG": "release"}}),
        &[
            "ARTIFACT.BUCKET: \"a b\" isn't accepted: write the bucket's name",
            "ARTIFACT.PREFIX: \"\" isn't accepted: write the key's beginning",
            "ARTIFACT.TAG: \"release\" isn't accepted: write the object's tag as KEY=VALUE",
        ],
    );
    check(
        json!({"VOLUME": {"SIZE": 0, "TYPE": "io2"}}),
        &[
            "VOLUME.SIZE: 0 isn't accepted: write GiB from 1 to 65536",
            "VOLUME.TYPE: \"io2\" isn't accepted: write \"gp3\", \"gp2\" or \"standard\"",
        ],
    );
    let set = "set by tagship or by AWS: write another key";
    check(
        json!({"TAGS": {"Name": "x", "tagship:service": "x", "AWS:x": "x", "cost": 7}}),
        &[
            &format!("TAGS.AWS:x: {set}"),
            &format!("TAGS.Name: {set}"),
            "TAGS.cost: 7 isn't accepted: write text of at most 256 characters",
            &format!("TAGS.tagship:service: {set}"),
        ],
    );
    let many: serde_json::Map<_, _> = (0..41).map(|n| (format!("tag{n}"), json!("x"))).collect();
    check(json!({"TAGS": many}), &["TAGS: 41 tags: write at most 40"]);
    check(json!({"KEEP": "forever"}), &["KEEP: \"forever\" isn't accepted: write \"terminate\" or \"stop\""]);
    check(json!({"DRAIN": 301}), &["DRAIN: 301 isn't accepted: write seconds from 0 to 300"]);
    check(
        json!({"TIMEOUTS": {"SETTLE": 14, "BOOT": 0, "HEALTY": 1}}),
        &[
            "TIMEOUTS.HEALTY: no such key: write HEALTHY",
            "TIMEOUTS.BOOT: 0 isn't accepted: write seconds from 1 to 3600",
            "TIMEOUTS.SETTLE: 14 isn't accepted: write seconds from 15 to 300",
        ],
    );
    for wrong in ["arn:aws:sqs:eu-west-1:123456789012:x", "arn:aws:sns:eu-west-1:123456789012:x.fifo", "releases"] {
        let remedy = "write the ARN of an SNS topic that isn't FIFO (arn:aws:sns:…)";
        check(json!({"TOPIC": wrong}), &[&format!("TOPIC: \"{wrong}\" isn't accepted: {remedy}")]);
    }
    check(
        json!({"TOPIC_FORMAT": "slack"}),
        &["TOPIC_FORMAT: \"slack\" isn't accepted: write \"text\" or \"amazon-q\""],
    );
    for wrong in [json!("a b"), json!("x".repeat(101)), json!("")] {
        let shown = crate::bounded(&wrong.to_string(), 60);
        let remedy = "write the name of the pipeline that releases the service";
        check(json!({"PIPELINE": wrong}), &[&format!("PIPELINE: {shown} isn't accepted: {remedy}")]);
    }
    check(json!({"PRE_PRODUCT": 1}), &["PRE_PRODUCT: 1 isn't accepted: write True or False"]);
    for wrong in [json!(0), json!(0.005), json!(0.333), json!(1.01), json!(50), json!("half"), json!(-0.5)] {
        let remedy = "write a share from 0.01 to 1 (0.5 is one half), in steps of 0.01";
        check(
            json!({"ROLLBACK": {"HEALTHY": wrong}}),
            &[&format!("ROLLBACK.HEALTHY: {wrong} isn't accepted: {remedy}")],
        );
    }
    check(json!({"ROLLBACK": 0.5}), &["ROLLBACK: 0.5 isn't accepted: write {\"HEALTHY\": 0.5}"]);
    for wrong in [json!(0), json!(65)] {
        let remedy = "write a whole number from 1 to 64";
        check(json!({"IMDS_HOPS": wrong}), &[&format!("IMDS_HOPS: {wrong} isn't accepted: {remedy}")]);
    }
    check(
        json!({"TIMEOUTS": {"POSTMORTEM": 57_601}}),
        &["TIMEOUTS.POSTMORTEM: 57601 isn't accepted: write seconds from 0 to 57600"],
    );
    check(json!({"COUNTS": 2}), &["COUNTS: no such key: write COUNT"]);
    // What is there already isn't suggested.
    let keys = KEYS.join(", ");
    check(json!({"COUNT": 1, "COUNTS": 2}), &[&format!("COUNTS: no such key: the keys are {keys}")]);
    check(json!({"X": "s3cr3t"}), &[&format!("X: no such key: the keys are {keys}")]);
    let secret = "USER_DATA: what is there isn't accepted: write text of at most 16384 bytes";
    for wrong in [json!(["s3cr3t"]), json!(" "), json!("x".repeat(16_385))] {
        check(json!({"USER_DATA": wrong}), &[secret]);
    }
}

#[test]
fn five_mistakes_make_one_error() {
    check(
        json!({"AMI": null, "COUNT": 0, "KEEP": "no", "TIMEOUTS": {"SETTLE": 5}, "VOLUMES": {}}),
        &[
            "VOLUMES: no such key: write VOLUME",
            "AMI: missing: write an image id (ami-…), ssm:/path of a parameter, \
             or a tag selector (tag:KEY=PATTERN[,KEY=PATTERN…])",
            "COUNT: 0 isn't accepted: write a whole number from 1 to 1000",
            "KEEP: \"no\" isn't accepted: write \"terminate\" or \"stop\"",
            "TIMEOUTS.SETTLE: 5 isn't accepted: write seconds from 15 to 300",
        ],
    );
}

/// Anything that ops may write, right.
fn any_written() -> impl Strategy<Value = Value> {
    let choice = |prefix: &'static str| {
        prop_oneof![
            prop::collection::vec("[0-9a-f]{1,17}".prop_map(move |id| format!("{prefix}{id}")), 1..4)
                .prop_map(|ids| json!(ids)),
            selector().prop_map(Value::from),
        ]
    };
    let eip = prop_oneof![any::<bool>().prop_map(Value::from), selector().prop_map(Value::from)];
    let ami = prop_oneof!["ami-[0-9a-f]{8}", "ssm:/[a-z/._-]{1,20}", selector()];
    let optional = (
        prop::option::of(1..=65_535_u16),
        prop::option::of("[a-z]{1,9}(\\.[a-z]{1,9}){0,2}"),
        prop::option::of(("[a-z0-9.-]{3,20}", "[a-z가-힣/]{1,20}", "[a-z]{1,9}=[a-z가-힣=]{1,9}")),
        prop::option::of("[ -~가-힣]{0,20}[a-z]"),
        prop::option::of((1..=65_536_u32, prop::sample::select(vec!["gp3", "gp2", "standard"]))),
        prop::collection::btree_map("[a-z][a-z가-힣 :/]{0,20}[가-힣]", "[a-z가-힣 ]{0,20}[a-z]", 0..4),
        prop::option::of("arn:aws:sns:[a-z]{2}-[a-z]{4}-1:[0-9]{12}:[A-Za-z0-9_-]{1,20}"),
        (1..=3_600_u32, 1..=14_400_u32, 1..=3_600_u32, 0..=3_600_u32, 15..=300_u32),
    );
    (choice("subnet-"), ami, choice("sg-"), eip, 1..=1_000_u32, any::<bool>(), 0..=300_u32, optional).prop_map(
        |(subnet, ami, sg, eip, count, stop, drain, optional)| {
            let (port, zone, artifact, user_data, volume, tags, topic, (boot, install, healthy, watch, settle)) = optional;
            json!({
                "SUBNET": subnet, "AMI": ami, "SG": sg, "EIP": eip, "COUNT": count, "PORT": port, "ZONE": zone,
                "KEEP": if stop { "stop" } else { "terminate" }, "DRAIN": drain, "USER_DATA": user_data,
                "TARGET_GROUP": if zone.is_some() { Some("none") } else { None },
                "ARTIFACT": artifact.map(|(bucket, prefix, tag)| json!({"BUCKET": bucket, "PREFIX": prefix, "TAG": tag})),
                "VOLUME": volume.map(|(size, kind)| json!({"SIZE": size, "TYPE": kind})),
                "TAGS": tags, "TOPIC": topic, "TOPIC_FORMAT": if stop { "amazon-q" } else { "text" },
                "TIMEOUTS": {"BOOT": boot, "INSTALL": install, "HEALTHY": healthy, "WATCH": watch, "SETTLE": settle},
            })
        },
    )
}

fn selector() -> impl Strategy<Value = String> {
    prop::collection::vec(("[A-Za-z가-힣:/_-]{1,9}", "[A-Za-z가-힣=*?_-]{1,9}"), 1..4).prop_map(|parts| {
        let parts: Vec<String> = parts.into_iter().map(|(key, pattern)| format!("{key}={pattern}")).collect();
        format!("tag:{}", parts.join(","))
    })
}

proptest! {
    #[test]
    fn a_hold_reads_back_what_it_was_given(difference in any_written()) {
        let text = written(difference);
        let offer = Settings::parse(&role(), &text);
        let settings = offer.map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?.settings;
        let carried = serde_json::to_string(&settings).expect("JSON");
        prop_assert_eq!(serde_json::from_str::<Settings>(&carried).expect("the same"), settings);
    }

    /// Whatever a slip of the finger makes of the settings, it isn't answered with the user data.
    #[test]
    fn no_error_shows_user_data(difference in any_written(), at in any::<prop::sample::Index>(), with in "[ -~]?") {
        let others = written(difference);
        let text = format!("{{\"USER_DATA\": \"s3cr3t\", {}", &others[1..]);
        let mut chars: Vec<char> = text.chars().collect();
        let at = at.index(chars.len());
        chars.splice(at..=at, with.chars());
        let slipped: String = chars.into_iter().collect();
        if let Err(error) = Settings::parse(&role(), &slipped) {
            prop_assert!(!error.message.contains("3cr3"), "{}", error);
        }
    }
}
