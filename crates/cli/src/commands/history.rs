//! `history`: how past releases went.

use crate::end::{End, Failure};
use crate::out::Out;
use crate::service::{Naming, named};
use crate::table::table;
use crate::words::{lasting, moment, person};
use jiff::Timestamp;
use serde::Serialize;
use std::fmt::Write;
use tagship::HowEnded;
use tagship::history::{Entry, Outcome, history};
use tagship_aws::Account;

/// Runs that an execution may have: each stage's actions, some of them retried.
const RUNS: usize = 14;

#[derive(Serialize)]
struct History {
    service: String,
    pipeline: String,
    releases: Vec<Entry>,
}

pub(super) async fn run(account: &Account, out: &Out, name: &str, number: u8) -> Result<End, Failure> {
    let service = named(account, name, Naming::Loose).await?;
    let hold = match service.pipeline_name(None) {
        Ok(_) => None,
        Err(_) => account.hold(&service.role).await?,
    };
    let pipeline = service.pipeline_name(hold.as_ref())?;
    let most = usize::from(number) * RUNS;
    let (executions, runs) =
        tokio::try_join!(account.executions(&pipeline, number.into()), account.runs(&pipeline, None, most))?;
    let now = Timestamp::now();
    let mut releases = history(service.role.as_str(), &executions, &runs, now);
    for entry in releases.iter_mut().filter(|entry| entry.outcome != Outcome::Released && entry.outcome.shifted()) {
        // Without the marker it is what CodePipeline says.
        let ended = account.ended(&service.role, &entry.release).await.ok().flatten();
        if ended.is_some_and(|ended| ended.how == HowEnded::Kept) {
            entry.outcome = Outcome::Kept;
        }
    }
    let found = History { service: service.role.to_string(), pipeline, releases };
    out.show(&found, || text(&found, now, out.width()))?;
    Ok(End::Fine)
}

fn text(found: &History, now: Timestamp, width: usize) -> String {
    if found.releases.is_empty() {
        return format!("Pipeline {} has not released anything yet.\n", found.pipeline);
    }
    let rows = found.releases.iter().map(|entry| {
        let build = entry.build.as_deref().or(entry.version.as_deref()).unwrap_or("-");
        vec![
            moment(entry.began, now),
            entry.release.short().to_owned(),
            tagship::bounded(build, 24),
            entry.outcome.words().to_owned(),
            entry.by.as_deref().map_or("-", person).to_owned(),
            lasting(entry.seconds),
        ]
    });
    let mut text = table(width, &["BEGAN", "RELEASE", "~BUILD", "OUTCOME", "~ANSWERED", "TOOK"], rows);
    let not_released = |entry: &&Entry| !matches!(entry.outcome, Outcome::Released | Outcome::Running);
    for entry in found.releases.iter().filter(not_released) {
        let why = entry.why.as_deref().unwrap_or("no reason is kept");
        let _ = write!(text, "\n{}: {}\n", entry.release.short(), tagship::bounded(why, 400));
    }
    if let Some(newest) = found.releases.first() {
        let spent: Vec<String> =
            newest.actions.iter().map(|spent| format!("{} {}", spent.action, lasting(spent.seconds))).collect();
        let _ = write!(text, "\n{} spent: {}\n", newest.release.short(), spent.join(", "));
    }
    let _ = write!(text, "\nThe whole story of one: tagship why {} RELEASE\n", found.service);
    text
}
