//! The cloud left running for a person: addresses, and the commands to try.

use crate::artifact::{Variant, pack};
use crate::commands::demo;
use crate::local::{Line, Local, Plan};

const PIPELINE: &str = "web";
const ROLE: &str = "WEB_PRODUCT";
const HOST: &str = "web.example.com";

/// Brings it up, says what to try, and leaves it running until it is dropped.
pub async fn run() -> Result<(), demo::Error> {
    println!("setting up an account on this machine …");
    let local = Local::start(Plan::new(vec![Line::quick(PIPELINE, ROLE, HOST, 10)])).await?;
    let samples = local.dir.path().join("samples");
    std::fs::create_dir_all(&samples)?;
    for (name, variant) in
        [("good", Variant::Healthy), ("sick", Variant::Unhealthy), ("broken-hook", Variant::HookFails)]
    {
        std::fs::write(samples.join(format!("{name}.zip")), pack(name, variant)?)?;
    }
    print!("{}", text(&local, &samples).await);
    std::future::pending().await
}

async fn text(local: &Local, samples: &std::path::Path) -> String {
    let service = &local.account.services[ROLE];
    let mut listeners = String::new();
    if let Some(balancer) = &local.balancer {
        for (name, arn) in [("HTTP", &local.account.http_listener), ("HTTPS", &local.account.https_listener)] {
            let address = balancer.address(arn).await;
            listeners.push_str(&format!("  curl -i -H 'Host: {HOST}' http://{address}/   # the {name} listener\n"));
        }
    }
    let python = tagship_cloud::moto::python().unwrap_or_default();
    let bin = python.parent().and_then(|bin| bin.canonicalize().ok()).unwrap_or_default();
    let bin = bin.display();
    let functions = Plan::new(Vec::new()).functions;
    let functions = functions.display();
    let (url, region) = (local.gateway.url(), &local.account.region);
    let (bucket, topic) = (&service.bucket, &local.account.topic);
    let (logs, samples) = (local.logs(), samples.display());
    let (dns, holds) = (local.dns.address().port(), &local.account.bucket);
    let logs = logs.display();
    format!(
        "
A pipeline `{PIPELINE}` for the service {ROLE}, two instances a release. In another terminal:

  export PATH={functions}:{bin}:$PATH AWS_ENDPOINT_URL={url} AWS_ACCESS_KEY_ID=ops \\
      AWS_SECRET_ACCESS_KEY=local AWS_DEFAULT_REGION={region}

With the command (docs/CLI.md); it releases, approves, rejects and rolls back too:

  tagship status {ROLE}
  tagship doctor {ROLE}
  tagship history {ROLE}
  tagship why {ROLE}
  tagship settings show {ROLE}

The same as a page in your browser:

  tagship dashboard --act

Or with the AWS CLI:

Upload a release (your own zip with an appspec.yml; its application listens on $HOST:8080 and answers /health):

  aws s3 cp {samples}/good.zip s3://{bucket}/release.zip
  aws s3 cp {samples}/sick.zip s3://{bucket}/release.zip          # fails its health check
  aws s3 cp {samples}/broken-hook.zip s3://{bucket}/release.zip   # fails in a hook

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

The functions' logs are in {logs}. Notifications go to {topic}.
Ctrl-C ends all of it.
"
    )
}
