//! The demo: a story of releases under constant load, told while it happens, judged at its end.

mod tables;

use crate::artifact::{Variant, pack};
use crate::commands::page;
use crate::commands::teller::{Chapter, Teller, weights};
use crate::leftovers::leftovers;
use crate::local::{self, Line, Local, Plan, command};
use crate::ops;
use crate::traffic::load::{self, Load, Site, Tally};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tagship_cloud::setup::ops_environment;
use tagship_cloud::validate;
use tokio::sync::broadcast::error::RecvError;

const PIPELINE: &str = "web";
const ROLE: &str = "WEB_PRODUCT";
const HOST: &str = "web.example.com";
/// CloudWatch's minute here: what ten minutes show on AWS, ten seconds show here.
const MINUTE_SECS: u32 = 1;

/// Why the demo failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cloud didn't come up.
    #[error(transparent)]
    Up(#[from] local::Error),
    /// A call failed.
    #[error(transparent)]
    Ops(#[from] ops::Error),
    /// An artifact could not be packed, or the recording not be written.
    #[error("files of the demo: {0}")]
    Files(#[from] std::io::Error),
    /// The story went otherwise than it should.
    #[error("{0}")]
    Story(String),
}

/// A service whose waits are as short as a story allows: don't take them as a recommendation.
fn line() -> Line {
    let mut line = Line::quick(PIPELINE, ROLE, HOST, 10);
    line.product.drain_secs = 1;
    line.settings["DRAIN"] = 1.into();
    line.settings["TIMEOUTS"]["HEALTHY"] = 6.into();
    line.settings["TIMEOUTS"]["WATCH"] = 1.into();
    line
}

/// How it is played.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Args {
    /// Serves the page of `tagship dashboard` meanwhile, and opens it.
    #[arg(long)]
    dashboard: bool,
}

/// How wide the names of the story's releases are: `r1`.
const WHO: u16 = 4;

/// Plays the story; the report's last line says how it went.
pub async fn run(args: Args) -> Result<(), Error> {
    let teller = Teller::new(WHO);
    teller.title(
        "Seven releases of a web application, by the Lambda functions that run on AWS: CodePipeline, CodeDeploy, EC2 \
         instances and the load balancer are played on this machine. It takes about four minutes.",
    );
    teller.say("", "setting up: network, balancer, pipeline, service (from infra/, the files that go to AWS)");
    // The last releases need it: better said now.
    command()?;
    let plan = Plan { minute_secs: MINUTE_SECS, ..Plan::new(vec![line()]) };
    let local = Arc::new(Local::start(plan).await?);
    for (group, alias) in local.account.services[ROLE].target_groups.iter().zip(["group A", "group B"]) {
        teller.call(group.split('/').nth(1).unwrap_or(group), alias);
    }
    teller.say("", &format!("AWS is at {}, the functions' logs in {}", local.gateway.url(), local.logs().display()));
    let page = if args.dashboard { Some(page::serve(&local).await?) } else { None };
    if let Some(page) = &page {
        teller.say("", &format!("the page is at {}; this file opens it, once: {}", page.address, page.file.display()));
    }
    let listening = tokio::spawn(listen(local.clone(), teller.clone()));
    let told = tell(&local, &teller).await;
    listening.abort();
    drop(page);
    teller.bar.finish_and_clear();
    let tally = match told {
        Ok(tally) => tally,
        Err(error) => {
            print_logs(&local);
            return Err(error);
        }
    };
    let live = teller.chapters(|all| {
        let approved = all.values().rfind(|chapter| chapter.ended == "approved");
        approved.map(|chapter| chapter.execution.clone())
    });
    let file = local.dir.path().join("requests.jsonl");
    let (leftovers, requests) =
        tokio::join!(leftovers(&local, ROLE, live.as_deref()), validate::recorded(local.gateway.recorder(), &file),);
    let (leftovers, requests) = (leftovers?, requests?);
    println!("\n{}\n\n{}", tables::releases(&teller), tables::requests(&teller, &tally));
    for failure in tally.failures.iter().take(10) {
        println!("lost: {} {} {}", failure.at, failure.host, failure.cause);
    }
    for leftover in &leftovers {
        println!("left behind: {leftover}");
    }
    println!("calls of AWS, held against its service models: {}", requests.said);
    let releases = teller.chapters(|all| all.len());
    let verdict = if tally.failures.is_empty() && leftovers.is_empty() && requests.passed { "ok" } else { "FAILED" };
    println!("\ndemo: {verdict}, {releases} releases, {} requests, {} lost", tally.requests, tally.failures.len());
    if verdict == "ok" {
        Ok(())
    } else {
        Err(Error::Story("a request was lost, something was left behind, or AWS would refuse a call".to_owned()))
    }
}

/// Tells every event of tagship's as it comes.
async fn listen(local: Arc<Local>, teller: Teller) {
    let mut events = local.events.listen();
    loop {
        match events.recv().await {
            Ok(event) if event["source"] == "tagship" => teller.hear(&event, &local.states.borrow()),
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

async fn tell(local: &Local, teller: &Teller) -> Result<Tally, Error> {
    teller.title("r1: the first release ever; nothing serves yet");
    let r1 = upload(local, teller, "r1", Variant::Healthy).await?;
    approve_both(local, teller, "r1", &r1).await?;
    end(local, teller, "r1", &r1, "Succeeded", "approved").await?;

    let load = constant_load(local).await;
    let counting = count(local, teller, &load);
    teller.title(&format!(
        "r2: the second one, approved twice. From here to the end {RATE} requests a second go through the balancer, \
         and none may fail"
    ));
    let r2 = upload(local, teller, "r2", Variant::Healthy).await?;
    approve_both(local, teller, "r2", &r2).await?;
    end(local, teller, "r2", &r2, "Succeeded", "approved").await?;
    let mut before = Tally::default();
    teller.requests(&mut before, load.tally());

    teller.title("r3: its application fails its health check. It never gets a request, and all of it is removed");
    let r3 = upload(local, teller, "r3", Variant::Unhealthy).await?;
    ended(local, teller, "r3", &r3, "Failed").await?;
    teller.requests(&mut before, load.tally());

    teller.title("r4: starts while r3 is still being removed, goes live, and is rejected: r2 serves again");
    let r4 = upload(local, teller, "r4", Variant::Healthy).await?;
    said_for_whom(local, teller, "r4", &r4, "r3", &r3).await?;
    marked(local, teller, "r3", &r3, "discarded").await?;
    approve(local, teller, "r4", &r4, "QaApproval").await?;
    asked(local, "r4", &r4, "FinalApproval").await?;
    teller.say("r4", "FinalApproval: rejected, \"the new checkout is too slow\"");
    local.ops.answer(PIPELINE, "FinalApproval", false, "the new checkout is too slow").await?;
    ended(local, teller, "r4", &r4, "Failed").await?;
    teller.requests(&mut before, load.tally());

    teller.title("r5: starts while r4 is still being rolled back, waits for it, and replaces r2");
    let r5 = upload(local, teller, "r5", Variant::Healthy).await?;
    said_for_whom(local, teller, "r5", &r5, "r4", &r4).await?;
    marked(local, teller, "r4", &r4, "discarded").await?;
    approve_both(local, teller, "r5", &r5).await?;
    end(local, teller, "r5", &r5, "Succeeded", "approved").await?;
    teller.requests(&mut before, load.tally());

    teller.title("r6: ops have asked for steps. It gets 10 %, then 50 % of the traffic, then all of it");
    in_steps(local, teller).await?;
    let r6 = upload(local, teller, "r6", Variant::Healthy).await?;
    approve_both(local, teller, "r6", &r6).await?;
    end(local, teller, "r6", &r6, "Succeeded", "approved").await?;
    teller.requests(&mut before, load.tally());

    teller.title(
        "r7: healthy by its health check, but a fifth of its answers are errors. At 10 % it is compared with r6, and the \
         traffic goes back by itself",
    );
    let r7 = upload(local, teller, "r7", Variant::Errs).await?;
    approve(local, teller, "r7", &r7, "QaApproval").await?;
    end(local, teller, "r7", &r7, "Failed", "discarded").await?;
    counting.abort();
    let tally = load.stop().await;
    teller.requests(&mut before, tally.clone());
    let hit = tally.errors.get("r7").copied().unwrap_or_default();
    if hit == 0 {
        return Err(Error::Story("r7 has answered no request with an error, so nothing was compared".to_owned()));
    }
    match tally.by_version.get("r3") {
        Some(served) => Err(Error::Story(format!("r3 is not healthy, and has served {served} requests"))),
        None => Ok(tally),
    }
}

/// What a person types to have releases go in steps, by the command `tagship`.
async fn in_steps(local: &Local, teller: &Teller) -> Result<(), Error> {
    let mut settings = line().settings(&local.account.services[ROLE].settings);
    settings["SHIFT"] = json!({"STEPS": [{"WEIGHT": 10, "BAKE": BAKE_SECS}, {"WEIGHT": 50, "BAKE": 1}]});
    settings["COMPARE"] = true.into();
    let file = local.dir.path().join("settings.json");
    std::fs::write(&file, settings.to_string())?;
    teller.say("", &format!("ops: tagship settings set {ROLE} settings.json, with \"SHIFT\": {}", settings["SHIFT"]));
    let set = tokio::process::Command::new(command()?)
        .args(["settings", "set", ROLE, "--yes"])
        .arg(&file)
        .envs(ops_environment(&local.gateway.url()))
        .output()
        .await?;
    if set.status.success() {
        return Ok(());
    }
    Err(Error::Story(format!("tagship settings set: {}", String::from_utf8_lossy(&set.stderr))))
}

async fn upload(local: &Local, teller: &Teller, name: &str, variant: Variant) -> Result<String, Error> {
    let artifact = pack(name, variant)?;
    let bucket = &local.account.services[ROLE].bucket;
    let execution = local.ops.release(PIPELINE, bucket, artifact).await?;
    teller.say(name, &format!("uploaded to {bucket}: execution {execution} starts"));
    teller.call(&execution, name);
    teller.chapters(|all| all.insert(name.to_owned(), Chapter { execution: execution.clone(), ..Chapter::default() }));
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
    teller.say(name, &format!("its pipeline execution has ended: {status}"));
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
    teller.say(name, &format!("ended as {how}: the service is free"));
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
            teller.say(name, &format!("the console says: {summary}"));
            return Ok(());
        }
        if state["execution"] == execution && state["latestExecution"]["status"] == "Succeeded" {
            return Err(Error::Story(format!("{name} never said that it waits for {other}")));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Requests a second.
const RATE: u32 = 50;
/// How long 10 % of the traffic stand: at 5 requests a second, r7's errors are found within it.
const BAKE_SECS: u32 = 12;

/// Requests through both listeners.
async fn constant_load(local: &Local) -> Load {
    let mut sites = Vec::new();
    if let Some(balancer) = &local.balancer {
        for listener in [&local.account.http_listener, &local.account.https_listener] {
            let address = balancer.address(listener).await;
            sites.push(Site { address, host: HOST.to_owned(), path: "/".to_owned() });
        }
    }
    Load::start(&load::Config { sites, rate: RATE, connections: 4, timeout: Duration::from_secs(5) })
}

/// Keeps the weights and the count of requests on the terminal's last line.
fn count(local: &Local, teller: &Teller, load: &Load) -> tokio::task::JoinHandle<()> {
    let (bar, tallies, states) = (teller.bar.clone(), load.watch(), local.states.clone());
    tokio::spawn(async move {
        loop {
            let tally = tallies();
            let versions: Vec<String> =
                tally.by_version.iter().map(|(version, requests)| format!("{version} {requests}")).collect();
            let hit: u64 = tally.errors.values().sum();
            bar.set_message(format!(
                "A/B {} · {} requests ({}), {hit} errors, {} lost",
                weights(&states.borrow()),
                tally.requests,
                versions.join(", "),
                tally.failures.len()
            ));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })
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
