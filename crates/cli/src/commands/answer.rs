//! `approve` and `reject`: the answer to the approval that is open, as it was shown.

use super::status::look;
use crate::args::Answer;
use crate::ask::sure;
use crate::end::{End, Failure};
use crate::out::Out;
use crate::service::{Naming, meant, named};
use serde::Serialize;
use tagship::status::{Asked, Status};
use tagship::{Approval, Error, Kind, Stage};
use tagship_aws::Account;

/// CodePipeline's limit of an answer's words, in characters.
const WORDS_MAX: usize = 512;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answered {
    service: String,
    release: String,
    approval: String,
    answer: &'static str,
}

pub(super) async fn run(account: &Account, out: &Out, given: Answer, approve: bool) -> Result<End, Failure> {
    if given.message.chars().count() > WORDS_MAX {
        return Err(Failure::usage(format!("-m: CodePipeline takes at most {WORDS_MAX} characters")));
    }
    let role = meant(account, &given.service, Naming::Exact)?;
    let (status, pipeline) = look(account, &role).await?;
    let pipeline = match pipeline {
        Some(pipeline) => pipeline,
        // Asked once more, it says why it isn't known.
        None => named(account, &given.service, Naming::Exact).await?.pipeline(account, None).await?,
    };
    let role = role.as_str();
    let stage = pipeline.stage_of(role);
    let open = stage.and_then(Stage::approval).filter(|open| open.services.contains(&role));
    let (Some(open), Some(asked)) = (open, &status.approval) else {
        return Err(Failure::usage(format!(
            "no approval is open that concerns {role}. `tagship status {role}` says what is under way"
        )));
    };
    let (release, approval) = (open.release.clone(), open.action.to_owned());
    let meant = |flag: &str, given: &Option<String>, is: &str| match given {
        Some(given) if given != is && !(flag == "--release" && is.starts_with(given.as_str()) && given.len() >= 8) => {
            Err(Failure::usage(format!("{flag} {given} isn't what is open: {approval} of release {release} is")))
        }
        _ => Ok(()),
    };
    meant("--release", &given.release, release.as_str())?;
    meant("--approval", &given.approval, &approval)?;
    if !sure(given.yes, &question(&status, asked, approve))? {
        out.say("Nothing was answered.")?;
        return Ok(End::Fine);
    }
    give(account, role, &pipeline.name, &open, approve, &given.message).await?;
    let answer = if approve { "approved" } else { "rejected" };
    let told = Answered { service: role.to_owned(), release: release.to_string(), approval: approval.clone(), answer };
    out.show(&told, || {
        format!("{approval} of release {release} is {answer}. Follow it: tagship status {role} --watch\n")
    })?;
    Ok(End::Fine)
}

/// Gives the answer. It carries the token of the question that was shown: one asked meanwhile stays unanswered.
pub(crate) async fn give(
    account: &Account,
    role: &str,
    pipeline: &str,
    open: &Approval<'_>,
    approve: bool,
    message: &str,
) -> Result<(), Failure> {
    if message.chars().count() > WORDS_MAX {
        return Err(Failure::usage(format!("-m: CodePipeline takes at most {WORDS_MAX} characters")));
    }
    let (approval, release) = (open.action, open.release);
    let by_default = if approve { "Approved" } else { "Rejected" };
    let words = if message.is_empty() { format!("{by_default} with the command tagship") } else { message.to_owned() };
    match account.answer(pipeline, open, approve, &words).await {
        Ok(()) => Ok(()),
        Err(error) if error.code.as_deref().is_some_and(answered_meanwhile) => Err(Error {
            message: format!(
                "{approval} of release {release} was answered by somebody else meanwhile: your answer doesn't count. \
                 `tagship history {role}` says by whom"
            ),
            ..Error::new(Kind::Refused, "")
        }
        .into()),
        Err(error) => Err(error.into()),
    }
}

/// What an answer does, with what a person should know who is about to give it.
pub(crate) fn question(status: &Status, asked: &Asked, approve: bool) -> String {
    let (verb, does) = if approve { ("Approve", asked.approving) } else { ("Reject", asked.rejecting) };
    let (approval, release, role) = (&asked.approval, &asked.release, &status.service);
    format!("{verb} {approval} of release {release} of {role}: it {does}.{}", doubts(status))
}

fn answered_meanwhile(code: &str) -> bool {
    ["InvalidApprovalTokenException", "ApprovalAlreadyCompletedException"].contains(&code)
}

/// What a person should know who is about to answer.
fn doubts(status: &Status) -> String {
    let ringing: Vec<&str> =
        status.alarms.iter().filter(|alarm| alarm.state == "alarm").map(|alarm| alarm.name.as_str()).collect();
    let mut text = String::new();
    if !ringing.is_empty() {
        text.push_str(&format!(" Alarms ring: {}.", ringing.join(", ")));
    }
    let steps = status.held.as_ref().is_some_and(|held| held.step.is_some());
    for switch in &status.switches {
        let weighted = switch.groups.iter().filter(|group| group.weight > 0).count();
        if weighted > 1 && !steps {
            text.push_str(&format!(
                " {} gives weight to {weighted} groups: set all but one to 0 first.",
                switch.switch
            ));
        }
    }
    for release in &status.releases {
        if let Some(healthy) = release.healthy.filter(|healthy| *healthy < release.instances.len()) {
            let (role, all) = (release.role.as_str(), release.instances.len());
            text.push_str(&format!(" The {role} release {} has {healthy} of {all} healthy.", release.release.short()));
        }
    }
    text
}
