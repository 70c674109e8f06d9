//! Every event of events/ through every function, with credentials that would be known anywhere.

use serde_json::Value;
use std::path::Path;
use std::time::Duration;
use tagship_local::artifact::{Variant, pack};
use tagship_local::setup::{REGION, ServicePlan};
use tagship_local::{Line, Local};
use tagship_tests::desk::{Desk, Verdict};
use tagship_tests::leak::Ear;
use tagship_tests::metrics;
use tagship_tests::notices::may_be_told;
use tagship_tests::person::aws;
use tagship_tests::releases::cloud;

const FUNCTIONS: [&str; 4] = ["provision", "deploy", "route", "cleanup"];

/// What of the credentials in the samples would be recognised anywhere.
const CREDENTIALS: [&str; 3] = ["AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI", "AQoEXAMPLEH4aoAH0gNCAPyJxz4"];
/// A secret that ops gave, as they wrote it and as EC2 is sent it.
const USER_DATA: [&str; 2] = ["password=of-the-database", "cGFzc3dvcmQ9b2YtdGhlLWRhdGFiYXNl"];

/// The product's release from its first job to its end, and the pre-product's parked: the samples that do
/// most, while there is most to do.
const STORY: [&str; 10] = [
    "provision-job",
    "provision-continuation",
    "deploy-job",
    "deploy-continuation",
    "route-shift",
    "route-continuation",
    "cleanup-retire",
    "cleanup-continuation",
    "provision-pre-product",
    "cleanup-pre-product-ended",
];

/// The samples' names, the story's first.
fn samples() -> Vec<String> {
    let files = std::fs::read_dir(folder()).expect("events/").map(|file| file.expect("a file").file_name());
    let names = files.filter_map(|name| Some(name.to_str()?.strip_suffix(".json")?.to_owned()));
    let mut names: Vec<String> = names.collect();
    names.sort_by_key(|name| (STORY.iter().position(|told| told == name).unwrap_or(STORY.len()), name.clone()));
    assert_eq!(names[..STORY.len()], STORY);
    names
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../events"))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_event_gives_its_secrets_away_in_any_function() {
    let mut line = Line::quick("mzum-web", "MZUM_WEB_PRODUCT", "web.example.com", 10);
    line.pre_product = Some(ServicePlan::quick("MZUM_WEB_QA", "mzum-web", "qa.example.com", 20));
    line.settings["USER_DATA"] = USER_DATA[0].into();
    line.settings["TOPIC"] = format!("arn:aws:sns:{REGION}:123456789012:tagship").into();
    let local = cloud(vec![line]).await;
    may_be_told(&local, "MZUM_WEB_PRODUCT");
    let (desk, mut ear) = (Desk::open(&local), Ear::open(&local));
    // The samples' artifact: so that there is something to install.
    let bucket = &format!("mzum-web-releases-123456789012-{REGION}");
    aws(&local.gateway.url(), &format!("s3api create-bucket --bucket {bucket}"));
    let artifact = pack("r1", Variant::Healthy).expect("a zip");
    local.ops.upload(bucket, "mzum-web/App/XyZ1aB2", artifact).await.expect("an upload");

    let samples = samples();
    for sample in &samples {
        let own = FUNCTIONS.into_iter().find(|function| sample.starts_with(function)).expect("a function");
        run(&local, &desk, sample, own).await;
    }
    for sample in &samples {
        for function in FUNCTIONS.into_iter().filter(|function| !sample.starts_with(function)) {
            run(&local, &desk, sample, function).await;
        }
    }
    assert_eq!(ear.leaks(&local, &CREDENTIALS, None), Vec::<[String; 3]>::new());
    assert_eq!(ear.leaks(&local, &USER_DATA, Some("RunInstances")), Vec::<[String; 3]>::new());
    let sent = ear.leaks(&local, &USER_DATA[1..], None);
    assert!(!sent.is_empty(), "the user data would not have been seen where it has to be: in RunInstances");
    // All that CloudWatch is to read of so many kinds of ends.
    let measured = FUNCTIONS.map(|function| metrics::lines(&local, function));
    for metric in ["StageSucceeded", "StageFailed", "OldestHold", "Calls"] {
        assert!(measured.iter().flatten().any(|line| line[metric].is_u64()), "{metric} was never written");
    }
    assert_eq!(plant(&local, &mut ear).await, PLACES, "a leak would not have been found there");
}

/// Neither the function's answer nor its report has a secret. What the story asks for is done.
async fn run(local: &Local, desk: &Desk, sample: &str, function: &str) {
    let text = std::fs::read_to_string(folder().join(format!("{sample}.json"))).expect("a sample");
    // deploy may read the buckets of its own Region.
    let text = text.replace("eu-west-1", REGION);
    let event: Value = serde_json::from_str(&text).expect("JSON");
    if event["CodePipeline.job"]["data"].is_object() {
        assert!(CREDENTIALS.iter().all(|secret| text.contains(secret)), "{sample}: no credentials to give away");
    }
    let (answer, verdict) = desk.deliver(local, function, &event).await;
    let said = format!("{answer:?} {verdict:?}");
    for secret in CREDENTIALS.iter().chain(&USER_DATA) {
        assert!(!said.contains(secret), "{sample} through {function}: {secret} in {said}");
    }
    if STORY.contains(&sample) && sample.starts_with(function) {
        let done = if event["tagship"].is_object() {
            verdict.is_none()
        } else {
            matches!(verdict, Some(Verdict::Succeeded(_)))
        };
        assert!(answer.is_ok() && done, "{sample}: {said}");
    }
}

/// Where a secret could come out.
const PLACES: [&str; 5] = ["event", "log", "object", "request sns:Publish of events", "request sns:Publish of route"];

/// Gives a secret away in every place, and answers where it was found.
async fn plant(local: &Local, ear: &mut Ear) -> Vec<String> {
    const PLANTED: &str = "planted-secret";
    let log = local.logs().join("tagship-route.log");
    let logged = std::fs::read_to_string(&log).expect("a log");
    std::fs::write(&log, format!("{logged}{PLANTED}\n")).expect("written");
    // A rule makes a notification of it.
    local.events.emit(serde_json::json!({
        "source": "tagship", "detail-type": "Stage Failed", "region": REGION, "detail": {"message": PLANTED},
    }));
    let http = reqwest::Client::new();
    let signed = |service: &str| {
        let scope = format!("route/20000101/{REGION}/{service}/aws4_request");
        format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0")
    };
    let topic = &local.account.topic;
    let form = [("Action", "Publish"), ("Version", "2010-03-31"), ("TopicArn", topic), ("Message", PLANTED)];
    let publish = http.post(local.gateway.url()).header("authorization", signed("sns")).form(&form);
    let object = format!("{}/{}/holds/PLANTED.json", local.gateway.url(), local.account.bucket);
    let put = http.put(object).header("authorization", signed("s3")).body(PLANTED);
    for request in [publish, put] {
        let answer = request.send().await.expect("an answer");
        assert!(answer.status().is_success(), "{answer:?}");
    }
    loop {
        let found = ear.leaks(local, &[PLANTED], None).into_iter().map(|[place, ..]| place);
        let mut places: Vec<String> = found
            .map(|place| match place.split_once(' ') {
                Some(("request", _)) | None => place,
                Some((kind, _)) => kind.to_owned(),
            })
            .collect();
        places.sort();
        places.dedup();
        // The bus delivers in its own time.
        if places.len() >= PLACES.len() {
            return places;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
