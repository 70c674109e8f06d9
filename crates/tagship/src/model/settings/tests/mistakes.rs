//! Mistakes of settings: each told with its key and what to write instead, all at once.

use super::*;

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
