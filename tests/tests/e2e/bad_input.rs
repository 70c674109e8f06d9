//! What bad input gets: a failure type and words for the person who gave it, and nothing changed.

use serde_json::{Value, json};
use std::sync::Arc;
use tagship_local::codepipeline::ARTIFACT_SECRET;
use tagship_local::gateway::{Effect, Fault, When};
use tagship_local::{Line, Local, Plan};
use tagship_tests::desk::{Desk, Verdict};
use tagship_tests::leak::Ear;
use tagship_tests::releases::start;
use tagship_tests::variables::Variables;
use tagship_tests::words::says;

const ROLE: &str = "WEB_PRODUCT";

/// A secret that ops gave, as they wrote it and as EC2 is sent it.
const USER_DATA: &str = "password=of-the-database";
const USER_DATA_BASE64: &str = "cGFzc3dvcmQ9b2YtdGhlLWRhdGFiYXNl";

struct Table<'a> {
    local: &'a Local,
    desk: Arc<Desk>,
    variables: Variables<'a>,
    /// The good settings of [`ROLE`].
    good: Value,
}

impl<'a> Table<'a> {
    fn lay(local: &'a Local, lines: &[Line]) -> Self {
        let variables = Variables::of(local);
        let [good, others] = [0, 1].map(|n| {
            let role = &lines[n].product.service_role;
            let mut settings = local.account.services[role].settings.clone();
            settings["TIMEOUTS"] = lines[n].settings["TIMEOUTS"].clone();
            settings["USER_DATA"] = USER_DATA.into();
            settings
        });
        variables.set(&lines[1].product.service_role, &others.to_string());
        let table = Self { local, desk: Desk::open(local), variables, good };
        table.set(&json!({}));
        table
    }

    /// Gives provision the good settings with this difference.
    fn set(&self, difference: &Value) {
        let mut settings = self.good.clone();
        for (key, value) in difference.as_object().expect("an object") {
            settings[key] = value.clone();
        }
        self.variables.set(ROLE, &settings.to_string());
    }

    /// A job has to fail in this way, with all of these words.
    async fn check(&self, row: &str, stage: &str, parameters: Option<&str>, kind: &str, words: &[&str]) {
        let verdict = self.desk.job(self.local, stage, parameters, json!([]), 1).await;
        let Verdict::Failed(found, message) = &verdict else { panic!("{row}: {verdict:?}") };
        assert_eq!(found, kind, "{row}: {message}");
        says(row, message, words);
    }

    /// Provision has to refuse these settings, and to take nothing.
    async fn refuses(&self, row: &str, difference: Value, words: &[&str]) {
        self.set(&difference);
        self.check(row, "provision", Some(&parameters(ROLE)), "ConfigurationError", words).await;
        self.set(&json!({}));
        let hold = self.local.ops.object(&self.local.account.bucket, &format!("holds/{ROLE}.json")).await;
        assert_eq!(hold.expect("an answer"), None, "{row}: a hold was taken");
    }

    /// Has a rule forward to groups by their weights.
    async fn forward(&self, rule: &str, weights: &[(&str, u32)], sticky: bool) {
        const CONFIG: &str = "Actions.member.1.ForwardConfig";
        let mut form = vec![
            ("RuleArn".to_owned(), rule.to_owned()),
            ("Actions.member.1.Type".to_owned(), "forward".to_owned()),
            (format!("{CONFIG}.TargetGroupStickinessConfig.Enabled"), sticky.to_string()),
            (format!("{CONFIG}.TargetGroupStickinessConfig.DurationSeconds"), "60".to_owned()),
        ];
        for (n, (arn, weight)) in (1..).zip(weights) {
            let group = format!("{CONFIG}.TargetGroups.member.{n}");
            form.push((format!("{group}.TargetGroupArn"), (*arn).to_owned()));
            form.push((format!("{group}.Weight"), weight.to_string()));
        }
        let form: Vec<_> = form.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        self.local.ops.query("elasticloadbalancing", "ModifyRule", &form).await.expect("a rule changed");
    }
}

/// Parameters of a new release.
fn parameters(role: &str) -> String {
    json!({"serviceRole": role, "release": uuid::Uuid::new_v4().to_string(), "pipeline": "web"}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_named_to_who_gave_it() {
    let lines =
        [Line::quick("web", ROLE, "web.example.com", 10), Line::quick("shop", "SHOP_PRODUCT", "shop.example.com", 20)];
    let hooks = vec![("untagged".to_owned(), None)];
    let local = start(Plan { hooks, ..Plan::new(lines.to_vec()) }).await;
    let (table, ear) = (Table::lay(&local, &lines), Ear::open(&local));

    events_without_a_job(&table).await;
    job_parameters(&table).await;
    settings(&table).await;
    switches(&table).await;
    denied_calls(&table).await;

    let launched = table.local.states.borrow().instances.len();
    assert_eq!(launched, 0, "bad input launched instances");
    ear.assert_no_leak(&local, &[ARTIFACT_SECRET, USER_DATA, USER_DATA_BASE64], Some("RunInstances"));
}

async fn events_without_a_job(table: &Table<'_>) {
    let no_id = json!({"CodePipeline.job": {"accountId": "123456789012", "data": {}}});
    for stage in ["provision", "deploy", "route", "cleanup"] {
        for event in [json!({}), no_id.clone(), json!({"tagship": "sweep"})] {
            table.local.gateway.recorder().take();
            let answer = table.local.ops.invoke(&format!("tagship-{stage}"), &event).await;
            let error = answer.expect_err("an error").to_string();
            says(stage, &error, &["no CodePipeline job"]);
            let calls = table.local.gateway.recorder().counts();
            let calls: Vec<_> = calls.keys().filter(|(caller, ..)| caller == stage).collect();
            assert!(calls.is_empty(), "{stage} {event}: {calls:?}");
        }
    }
}

async fn job_parameters(table: &Table<'_>) {
    let keys = "serviceRole, release, pipeline, action";
    for (row, stage, parameters, words) in [
        ("missing", "provision", None, ["UserParameters are missing", "serviceRole"]),
        ("empty", "deploy", Some(""), ["UserParameters are missing", "serviceRole"]),
        ("not JSON", "route", Some("serviceRole=WEB"), ["are no JSON", "serviceRole"]),
        ("no object", "cleanup", Some("[1]"), ["are no JSON object", "serviceRole"]),
        (
            "unknown key",
            "provision",
            Some(r#"{"serviceRole": "WEB_PRODUCT", "release": "r", "pipeline": "web", "acton": "x"}"#),
            ["acton: no such key, write action", keys],
        ),
        (
            "unknown action",
            "route",
            Some(r#"{"serviceRole": "WEB_PRODUCT", "release": "r", "pipeline": "web", "action": "swap"}"#),
            [r#"action: "swap" is none of route's"#, "shift, rollback"],
        ),
        (
            "nothing but a pipeline",
            "cleanup",
            Some(r#"{"pipeline": "web"}"#),
            ["serviceRole: missing", "release: missing"],
        ),
    ] {
        table.check(row, stage, parameters, "ConfigurationError", &words).await;
    }
}

async fn settings(table: &Table<'_>) {
    let unknown = parameters("WEB_PRODUKT");
    let words = ["no environment variable WEB_PRODUKT", "closest variable that it has is WEB_PRODUCT"];
    table.check("no variable", "provision", Some(&unknown), "ConfigurationError", &words).await;

    let five = json!({"SUBNET": 5, "AMI": "amy-1", "COUNT": 0, "DRAIN": 900, "INSTANCE_TYP": "t3.micro"});
    let words = ["SUBNET", "AMI", "COUNT", "DRAIN", "INSTANCE_TYP"];
    table.refuses("five mistakes", five, &words).await;

    let nowhere = "tag:Name=nowhere";
    for key in ["SUBNET", "SG", "AMI"] {
        table.refuses("a selector of nothing", json!({key: nowhere}), &[key, nowhere]).await;
    }
    let hooks = json!({"HOOKS": {"BEFORE_SHIFT": ["untagged"], "AFTER_SHIFT": ["no-such"]}, "SG": nowhere});
    let words = [
        "SG: tag:Name=nowhere matches no security group",
        "HOOKS: function untagged may not be called, or isn't there: give it the tag tagship:service",
        "HOOKS: function no-such may not be called",
    ];
    table.refuses("hooks that can't be called", hooks, &words).await;
    let words = ["TARGET_GROUP", "exactly two target groups; it found 0"];
    table.refuses("no pair", json!({"TARGET_GROUP": nowhere}), &words).await;
    let groups = table.local.account.services.values().flat_map(|service| &service.target_groups);
    let groups: Vec<_> = groups.map(|arn| arn.split('/').nth(1).expect("a name")).collect();
    let words: Vec<_> = ["it found 4"].into_iter().chain(groups).collect();
    table.refuses("two pairs", json!({"TARGET_GROUP": "tag:tagship:service=*"}), &words).await;
}

async fn switches(table: &Table<'_>) {
    let service = &table.local.account.services[ROLE];
    let [a, b] = [0, 1].map(|n| service.target_groups[n].as_str());
    let name = |arn: &str| arn.split('/').nth(1).expect("a name").to_owned();
    let [http, https] = [0, 1].map(|n| service.rules[n].as_str());
    let good = [(a, 100), (b, 0)];

    for (row, weights, sticky, words) in [
        ("both weights", vec![(a, 60), (b, 40)], false, ["gives weight to both groups".to_owned(), name(b)]),
        ("no weight", vec![(a, 0), (b, 0)], false, ["gives weight to neither".to_owned(), name(a)]),
        ("one group", vec![(a, 100)], false, ["add".to_owned(), name(b)]),
        ("stickiness", good.to_vec(), true, ["has group stickiness on".to_owned(), "web.example.com".to_owned()]),
    ] {
        table.forward(https, &weights, sticky).await;
        let words: Vec<_> = words.iter().map(String::as_str).chain(["443"]).collect();
        table.refuses(row, json!({}), &words).await;
        table.forward(https, &good, false).await;
    }

    table.forward(http, &[(a, 100)], false).await;
    table.forward(https, &[(a, 100)], false).await;
    let words = format!("target group {} is in no switch", name(b));
    table.refuses("a group in no switch", json!({}), &[&words]).await;
    table.forward(http, &good, false).await;
    table.forward(https, &good, false).await;
}

async fn denied_calls(table: &Table<'_>) {
    let role = ROLE.to_owned();
    let bucket = table.local.account.bucket.clone();
    // The last one is refused after the hold was taken.
    for (service, operation, status, code, words) in [
        ("s3", "GetObject", 403, "AccessDenied", ["s3:GetObject".to_owned(), bucket.clone()]),
        ("ec2", "DescribeInstances", 403, "UnauthorizedOperation", ["ec2:DescribeInstances".to_owned(), role.clone()]),
        (
            "elasticloadbalancing",
            "DescribeRules",
            403,
            "AccessDenied",
            ["elasticloadbalancing:DescribeRules".to_owned(), "HTTP:80".to_owned()],
        ),
        ("tagging", "GetResources", 400, "AccessDeniedException", ["tag:GetResources".to_owned(), role.clone()]),
        ("s3", "PutObject", 403, "AccessDenied", ["s3:PutObject".to_owned(), bucket]),
        ("ec2", "RunInstances", 403, "UnauthorizedOperation", ["ec2:RunInstances".to_owned(), "subnet-".to_owned()]),
    ] {
        let fault = table.local.gateway.faults().add(Fault {
            caller: Some("provision".to_owned()),
            service: service.to_owned(),
            operation: Some(operation.to_owned()),
            when: When::Always,
            effect: Effect::Error { status, code: code.to_owned(), message: "You are not authorized".to_owned() },
        });
        let words: Vec<_> = words.iter().map(String::as_str).chain(["You are not authorized"]).collect();
        let parameters = parameters(&role);
        table.check(operation, "provision", Some(&parameters), "PermissionError", &words).await;
        table.local.gateway.faults().remove(fault);
    }
}
