//! `SHIFT`, `ALARMS`, `ON_ALARM`, `GUARD`, `COMPARE` and `HOOKS`, right and wrong.

use super::*;

fn steps(of: &[(u32, u32)]) -> Value {
    let steps: Vec<Value> = of.iter().map(|(weight, bake)| json!({"WEIGHT": weight, "BAKE": bake})).collect();
    json!({"SHIFT": {"STEPS": steps}})
}

#[test]
fn steps_and_the_names_that_codedeploy_gives_them() {
    let read = |shift: &str, expected: &[(u32, u32)]| check_read(json!({"SHIFT": shift}), steps(expected));
    read("Canary10Percent5Minutes", &[(10, 300)]);
    read("Canary1Percent1Minute", &[(1, 60)]);
    read("Linear25PercentEvery3Minutes", &[(25, 180), (50, 180), (75, 180)]);
    read("Linear40PercentEvery1Minutes", &[(40, 60), (80, 60)]);
    check_read(steps(&[(5, 300), (50, 600)]), steps(&[(5, 300), (50, 600)]));
    // The default is what a hold doesn't say.
    check_read(json!({"SHIFT": "AllAtOnce"}), json!({"SHIFT": null}));
    check_read(json!({}), json!({"SHIFT": null, "ON_ALARM": null, "GUARD": null}));
}

#[test]
fn steps_that_are_none() {
    const FORMS: &str = "\"AllAtOnce\", CodeDeploy's names (\"Canary10Percent5Minutes\", \
                         \"Linear10PercentEvery1Minutes\", with any numbers), or {\"STEPS\": [{\"WEIGHT\": 5, \"BAKE\": 300}, …]}";
    for wrong in
        ["Canary", "Canary0Percent5Minutes", "Canary100Percent5Minutes", "Linear10PercentEvery0Minutes", "linear"]
    {
        check(json!({"SHIFT": wrong}), &[&format!("SHIFT: \"{wrong}\" isn't accepted: write {FORMS}")]);
    }
    let rise = |before: u32, after: u32| {
        format!(
            "SHIFT.STEPS: step 2 gives {after} % after {before} %: write weights that rise, the last step to 100 % follows \
             by itself"
        )
    };
    check(steps(&[(50, 60), (10, 60)]), &[&rise(50, 10)]);
    check(steps(&[(50, 60), (50, 60)]), &[&rise(50, 50)]);
    check(
        steps(&[(0, 60), (100, 0)]),
        &[
            "SHIFT.STEPS[1].WEIGHT: 0 isn't accepted: write percent from 1 to 99",
            "SHIFT.STEPS[2].WEIGHT: 100 isn't accepted: write percent from 1 to 99",
            "SHIFT.STEPS[2].BAKE: 0 isn't accepted: write seconds from 1 to 72000",
        ],
    );
    check(
        json!({"SHIFT": {"STEPS": []}}),
        &[
            "SHIFT.STEPS: [] isn't accepted: write a list of 1 to 10 steps, each {\"WEIGHT\": percent, \"BAKE\": seconds}",
        ],
    );
    // CodePipeline ends the action after a day.
    check(
        steps(&[(10, 72_000)]),
        &[
            "SHIFT: the steps and TIMEOUTS.WATCH take 72030 s together: write at most 72000 s, since CodePipeline ends the \
           action after 24 hours",
        ],
    );
    check(
        json!({"SHIFT": "Canary10Percent5Minutes", "TARGET_GROUP": "none", "ZONE": "cd.internal"}),
        &["SHIFT: needs a load balancer, and TARGET_GROUP is \"none\": a name can't be divided. Write \"AllAtOnce\""],
    );
}

#[test]
fn alarms_by_name_or_by_tag() {
    check_read(json!({}), json!({"ALARMS": "tag:tagship:service=MZUM_WEB_PRODUCT"}));
    check_read(json!({"ALARMS": "tag:team=web"}), json!({"ALARMS": "tag:team=web"}));
    check_read(json!({"ALARMS": "web-5xx"}), json!({"ALARMS": ["web-5xx"]}));
    check_read(
        json!({"ALARMS": ["a b", "c"], "ON_ALARM": "tell", "GUARD": 60}),
        json!({"ALARMS": ["a b", "c"], "ON_ALARM": "tell", "GUARD": 60}),
    );
    check_read(json!({"ALARMS": []}), json!({"ALARMS": null}));
    let many: Vec<String> = (0..101).map(|n| n.to_string()).collect();
    let error = Settings::parse(&role(), &written(json!({"ALARMS": many}))).expect_err("too many").message;
    assert!(error.contains("write at most 100 names of alarms, or a tag selector"), "{error}");
    check(json!({"ON_ALARM": "page"}), &["ON_ALARM: \"page\" isn't accepted: write \"rollback\" or \"tell\""]);
}

#[test]
fn alarms_have_to_exist() {
    let resolve = |alarms: Value, found: &[&str]| {
        let settings = parsed(&written(json!({"ALARMS": alarms}))).settings;
        let alarms = found.iter().map(|name| (*name).to_owned()).collect();
        settings.resolve(Resolved { alarms, ..Resolved::default() })
    };
    let names = |found: Result<Settings, crate::Error>| found.map(|settings| settings.alarms.ids().to_vec());
    assert_eq!(names(resolve(json!("tag:team=web"), &[])), Ok(vec![]), "tags that find none are no problem");
    assert_eq!(names(resolve(json!("tag:team=web"), &["b", "a"])), Ok(vec!["a".to_owned(), "b".to_owned()]));
    let missing = resolve(json!(["a", "b"]), &["a"]).expect_err("b is missing").message;
    assert!(missing.contains("ALARMS: CloudWatch has no alarm b in this Region"), "{missing}");
}

#[test]
fn comparison_needs_steps() {
    let of = |compare: Value| json!({"SHIFT": "Canary10Percent5Minutes", "COMPARE": compare});
    let read = |compare: Value, expected: Value| {
        let mut wanted = of(expected);
        wanted["SHIFT"] = json!({"STEPS": [{"WEIGHT": 10, "BAKE": 300}]});
        check_read(of(compare), wanted);
    };
    read(json!(true), json!({"ERRORS": 2.0, "CONFIDENCE": 0.99}));
    read(json!(false), json!(null));
    read(json!({"ERRORS": 3}), json!({"ERRORS": 3.0, "CONFIDENCE": 0.99}));
    check(
        of(json!({"ERRORS": 1, "CONFIDENCE": 1, "MORE": 1})),
        &[
            "COMPARE.MORE: no such key: the keys are ERRORS, CONFIDENCE",
            "COMPARE.ERRORS: 1 isn't accepted: write a number from 1.1 to 100",
            "COMPARE.CONFIDENCE: 1 isn't accepted: write a number from 0.9 to 0.9999",
        ],
    );
    check(
        of(json!("yes")),
        &["COMPARE: \"yes\" isn't accepted: write True, False or {\"ERRORS\": 2.0, \"CONFIDENCE\": 0.99}"],
    );
    check(
        json!({"COMPARE": true}),
        &[
            "COMPARE: needs steps, during which both releases have traffic: write SHIFT too, such as \"Canary10Percent10Minutes\"",
        ],
    );
    // Each step may take twice as long.
    check(
        json!({"SHIFT": {"STEPS": [{"WEIGHT": 10, "BAKE": 36_000}]}, "COMPARE": true}),
        &[
            "SHIFT: the steps (COMPARE may double each step) and TIMEOUTS.WATCH take 72030 s together: write at most 72000 s, \
           since CodePipeline ends the action after 24 hours",
        ],
    );
}

#[test]
fn hooks_by_name_or_arn() {
    let arn = "arn:aws:lambda:eu-central-1:111111111111:function:smoke-test:live";
    check_read(
        json!({"HOOKS": {"BEFORE_SHIFT": ["smoke-test", {"FUNCTION": arn, "DETAILS": {"path": "/", "n": [1]}}]}}),
        json!({"HOOKS": {
            "BEFORE_SHIFT": [{"FUNCTION": "smoke-test"}, {"FUNCTION": arn, "DETAILS": {"path": "/", "n": [1]}}],
        }}),
    );
    check_read(
        json!({"HOOKS": {"AFTER_SHIFT": "a:$LATEST"}}),
        json!({"HOOKS": {"AFTER_SHIFT": [{"FUNCTION": "a:$LATEST"}]}}),
    );
    check_read(json!({"HOOKS": {}}), json!({"HOOKS": null}));
    check_read(
        json!({"TIMEOUTS": {"HOOK": 60}}),
        json!({"TIMEOUTS": {
            "BOOT": 600, "INSTALL": 1200, "HEALTHY": 300, "WATCH": 30, "SETTLE": 15, "HOOK": 60,
        }}),
    );
}

#[test]
fn hooks_that_are_none() {
    let many = vec!["hook"; 11];
    check(
        json!({"HOOKS": {"BEFORE": [], "BEFORE_SHIFT": ["no such", 7, {"FUNCTION": "a", "DETAILS": 1}], "AFTER_SHIFT": many}}),
        &[
            "HOOKS.BEFORE: no such key: the keys are BEFORE_SHIFT, AFTER_SHIFT",
            "HOOKS.BEFORE_SHIFT[1].FUNCTION: \"no such\" isn't accepted: write the name or ARN of a Lambda function",
            "HOOKS.BEFORE_SHIFT[2].FUNCTION: 7 isn't accepted: write the name or ARN of a Lambda function",
            "HOOKS.BEFORE_SHIFT[3].DETAILS: what is there isn't accepted: write a dictionary of at most 4096 bytes",
            "HOOKS.AFTER_SHIFT: [\"hook\",\"hook\",\"hook\",\"hook\",\"hook\",\"hook\",\"hook\",\"hook\",\"h… \
             isn't accepted: write a list of at most 10, each a Lambda function's name or ARN, or {\"FUNCTION\": …, \
             \"DETAILS\": {…}}",
        ],
    );
    check(
        json!({"HOOKS": ["a"]}),
        &["HOOKS: [\"a\"] isn't accepted: write {\"BEFORE_SHIFT\": [\"smoke-test\"], \"AFTER_SHIFT\": […]}"],
    );
    check(
        json!({"HOOKS": {"BEFORE_SHIFT": ["a", "b"]}, "TIMEOUTS": {"HOOK": 36_000}}),
        &["HOOKS: 2 hooks of TIMEOUTS.HOOK and TIMEOUTS.WATCH take 72030 s together: write at most 72000 s, since \
             CodePipeline ends the action after 24 hours"],
    );
    check(
        json!({"SHIFT": "Canary10Percent5Minutes", "HOOKS": {"BEFORE_SHIFT": ["a", "b"]}, "TIMEOUTS": {"HOOK": 36_000}}),
        &[
            "SHIFT: the steps, 2 hooks of TIMEOUTS.HOOK and TIMEOUTS.WATCH take 72330 s together: write at most 72000 s, \
             since CodePipeline ends the action after 24 hours",
        ],
    );
}

#[test]
fn hooks_have_to_be_there() {
    let settings = parsed(&written(json!({"HOOKS": {"BEFORE_SHIFT": ["a", "b"]}, "ALARMS": "web-5xx"}))).settings;
    let hooks = [("b".to_owned(), "doesn't exist".to_owned())].into();
    let missing = settings.resolve(Resolved { hooks, ..Resolved::default() }).expect_err("b is missing").message;
    assert!(missing.contains("ALARMS: CloudWatch has no alarm web-5xx"), "{missing}");
    assert!(missing.contains("HOOKS: function b doesn't exist"), "{missing}");
}
