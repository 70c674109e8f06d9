//! What an invocation asks for: a CodePipeline job or a direct invocation, checked at the door.

mod died;

pub use died::Died;

use crate::model::words::{counted, quoted, unquoted};
use crate::settings::literal::{self, Literal, twice_encoded};
use crate::{Action, Artifact, Error, Job, ReleaseId, ServiceRole, StageName, settings};
use aws_lambda_events::event::codepipeline_job::{CodePipelineInputArtifact, CodePipelineJobEvent};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The key of a direct invocation's event.
const DIRECT: &str = "tagship";
/// The key of a CodePipeline job's event.
const JOB: &str = "CodePipeline.job";
/// The keys of the parameters.
const KEYS: [&str; 5] = ["serviceRole", "release", "pipeline", "action", "alarm"];
/// What a value is that still names a variable.
const UNRESOLVED: &str = "is a variable that CodePipeline has not resolved: correct its namespace and name (in a \
                          pipeline's action), or write the value itself (anywhere else)";
/// CodePipeline's limit of UserParameters, in characters.
const MAX_PARAMETERS: usize = 1_000;

/// One invocation of a function: who asks, and for what. Credentials of the event are dropped.
#[derive(Debug, Clone, PartialEq)]
pub struct Invocation {
    /// Who is told how it ends.
    pub caller: Caller,
    /// What is asked for, or why it can't be: that too is reported to the caller.
    pub request: Result<Request, Box<Refused>>,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// CodePipeline: it is told success or failure of this job, always.
    Pipeline {
        /// The job's id: a new one for each continuation.
        job_id: String,
        /// The token that the invocation before handed over.
        continuation: Option<String>,
    },
    /// EventBridge, a command line: the answer is the function's own.
    Direct,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// An action on a release. The pipeline is empty where a direct invocation doesn't say it.
    Release(Job),
    /// Find holds that nobody ended, of every service.
    Sweep,
    /// Tell of another function's invocation that Lambda has given up. Its caller is this one's.
    Died(Box<Died>),
    /// Give the traffic back of every open release that something speaks against.
    Guard(Occasion),
}

/// Why guard looks, and so at which releases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Occasion {
    /// This alarm has changed.
    Alarm(String),
    /// An execution of this pipeline is being stopped.
    Stop(String),
    /// A minute has passed: events get lost.
    Minute,
}

/// Parameters that can't be acted on, and what of them could be read: for the failure's event.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    /// All that is wrong.
    pub error: Error,
    /// The service, if it could be read.
    pub role: Option<ServiceRole>,
    /// The release, if it could be read.
    pub release: Option<ReleaseId>,
    /// The pipeline, if it could be read.
    pub pipeline: Option<String>,
    /// The action, if it could be read; the function's default if none was given.
    pub action: Option<Action>,
}

impl Invocation {
    /// Reads the event of a function. An error is for Lambda: nobody else could be told, so no AWS call is made.
    pub fn parse(stage: StageName, mut event: Value) -> Result<Self, Error> {
        if let Some(given_up) = died::read(stage, &mut event) {
            return given_up;
        }
        let job_id = event[JOB]["id"].as_str().filter(|id| !id.is_empty()).map(str::to_owned);
        if let Some(job_id) = job_id {
            let data = event[JOB]["data"].take();
            let continuation = data["continuationToken"].as_str().filter(|token| !token.is_empty()).map(str::to_owned);
            return Ok(Self {
                caller: Caller::Pipeline { job_id, continuation },
                request: job_parameters(data)
                    .and_then(|(text, input)| Parameters::of_job(stage, &text)?.request(input)),
            });
        }
        match event.get_mut(DIRECT).map(Value::take) {
            Some(Value::Object(given)) => Ok(Self {
                caller: Caller::Direct,
                request: Parameters::read(stage, given.into_iter().map(|(key, value)| (key, value.into())).collect())
                    .direct()
                    .request(Vec::new()),
            }),
            _ => Err(Error::configuration(format!(
                "the event is no CodePipeline job (no {JOB}.id) and no direct invocation ({{\"{DIRECT}\": {{…}}}}): \
                 nothing was done"
            ))),
        }
    }
}

/// UserParameters and input artifacts of a job. What AWS may leave out is filled in; credentials aren't read.
fn job_parameters(mut data: Value) -> Result<(String, Vec<Artifact>), Box<Refused>> {
    let malformed = |problem: String| Refused::nameless(Error::configuration(format!("the job's event: {problem}")));
    let Some(fields) = data.as_object_mut() else {
        return Err(malformed("it has no data".to_owned()));
    };
    fields.insert("artifactCredentials".to_owned(), json!({}));
    fields.insert("outputArtifacts".to_owned(), json!([]));
    for (key, empty) in [("inputArtifacts", json!([])), ("actionConfiguration", json!({"configuration": {}}))] {
        let field = fields.entry(key).or_insert(Value::Null);
        if field.is_null() {
            *field = empty;
        }
    }
    let event: CodePipelineJobEvent =
        serde_json::from_value(json!({ JOB: { "data": data } })).map_err(|error| malformed(error.to_string()))?;
    let data = event.code_pipeline_job.data;
    let inputs = data.input_artifacts.into_iter().map(artifact).collect::<Result<_, _>>().map_err(malformed)?;
    let text = data.action_configuration.configuration.user_parameters.unwrap_or_default();
    Ok((text, inputs))
}

/// The revision is the source's, not a version of this object: it isn't carried over.
fn artifact(input: CodePipelineInputArtifact) -> Result<Artifact, String> {
    match (input.location.s3_location.bucket_name, input.location.s3_location.object_key) {
        (Some(bucket), Some(key)) => Ok(Artifact { bucket, key, version: None, etag: None }),
        _ => Err(format!("input artifact {:?} has no bucket or no key", input.name.unwrap_or_default())),
    }
}

/// The parameters as far as they could be read, and all that is wrong with them.
struct Parameters {
    stage: StageName,
    role: Option<ServiceRole>,
    release: Option<ReleaseId>,
    pipeline: Option<String>,
    action: Option<Action>,
    alarm: Option<String>,
    problems: Vec<String>,
}

impl Parameters {
    fn of_job(stage: StageName, text: &str) -> Result<Self, Box<Refused>> {
        const SHAPE: &str =
            r##"{"serviceRole": "…", "release": "#{codepipeline.PipelineExecutionId}", "pipeline": "…"}"##;
        let refuse = |problem: String| {
            Err(Refused::nameless(Error::configuration(format!(
                "the action's UserParameters {problem}: write {SHAPE}"
            ))))
        };
        let length = text.chars().count();
        if length > MAX_PARAMETERS {
            return refuse(format!("have {length} characters, {MAX_PARAMETERS} are allowed"));
        }
        if text.trim().is_empty() {
            return refuse("are missing".to_owned());
        }
        match literal::json(text) {
            Ok(Literal::Dict(given)) => {
                let mut parameters = Self::read(stage, given);
                if parameters.pipeline.is_none() && !matches!(parameters.action, Some(Action::Sweep | Action::Guard)) {
                    parameters.missing("pipeline", "the pipeline's name");
                }
                Ok(parameters)
            }
            Ok(Literal::Text(inside)) if twice_encoded(&inside) => {
                refuse("are JSON that is encoded twice, a string that holds the object".to_owned())
            }
            Ok(_) => refuse("are no JSON object".to_owned()),
            Err(error) => refuse(format!("are no JSON ({error})")),
        }
    }

    fn read(stage: StageName, given: Vec<(String, Literal)>) -> Self {
        let mut problems = Vec::new();
        let mut seen = BTreeSet::new();
        for (key, _) in &given {
            if !seen.insert(key.as_str()) {
                problems.push(format!("{}: given twice: write it once", unquoted(key)));
            }
        }
        let mut text = |key: &str| match &given.iter().find(|(given, _)| given == key)?.1 {
            // Accepted as text, it would be looked for as a pipeline of that name.
            Literal::Text(text) if text.contains("#{") => {
                problems.push(format!("{key}: {} {UNRESOLVED}", quoted(text)));
                None
            }
            Literal::Text(text) if !text.trim().is_empty() => Some(text.clone()),
            _ => {
                problems.push(format!("{key}: write text"));
                None
            }
        };
        let (role, release, pipeline, action) =
            (text("serviceRole"), text("release"), text("pipeline"), text("action"));
        let alarm = text("alarm");
        let accepted = stage.actions().iter().map(|action| action.as_str()).collect::<Vec<_>>().join(", ");
        let action = match action {
            None => stage.actions().first().copied(),
            Some(name) => {
                let action = stage.actions().iter().copied().find(|action| action.as_str() == name);
                if action.is_none() {
                    problems.push(format!("action: {} is none of {stage}'s, which are {accepted}", quoted(&name)));
                }
                action
            }
        };
        let role =
            role.and_then(|role| role.try_into().map_err(|error| problems.push(format!("serviceRole: {error}"))).ok());
        let release =
            release.and_then(|id| id.try_into().map_err(|error| problems.push(format!("release: {error}"))).ok());
        let absent = || KEYS.into_iter().filter(|key| !seen.contains(key));
        for key in seen.iter().filter(|key| !KEYS.contains(key)) {
            let meant = settings::closest(key, absent()).map(|key| format!(", write {key}")).unwrap_or_default();
            let keys = KEYS.join(", ");
            problems.push(format!("{}: no such key{meant}; the keys are {keys}", unquoted(key)));
        }
        if alarm.is_some() && action != Some(Action::Guard) {
            problems.push("alarm: only guard takes one".to_owned());
        }
        if alarm.is_some() && pipeline.is_some() && role.is_none() && release.is_none() {
            problems.push("alarm, pipeline: write one of them".to_owned());
        }
        Self { stage, role, release, pipeline, action, alarm, problems }
    }

    /// A direct invocation need not name its pipeline, but provision writes it into the hold.
    fn direct(mut self) -> Self {
        if self.pipeline.is_none() && self.action == Some(Action::Provision) {
            self.missing("pipeline", "the pipeline's name");
        }
        self
    }

    /// A key that is there, but wrong, has its problem already.
    fn missing(&mut self, key: &str, what: &str) {
        if !self.problems.iter().any(|problem| problem.starts_with(&format!("{key}:"))) {
            self.problems.push(format!("{key}: missing, write {what}"));
        }
    }

    fn request(mut self, mut inputs: Vec<Artifact>) -> Result<Request, Box<Refused>> {
        let every = match self.action {
            Some(Action::Sweep) => true,
            Some(Action::Guard) => self.role.is_none() && self.release.is_none(),
            _ => false,
        };
        if !every {
            if self.role.is_none() {
                self.missing("serviceRole", "the service's name, that of its settings variable");
            }
            if self.release.is_none() {
                self.missing("release", "#{codepipeline.PipelineExecutionId}");
            }
        }
        if self.stage == StageName::Deploy && inputs.len() > 1 {
            let found = counted(inputs.len(), "input artifact");
            self.problems.push(format!("the action has {found}: give it one"));
        }
        let (role, release, action) = match (self.action, &self.role, &self.release) {
            (Some(Action::Sweep), ..) if self.problems.is_empty() => return Ok(Request::Sweep),
            (Some(Action::Guard), ..) if every && self.problems.is_empty() => {
                return Ok(Request::Guard(match (self.alarm, self.pipeline) {
                    (Some(alarm), _) => Occasion::Alarm(alarm),
                    (None, Some(pipeline)) => Occasion::Stop(pipeline),
                    (None, None) => Occasion::Minute,
                }));
            }
            (Some(action), Some(role), Some(release)) if self.problems.is_empty() => {
                (role.clone(), release.clone(), action)
            }
            _ => {
                let heading = format!("the parameters of the {} action are wrong", self.stage);
                return Err(Box::new(Refused {
                    error: Error::problems(heading, &self.problems),
                    role: self.role,
                    release: self.release,
                    pipeline: self.pipeline,
                    action: self.action,
                }));
            }
        };
        let input = if inputs.is_empty() { None } else { Some(inputs.swap_remove(0)) };
        Ok(Request::Release(Job { role, release, pipeline: self.pipeline.unwrap_or_default(), action, input }))
    }
}

impl Refused {
    fn nameless(error: Error) -> Box<Self> {
        Box::new(Self { error, role: None, release: None, pipeline: None, action: None })
    }
}

#[cfg(test)]
mod tests;
