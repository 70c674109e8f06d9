//! A hold's settings as the version before wrote them, and as the next one will: both are read, and written back whole.

use super::*;

/// What version 0.1 wrote of settings that say all that it knew. Never to be changed: such holds exist.
const BEFORE: &str = r#"{
    "SUBNET": ["subnet-1", "subnet-2"], "AMI": "ami-1", "INSTANCE_TYPE": ["t3.small", "t3a.small"], "SG": ["sg-1"],
    "INSTANCE_PROFILE": "web", "DEPLOY": {"APPLICATION": "web", "GROUP": "product"}, "EIP": {"pool": "tag:pool=web"},
    "COUNT": 2, "PORT": 8080, "TARGET_GROUP": {"pair": "tag:tagship:service=MZUM_WEB_PRODUCT"}, "ZONE": "cd.internal",
    "ARTIFACT": {"BUCKET": "builds", "PREFIX": "web/", "TAG": "release=candidate"}, "KEY_NAME": "ops",
    "USER_DATA_SHA256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "VOLUME": {"SIZE": 30, "TYPE": "gp3"}, "TAGS": {"cost": "web"}, "KEEP": "stop", "DRAIN": 30,
    "TIMEOUTS": {"BOOT": 600, "INSTALL": 1200, "HEALTHY": 300, "WATCH": 30, "SETTLE": 15},
    "TOPIC": "arn:aws:sns:ap-northeast-2:123456789012:releases", "TOPIC_FORMAT": "amazon-q"
}"#;

fn before() -> Value {
    serde_json::from_str(BEFORE).expect("JSON")
}

#[track_caller]
fn read(carried: &Value) -> Settings {
    serde_json::from_value(carried.clone()).unwrap_or_else(|error| panic!("{carried}: {error}"))
}

/// The version before refuses keys that it doesn't know, so nothing may be written that it didn't write itself.
#[test]
fn what_the_version_before_wrote_is_read_and_written_as_it_was() {
    let read = read(&before());
    assert_eq!(json!(read), before());
    assert_eq!((read.pipeline, read.pre_product, read.imds_hops), (None, false, 1));
    assert_eq!((read.rollback, read.timeouts.postmortem_secs), (Rollback::default(), 0));
}

#[test]
fn what_the_next_version_adds_is_kept() {
    let added = json!({"LATER": {"CANARY": 10, "STEPS": [1, 2.5, null]}, "LATER_TOO": "rollback"});
    let mut after = before();
    after["PIPELINE"] = json!("mzum-web");
    after["ROLLBACK"] = json!({"HEALTHY_PERCENT": 75});
    after["TIMEOUTS"]["POSTMORTEM"] = json!(600);
    let entries = added.as_object().expect("a dictionary");
    for section in ["", "/DEPLOY", "/ARTIFACT", "/VOLUME", "/TIMEOUTS", "/ROLLBACK"] {
        let section = after.pointer_mut(section).and_then(Value::as_object_mut).expect("a dictionary");
        section.extend(entries.clone());
    }
    let mut stored = serde_json::to_value(crate::testing::hold(1)).expect("JSON");
    stored["settings"] = after.clone();
    let mut hold = crate::Hold::from_json(stored.to_string().as_bytes()).expect("a hold of the next version");
    // What this version changes, it changes; the rest stays.
    hold.settings.count = 3;
    after["COUNT"] = json!(3);
    let written: Value = serde_json::from_str(&hold.to_json().expect("JSON")).expect("JSON");
    assert_eq!(written["settings"], after);
}

/// Lenient with what tagship wrote; people's typing errors are still told.
#[test]
fn what_people_write_is_refused_with_an_unknown_key() {
    check(
        json!({"TIMEOUTS": {"LINGER": 1}}),
        &["TIMEOUTS.LINGER: no such key: the keys are BOOT, INSTALL, HEALTHY, WATCH, SETTLE, POSTMORTEM, HOOK"],
    );
}
