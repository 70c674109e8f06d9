//! Calls that IAM denies, a read and a change of each function: a `PermissionError` with the action and the
//! resource; once allowed, the same action goes on.

use serde_json::{Value, json};
use std::sync::Arc;
use tagship_local::artifact::{Variant, pack};
use tagship_local::gateway::{Effect, Fault, When};
use tagship_local::{Line, Local};
use tagship_tests::desk::{Desk, Verdict, artifact};
use tagship_tests::releases::{Releases, cloud};
use tagship_tests::words::says;

const DENIED: &str = "You are not authorized to perform this operation";

/// One release of a service, acted on without a pipeline.
struct Release<'a> {
    local: &'a Local,
    desk: Arc<Desk>,
    service: Releases<'a>,
    id: String,
}

impl Release<'_> {
    async fn act(&self, stage: &str, action: Option<&str>) -> Verdict {
        let mut parameters =
            json!({"serviceRole": self.service.role, "release": self.id, "pipeline": self.service.pipeline});
        if let Some(action) = action {
            parameters["action"] = action.into();
        }
        let bucket = &self.local.account.services[self.service.role].bucket;
        let inputs = if stage == "deploy" { artifact(bucket, "app.zip") } else { json!([]) };
        self.desk.job(self.local, stage, Some(&parameters.to_string()), inputs, 1).await
    }

    /// The action has to fail by each of these denials, told with these words, and to succeed without.
    async fn check(&self, stage: &str, action: Option<&str>, denials: &[(&str, &str, u16, &str, &[&str])]) {
        for (service, operation, status, code, words) in denials {
            let fault = self.local.gateway.faults().add(Fault {
                caller: Some(stage.to_owned()),
                service: (*service).to_owned(),
                operation: Some((*operation).to_owned()),
                when: When::Always,
                effect: Effect::Error { status: *status, code: (*code).to_owned(), message: DENIED.to_owned() },
            });
            let verdict = self.act(stage, action).await;
            let Verdict::Failed(kind, message) = verdict else { panic!("{operation}: {verdict:?}") };
            assert_eq!(kind, "PermissionError", "{operation}: {message}");
            says(operation, &message, &[words, &[DENIED][..]].concat());
            self.local.gateway.faults().remove(fault);
        }
        let verdict = self.act(stage, action).await;
        assert!(matches!(verdict, Verdict::Succeeded(_)), "{stage}: {verdict:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_call_is_told_with_its_action_and_resource() {
    let lines = [
        Line::quick("web", "WEB_PRODUCT", "web.example.com", 10),
        Line::quick("shop", "SHOP_PRODUCT", "shop.example.com", 20),
    ];
    let local = cloud(lines.to_vec()).await;
    let desk = Desk::open(&local);
    for line in &lines {
        let bucket = &local.account.services[&line.product.service_role].bucket;
        local.ops.upload(bucket, "app.zip", pack("r1", Variant::Healthy).expect("a zip")).await.expect("an upload");
    }
    let [web, shop] = [0, 1].map(|n| Release {
        local: &local,
        desk: desk.clone(),
        service: Releases::of(&local, &lines[n]),
        id: uuid::Uuid::new_v4().to_string(),
    });
    let left = "Left behind of release";
    let bucket = local.account.bucket.as_str();

    // bad_input.rs has what provision is denied. A denial meets both services, but each has already made the calls that
    // the other is denied.
    tokio::join!(web.check("provision", None, &[]), shop.check("provision", None, &[]));
    shop.check("deploy", None, &[]).await;
    let goes_live = async {
        let changes: &[_] = &[
            (
                "codedeploy",
                "GetDeploymentGroup",
                400,
                "AccessDeniedException",
                ["codedeploy:GetDeploymentGroup", "web"].as_slice(),
            ),
            (
                "elasticloadbalancing",
                "RegisterTargets",
                403,
                "AccessDenied",
                &["elasticloadbalancing:RegisterTargets", "targetgroup/", left, &web.id, "2 instances (i-"],
            ),
        ];
        web.check("deploy", None, changes).await;
        let changes: &[_] = &[
            (
                "elasticloadbalancing",
                "DescribeTargetHealth",
                403,
                "AccessDenied",
                ["elasticloadbalancing:DescribeTargetHealth", "service-web-product"].as_slice(),
            ),
            (
                "elasticloadbalancing",
                "ModifyRule",
                403,
                "AccessDenied",
                &["elasticloadbalancing:ModifyRule", "HTTP:80 rule 10 (web.example.com)", left],
            ),
        ];
        web.check("route", None, changes).await;
    };
    let is_discarded = async {
        let changes: &[_] = &[
            (
                "elasticloadbalancing",
                "DeregisterTargets",
                403,
                "AccessDenied",
                ["elasticloadbalancing:DeregisterTargets", "targetgroup/"].as_slice(),
            ),
            ("ec2", "TerminateInstances", 403, "UnauthorizedOperation", &["ec2:TerminateInstances", "i-"]),
        ];
        shop.check("cleanup", Some("discard"), changes).await;
        shop.service.freed().await;
    };
    tokio::join!(goes_live, is_discarded);
    let hold: &[&str] = &["s3:PutObject", bucket, "holds/WEB_PRODUCT.json"];
    let changes: &[_] = &[
        ("s3", "PutObject", 403, "AccessDenied", hold),
        ("ec2", "DescribeAddresses", 403, "UnauthorizedOperation", &["ec2:DescribeAddresses", "WEB_PRODUCT"]),
    ];
    web.check("cleanup", None, changes).await;
    web.service.assert_alone(&web.id).await;

    // Sweep is asked by a schedule: its failure is Lambda's.
    local.gateway.faults().add(Fault {
        caller: Some("cleanup".to_owned()),
        service: "s3".to_owned(),
        operation: Some("ListObjectsV2".to_owned()),
        when: When::Always,
        effect: Effect::Error { status: 403, code: "AccessDenied".to_owned(), message: DENIED.to_owned() },
    });
    let sweep: Value = json!({"tagship": {"action": "sweep"}});
    let error = local.ops.invoke("tagship-cleanup", &sweep).await.expect_err("an error").to_string();
    says("sweep", &error, &["PermissionError", "s3:ListBucket", bucket]);
}
