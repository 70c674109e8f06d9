//! The emulated account behind the gateway: real HTTP, AWS's own protocols.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tagship_local::gateway::{Effect, Fault, Gateway, When};
use tagship_local::moto::{Behaviour, Client, InstancesBy, Moto, TargetsBy};

/// The emulator and the gateway in front of it; everything ends when this is dropped.
struct Cloud {
    gateway: Gateway,
    plugin: Client,
    http: reqwest::Client,
    _moto: Moto,
}

/// A reply: status and body.
type Answer = (u16, String);

impl Cloud {
    async fn start() -> Self {
        let moto = Moto::start()
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        let gateway = Gateway::start(moto.address()).await.expect("a gateway");
        let http = reqwest::Client::new();
        Self {
            gateway,
            plugin: moto.client(),
            http,
            _moto: moto,
        }
    }

    /// A call in the query protocol.
    async fn query(
        &self,
        caller: &str,
        service: &str,
        action: &str,
        params: &[(&str, &str)],
    ) -> Answer {
        let version = if service == "ec2" {
            "2016-11-15"
        } else {
            "2015-12-01"
        };
        let mut form = format!("Action={action}&Version={version}");
        for (name, value) in params {
            form += &format!("&{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC));
        }
        let request = self
            .http
            .post(self.gateway.url())
            .header("authorization", signature(caller, service))
            .header(
                "content-type",
                "application/x-www-form-urlencoded; charset=utf-8",
            )
            .body(form);
        answer(request).await.expect("an answer")
    }

    /// A call over REST.
    async fn rest(
        &self,
        service: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let method = method.parse().expect("a method");
        let mut request = self
            .http
            .request(method, self.gateway.url() + path)
            .header("authorization", signature("ops", service))
            .body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(request).await.expect("an answer")
    }
}

fn signature(caller: &str, service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential={caller}/20260101/us-east-1/{service}/aws4_request, \
         SignedHeaders=host, Signature=0"
    )
}

async fn answer(request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.send().await?;
    Ok((response.status().as_u16(), response.text().await?))
}

/// What stands in the first `<name>`.
fn element<'a>(xml: &'a str, name: &str) -> &'a str {
    let (_, rest) = xml
        .split_once(&format!("<{name}>"))
        .unwrap_or_else(|| panic!("no {name} in {xml}"));
    rest.split_once("</").map_or(rest, |(value, _)| value)
}

#[tokio::test]
async fn s3_keeps_its_semantics_through_the_gateway() {
    let cloud = Cloud::start().await;
    let ok = cloud.rest("s3", "PUT", "/bucket", &[], "").await;
    assert_eq!(ok.0, 200, "{}", ok.1);
    let create = [("if-none-match", "*")];
    assert_eq!(
        cloud
            .rest("s3", "PUT", "/bucket/hold", &create, "one")
            .await
            .0,
        200
    );
    assert_eq!(
        cloud
            .rest("s3", "PUT", "/bucket/hold", &create, "two")
            .await
            .0,
        412
    );
    assert_eq!(
        cloud.rest("s3", "GET", "/bucket/hold", &[], "").await,
        (200, "one".into())
    );
    let stale = [("if-match", "\"0\"")];
    assert_eq!(
        cloud
            .rest("s3", "DELETE", "/bucket/hold", &stale, "")
            .await
            .0,
        412
    );
    assert_eq!(
        cloud.rest("s3", "HEAD", "/bucket/hold", &[], "").await,
        (200, String::new())
    );
    let calls = cloud.gateway.recorder().counts();
    let count = |operation: &str| {
        calls
            .get(&("ops".into(), "s3".into(), operation.into()))
            .copied()
    };
    assert_eq!(count("PutObject"), Some(2));
    assert_eq!(count("HeadObject"), Some(1));
}

#[tokio::test]
async fn faults_speak_the_protocol_of_the_call() {
    let cloud = Cloud::start().await;
    for service in ["ec2", "elasticloadbalancing", "s3", "route53", "codedeploy"] {
        cloud.gateway.faults().add(Fault {
            caller: None,
            service: service.into(),
            operation: None,
            when: When::First(1),
            effect: Effect::error("Throttling", "slow <down>"),
        });
    }
    let xml = "<Code>Throttling</Code><Message>slow &lt;down&gt;</Message>";
    let check = |(status, body): Answer, expected: &str| {
        assert_eq!(status, 400);
        assert!(body.contains(expected), "{expected} not in {body}");
    };
    let vpcs = ("ec2", "DescribeVpcs");
    check(
        cloud.query("route", vpcs.0, vpcs.1, &[]).await,
        &format!("<Response><Errors><Error>{xml}"),
    );
    assert_eq!(
        cloud.query("route", vpcs.0, vpcs.1, &[]).await.0,
        200,
        "only the first"
    );
    let elb = cloud
        .query("route", "elasticloadbalancing", "DescribeTargetGroups", &[])
        .await;
    check(elb, &format!("<Type>Sender</Type>{xml}"));
    check(
        cloud.rest("s3", "GET", "/bucket/key", &[], "").await,
        &format!("<Error>{xml}"),
    );
    check(
        cloud
            .rest("route53", "GET", "/2013-04-01/hostedzone", &[], "")
            .await,
        xml,
    );
    let target = [("x-amz-target", "CodeDeploy_20141006.GetDeployment")];
    check(
        cloud.rest("codedeploy", "POST", "/", &target, "{}").await,
        r#""__type":"Throttling""#,
    );
}

#[tokio::test]
async fn a_lost_reply_is_a_call_that_was_carried_out() {
    let cloud = Cloud::start().await;
    cloud.gateway.faults().add(Fault {
        caller: Some("ops".into()),
        service: "s3".into(),
        operation: Some("CreateBucket".into()),
        when: When::Nth(1),
        effect: Effect::LoseReply,
    });
    let request = cloud
        .http
        .put(cloud.gateway.url() + "/bucket")
        .header("authorization", signature("ops", "s3"));
    assert!(answer(request).await.is_err(), "the reply should be lost");
    assert_eq!(cloud.rest("s3", "HEAD", "/bucket", &[], "").await.0, 200);
    let records = cloud.gateway.recorder().records();
    assert_eq!(records.first().map(|record| record.status), Some(None));
    assert!(
        records
            .iter()
            .all(|record| !record.request.headers.contains_key("authorization"))
    );
}

#[tokio::test]
async fn a_launch_is_idempotent_even_while_the_first_is_in_flight() {
    let cloud = Cloud::start().await;
    let timer = Behaviour {
        instances: Some(InstancesBy::Timer),
        targets: Some(TargetsBy::Timer),
        boot_secs: Some(0.0),
        ..Behaviour::default()
    };
    cloud.plugin.configure(&timer).await.expect("configured");
    let (_, vpc) = cloud
        .query("ops", "ec2", "CreateVpc", &[("CidrBlock", "127.16.0.0/16")])
        .await;
    let vpc = [
        ("VpcId", element(&vpc, "vpcId")),
        ("CidrBlock", "127.16.16.0/20"),
    ];
    let (_, subnet) = cloud.query("ops", "ec2", "CreateSubnet", &vpc).await;
    let image = [("Name", "image"), ("RootDeviceName", "/dev/xvda")];
    let (_, image) = cloud.query("ops", "ec2", "RegisterImage", &image).await;
    let launch = |count: &'static str| {
        [
            ("ImageId", element(&image, "imageId")),
            ("SubnetId", element(&subnet, "subnetId")),
            ("InstanceType", "t3.micro"),
            ("MinCount", count),
            ("MaxCount", count),
            ("ClientToken", "token"),
        ]
    };
    let two = launch("2");
    let (first, second) = tokio::join!(
        cloud.query("provision", "ec2", "RunInstances", &two),
        cloud.query("provision", "ec2", "RunInstances", &two),
    );
    assert_eq!(first.0, 200, "{}", first.1);
    assert_eq!(
        element(&first.1, "instanceId"),
        element(&second.1, "instanceId")
    );
    let other = cloud
        .query("provision", "ec2", "RunInstances", &launch("3"))
        .await;
    assert_eq!(
        (other.0, element(&other.1, "Code")),
        (400, "IdempotentParameterMismatch")
    );

    let mut states = cloud
        .plugin
        .watch(Duration::from_millis(20))
        .await
        .expect("states");
    let running = states.wait_for(|state| {
        state
            .instances
            .iter()
            .all(|i| i.state == tagship_local::state::InstanceState::Running)
    });
    let state = running.await.expect("a state");
    assert_eq!(state.instances.len(), 2, "{:?}", state.instances);
    let calls = cloud.gateway.recorder().counts();
    assert_eq!(
        calls.get(&("provision".into(), "ec2".into(), "RunInstances".into())),
        Some(&3)
    );
}
