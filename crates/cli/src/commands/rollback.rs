//! `rollback`: the shortest way back to an earlier build.

use super::answer::give;
use super::follow::follow;
use super::release::again;
use super::stop;
use crate::ask::sure;
use crate::end::{End, Failure};
use crate::out::Out;
use crate::service::{Naming, named};
use std::time::Duration;
use tagship::history::{Outcome, history};
use tagship::{HowEnded, PastRelease, PastRun, Pipeline, ReleaseId, ServiceRole, Stage};
use tagship_aws::Account;

/// Executions that are looked through.
const LOOKED: i32 = 50;

/// The words that an answer, a stop and a closed door carry.
const WHY: &str = "rolled back with the command tagship";

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
                return stop::told(out, role, "Nothing was done.".to_owned());
            }
            let frozen = closed(account, role, &pipeline, &wish).await?;
            let rejected = give(account, role, &pipeline.name, &open, false, WHY).await;
            let did = rejected.map(|()| format!("Release {} is rejected. tagship status {role} --watch", open.release));
            return ended(out, role, frozen, did);
        }
        if stage.is_some_and(|stage| stage.running().is_some() && stage.status == "InProgress") {
            let (stopping, on, release) = match stop::stoppable(account, &service).await? {
                Ok(found) => found,
                Err(nothing) => return stop::told(out, role, nothing),
            };
            if !sure(wish.yes, &stopping.question(role, &release))? {
                return stop::told(out, role, "Nothing was stopped.".to_owned());
            }
            let frozen = closed(account, role, &pipeline, &wish).await?;
            let of = (on.as_str(), &release);
            let did = stopping.carry_out(account, &service.role, of, WHY, |text| out.say(text)).await;
            return ended(out, role, frozen, did);
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
    let wanted = match wish.to.as_deref() {
        Some(to) => named_by(role, &executions, to)?,
        None => before(account, &service.role, &executions, &runs).await?,
    };
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
    let door = stage.and_then(|stage| stage.frozen.as_ref());
    let waits = door.map_or_else(String::new, |frozen| {
        format!(" It waits before the stage, which is frozen ({}): tagship unfreeze {role} lets it in.", frozen.reason)
    });
    let question = format!(
        "Release the build of {}{build} to {role} again? It is a new release: with today's settings, its approvals, and the \
         usual time.{waits}",
        wanted.release
    );
    if !sure(wish.yes, &question)? {
        out.say("Nothing was done.")?;
        return Ok(End::Fine);
    }
    let release = again(account, out, &service, (&pipeline.name, action, version)).await?;
    // Before a door that is closed already it waits, and nothing has to be closed behind it.
    if wish.freeze && door.is_none() {
        entered(account, &pipeline.name, role, &release).await?;
        if let Some(frozen) = closed(account, role, &pipeline, &wish).await? {
            out.say(&frozen)?;
        }
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

/// Freezes, if that is wished and it isn't frozen; answers what was done. Of a release that is ended this comes first: who
/// waits before the stage would enter it at once.
async fn closed(account: &Account, role: &str, pipeline: &Pipeline, wish: &Wish) -> Result<Option<String>, Failure> {
    let stage = pipeline.stage_of(role).filter(|stage| wish.freeze && stage.frozen.is_none());
    match stage {
        Some(stage) => stop::close(account, role, (&pipeline.name, &stage.name), WHY).await.map(Some),
        None => Ok(None),
    }
}

/// Says what was done; that it is frozen is said even where the rest failed.
fn ended(out: &Out, role: &str, frozen: Option<String>, did: Result<String, Failure>) -> Result<End, Failure> {
    match did {
        Ok(did) => stop::told(out, role, frozen.into_iter().chain([did]).collect::<Vec<_>>().join("\n")),
        Err(failure) => {
            frozen.into_iter().for_each(|frozen| out.warn(&frozen));
            Err(failure)
        }
    }
}

/// The release that was live with another build before the one that is live now. Which releases were live, their markers
/// say: one that was kept is live though its execution failed.
async fn before<'a>(
    account: &Account,
    role: &ServiceRole,
    executions: &'a [PastRelease],
    runs: &[PastRun],
) -> Result<&'a PastRelease, Failure> {
    let past = history(role.as_str(), executions, runs, jiff::Timestamp::now());
    let mut live: Option<&PastRelease> = None;
    for (execution, entry) in executions.iter().zip(&past) {
        // Without traffic it was never live: no marker has to be read.
        if !entry.outcome.shifted() {
            continue;
        }
        let ended = account.ended(role, &execution.release).await?;
        let was_live = match ended {
            Some(ended) => matches!(ended.how, HowEnded::Approved | HowEnded::Kept),
            // Older than the markers.
            None => entry.outcome == Outcome::Released,
        };
        match live {
            _ if !was_live => {}
            None => live = Some(execution),
            Some(live) if live.version != execution.version => return Ok(execution),
            Some(_) => {}
        }
    }
    Err(Failure::usage(format!(
        "no other build was live before the one that is: name one with --to; `tagship history {role}` lists them"
    )))
}

/// The release whose id begins so.
fn named_by<'a>(role: &str, all: &'a [PastRelease], to: &str) -> Result<&'a PastRelease, Failure> {
    let history = format!("`tagship history {role}` lists them");
    let mut named = all.iter().filter(|past| past.release.as_str().starts_with(to));
    match (named.next(), named.next()) {
        (Some(past), None) => Ok(past),
        (Some(_), Some(_)) => Err(Failure::usage(format!("--to {to} begins several releases: {history}"))),
        (None, _) => Err(Failure::usage(format!("--to {to} is no release of the last {LOOKED}: {history}"))),
    }
}
