//! `tagship-local up` as a person meets it: its first screen fits a terminal, every command that it names does what is
//! said, what happens is told, and nothing outlives it.

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use tagship_local::ops::Ops;
use tagship_local::setup::{REGION, infra};
use tagship_tests::person::{lookup, succeeded};
use tagship_tests::up::{Up, until, word_after};
use tagship_tests::words::says;
use tokio::runtime::Runtime;

/// A person who types what is printed: everything once. What is to be seen meanwhile is asked for without the AWS CLI,
/// which takes a second's work each time.
struct Person<'a> {
    up: &'a Up,
    /// The pipeline that is looked at, and its service.
    line: (&'static str, &'static str),
    commands: Vec<String>,
    typed: BTreeSet<String>,
    runtime: Runtime,
    ops: Ops,
}

impl<'a> Person<'a> {
    fn of(up: &'a Up) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let ops = Ops::new(up.address(), REGION);
        Self { up, line: ("web", "WEB_PRODUCT"), commands: up.commands(), typed: BTreeSet::new(), runtime, ops }
    }

    /// Types the one printed command that has all of `parts` in it, after `change`; answers what it prints.
    fn types(&mut self, parts: &[&str], change: impl Fn(&str) -> String) -> String {
        let fits: Vec<&String> =
            self.commands.iter().filter(|command| parts.iter().all(|part| command.contains(part))).collect();
        let [command] = fits[..] else { panic!("{} commands have {parts:?} in {:#?}", fits.len(), self.commands) };
        self.typed.insert(command.clone());
        let exports = self.commands.iter().find(|command| command.starts_with(". ")).expect("the variables");
        let script = format!("{exports}\n{}", change(command));
        let output = Command::new("sh").args(["-c", &script]).current_dir(infra("..")).output().expect("a shell");
        succeeded(&script, &output)
    }

    /// Asks CodePipeline.
    fn asks(&self, operation: &str, body: Value) -> Value {
        self.runtime.block_on(self.ops.pipeline(operation, body)).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The newest execution's id and status.
    fn newest(&self) -> (String, String) {
        let executions =
            self.runtime.block_on(self.ops.executions(self.line.0)).unwrap_or_else(|error| panic!("{error}"));
        executions.into_iter().next().unwrap_or_default()
    }

    /// Types a command that starts an execution, and answers which.
    fn starts(&mut self, parts: &[&str]) -> String {
        self.starts_by(parts, str::to_owned)
    }

    /// The same after `change`.
    fn starts_by(&mut self, parts: &[&str], change: impl Fn(&str) -> String) -> String {
        let (before, _) = self.newest();
        self.types(parts, change);
        until("a new execution", || {
            let (newest, status) = self.newest();
            if newest == before { Err(status) } else { Ok(newest) }
        })
    }

    fn ends(&self, execution: &str, wanted: &str) {
        until(&format!("{execution} to be {wanted}"), || {
            let (newest, status) = self.newest();
            assert_eq!(newest, execution);
            if status == wanted { Ok(()) } else { Err(status) }
        });
    }

    /// An action's latest execution, once it belongs to `execution` and `is` so.
    fn action(&self, execution: &str, name: &str, is: impl Fn(&Value) -> bool) -> Value {
        until(&format!("{name} of {execution}"), || {
            let state = self.asks("GetPipelineState", json!({"name": self.line.0}));
            found(&state, execution, name).filter(|latest| is(latest)).cloned().ok_or_else(|| state.to_string())
        })
    }

    /// Finds the token as the text says, and writes it into the printed command.
    fn approves(&mut self, execution: &str, action: &str) {
        self.action(execution, action, |latest| latest["token"].is_string());
        let said = self.types(&["get-pipeline-state"], str::to_owned);
        let state: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
        let asked = found(&state, execution, action).expect("asked for");
        let token = asked["token"].as_str().unwrap_or_default().to_owned();
        self.types(&["put-approval-result", action], |command| command.replace("TOKEN", &token));
    }

    /// Answers an approval with the printed command, as soon as it is asked for.
    fn answers(&mut self, release: &str, approval: &str, answer: &str) {
        self.action(release, approval, |latest| latest["token"].is_string());
        let service = self.line.1;
        self.types(&[&format!("tagship {answer} {service}")], |command| {
            command.replace(service, &format!("{service} --yes --release {release} --approval {approval}"))
        });
    }

    /// Waits until tagship's history has an execution's end.
    fn marked(&self, execution: &str) {
        let (bucket, marker) = (word_after(&self.up.more, "s3 ls --recursive s3://"), marker(self.line.1, execution));
        until(&marker, || {
            let found = self.runtime.block_on(self.ops.object(bucket, &marker));
            found.unwrap_or_else(|error| panic!("{error}")).ok_or_else(|| "nothing yet".to_owned())
        });
    }

    /// Asks the printed resolver for the printed name, with `dig` as printed where there is one.
    fn resolves(&mut self, which: &str) -> Vec<Ipv4Addr> {
        let port = word_after(&self.up.more, "dig @127.0.0.1 -p ").parse().expect("a port");
        let command = self.commands.iter().find(|command| command.contains(&format!(" {which}."))).expect("its name");
        let name = command.rsplit(' ').next().unwrap_or_default().to_owned();
        let found = lookup(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), &name);
        if Command::new("dig").arg("-v").output().is_ok() {
            let dug = self.types(&["dig", &name], str::to_owned);
            assert!(found.iter().all(|ip| dug.contains(&ip.to_string())), "{name} is {found:?}, but dig says: {dug}");
        } else {
            self.typed.insert(command.clone());
        }
        found
    }

    /// The version that both listeners serve.
    fn sees(&mut self, version: &str) {
        for listener in ["# HTTP listener", "# HTTPS listener"] {
            let said = self.types(&["curl", listener], str::to_owned);
            assert!(said.to_lowercase().contains(&format!("x-version: {version}")), "{said}");
        }
    }
}

/// An action's latest execution in a pipeline's state, if its stage is at work on `execution`.
fn found<'s>(state: &'s Value, execution: &str, name: &str) -> Option<&'s Value> {
    let stages = state["stageStates"].as_array().into_iter().flatten();
    let stages = stages.filter(|stage| stage["latestExecution"]["pipelineExecutionId"] == execution);
    let mut actions = stages.flat_map(|stage| stage["actionStates"].as_array().into_iter().flatten());
    actions.find(|action| action["actionName"] == name).map(|action| &action["latestExecution"])
}

fn marker(service: &str, execution: &str) -> String {
    format!("ended/{service}/{execution}.json")
}

#[test]
fn what_it_prints_works_as_printed() {
    let up = Up::start();
    let mut person = Person::of(&up);

    fits_a_terminal(&up);
    let hook_fails = person.starts(&["s3 cp", "broken-hook.zip"]);
    let failed = person.action(&hook_fails, "Deploy", |latest| latest["status"] == "Failed");
    says("Deploy", &failed.to_string(), &["migration 42"]);
    person.ends(&hook_fails, "Failed");

    let sick = person.starts(&["s3 cp", "sick.zip"]);
    person.ends(&sick, "Failed");

    let good = person.starts(&["s3 cp", "good.zip"]);
    person.action(&good, "QaApproval", |latest| latest["token"].is_string());
    assert_eq!((person.resolves("candidate").len(), person.resolves("live").len()), (2, 0));
    person.approves(&good, "QaApproval");
    person.approves(&good, "FinalApproval");
    person.ends(&good, "Succeeded");
    person.sees("good");
    let live = person.resolves("live");
    assert_eq!((person.resolves("candidate").len(), live.len()), (0, 2));

    // The same artifact again, live, and stopped there: rolled back and discarded.
    let stopped = person.starts(&["start-pipeline-execution"]);
    person.approves(&stopped, "QaApproval");
    person.action(&stopped, "FinalApproval", |latest| latest["token"].is_string());
    assert_ne!(person.resolves("live"), live);
    person.types(&["stop-pipeline-execution"], |command| command.replace("EXECUTION", &stopped));
    person.ends(&stopped, "Stopped");
    let executions = [&hook_fails, &sick, &good, &stopped].map(String::as_str);
    executions.iter().for_each(|execution| person.marked(execution));
    person.sees("good");
    assert_eq!(person.resolves("live"), live);

    let listed = person.types(&["list-pipeline-executions"], str::to_owned);
    let ended = executions.map(|execution| marker("WEB_PRODUCT", execution));
    says("list-pipeline-executions", &listed, &executions);
    let history = person.types(&["s3 ls"], str::to_owned);
    says("s3 ls", &history, &ended.each_ref().map(String::as_str));
    for (command, shows) in [
        ("tagship status", "by the tags of its instances"),
        ("tagship doctor WEB", "installation"),
        ("tagship plan", "what it replaced is gone"),
        ("tagship history", "released"),
        ("tagship why", "Left behind: nothing"),
        ("settings show", "INSTANCE_TYPE"),
    ] {
        // What has failed is no failure of the command, but it says so by its exit code.
        let said = person.types(&[command], |command| format!("{command} || [ $? -eq 1 ]"));
        says(command, &said, &[shows]);
    }
    // It serves until it is ended.
    let page = person.types(&["tagship dashboard"], |command| {
        format!(
            "f=$(mktemp); {command} --no-open >$f & until grep -q Ctrl-C $f; do sleep 0.1; done; cat $f; rm $f; \
             kill -INT $!; wait $!"
        )
    });
    says("tagship dashboard", &page, &["http://127.0.0.1:", "It may approve", ".html"]);
    let swept = person.types(&["lambda invoke"], str::to_owned);
    says("lambda invoke", &swept, &["\"outcome\""]);
    by_command(&mut person);
    second_service(&mut person);
    let untyped: Vec<&String> = person
        .commands
        .iter()
        .filter(|command| !command.starts_with(". ") && !person.typed.contains(*command))
        .collect();
    assert!(untyped.is_empty(), "printed, but not tried: {untyped:?}");
    drop(person);
    up.ends_with(Signal::SIGINT);
}

/// The first screen, and the page that it leads to.
fn fits_a_terminal(up: &Up) {
    let lines: Vec<&str> = up.text.lines().collect();
    assert!(lines.len() <= 24, "{} lines", lines.len());
    for line in lines {
        assert!(line.chars().count() <= 80, "{line:?} is wider than a terminal");
    }
    says("first screen", &up.text, &["$INSTANCE_ROOT", "$HOST"]);
    let file = word_after(&up.text, "The page opens once, with this file:");
    says("the way to the page", &fs::read_to_string(file).expect("a page"), &["http://127.0.0.1:", "/enter?secret="]);
}

/// A release by the commands of the first screen; its story is told from its beginning to its end.
fn by_command(person: &mut Person<'_>) {
    let detached = |command: &str| command.replace("good.zip", "good.zip --yes --detach");
    let release = person.starts_by(&["tagship release WEB"], detached);
    person.answers(&release, "QaApproval", "approve");
    person.answers(&release, "FinalApproval", "approve");
    person.ends(&release, "Succeeded");
    let id = &release[..8];
    person.up.tells(&[
        &format!("{id}: a release of pipeline web begins"),
        &format!("{id} provision do: take the hold"),
        "provision ok",
        &format!("{id} deploy do: register"),
        &format!("{id} QaApproval: waits for an answer"),
        "mail: APPROVAL NEEDED",
        &format!("{id} QaApproval: approved"),
        &format!("{id} route do: set HTTP:80 rule 10 (web.example.com) to web group"),
        "mail: ok: web-product shift",
        "What to do next: Watch it.",
        &format!("{id} FinalApproval: approved"),
        &format!("{id} cleanup do: terminate"),
        "cleanup retire ok",
        &format!("{id} its pipeline execution: succeeded"),
    ]);
    let edited = person.types(&["settings edit"], |command| format!("EDITOR=true {command}"));
    says("settings edit", &edited, &["Nothing was changed."]);
    let count = person
        .types(&["settings edit"], |command| format!("EDITOR='sed -i s/\"COUNT\":.2/\"COUNT\":1/' {command} --yes"));
    says("settings edit", &count, &["-  \"COUNT\": 2", "+  \"COUNT\": 1", "are written"]);
}

/// AWS runs a pipeline once it has been made, when there is nothing to install yet.
fn fails_before_the_first_upload(person: &Person<'_>) {
    let listed = person.asks("ListPipelineExecutions", json!({"pipelineName": "shop"}));
    let all = listed["pipelineExecutionSummaries"].as_array().expect("executions");
    let [only] = &all[..] else { panic!("one execution, not {all:#?}") };
    assert_eq!(only["trigger"]["triggerType"], "CreatePipeline", "{only:#}");
    person.ends(only["pipelineExecutionId"].as_str().expect("an id"), "Failed");
}

/// A second service, from nothing to its second release, which is rejected when it is live.
fn second_service(person: &mut Person<'_>) {
    person.line = ("shop", "SHOP_PRODUCT");
    let flags = person.types(&["onboard SHOP", "--listener"], str::to_owned);
    let said = person.types(&["onboard SHOP", "--answers"], str::to_owned);
    assert_eq!(said, flags, "the same answers by flags");
    let samples = word_after(&person.up.text, "  . ").replace("/env", "/samples");
    let begins = |line: &&str| ["infra/", "tagship "].iter().any(|word| line.starts_with(word));
    let printed: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("  ")).filter(begins).collect();
    assert_eq!(printed.len(), 4, "{said}");
    for command in printed {
        let told = person.commands.contains(&command.replace(&samples, "$SAMPLES"));
        assert!(told, "{command:?} isn't among {:#?}", person.commands);
    }
    let edit = |name: &str, change: &dyn Fn(&mut Value)| {
        let path = format!("{samples}/{name}");
        let mut content = serde_json::from_str(&fs::read_to_string(&path).expect("a file")).expect("JSON");
        change(&mut content);
        fs::write(&path, content.to_string()).expect("written");
    };
    edit("shop-product.service.json", &|file| file["Parameters"]["DrainSeconds"] = "2".into());
    edit("shop-product.settings.json", &|settings| {
        settings["DRAIN"] = 2.into();
        settings["TIMEOUTS"] = json!({"WATCH": 3});
    });
    for (stack, makes) in [("shop-service", "TargetGroups"), ("shop-pipeline", "shop-releases-")] {
        let made = person.types(&["deploy.sh", stack], |command| format!("echo y | {command}"));
        says(stack, &made, &["Add", "Do it?", makes]);
    }
    let set = person.types(&["settings set SHOP"], |command| format!("{command} --yes"));
    says("settings set", &set, &["are written"]);
    fails_before_the_first_upload(person);
    says("doctor", &person.types(&["doctor SHOP"], str::to_owned), &["event rules   ok"]);

    let release = person.starts_by(&["tagship release SHOP"], |command| format!("{command} --yes || [ $? -eq 4 ]"));
    person.answers(&release, "QaApproval", "approve");
    person.answers(&release, "FinalApproval", "approve");
    person.ends(&release, "Succeeded");
    let serves = |person: &mut Person<'_>| {
        let said = person.types(&["curl", "Host: shop"], str::to_owned);
        assert!(said.to_lowercase().contains("x-version: good"), "{said}");
    };
    serves(person);

    // Its event rules give the traffic back and discard what was rejected.
    let rejected = person.starts_by(&["tagship release SHOP"], |command| format!("{command} --yes --detach"));
    person.answers(&rejected, "QaApproval", "approve");
    person.answers(&rejected, "FinalApproval", "reject");
    person.ends(&rejected, "Failed");
    person.marked(&rejected);
    serves(person);
    let (first, second) = (&release[..8], &rejected[..8]);
    person.up.tells(&[
        &format!("{first}: a release of pipeline shop begins"),
        &format!("{first} route do: set HTTP:80 rule 20 (shop.example.com) to shop group"),
        &format!("{first} its pipeline execution: succeeded"),
        &format!("{second} FinalApproval: rejected"),
        &format!("{second} route rollback ok"),
        &format!("{second} cleanup discard ok"),
    ]);
}

/// Ends it while a fleet is there, and a function waits for it to be healthy, in vain.
fn nothing_outlives_it(signal: Signal) {
    let up = Up::start();
    let mut person = Person::of(&up);
    let execution = person.starts(&["s3 cp", "sick.zip"]);
    person.action(&execution, "Deploy", |latest| latest["status"].is_string());
    drop(person);
    up.ends_with(signal);
}

#[test]
fn nothing_outlives_it_terminated() {
    nothing_outlives_it(Signal::SIGTERM);
}

#[test]
fn nothing_outlives_it_killed() {
    nothing_outlives_it(Signal::SIGKILL);
}
