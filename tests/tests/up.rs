//! `tagship-local up` as a person meets it: its first screen fits a terminal, every command that it names does what is
//! said, what happens is told, and nothing outlives it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
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
    /// Its first screen.
    text: String,
    /// What the first screen leads to: the file with the other commands, and the one that a shell reads.
    more: String,
    environment: String,
    /// What it has told since.
    told: Arc<Mutex<String>>,
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
        while !text.contains("What happens is told here:") {
            let line = output.next().unwrap_or_else(|| panic!("it ended early: {text}")).expect("text");
            text.push_str(&line);
            text.push('\n');
        }
        let told = Arc::<Mutex<String>>::default();
        let tells = told.clone();
        std::thread::spawn(move || {
            for line in output.map_while(Result::ok) {
                let mut told = tells.lock().unwrap_or_else(PoisonError::into_inner);
                told.extend([line.as_str(), "\n"]);
            }
        });
        let file = |name: &str| {
            let directory = word_after(&text, "  . ").trim_end_matches("/env");
            fs::read_to_string(format!("{directory}/{name}")).unwrap_or_else(|error| panic!("{name}: {error}"))
        };
        let (more, environment) = (file("more"), file("env"));
        Self { process, text, more, environment, told }
    }

    fn group(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.process.id()).expect("a process id"))
    }

    /// The commands as printed: indented, those that end in a backslash with the next line.
    fn commands(&self) -> Vec<String> {
        let joined = [self.text.as_str(), &self.more].concat().replace("\\\n", "\\\u{1}");
        let indented = joined.lines().filter_map(|line| line.strip_prefix("  "));
        let commands = indented.filter(|line| !line.starts_with('$') && !line.starts_with('/'));
        commands.map(|line| line.replace('\u{1}', "\n")).collect()
    }

    /// Where it keeps everything.
    fn directory(&self) -> &str {
        word_after(&self.text, "  . ").trim_end_matches("/env")
    }

    /// What its commands go to.
    fn address(&self) -> &str {
        word_after(&self.environment, "export AWS_ENDPOINT_URL=").trim_matches('\'')
    }

    /// Waits until these have been told, each after the one before it.
    fn tells(&self, parts: &[&str]) {
        until(&format!("{parts:?} to be told"), || {
            let told = self.told.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let words: String = told.split_whitespace().collect::<Vec<_>>().join(" ");
            let mut rest = words.as_str();
            for part in parts {
                rest = rest.split_once(part).ok_or_else(|| format!("no {part:?} there in {told}"))?.1;
            }
            Ok(())
        });
    }

    /// Its own process and all that works for it: its descendants, and whoever knows its address or its directory.
    fn processes(&self) -> BTreeSet<Pid> {
        let marks = [self.address(), self.directory()];
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
        assert_eq!(status.success(), signal != Signal::SIGKILL, "{status}: {:?}", self.told);
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

/// What follows `before` in a text, up to white space.
fn word_after<'t>(text: &'t str, before: &str) -> &'t str {
    let rest = text.split(before).nth(1).unwrap_or_else(|| panic!("no {before:?} in {text}"));
    rest.split_whitespace().next().unwrap_or_default()
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
        let ops = Ops::new(up.address(), REGION);
        Self { up, commands: up.commands(), typed: BTreeSet::new(), runtime, ops }
    }

    /// Types the one printed command that has all of `parts` in it, after `change`; answers what it prints.
    fn types(&mut self, parts: &[&str], change: impl Fn(&str) -> String) -> String {
        let fits: Vec<&String> =
            self.commands.iter().filter(|command| parts.iter().all(|part| command.contains(part))).collect();
        let [command] = fits[..] else { panic!("{} commands have {parts:?} in {:#?}", fits.len(), self.commands) };
        self.typed.insert(command.clone());
        let exports = self.commands.iter().find(|command| command.starts_with(". ")).expect("the variables");
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
        let (bucket, marker) = (word_after(&self.up.more, "s3 ls --recursive s3://"), marker(execution));
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

fn marker(execution: &str) -> String {
    format!("ended/WEB_PRODUCT/{execution}.json")
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

    let (listed, ended) = (person.types(&["list-pipeline-executions"], str::to_owned), executions.map(marker));
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
    let (before, _) = person.newest();
    person.types(&["tagship release WEB"], |command| command.replace("good.zip", "good.zip --yes --detach"));
    let release = until("the release", || {
        let (newest, status) = person.newest();
        if newest == before { Err(status) } else { Ok(newest) }
    });
    for approval in ["QaApproval", "FinalApproval"] {
        person.action(&release, approval, |latest| latest["token"].is_string());
        person.types(&["tagship approve"], |command| {
            command.replace("WEB_PRODUCT", &format!("WEB_PRODUCT --yes --release {release} --approval {approval}"))
        });
    }
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

/// A second service, from its settings to its first release.
fn second_service(person: &mut Person<'_>) {
    let set = person.types(&["settings set SHOP"], |command| format!("{command} --yes"));
    says("settings set", &set, &["are written"]);
    says("doctor", &person.types(&["doctor SHOP"], str::to_owned), &["installation"]);
    let followed = person.types(&["tagship release SHOP"], |command| format!("{command} --yes || [ $? -eq 4 ]"));
    says("release", &followed, &["has begun", "QaApproval waits for an answer"]);
    person.up.tells(&["a release of pipeline shop begins", "provision ok", "deploy ok", "QaApproval: waits"]);
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
