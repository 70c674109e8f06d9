//! The cloud left running for a person: a rehearsal, by the commands that are used on AWS, whose story is told live.

use crate::artifact::{Variant, pack};
use crate::commands::teller::Teller;
use crate::commands::{demo, page, story};
use crate::local::{Line, Local, Plan};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;
use tagship_cloud::setup::{Account, ops_environment};

const PIPELINE: &str = "web";
const ROLE: &str = "WEB_PRODUCT";
const HOST: &str = "web.example.com";
/// A second service, of which there is nothing yet.
const SECOND: &str = "SHOP_PRODUCT";
const SECOND_HOST: &str = "shop.example.com";
/// What is told begins so far to the right: a release's first eight characters stand there.
const WHO: u16 = 9;

/// Brings it up, says what to try, and tells what happens until it is dropped.
pub async fn run() -> Result<(), demo::Error> {
    println!("setting up an account on this machine …");
    let local = Local::start(Plan::new(vec![Line::quick(PIPELINE, ROLE, HOST, 10)])).await?;
    let dir = local.dir.path();
    let samples = dir.join("samples");
    std::fs::create_dir_all(&samples)?;
    for (name, variant) in
        [("good", Variant::Healthy), ("sick", Variant::Unhealthy), ("broken-hook", Variant::HookFails)]
    {
        std::fs::write(samples.join(format!("{name}.zip")), pack(name, variant)?)?;
    }
    let answers = answers(&local.account);
    std::fs::write(samples.join("shop.json"), format!("{answers:#}\n"))?;
    std::fs::write(dir.join("env"), environment(&local, &samples))?;
    let more = dir.join("more");
    std::fs::write(&more, further(&local, &answers).await)?;
    let page = page::serve(&local).await;
    let opens = match &page {
        Ok(page) => format!("The page opens once, with this file:\n  {}", page.file.display()),
        Err(error) => format!("The page isn't there: {error}."),
    };
    let mut address = String::new();
    if let Some(balancer) = &local.balancer {
        address = balancer.address(&local.account.http_listener).await.to_string();
    }
    print!("{}", first(dir, &opens, &address));
    story::tell(&local, &Teller::new(WHO)).await;
    drop(page);
    Ok(())
}

/// What a shell needs to know.
fn environment(local: &Local, samples: &Path) -> String {
    let python = tagship_cloud::moto::python().unwrap_or_default();
    let bin = python.parent().and_then(|bin| bin.canonicalize().ok()).unwrap_or_default();
    let functions = Plan::new(Vec::new()).functions;
    let mut text = format!("export PATH='{}':'{}':$PATH\n", functions.display(), bin.display());
    for (name, value) in ops_environment(&local.gateway.url()) {
        let _ = writeln!(text, "export {name}='{value}'");
    }
    let _ = writeln!(text, "export SAMPLES='{}'\nunset AWS_PROFILE AWS_SESSION_TOKEN", samples.display());
    text
}

/// What `tagship onboard` is to know of the second service, by the names of its flags.
fn answers(account: &Account) -> Value {
    json!({
        "listener": [account.http_listener],
        "host": [SECOND_HOST],
        "subnet": account.subnets,
        "ami": account.image,
        "instance-type": "t3.micro",
        "zone": "cd.internal",
        "viewer-cidr": "127.0.0.0/8",
        "topic": account.topic,
    })
}

/// The answers as flags, each on a line.
fn flags(answers: &Value) -> String {
    let each = |value: &Value| value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
    let mut flags = String::new();
    for (name, value) in answers.as_object().into_iter().flatten() {
        for value in each(value) {
            let _ = writeln!(flags, "      --{name} {} \\", value.as_str().unwrap_or_default());
        }
    }
    flags
}

/// The first screen: 80 columns, 24 lines with the one before it and the one after.
fn first(dir: &Path, opens: &str, address: &str) -> String {
    let dir = dir.display();
    format!(
        "A rehearsal: pipeline {PIPELINE} releases {ROLE}, two instances at a time.
In another terminal:
  . {dir}/env
  tagship release {ROLE} $SAMPLES/good.zip  # or sick.zip, broken-hook.zip
  tagship approve {ROLE}                    # twice; or reject
  tagship status {ROLE}                     # or history, why, plan
  tagship settings edit {ROLE}
  curl -i -H 'Host: {HOST}' http://{address}/   # HTTP listener
A second service, from nothing. In the directory where tagship is checked out:
  tagship onboard {SECOND} --answers $SAMPLES/shop.json --into $SAMPLES
and then what that prints.
Your own build is a zip with an appspec.yml. All instances share this machine,
so its hooks find two variables here that AWS doesn't set:
  $INSTANCE_ROOT  the instance's disk: write to $INSTANCE_ROOT/opt/web
  $HOST           the instance's address: listen on $HOST:8080, answer /health
\"${{INSTANCE_ROOT:-}}\" and \"${{HOST:-0.0.0.0}}\" are right on AWS as well.
{opens}
More to try, and the AWS CLI's way: {dir}/more
Ctrl-C ends all of it. What happens is told here:
"
    )
}

/// What doesn't fit the first screen.
async fn further(local: &Local, answers: &Value) -> String {
    let service = &local.account.services[ROLE];
    let (mut listeners, mut second) = (String::new(), String::new());
    if let Some(balancer) = &local.balancer {
        let (name, arn) = ("HTTPS", &local.account.https_listener);
        let address = balancer.address(arn).await;
        let _ = writeln!(listeners, "  curl -i -H 'Host: {HOST}' http://{address}/   # {name} listener");
        let address = balancer.address(&local.account.http_listener).await;
        second = format!("  curl -i -H 'Host: {SECOND_HOST}' http://{address}/");
    }
    let flags = flags(answers);
    let (bucket, topic) = (&service.bucket, &local.account.topic);
    let (dns, holds) = (local.dns.address().port(), &local.account.bucket);
    let logs = local.logs();
    let logs = logs.display();
    format!(
        "With the command (docs/CLI.md); it rejects, rolls back, stops and freezes too:

  tagship doctor {ROLE}
  tagship plan {ROLE}
  tagship history {ROLE}
  tagship why {ROLE}
  tagship settings show {ROLE}
  tagship dashboard --act

The second service as the first screen begins it; its answers may be flags instead of a file:

  tagship onboard {SECOND} \\
{flags}      --into $SAMPLES

It prints these commands. infra/deploy.sh shows what each stack makes, and asks:

  infra/deploy.sh shop-service infra/service.yaml $SAMPLES/shop-product.service.json
  infra/deploy.sh shop-pipeline infra/pipeline.yaml $SAMPLES/shop.pipeline.json
  tagship settings set {SECOND} $SAMPLES/shop-product.settings.json
  tagship doctor {SECOND}

It waits as long as on AWS. DrainSeconds in the first file, DRAIN and TIMEOUTS in the last (docs/SETTINGS.md) make it quick,
as {ROLE} is. Then it is released, answered and reached as that is:

  tagship release {SECOND} $SAMPLES/good.zip
  tagship approve {SECOND}
  tagship reject {SECOND}
{second}

Or with the AWS CLI. Upload a release:

  aws s3 cp $SAMPLES/good.zip s3://{bucket}/release.zip
  aws s3 cp $SAMPLES/sick.zip s3://{bucket}/release.zip          # fails its health check
  aws s3 cp $SAMPLES/broken-hook.zip s3://{bucket}/release.zip   # fails in a hook

Watch it, approve it (or write status=Rejected), and find the token for that in the first one's answer:

  aws codepipeline get-pipeline-state --name {PIPELINE}
  aws codepipeline list-pipeline-executions --pipeline-name {PIPELINE}
  aws codepipeline put-approval-result --pipeline-name {PIPELINE} --stage-name Release --action-name QaApproval \\
      --result status=Approved,summary=ok --token TOKEN
  aws codepipeline put-approval-result --pipeline-name {PIPELINE} --stage-name Release --action-name FinalApproval \\
      --result status=Approved,summary=ok --token TOKEN
  aws codepipeline start-pipeline-execution --name {PIPELINE}
  aws codepipeline stop-pipeline-execution --pipeline-name {PIPELINE} --pipeline-execution-id EXECUTION --abandon

Reach what serves, and the candidate by name:

{listeners}  dig @127.0.0.1 -p {dns} candidate.web-product.cd.internal
  dig @127.0.0.1 -p {dns} live.web-product.cd.internal

Look at the hold and the history, and do what ops do:

  aws s3 ls --recursive s3://{holds}
  aws lambda invoke --function-name tagship-cleanup --payload '{{\"tagship\": {{\"action\": \"sweep\"}}}}' /dev/stdout

The functions' logs are in {logs}. Mails go to {topic}, and are told in the first terminal.
"
    )
}
