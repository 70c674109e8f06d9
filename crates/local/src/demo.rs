//! The demo: a story of releases under constant load, told while it happens, judged at its end.

use crate::artifact::{Variant, pack};
use crate::leftovers::leftovers;
use crate::load::{self, Load, Site, Tally};
use crate::ops;
use crate::up::{self, Line, Local, Plan};
use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::broadcast::error::RecvError;

const PIPELINE: &str = "web";
const ROLE: &str = "WEB_PRODUCT";
const HOST: &str = "web.example.com";

/// Why the demo failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cloud didn't come up.
    #[error(transparent)]
    Up(#[from] up::Error),
    /// A call failed.
    #[error(transparent)]
    Ops(#[from] ops::Error),
    /// An artifact could not be packed.
    #[error("packing an artifact: {0}")]
    Pack(#[from] std::io::Error),
    /// The story went otherwise than it should.
    #[error("{0}")]
    Story(String),
}

/// What is known of a release.
#[derive(Debug, Default)]
struct Chapter {
    execution: String,
    /// Stage or action → seconds.
    took: BTreeMap<String, i64>,
    instances: Vec<String>,
    weights: Vec<String>,
    ended: String,
}

/// The telling: what has happened, with the time since the beginning.
#[derive(Clone)]
struct Teller {
    since: Instant,
    bar: ProgressBar,
    chapters: Arc<Mutex<BTreeMap<String, Chapter>>>,
}

impl Teller {
    fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { since: Instant::now(), bar, chapters: Arc::default() }
    }

    fn say(&self, who: &str, what: &str) {
        let line = format!("{:>6.1} s  {who:<4} {what}", self.since.elapsed().as_secs_f64());
        if self.bar.is_hidden() { println!("{line}") } else { self.bar.println(line) }
    }

    fn chapters<T>(&self, change: impl FnOnce(&mut BTreeMap<String, Chapter>) -> T) -> T {
        change(&mut self.chapters.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The release's name in the story, by its execution.
    fn name(&self, execution: &str) -> Option<String> {
        self.chapters(|all| {
            all.iter().find(|(_, chapter)| chapter.execution == execution).map(|(name, _)| name.clone())
        })
    }

    /// Tells of one event of tagship's.
    fn hear(&self, event: &Value) {
        let detail = &event["detail"];
        let text = |key: &str| detail[key].as_str().unwrap_or_default();
        let Some(name) = self.name(text("release")) else { return };
        let secs = detail["elapsedSeconds"].as_i64().unwrap_or_default();
        let action = text("action");
        self.chapters(|all| {
            let Some(chapter) = all.get_mut(&name) else { return };
            chapter.took.insert(action.to_owned(), secs);
            let list = |key: &str| -> Vec<String> {
                detail[key]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|item| item.as_str().map(str::to_owned))
                    .collect()
            };
            if action == "provision" {
                chapter.instances = list("instances");
            }
            if let Some(weights) = detail["weights"].as_object().filter(|weights| !weights.is_empty()) {
                chapter.weights =
                    weights.iter().map(|(switch, weights)| format!("{switch}: {}", short(weights))).collect();
            }
        });
        let what = event["detail-type"].as_str().unwrap_or_default();
        self.say(&name, &format!("{what}: {action}, {secs} s. {}", text("message")));
    }
}

/// Plays the story; the report's last line says how it went.
pub async fn run() -> Result<(), Error> {
    let teller = Teller::new();
    teller.say("", "setting up an account on this machine");
    let local = Arc::new(Local::start(Plan::new(vec![Line::quick(PIPELINE, ROLE, HOST, 10)])).await?);
    teller.say("", &format!("AWS is at {}, the logs in {}", local.gateway.url(), local.logs().display()));
    let listening = tokio::spawn(listen(local.clone(), teller.clone()));
    let told = tell(&local, &teller).await;
    listening.abort();
    let tally = match told {
        Ok(tally) => tally,
        Err(error) => {
            teller.bar.finish_and_clear();
            print_logs(&local);
            return Err(error);
        }
    };
    teller.bar.finish_and_clear();
    let live = teller.chapters(|all| all.last_key_value().map(|(_, chapter)| chapter.execution.clone()));
    let leftovers = leftovers(&local, ROLE, live.as_deref()).await?;
    println!("\n{}", releases_table(&teller));
    println!("\n{}", requests_table(&tally));
    for failure in tally.failures.iter().take(10) {
        println!("lost: {} {} {}", failure.at, failure.host, failure.cause);
    }
    for leftover in &leftovers {
        println!("left behind: {leftover}");
    }
    let releases = teller.chapters(|all| all.len());
    let verdict = if tally.failures.is_empty() && leftovers.is_empty() { "ok" } else { "FAILED" };
    println!("\ndemo: {verdict}, {releases} releases, {} requests, {} failed", tally.requests, tally.failures.len());
    if verdict == "ok" {
        Ok(())
    } else {
        Err(Error::Story("a request was lost, or something was left behind".to_owned()))
    }
}

/// Tells every event of tagship's as it comes.
async fn listen(local: Arc<Local>, teller: Teller) {
    let mut events = local.events.listen();
    loop {
        match events.recv().await {
            Ok(event) if event["source"] == "tagship" => teller.hear(&event),
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

async fn tell(local: &Local, teller: &Teller) -> Result<Tally, Error> {
    teller.say("r1", "the first release ever");
    let r1 = upload(local, teller, "r1", Variant::Healthy).await?;
    approve_both(local, teller, "r1", &r1).await?;
    end(local, teller, "r1", &r1, "Succeeded", "approved").await?;

    let load = constant_load(local).await;
    let counting = count(teller, &load);
    teller.say("r2", "a second release, approved twice, under load");
    let r2 = upload(local, teller, "r2", Variant::Healthy).await?;
    approve_both(local, teller, "r2", &r2).await?;
    end(local, teller, "r2", &r2, "Succeeded", "approved").await?;

    teller.say("r3", "a release whose application fails its health check");
    let r3 = upload(local, teller, "r3", Variant::Unhealthy).await?;
    ended(local, teller, "r3", &r3, "Failed").await?;

    teller.say("r4", "a release that goes live and is rejected; it starts while r3 is still being removed");
    let r4 = upload(local, teller, "r4", Variant::Healthy).await?;
    said_for_whom(local, teller, "r4", &r4, "r3", &r3).await?;
    marked(local, teller, "r3", &r3, "discarded").await?;
    approve(local, teller, "r4", &r4, "QaApproval").await?;
    asked(local, "r4", &r4, "FinalApproval").await?;
    teller.say("r4", "is live; rejected at the final approval");
    local.ops.answer(PIPELINE, "FinalApproval", false, "the new checkout is too slow").await?;
    ended(local, teller, "r4", &r4, "Failed").await?;

    teller.say("r5", "a release that starts while r4 is still being rolled back");
    let r5 = upload(local, teller, "r5", Variant::Healthy).await?;
    said_for_whom(local, teller, "r5", &r5, "r4", &r4).await?;
    marked(local, teller, "r4", &r4, "discarded").await?;
    approve_both(local, teller, "r5", &r5).await?;
    end(local, teller, "r5", &r5, "Succeeded", "approved").await?;
    counting.abort();
    Ok(load.stop().await)
}

async fn upload(local: &Local, teller: &Teller, name: &str, variant: Variant) -> Result<String, Error> {
    let artifact = pack(name, variant)?;
    let size = artifact.len();
    let bucket = &local.account.services[ROLE].bucket;
    let execution = local.ops.release(PIPELINE, bucket, artifact).await?;
    teller.chapters(|all| all.insert(name.to_owned(), Chapter { execution: execution.clone(), ..Chapter::default() }));
    teller.say(name, &format!("uploaded ({size} bytes); it is release {execution}"));
    Ok(execution)
}

async fn asked(local: &Local, name: &str, execution: &str, action: &str) -> Result<(), Error> {
    if local.ops.await_approval(PIPELINE, execution, action).await? {
        return Ok(());
    }
    let failures = local.ops.failures(PIPELINE).await?;
    Err(Error::Story(format!("{name} ended before {action} was asked for{failures}")))
}

async fn approve(local: &Local, teller: &Teller, name: &str, execution: &str, action: &str) -> Result<(), Error> {
    asked(local, name, execution, action).await?;
    local.ops.answer(PIPELINE, action, true, "looks good").await?;
    teller.say(name, &format!("{action}: approved"));
    Ok(())
}

async fn approve_both(local: &Local, teller: &Teller, name: &str, execution: &str) -> Result<(), Error> {
    approve(local, teller, name, execution, "QaApproval").await?;
    approve(local, teller, name, execution, "FinalApproval").await
}

/// The execution's end, as it should be.
async fn ended(local: &Local, teller: &Teller, name: &str, execution: &str, wanted: &str) -> Result<(), Error> {
    let status = local.ops.await_end(PIPELINE, execution).await?;
    teller.say(name, &format!("its execution has ended: {status}"));
    if status == wanted {
        Ok(())
    } else {
        Err(Error::Story(format!("{name} should have {wanted}, but it has {status}")))
    }
}

/// The release's end in tagship's history, as it should be, and the hold is free.
async fn marked(local: &Local, teller: &Teller, name: &str, execution: &str, wanted: &str) -> Result<(), Error> {
    let bucket = &local.account.bucket;
    let how = loop {
        let marker = local.ops.object(bucket, &format!("ended/{ROLE}/{execution}.json")).await?;
        if let Some(marker) = marker {
            break marker["how"].as_str().unwrap_or_default().to_owned();
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    teller.chapters(|all| all.entry(name.to_owned()).or_default().ended.clone_from(&how));
    teller.say(name, &format!("is {how}"));
    if how == wanted { Ok(()) } else { Err(Error::Story(format!("{name} should be {wanted}, but it is {how}"))) }
}

async fn end(
    local: &Local,
    teller: &Teller,
    name: &str,
    execution: &str,
    status: &str,
    how: &str,
) -> Result<(), Error> {
    ended(local, teller, name, execution, status).await?;
    marked(local, teller, name, execution, how).await
}

/// Waits until the console says that `name` waits for `other`.
async fn said_for_whom(
    local: &Local,
    teller: &Teller,
    name: &str,
    execution: &str,
    other: &str,
    other_execution: &str,
) -> Result<(), Error> {
    loop {
        let state = local.ops.action(PIPELINE, "Provision").await?;
        let summary = state["latestExecution"]["summary"].as_str().unwrap_or_default();
        if state["execution"] == execution && summary.contains(other_execution) {
            teller.say(name, &format!("waits for {other}; the console says: {summary}"));
            return Ok(());
        }
        if state["execution"] == execution && state["latestExecution"]["status"] == "Succeeded" {
            return Err(Error::Story(format!("{name} never said that it waits for {other}")));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// 50 requests a second through both listeners.
async fn constant_load(local: &Local) -> Load {
    let mut sites = Vec::new();
    if let Some(balancer) = &local.balancer {
        for listener in [&local.account.http_listener, &local.account.https_listener] {
            let address = balancer.address(listener).await;
            sites.push(Site { address, host: HOST.to_owned(), path: "/".to_owned() });
        }
    }
    Load::start(&load::Config { sites, rate: 50, connections: 4, timeout: Duration::from_secs(5) })
}

/// Keeps the count of requests on the terminal's last line.
fn count(teller: &Teller, load: &Load) -> tokio::task::JoinHandle<()> {
    let (bar, tallies) = (teller.bar.clone(), load.watch());
    tokio::spawn(async move {
        loop {
            let tally = tallies();
            let versions: Vec<String> =
                tally.by_version.iter().map(|(version, requests)| format!("{version} {requests}")).collect();
            bar.set_message(format!(
                "{} requests ({}), {} failed",
                tally.requests,
                versions.join(", "),
                tally.failures.len()
            ));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })
}

fn releases_table(teller: &Teller) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    const ACTIONS: [&str; 6] = ["provision", "deploy", "shift", "retire", "rollback", "discard"];
    table.set_header(["release", "ended"].into_iter().chain(ACTIONS).chain(["instances", "weights at the end"]));
    teller.chapters(|all| {
        for (name, chapter) in all.iter() {
            let took = |action: &str| chapter.took.get(action).map_or("–".to_owned(), |secs| format!("{secs} s"));
            let row = [format!("{name} {}", chapter.execution.get(..8).unwrap_or_default()), chapter.ended.clone()];
            let rest = [chapter.instances.join("\n"), chapter.weights.join("\n")];
            table.add_row(row.into_iter().chain(ACTIONS.map(took)).chain(rest));
        }
    });
    table
}

/// Weights without the groups' common beginning, which CloudFormation made from the stack's name.
fn short(weights: &Value) -> String {
    let groups = weights.as_str().unwrap_or_default().split(", ");
    groups.map(|group| group.rsplit('-').next().unwrap_or(group)).collect::<Vec<_>>().join(" ")
}

fn requests_table(tally: &Tally) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_header(["version", "requests", "failed"]);
    for (version, requests) in &tally.by_version {
        table.add_row([version.clone(), requests.to_string(), "0".to_owned()]);
    }
    table.add_row(["all".to_owned(), tally.requests.to_string(), tally.failures.len().to_string()]);
    table
}

/// The functions' last words, for whoever has to find out.
fn print_logs(local: &Local) {
    for name in ["provision", "deploy", "route", "cleanup"] {
        let path = local.logs().join(format!("tagship-{name}.log"));
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let lines: Vec<&str> = text.lines().collect();
        println!("--- {} (last lines)", path.display());
        for line in lines.iter().skip(lines.len().saturating_sub(15)) {
            println!("{line}");
        }
    }
}
