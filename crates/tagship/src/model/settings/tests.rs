//! Settings as ops write them, right and wrong, and as a hold carries them.

use super::parse::KEYS;
use super::*;
use crate::{Kind, Offer};
use proptest::prelude::*;
use serde_json::{Value, json};

mod gradual;
mod mistakes;
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
