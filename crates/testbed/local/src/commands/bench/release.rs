//! The releases that are measured: a first one, one that replaces it, and perhaps one that is rejected.

use super::calls::{self, FUNCTIONS};
use super::{Error, start};
use crate::artifact::{Variant, pack};
use crate::local::{Line, Local, Plan, Play};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use tagship_cloud::gateway::Record;
use tagship_cloud::moto::Behaviour;
use tagship_cloud::state::{InstanceState, Rule};

const PIPELINE: &str = "web";
const ROLE: &str = "WEB_PRODUCT";

/// What was recorded while releases of one size were made.
pub(super) struct Played {
    /// Instances of a release.
    pub(super) fleet: u32,
    /// The functions' calls for the release that replaced another, from its upload to its end.
    pub(super) calls: Vec<Record>,
    /// Function → the most memory that a process of it ever had, in bytes.
    pub(super) peaks: BTreeMap<&'static str, u64>,
    /// Of the release that was rejected when it was live.
    pub(super) rollback: Option<Rollback>,
    /// Both releases.
    pub(super) took: Duration,
}

/// What was recorded of a rollback.
pub(super) struct Rollback {
    /// The functions' calls since the rejection.
    pub(super) calls: Vec<Record>,
    /// The switches whose weights it moved back.
    pub(super) switches: usize,
}

/// Makes releases in a cloud of their own, whose instances are timers.
pub(super) async fn play(functions: &Path, fleet: u32, rejects: bool) -> Result<Played, Error> {
    let began = Instant::now();
    let mut line = Line::quick(PIPELINE, ROLE, "web.example.com", 10);
    line.product.count = fleet;
    // One process of the emulator answers for a whole Region: it needs long for a thousand instances.
    line.settings = json!({
        "DRAIN": 2,
        "TIMEOUTS": {"BOOT": 600, "INSTALL": 600, "HEALTHY": 300, "WATCH": 3, "SETTLE": 15},
    });
    let plan = Plan { play: Play::Timers, functions: functions.to_owned(), ..Plan::new(vec![line]) };
    let local = Local::start(plan).await?;
    // A thousand live beside a thousand that come.
    let behaviour = Behaviour { target_limit: Some(2_000), ..Behaviour::default() };
    local.moto.configure(&behaviour).await.map_err(|error| Error::Release(error.to_string()))?;

    approved(&local, fleet).await?;
    local.gateway.recorder().take();
    approved(&local, fleet).await?;
    let calls = calls::of_functions(local.gateway.recorder().take());
    let took = began.elapsed();
    let peaks = peaks(&local)?;
    let rollback = if rejects { Some(rejected(&local).await?) } else { None };
    Ok(Played { fleet, calls, peaks, rollback, took })
}

/// A release that goes live and is approved.
async fn approved(local: &Local, fleet: u32) -> Result<(), Error> {
    let execution = upload(local).await?;
    live(local, &execution).await?;
    local.ops.answer(PIPELINE, "FinalApproval", true, "measured").await?;
    let status = local.ops.await_end(PIPELINE, &execution).await?;
    if status != "Succeeded" {
        return Err(gone_wrong(local, &format!("the release has {status}")).await);
    }
    let state = local.moto.state().await?;
    let running = state.instances.iter().filter(|instance| matches!(instance.state, InstanceState::Running)).count();
    if running != fleet as usize {
        return Err(Error::Release(format!("{running} instances run instead of {fleet}")));
    }
    Ok(())
}

/// A release that goes live and is rejected; the one before serves again at the end.
async fn rejected(local: &Local) -> Result<Rollback, Error> {
    let before = switches(local).await?;
    let execution = upload(local).await?;
    live(local, &execution).await?;
    let moved = switches(local).await?;
    local.gateway.recorder().take();
    local.ops.answer(PIPELINE, "FinalApproval", false, "measured").await?;
    let marker = format!("ended/{ROLE}/{execution}.json");
    while local.ops.object(&local.account.bucket, &marker).await?.is_none() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let calls = calls::of_functions(local.gateway.recorder().take());
    if moved == before || switches(local).await? != before {
        return Err(Error::Release("the rollback didn't restore the weights".to_owned()));
    }
    Ok(Rollback { calls, switches: before.len() })
}

async fn upload(local: &Local) -> Result<String, Error> {
    let artifact = pack("bench", Variant::Healthy).map_err(|error| Error::File("release.zip".into(), error))?;
    let bucket = &local.account.services[ROLE].bucket;
    Ok(local.ops.release(PIPELINE, bucket, artifact).await?)
}

/// Until the final approval is asked for.
async fn live(local: &Local, execution: &str) -> Result<(), Error> {
    for action in ["QaApproval", "FinalApproval"] {
        if !local.ops.await_approval(PIPELINE, execution, action).await? {
            return Err(gone_wrong(local, &format!("{action} was never asked for")).await);
        }
        if action == "QaApproval" {
            local.ops.answer(PIPELINE, action, true, "measured").await?;
        }
    }
    Ok(())
}

/// The service's rules as they are.
async fn switches(local: &Local) -> Result<Vec<Rule>, Error> {
    let own = &local.account.services[ROLE].rules;
    let listeners = local.moto.state().await?.listeners;
    Ok(listeners.into_iter().flat_map(|listener| listener.rules).filter(|rule| own.contains(&rule.arn)).collect())
}

/// What is wrong, with the failed actions' own words.
async fn gone_wrong(local: &Local, what: &str) -> Error {
    match local.ops.failures(PIPELINE).await {
        Ok(failures) => Error::Release(format!("{what}{failures}")),
        Err(error) => error.into(),
    }
}

/// The most memory of each function's processes.
fn peaks(local: &Local) -> Result<BTreeMap<&'static str, u64>, Error> {
    let mut peaks = BTreeMap::new();
    for function in FUNCTIONS {
        for process in local.lambda.warm(&format!("tagship-{function}")) {
            let peak = start::memory(process, "VmHWM")?;
            let most = peaks.entry(function).or_insert(peak);
            *most = peak.max(*most);
        }
        if !peaks.contains_key(function) {
            return Err(Error::Release(format!("no process of {function} is left to ask for its memory")));
        }
    }
    Ok(peaks)
}
