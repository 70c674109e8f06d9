//! The pipelines: crates/testbed/emulator's engine, made from the very template that goes to AWS.

use crate::past::MINUTE;
use jiff::Timestamp;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use tagship::{Action, Execution, ExecutionState, Hold, Job, ReleaseId, Roster, ServiceRole};
use tagship_emulator::engine::{Engine, Ids};
use tagship_emulator::execution::Status;
use tagship_emulator::pipeline::{Id, Pipeline};
use tagship_emulator::rule::{On, Rule};
use tagship_emulator::template::{Stack, Template};

const TEMPLATE: &str = include_str!("../../../../infra/pipeline.yaml");

/// How long an approval waits.
pub const APPROVAL_MINUTES: i64 = 30;

/// How long an approval waits, in milliseconds.
pub const APPROVAL: i64 = APPROVAL_MINUTES * MINUTE;

/// A pipeline and its rules, as the template says.
#[derive(Debug)]
pub struct Blueprint {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// The event rules.
    pub rules: Vec<Rule>,
}

/// Product, pre-product, whether QUEUED.
type Key = (ServiceRole, Option<ServiceRole>, bool);

thread_local! {
    static READ: RefCell<BTreeMap<Key, Rc<Blueprint>>> = const { RefCell::new(BTreeMap::new()) };
}

impl Blueprint {
    /// Reads the template for a service; once a thread.
    pub fn of(role: &ServiceRole, pre: Option<&ServiceRole>, queued: bool) -> Rc<Self> {
        let key = (role.clone(), pre.cloned(), queued);
        READ.with_borrow_mut(|read| read.entry(key).or_insert_with(|| Rc::new(Self::read(role, pre, queued))).clone())
    }

    fn read(role: &ServiceRole, pre: Option<&ServiceRole>, queued: bool) -> Self {
        let parameters = [
            ("PipelineName", pipeline_name(role)),
            ("ServiceRole", role.to_string()),
            ("PreProductServiceRole", pre.map(ToString::to_string).unwrap_or_default()),
            ("ExecutionMode", if queued { "QUEUED" } else { "SUPERSEDED" }.to_owned()),
            ("ApprovalMinutes", APPROVAL_MINUTES.to_string()),
        ];
        let stack = Stack {
            name: pipeline_name(role),
            account: "123456789012".into(),
            region: "eu-west-1".into(),
            parameters: parameters.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            ..Stack::default()
        };
        let template = Template::read(TEMPLATE, stack).expect("infra/pipeline.yaml can be read");
        let pipeline = template.pipelines().expect("it has a pipeline").remove(0);
        let rules = template.rules().expect("it has rules");
        Self { pipeline, rules }
    }

    /// The jobs that an event leads to.
    pub fn jobs(&self, event: &Value) -> Vec<Job> {
        let matching =
            self.rules.iter().filter(|rule| matches!(&rule.on, On::Event(pattern) if pattern.matches(event)));
        let inputs = matching.flat_map(|rule| {
            let functions = rule.targets.iter().filter(|target| target.arn.contains(":lambda:"));
            functions.map(|target| target.input.of(event, rule))
        });
        inputs
            .filter_map(|input| {
                let input: Value = serde_json::from_str(&input).ok()?;
                job(input.get("tagship")?, None)
            })
            .collect()
    }
}

/// A service's pipeline.
pub fn pipeline_name(role: &ServiceRole) -> String {
    role.label()
}

/// A job from its parameters; `function` says the action where they don't.
pub fn job(parameters: &Value, function: Option<&str>) -> Option<Job> {
    let text = |key: &str| parameters.get(key).and_then(Value::as_str).map(str::to_owned);
    let action = match text("action") {
        Some(action) => serde_json::from_value(Value::String(action)).ok()?,
        None if function?.ends_with("provision") => Action::Provision,
        None if function?.ends_with("deploy") => Action::Deploy,
        None => return None,
    };
    Some(Job {
        role: ServiceRole::try_from(text("serviceRole")?).ok()?,
        release: ReleaseId::try_from(text("release")?).ok()?,
        pipeline: text("pipeline")?,
        action,
        input: None,
    })
}

/// How CodePipeline says that a release's execution stands.
pub fn execution(engine: Option<&Engine<Serial>>, release: &ReleaseId) -> Execution {
    match engine.and_then(|engine| engine.execution(release.as_str())) {
        Some(execution) => Execution {
            state: match execution.status {
                Status::InProgress => ExecutionState::Running,
                Status::Stopping => ExecutionState::Stopping,
                Status::Succeeded => ExecutionState::Succeeded,
                _ => ExecutionState::Ended,
            },
            // Who asks by the id isn't told when it was touched last, while it runs.
            updated_at: execution.status.ended().then_some(execution.updated),
            build: None,
        },
        None => Execution { state: ExecutionState::NotFound, updated_at: None, build: None },
    }
}

/// A service's pipeline at work.
#[derive(Debug)]
pub struct Pipe {
    /// CodePipeline.
    pub engine: Engine<Serial>,
    /// What it was made from.
    pub blueprint: Rc<Blueprint>,
    /// Its name.
    pub name: String,
    /// Which of the plan's releases an execution is.
    pub releases: BTreeMap<Id, usize>,
    /// Releases of the plan that have been uploaded.
    pub uploaded: usize,
}

/// A sweep of one hold.
pub fn sweep(role: &ServiceRole, hold: &Hold) -> Job {
    let (release, pipeline) = (hold.release.clone(), hold.pipeline.clone());
    Job { role: role.clone(), release, pipeline, action: Action::Sweep, input: None }
}

/// A sweep's count of a live fleet.
pub fn count(role: &ServiceRole, roster: &Roster) -> Job {
    let (release, pipeline) = (roster.release.clone(), roster.pipeline.clone());
    Job { role: role.clone(), release, pipeline, action: Action::Sweep, input: None }
}

/// A look of guard at one hold.
pub fn guard(role: &ServiceRole, hold: &Hold) -> Job {
    Job { action: Action::Guard, ..sweep(role, hold) }
}

/// How CodePipeline says that an execution of a pipeline stands.
pub fn stands(pipes: &[Pipe], pipeline: &str, release: &ReleaseId) -> Execution {
    let pipe = pipes.iter().find(|pipe| pipe.name == pipeline);
    execution(pipe.map(|pipe| &pipe.engine), release)
}

/// When a release's execution changed last, as nobody is told who asks while it runs.
pub fn changed(pipes: &[Pipe], pipeline: &str, release: &ReleaseId) -> Option<Timestamp> {
    let pipe = pipes.iter().find(|pipe| pipe.name == pipeline)?;
    Some(pipe.engine.execution(release.as_str())?.updated)
}

/// Ids of executions, jobs and so on: short, and told apart by their first eight characters.
#[derive(Debug)]
pub struct Serial {
    /// The pipeline's number.
    pub of: usize,
    /// The last one given.
    pub last: u32,
}

impl Ids for Serial {
    fn next(&mut self) -> Id {
        self.last += 1;
        format!("{:03}-{:04}", self.of, self.last).into()
    }
}
