//! Settings in a parameter, the image in another; addresses of a pool; user data that is a secret; a topic of the
//! service's own; a listener's default action as a switch.

use super::Service;
use serde_json::json;
use std::collections::BTreeSet;
use tagship_local::artifact::Variant;
use tagship_local::state::Action;
use tagship_tests::notices;
use tagship_tests::person::aws_with;
use tagship_tests::releases::Releases;

const PARAMETER: &str = "/tagship/settings/pool";
const SECRET: &str = "#!/bin/sh\nexport LICENCE=d41d8cd98f00";

pub(super) async fn addresses_of_a_pool(service: Service<'_>) {
    let pool = service.releases;
    let topic = pool.aws("sns create-topic --name pool-people")["TopicArn"].as_str().expect("an ARN").to_owned();
    pool.aws(&format!("sns tag-resource --resource-arn {topic} --tags Key=tagship:service,Value={}", pool.role));
    let tags = ["pool", "web", "tagship:service", pool.role];
    let addresses: BTreeSet<String> = (0..2).map(|_| pool.allocates(&tags)).collect();
    let catch_all = pool.default_switch();
    service.set(&format!("ssm:{PARAMETER}"));

    refused_when_the_secret_changes(pool, &topic).await;
    keeps_the_secret_and_tells_its_topic(pool).await;
    moves_the_default_action(pool, &catch_all).await;
    let left: BTreeSet<String> = pool.addresses().into_keys().collect();
    assert_eq!(left, addresses, "a pool's address is never released");
    for name in ["provision", "deploy", "route", "cleanup"] {
        let text = std::fs::read_to_string(pool.local.logs().join(format!("tagship-{name}.log"))).expect("a log");
        assert!(!text.contains("LICENCE"), "the log of {name} has the user data");
    }
}

fn put(pool: Releases<'_>, topic: &str, user_data: &str) {
    let settings = pool.offered(json!({
        "AMI": "ssm:/tagship/ami", "EIP": "tag:pool=w*", "COUNT": 1, "USER_DATA": user_data, "TOPIC": topic,
        "TOPIC_FORMAT": "amazon-q",
        "TAGS": {"Cost": "42"}, "VOLUME": {"SIZE": 9, "TYPE": "gp3"}, "KEY_NAME": pool.local.account.key_name,
    }));
    let value = settings.to_string();
    let arguments = ["ssm", "put-parameter", "--overwrite", "--type", "SecureString", "--name", PARAMETER];
    aws_with(&pool.local.gateway.url(), &[&arguments[..], &["--value", &value]].concat());
}

/// Changed between the hold and the launch: what the hold promises can't be launched any more.
async fn refused_when_the_secret_changes(pool: Releases<'_>, topic: &str) {
    put(pool, topic, "#!/bin/sh\n: soon to be changed");
    let no_launch = pool.refuses("provision", "ec2", "RunInstances");
    let changed = pool.upload("p0", Variant::Healthy).await;
    let held = pool.held(&changed).await;
    assert_eq!(held["settings"]["USER_DATA_SHA256"].as_str().map(str::len), Some(64), "{held}");
    put(pool, topic, SECRET);
    // Until then nothing can be launched, for anyone: the others try again.
    let (_, message) = pool.fails(&changed, "Provision").await;
    pool.local.gateway.faults().remove(no_launch);
    assert!(message.contains("USER_DATA") && !message.contains("soon to be"), "{message}");
    pool.marked(&changed, "discarded").await;
}

/// The hold has the secret's hash alone, the instance all of it; each stage tells the service's own topic.
async fn keeps_the_secret_and_tells_its_topic(pool: Releases<'_>) {
    let first = pool.upload("p1", Variant::Healthy).await;
    let held = pool.held(&first).await;
    assert!(!held.to_string().contains("LICENCE"), "{held}");
    pool.succeeds(&first).await;
    let instance = pool.fleet(&first).remove(0);
    assert_eq!(instance.user_data.as_deref(), Some(SECRET));
    assert_eq!(instance.tags["Cost"], "42");
    assert_eq!(pool.addressed(), pool.ids(&first));
    let told = notices::messages(pool.local).into_iter().filter(|message| message.topic == "pool-people");
    let told: BTreeSet<String> = told
        .map(|message| {
            notices::amazon_q(&message.text);
            message.caller
        })
        .collect();
    assert_eq!(told, ["cleanup", "deploy", "provision", "route"].map(str::to_owned).into());
}

/// The next release takes the pool's other address, gives the first one back, and has the weight there too.
async fn moves_the_default_action(pool: Releases<'_>, catch_all: &str) {
    let second = pool.succeed("p2").await;
    assert_eq!(pool.addressed(), pool.ids(&second));
    let state = pool.local.states.borrow().clone();
    let listener = state.listeners.iter().find(|listener| listener.arn == catch_all).expect("the listener");
    let [Action::Forward { groups, .. }] = &listener.default[..] else { panic!("{listener:?}") };
    let weighted = groups.iter().find(|group| group.weight > 0).expect("a weight");
    assert_ne!(weighted.arn, pool.free_group(&second));
}
