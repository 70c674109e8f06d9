//! Turns the words of a story into the engine's inputs, and its effects into words.

use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;
use tagship_emulator::change::Subject;
use tagship_emulator::effect::{Approval, Effect, Job};
use tagship_emulator::engine::{Engine, Timings};
use tagship_emulator::execution::{Artifact, Override, Revision, Trigger};
use tagship_emulator::pipeline::Id;
use tagship_emulator::report::{Failure, Success};
use tagship_emulator::template::{Stack, Template};

const PIPELINE: &str = r##"
Parameters: {Mode: {Type: String}}
Resources:
  Pipeline:
    Type: AWS::CodePipeline::Pipeline
    Properties:
      Name: web
      PipelineType: V2
      ExecutionMode: !Ref Mode
      ArtifactStore: {Type: S3, Location: artifacts}
      Stages:
        - Name: Source
          Actions:
            - Name: Upload
              ActionTypeId: {Category: Source, Owner: AWS, Provider: S3, Version: '1'}
              Configuration: {S3Bucket: uploads, S3ObjectKey: web.zip, PollForSourceChanges: false}
              OutputArtifacts: [{Name: App}]
              Namespace: Source
        - Name: Release
          Actions:
            - Name: Provision
              ActionTypeId: &lambda {Category: Invoke, Owner: AWS, Provider: Lambda, Version: '1'}
              RunOrder: 1
              Namespace: Fleet
              InputArtifacts: [{Name: App}]
              Configuration: {FunctionName: provision, UserParameters: '#{codepipeline.PipelineExecutionId} #{Source.VersionId}'}
            - Name: Check
              ActionTypeId: *lambda
              RunOrder: 1
              Configuration: {FunctionName: check}
            - Name: Approve
              ActionTypeId: {Category: Approval, Owner: AWS, Provider: Manual, Version: '1'}
              RunOrder: 2
              TimeoutInMinutes: 60
              Configuration: {CustomData: 'look at #{Fleet.Name}'}
            - Name: Route
              ActionTypeId: *lambda
              RunOrder: 3
              Configuration: {FunctionName: route}
"##;

/// A stage that follows, for the stories that need one.
const REPORT: &str = "        - Name: Report
          Actions:
            - Name: Report
              ActionTypeId: *lambda
              Configuration: {FunctionName: report}
";

/// Tells what the engine does.
pub(crate) struct Teller<I> {
    pub(crate) engine: Engine<I>,
    now: Timestamp,
    executions: Vec<Id>,
    /// The latest job of each action, by function (or `Upload`), and all before it.
    jobs: BTreeMap<String, Vec<Id>>,
    approvals: Vec<Approval>,
}

/// A teller of [`PIPELINE`] in the mode; `SUPERSEDED, Report` has [`REPORT`] as well.
pub(crate) fn teller(mode: &str) -> Teller<impl FnMut() -> Id> {
    let (mode, text) = match mode.strip_suffix(", Report") {
        Some(mode) => (mode, format!("{PIPELINE}{REPORT}")),
        None => (mode, PIPELINE.to_owned()),
    };
    let parameters = BTreeMap::from([("Mode".to_owned(), mode.to_owned())]);
    let template = Template::read(&text, Stack { parameters, ..Stack::default() });
    let pipeline = template.and_then(|it| it.pipelines()).expect("a pipeline").remove(0);
    let mut count = 0;
    let ids = move || {
        count += 1;
        Id::from(format!("id-{count}"))
    };
    let timings = Timings { reinvoke: Duration::from_secs(10), ..Timings::default() };
    Teller {
        engine: Engine::new(pipeline, timings, ids),
        now: Timestamp::UNIX_EPOCH,
        executions: Vec::new(),
        jobs: BTreeMap::new(),
        approvals: Vec::new(),
    }
}

impl<I: tagship_emulator::engine::Ids> Teller<I> {
    /// The short name of an execution: e1 for the first.
    fn short(&self, id: &str) -> String {
        let index = self.executions.iter().position(|known| &**known == id);
        index.map_or_else(|| id.to_owned(), |index| format!("e{}", index + 1))
    }

    /// Has something happen, and tells all that the engine wants done then, a line each.
    pub(crate) fn happen(&mut self, input: &str) -> String {
        let (what, rest) = input.split_once(' ').unwrap_or((input, ""));
        let (who, detail) = rest.split_once(' ').unwrap_or((rest, ""));
        let job = |back: usize| self.jobs.get(who).and_then(|jobs| jobs.iter().rev().nth(back).cloned());
        let named = |id: &str| {
            let index: usize = id[1..].parse().expect("e and a number");
            self.executions[index - 1].to_string()
        };
        let now = self.now;
        let engine = &mut self.engine;
        let result = match what {
            "start" => {
                let version = Some(rest.to_owned()).filter(|version| !version.is_empty());
                let over = version.map(|version| ("Upload".to_owned(), Override { version: Some(version), key: None }));
                let trigger = Trigger { kind: "StartPipelineExecution", detail: "me".into() };
                engine.start(now, trigger, over.into_iter().collect()).map(|id| {
                    self.executions.push(id);
                })
            }
            "fetched" => {
                let job = job(0).expect("a job");
                let artifact = Artifact {
                    name: "App".into(),
                    bucket: "artifacts".into(),
                    key: "key".into(),
                    revision: Some(detail.into()),
                };
                let revision = Revision { version: detail.into(), etag: "etag".into(), summary: None };
                engine.fetched(now, &job, revision, artifact)
            }
            "done" | "done-before" => {
                let job = job(usize::from(what == "done-before")).expect("a job");
                let outputs = detail.split(' ').filter_map(|pair| pair.split_once('='));
                let outputs = outputs.map(|(key, value)| (key.to_owned(), value.to_owned()));
                let outputs = outputs.collect();
                engine.job_succeeded(now, &job, Success { outputs, ..Success::default() })
            }
            "again" => {
                let success = Success { continuation: Some(detail.into()), ..Success::default() };
                engine.job_succeeded(now, &job(0).expect("a job"), success)
            }
            "failed" => {
                let failure = Failure { kind: "JobFailed".into(), message: detail.into(), external_id: None };
                engine.job_failed(now, &job(0).expect("a job"), failure)
            }
            "approve" | "reject" => {
                let token = self.approvals.last().expect("an approval").token.clone();
                let yes = what == "approve";
                engine.approve(now, "Release", "Approve", &token, yes, rest.into(), "arn:me")
            }
            "rollback" => {
                let target = if detail.starts_with('e') { named(detail) } else { detail.to_owned() };
                let trigger = Trigger { kind: "ManualRollback", detail: "me".into() };
                engine.rollback(now, who, &target, trigger).map(|id| self.executions.push(id))
            }
            "stop" => engine.stop(now, &named(who), false, None),
            "abandon" => engine.stop(now, &named(who), true, None),
            "cancel" => engine.cancel(now, &named(who)),
            "retry" => engine.retry(now, "Release", &named(who), detail == "all"),
            "wait" => {
                self.now += Duration::from_secs(who.parse().expect("seconds"));
                engine.tick(self.now);
                Ok(())
            }
            other => panic!("no such input: {other}"),
        };
        let mut told = String::new();
        if let Err(refusal) = result {
            writeln!(told, "{}", refusal.code()).expect("text");
        }
        for effect in self.engine.effects() {
            let line = self.tell(effect);
            writeln!(told, "{line}").expect("text");
        }
        told
    }

    fn tell(&mut self, effect: Effect) -> String {
        match effect {
            Effect::Fetch(fetch) => {
                self.jobs.entry("Upload".into()).or_default().push(fetch.job);
                let version = fetch.version.unwrap_or_else(|| "newest".into());
                format!("fetch {}/{} {version}", fetch.bucket, fetch.key)
            }
            Effect::Invoke(Job { id, configuration, inputs, continuation }) => {
                let function = configuration["FunctionName"].clone();
                let parameters = configuration.get("UserParameters").cloned().unwrap_or_default();
                let parameters: Vec<_> = parameters.split(' ').map(|it| self.short(it)).collect();
                let mut line = format!("invoke {function} {}", parameters.join(" "));
                for input in inputs {
                    write!(line, " with {}", input.name).expect("text");
                }
                if let Some(token) = continuation {
                    write!(line, " again {token}").expect("text");
                }
                self.jobs.entry(function).or_default().push(id);
                line.trim_end().to_owned()
            }
            Effect::Ask(approval) => {
                let line = format!("ask {}", approval.configuration["CustomData"]);
                self.approvals.push(approval);
                line
            }
            Effect::Changed(change) => {
                let what = match &change.subject {
                    Subject::Pipeline => String::new(),
                    Subject::Stage { stage } => format!(" {stage}"),
                    Subject::Action { action, .. } => format!(" {action}"),
                };
                format!("{}{what} {}", self.short(&change.execution), change.state.as_str())
            }
        }
    }
}
