//! Events as CodePipeline, EventBridge and people send them.

use super::*;
use crate::Kind;

const RELEASE: &str = "1a2b3c4d-0000-4000-8000-000000000000";

/// A job as AWS sends it, with these UserParameters.
fn event(parameters: Value) -> Value {
    json!({ JOB: {
        "id": "11111111-abcd-1111-abcd-111111abcdef",
        "accountId": "111111111111",
        "data": {
            "actionConfiguration": {"configuration": {
                "FunctionName": "deploy",
                "UserParameters": parameters.as_str().map_or_else(|| parameters.to_string(), str::to_owned),
            }},
            "inputArtifacts": [{
                "location": {"s3Location": {"bucketName": "artifacts", "objectKey": "mzum-web/Source/a1"}, "type": "S3"},
                "revision": "v7",
                "name": "Source",
            }],
            "outputArtifacts": [],
            "artifactCredentials": {"secretAccessKey": "s3cr3t", "sessionToken": "s3cr3t", "accessKeyId": "s3cr3t"},
            "encryptionKey": {"id": "key", "type": "KMS"},
            "continuationToken": "{}",
        },
    } })
}

fn parameters() -> Value {
    json!({"serviceRole": "MZUM_WEB_PRODUCT", "release": RELEASE, "pipeline": "mzum-web"})
}

/// The parameters with this difference; `null` takes a key away.
fn with(difference: Value) -> Value {
    let mut all = parameters();
    for (key, value) in difference.as_object().expect("a dictionary") {
        all[key] = value.clone();
    }
    if let Some(all) = all.as_object_mut() {
        all.retain(|_, value| !value.is_null());
    }
    all
}

fn job(action: Action, pipeline: &str, input: bool) -> Job {
    let input = input.then(|| Artifact {
        bucket: "artifacts".to_owned(),
        key: "mzum-web/Source/a1".to_owned(),
        version: None,
        etag: None,
    });
    Job {
        role: "MZUM_WEB_PRODUCT".to_owned().try_into().expect("a role"),
        release: RELEASE.to_owned().try_into().expect("a release"),
        pipeline: pipeline.to_owned(),
        action,
        input,
    }
}

#[track_caller]
fn parsed(stage: StageName, event: Value) -> Invocation {
    let text = event.to_string();
    let invocation = Invocation::parse(stage, event).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert!(!format!("{invocation:?}").contains("s3cr3t"), "{invocation:?}");
    invocation
}

#[test]
fn a_job_is_read() {
    use StageName::*;
    for (stage, action, expected) in [
        (Provision, Value::Null, Action::Provision),
        (Deploy, json!("deploy"), Action::Deploy),
        (Route, Value::Null, Action::Shift),
        (Route, json!("rollback"), Action::Rollback),
        (Cleanup, Value::Null, Action::Retire),
        (Cleanup, json!("park"), Action::Park),
    ] {
        let invocation = parsed(stage, event(with(json!({"action": action}))));
        let job_id = "11111111-abcd-1111-abcd-111111abcdef".to_owned();
        assert_eq!(invocation.caller, Caller::Pipeline { job_id, continuation: Some("{}".to_owned()) });
        assert_eq!(invocation.request, Ok(Request::Release(job(expected, "mzum-web", true))));
    }
}

#[test]
fn what_aws_leaves_out_is_not_missed() {
    for absent in ["inputArtifacts", "outputArtifacts", "artifactCredentials", "continuationToken", "encryptionKey"] {
        for value in [None, Some(Value::Null)] {
            let mut event = event(parameters());
            let data = event[JOB]["data"].as_object_mut().expect("data");
            data.remove(absent);
            data.extend(value.map(|value| (absent.to_owned(), value)));
            let invocation = parsed(StageName::Deploy, event);
            let expected = job(Action::Deploy, "mzum-web", absent != "inputArtifacts");
            assert_eq!(invocation.request, Ok(Request::Release(expected)), "without {absent}");
            let Caller::Pipeline { continuation, .. } = invocation.caller else { panic!("a job") };
            assert_eq!(continuation.is_none(), absent == "continuationToken");
        }
    }
}

#[test]
fn a_direct_invocation_is_read() {
    let read = |stage, given: Value| parsed(stage, json!({ DIRECT: given }));
    let invocation = read(StageName::Route, with(json!({"action": "rollback"})));
    assert_eq!(invocation.caller, Caller::Direct);
    assert_eq!(invocation.request, Ok(Request::Release(job(Action::Rollback, "mzum-web", false))));
    let nameless = read(StageName::Cleanup, with(json!({"action": "discard", "pipeline": null})));
    assert_eq!(nameless.request, Ok(Request::Release(job(Action::Discard, "", false))));
    assert_eq!(read(StageName::Cleanup, json!({"action": "sweep"})).request, Ok(Request::Sweep));
    assert!(read(StageName::Provision, with(json!({"pipeline": null}))).request.is_err());
    // Of one release, or of every one that is concerned by what has happened.
    let guard = |given: Value| read(StageName::Route, given).request;
    let one = guard(with(json!({"action": "guard", "alarm": "errors"})));
    assert_eq!(one, Ok(Request::Release(job(Action::Guard, "mzum-web", false))));
    for (given, expected) in [
        (json!({"action": "guard", "alarm": "errors"}), Occasion::Alarm("errors".to_owned())),
        (json!({"action": "guard", "pipeline": "mzum-web"}), Occasion::Stop("mzum-web".to_owned())),
        (json!({"action": "guard"}), Occasion::Minute),
    ] {
        assert_eq!(guard(given), Ok(Request::Guard(expected)));
    }
    for given in [json!({"action": "guard", "alarm": 7}), json!({"action": "guard", "alarm": "a", "pipeline": "p"})] {
        assert!(guard(given).is_err());
    }
}

#[test]
fn an_event_without_a_caller_is_lambdas_error() {
    let mut nameless = event(parameters());
    nameless[JOB]["id"] = Value::Null;
    for event in [json!({}), json!(null), json!("x"), json!([1]), json!({"id": "x"}), json!({ DIRECT: "x" }), nameless]
    {
        let error = Invocation::parse(StageName::Deploy, event.clone()).expect_err(&event.to_string());
        assert!(error.message.contains("no CodePipeline job") && !error.message.contains("s3cr3t"), "{error}");
    }
}

/// These parameters of a job are refused for these reasons, and the job's id is kept.
#[track_caller]
fn check(stage: StageName, given: Value, problems: &[&str]) -> Refused {
    let invocation = parsed(stage, event(given.clone()));
    assert!(matches!(invocation.caller, Caller::Pipeline { .. }));
    let refused = invocation.request.expect_err(&given.to_string());
    assert_eq!(refused.error.kind, Kind::Configuration);
    for problem in problems {
        assert!(refused.error.message.contains(problem), "{problem} is not in: {}", refused.error);
    }
    let told = refused.error.message.matches("\n- ").count();
    assert!(told == 0 || told == problems.len(), "{}", refused.error);
    *refused
}

#[test]
fn parameters_are_refused_with_every_reason() {
    use StageName::*;
    check(Deploy, json!(""), &["UserParameters are missing: write {\"serviceRole\""]);
    check(Deploy, json!("retire"), &["UserParameters are no JSON (expected value at line 1 column 1): write {"]);
    check(Deploy, json!([1]), &["UserParameters are no JSON object: write {"]);
    // No field takes a dictionary, so repetitions deeper down are refused with what holds them.
    let twice = r#"{"pipeline": "a", "release": {"x": 1, "x": 2}, "pipeline": "b", "release": "c", "x": 1, "x": 2}"#;
    check(
        Deploy,
        json!(twice),
        &[
            "pipeline: given twice: write it once",
            "release: given twice: write it once",
            "x: given twice: write it once",
            "release: write text",
            "x: no such key",
            "serviceRole: missing",
        ],
    );
    let encoded_twice = Value::from(parameters().to_string()).to_string();
    check(Deploy, json!(encoded_twice), &["UserParameters are JSON that is encoded twice, a string that holds"]);
    check(
        Deploy,
        json!("{\"serviceRole\":\u{a0}\"X\"}"),
        &["are no JSON (the character NO-BREAK SPACE (U+00A0), which can't be seen: remove it, at line 1 column 16)"],
    );
    check(Deploy, json!("{\u{201c}release\u{201d}: 1}"), &["LEFT DOUBLE QUOTATION MARK (U+201C), write \", at line 1"]);
    check(Deploy, with(json!({"pipeline": "x".repeat(1_000)})), &["1000 are allowed"]);
    check(Deploy, json!({}), &["serviceRole: missing", "release: missing", "pipeline: missing"]);
    check(
        Deploy,
        json!({"serviceRole": "web-product", "release": "#{codepipeline.PipelineExecutionId}", "pipeline": 7}),
        &[
            "serviceRole: \"web-product\" is no service role",
            "release: \"#{codepipeline.PipelineExecutionId}\" is a variable that CodePipeline has not resolved",
            "pipeline: write text",
        ],
    );
    check(
        Deploy,
        with(json!({"pipeline": "#{variables.Pipeline}", "release": "1a2b\u{200b}"})),
        &["pipeline: \"#{variables.Pipeline}\" is a variable", "release: \"1a2b⟨ZERO WIDTH SPACE⟩\" is no release"],
    );
    // What is there already isn't suggested.
    check(
        Deploy,
        with(json!({"releas": "x", "pipelin\u{feff}e": "x"})),
        &[
            "releas: no such key; the keys are serviceRole, release, pipeline, action",
            "pipelin⟨BYTE ORDER MARK⟩e: no such key; the keys are",
        ],
    );
    check(
        Deploy,
        with(json!({"acton": "x", "count": 1})),
        &[
            "acton: no such key, write action; the keys are serviceRole, release, pipeline, action",
            "count: no such key; the keys are serviceRole, release, pipeline, action",
        ],
    );
    check(
        Route,
        with(json!({"action": "retire"})),
        &["action: \"retire\" is none of route's, which are shift, rollback"],
    );
    check(Cleanup, json!({"action": "sweep", "all": "x"}), &["all: no such key"]);
    check(Cleanup, json!({"action": "swep"}), &["action: \"swep\"", "serviceRole", "release", "pipeline"]);
}

#[test]
fn a_byte_order_mark_is_no_fault() {
    let marked = format!("\u{feff}{}", parameters());
    let expected = Ok(Request::Release(job(Action::Deploy, "mzum-web", true)));
    assert_eq!(parsed(StageName::Deploy, event(json!(marked))).request, expected);
}

#[test]
fn what_could_be_read_is_kept_for_the_failures_event() {
    let refused = check(StageName::Route, with(json!({"release": "?", "action": "rollback"})), &["release: \"?\""]);
    assert_eq!(refused.role.as_ref().map(ServiceRole::as_str), Some("MZUM_WEB_PRODUCT"));
    assert_eq!(refused.release, None);
    assert_eq!(refused.pipeline.as_deref(), Some("mzum-web"));
    assert_eq!(refused.action, Some(Action::Rollback));
}

#[test]
fn a_malformed_job_is_still_reported() {
    for (pointer, value) in [
        ("/CodePipeline.job/data", json!(7)),
        ("/CodePipeline.job/data/actionConfiguration", json!("s3")),
        ("/CodePipeline.job/data/inputArtifacts/0/location", json!({})),
        ("/CodePipeline.job/data/inputArtifacts/0/location/s3Location", json!({"bucketName": "b"})),
    ] {
        let mut event = event(parameters());
        *event.pointer_mut(pointer).expect(pointer) = value;
        let invocation = parsed(StageName::Deploy, event);
        assert!(matches!(invocation.caller, Caller::Pipeline { .. }));
        let refused = invocation.request.expect_err(pointer);
        assert!(refused.error.message.starts_with("the job's event: "), "{}", refused.error);
    }
}

#[test]
fn deploy_takes_one_input_artifact() {
    let mut two = event(parameters());
    let first = two[JOB]["data"]["inputArtifacts"][0].clone();
    two[JOB]["data"]["inputArtifacts"] = json!([first, first]);
    let refused = parsed(StageName::Deploy, two.clone()).request.expect_err("two");
    assert!(refused.error.message.contains("the action has 2 input artifacts: give it one"), "{}", refused.error);
    assert!(parsed(StageName::Route, two).request.is_ok());
}
