//! `rollback`: the shortest way back to an earlier build.

use super::follow::follow;
use super::release::again;
use super::stop;
use crate::ask::sure;
use crate::end::{End, Failure};
use crate::out::Out;
use crate::service::{Naming, named};
use std::time::Duration;
use tagship::history::{Outcome, history};
use tagship::{PastRelease, ReleaseId, Stage};
use tagship_aws::Account;

/// Executions that are looked through.
const LOOKED: i32 = 50;

/// Between two looks whether a release is in its stage, and how many.
const LOOK: Duration = Duration::from_secs(2);
const LOOKS: u32 = 60;

/// What is wished.
pub(super) struct Wish {
    pub(super) to: Option<String>,
    pub(super) freeze: bool,
    pub(super) detach: bool,
    pub(super) yes: bool,
}

pub(super) async fn run(account: &Account, out: &Out, name: &str, wish: Wish) -> Result<End, Failure> {
    let service = named(account, name, Naming::Exact).await?;
    let role = service.role.as_str();
    let hold = account.hold(&service.role).await?;
    let pipeline = service.pipeline(account, hold.as_ref()).await?;
    let stage = pipeline.stage_of(role);
    if wish.to.is_none() {
        // What is under way isn't final: ending it is the way back.
        if let Some(open) = stage.and_then(Stage::approval).filter(|open| open.services.contains(&role)) {
            let question = format!(
                "Release {} of {role} waits for {}: reject it? The traffic goes back at once if it has moved, and the \
                 release is removed.",
                open.release, open.action
            );
            if !sure(wish.yes, &question)? {
                out.say("Nothing was done.")?;
                return Ok(End::Fine);
            }
            account.answer(&pipeline.name, &open, false, "rolled back with the command tagship").await?;
            out.say(&format!("Release {} is rejected. tagship status {role} --watch", open.release))?;
            return closed(account, out, name, &wish).await;
        }
        if stage.is_some_and(|stage| stage.running().is_some() && stage.status == "InProgress") {
            stop::stop(account, out, name, "rolled back with the command tagship", wish.yes).await?;
            return closed(account, out, name, &wish).await;
        }
    }
    if let Some(artifact) = service.settings.as_ref().and_then(|settings| settings.artifact.as_ref()) {
        return Err(Failure::usage(format!(
            "{role} releases the newest object under s3://{}/{} with the tag {} (its setting ARTIFACT): take that tag from \
             the object that is live, so that the one before it is the newest, then start pipeline {}: aws codepipeline \
             start-pipeline-execution --name {}",
            artifact.bucket, artifact.prefix, artifact.tag, pipeline.name, pipeline.name
        )));
    }
    let (executions, runs) = tokio::try_join!(
        account.executions(&pipeline.name, LOOKED),
        account.runs(&pipeline.name, None, usize::try_from(LOOKED).unwrap_or_default() * 14)
    )?;
    let released: Vec<&PastRelease> = history(role, &executions, &runs, jiff::Timestamp::now())
        .iter()
        .filter(|entry| entry.outcome == Outcome::Released)
        .filter_map(|entry| executions.iter().find(|past| past.release == entry.release))
        .collect();
    let wanted = wanted(role, &executions, &released, wish.to.as_deref())?;
    let Some((action, bucket, key)) = pipeline.source() else {
        return Err(Failure::usage(format!("pipeline {} has no S3 source", pipeline.name)));
    };
    let Some(version) = &wanted.version else {
        return Err(Failure::usage(format!("CodePipeline doesn't say which version release {} had", wanted.release)));
    };
    if !account.kept(bucket, key, version).await? {
        return Err(Failure::usage(format!(
            "version {version} of s3://{bucket}/{key}, which release {} had, is gone: upload that build again (tagship \
             release {role} BUILD.zip)",
            wanted.release
        )));
    }
    let build = wanted.build.as_deref().map(|build| format!(" ({build})")).unwrap_or_default();
    let question = format!(
        "Release the build of {}{build} to {role} again? It is a new release: with today's settings, its approvals, and the \
         usual time.",
        wanted.release
    );
    if !sure(wish.yes, &question)? {
        out.say("Nothing was done.")?;
        return Ok(End::Fine);
    }
    let release = again(account, out, &service, (&pipeline.name, action, version)).await?;
    if wish.freeze {
        entered(account, &pipeline.name, role, &release).await?;
        closed(account, out, name, &wish).await?;
    }
    if wish.detach { Ok(End::Fine) } else { follow(account, out, &service, &pipeline.name, &release).await }
}

/// Waits until the release is in the service's stage: a closed door would keep it out as well.
async fn entered(account: &Account, pipeline: &str, role: &str, release: &ReleaseId) -> Result<(), Failure> {
    for _ in 0..LOOKS {
        let found = account.pipeline(pipeline).await?;
        if found.stage_of(role).is_some_and(|stage| stage.latest.as_ref() == Some(release)) {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    Err(Failure::usage(format!(
        "release {release} has begun, but isn't in its stage after {} s, so {role} isn't frozen: a closed door would keep it \
         out too. Once `tagship status {role}` shows it: tagship freeze {role} -m WHY",
        LOOK.as_secs() * u64::from(LOOKS)
    )))
}

/// Freezes, if that is wished.
async fn closed(account: &Account, out: &Out, name: &str, wish: &Wish) -> Result<End, Failure> {
    if wish.freeze {
        return stop::freeze(account, out, name, "rolled back with the command tagship", true).await;
    }
    Ok(End::Fine)
}

/// The release whose build is wanted: of those that were released, the one named, or the one before the last.
fn wanted<'a>(
    role: &str,
    all: &'a [PastRelease],
    released: &[&'a PastRelease],
    to: Option<&str>,
) -> Result<&'a PastRelease, Failure> {
    let history = format!("`tagship history {role}` lists them");
    match to {
        None => {
            let live = released.first().and_then(|live| live.version.as_ref());
            let before = released.iter().skip(1).find(|past| past.version.as_ref() != live);
            before.copied().ok_or_else(|| {
                Failure::usage(format!(
                    "no other build was released before the live one: name one with --to; {history}"
                ))
            })
        }
        Some(to) => {
            let mut named = all.iter().filter(|past| past.release.as_str().starts_with(to));
            match (named.next(), named.next()) {
                (Some(past), None) => Ok(past),
                (Some(_), Some(_)) => Err(Failure::usage(format!("--to {to} begins several releases: {history}"))),
                (None, _) => Err(Failure::usage(format!("--to {to} is no release of the last {LOOKED}: {history}"))),
            }
        }
    }
}
