//! The command `tagship` as people type it, against a cloud on this machine: a release from its upload to its end, a
//! rejection, a way back, a closed door, and settings.

use serde_json::{Value, json};
use std::ops::Deref;
use std::process::Stdio;
use std::time::Duration;
use tagship_local::artifact::{Variant, pack};
use tagship_local::gateway::{Effect, Fault, When};
use tagship_local::{Line, Local, Plan};
use tagship_tests::person::{aws, aws_with};
use tagship_tests::terminal::Terminal;
use tagship_tests::words::says;

const ROLE: &str = "WEB_PRODUCT";
/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// Far more than anything here takes.
const LOOKS: u32 = 400;

/// A person who releases and answers.
struct Desk<'a>(Terminal<'a>);

impl<'a> Deref for Desk<'a> {
    type Target = Terminal<'a>;

    fn deref(&self) -> &Terminal<'a> {
        &self.0
    }
}

impl Desk<'_> {
    fn build(&self, name: &str, variant: Variant) -> String {
        let path = self.dir.path().join(format!("{name}.zip"));
        std::fs::write(&path, pack(name, variant).expect("a build")).expect("a file");
        path.display().to_string()
    }

    /// Uploads a build and follows it until somebody has to answer.
    fn release(&self, name: &str) -> String {
        let build = self.build(name, Variant::Healthy);
        let told = self.says(
            4,
            &["release", ROLE, &build, "--yes", "--build-version", name, "--commit", "abc123", "--author", "김"],
        );
        // What is over between two looks isn't told.
        says(name, &told, &["has begun", "QaApproval waits for an answer", "tagship approve WEB_PRODUCT"]);
        let status = self.json(&["status", ROLE]);
        assert_eq!(status["approval"]["approval"], "QaApproval", "{status:#}");
        self.can_be_typed(&status);
        // The newest first.
        assert_eq!(status["releases"][0]["build"], format!("{name}+abc123"), "{status:#}");
        status["approval"]["release"].as_str().expect("who waits").to_owned()
    }

    /// What it says that can be done next is a command as it stands.
    fn can_be_typed(&self, status: &Value) {
        for next in status["next"].as_array().expect("commands") {
            let command = next["command"].as_str().expect("a command");
            let words: Vec<&str> = command.split(' ').skip(1).chain(["--help"]).collect();
            self.says(0, &words);
        }
    }

    fn answer(&self, verb: &str, release: &str, approval: &str) {
        self.json(&[verb, ROLE, "--yes", "--release", release, "--approval", approval, "-m", "as agreed"]);
    }

    /// Waits until the service is as asked for.
    async fn until(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..LOOKS {
            let status = self.json(&["status", ROLE]);
            if wanted(&status) {
                return status;
            }
            tokio::time::sleep(LOOK).await;
        }
        panic!("it never came: {:#}", self.json(&["status", ROLE]))
    }

    async fn asked(&self, approval: &str) {
        self.until(|status| status["approval"]["approval"] == approval).await;
    }

    async fn free(&self) -> Value {
        self.until(|status| status["held"].is_null() && status["running"].is_null()).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_week_by_command() {
    let line = Line::quick("web", ROLE, "web.example.com", 10);
    let local = Local::start(Plan::new(vec![line])).await.expect("the cloud comes up");
    let desk = Desk(Terminal::new(&local));
    nothing_yet(&desk);
    planned(&desk, false);
    let first = desk.release("v1");
    wrong_answers(&desk, &first);
    in_a_narrow_terminal(&desk, &first);
    desk.answer("approve", &first, "QaApproval");
    desk.asked("FinalApproval").await;
    desk.answer("approve", &first, "FinalApproval");
    let status = desk.free().await;
    assert_eq!(status["live"], first.as_str());
    assert_eq!(desk.json(&["status"])["services"][0]["liveBuild"], "v1+abc123");
    planned(&desk, true);
    untagged(&desk);
    seen_by_a_viewer(&desk);
    rejected_before_traffic(&desk, &first).await;
    settings(&desk);
    let third = back_to_the_build_before(&desk, &first).await;
    closed(&desk);
    kept_live(&desk, &third).await;
    desk.forms.check(&desk.says(0, &["schema"]));
}

/// Nothing was released; what can't be is said, and with which exit code.
fn nothing_yet(desk: &Desk<'_>) {
    says("overview", &desk.says(0, &["status"]), &["SERVICE", ROLE]);
    says("a label", &desk.says(0, &["status", "web-product"]), &[ROLE, "live  nothing", "tagship release"]);
    says(
        "closest",
        &desk.says(2, &["status", "WEB_PRODUKT"]),
        &["there is no service WEB_PRODUKT: do you mean WEB_PRODUCT?"],
    );
    says("exact", &desk.says(2, &["stop", "web_product", "-m", "no", "--yes"]), &["do you mean WEB_PRODUCT?"]);
    let schema: Value = serde_json::from_str(&desk.says(0, &["settings", "schema"])).expect("a schema is JSON");
    assert!(schema["properties"]["COUNT"]["maximum"] == 1000, "{schema:#}");
    let build = desk.build("v0", Variant::Healthy);
    says("sound", &desk.says(0, &["check", "artifact", &build]), &["0 errors"]);
    desk.json(&["check", "artifact", &build]);
    let text = desk.dir.path().join("text.zip");
    std::fs::write(&text, "no archive").expect("a file");
    let text = text.display().to_string();
    says("no archive", &desk.says(1, &["check", "artifact", &text]), &["error: the archive"]);
    says("refused", &desk.says(2, &["release", ROLE, &text, "--yes"]), &["nothing was uploaded"]);
    says("nobody to ask", &desk.says(2, &["release", ROLE, &build]), &["There is no terminal", "--yes"]);
    says("nothing runs", &desk.says(0, &["stop", ROLE, "-m", "no", "--yes"]), &["Nothing is under way"]);
    says(
        "no answer",
        &desk.says(2, &["approve", ROLE, "-y", "--release", "x", "--approval", "y"]),
        &["no approval is open"],
    );
    let elsewhere = desk.says(2, &["status", "--prefix", "other-"]);
    says("elsewhere", &elsewhere, &["there is no function other-provision", "--prefix"]);
    let error = desk.says(2, &["status", "--prefix", "other-", "--output", "json"]);
    let error: Value = serde_json::from_str(&error).expect("an error is JSON too");
    desk.forms.note(&["error"], &error);
}

/// The next release: each step with its call, how long it usually takes once there was one, where it would fail.
fn planned(desk: &Desk<'_>, again: bool) {
    let changes =
        || desk.local.gateway.recorder().records().iter().filter(|it| it.caller == "ops" && it.changing).count();
    let before = changes();
    let plan = desk.json(&["plan", "web-product"]);
    assert_eq!((&plan["ends"], plan["unavailable"].is_null()), (&"released".into(), true), "{plan:#}");
    let actions = plan["actions"].as_array().expect("actions");
    let calls: Vec<&str> = actions
        .iter()
        .flat_map(|action| action["lines"].as_array().expect("lines"))
        .filter_map(|line| line["call"].as_str())
        .collect();
    for call in ["ec2:RunInstances", "codedeploy:CreateDeployment", "elasticloadbalancing:ModifyRule"] {
        assert!(calls.contains(&call), "no {call}: {calls:?}");
    }
    assert_eq!(calls.contains(&"ec2:TerminateInstances"), again, "what it replaces is removed: {calls:?}");
    assert_eq!(actions.iter().all(|action| action["seconds"].is_number()), again, "{plan:#}");
    let text = desk.says(0, &["plan", ROLE]);
    says("plan", &text, &["RunInstances", "assumed", "somebody approves", "what it replaced is gone"]);
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line:?} is wider than a terminal");
    }
    assert_eq!(changes(), before, "a plan changes nothing");
}

/// Who has infra's ViewerPolicy, and no more, sees all that the read-only commands show; each writes a document of its
/// version, and ends quietly where nobody reads on.
fn seen_by_a_viewer(desk: &Desk<'_>) {
    let commands: [&[&str]; 7] = [
        &["status"],
        &["status", ROLE],
        &["history", ROLE],
        &["why", ROLE],
        &["plan", ROLE],
        &["doctor", ROLE],
        &["settings", "show", ROLE],
    ];
    for words in commands {
        let run = |more: &[&str]| desk.command("viewer", &[words, more].concat()).output().expect("tagship runs");
        let output = run(&["--output", "json"]);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let document: Value =
            serde_json::from_str(&out).unwrap_or_else(|error| panic!("{words:?}: {error}: {out}{err}"));
        assert_eq!(output.status.code(), Some(0), "{words:?}: {document:#}");
        desk.forms.note(words, &document);
        let lacks = document["unavailable"].as_array().is_some_and(|parts| !parts.is_empty());
        assert!(!lacks && !out.contains("\"unknown\""), "{words:?} isn't shown whole: {document:#}");
        let mut child =
            desk.command("viewer", words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
        drop(child.stdout.take());
        let ended = child.wait_with_output().expect("it ends");
        let told = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!((ended.status.code(), told.as_str()), (Some(0), ""), "{words:?}, a pipe closed early");
    }
    let refused = desk.command("viewer", &["freeze", ROLE, "-m", "no", "--yes"]).output().expect("tagship runs");
    assert_eq!(refused.status.code(), Some(3), "a viewer changes nothing: {refused:?}");
}

fn wrong_answers(desk: &Desk<'_>, release: &str) {
    for (flags, problem) in [
        (["--release", "0000", "--approval", "QaApproval"], "isn't what is open"),
        (["--release", release, "--approval", "FinalApproval"], "QaApproval of release"),
    ] {
        says(problem, &desk.says(2, &[&["approve", ROLE, "--yes"], &flags[..]].concat()), &[problem]);
    }
    says("overview", &desk.says(0, &["status"]), &["waits: QaApproval", "v1+abc123"]);
    let page = desk.says(0, &["status", ROLE]);
    says("page", &page, &["for an answer: QaApproval", "candidate", "healthy", "candidate.web-product.cd.internal"]);
    for line in page.lines() {
        assert!(line.chars().count() <= 80, "{line:?} is wider than a terminal");
    }
}

/// Forty columns: no line is wider, unless it is one word, and no word is broken.
fn in_a_narrow_terminal(desk: &Desk<'_>, release: &str) {
    const COLUMNS: usize = 40;
    let fleet = desk.json(&["status", ROLE])["releases"][0].clone();
    let id = fleet["instances"][0]["id"].as_str().expect("an instance").to_owned();
    let commands: [(&[&str], &[&str]); 6] = [
        (&["status"], &["WEB_PRODUCT", "v1+abc123", "waits: QaApproval"]),
        (&["status", ROLE], &[&release[..8], &id, "candidate", "running", "healthy", "127."]),
        (&["plan", ROLE], &["waits for", "RunInstances", "somebody approves"]),
        (&["doctor", ROLE], &["installation"]),
        (&["history", ROLE], &[&release[..8], "under way"]),
        (&["why", ROLE], &["QaApproval", "asks"]),
    ];
    for (words, shown) in commands {
        let (_, text) = desk.shows("viewer", COLUMNS, words, &[]);
        for line in text.lines() {
            let one_word = !line.trim().contains(' ');
            assert!(line.chars().count() <= COLUMNS || one_word, "{words:?}: {line:?} is too wide:\n{text}");
        }
        says(&words.join(" "), &text, shown);
    }
}

/// Switches that have lost their tags are found by the groups that they lead to.
fn untagged(desk: &Desk<'_>) {
    let switches = || desk.json(&["status", ROLE])["switches"].clone();
    let before = switches();
    let url = desk.local.gateway.url();
    let tag = format!("Key=tagship:service,Values={ROLE}");
    let found = aws_with(&url, &["resourcegroupstaggingapi", "get-resources", "--tag-filters", &tag]);
    let found = found["ResourceTagMappingList"].as_array().expect("resources");
    let arns = found.iter().filter_map(|it| it["ResourceARN"].as_str());
    let rules: Vec<&str> = arns.filter(|arn| arn.contains(":listener-rule/")).collect();
    assert_eq!((before.as_array().map(Vec::len), rules.len()), (Some(2), 2), "{before:#}");
    for some in [&rules[..1], &rules[..]] {
        aws_with(
            &url,
            &[&["elbv2", "remove-tags", "--resource-arns"], some, &["--tag-keys", "tagship:service"]].concat(),
        );
        assert_eq!(switches(), before, "without {some:?}");
    }
    let tag = format!("Key=tagship:service,Value={ROLE}");
    aws_with(&url, &[&["elbv2", "add-tags", "--resource-arns"], &rules[..], &["--tags", &tag]].concat());
}

async fn rejected_before_traffic(desk: &Desk<'_>, live: &str) {
    let second = desk.release("v2");
    desk.answer("reject", &second, "QaApproval");
    let status = desk.free().await;
    assert_eq!(status["live"], live);
    let history = desk.json(&["history", ROLE]);
    let outcomes: Vec<&str> =
        history["releases"].as_array().expect("releases").iter().filter_map(|it| it["outcome"].as_str()).collect();
    assert_eq!(outcomes, ["rejected-before-traffic", "released"], "{history:#}");
    assert_eq!(history["releases"][0]["build"], "version v2, commit abc123, author 김", "{history:#}");
    says("history", &desk.says(0, &["history", ROLE]), &["rejected before traffic", "ops", "as agreed"]);
    let why = desk.says(1, &["why", ROLE, &second[..8]]);
    let named = format!("Release v2+abc123 ({second}) of WEB_PRODUCT: Failed");
    says("why", &why, &[&named, "rejected by ops: as agreed", "cleanup    do: terminate", "Left behind: nothing"]);
}

fn settings(desk: &Desk<'_>) {
    let shown = desk.json(&["settings", "show", ROLE]);
    let mut settings = shown["settings"].clone();
    settings["COUNT"] = 1.into();
    let file = desk.dir.path().join("settings.json");
    let name = file.display().to_string();
    let write = |settings: &Value| std::fs::write(&file, settings.to_string()).expect("a file");
    write(&settings);
    says("diff", &desk.says(1, &["settings", "diff", ROLE, &name]), &["-  \"COUNT\": 2", "+  \"COUNT\": 1"]);
    says("set", &desk.says(0, &["settings", "set", ROLE, &name, "--yes"]), &["are written"]);
    assert_eq!(desk.json(&["settings", "show", ROLE])["settings"]["COUNT"], 1);
    settings["COUNT"] = 0.into();
    write(&settings);
    says("wrong", &desk.says(2, &["settings", "set", ROLE, &name, "--yes"]), &["COUNT", "1 to 1000"]);
    says("offline", &desk.says(1, &["check", "settings", &name]), &["COUNT"]);
    let text = desk.dir.path().join("long.json");
    let mut long = shown["settings"].clone();
    long["USER_DATA"] = "x".repeat(4_096).into();
    std::fs::write(&text, long.to_string()).expect("a file");
    let long = text.display().to_string();
    let told = desk.says(2, &["settings", "set", ROLE, &long, "--yes"]);
    says("room", &told, &["Lambda takes 4096", "--parameter", "nothing was written"]);
    // Somebody else writes between this command's reading and its writing.
    settings["COUNT"] = 3.into();
    write(&settings);
    let meanwhile = desk.local.gateway.faults().add(Fault {
        caller: None,
        service: "lambda".to_owned(),
        operation: Some("UpdateFunctionConfiguration".to_owned()),
        when: When::Always,
        effect: Effect::Error {
            status: 412,
            code: "PreconditionFailedException".to_owned(),
            message: "The Revision Id provided does not match the latest Revision Id.".to_owned(),
        },
    });
    let told = desk.says(3, &["settings", "set", ROLE, &name, "--yes"]);
    desk.local.gateway.faults().remove(meanwhile);
    says("meanwhile", &told, &["somebody changed the function's configuration meanwhile", "nothing was written"]);
    assert_eq!(desk.json(&["settings", "show", ROLE])["settings"]["COUNT"], 1, "nothing of it is written");
    says("unknown", &desk.says(2, &["settings", "show", "WEB_PRODUKT"]), &["do you mean WEB_PRODUCT?"]);
}

/// A sound service has no error; each planted fault is found, and what depends on it isn't judged.
fn doctor(desk: &Desk<'_>) {
    let sound = desk.json(&["doctor", ROLE]);
    let checks = sound["checks"].as_array().expect("checks");
    assert!(checks.len() > 6 && checks.iter().all(|check| check["verdict"] == "ok"), "{sound:#}");
    let right = desk.json(&["settings", "show", ROLE])["settings"].clone();
    let file = desk.dir.path().join("planted.json");
    let name = file.display().to_string();
    let set = |settings: &Value| {
        std::fs::write(&file, settings.to_string()).expect("a file");
        desk.says(0, &["settings", "set", ROLE, &name, "--yes"]);
    };
    let faults: [(&str, Value, &str); 21] = [
        ("PIPELINE", "wep".into(), "pipeline      ERROR"),
        ("PIPELINE", Value::Null, "pipeline      ERROR        add PIPELINE"),
        ("PRE_PRODUCT", true.into(), "pipeline      ERROR        web has no action park"),
        ("SG", "tag:Name=nobody".into(), "selectors     ERROR"),
        ("SUBNET", "tag:Name=nobody".into(), "selectors     ERROR"),
        ("AMI", "ssm:/no/where".into(), "selectors     ERROR"),
        ("TARGET_GROUP", "tag:tagship:service=NOBODY".into(), "switches      ERROR"),
        ("ZONE", "nowhere.internal".into(), "names         ERROR"),
        ("ALARMS", "no-such-alarm".into(), "alarms        ERROR"),
        ("AMI", "ami-0123456789abcdef0".into(), "launch        ERROR        AMI: there is no ami-"),
        ("INSTANCE_TYPE", "m6g.large".into(), "launch        ERROR        INSTANCE_TYPE: m6g.large can't boot"),
        ("INSTANCE_TYPE", "x99.huge".into(), "launch        ERROR        INSTANCE_TYPE: this Region has no x99.huge"),
        ("SUBNET", "subnet-0123456789abcdef0".into(), "launch        ERROR        SUBNET: there is no"),
        ("SG", "sg-0123456789abcdef0".into(), "launch        ERROR        SG: there is no"),
        ("INSTANCE_PROFILE", "nobody".into(), "launch        ERROR        INSTANCE_PROFILE: there is no nobody"),
        ("PORT", 9.into(), "launch        ERROR        SG: nothing lets the load balancer"),
        ("EIP", "tag:Name=nobody".into(), "release       ERROR        Provision: EIP tag:Name=nobody has 0 addresses"),
        ("COUNT", 1_000.into(), "more than the 1000 targets"),
        (
            "ARTIFACT",
            json!({"BUCKET": "no-where", "PREFIX": "a/", "TAG": "a=b"}),
            "release       ERROR        Deploy: ARTIFACT",
        ),
        ("DEPLOY", json!({"VIA": "codedeploy", "APPLICATION": "no-where", "GROUP": "g"}), "release       ERROR"),
        (
            "DEPLOY",
            json!({"VIA": "codedeploy", "APPLICATION": right["DEPLOY"]["APPLICATION"], "GROUP": "g"}),
            "release       ERROR",
        ),
    ];
    for (key, value, told) in faults {
        let mut wrong = right.clone();
        wrong[key] = value;
        set(&wrong);
        says(key, &desk.says(1, &["doctor", "web-product"]), &[told]);
        if told.starts_with("selectors") && key == "SG" {
            says("plan", &desk.says(1, &["plan", ROLE]), &["FAILS", "nobody", "IT FAILS there"]);
        }
    }
    nobody_hears(desk, &right, &set);
    set(&right);
}

/// A topic that the functions can't publish to stops no release.
fn nobody_hears(desk: &Desk<'_>, right: &Value, set: &impl Fn(&Value)) {
    let to = |topic: &str, told: &[&str]| {
        let mut settings = right.clone();
        settings["TOPIC"] = topic.into();
        set(&settings);
        says(topic, &desk.says(0, &["doctor", ROLE]), told);
    };
    let aws = |words: &str| aws(&desk.local.gateway.url(), words);
    let made = aws("sns create-topic --name team");
    let topic = made["TopicArn"].as_str().expect("an ARN");
    to(&topic.replace(":team", ":nobody"), &["topic         warning", "Correct TOPIC"]);
    to(topic, &["topic         warning", "has no tag tagship:service", "aws sns tag-resource"]);
    aws(&format!("sns tag-resource --resource-arn {topic} --tags Key=tagship:service,Value={ROLE}"));
    to(topic, &["topic         ok"]);
}

/// A third release goes live; then the build before it is released anew.
async fn back_to_the_build_before(desk: &Desk<'_>, first: &str) -> String {
    doctor(desk);
    says("one only", &desk.says(2, &["rollback", ROLE, "--yes"]), &["no other build was live"]);
    let third = desk.release("v3");
    desk.answer("approve", &third, "QaApproval");
    desk.asked("FinalApproval").await;
    desk.answer("approve", &third, "FinalApproval");
    desk.until(|status| status["held"]["phase"] == "approved").await;
    for words in [&["rollback", ROLE, "--yes"][..], &["stop", ROLE, "-m", "no", "--yes"]] {
        says("too late", &desk.says(2, words), &["was approved", "can't be stopped", "tagship rollback"]);
    }
    desk.free().await;
    let told = desk.says(4, &["rollback", ROLE, "--yes", "--freeze"]);
    says("rollback", &told, &["has begun, with version", "is frozen", "QaApproval waits"]);
    desk.says(0, &["unfreeze", ROLE, "--yes"]);
    let history = desk.json(&["history", ROLE]);
    let version = |release: &str| {
        let all = history["releases"].as_array().expect("releases");
        all.iter().find(|it| it["release"] == release).map(|it| it["version"].clone())
    };
    assert_eq!(Some(&history["releases"][0]["version"]), version(first).as_ref(), "{history:#}");
    // And away again: what waits for an answer is rejected; the upload behind it doesn't take its place.
    let build = desk.build("v4", Variant::Healthy);
    let next = desk.json(&["release", ROLE, &build, "--yes", "--detach"])["release"].clone();
    let status = desk.json(&["status", ROLE]);
    assert_eq!((&status["queued"][0]["release"], status["approval"].is_object()), (&next, true), "{status:#}");
    says("queued", &desk.says(0, &["status", ROLE]), &["it begins once the stage is free"]);
    says("away", &desk.says(0, &["rollback", ROLE, "--yes", "--freeze"]), &["is frozen", "is rejected"]);
    let status = desk.free().await;
    assert_eq!((&status["live"], &status["queued"][0]["release"]), (&third.as_str().into(), &next), "{status:#}");
    third
}

/// What is rejected while its predecessor is dead stays live, which is said before; the way back is what was live before.
async fn kept_live(desk: &Desk<'_>, third: &str) {
    desk.asked("QaApproval").await;
    let release = desk.json(&["status", ROLE])["approval"]["release"].as_str().expect("who waits").to_owned();
    desk.answer("approve", &release, "QaApproval");
    desk.asked("FinalApproval").await;
    let status = desk.json(&["status", ROLE]);
    let all = status["releases"].as_array().expect("releases");
    let before = all.iter().find(|it| it["release"] == third).expect("its predecessor");
    let ids = before["instances"].as_array().expect("instances").iter().filter_map(|it| it["id"].as_str());
    let ids: Vec<&str> = ids.collect();
    aws(&desk.local.gateway.url(), &format!("ec2 terminate-instances --instance-ids {}", ids.join(" ")));
    let rejecting = |status: &Value| status["approval"]["rejecting"].as_str().unwrap_or_default().to_owned();
    desk.until(|status| rejecting(status).contains("its predecessor has no healthy target")).await;
    desk.answer("reject", &release, "FinalApproval");
    assert_eq!(desk.free().await["live"], release.as_str());
    let history = desk.json(&["history", ROLE]);
    let entry = |id: &str| {
        let all = history["releases"].as_array().expect("releases");
        all.iter().find(|it| it["release"] == id).cloned().unwrap_or_else(|| panic!("no {id} in {history:#}"))
    };
    assert_eq!(entry(&release)["outcome"], "kept");
    let version = entry(third)["version"].as_str().expect("a version").to_owned();
    says("rollback", &desk.says(4, &["rollback", ROLE, "--yes"]), &["has begun", &version]);
}

fn closed(desk: &Desk<'_>) {
    says("letters", &desk.says(2, &["freeze", ROLE, "--yes", "-m", "it's a holiday"]), &["'\\''"]);
    says("freeze", &desk.says(0, &["freeze", ROLE, "--yes", "-m", "a holiday"]), &["is frozen: a holiday"]);
    let status = desk.json(&["status", ROLE]);
    assert_eq!(status["frozen"]["reason"], "a holiday", "{status:#}");
    desk.can_be_typed(&status);
    let build = desk.build("v4", Variant::Healthy);
    says("waits", &desk.says(0, &["release", ROLE, &build, "--yes", "--detach"]), &["has begun"]);
    let begun = desk.json(&["status", ROLE]);
    assert!(begun["held"].is_null() && begun["running"].is_null(), "{begun:#}");
    assert_eq!(begun["queued"].as_array().map(Vec::len), Some(1), "{begun:#}");
    says("queued", &desk.says(0, &["status", ROLE]), &["it begins once somebody unfreezes the service"]);
    let unfrozen = desk.json(&["unfreeze", ROLE, "--yes"]);
    says("unfreeze", &unfrozen["did"].to_string(), &["begin again"]);
}
