//! `stop`, `freeze`, `unfreeze`: ending what is under way, and closing the door.

use crate::ask::sure;
use crate::end::{End, Failure};
use crate::out::Out;
use crate::service::{Naming, Service, named};
use serde::Serialize;
use tagship::{Action, ExecutionState, Kind, Phase, ReleaseId, ServiceRole};
use tagship_aws::Account;

/// CodePipeline's limit of a stop's reason, in characters.
const STOP_MAX: usize = 200;
/// CodePipeline's limit of a disabled transition's reason.
const FREEZE_MAX: usize = 300;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Did {
    service: String,
    did: String,
}

fn reason(words: &str, most: usize) -> Result<(), Failure> {
    if words.trim().is_empty() {
        return Err(Failure::usage("-m: say why, for those who look later"));
    }
    if words.chars().count() > most {
        return Err(Failure::usage(format!("-m: CodePipeline takes at most {most} characters")));
    }
    Ok(())
}

pub(super) fn told(out: &Out, service: &str, did: String) -> Result<End, Failure> {
    let document = Did { service: service.to_owned(), did };
    out.show(&document, || format!("{}\n", document.did))?;
    Ok(End::Fine)
}

/// What stopping a service's release comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stopping {
    /// Its execution runs: it is stopped.
    Stop,
    /// Its execution has ended, but it holds the service still: the rule's event was lost, or its function failed. Rollback
    /// and discard are invoked.
    Clean,
}

impl Stopping {
    /// What it does, for the person who is asked.
    pub(crate) fn question(&self, role: &str, release: &ReleaseId) -> String {
        match self {
            Self::Stop => format!(
                "Stop release {release} of {role}: the traffic goes back if it has moved, and the release is removed. What \
                 runs is abandoned."
            ),
            Self::Clean => format!(
                "The execution of release {release} has ended, but it holds {role} still. Give the traffic back, and \
                 remove what it left behind?"
            ),
        }
    }

    /// Does it; answers what was done. `say` hears of what takes long.
    pub(crate) async fn carry_out(
        &self,
        account: &Account,
        role: &ServiceRole,
        (pipeline, release): (&str, &ReleaseId),
        why: &str,
        mut say: impl FnMut(&str) -> Result<(), Failure>,
    ) -> Result<String, Failure> {
        if *self == Self::Stop {
            account.stop(pipeline, release, why).await?;
            return Ok(format!(
                "Release {release} is being stopped; rollback and discard follow. tagship status {role} --watch"
            ));
        }
        let mut did = Vec::new();
        for action in [Action::Rollback, Action::Discard] {
            say(&format!("{action} …"))?;
            did.push(account.invoke(action, role, release, pipeline).await?);
        }
        Ok(did.join("\n"))
    }
}

/// What there is to stop: how, of which pipeline, which release; or why there is nothing.
pub(crate) async fn stoppable(
    account: &Account,
    service: &Service,
) -> Result<Result<(Stopping, String, ReleaseId), String>, Failure> {
    let role = &service.role;
    let hold = account.hold(role).await?;
    let pipeline = service.pipeline(account, hold.as_ref()).await?;
    let running = pipeline
        .stage_of(role.as_str())
        .filter(|stage| ["InProgress", "Stopping"].contains(&stage.status.as_str()))
        .and_then(|stage| stage.latest.clone());
    let release = match (running, &hold) {
        (Some(release), _) => release,
        (None, Some(hold)) => hold.release.clone(),
        (None, None) => return Ok(Err(format!("Nothing is under way: {role} isn't held."))),
    };
    let execution = account.execution(&pipeline.name, &release).await?;
    let hold = hold.filter(|hold| hold.release == release);
    if hold.as_ref().is_some_and(|hold| hold.phase == Phase::Approved) {
        return Err(Failure::usage(format!(
            "release {release} was approved: what it replaced is being removed, and can't be stopped. Once it has ended, \
             `tagship rollback {role}` releases the build before it again. If it doesn't end, retry the stage's failed \
             actions in the console"
        )));
    }
    if matches!(execution.state, ExecutionState::Running | ExecutionState::Stopping) {
        return Ok(Ok((Stopping::Stop, pipeline.name, release)));
    }
    let Some(hold) = hold else {
        return Ok(Err(format!("Release {release} has ended, and holds nothing.")));
    };
    Ok(Ok((Stopping::Clean, hold.pipeline, release)))
}

/// That there is a reason which CodePipeline takes.
pub(crate) fn stop_reason(why: &str) -> Result<(), Failure> {
    reason(why, STOP_MAX)
}

pub(super) async fn stop(account: &Account, out: &Out, name: &str, why: &str, yes: bool) -> Result<End, Failure> {
    stop_reason(why)?;
    let service = named(account, name, Naming::Exact).await?;
    let role = &service.role;
    let (stopping, pipeline, release) = match stoppable(account, &service).await? {
        Ok(found) => found,
        Err(nothing) => return told(out, role.as_str(), nothing),
    };
    if !sure(yes, &stopping.question(role.as_str(), &release))? {
        return told(out, role.as_str(), "Nothing was stopped.".to_owned());
    }
    let did = stopping.carry_out(account, role, (&pipeline, &release), why, |text| out.say(text)).await?;
    told(out, role.as_str(), did)
}

pub(super) async fn freeze(account: &Account, out: &Out, name: &str, why: &str, yes: bool) -> Result<End, Failure> {
    reason(why, FREEZE_MAX)?;
    // CodePipeline's own pattern: [a-zA-Z0-9!@ ().*?-]+
    if let Some(other) = why.chars().find(|c| !(c.is_ascii_alphanumeric() || "!@ ().*?-".contains(*c))) {
        return Err(Failure::usage(format!(
            "-m: the reason may not contain {other:?}; CodePipeline allows ASCII letters, digits, spaces and ! @ ( ) . * ? -"
        )));
    }
    let service = named(account, name, Naming::Exact).await?;
    let hold = account.hold(&service.role).await?;
    let pipeline = service.pipeline(account, hold.as_ref()).await?;
    let stage = stage(&pipeline, service.role.as_str())?;
    let question = format!(
        "Let no release into stage {stage} of pipeline {}? One that is in it goes on; the newest upload waits before it.",
        pipeline.name
    );
    if !sure(yes, &question)? {
        return told(out, service.role.as_str(), "Nothing was frozen.".to_owned());
    }
    let role = service.role.as_str();
    told(out, role, close(account, role, (&pipeline.name, &stage), why).await?)
}

/// Closes the door; answers what was done.
pub(super) async fn close(
    account: &Account,
    role: &str,
    (pipeline, stage): (&str, &str),
    why: &str,
) -> Result<String, Failure> {
    account.freeze(pipeline, stage, why).await?;
    Ok(format!("{role} is frozen: {why}. tagship unfreeze {role} lets releases in again."))
}

pub(super) async fn unfreeze(account: &Account, out: &Out, name: &str, yes: bool) -> Result<End, Failure> {
    let service = named(account, name, Naming::Exact).await?;
    let hold = account.hold(&service.role).await?;
    let pipeline = service.pipeline(account, hold.as_ref()).await?;
    let stage_name = stage(&pipeline, service.role.as_str())?;
    let waits = pipeline.stages.iter().find(|stage| stage.name == stage_name).map_or(0, |stage| stage.waiting.len());
    let begins = if waits > 0 { " The release that waits begins at once." } else { "" };
    if !sure(yes, &format!("Let releases into stage {stage_name} of pipeline {} again?{begins}", pipeline.name))? {
        return told(out, service.role.as_str(), "It stays frozen.".to_owned());
    }
    account.unfreeze(&pipeline.name, &stage_name).await?;
    told(out, service.role.as_str(), format!("Releases of {} begin again.", service.role))
}

/// The stage whose door it is.
fn stage(pipeline: &tagship::Pipeline, service: &str) -> Result<String, Failure> {
    let stage = pipeline.stage_of(service).map(|stage| stage.name.clone());
    stage.ok_or_else(|| {
        let error = tagship::Error::new(
            Kind::Configuration,
            format!("pipeline {} has no action that is for {service}: correct PIPELINE in its settings", pipeline.name),
        );
        error.into()
    })
}
