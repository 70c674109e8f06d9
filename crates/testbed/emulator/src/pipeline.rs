//! A pipeline as infra/pipeline.yaml describes it: stages, actions, configuration.

use crate::template::{Template, TemplateError, scalar};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// A name or id: shared by everything that speaks of it.
pub type Id = Arc<str>;

/// A pipeline, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// Its name.
    pub name: Id,
    /// What happens to an execution that waits for a stage.
    pub mode: Mode,
    /// The bucket that artifacts are passed on in.
    pub artifact_bucket: String,
    /// The stages, in order; the first has the sources.
    pub stages: Vec<Stage>,
}

/// What happens to an execution that waits for a stage when the next one comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is superseded.
    Superseded,
    /// Both wait in turn.
    Queued,
}

impl Mode {
    /// AWS's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Superseded => "SUPERSEDED",
            Self::Queued => "QUEUED",
        }
    }
}

/// One stage: one execution at a time is inside.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// Its name.
    pub name: Id,
    /// Its actions, in the template's order.
    pub actions: Vec<Action>,
}

/// One action of a stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    /// Its name, unique in the stage.
    pub name: Id,
    /// Actions of a lower number run before; of the same, at the same time.
    pub run_order: u32,
    /// What it does.
    pub kind: Kind,
    /// The configuration, variables unresolved.
    pub configuration: BTreeMap<String, String>,
    /// Where its output variables are found.
    pub namespace: Option<String>,
    /// Input artifacts' names.
    pub inputs: Vec<String>,
    /// Output artifacts' names.
    pub outputs: Vec<String>,
    /// When it fails for lack of an answer; approvals only.
    pub timeout: Option<Duration>,
}

/// What an action does. Others that CodePipeline has are not run here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Takes a version of an S3 object.
    S3Source,
    /// Invokes a Lambda function.
    Lambda,
    /// Waits for a person.
    Approval,
}

impl Kind {
    /// AWS's category and provider; the owner is `AWS` and the version `1`, always.
    pub fn category_and_provider(self) -> (&'static str, &'static str) {
        match self {
            Self::S3Source => ("Source", "S3"),
            Self::Lambda => ("Invoke", "Lambda"),
            Self::Approval => ("Approval", "Manual"),
        }
    }
}

/// CodePipeline's bound on `UserParameters` and `CustomData`, in characters.
const CONFIGURATION_CHARS_MAX: usize = 1_000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RawPipeline {
    name: Option<String>,
    pipeline_type: Option<String>,
    execution_mode: Option<String>,
    artifact_store: RawStore,
    stages: Vec<RawStage>,
    #[serde(rename = "RoleArn")]
    _role_arn: Option<Value>,
    #[serde(rename = "RestartExecutionOnUpdate")]
    _restart: Option<Value>,
    #[serde(rename = "Tags")]
    _tags: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawStore {
    location: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RawStage {
    name: String,
    actions: Vec<RawAction>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RawAction {
    name: String,
    action_type_id: RawType,
    #[serde(default, deserialize_with = "number")]
    run_order: Option<u32>,
    #[serde(default)]
    configuration: BTreeMap<String, Value>,
    namespace: Option<String>,
    #[serde(default)]
    input_artifacts: Vec<RawArtifact>,
    #[serde(default)]
    output_artifacts: Vec<RawArtifact>,
    #[serde(default, deserialize_with = "number")]
    timeout_in_minutes: Option<u32>,
    #[serde(rename = "RoleArn")]
    _role_arn: Option<Value>,
    #[serde(rename = "Region")]
    _region: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RawType {
    category: String,
    owner: String,
    provider: String,
    version: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RawArtifact {
    name: String,
}

/// A number that a parameter may have made a text of.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    match scalar(&value).and_then(|text| text.parse().ok()) {
        Some(number) => Ok(Some(number)),
        None => Err(serde::de::Error::custom(format!("{value} is not a number"))),
    }
}

impl Template {
    /// The pipelines that the template makes.
    pub fn pipelines(&self) -> Result<Vec<Pipeline>, TemplateError> {
        let read = |(id, properties): (String, Value)| {
            let fails = |problem: String| TemplateError { at: format!("Resources.{id}"), problem };
            let raw: RawPipeline = serde_json::from_value(properties).map_err(|error| fails(error.to_string()))?;
            let fallback = format!("{}-{id}", self.stack().name);
            pipeline(raw, fallback).map_err(fails)
        };
        self.resources("AWS::CodePipeline::Pipeline")?.into_iter().map(read).collect()
    }
}

fn pipeline(raw: RawPipeline, fallback: String) -> Result<Pipeline, String> {
    let mode = match (raw.execution_mode.as_deref(), raw.pipeline_type.as_deref()) {
        (None | Some("SUPERSEDED"), _) => Mode::Superseded,
        (Some("QUEUED"), Some("V2")) => Mode::Queued,
        (Some(mode), _) => {
            return Err(format!("ExecutionMode {mode}: takes SUPERSEDED, or QUEUED with PipelineType V2"));
        }
    };
    let mut stages = Vec::new();
    for (index, raw) in raw.stages.into_iter().enumerate() {
        let mut names = BTreeSet::new();
        let mut actions = Vec::new();
        for raw in raw.actions {
            let action = action(raw)?;
            if !names.insert(action.name.clone()) {
                return Err(format!("two actions are called {}", action.name));
            }
            if (action.kind == Kind::S3Source) != (index == 0) {
                return Err(format!("{}: sources are the first stage, alone", action.name));
            }
            actions.push(action);
        }
        if actions.is_empty() {
            return Err(format!("stage {} has no action", raw.name));
        }
        stages.push(Stage { name: raw.name.into(), actions });
    }
    if stages.len() < 2 {
        return Err("a pipeline has two stages at least".into());
    }
    let name = raw.name.unwrap_or(fallback).into();
    Ok(Pipeline { name, mode, artifact_bucket: raw.artifact_store.location, stages })
}

fn action(raw: RawAction) -> Result<Action, String> {
    let name = raw.name;
    let RawType { category, owner, provider, version } = raw.action_type_id;
    let known = [Kind::S3Source, Kind::Lambda, Kind::Approval].into_iter();
    let kind = known
        .filter(|_| owner == "AWS" && scalar(&version).as_deref() == Some("1"))
        .find(|kind| kind.category_and_provider() == (&*category, &*provider));
    let Some(kind) = kind else {
        return Err(format!("{name}: {category} by {owner} {provider} is not run here"));
    };
    let mut configuration = BTreeMap::new();
    for (key, value) in raw.configuration {
        let Some(value) = scalar(&value) else {
            return Err(format!("{name}: {key} is not a text"));
        };
        let chars = value.chars().count();
        if chars > CONFIGURATION_CHARS_MAX {
            return Err(format!("{name}: {key} has {chars} characters of at most 1,000"));
        }
        configuration.insert(key, value);
    }
    let required: &[&str] = match kind {
        Kind::S3Source => &["S3Bucket", "S3ObjectKey"],
        Kind::Lambda => &["FunctionName"],
        Kind::Approval => &[],
    };
    if let Some(missing) = required.iter().find(|key| !configuration.contains_key(**key)) {
        return Err(format!("{name}: {missing} is missing"));
    }
    let timeout = match (kind, raw.timeout_in_minutes) {
        (_, None) => None,
        (Kind::Approval, Some(minutes @ 5..=86_400)) => Some(Duration::from_secs(u64::from(minutes) * 60)),
        (Kind::Approval, Some(_)) => {
            return Err(format!("{name}: TimeoutInMinutes is between 5 and 86,400"));
        }
        _ => return Err(format!("{name}: only approvals take TimeoutInMinutes")),
    };
    let run_order = raw.run_order.unwrap_or(1);
    if !(1..=999).contains(&run_order) {
        return Err(format!("{name}: RunOrder is between 1 and 999"));
    }
    let names = |list: Vec<RawArtifact>| list.into_iter().map(|it| it.name).collect();
    Ok(Action {
        name: name.into(),
        run_order,
        kind,
        configuration,
        namespace: raw.namespace,
        inputs: names(raw.input_artifacts),
        outputs: names(raw.output_artifacts),
        timeout,
    })
}
