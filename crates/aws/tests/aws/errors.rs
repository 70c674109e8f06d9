//! Each kind of error, in each of AWS's protocols.

use crate::account::{Everything, RELEASE, any_settings, cloud, emulator, hold, job, look, port, release};
use tagship::{Action, Artifact, Error, Held, Holding, Kind, NameChange, Parts, Port, Record, Step};
use tagship_cloud::gateway::{Effect, Fault, Gateway, When};

fn ids() -> Vec<String> {
    vec!["i-1".to_owned()]
}

fn stop() -> Step {
    Step::Stop { instances: ids() }
}

fn terminate() -> Step {
    Step::Terminate { instances: ids() }
}

fn associate() -> Step {
    Step::AssociateAddress { address: "eipalloc-1".to_owned(), instance: "i-1".to_owned() }
}

fn launch() -> Step {
    Step::Launch(Box::new(tagship::Launch {
        role: crate::account::role(),
        release: release(RELEASE),
        subnet: "subnet-1".to_owned(),
        instance_type: "t3.micro".to_owned(),
        count: 1,
        client_token: "token".to_owned(),
        ami: "ami-1".to_owned(),
        security_groups: vec!["sg-1".to_owned()],
        instance_profile: "web".to_owned(),
        key_name: None,
        user_data: Some("password=hunter2".to_owned()),
        imds_hops: 1,
        volume: None,
        lasting: std::collections::BTreeMap::new(),
        tags: Vec::new(),
    }))
}

fn register() -> Step {
    Step::Register { group: "arn:group".to_owned(), instances: ids(), port: 8080 }
}

fn create() -> Step {
    let artifact = Artifact { bucket: "b".to_owned(), key: "k".to_owned(), version: None, etag: None };
    Step::CreateDeployment { release: release(RELEASE), artifact }
}

fn stop_deployment() -> Step {
    Step::StopDeployment { deployment: "d-123456789".to_owned() }
}

fn delete_hold() -> Step {
    Step::DeleteHold { etag: "\"1\"".to_owned() }
}

fn names() -> Step {
    let record = Record { name: "live.x.cd.internal".to_owned(), values: vec!["127.16.1.4".to_owned()], ttl: 10 };
    Step::ChangeNames { zone: "cd.internal".to_owned(), changes: vec![NameChange::Upsert(record)] }
}

fn abandon() -> Step {
    Step::Abandon {
        release: release(RELEASE),
        pipeline: "mzum-web".to_owned(),
        action: Action::Discard,
        reason: "its execution failed".to_owned(),
    }
}

/// What AWS answers to the step's call, and what has to become of it: its kind, and words of its message.
async fn check(gateway: &Gateway, step: Step, service: &str, effect: Effect, kind: Kind, words: &[&str]) {
    let before = gateway.recorder().records().len();
    let fault = gateway.faults().add(Fault {
        caller: None,
        service: service.to_owned(),
        operation: None,
        when: When::Always,
        effect: effect.clone(),
    });
    let error = apply(&gateway.url(), &step).await.expect_err("an error");
    assert_eq!(error.kind, kind, "{step} met {effect:?}: {error}");
    for word in words {
        assert!(error.message.contains(word), "{word:?} is not in: {error}");
    }
    assert!(!error.message.contains("hunter2"), "{error}");
    gateway.faults().remove(fault);
    assert_eq!(gateway.recorder().records().len(), before + 1, "a changing call is never repeated");
}

async fn apply(url: &str, step: &Step) -> Result<(), Error> {
    let cloud = cloud(url, &[("TAGSHIP_BUCKET", "holds")]).await;
    let held = Held { hold: hold(any_settings()), etag: "\"1\"".to_owned(), freed: false };
    let holding = Holding { held: Some(held), ended: None };
    let job = job(Action::Retire);
    let settings = holding.held.as_ref().map(|held| &held.hold.settings);
    let look = look(&job, &holding, settings, Parts::NONE);
    port::<Everything>(&cloud).apply(&look, step).await.map(drop)
}

fn code(code: &str) -> Effect {
    Effect::error(code, "AWS's own words")
}

fn status(status: u16, code: &str) -> Effect {
    Effect::Error { status, code: code.to_owned(), message: "AWS's own words".to_owned() }
}

#[tokio::test]
async fn every_protocol_tells_action_resource_code_and_words() {
    let (_moto, gateway) = emulator().await;
    let denied = "Allow ";
    for (step, service, denial, words) in [
        (stop(), "ec2", "UnauthorizedOperation", ["ec2:StopInstances on i-1", "AWS's own words", denied]),
        (
            register(),
            "elasticloadbalancing",
            "AccessDenied",
            ["elasticloadbalancing:RegisterTargets on arn:group", "AWS's own words", denied],
        ),
        (delete_hold(), "s3", "AccessDenied", ["s3:DeleteObject on s3://holds/holds/", "AWS's own words", denied]),
        (names(), "route53", "AccessDenied", ["route53:ListHostedZonesByName on cd.internal", "AWS's own", denied]),
        (
            create(),
            "codedeploy",
            "AccessDeniedException",
            ["codedeploy:CreateDeployment on web/product of s3://b/k", "AWS's own words", denied],
        ),
        (abandon(), "events", "AccessDeniedException", ["events:PutEvents on Release Abandoned", "AWS's own", denied]),
    ] {
        check(&gateway, step, service, code(denial), Kind::Denied, &words).await;
    }
}

#[tokio::test]
async fn codes_decide_what_can_be_done() {
    let (_moto, gateway) = emulator().await;
    for (step, service, effect, kind, words) in [
        (launch(), "ec2", status(500, "InsufficientInstanceCapacity"), Kind::Capacity, "t3.micro in subnet-1"),
        (launch(), "ec2", code("VcpuLimitExceeded"), Kind::Capacity, "ec2:RunInstances"),
        (launch(), "ec2", code("Unsupported"), Kind::Capacity, "AWS's own words"),
        (launch(), "ec2", code("IdempotentParameterMismatch"), Kind::Conflict, ""),
        (launch(), "ec2", code("InvalidAMIID.NotFound"), Kind::Configuration, "Correct AMI in the service's settings"),
        (launch(), "ec2", code("InvalidSubnetID.NotFound"), Kind::Configuration, "Correct SUBNET"),
        (launch(), "ec2", code("InvalidKeyPair.NotFound"), Kind::Configuration, "Correct KEY_NAME"),
        (
            launch(),
            "ec2",
            Effect::error("InvalidParameterValue", "Value (web) for parameter iamInstanceProfile.name is invalid."),
            Kind::Configuration,
            "Correct INSTANCE_PROFILE",
        ),
        (launch(), "ec2", code("RequestLimitExceeded"), Kind::Throttled, ""),
        (launch(), "ec2", status(503, "Unavailable"), Kind::Unavailable, ""),
        (stop(), "ec2", code("IncorrectInstanceState"), Kind::Conflict, ""),
        (stop(), "ec2", code("InvalidInstanceID.NotFound"), Kind::Conflict, ""),
        (associate(), "ec2", code("Resource.AlreadyAssociated"), Kind::Conflict, ""),
        // It died since it was seen running.
        (associate(), "ec2", code("InvalidInstanceID"), Kind::Conflict, ""),
        (register(), "elasticloadbalancing", code("InvalidTarget"), Kind::Conflict, ""),
        (register(), "elasticloadbalancing", code("Throttling"), Kind::Throttled, ""),
        (register(), "elasticloadbalancing", code("TooManyTargets"), Kind::Configuration, "lower COUNT"),
        (delete_hold(), "s3", status(412, "PreconditionFailed"), Kind::Conflict, ""),
        (delete_hold(), "s3", status(409, "ConditionalRequestConflict"), Kind::Conflict, ""),
        (delete_hold(), "s3", status(503, "SlowDown"), Kind::Throttled, ""),
        (create(), "codedeploy", code("DeploymentLimitExceededException"), Kind::Conflict, ""),
        (create(), "codedeploy", code("DeploymentGroupDoesNotExistException"), Kind::Configuration, "Correct DEPLOY"),
        (stop_deployment(), "codedeploy", code("DeploymentDoesNotExistException"), Kind::Conflict, ""),
        (create(), "codedeploy", code("ThrottlingException"), Kind::Throttled, ""),
        (abandon(), "events", status(500, "InternalException"), Kind::Unavailable, ""),
        // It may have taken effect.
        (stop(), "ec2", Effect::LoseReply, Kind::Unavailable, "got no answer"),
    ] {
        check(&gateway, step, service, effect, kind, &[words]).await;
    }
}

/// What isn't in the table is AWS's refusal: neither the build's fault nor ours.
#[tokio::test]
async fn an_unknown_code_is_judged_by_its_status() {
    let (_moto, gateway) = emulator().await;
    for (answer, kind) in [
        (400, Kind::Refused),
        (403, Kind::Denied),
        (404, Kind::Conflict),
        (429, Kind::Throttled),
        (500, Kind::Unavailable),
        (503, Kind::Unavailable),
    ] {
        check(&gateway, stop(), "ec2", status(answer, "NobodyKnows"), kind, &["NobodyKnows: AWS's own words"]).await;
    }
}

/// The same code means one thing to one operation, or with these words, and another elsewhere.
#[tokio::test]
async fn operation_and_words_tell_codes_apart() {
    let (_moto, gateway) = emulator().await;
    let said = Effect::error;
    for (step, service, effect, kind, words) in [
        (
            terminate(),
            "ec2",
            said(
                "OperationNotPermitted",
                "The instance 'i-1' may not be terminated. Modify its 'disableApiTermination' instance attribute",
            ),
            Kind::Protected,
            "--no-disable-api-termination",
        ),
        (stop(), "ec2", code("OperationNotPermitted"), Kind::Protected, "--no-disable-api-stop"),
        (associate(), "ec2", code("OperationNotPermitted"), Kind::Refused, ""),
        (
            launch(),
            "ec2",
            said("AuthFailure", "Not authorized for images: [ami-1]"),
            Kind::Configuration,
            "The image isn't shared with this account",
        ),
        (
            launch(),
            "ec2",
            said("AuthFailure", "AWS was not able to validate the provided access credentials"),
            Kind::Denied,
            "Allow ec2:RunInstances",
        ),
        (
            launch(),
            "ec2",
            said(
                "OptInRequired",
                "In order to use this AWS Marketplace product you need to accept terms and subscribe. To do so please \
                 visit https://aws.amazon.com/marketplace/pp?sku=x",
            ),
            Kind::Configuration,
            "subscribe to it from this account",
        ),
        (stop(), "ec2", code("OptInRequired"), Kind::Refused, "isn't signed up"),
        (launch(), "ec2", code("IdempotentInstanceTerminated"), Kind::Spent, ""),
        (launch(), "ec2", code("VolumeLimitExceeded"), Kind::Capacity, ""),
        (launch(), "ec2", code("Client.VolumeLimitExceeded"), Kind::Capacity, ""),
        (launch(), "ec2", code("Server.InsufficientInstanceCapacity"), Kind::Capacity, ""),
        (launch(), "ec2", code("Client.InternalError"), Kind::Denied, "kms:CreateGrant"),
        (stop(), "ec2", code("Unsupported"), Kind::Refused, ""),
        (stop(), "ec2", code("UnsupportedOperation"), Kind::Configuration, "KEEP \"terminate\""),
        (
            register(),
            "elasticloadbalancing",
            said("InvalidTarget", "The following targets are not in the target group VPC 'vpc-1': 'i-1'"),
            Kind::Configuration,
            "must be in one VPC",
        ),
        (
            register(),
            "elasticloadbalancing",
            said("InvalidTarget", "The following targets are not in a running state and cannot be registered: 'i-1'"),
            Kind::Conflict,
            "",
        ),
        (
            launch(),
            "ec2",
            said("InvalidParameterValue", "Invalid value for instanceType."),
            Kind::Configuration,
            "Correct INSTANCE_TYPE",
        ),
        (associate(), "ec2", said("InvalidParameterValue", "Invalid volume."), Kind::Configuration, ""),
    ] {
        check(&gateway, step, service, effect, kind, &[words]).await;
    }
}

#[tokio::test]
async fn nobody_listening_is_unavailable() {
    let error = apply("http://127.0.0.1:1", &stop()).await.expect_err("nobody listens");
    assert_eq!(error.kind, Kind::Unavailable, "{error}");
}
