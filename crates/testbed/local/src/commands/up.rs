//! The cloud left running for a person: a rehearsal, by the commands that are used on AWS, whose story is told live.

use crate::artifact::{Variant, pack};
use crate::commands::teller::Teller;
use crate::commands::{demo, page, story};
use crate::local::{Line, Local, Plan};
use std::fmt::Write;
use std::path::Path;
use tagship_cloud::setup::ops_environment;

const PIPELINE: &str = "web";
const ROLE: &str = "WEB_PRODUCT";
const HOST: &str = "web.example.com";
/// A second service: its stacks are there, its settings aren't.
const SECOND: (&str, &str, &str) = ("shop", "SHOP_PRODUCT", "shop.example.com");
/// What is told begins so far to the right: a release's first eight characters stand there.
const WHO: u16 = 9;

/// Brings it up, says what to try, and tells what happens until it is dropped.
pub async fn run() -> Result<(), demo::Error> {
    println!("setting up an account on this machine …");
    let (pipeline, role, host) = SECOND;
    let second = Line { settled: false, ..Line::quick(pipeline, role, host, 20) };
    let local = Local::start(Plan::new(vec![Line::quick(PIPELINE, ROLE, HOST, 10), second.clone()])).await?;
    let dir = local.dir.path();
    let samples = dir.join("samples");
    std::fs::create_dir_all(&samples)?;
    for (name, variant) in
        [("good", Variant::Healthy), ("sick", Variant::Unhealthy), ("broken-hook", Variant::HookFails)]
    {
        std::fs::write(samples.join(format!("{name}.zip")), pack(name, variant)?)?;
    }
    let settings = second.settings(&local.account.services[role].settings);
    std::fs::write(samples.join("shop.json"), format!("{settings:#}\n"))?;
    std::fs::write(dir.join("env"), environment(&local, &samples))?;
    let more = dir.join("more");
    std::fs::write(&more, further(&local).await)?;
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
A second service is set up, all but its settings:
  tagship settings set SHOP_PRODUCT $SAMPLES/shop.json
  tagship doctor SHOP_PRODUCT
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
async fn further(local: &Local) -> String {
    let service = &local.account.services[ROLE];
    let mut listeners = String::new();
    if let Some(balancer) = &local.balancer {
        let (name, arn) = ("HTTPS", &local.account.https_listener);
        let address = balancer.address(arn).await;
        let _ = writeln!(listeners, "  curl -i -H 'Host: {HOST}' http://{address}/   # {name} listener");
    }
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

The second service, released as the first is:

  tagship release SHOP_PRODUCT $SAMPLES/good.zip

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
