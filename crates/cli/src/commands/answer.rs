//! `approve` and `reject`: the answer to the approval that is open, as it was shown.

use super::status::look;
use crate::args::Answer;
use crate::ask::sure;
use crate::end::{End, Failure};
use crate::out::Out;
use crate::service::{Naming, named};
use serde::Serialize;
use tagship::{Error, Kind, Stage};
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
    let service = named(account, &given.service, Naming::Exact).await?;
    let (status, pipeline) = look(account, &service).await;
    let pipeline = match pipeline {
        Some(pipeline) => pipeline,
        None => service.pipeline(account, None).await?,
    };
    let role = service.role.as_str();
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
    let (verb, does) = if approve { ("Approve", asked.approving) } else { ("Reject", asked.rejecting) };
    if !sure(given.yes, &format!("{verb} {approval} of release {release} of {role}: it {does}.{}", doubts(&status)))? {
        out.say("Nothing was answered.")?;
        return Ok(End::Fine);
    }
    // The answer carries the token of the question that was shown: one asked meanwhile stays unanswered.
    let words = if given.message.is_empty() { format!("{verb}d with the command tagship") } else { given.message };
    match account.answer(&pipeline.name, &open, approve, &words).await {
        Ok(()) => {}
        Err(error) if error.code.as_deref().is_some_and(answered_meanwhile) => {
            return Err(Error {
                message: format!(
                    "{approval} of release {release} was answered by somebody else meanwhile: your answer doesn't count. \
                     `tagship history {role}` says by whom"
                ),
                ..Error::new(Kind::Refused, "")
            }
            .into());
        }
        Err(error) => return Err(error.into()),
    }
    let answer = if approve { "approved" } else { "rejected" };
    let told = Answered { service: role.to_owned(), release: release.to_string(), approval: approval.clone(), answer };
    out.show(&told, || {
        format!("{approval} of release {release} is {answer}. Follow it: tagship status {role} --watch\n")
    })?;
    Ok(End::Fine)
}

fn answered_meanwhile(code: &str) -> bool {
    ["InvalidApprovalTokenException", "ApprovalAlreadyCompletedException"].contains(&code)
}

/// What a person should know who is about to answer.
fn doubts(status: &tagship::status::Status) -> String {
    let ringing: Vec<&str> =
        status.alarms.iter().filter(|alarm| alarm.state == "alarm").map(|alarm| alarm.name.as_str()).collect();
    let mut text = String::new();
    if !ringing.is_empty() {
        text.push_str(&format!(" Alarms ring: {}.", ringing.join(", ")));
    }
    for release in &status.releases {
        if let Some(healthy) = release.healthy.filter(|healthy| *healthy < release.instances.len()) {
            let (role, all) = (release.role.as_str(), release.instances.len());
            text.push_str(&format!(" The {role} release {} has {healthy} of {all} healthy.", release.release.short()));
        }
    }
    text
}
