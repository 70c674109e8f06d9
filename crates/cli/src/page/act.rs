//! What a person may do on the page: what the commands do, by their own code, with what the person saw.

use crate::commands::answer::{give, question};
use crate::commands::stop::{Stopping, stop_reason, stoppable};
use crate::end::Failure;
use crate::page::server::Asked;
use crate::service::{Naming, named};
use futures_util::StreamExt;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tagship::status::Status;
use tagship::{Approval, Phase, Pipeline, ReleaseId, Stage};
use tagship_aws::Account;
use tokio::sync::mpsc;

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verb {
    /// Approve the open approval.
    Approve,
    /// Answer it with no.
    Reject,
    /// Stop what runs.
    Stop,
    /// Have removed what an ended release left behind.
    Clean,
}

/// What is meant, as the view has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Meant {
    pub(crate) verb: Verb,
    pub(crate) pipeline: String,
    pub(crate) release: ReleaseId,
    /// Of an answer: the approval's stage, name and token.
    pub(crate) approval: Option<[String; 3]>,
}

/// An act that is offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Offer {
    #[serde(flatten)]
    pub(crate) meant: Meant,
    /// What it does.
    pub(crate) question: String,
}

/// An act that a person wants.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Deed {
    pub(crate) service: String,
    pub(crate) meant: Meant,
    /// What the person says with it.
    #[serde(default)]
    pub(crate) words: String,
}

/// Why nothing was done.
#[derive(Debug)]
pub(crate) struct Said(pub(crate) String);

impl Deed {
    /// Whether it is one of these, with the same release and the same token.
    pub(crate) fn is_among(&self, offers: &[Offer]) -> bool {
        offers.iter().any(|offer| offer.meant == self.meant)
    }
}

/// What can be done now; the same as the read model's `next` names.
pub(crate) fn offers(status: &Status, pipeline: Option<&Pipeline>) -> Vec<Offer> {
    let Some(pipeline) = pipeline else { return Vec::new() };
    let stage = pipeline.stage_of(&status.service);
    let meant = |verb, release: &ReleaseId, approval| Meant {
        verb,
        pipeline: pipeline.name.clone(),
        release: release.clone(),
        approval,
    };
    if let (Some(asked), Some(open)) = (&status.approval, stage.and_then(Stage::approval)) {
        let approval = [open.stage, open.action, open.token].map(str::to_owned);
        let offer = |verb, approve| Offer {
            meant: meant(verb, &asked.release, Some(approval.clone())),
            question: question(status, asked, approve),
        };
        return vec![offer(Verb::Approve, true), offer(Verb::Reject, false)];
    }
    let stop = |verb, stopping: Stopping, release: &ReleaseId| {
        vec![Offer { meant: meant(verb, release, None), question: stopping.question(&status.service, release) }]
    };
    let going = stage.filter(|stage| stage.status == "InProgress").and_then(|stage| stage.latest.as_ref());
    let left = status.held.as_ref().filter(|held| held.phase != Phase::Approved);
    match (going, left) {
        (Some(release), _) => stop(Verb::Stop, Stopping::Stop, release),
        (None, Some(held)) => stop(Verb::Clean, Stopping::Clean, &held.release),
        (None, None) => Vec::new(),
    }
}

/// Acts that go on at a time: having what is left behind removed takes minutes, and nobody should wait for that.
const AT_A_TIME: usize = 8;

/// Carries out what persons want.
pub(crate) async fn acts(account: &Account, asked: mpsc::Receiver<Asked>) {
    let all = stream::unfold(asked, |mut asked| async { Some((asked.recv().await?, asked)) });
    all.for_each_concurrent(AT_A_TIME, |(deed, answer)| async move {
        let did = carry_out(account, &deed).await.map_err(|failure| Said(failure.to_string()));
        // Whoever asked may have gone.
        let _ = answer.send(did);
    })
    .await;
}

/// Does it, and says what was done.
async fn carry_out(account: &Account, deed: &Deed) -> Result<String, Failure> {
    let Meant { verb, pipeline, release, approval } = &deed.meant;
    let approve = *verb == Verb::Approve;
    if let (Verb::Approve | Verb::Reject, Some([stage, action, token])) = (verb, approval) {
        let open = Approval { stage, action, release, since: None, token, services: Vec::new(), begins: None };
        give(account, &deed.service, pipeline, &open, approve, &deed.words).await?;
        let answer = if approve { "approved" } else { "rejected" };
        return Ok(format!("{action} of release {release} is {answer}."));
    }
    stop_reason(&deed.words)?;
    let service = named(account, &deed.service, Naming::Exact).await?;
    // What is to be stopped is looked for again: it has no token that keeps it to what was seen.
    let meant = if *verb == Verb::Stop { Stopping::Stop } else { Stopping::Clean };
    match stoppable(account, &service).await? {
        Ok((stopping, of, found)) if (&stopping, &of, &found) == (&meant, pipeline, release) => {
            stopping.carry_out(account, &service.role, (pipeline, release), &deed.words, |_| Ok(())).await
        }
        Ok(_) => Err(Failure::usage("what you saw isn't so any more: nothing was done. Look again, then decide")),
        Err(nothing) => Err(Failure::Usage(nothing)),
    }
}
