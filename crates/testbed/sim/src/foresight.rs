//! What the core plans for a release as it begins, beside what the release then does.

use crate::cloud::Cloud;
use crate::pipes::{Blueprint, execution};
use std::collections::{BTreeMap, BTreeSet};
use tagship::plan::{Known, planned};
use tagship::{Act, Action, Does, Job, NameChange, Parts, Pipeline, ReleaseId, ServiceRole, Stage, Step};
use tagship_emulator::pipeline::Kind;

/// The steps of a release, with the action that makes each.
pub type Steps = Vec<(Action, Step)>;

/// The plans of a day, and what came of them.
#[derive(Debug, Default)]
pub struct Foresight {
    /// What was planned for releases that began while nobody held the service.
    pub planned: BTreeMap<(ServiceRole, ReleaseId), Steps>,
    /// What each release has done.
    pub made: BTreeMap<(ServiceRole, ReleaseId), Steps>,
}

/// How a plan and what came of it compare.
#[derive(Debug, PartialEq, Eq)]
pub enum Compared {
    /// They are the same from the first to the last step.
    Same,
    /// The release ended early; it had done what was planned.
    Shorter,
    /// They differ: what was planned, and what was done, from there on.
    Different(Vec<String>, Vec<String>),
}

impl Foresight {
    /// Plans a release that is about to begin, if nobody holds its service.
    pub fn plan(&mut self, cloud: &mut Cloud, job: &Job, blueprint: &Blueprint) {
        let holding = cloud.holding(&job.role, &job.release);
        let Some(service) = cloud.services.get(&job.role) else { return };
        if holding.held.is_some() {
            return;
        }
        let settings = service.settings.clone();
        let look = (Parts::ALL.without(Parts::HOLDER), Some(&settings));
        let Ok(world) = cloud.observe(job, look, &holding, |_, release| execution(None, release)) else { return };
        let known = Known { now: world.now, world, pipeline: pipeline(blueprint), ..Known::default() };
        if let Some((_, steps)) = planned(&job.role, &job.release, known) {
            self.planned.insert((job.role.clone(), job.release.clone()), steps);
        }
    }

    /// Each plan beside what came of it.
    pub fn compared(&self) -> Vec<(String, Compared)> {
        let each = |(key, planned): (&(ServiceRole, ReleaseId), &Steps)| {
            let made = self.made.get(key).map(Vec::as_slice).unwrap_or_default();
            (format!("{} {}", key.0, key.1), compare(planned, made))
        };
        self.planned.iter().map(each).collect()
    }
}

fn compare(planned: &[(Action, Step)], made: &[(Action, Step)]) -> Compared {
    // What takes a release back is another plan.
    let forward = |(action, step): &&(Action, Step)| {
        let back = matches!(step, Step::WriteHold { hold, .. } if hold.back.is_some());
        let known =
            matches!(action, Action::Provision | Action::Deploy | Action::Shift | Action::Retire | Action::Park);
        known && !back
    };
    let (planned, made) = (told(planned.iter()), told(made.iter().take_while(forward)));
    if planned == made {
        return Compared::Same;
    }
    let alike = planned.iter().zip(&made).take_while(|(planned, made)| planned == made).count();
    if alike == made.len() {
        return Compared::Shorter;
    }
    Compared::Different(planned[alike..].to_vec(), made[alike..].to_vec())
}

/// Steps in words that don't depend on the time, nor on ids that were given on the way. How often a hook wants to be called
/// nobody knows before: its first call stands for all, with what is written of them.
fn told<'a>(steps: impl Iterator<Item = &'a (Action, Step)>) -> Vec<String> {
    let mut ids = BTreeMap::new();
    let (mut called, mut held) = (BTreeSet::new(), String::new());
    let known = steps.filter_map(|(action, step)| {
        let line = format!("{action}: {}", renamed(&shape(step), &mut ids));
        let again = match step {
            Step::CallHook(_) => !called.insert(line.clone()),
            Step::WriteHold { .. } => std::mem::replace(&mut held, line.clone()) == line,
            _ => false,
        };
        (!again).then_some(line)
    });
    known.collect()
}

fn shape(step: &Step) -> String {
    match step {
        Step::WriteHold { hold, etag } => {
            let split = hold.split.as_ref().map(|it| (it.step, &it.from, it.to, it.since.is_some()));
            format!(
                "hold {}, new {}: {:?}, artifact {:?}, group {:?}, previous {:?}, split {split:?}, back {}, moved {}",
                hold.release,
                etag.is_none(),
                hold.phase,
                hold.artifact,
                hold.group,
                hold.previous,
                hold.back.is_some(),
                hold.moved_at.is_some()
            )
        }
        Step::ChangeNames { changes, .. } => {
            let change = |change: &NameChange| match change {
                NameChange::Upsert(record) => format!("+{}×{}", record.name, record.values.len()),
                NameChange::Delete(record) => format!("-{}×{}", record.name, record.values.len()),
            };
            changes.iter().map(change).collect::<Vec<_>>().join(", ")
        }
        step => step.to_string(),
    }
}

/// With the ids of instances and addresses by the order in which they appear.
fn renamed(text: &str, ids: &mut BTreeMap<String, usize>) -> String {
    let words = text.split_inclusive(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    words
        .map(|word| {
            let id = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            if !(id.starts_with("i-") || id.starts_with("eipalloc-")) {
                return word.to_owned();
            }
            let next = ids.len();
            let n = *ids.entry(id.to_owned()).or_insert(next);
            word.replace(id, &format!("#{n}"))
        })
        .collect()
}

/// The pipeline as CodePipeline describes it.
fn pipeline(blueprint: &Blueprint) -> Pipeline {
    let of = &blueprint.pipeline;
    let stage = |stage: &tagship_emulator::pipeline::Stage| {
        let mut actions: Vec<&tagship_emulator::pipeline::Action> = stage.actions.iter().collect();
        actions.sort_by_key(|action| action.run_order);
        let act = |action: &&tagship_emulator::pipeline::Action| Act {
            name: action.name.to_string(),
            does: match action.kind {
                Kind::S3Source => Does::Fetch { bucket: "releases".to_owned(), key: "app".to_owned() },
                Kind::Approval => Does::Ask,
                Kind::Lambda => invoked(&action.configuration),
            },
            last: None,
        };
        Stage { name: stage.name.to_string(), actions: actions.iter().map(act).collect(), ..Stage::default() }
    };
    Pipeline { name: of.name.to_string(), stages: of.stages.iter().map(stage).collect() }
}

/// What the parameters say; variables in them aren't resolved.
fn invoked(configuration: &BTreeMap<String, String>) -> Does {
    let text = configuration.get("UserParameters").map_or("", String::as_str);
    let parameters: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let function = configuration.get("FunctionName").map_or("", String::as_str);
    let Some(service) = parameters["serviceRole"].as_str() else { return Does::Other };
    let default = match () {
        () if function.ends_with("provision") => Some(Action::Provision),
        () if function.ends_with("deploy") => Some(Action::Deploy),
        () => None,
    };
    let action = serde_json::from_value(parameters["action"].clone()).ok().or(default);
    Does::Invoke { service: service.to_owned(), action }
}
