//! `tagship-local up` as a person meets it: every command that it prints does what is said, and nothing outlives it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tagship_local::Plan;
use tagship_local::ops::Ops;
use tagship_local::setup::REGION;
use tagship_tests::person::{lookup, succeeded};
use tagship_tests::words::says;
use tokio::runtime::Runtime;

/// Far longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(200);

/// The program, running in a process group of its own as a shell starts it, and what it printed.
struct Up {
    process: Child,
    output: Lines<BufReader<ChildStdout>>,
    text: String,
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = killpg(self.group(), Signal::SIGKILL);
        let _ = self.process.wait();
        // It does so itself, unless it is killed.
        let _ = fs::remove_dir_all(self.directory());
    }
}

impl Up {
    fn start() -> Self {
        let mut process = Command::new(Plan::new(Vec::new()).functions.join("tagship-local"))
            .arg("up")
            .process_group(0)
            .stdout(Stdio::piped())
            .spawn()
            .expect("tagship-local is built with the workspace");
        let mut output = BufReader::new(process.stdout.take().expect("piped")).lines();
        let mut text = String::new();
        while !text.contains("Ctrl-C ends all of it.") {
            let line = output.next().unwrap_or_else(|| panic!("it ended early: {text}")).expect("text");
            text.push_str(&line);
            text.push('\n');
        }
        Self { process, output, text }
    }

    fn group(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.process.id()).expect("a process id"))
    }

    /// The commands as printed: indented, those that end in a backslash with the next line.
    fn commands(&self) -> Vec<String> {
        let joined = self.text.replace("\\\n", "\\\u{1}");
        let indented = joined.lines().filter_map(|line| line.strip_prefix("  "));
        indented.map(|line| line.replace('\u{1}', "\n")).collect()
    }

    /// What follows `before` in the text, up to white space.
    fn word_after(&self, before: &str) -> &str {
        let rest = self.text.split(before).nth(1).unwrap_or_else(|| panic!("no {before:?} in {}", self.text));
        rest.split_whitespace().next().unwrap_or_default()
    }

    /// Where it keeps everything.
    fn directory(&self) -> &str {
        self.word_after("logs are in ").trim_end_matches("/logs.")
    }

    /// Its own process and all that works for it: its descendants, and whoever knows its address or its directory.
    fn processes(&self) -> BTreeSet<Pid> {
        let marks = [self.word_after("AWS_ENDPOINT_URL="), self.directory()];
        let all: Vec<Pid> = fs::read_dir("/proc")
            .expect("/proc")
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok().map(Pid::from_raw))
            .collect();
        let knows = |pid: &&Pid| {
            ["environ", "cmdline"].iter().any(|file| {
                let text = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
                let text = String::from_utf8_lossy(&text);
                marks.iter().any(|mark| text.contains(mark))
            })
        };
        let mut found: BTreeSet<Pid> = all.iter().filter(knows).copied().collect();
        found.insert(self.group());
        loop {
            let children = all.iter().filter(|pid| parent(**pid).is_some_and(|parent| found.contains(&parent)));
            let grown: BTreeSet<Pid> = found.iter().chain(children).copied().collect();
            if grown.len() == found.len() {
                return found;
            }
            found = grown;
        }
    }

    /// Sends `signal` to the whole group, as a terminal does, and waits until none of its processes is left.
    fn ends_with(mut self, signal: Signal) {
        let before = self.processes();
        assert!(before.len() > 4, "the emulator, functions, agents: {before:?}");
        killpg(self.group(), signal).expect("it runs");
        let status = self.process.wait().expect("it ends");
        let said: Vec<String> = self.output.by_ref().map_while(Result::ok).collect();
        assert_eq!(status.success(), signal != Signal::SIGKILL, "{status}: {said:?}");
        let left = || -> Vec<String> {
            let since = self.processes();
            let alive = before.iter().chain(&since).filter(|pid| **pid != self.group() && alive(**pid));
            alive.map(|pid| format!("{pid} {}", command_line(*pid))).collect()
        };
        until(&format!("everything to end after {signal}"), || {
            let left = left();
            if left.is_empty() { Ok(()) } else { Err(left.join("\n")) }
        });
    }
}

fn parent(pid: Pid) -> Option<Pid> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let parent = stat.rsplit(')').next()?.split_whitespace().nth(1)?;
    parent.parse().ok().map(Pid::from_raw)
}

/// A process that has ended and is only waited for has no command line.
fn alive(pid: Pid) -> bool {
    !command_line(pid).is_empty()
}

fn command_line(pid: Pid) -> String {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&words).replace('\0', " ")
}

/// Looks until there is what is wanted.
fn until<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let began = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) if began.elapsed() > LIMIT => panic!("waited in vain for {what}: {seen}"),
            Err(_) => std::thread::sleep(LOOK),
        }
    }
}

/// A person who types what is printed: everything once. What is to be seen meanwhile is asked for without the AWS CLI,
/// which takes a second's work each time.
struct Person<'a> {
    up: &'a Up,
    commands: Vec<String>,
    typed: BTreeSet<String>,
    runtime: Runtime,
    ops: Ops,
}

impl<'a> Person<'a> {
    fn of(up: &'a Up) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let ops = Ops::new(up.word_after("AWS_ENDPOINT_URL="), REGION);
        Self { up, commands: up.commands(), typed: BTreeSet::new(), runtime, ops }
    }

    /// Types the one printed command that has all of `parts` in it, after `change`; answers what it prints.
    fn types(&mut self, parts: &[&str], change: impl Fn(&str) -> String) -> String {
        let fits: Vec<&String> =
            self.commands.iter().filter(|command| parts.iter().all(|part| command.contains(part))).collect();
        let [command] = fits[..] else { panic!("{} commands have {parts:?} in {}", fits.len(), self.up.text) };
        self.typed.insert(command.clone());
        let exports = self.commands.iter().find(|command| command.starts_with("export ")).expect("the exports");
        let script = format!("{exports}\n{}", change(command));
        let output = Command::new("sh").args(["-c", &script]).output().expect("a shell");
        succeeded(&script, &output)
    }

    /// Asks CodePipeline.
    fn asks(&self, operation: &str, body: Value) -> Value {
        self.runtime.block_on(self.ops.pipeline(operation, body)).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The newest execution's id and status.
    fn newest(&self) -> (String, String) {
        let executions = self.runtime.block_on(self.ops.executions("web")).unwrap_or_else(|error| panic!("{error}"));
        executions.into_iter().next().unwrap_or_default()
    }

    /// Types a command that starts an execution, and answers which.
    fn starts(&mut self, parts: &[&str]) -> String {
        let (before, _) = self.newest();
        self.types(parts, str::to_owned);
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
            let state = self.asks("GetPipelineState", json!({"name": "web"}));
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

    /// Waits until tagship's history has an execution's end.
    fn marked(&self, execution: &str) {
        let (bucket, marker) = (self.up.word_after("s3 ls --recursive s3://"), marker(execution));
        until(&marker, || {
            let found = self.runtime.block_on(self.ops.object(bucket, &marker));
            found.unwrap_or_else(|error| panic!("{error}")).ok_or_else(|| "nothing yet".to_owned())
        });
    }

    /// Asks the printed resolver for the printed name, with `dig` as printed where there is one.
    fn resolves(&mut self, which: &str) -> Vec<Ipv4Addr> {
        let port = self.up.word_after("dig @127.0.0.1 -p ").parse().expect("a port");
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
        for listener in ["the HTTP listener", "the HTTPS listener"] {
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

fn marker(execution: &str) -> String {
    format!("ended/WEB_PRODUCT/{execution}.json")
}

#[test]
fn what_it_prints_works_as_printed() {
    let up = Up::start();
    let mut person = Person::of(&up);

    let hook_fails = person.starts(&["broken-hook.zip"]);
    let failed = person.action(&hook_fails, "Deploy", |latest| latest["status"] == "Failed");
    says("Deploy", &failed.to_string(), &["migration 42"]);
    person.ends(&hook_fails, "Failed");

    let sick = person.starts(&["sick.zip"]);
    person.ends(&sick, "Failed");

    let good = person.starts(&["good.zip"]);
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

    let (listed, ended) = (person.types(&["list-pipeline-executions"], str::to_owned), executions.map(marker));
    says("list-pipeline-executions", &listed, &executions);
    let history = person.types(&["s3 ls"], str::to_owned);
    says("s3 ls", &history, &ended.each_ref().map(String::as_str));
    for (command, shows) in [
        ("tagship status", "by the tags of its instances"),
        ("tagship doctor", "installation"),
        ("tagship history", "released"),
        ("tagship why", "Left behind: nothing"),
        ("tagship settings", "INSTANCE_TYPE"),
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
    let untyped: Vec<&String> = person
        .commands
        .iter()
        .filter(|command| !command.starts_with("export ") && !person.typed.contains(*command))
        .collect();
    assert!(untyped.is_empty(), "printed, but not tried: {untyped:?}");
    drop(person);
    up.ends_with(Signal::SIGINT);
}

/// Ends it while a fleet is there, and a function waits for it to be healthy, in vain.
fn nothing_outlives_it(signal: Signal) {
    let up = Up::start();
    let mut person = Person::of(&up);
    let execution = person.starts(&["sick.zip"]);
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
