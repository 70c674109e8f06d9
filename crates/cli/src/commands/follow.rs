//! Following a release: a line for each thing that it says.

use crate::end::{End, Failure};
use crate::out::Out;
use crate::service::Service;
use crate::words::moment;
use jiff::Timestamp;
use std::time::Duration;
use tagship::{Kind, ReleaseId, Stage};
use tagship_aws::Account;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(3);

/// Follows a release to its end, or to an approval if nobody looks on. Ctrl-C ends the following, not the release.
pub(super) async fn follow(
    account: &Account,
    out: &Out,
    service: &Service,
    pipeline: &str,
    release: &ReleaseId,
) -> Result<End, Failure> {
    let role = service.role.as_str();
    let mut last = String::new();
    loop {
        let now = Timestamp::now();
        match account.pipeline(pipeline).await {
            Ok(found) => {
                let seen = found.stage_of(role);
                let before = seen.filter(|stage| stage.waiting.contains(release));
                let shut = before.and_then(|stage| stage.frozen.as_ref());
                let stage = seen.filter(|stage| stage.latest.as_ref() == Some(release));
                let asked = stage.and_then(Stage::approval);
                let line = match (&asked, stage.and_then(Stage::running)) {
                    _ if shut.is_some() => "waits before the stage, which is frozen".to_owned(),
                    _ if before.is_some() => "waits until the stage is free".to_owned(),
                    (Some(asked), _) => format!("{} waits for an answer", asked.action),
                    (None, Some(act)) => {
                        let says = act.last.as_ref().and_then(|run| run.summary.clone());
                        says.map_or_else(|| act.name.clone(), |says| format!("{}: {says}", act.name))
                    }
                    (None, None) => String::new(),
                };
                if !line.is_empty() && line != last {
                    out.say(&format!("{}  {line}", moment(now, now)))?;
                    if shut.is_some() {
                        out.say(&format!("           tagship unfreeze {role}"))?;
                    } else if asked.is_some() {
                        out.say(&format!("           tagship approve {role}, or tagship reject {role}"))?;
                    }
                    last = line;
                }
                if (asked.is_some() || shut.is_some()) && !out.watched() {
                    return Ok(End::Waits);
                }
            }
            Err(error) if error.kind.passes() => {}
            Err(error) => return Err(error.into()),
        }
        match ended(account, pipeline, release).await? {
            None => {}
            Some(true) => {
                out.say(&format!("{}  release {release} is done", moment(now, now)))?;
                return Ok(End::Fine);
            }
            Some(false) => {
                out.say(&format!("{}  release {release} has failed. Why: tagship why {role}", moment(now, now)))?;
                return Ok(End::Found);
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = tokio::signal::ctrl_c() => {
                out.say(&format!("Not followed any more; release {release} goes on. Look: tagship status {role}"))?;
                return Ok(End::Fine);
            }
        }
    }
}

/// Whether it has ended well, or at all.
async fn ended(account: &Account, pipeline: &str, release: &ReleaseId) -> Result<Option<bool>, Failure> {
    match account.execution(pipeline, release).await {
        Ok(execution) => Ok(match execution.state {
            tagship::ExecutionState::Succeeded => Some(true),
            tagship::ExecutionState::Ended => Some(false),
            _ => None,
        }),
        Err(error) if error.kind.passes() || error.kind == Kind::Throttled => Ok(None),
        Err(error) => Err(error.into()),
    }
}
