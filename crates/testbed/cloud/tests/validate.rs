//! Recorded requests held against AWS's service models, and proof that the models are asked.

use tagship_cloud::gateway::Gateway;
use tagship_cloud::moto::Moto;
use tagship_cloud::setup::{self, ServicePlan};
use tagship_cloud::validate::{self, Verdict};

#[tokio::test]
async fn what_the_gateway_records_can_be_validated() {
    let moto = Moto::start().await.unwrap_or_else(|error| panic!("{error}"));
    let gateway = Gateway::start(moto.address()).await.expect("a gateway");
    let plan = [ServicePlan::quick("WEB", "web", "web.example.com", 1)];
    setup::set_up(&gateway.url(), 16, &plan, &[]).await.unwrap_or_else(|error| panic!("{error}"));
    let file = tempfile::NamedTempFile::new().expect("a file");
    let Verdict { passed, said } = validate::recorded(gateway.recorder(), file.path()).await.expect("a verdict");
    assert!(passed, "{said}");
    let recorded = gateway.recorder().records().len();
    assert!(said.contains(&format!("{recorded} requests")), "{said}");
}

/// A recorded call; `body` is a form for EC2 and Elastic Load Balancing, else JSON or XML.
fn call(service: &str, operation: &str, path: &str, body: &str) -> String {
    let form = matches!(service, "ec2" | "elasticloadbalancing");
    let body = if form { format!("Action={operation}&Version=1&{body}") } else { body.to_owned() };
    serde_json::json!({
        "caller": "route", "service": service, "operation": operation,
        "request": {"method": "POST", "path": path, "query": "", "headers": {}, "body": body},
    })
    .to_string()
}

/// Each call and what must be said of it; "" for nothing.
const CALLS: [(&str, &str, &str, &str, &str); 18] = [
    ("ec2", "TerminateInstances", "/", "InstanceId.1=i-1", ""),
    ("ec2", "TerminateInstances", "/", "", "InstanceIds: required, but missing"),
    ("ec2", "TerminateInstances", "/", "InstanceId.1=i-1&InstanceIds.2=i-2", "InstanceIds.2: not in the model"),
    ("ec2", "AllocateAddress", "/", "Domain=moon", "Domain: 'moon' is none of vpc, standard"),
    ("ec2", "RunInstances", "/", "MinCount=one&MaxCount=1", "does not parse"),
    ("elasticloadbalancing", "DescribeTags", "/", "", "ResourceArns: required, but missing"),
    ("elasticloadbalancing", "DescribeListeners", "/", "PageSize=401", "PageSize: 401 is more than 400"),
    (
        "elasticloadbalancing",
        "ModifyRule",
        "/",
        "RuleArn=a&Actions.member.1.Type=forwards",
        "Actions[0].Type: 'forwards' is none of forward",
    ),
    ("codepipeline", "PutJobSuccessResult", "/", r#"{"jobId": "0"}"#, "jobId: '0' does not match"),
    (
        "codepipeline",
        "PutJobFailureResult",
        "/",
        r#"{"jobId": "01234567-0123-0123-0123-012345678901", "failureDetails": {"type": "Bad", "message": ""}}"#,
        "failureDetails.message: 0 characters is less than 1",
    ),
    ("codedeploy", "GetDeployment", "/", r#"{"deploymentID": "d"}"#, "deploymentID: not in the model"),
    ("codedeploy", "GetDeployment", "/", "{", "does not parse"),
    ("codedeploy", "Guess", "/", "{}", "no such operation"),
    ("guess", "Guess", "/", "{}", "no such service"),
    ("route53", "ListResourceRecordSets", "/2013-04-01/hostedzone/Z1/rrset", "", ""),
    (
        "route53",
        "ChangeResourceRecordSets",
        "/2013-04-01/hostedzone/Z1/rrset/",
        "<R><ChangeBatch><Changes><Change><Action>PUT</Action><When>now</When></Change></Changes></ChangeBatch></R>",
        "When: not in the model",
    ),
    ("lambda", "Invoke", "/2015-03-31/functions/route/invocations", "{}", ""),
    ("s3", "GetObject", "/bucket", "", "Key: required, but missing"),
];

#[tokio::test]
async fn the_models_are_asked() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let lines: Vec<String> =
        CALLS.iter().map(|(service, operation, path, body, _)| call(service, operation, path, body)).collect();
    std::fs::write(file.path(), lines.join("\n")).expect("written");
    let Verdict { passed, said } = validate::recording(file.path()).await.expect("a verdict");
    assert!(!passed, "{said}");
    for (number, (service, operation, .., expected)) in CALLS.iter().enumerate() {
        let mark = format!(":{}: ", number + 1);
        let of_it: Vec<&str> = said.lines().filter(|line| line.contains(&mark)).collect();
        let fits =
            if expected.is_empty() { of_it.is_empty() } else { of_it.iter().any(|line| line.contains(expected)) };
        assert!(fits, "{service} {operation}: expected {expected:?} among {of_it:?}\n{said}");
    }
}

#[tokio::test]
async fn an_empty_recording_proves_nothing() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let Verdict { passed, said } = validate::recording(file.path()).await.expect("a verdict");
    assert!(!passed && said.contains("0 requests"), "{said}");
}
