//! The schema beside the parser: what the one accepts, the other does.

use super::super::Settings;
use super::super::parse::KEYS;
use super::*;
use crate::testing::role;
use crate::testing::schema::valid;

/// Settings in which every key has a value that is right.
fn whole() -> Value {
    json!({
        "SUBNET": "subnet-a", "AMI": "ami-1", "INSTANCE_TYPE": "t3.micro", "SG": "sg-1", "INSTANCE_PROFILE": "web",
        "DEPLOY": {"VIA": "codedeploy", "APPLICATION": "web", "GROUP": "web"}, "EIP": false, "COUNT": 2, "PORT": 8080,
        "TARGET_GROUP": "tag:Name=web", "ZONE": "cd.internal", "KEY_NAME": "ops", "USER_DATA": "#!/bin/sh",
        "ARTIFACT": {"BUCKET": "b", "PREFIX": "p/", "TAG": "release=candidate"}, "VOLUME": {"SIZE": 30, "TYPE": "gp3"},
        "TAGS": {"Team": "shop"}, "KEEP": "stop", "DRAIN": 30,
        "TIMEOUTS": {"BOOT": 1, "INSTALL": 1, "HEALTHY": 1, "WATCH": 1, "SETTLE": 15, "POSTMORTEM": 1, "HOOK": 1},
        "TOPIC": "arn:aws:sns:eu-west-1:123456789012:web", "TOPIC_FORMAT": "text", "PIPELINE": "web",
        "PRE_PRODUCT": false, "ROLLBACK": {"HEALTHY": 0.5}, "IMDS_HOPS": 2,
        "SHIFT": {"STEPS": [{"WEIGHT": 5, "BAKE": 300}]}, "ALARMS": ["a"], "ON_ALARM": "tell", "GUARD": 60,
        "COMPARE": {"ERRORS": 2.0, "CONFIDENCE": 0.99},
        "HOOKS": {"BEFORE_SHIFT": [], "AFTER_SHIFT": {"FUNCTION": "load-test:live", "DETAILS": {"users": 5}}},
    })
}

/// Values of all kinds, among them some that are right for one key each.
fn probes() -> Vec<Value> {
    let texts = [
        "",
        " ",
        "none",
        "x",
        "a b",
        "web",
        "true",
        "2",
        "subnet-a",
        "subnet-",
        "sg-1",
        "ami-1",
        "ami-",
        "ssm:/a/b",
        "ssm:",
        "tag:Name=web",
        "tag:Name",
        "tag:=web",
        "tag:",
        "tag:a=b,c=d*",
        "tag:a=b,",
        "tag:'a, b'='c'",
        "tag:N*=x",
        "t3.micro",
        "t3",
        "t3.",
        "codedeploy",
        "terminate",
        "stop",
        "text",
        "amazon-q",
        "rollback",
        "tell",
        "gp3",
        "io1",
        "cd.internal",
        "cd..internal",
        "-a.b",
        "AllAtOnce",
        "Canary10Percent5Minutes",
        "Canary0Percent5Minutes",
        "Canary10Percent0Minutes",
        "Linear10PercentEvery1Minutes",
        "Linear10Percent1Minutes",
        "release=candidate",
        "release",
        "arn:aws:sns:eu-west-1:123456789012:web",
        "arn:aws:sns:eu-west-1:12:web",
        "arn:aws:sqs:a:1:b",
    ];
    let mut probes: Vec<Value> = texts.into_iter().map(Value::from).collect();
    probes.extend([
        json!(true),
        json!(false),
        json!([]),
        json!({}),
        json!({"no": 1}),
        json!([1]),
        json!([""]),
        json!({"a": 1}),
    ]);
    probes.extend(["", "x", "subnet-a", "sg-1", "t3.micro", "tag:Name=web"].map(|text| json!([text])));
    probes.extend([json!(["sg-1", "sg-2"]), json!(["subnet-a", "sg-1"]), json!(["t3.micro", "t3a.micro"])]);
    probes.extend([
        json!({"Name": "x"}),
        json!({"aws:a": "x"}),
        json!({"Team": "x"}),
        json!({"Team": 1}),
        json!({" ": "x"}),
    ]);
    probes.extend([
        json!(0.005),
        json!(0.5),
        json!(0.505),
        json!(1.05),
        json!(1.1),
        json!(99.5),
        json!(0.95),
        json!(0.99995),
    ]);
    let step = |weight: u64, bake: u64| json!({"WEIGHT": weight, "BAKE": bake});
    let steps = |of: Vec<Value>| json!({"STEPS": of});
    probes.extend([steps(vec![]), steps(vec![step(0, 1)]), steps(vec![step(1, 1)]), steps(vec![step(100, 1)])]);
    probes.extend([
        steps(vec![step(9, 0)]),
        steps(vec![step(9, 60_000)]),
        steps((1..=11).map(|n| step(n, 1)).collect()),
    ]);
    probes.extend([step(9, 1), steps(vec![json!({"WEIGHT": 9})]), steps(vec![json!(9)])]);
    probes.extend([0, 1, 2].map(|of: u64| Value::from(of)));
    probes
}

/// The numbers at the edges that the schema names, and those beyond them.
fn edges(schema: &Value, numbers: &mut Vec<Value>) {
    if let Some(map) = schema.as_object() {
        for key in ["minimum", "maximum"] {
            match map.get(key) {
                Some(edge) if edge.is_u64() => {
                    let edge = edge.as_u64().expect("a whole number");
                    numbers.extend([edge.saturating_sub(1), edge, edge + 1].map(Value::from));
                }
                Some(edge) => {
                    let edge = edge.as_f64().expect("a number");
                    numbers.extend([edge * 0.98, edge, edge * 1.02].map(Value::from));
                }
                None => {}
            }
        }
        map.values().for_each(|value| edges(value, numbers));
    } else if let Some(list) = schema.as_array() {
        list.iter().for_each(|value| edges(value, numbers));
    }
}

fn parses(settings: &Value) -> Result<(), String> {
    Settings::parse(&role(), &settings.to_string()).map(|_| ()).map_err(|error| error.message)
}

/// How schema and parser differ about these settings. `lenient`: the parser may understand what the schema doesn't
/// propose.
fn differ(schema: &Value, settings: &Value, lenient: bool) -> Option<String> {
    let (fits, parsed) = (valid(schema, settings), parses(settings));
    let same = fits == parsed.is_ok() || (lenient && !fits);
    (!same).then(|| format!("the schema says {fits}, the parser {parsed:?}"))
}

#[track_caller]
fn same(schema: &Value, settings: &Value) {
    assert_eq!(differ(schema, settings, false), None, "{settings}");
}

#[test]
fn the_schema_has_the_parser_s_keys() {
    let schema = schema();
    let properties = schema["properties"].as_object().expect("properties");
    assert_eq!(properties.keys().map(String::as_str).collect::<Vec<_>>().len(), KEYS.len());
    assert!(KEYS.iter().all(|key| properties.contains_key(*key)), "{properties:#?}");
    for it in described() {
        let path = if it.section.is_empty() { it.key.clone() } else { format!("{}.{}", it.section, it.key) };
        let section = described().iter().any(|inner| inner.section == path);
        assert!(section || form(&path) != json!({}), "{path} has no form in the schema: give it one");
    }
    assert_eq!(schema["required"], json!(["SUBNET", "AMI", "INSTANCE_TYPE", "SG", "INSTANCE_PROFILE", "DEPLOY"]));
}

#[test]
fn whatever_a_key_is_given_schema_and_parser_say_the_same() {
    let schema = schema();
    assert_eq!(parses(&whole()), Ok(()));
    let mut probes = probes();
    edges(&schema, &mut probes);
    let mut differences = Vec::new();
    for it in described() {
        for probe in &probes {
            let mut settings = whole();
            match it.section.as_str() {
                "" => settings[&it.key] = probe.clone(),
                section => {
                    if !settings[section].is_object() {
                        settings[section] = json!({});
                    }
                    settings[section][&it.key] = probe.clone();
                }
            }
            // These two are bound to each other, which no schema says.
            if it.key == "SHIFT" {
                settings.as_object_mut().expect("settings").remove("COMPARE");
            }
            // Texts that stand for numbers and words, and lists of one.
            let lenient = probe.is_string() || probe.as_array().is_some_and(|list| list.len() == 1);
            let by_name = it.key == "TARGET_GROUP" && *probe == "none";
            let differs = differ(&schema, &settings, lenient).filter(|_| !by_name);
            differences.extend(differs.map(|differs| format!("{}.{} = {probe}: {differs}", it.section, it.key)));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn what_lacks_or_is_too_much_is_found_by_both() {
    let schema = schema();
    same(&schema, &whole());
    for it in described() {
        let mut settings = whole();
        let of = if it.section.is_empty() { &mut settings } else { &mut settings[&it.section] };
        let of = of.as_object_mut().expect("a dictionary");
        of.remove(&it.key);
        of.insert(format!("{}_", it.key), json!(1));
        assert!(!valid(&schema, &settings) && parses(&settings).is_err(), "{settings}");
        let of = if it.section.is_empty() { &mut settings } else { &mut settings[&it.section] };
        of.as_object_mut().expect("a dictionary").remove(&format!("{}_", it.key));
        if it.key != "SHIFT" {
            same(&schema, &settings);
        }
    }
    let mut unreachable = json!({"TARGET_GROUP": "none"});
    for key in ["SUBNET", "AMI", "INSTANCE_TYPE", "SG", "INSTANCE_PROFILE", "DEPLOY"] {
        unreachable[key] = whole()[key].clone();
    }
    same(&schema, &unreachable);
    unreachable["ZONE"] = json!("cd.internal");
    same(&schema, &unreachable);
}

/// Every example of docs/SETTINGS.md that is whole: the page's own settings, and each value in its table.
#[test]
fn the_examples_of_settings_are_as_the_schema_wants_them() {
    let schema = schema();
    let page = include_str!("../../../../../../docs/SETTINGS.md");
    let (_, example) = page.split_once("```json\n").expect("an example");
    let (example, _) = example.split_once("```").expect("its end");
    let example: Value = serde_json::from_str(example).expect("the example is JSON");
    same(&schema, &example);
    assert_eq!(parses(&example), Ok(()));
    let mut seen = 0;
    for row in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').collect();
        let code = |cell: &str| -> Vec<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
        for value in code(cells[2]).iter().filter_map(|text| serde_json::from_str::<Value>(text).ok()) {
            let fits = |key: &String| {
                let mut settings = example.clone();
                settings[key] = value.clone();
                valid(&schema, &settings)
            };
            assert!(code(cells[1]).iter().any(fits), "{}: {value} isn't as the schema wants it", cells[1]);
            seen += 1;
        }
    }
    assert!(seen > 12, "{seen} examples are too few");
}
