//! The emulated account behind the gateway: real HTTP, AWS's own protocols.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tagship_cloud::gateway::{Effect, Fault, Gateway, When};
use tagship_cloud::moto::{Behaviour, Capacity, Client, InstancesBy, Moto, TargetsBy};
use tagship_cloud::setup::{self, Account, ServicePlan};
use tagship_cloud::state::{Action, InstanceState, State};

/// The emulator and the gateway in front of it; everything ends when this is dropped.
struct Cloud {
    gateway: Gateway,
    plugin: Client,
    http: reqwest::Client,
    moto: Moto,
}

/// A reply: status and body.
type Answer = (u16, String);

impl Cloud {
    async fn start() -> Self {
        let moto = Moto::start().await.unwrap_or_else(|error| panic!("{error}"));
        let gateway = Gateway::start(moto.address()).await.expect("a gateway");
        let http = reqwest::Client::new();
        Self { gateway, plugin: moto.client(), http, moto }
    }

    /// A call in the query protocol.
    async fn query(&self, caller: &str, service: &str, action: &str, params: &[(&str, &str)]) -> Answer {
        let version = if service == "ec2" { "2016-11-15" } else { "2015-12-01" };
        let mut form = format!("Action={action}&Version={version}");
        for (name, value) in params {
            form += &format!("&{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC));
        }
        let request = self
            .http
            .post(self.gateway.url())
            .header("authorization", signature(caller, service))
            .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
            .body(form);
        answer(request).await.expect("an answer")
    }

    /// A call over REST.
    async fn rest(&self, service: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
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
    let (_, rest) = xml.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("no {name} in {xml}"));
    rest.split_once("</").map_or(rest, |(value, _)| value)
}

#[tokio::test]
async fn s3_keeps_its_semantics_through_the_gateway() {
    let cloud = Cloud::start().await;
    let ok = cloud.rest("s3", "PUT", "/bucket", &[], "").await;
    assert_eq!(ok.0, 200, "{}", ok.1);
    let create = [("if-none-match", "*")];
    assert_eq!(cloud.rest("s3", "PUT", "/bucket/hold", &create, "one").await.0, 200);
    assert_eq!(cloud.rest("s3", "PUT", "/bucket/hold", &create, "two").await.0, 412);
    assert_eq!(cloud.rest("s3", "GET", "/bucket/hold", &[], "").await, (200, "one".into()));
    let stale = [("if-match", "\"0\"")];
    assert_eq!(cloud.rest("s3", "DELETE", "/bucket/hold", &stale, "").await.0, 412);
    assert_eq!(cloud.rest("s3", "HEAD", "/bucket/hold", &[], "").await, (200, String::new()));
    let calls = cloud.gateway.recorder().counts();
    let count = |operation: &str| calls.get(&("ops".into(), "s3".into(), operation.into())).copied();
    assert_eq!(count("PutObject"), Some(2));
    assert_eq!(count("HeadObject"), Some(1));
}

#[tokio::test]
async fn of_many_who_create_an_object_at_once_one_does() {
    let cloud = Cloud::start().await;
    cloud.rest("s3", "PUT", "/bucket", &[], "").await;
    let create = [("if-none-match", "*")];
    let put = || cloud.rest("s3", "PUT", "/bucket/hold", &create, "mine");
    let (a, b, c, d, e, f) = tokio::join!(put(), put(), put(), put(), put(), put());
    let mut statuses = [a, b, c, d, e, f].map(|(status, _)| status);
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412, 412, 412, 412, 412]);
}

#[tokio::test]
async fn nothing_is_left_when_all_is_dropped() {
    let cloud = Cloud::start().await;
    let (moto, gateway) = (cloud.moto.address(), cloud.gateway.address());
    let mut states = cloud.plugin.watch(Duration::from_millis(10)).await.expect("states");
    drop(cloud);
    while states.changed().await.is_ok() {} // ends when the watcher finds no emulator
    for address in [moto, gateway] {
        assert!(tokio::net::TcpStream::connect(address).await.is_err(), "{address} is still listened on");
    }
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
    check(cloud.query("route", vpcs.0, vpcs.1, &[]).await, &format!("<Response><Errors><Error>{xml}"));
    assert_eq!(cloud.query("route", vpcs.0, vpcs.1, &[]).await.0, 200, "only the first");
    let elb = cloud.query("route", "elasticloadbalancing", "DescribeTargetGroups", &[]).await;
    check(elb, &format!("<Type>Sender</Type>{xml}"));
    check(cloud.rest("s3", "GET", "/bucket/key", &[], "").await, &format!("<Error>{xml}"));
    check(cloud.rest("route53", "GET", "/2013-04-01/hostedzone", &[], "").await, xml);
    let target = [("x-amz-target", "CodeDeploy_20141006.GetDeployment")];
    check(cloud.rest("codedeploy", "POST", "/", &target, "{}").await, r#""__type":"Throttling""#);
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
    let request = cloud.http.put(cloud.gateway.url() + "/bucket").header("authorization", signature("ops", "s3"));
    assert!(answer(request).await.is_err(), "the reply should be lost");
    assert_eq!(cloud.rest("s3", "HEAD", "/bucket", &[], "").await.0, 200);
    let records = cloud.gateway.recorder().records();
    assert_eq!(records.first().map(|record| record.status), Some(None));
    assert!(records.iter().all(|record| !record.request.headers.contains_key("authorization")));
}

/// A cloud in which time alone moves instances and targets, with one service of the template.
async fn cloud_with_service() -> (Cloud, Account) {
    let cloud = Cloud::start().await;
    let timer = Behaviour {
        instances: Some(InstancesBy::Timer),
        targets: Some(TargetsBy::Timer),
        boot_secs: Some(0.0),
        shutdown_secs: Some(0.0),
        healthy_secs: Some(0.0),
        ..Behaviour::default()
    };
    cloud.plugin.configure(&timer).await.expect("configured");
    let product = ServicePlan::quick(ROLE, "mzum-web", "web.example.com", 1);
    let plan = [ServicePlan { drain_secs: 0, ..product }];
    let account = setup::set_up(&cloud.gateway.url(), 16, &plan, &[]).await.unwrap_or_else(|error| panic!("{error}"));
    (cloud, account)
}

const ROLE: &str = "MZUM_WEB_PRODUCT";

/// A launch of `count` instances into the first subnet.
fn launch<'a>(account: &'a Account, count: &'a str, token: &'a str) -> [(&'a str, &'a str); 7] {
    [
        ("ImageId", &account.image),
        ("SubnetId", &account.subnets[0]),
        ("SecurityGroupId.1", &account.services[ROLE].security_group),
        ("InstanceType", "t3.micro"),
        ("MinCount", count),
        ("MaxCount", count),
        ("ClientToken", token),
    ]
}

/// The first snapshot in which all instances are in `state`.
async fn when_all(cloud: &Cloud, state: InstanceState) -> Arc<State> {
    let mut states = cloud.plugin.watch(Duration::from_millis(20)).await.expect("states");
    let all = states.wait_for(|s| !s.instances.is_empty() && s.instances.iter().all(|i| i.state == state));
    Arc::clone(&*all.await.expect("a state"))
}

#[tokio::test]
async fn a_launch_is_idempotent_even_while_the_first_is_in_flight() {
    let (cloud, account) = cloud_with_service().await;
    let two = launch(&account, "2", "token");
    let (first, second) = tokio::join!(
        cloud.query("provision", "ec2", "RunInstances", &two),
        cloud.query("provision", "ec2", "RunInstances", &two),
    );
    assert_eq!(first.0, 200, "{}", first.1);
    assert_eq!(element(&first.1, "instanceId"), element(&second.1, "instanceId"));
    let other = cloud.query("provision", "ec2", "RunInstances", &launch(&account, "3", "token")).await;
    assert_eq!((other.0, element(&other.1, "Code")), (400, "IdempotentParameterMismatch"));
    let state = when_all(&cloud, InstanceState::Running).await;
    assert_eq!(state.instances.len(), 2, "{:?}", state.instances);
    let calls = cloud.gateway.recorder().counts();
    assert_eq!(calls.get(&("provision".into(), "ec2".into(), "RunInstances".into())), Some(&3));
}

#[tokio::test]
async fn capacity_is_counted() {
    let (cloud, account) = cloud_with_service().await;
    let room_for_one = Behaviour {
        capacity: Some(vec![Capacity {
            subnet: account.subnets[0].clone(),
            instance_type: "*".into(),
            code: "InsufficientInstanceCapacity".into(),
            available: 1,
        }]),
        ..Behaviour::default()
    };
    cloud.plugin.configure(&room_for_one).await.expect("configured");
    let two = cloud.query("provision", "ec2", "RunInstances", &launch(&account, "2", "a")).await;
    assert_eq!((two.0, element(&two.1, "Code")), (500, "InsufficientInstanceCapacity"));
    let mut least_one = launch(&account, "2", "b");
    least_one[4] = ("MinCount", "1");
    let one = cloud.query("provision", "ec2", "RunInstances", &least_one).await;
    assert_eq!((one.0, one.1.matches("<instanceId>").count()), (200, 1), "{}", one.1);
}

#[tokio::test]
async fn the_template_gives_a_service_its_pair_and_switches() {
    let (cloud, account) = cloud_with_service().await;
    let service = &account.services[ROLE];
    let state = cloud.plugin.state().await.expect("a state");
    let switches: Vec<_> = state.listeners.iter().flat_map(|listener| &listener.rules).collect();
    assert_eq!(switches.iter().map(|rule| &rule.arn).collect::<Vec<_>>(), service.rules.iter().collect::<Vec<_>>());
    for rule in switches {
        assert_eq!(rule.hosts, ["web.example.com"]);
        let [Action::Forward { groups, stickiness_secs: None }] = rule.actions.as_slice() else {
            panic!("{rule:?}");
        };
        let weights: Vec<_> = groups.iter().map(|group| (&group.arn, group.weight)).collect();
        assert_eq!(weights, [(&service.target_groups[0], 100), (&service.target_groups[1], 0)]);
    }
    for group in &state.target_groups {
        assert_eq!(group.tags.get("tagship:service").map(String::as_str), Some(ROLE));
        assert_eq!((group.deregistration_delay_secs, group.health.interval_secs), (0, 2));
    }
    let tagged = [("x-amz-target", "ResourceGroupsTaggingAPI_20170126.GetResources"), ("content-type", JSON)];
    let filter = format!(r#"{{"TagFilters": [{{"Key": "tagship:service", "Values": ["{ROLE}"]}}]}}"#);
    let (_, found) = cloud.rest("tagging", "POST", "/", &tagged, &filter).await;
    for arn in service.target_groups.iter().chain(&service.rules) {
        assert!(found.contains(arn.as_str()), "{arn} not in {found}");
    }
    assert!(state.zones.iter().any(|zone| zone.name == "cd.internal" && zone.private));
    assert_eq!(service.settings["ZONE"], "cd.internal");
}

const JSON: &str = "application/x-amz-json-1.1";

#[tokio::test]
async fn targets_live_as_on_aws() {
    let (cloud, account) = cloud_with_service().await;
    let (_, launched) = cloud.query("provision", "ec2", "RunInstances", &launch(&account, "1", "a")).await;
    let id = element(&launched, "instanceId").to_owned();
    let group = account.services[ROLE].target_groups[1].as_str();
    let target = [("TargetGroupArn", group), ("Targets.member.1.Id", &id)];
    let elb = |action: &'static str| cloud.query("deploy", "elasticloadbalancing", action, &target);
    let health = async || {
        let (_, body) = elb("DescribeTargetHealth").await;
        let reason = body.contains("<Reason>").then(|| element(&body, "Reason").to_owned());
        (element(&body, "State").to_owned(), reason.unwrap_or_default())
    };
    let check = |(state, reason): (String, String), expected: (&str, &str)| {
        assert_eq!((state.as_str(), reason.as_str()), expected);
    };
    check(health().await, ("unused", "Target.NotRegistered"));
    assert_eq!(elb("DeregisterTargets").await.0, 200, "what is not registered is no error");
    when_all(&cloud, InstanceState::Running).await;
    assert_eq!(elb("RegisterTargets").await.0, 200);
    check(health().await, ("healthy", ""));
    let delay = [
        ("TargetGroupArn", group),
        ("Attributes.member.1.Key", "deregistration_delay.timeout_seconds"),
        ("Attributes.member.1.Value", "300"),
    ];
    cloud.query("ops", "elasticloadbalancing", "ModifyTargetGroupAttributes", &delay).await;
    assert_eq!(elb("DeregisterTargets").await.0, 200);
    check(health().await, ("draining", "Target.DeregistrationInProgress"));
    assert_eq!(elb("RegisterTargets").await.0, 200);
    check(health().await, ("healthy", ""));
    cloud.query("cleanup", "ec2", "TerminateInstances", &[("InstanceId.1", &id)]).await;
    check(health().await, ("draining", "Target.DeregistrationInProgress"));
    when_all(&cloud, InstanceState::Terminated).await;
    let (_, gone) = cloud.query("cleanup", "ec2", "DescribeInstances", &[("InstanceId.1", &id)]).await;
    assert!(!gone.contains("<subnetId>") && !gone.contains("<privateIpAddress>"), "{gone}");
    let (status, refused) = elb("RegisterTargets").await;
    assert_eq!((status, element(&refused, "Code")), (400, "InvalidTarget"));
}

#[tokio::test]
async fn an_unused_group_is_not_checked() {
    let (cloud, account) = cloud_with_service().await;
    for rule in &account.services[ROLE].rules {
        cloud.query("ops", "elasticloadbalancing", "DeleteRule", &[("RuleArn", rule)]).await;
    }
    let (_, launched) = cloud.query("provision", "ec2", "RunInstances", &launch(&account, "1", "a")).await;
    when_all(&cloud, InstanceState::Running).await;
    let group = account.services[ROLE].target_groups[0].as_str();
    let target = [("TargetGroupArn", group), ("Targets.member.1.Id", element(&launched, "instanceId"))];
    cloud.query("deploy", "elasticloadbalancing", "RegisterTargets", &target).await;
    let (_, health) = cloud.query("deploy", "elasticloadbalancing", "DescribeTargetHealth", &target).await;
    assert_eq!((element(&health, "State"), element(&health, "Reason")), ("unused", "Target.NotInUse"));
}

#[tokio::test]
async fn a_batch_of_names_is_all_or_nothing() {
    let (cloud, _) = cloud_with_service().await;
    let zone = cloud.plugin.state().await.expect("a state").zones[0].id.clone();
    let path = format!("/2013-04-01/hostedzone/{zone}/rrset/");
    let change = |action: &str, name: &str, value: &str| {
        format!(
            "<Change><Action>{action}</Action><ResourceRecordSet><Name>{name}.cd.internal</Name><Type>A</Type>\
             <TTL>10</TTL><ResourceRecords><ResourceRecord><Value>{value}</Value></ResourceRecord>\
             </ResourceRecords></ResourceRecordSet></Change>"
        )
    };
    let batch = async |changes: &[String]| {
        let body = format!(
            "<ChangeResourceRecordSetsRequest xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\">\
             <ChangeBatch><Changes>{}</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>",
            changes.concat()
        );
        cloud.rest("route53", "POST", &path, &[("content-type", "text/xml")], &body).await
    };
    assert_eq!(batch(&[change("UPSERT", "live", "127.16.16.4")]).await.0, 200);
    let stale = [change("UPSERT", "candidate", "127.16.16.5"), change("DELETE", "live", "127.16.16.9")];
    let (status, refused) = batch(&stale).await;
    assert_eq!((status, element(&refused, "Code")), (400, "InvalidChangeBatch"));
    let records = cloud.plugin.state().await.expect("a state").zones[0].records.clone();
    assert_eq!(records.iter().map(|record| record.name.as_str()).collect::<Vec<_>>(), ["live.cd.internal"]);
}

#[tokio::test]
async fn an_artifact_uploaded_with_the_aws_cli_arrives_whole_and_is_heard_of() {
    let cloud = Cloud::start().await;
    let url = cloud.gateway.url();
    let heard = Arc::new(Mutex::new(Vec::new()));
    for operation in ["PutObject", "CompleteMultipartUpload"] {
        let heard = Arc::clone(&heard);
        cloud.gateway.on_success("s3", operation, move |call, reply| {
            let version = reply.header("x-amz-version-id").is_some();
            heard.lock().expect("heard").push((call.operation.clone(), call.bucket_and_key(), version));
        });
    }
    let directory = tempfile::tempdir().expect("a directory");
    // Over 8 MiB the CLI uploads in parts.
    let artifact: Vec<u8> = (0..9 * 1024 * 1024_u32).map(|n| (n % 251) as u8).collect();
    std::fs::write(directory.path().join("large"), &artifact).expect("written");
    std::fs::write(directory.path().join("small"), b"small").expect("written");
    let aws = async |args: &[&str]| {
        let python = tagship_cloud::moto::python().expect("a Python");
        let output = tokio::process::Command::new(python.with_file_name("aws"))
            .args(args)
            .current_dir(&directory)
            .env_clear()
            .envs(setup::ops_environment(&url))
            .output()
            .await
            .expect("the CLI runs");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    aws(&["s3", "mb", "s3://bucket"]).await;
    aws(&["s3api", "put-bucket-versioning", "--bucket=bucket", "--versioning-configuration=Status=Enabled"]).await;
    aws(&["s3", "cp", "small", "s3://bucket/a key/small.zip"]).await;
    aws(&["s3", "cp", "large", "s3://bucket/large.zip"]).await;
    aws(&["s3", "cp", "s3://bucket/large.zip", "back"]).await;
    assert!(std::fs::read(directory.path().join("back")).expect("read") == artifact, "another artifact came back");
    let at = |key: &str| Some(("bucket".to_owned(), key.to_owned()));
    assert_eq!(
        *heard.lock().expect("heard"),
        [
            ("PutObject".to_owned(), at("a key/small.zip"), true),
            ("CompleteMultipartUpload".to_owned(), at("large.zip"), true),
        ]
    );
}
