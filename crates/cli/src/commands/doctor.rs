//! `doctor`: what a release needs, checked before there is one; each problem with what to do.

mod launch;
mod rules;

use crate::end::{End, Failure, permission, told};
use crate::out::Out;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::Write;
use tagship::settings::{Settings, TargetGroup};
use tagship::{
    Action, AlarmState, Does, Error, ExecutionState, Hold, Kind, Pipeline, Routing, ServiceRole, TAG_SERVICE, pair,
    patience,
};
use tagship_aws::Account;

/// What was found of one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    /// As it should be.
    Ok,
    /// A release would fail.
    Error,
    /// A release would go, but a person should look.
    Warning,
    /// It couldn't be looked at.
    Unknown,
    /// What it depends on is wrong.
    NotChecked,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Check {
    part: &'static str,
    verdict: Verdict,
    says: Vec<String>,
}

#[derive(Serialize)]
struct Checked {
    service: String,
    checks: Vec<Check>,
}

impl Check {
    fn new(part: &'static str, verdict: Verdict, says: Vec<String>) -> Self {
        Self { part, verdict, says }
    }

    fn fine(part: &'static str, says: impl Into<String>) -> Self {
        Self::new(part, Verdict::Ok, vec![says.into()])
    }

    fn skipped(part: &'static str, after: &str) -> Self {
        Self::new(part, Verdict::NotChecked, vec![format!("{after} comes first")])
    }

    /// What a call's failure is to the service: its fault, or only something that can't be seen.
    fn failed(part: &'static str, error: &Error) -> Self {
        let unseen = permission(error).is_some() || error.kind.passes();
        let verdict = if unseen { Verdict::Unknown } else { Verdict::Error };
        Self::new(part, verdict, told(error).split("\n- ").map(str::to_owned).collect())
    }

    /// Fine without problems; each is an error otherwise.
    fn judged(part: &'static str, fine: impl Into<String>, problems: Vec<String>) -> Self {
        if problems.is_empty() { Self::fine(part, fine) } else { Self::new(part, Verdict::Error, problems) }
    }
}

pub(super) async fn run(account: &Account, out: &Out, name: &str) -> Result<End, Failure> {
    let role = ServiceRole::try_from(name.replace('-', "_")).map_err(Failure::Usage)?;
    let known = account.services().into_iter().find(|known| known.as_str().eq_ignore_ascii_case(role.as_str()));
    let role = known.unwrap_or(role);
    let mut checks = vec![
        Check::fine(
            "installation",
            format!("found in account {}, Region {}", account.number().unwrap_or("?"), account.region()),
        ),
        versions(account.version(), crate::VERSION),
    ];
    match account.offered(&role).await {
        Err(error) => {
            checks.push(Check::failed("settings", &error));
            let others = [
                "selectors",
                "pipeline",
                "event rules",
                "switches",
                "launch",
                "names",
                "alarms",
                "topic",
                "release",
                "leftovers",
            ];
            checks.extend(others.map(|part| Check::skipped(part, "settings")));
        }
        Ok(offer) => {
            checks.push(Check::fine("settings", "they can be read"));
            checks.extend(of_settings(account, &role, &offer.settings).await);
        }
    }
    let found = checks.iter().any(|check| check.verdict == Verdict::Error);
    let checked = Checked { service: role.to_string(), checks };
    out.show(&checked, || text(&checked))?;
    Ok(if found { End::Found } else { End::Fine })
}

/// The functions' version against this command's own.
fn versions(functions: Option<&str>, own: &str) -> Check {
    const PART: &str = "versions";
    match functions {
        None => Check::new(
            PART,
            Verdict::Unknown,
            vec![format!("the functions don't say of which version they are, this command is of {own}: make deploy")],
        ),
        Some(version) if version == own => Check::fine(PART, format!("functions and command are of {own}")),
        Some(version) => Check::new(PART, Verdict::Warning, vec![crate::commands::other_version(version, own)]),
    }
}

async fn of_settings(account: &Account, role: &ServiceRole, settings: &Settings) -> Vec<Check> {
    let routing = async {
        match &settings.target_group {
            TargetGroup::Pair(selector) => account.routing(role, selector).await.map(Some),
            TargetGroup::None => Ok(None),
        }
    };
    let (resolved, hold, pipeline, rules, routing, names, alarms, topic) = tokio::join!(
        account.resolved(role),
        account.hold(role),
        pipeline(account, role, settings),
        rules::check(account, account.prefix(), role, settings),
        routing,
        names(account, role, settings),
        alarms(account, settings),
        topic(account, role, settings)
    );
    let (selectors, launch) = match &resolved {
        Ok(offer) => (
            Check::fine("selectors", "image, subnets, security groups and alarms are found"),
            launch::check(account, &offer.settings, routing.as_ref().ok().and_then(Option::as_ref)).await,
        ),
        Err(error) => (Check::failed("selectors", error), Check::skipped("launch", "selectors")),
    };
    let switches = switches(settings, routing);
    let leftovers = match hold {
        Ok(hold) => leftovers(account, role, hold).await,
        Err(error) => Check::failed("leftovers", &error),
    };
    let rules = if pipeline.verdict == Verdict::Error { Check::skipped(rules.part, pipeline.part) } else { rules };
    let mut checks = vec![selectors, pipeline, rules, switches, launch, names, alarms, topic];
    let first = checks.iter().find(|check| check.verdict == Verdict::Error).map(|check| check.part);
    checks.push(match first {
        Some(part) => Check::skipped("release", part),
        None => launch::release(account, role, settings).await,
    });
    checks.push(leftovers);
    checks
}

async fn pipeline(account: &Account, role: &ServiceRole, settings: &Settings) -> Check {
    const PART: &str = "pipeline";
    let Some(name) = &settings.pipeline else {
        return Check::new(PART, Verdict::Error, vec![format!("add PIPELINE to the settings of {role}")]);
    };
    match account.pipeline(name).await {
        Err(error) => Check::failed(PART, &error),
        Ok(found) => {
            let check = Check::judged(PART, format!("{name} releases it"), problems(role.as_str(), settings, &found));
            let frozen = found.stage_of(role.as_str()).and_then(|stage| stage.frozen.as_ref());
            match frozen.filter(|_| check.verdict == Verdict::Ok) {
                Some(frozen) => {
                    let says = format!("frozen: {}. `tagship unfreeze {role}` lets releases in", frozen.reason);
                    Check::new(PART, Verdict::Warning, vec![says])
                }
                None => check,
            }
        }
    }
}

/// What is wrong with the actions of the service's pipeline.
fn problems(role: &str, settings: &Settings, pipeline: &Pipeline) -> Vec<String> {
    let name = &pipeline.name;
    let Some(stage) = pipeline.stage_of(role) else {
        return vec![format!(
            "no action of {name} is for {role}: write it as serviceRole into the actions' UserParameters, or correct PIPELINE"
        )];
    };
    let last = if settings.pre_product { Action::Park } else { Action::Retire };
    let wanted = [Action::Provision, Action::Deploy, Action::Shift, last];
    let at = |wanted: Action| {
        stage.actions.iter().position(|act| match &act.does {
            Does::Invoke { service, action } => service == role && *action == Some(wanted),
            _ => false,
        })
    };
    let places: Vec<Option<usize>> = wanted.into_iter().map(at).collect();
    let mut problems: Vec<String> = wanted
        .iter()
        .zip(&places)
        .filter(|(_, place)| place.is_none())
        .map(|(action, _)| {
            format!("{name} has no action {action} for {role}: its {} function must be invoked with it", action.stage())
        })
        .collect();
    let placed: Vec<usize> = places.iter().flatten().copied().collect();
    if !placed.is_sorted() {
        problems
            .push(format!("{name} runs the actions of {role} in another order than provision, deploy, shift, {last}"));
    }
    let asked = |from: usize, to: usize| stage.actions[from..to].iter().any(|act| act.does == Does::Ask);
    if let (Some(shift), Some(end)) = (places[2], places[3])
        && shift < end
        && !asked(shift, end)
    {
        problems
            .push(format!("{name} asks nobody between shift and {last}: what is replaced would be removed at once"));
    }
    if pipeline.source().is_none() && settings.artifact.is_none() {
        problems.push(format!("{name} has no S3 source, and the settings no ARTIFACT: there is nothing to install"));
    }
    problems
}

fn switches(settings: &Settings, routing: Result<Option<Routing>, Error>) -> Check {
    const PART: &str = "switches";
    match routing {
        Err(error) => Check::failed(PART, &error),
        Ok(None) => Check::fine(PART, "TARGET_GROUP is none: reached by name only"),
        Ok(Some(routing)) => match pair::Pair::judge(&routing, &settings.target_group) {
            Ok(_) => Check::fine(PART, tagship::counted(routing.switches.len(), "switch") + " and a pair of groups"),
            Err(error) => Check::failed(PART, &error),
        },
    }
}

async fn names(account: &Account, role: &ServiceRole, settings: &Settings) -> Check {
    const PART: &str = "names";
    match &settings.zone {
        None => Check::fine(PART, "no ZONE: the candidate is reached by its addresses"),
        Some(zone) => match account.names(role, zone).await {
            Ok(_) => Check::fine(PART, format!("zone {zone} can be read")),
            Err(error) => Check::failed(PART, &error),
        },
    }
}

async fn alarms(account: &Account, settings: &Settings) -> Check {
    const PART: &str = "alarms";
    let alarms = match account.alarms(settings).await {
        Err(error) => return Check::failed(PART, &error),
        Ok(alarms) => alarms,
    };
    let of = |state: AlarmState| alarms.iter().filter(move |alarm| alarm.state == state).map(|alarm| &alarm.name);
    let missing: Vec<String> =
        of(AlarmState::Missing).map(|name| format!("there is no alarm {name}: correct ALARMS")).collect();
    let mut warnings: Vec<String> =
        of(AlarmState::Alarm).map(|name| format!("{name} rings: it counts once it has been OK")).collect();
    match account.alarm_delays(&alarms).await {
        Ok(delays) => warnings.extend(patience::too_short(settings, &delays)),
        Err(error) => return Check::failed(PART, &error),
    }
    match (missing.is_empty(), warnings.is_empty()) {
        (false, _) => Check::new(PART, Verdict::Error, missing),
        (true, false) => Check::new(PART, Verdict::Warning, warnings),
        (true, true) => Check::fine(PART, tagship::counted(alarms.len(), "alarm")),
    }
}

/// Whether people hear of a stage's end. A release goes on where they don't.
async fn topic(account: &Account, role: &ServiceRole, settings: &Settings) -> Check {
    const PART: &str = "topic";
    let Some(topic) = &settings.topic else {
        return Check::fine(PART, "no TOPIC: only the account's topic is told when a stage ends");
    };
    match account.may_tell(topic).await {
        Ok(true) => Check::fine(PART, format!("the functions may publish to {topic}")),
        Ok(false) => Check::new(
            PART,
            Verdict::Warning,
            vec![format!(
                "{topic} has no tag {TAG_SERVICE}, so the functions may not publish to it and nobody is told: aws sns \
                 tag-resource --resource-arn {topic} --tags Key={TAG_SERVICE},Value={role}"
            )],
        ),
        Err(error) => match Check::failed(PART, &error) {
            Check { verdict: Verdict::Error, says, .. } => Check::new(PART, Verdict::Warning, says),
            unseen => unseen,
        },
    }
}

/// What nobody owns: a hold whose execution has ended, instances of no release.
async fn leftovers(account: &Account, role: &ServiceRole, hold: Option<Hold>) -> Check {
    const PART: &str = "leftovers";
    let mut says = Vec::new();
    if let Some(hold) = &hold {
        match account.execution(&hold.pipeline, &hold.release).await {
            Ok(execution) if matches!(execution.state, ExecutionState::Running | ExecutionState::Stopping) => {}
            Ok(_) => says.push(format!(
                "release {} holds it, though its execution has ended: `tagship stop {role} -m WHY` ends that, if sweep \
                 doesn't within minutes",
                hold.release
            )),
            Err(error) if error.kind == Kind::Denied => return Check::failed(PART, &error),
            Err(error) => says.push(told(&error)),
        }
    }
    match account.instances(role).await {
        Err(error) => return Check::failed(PART, &error),
        Ok(instances) => {
            let untagged: BTreeSet<&str> = instances
                .iter()
                .filter(|instance| instance.alive() && instance.release.is_none())
                .map(|instance| instance.id.as_str())
                .collect();
            says.extend(untagged.iter().map(|id| {
                format!(
                    "instance {id} has the service's tag, but no {}: no release owns it. If nobody needs it: aws ec2 \
                     terminate-instances --instance-ids {id}",
                    tagship::TAG_RELEASE
                )
            }));
        }
    }
    if says.is_empty() { Check::fine(PART, "none") } else { Check::new(PART, Verdict::Warning, says) }
}

fn text(checked: &Checked) -> String {
    let mut text = format!("{}\n\n", checked.service);
    for check in &checked.checks {
        let verdict = match check.verdict {
            Verdict::Ok => "ok",
            Verdict::Error => "ERROR",
            Verdict::Warning => "warning",
            Verdict::Unknown => "unknown",
            Verdict::NotChecked => "not checked",
        };
        for (index, says) in check.says.iter().enumerate() {
            let (part, verdict) = if index == 0 { (check.part, verdict) } else { ("", "") };
            let _ = writeln!(text, "{part:13} {verdict:12} {says}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tagship::{Act, Stage};

    fn settings() -> Settings {
        let written = json!({
            "SUBNET": "subnet-a", "AMI": "ami-1", "INSTANCE_TYPE": "t3.micro", "SG": "sg-1", "INSTANCE_PROFILE": "web",
            "DEPLOY": {"VIA": "codedeploy", "APPLICATION": "web", "GROUP": "web"}, "COUNT": 1, "PIPELINE": "web",
        });
        let role = ServiceRole::try_from("WEB".to_owned()).expect("a role");
        Settings::parse(&role, &written.to_string()).expect("settings").settings
    }

    fn check(change: fn(&mut Vec<Act>), expected: &[&str]) {
        let act = |name: &str, does: Does| Act { name: name.to_owned(), does, last: None };
        let invoke =
            |action: Action| act(action.as_str(), Does::Invoke { service: "WEB".to_owned(), action: Some(action) });
        let mut actions = vec![
            act("Upload", Does::Fetch { bucket: "b".to_owned(), key: "k".to_owned() }),
            invoke(Action::Provision),
            invoke(Action::Deploy),
            act("Qa", Does::Ask),
            invoke(Action::Shift),
            act("Final", Does::Ask),
            invoke(Action::Retire),
        ];
        change(&mut actions);
        let stage = Stage { name: "Release".to_owned(), actions, ..Stage::default() };
        let found = problems("WEB", &settings(), &Pipeline { name: "web".to_owned(), stages: vec![stage] });
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found}");
        }
    }

    #[test]
    fn a_pipeline_s_actions_are_held_against_the_settings() {
        check(|_| (), &[]);
        check(|actions| drop(actions.remove(2)), &["no action deploy"]);
        check(|actions| drop(actions.remove(5)), &["asks nobody between shift and retire"]);
        check(|actions| drop(actions.remove(0)), &["no S3 source"]);
        check(|actions| actions.swap(1, 2), &["another order"]);
        check(|actions| actions.clear(), &["no action of web is for WEB"]);
    }
}
