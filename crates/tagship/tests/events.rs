//! Each sample of events/ is read as its README says, and none of its credentials shows.

use std::collections::BTreeSet;
use std::path::PathBuf;
use tagship::{Caller, Invocation, Request, StageName};

/// The sample; how it is read; the beginning of the problem, or what the request is.
const SAMPLES: &[(&str, &str, &str)] = &[
    ("cleanup-abandoned", "direct", "discard MZUM_WEB_PRODUCT 1b2c3d4e mzum-web"),
    ("cleanup-continuation", "continued job", "retire MZUM_WEB_PRODUCT 1b2c3d4e mzum-web"),
    (
        "cleanup-died-job",
        "job",
        "died: function tagship-deploy was tried 3 times for deploy and failed each time; last: RequestId: \
         e4b46cbf-b738-xmpl-8880-a18cdf61200e Error: Runtime exited with error: signal: killed. What it did before stands, \
         until the execution's end has it removed. Look at its log, for request e4b46cbf-b738-xmpl-8880-a18cdf61200e",
    ),
    (
        "cleanup-died-rollback",
        "direct",
        "died: function tagship-route was tried 3 times for rollback and failed each time; last: \
         2026-11-26T09:03:41.412Z e4b46cbf-b738-xmpl-8880-a18cdf61200e Task timed out after 900.00 seconds. Sweep takes up \
         within five minutes what it left undone. To repeat it at once, invoke tagship-route with \
         {\"tagship\":{\"action\":\"rollback\",\"release\":\"1b2c3d4e-5f60-4718-9a2b-3c4d5e6f7081\",\"serviceRole\":\
         \"MZUM_WEB_PRODUCT\"}}. Look at its log, for request e4b46cbf-b738-xmpl-8880-a18cdf61200e",
    ),
    ("cleanup-no-object", "error", "the event is no CodePipeline job"),
    ("cleanup-no-pipeline", "refused job", "pipeline: missing, write the pipeline's name"),
    ("cleanup-park", "job", "park MZUM_WEB_QA 1b2c3d4e mzum-web"),
    ("cleanup-pre-product-ended", "direct", "park MZUM_WEB_QA 1b2c3d4e mzum-web"),
    ("cleanup-raw-event", "error", "the event is no CodePipeline job"),
    ("cleanup-rejected", "direct", "discard MZUM_WEB_PRODUCT 1b2c3d4e mzum-web"),
    ("cleanup-retire", "job", "retire MZUM_WEB_PRODUCT 1b2c3d4e mzum-web"),
    ("cleanup-superseded", "direct", "discard MZUM_WEB_PRODUCT 8f7e6d5c mzum-web"),
    ("cleanup-sweep", "direct", "sweep"),
    ("cleanup-unfinished", "direct", "retire MZUM_WEB_PRODUCT 1b2c3d4e mzum-web"),
    ("cleanup-unknown-key", "refused job", "serviceRol: no such key, write serviceRole; the keys are"),
    ("deploy-by-hand", "direct", "deploy MZUM_WEB_PRODUCT 1b2c3d4e mzum-web"),
    ("deploy-continuation", "continued job", "deploy MZUM_WEB_PRODUCT 1b2c3d4e mzum-web with mzum-web/App/XyZ1aB2"),
    ("deploy-encrypted", "job", "deploy MZUM_WEB_PRODUCT 1b2c3d4e mzum-web with mzum-web/App/XyZ1aB2"),
    ("deploy-job", "job", "deploy MZUM_WEB_PRODUCT 1b2c3d4e mzum-web with mzum-web/App/XyZ1aB2"),
    ("deploy-no-configuration", "refused job", "UserParameters are missing"),
    ("deploy-not-json", "refused job", "UserParameters are no JSON"),
    ("deploy-odd-artifact", "refused job", "has no bucket or no key"),
    ("deploy-two-artifacts", "refused job", "2 input artifacts"),
    ("provision-by-hand", "direct", "provision MZUM_WEB_PRODUCT 1b2c3d4e mzum-web"),
    (
        "provision-continuation",
        "continued job",
        "provision MZUM_WEB_PRODUCT 1b2c3d4e mzum-web with mzum-web/App/XyZ1aB2",
    ),
    ("provision-job", "job", "provision MZUM_WEB_PRODUCT 1b2c3d4e mzum-web with mzum-web/App/XyZ1aB2"),
    ("provision-no-id", "error", "the event is no CodePipeline job"),
    ("provision-no-object", "refused job", "UserParameters are no JSON object"),
    ("provision-no-parameters", "refused job", "UserParameters are missing"),
    ("provision-no-release", "refused job", "release: missing, write #{codepipeline.PipelineExecutionId}"),
    ("provision-pre-product", "job", "provision MZUM_WEB_QA 1b2c3d4e mzum-web with mzum-web/App/XyZ1aB2"),
    ("provision-too-long", "refused job", "UserParameters have 1110 characters, 1000 are allowed"),
    ("route-abandoned", "direct", "rollback MZUM_WEB_PRODUCT 1b2c3d4e mzum-web"),
    ("route-another-functions-action", "refused direct", "\"retire\" is none of route's, which are shift, rollback"),
    ("route-continuation", "continued job", "shift MZUM_WEB_PRODUCT 1b2c3d4e mzum-web"),
    ("route-empty", "error", "the event is no CodePipeline job"),
    ("route-guard-alarm", "direct", "guard Alarm(\"mzum-web-errors\")"),
    ("route-guard-minute", "direct", "guard Minute"),
    ("route-guard-stop", "direct", "guard Stop(\"mzum-web\")"),
    ("route-odd-token", "continued job", "shift MZUM_WEB_PRODUCT 1b2c3d4e mzum-web"),
    ("route-rejected", "direct", "rollback MZUM_WEB_PRODUCT 1b2c3d4e mzum-web"),
    ("route-shift", "job", "shift MZUM_WEB_PRODUCT 1b2c3d4e mzum-web"),
    ("route-superseded", "direct", "rollback MZUM_WEB_PRODUCT 8f7e6d5c mzum-web"),
    ("route-unknown-action", "refused job", "\"shfit\" is none of route's, which are shift, rollback"),
];

/// What of AWS's documented example credentials would be recognised anywhere.
const SECRETS: [&str; 3] = ["AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI", "AQoEXAMPLEH4aoAH0gNCAPyJxz4"];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../events")
}

/// How the sample is read, and all that it is read to, as a log or an error could show it.
fn read(sample: &str) -> (String, String, String) {
    let text = std::fs::read_to_string(folder().join(format!("{sample}.json"))).expect("a sample");
    let stage = StageName::ALL.into_iter().find(|stage| sample.starts_with(stage.as_str())).expect("a function");
    let parsed = Invocation::parse(stage, serde_json::from_str(&text).expect("JSON"));
    if text.contains("artifactCredentials") {
        assert!(SECRETS.iter().all(|secret| text.contains(secret)), "{sample}: credentials that can't be recognised");
    }
    let invocation = match &parsed {
        Ok(invocation) => invocation,
        Err(error) => return ("error".to_owned(), error.to_string(), format!("{parsed:?} {parsed:#?} {error}")),
    };
    let caller = match &invocation.caller {
        Caller::Pipeline { continuation: None, .. } => "job",
        Caller::Pipeline { .. } => "continued job",
        Caller::Direct => "direct",
    };
    let (caller, what) = match &invocation.request {
        Ok(Request::Died(died)) => (caller.to_owned(), format!("died: {}", died.error)),
        Ok(Request::Sweep) => (caller.to_owned(), "sweep".to_owned()),
        Ok(Request::Guard(occasion)) => (caller.to_owned(), format!("guard {occasion:?}")),
        Ok(Request::Release(job)) => {
            let input = job.input.as_ref().map(|input| format!(" with {}", input.key)).unwrap_or_default();
            let what = format!("{} {} {} {}{input}", job.action, job.role, job.release.short(), job.pipeline);
            (caller.to_owned(), what)
        }
        Err(refused) => (format!("refused {caller}"), refused.error.to_string()),
    };
    let shown = format!("{parsed:?} {parsed:#?} {what}");
    (caller, what, shown)
}

#[test]
fn each_sample_is_read_as_it_should_be() {
    for (sample, caller, what) in SAMPLES {
        let (found_caller, found, shown) = read(sample);
        assert_eq!(found_caller, *caller, "{sample}: {found}");
        if caller.starts_with("refused") || *caller == "error" {
            assert!(found.contains(what), "{sample}: {found}");
        } else {
            assert_eq!(found, *what, "{sample}");
        }
        for secret in SECRETS {
            assert!(!shown.contains(secret), "{sample} shows {secret}: {shown}");
        }
    }
}

#[test]
fn each_sample_is_tested_and_explained() {
    let samples: BTreeSet<String> = SAMPLES.iter().map(|(sample, ..)| format!("{sample}.json")).collect();
    let files = std::fs::read_dir(folder()).expect("events/").map(|file| file.expect("a file").file_name());
    let files: BTreeSet<String> = files.filter_map(|name| name.into_string().ok()).collect();
    let files: BTreeSet<String> = files.into_iter().filter(|name| name.ends_with(".json")).collect();
    assert_eq!(files, samples);
    let readme = std::fs::read_to_string(folder().join("README.md")).expect("a README");
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    assert_eq!(rows.map(str::to_owned).collect::<BTreeSet<_>>(), samples);
}
