//! What CodePipeline does with a release, told as stories: `>` is what happens to it, the lines
//! below are all that it does then.

use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;
use tagship_pipeline::change::Subject;
use tagship_pipeline::effect::{Approval, Effect, Job};
use tagship_pipeline::engine::{Engine, Timings};
use tagship_pipeline::execution::{Artifact, Override, Revision, Trigger};
use tagship_pipeline::pipeline::Id;
use tagship_pipeline::report::{Failure, Success};
use tagship_pipeline::template::{Stack, Template};

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

struct Teller<I> {
    engine: Engine<I>,
    now: Timestamp,
    executions: Vec<Id>,
    /// The latest job of each action, by function (or `Upload`), and all before it.
    jobs: BTreeMap<String, Vec<Id>>,
    approvals: Vec<Approval>,
}

fn teller(mode: &str) -> Teller<impl FnMut() -> Id> {
    let parameters = BTreeMap::from([("Mode".to_owned(), mode.to_owned())]);
    let template = Template::read(PIPELINE, Stack { parameters, ..Stack::default() });
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

impl<I: tagship_pipeline::engine::Ids> Teller<I> {
    /// The short name of an execution: e1 for the first.
    fn short(&self, id: &str) -> String {
        let index = self.executions.iter().position(|known| &**known == id);
        index.map_or_else(|| id.to_owned(), |index| format!("e{}", index + 1))
    }

    fn happen(&mut self, input: &str) -> String {
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
                let revision = Revision { version: detail.into(), etag: "etag".into() };
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

#[track_caller]
fn check(mode: &str, story: &str) {
    let mut teller = teller(mode);
    let mut told = String::new();
    let mut expected = String::new();
    for line in story.lines().map(str::trim).filter(|line| !line.is_empty()) {
        writeln!(expected, "{line}").expect("text");
        if let Some(input) = line.strip_prefix("> ") {
            writeln!(told, "{line}").expect("text");
            told.push_str(&teller.happen(input));
        }
    }
    assert_eq!(told, expected, "\n--- told:\n{told}\n--- expected:\n{expected}");
}

/// How each story begins: e1 is inside Release, both functions of the first order at work.
const BEGUN: &str = "
    > start v7
    e1 STARTED
    e1 Source STARTED
    e1 Upload STARTED
    fetch uploads/web.zip v7
    > fetched Upload v7
    e1 Upload SUCCEEDED
    e1 Source SUCCEEDED
    e1 Release STARTED
    e1 Provision STARTED
    e1 Check STARTED
    invoke provision e1 v7 with App
    invoke check";

const ASKED: &str = "
    > done provision Name=candidate.web
    e1 Provision SUCCEEDED
    > done check
    e1 Check SUCCEEDED
    e1 Approve STARTED
    ask look at candidate.web";

#[test]
fn a_release_that_is_approved() {
    check(
        "SUPERSEDED",
        &format!(
            "{BEGUN}{ASKED}
            > approve fine
            e1 Approve SUCCEEDED
            e1 Route STARTED
            invoke route
            > approve twice
            ApprovalAlreadyCompletedException
            > done route
            e1 Route SUCCEEDED
            e1 Release SUCCEEDED
            e1 SUCCEEDED
            > done route
            InvalidJobStateException
            > stop e1
            PipelineExecutionNotStoppableException"
        ),
    );
}

#[test]
fn a_release_that_is_rejected_and_asked_again() {
    check(
        "SUPERSEDED",
        &format!(
            "{BEGUN}{ASKED}
            > reject no
            e1 Approve FAILED
            e1 Release FAILED
            e1 FAILED
            > retry e1
            e1 RESUMED
            e1 Release RESUMED
            e1 Approve STARTED
            ask look at candidate.web
            > wait 3600
            e1 Approve FAILED
            e1 Release FAILED
            e1 FAILED
            > retry e1 all
            e1 RESUMED
            e1 Release RESUMED
            e1 Provision STARTED
            e1 Check STARTED
            invoke provision e1 v7 with App
            invoke check
            > retry e1
            StageNotRetryableException"
        ),
    );
}

#[test]
fn continuations_are_new_jobs_and_silence_fails_an_action() {
    check(
        "SUPERSEDED",
        &format!(
            "{BEGUN}
            > done check
            e1 Check SUCCEEDED
            > again provision t1
            > wait 9
            > wait 1
            invoke provision e1 v7 with App again t1
            > done-before provision
            InvalidJobStateException
            > wait 1199
            > again provision t2
            > wait 10
            invoke provision e1 v7 with App again t2
            > wait 1200
            e1 Provision FAILED
            e1 Release FAILED
            e1 FAILED
            > done provision
            InvalidJobStateException"
        ),
    );
}

#[test]
fn the_other_actions_of_an_order_finish_before_their_stage_fails() {
    check(
        "SUPERSEDED",
        &format!(
            "{BEGUN}
            > failed provision no capacity
            e1 Provision FAILED
            > done check
            e1 Check SUCCEEDED
            e1 Release FAILED
            e1 FAILED"
        ),
    );
}

#[test]
fn a_variable_without_a_value_fails_the_action() {
    check(
        "SUPERSEDED",
        &format!(
            "{BEGUN}
            > done provision Other=x
            e1 Provision SUCCEEDED
            > done check
            e1 Check SUCCEEDED
            e1 Approve STARTED
            e1 Approve FAILED
            e1 Release FAILED
            e1 FAILED"
        ),
    );
}

/// Two more come while the first is inside: e2 and e3.
fn two_more(superseded: &str) -> String {
    format!(
        "{BEGUN}
        > start
        e2 STARTED
        e2 Source STARTED
        e2 Upload STARTED
        fetch uploads/web.zip newest
        > fetched Upload v8
        e2 Upload SUCCEEDED
        e2 Source SUCCEEDED
        > start
        e3 STARTED
        e3 Source STARTED
        e3 Upload STARTED
        fetch uploads/web.zip newest
        > fetched Upload v9
        e3 Upload SUCCEEDED
        e3 Source SUCCEEDED
        {superseded}
        > failed check no
        e1 Check FAILED
        > failed provision no
        e1 Provision FAILED
        e1 Release FAILED
        e1 FAILED"
    )
}

#[test]
fn the_last_of_those_that_wait_supersedes_the_others() {
    check(
        "SUPERSEDED",
        &format!(
            "{}
            e3 Release STARTED
            e3 Provision STARTED
            e3 Check STARTED
            invoke provision e3 v9 with App
            invoke check
            > retry e1
            NotLatestPipelineExecutionException",
            two_more("e2 SUPERSEDED")
        ),
    );
}

#[test]
fn or_they_queue() {
    check(
        "QUEUED",
        &format!(
            "{}
            e2 Release STARTED
            e2 Provision STARTED
            e2 Check STARTED
            invoke provision e2 v8 with App
            invoke check
            > stop e3
            e3 STOPPING
            e3 STOPPED
            > cancel e2
            e2 Provision ABANDONED
            e2 Check ABANDONED
            e2 Release CANCELED
            e2 CANCELED",
            two_more("")
        ),
    );
}

#[test]
fn a_stop_waits_for_what_runs_or_abandons_it() {
    check(
        "SUPERSEDED",
        &format!(
            "{BEGUN}
            > stop e1
            e1 STOPPING
            e1 Release STOPPING
            > stop e1
            DuplicatedStopRequestException
            > again provision t1
            > wait 10
            invoke provision e1 v7 with App again t1
            > done check
            e1 Check SUCCEEDED
            > done provision
            e1 Provision SUCCEEDED
            e1 Release STOPPED
            e1 STOPPED"
        ),
    );
    check(
        "SUPERSEDED",
        &format!(
            "{BEGUN}
            > abandon e1
            e1 STOPPING
            e1 Release STOPPING
            e1 Provision ABANDONED
            e1 Check ABANDONED
            e1 Release STOPPED
            e1 STOPPED
            > done provision
            InvalidJobStateException"
        ),
    );
}

#[test]
fn reports_that_break_aws_limits_are_refused() {
    check(
        "SUPERSEDED",
        &format!(
            "{BEGUN}
            > again provision {}
            ValidationException
            > failed provision {}
            ValidationException
            > done provision A.B=x
            ValidationException",
            "x".repeat(2_049),
            "x".repeat(5_001),
        ),
    );
}

#[test]
fn time_is_asked_for_only_where_it_matters() {
    let mut teller = teller("QUEUED");
    assert_eq!(teller.engine.due(), None);
    teller.happen("start");
    let minutes = |count: u64| Some(Timestamp::UNIX_EPOCH + Duration::from_secs(count * 60));
    assert_eq!(teller.engine.due(), minutes(20));
    teller.happen("fetched Upload v1");
    teller.happen("done provision Name=x");
    teller.happen("done check");
    assert_eq!(teller.engine.due(), minutes(60));
    teller.happen("reject no");
    assert_eq!(teller.engine.due(), None);
}
