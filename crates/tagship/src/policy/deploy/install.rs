//! One deployment a release, adopted where it is there already, and judged by what each instance says.

use super::{DeployMemory, Installation, unseen, whole};
use crate::{Artifact, Decision, Deployment, DeploymentState, First, Held, Kind, Parts, Situation, Step, counted};
use jiff::Timestamp;
use std::ops::ControlFlow::{Break, Continue};

/// How many instances' own words are in a failure's message.
const SHOWN: usize = 3;
/// How many characters these words have together. CodePipeline takes 5,000 in all: the rest is for what is told around them.
const WORDS: usize = 3_600;

/// Why nothing has begun anywhere.
const NO_AGENT: &str = ". No instance has begun, so most likely the image has no CodeDeploy agent, or one that is too old for \
                        IMDSv2, or the agent can't reach CodeDeploy's endpoint; its log is in \
                        /var/log/aws/codedeploy-agent";

/// The release's deployment, once every instance of the fleet says that it succeeded.
pub(super) fn installed(
    now: &Situation<'_>,
    held: &Held,
    memory: &mut DeployMemory,
    artifact: &Artifact,
) -> First<Installation> {
    if let Some(installed) = &memory.installed {
        return Continue(installed.clone());
    }
    now.world.need(Parts::DEPLOYMENT.and(Parts::INSTANCES.when(unseen(now, memory))))?;
    if unseen(now, memory) {
        whole(now, held, memory)?;
    }
    let install_secs = held.hold.settings.timeouts.install_secs;
    let late = |since: Timestamp| now.left(since, install_secs).is_none();
    let release = now.job.release.clone();
    let Some(deployment) = now.world.deployment()? else {
        return Break(if late(now.began) {
            let group = &held.hold.settings.deploy.group;
            let message = format!(
                "no deployment of {artifact} could be created in {install_secs} s (INSTALL): is another one running in \
                 deployment group {group}?"
            );
            now.give_up(Kind::Release, message)
        } else if !now.world.filtered()? {
            Decision::act(Step::FilterDeployments { release }, "CodeDeploy installs on this release only")
        } else {
            let step = Step::CreateDeployment { release, artifact: artifact.clone() };
            Decision::act(step, "the release has no deployment yet")
        });
    };
    let Deployment { id, overview, begun, .. } = deployment;
    match deployment.state {
        DeploymentState::Running if late(deployment.created_at) => {
            let targets = deployment.targets.iter();
            let told = targets.filter_map(|it| Some((it.instance.as_str(), it.diagnostics.as_deref()?))).collect();
            let message =
                format!("deployment {id} of {artifact} was not finished in {install_secs} s (INSTALL): {overview}");
            let hint = if *begun { "" } else { NO_AGENT };
            Break(now.give_up(Kind::Release, format!("{message}{hint}{}", words(told))))
        }
        DeploymentState::Running => Break(Decision::wait(format!("deployment {id}: {overview}"))),
        // With AllAtOnce CodeDeploy calls it a success if one instance succeeded: each is asked.
        DeploymentState::Succeeded | DeploymentState::Failed | DeploymentState::Stopped => {
            let fleet = &whole(now, held, memory)?;
            let failures = failures(deployment, fleet);
            if failures.is_empty() {
                let instances = fleet.iter().map(|id| (*id).to_owned()).collect();
                let installed = Installation { id: id.clone(), created_at: deployment.created_at, instances };
                memory.installed = Some(installed.clone());
                return Continue(installed);
            }
            let state = format!("{:?}", deployment.state).to_lowercase();
            let (failed, all) = (failures.len(), counted(fleet.len(), "instance"));
            let mut message = format!("{artifact} was not installed on {failed} of {all}:{}", words(failures));
            // Its words are the same for every failure: those of the instances come first.
            message.push_str(&format!("\nCodeDeploy's status of deployment {id}: {state}"));
            if let Some(error) = &deployment.error {
                message.push_str(&format!(": {error}"));
            }
            Break(now.give_up(Kind::Release, message))
        }
    }
}

/// The instances of the fleet that didn't succeed, each with why.
fn failures<'a>(deployment: &'a Deployment, fleet: &[&'a str]) -> Vec<(&'a str, &'a str)> {
    let failure = |id: &&'a str| {
        let Some(target) = deployment.targets.iter().find(|target| target.instance == *id) else {
            return Some((*id, "CodeDeploy did not include it: does it have its tags?"));
        };
        let words = target.diagnostics.as_deref().unwrap_or(
            "CodeDeploy gives no reason: is the agent running, and may the instance profile read the artifact?",
        );
        (!target.succeeded).then_some((*id, words))
    };
    fleet.iter().filter_map(failure).collect()
}

/// What instances say of themselves, a paragraph each: the beginning, which names hook and script, and the end of the log.
fn words(of: Vec<(&str, &str)>) -> String {
    let each = WORDS / of.len().clamp(1, SHOWN);
    let shown = of.iter().take(SHOWN).map(|(instance, words)| format!("\n- {instance}: {}", both_ends(words, each)));
    let mut text: String = shown.collect();
    if of.len() > SHOWN {
        text.push_str(&format!("\n- {} more", of.len() - SHOWN));
    }
    text
}

/// At most about `max` characters: a third of the beginning, the rest of the end.
fn both_ends(text: &str, max: usize) -> String {
    let text = text.trim();
    let length = text.chars().count();
    if length <= max {
        return text.to_owned();
    }
    let head: String = text.chars().take(max / 3).collect();
    let tail: String = text.chars().skip(length - (max - max / 3)).collect();
    format!("{head} … {tail}")
}
