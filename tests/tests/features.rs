//! What the settings can ask for, each in a story of its own, several services side by side in one cloud.
//!
//! At the end every request that was made is held against AWS's own models, and every permission of the functions'
//! roles against the requests.

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::time::Duration;
use tagship_local::artifact::{Variant, pack};
use tagship_local::gateway::{Effect, Fault, FaultId, Record, When};
use tagship_local::leftovers::leftovers;
use tagship_local::moto::{Behaviour, Capacity};
use tagship_local::setup::ServicePlan;
use tagship_local::state::{Action, Instance, InstanceState, TargetState};
use tagship_local::validate;
use tagship_local::{Line, Local, Plan};
use tagship_tests::desk::{Desk, Verdict, artifact};
use tagship_tests::notices;
use tagship_tests::person::{aws, aws_with, lookup};
use tagship_tests::privileges::excess;

const ZONE: &str = "cd.internal";
const LOOK: Duration = Duration::from_millis(100);

/// The cloud, and the variables that provision has now.
struct Stage {
    local: Local,
    variables: Mutex<BTreeMap<String, String>>,
}

/// One service of a pipeline.
#[derive(Clone, Copy)]
struct Service<'a> {
    stage: &'a Stage,
    pipeline: &'a str,
    role: &'a str,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_setting_does_what_it_says() {
    let mut shop = Line::quick("shop", "SHOP_PRODUCT", "shop.example.com", 40);
    shop.pre_product = Some(ServicePlan::quick("SHOP_QA", "shop", "qa.shop.example.com", 50));
    let lines = vec![
        Line::quick("own", "OWN_PRODUCT", "own.example.com", 10),
        Line::quick("pool", "POOL_PRODUCT", "pool.example.com", 20),
        Line::quick("worker", "WORKER", "worker.example.com", 30),
        shop,
        Line::quick("jobs", "JOBS", "jobs.example.com", 60),
    ];
    let plan = Plan { sweep: Some(Duration::from_secs(20)), ..Plan::new(lines) };
    let local = Local::start(plan).await.unwrap_or_else(|error| panic!("{error}"));
    let variables = Mutex::new(BTreeMap::from([("TAGSHIP_BUCKET".to_owned(), local.account.bucket.clone())]));
    let stage = Stage { local, variables };
    let first = stage.local.account.subnets[0].clone();
    let full = |subnet: &str, kind: &str| Capacity {
        subnet: subnet.to_owned(),
        instance_type: kind.to_owned(),
        code: "InsufficientInstanceCapacity".to_owned(),
        available: 0,
    };
    let capacity = vec![full(&first, "c5.large"), full("*", "m5.large"), full("*", "m5.xlarge")];
    let behaviour = Behaviour { capacity: Some(capacity), ..Behaviour::default() };
    stage.local.moto.configure(&behaviour).await.expect("configured");

    let service = |pipeline, role| Service { stage: &stage, pipeline, role };
    tokio::join!(
        own_addresses_and_kept_instances(service("own", "OWN_PRODUCT")),
        borrowed_addresses_and_secrets(service("pool", "POOL_PRODUCT")),
        reached_by_name(service("worker", "WORKER")),
        pre_product(service("shop", "SHOP_PRODUCT"), service("shop", "SHOP_QA")),
        jobs_that_fail(service("jobs", "JOBS")),
    );
    requests_are_what_aws_takes(&stage.local).await;
    assert_eq!(excess(&stage.local), Vec::<String>::new());
}

/// Settings as the first generation wrote them, everything found by tags; addresses of the release's own; retired
/// instances kept stopped; a type that one subnet is out of. And people's hands in between.
async fn own_addresses_and_kept_instances(service: Service<'_>) {
    let local = &service.stage.local;
    for (subnet, name) in local.account.subnets.iter().zip(["app-a", "app-b"]) {
        service.aws(&format!("ec2 create-tags --resources {subnet} --tags Key=Name,Value={name}"));
    }
    let profile = &local.account.services[service.role].instance_profile;
    service.settings(&format!(
        "{{
            # the first generation's way
            'SUBNET': 'tag:Name=app-?', 'SG': 'tag:tagship:service=OWN_PRODUCT',
            'AMI': 'tag:Name=application-*', 'INSTANCE_TYPE': \"['c5.large', 't3.micro']\",
            'INSTANCE_PROFILE': '{profile}', 'EIP': 'True', 'COUNT': 2, 'KEEP': 'stop', 'DRAIN': 2, 'ZONE': '{ZONE}',
            'DEPLOY': {{'VIA': 'codedeploy', 'APPLICATION': 'own', 'GROUP': 'OWN_PRODUCT'}},
            'TIMEOUTS': {{'BOOT': 60, 'INSTALL': 60, 'HEALTHY': 30, 'WATCH': 1, 'SETTLE': 15}},
        }}"
    ));
    let first = service.succeeds("o1").await;
    let places: BTreeSet<(String, String)> =
        service.fleet(&first).into_iter().map(|instance| (instance.subnet, instance.instance_type)).collect();
    let [a, b] = [&local.account.subnets[0], &local.account.subnets[1]].map(String::as_str);
    let spread = [(a, "t3.micro"), (b, "c5.large")].map(|(subnet, kind)| (subnet.to_owned(), kind.to_owned()));
    assert_eq!(places, BTreeSet::from(spread), "one in each subnet, of the first type that it has room for");
    assert_eq!(service.addressed(), service.ids(&first), "an address for each");

    // Somebody's instance in the free group.
    let stranger = service.launches(a, &[]).await;
    let free = service.free_group(&first);
    service.aws(&format!("elbv2 register-targets --target-group-arn {free} --targets Id={stranger}"));
    let second = service.succeeds("o2").await;
    let targets: BTreeSet<String> = {
        let state = local.states.borrow();
        let group = state.target_groups.iter().find(|group| group.arn == free).expect("the group");
        let counted = group.targets.iter().filter(|target| target.state != TargetState::Draining);
        counted.map(|target| target.id.clone()).collect()
    };
    assert_eq!(targets, service.ids(&second), "two releases never share a group");
    service.reaches(&first, InstanceState::Stopped).await;
    for instance in service.fleet(&first) {
        assert_eq!(instance.tags["tagship:retired-by"], second, "{}", instance.id);
    }
    assert_eq!(service.addressed(), service.ids(&second), "a stopped instance has no address");
    assert_eq!(service.named("live"), service.ips(&second));

    // One instance and one address too many, as a lost reply leaves them.
    let unnamed = service.refuses("provision", "route53", "ChangeResourceRecordSets");
    let third = service.releases("o3").await;
    local.until(|state| state.instances.iter().filter(|instance| service.is_of(&third, instance)).count() == 2).await;
    let tags = ["tagship:service", service.role, "tagship:release", &third];
    service.launches(a, &tags).await;
    // Launched in the same second, any of the three is the youngest.
    let gone = |instance: &Instance| service.is_of(&third, instance) && instance.state == InstanceState::Terminated;
    local.until(|state| state.instances.iter().any(gone)).await;
    let fleet: BTreeSet<String> =
        service.fleet(&third).into_iter().filter(|instance| !gone(instance)).map(|instance| instance.id).collect();
    assert_eq!(fleet.len(), 2);
    let address = service.allocates(&tags);
    while service.addresses().contains_key(&address) {
        tokio::time::sleep(LOOK).await;
    }
    local.gateway.faults().remove(unnamed);
    service.approves(&third).await;
    service.marked(&third, "approved").await;
    service.reaches(&first, InstanceState::Terminated).await;
    service.reaches(&second, InstanceState::Stopped).await;
    assert_eq!(service.addressed(), fleet);

    let rejected = service.releases("o4").await;
    service.asked(&rejected, "QaApproval").await;
    assert_eq!(service.addresses().len(), 4, "two fleets' worth");
    // By the rules of infra/tagship.yaml: sweep asks about whoever holds a service, and people are told of each stage.
    let records = |caller: &str, operation: &str| -> Vec<Record> {
        let records = local.gateway.recorder().records().into_iter();
        records.filter(|record| record.caller == caller && record.operation == operation).collect()
    };
    while records("cleanup", "ListPipelineExecutions").is_empty() {
        tokio::time::sleep(LOOK).await;
    }
    let told = notices::messages(local)
        .into_iter()
        .filter(|message| message.topic == "tagship-chat" && message.text.contains("ok: own-product retire of"));
    assert_eq!(told.count(), 3, "o1, o2 and o3");
    service.rejects(&rejected, "QaApproval").await;
    service.marked(&rejected, "discarded").await;
    assert_eq!(service.addressed(), fleet, "released with the rejected fleet");
}

/// Settings in a parameter, the image in another; addresses of a pool; user data that is a secret; a topic of its own; a
/// listener's default action as a switch.
async fn borrowed_addresses_and_secrets(service: Service<'_>) {
    const PARAMETER: &str = "/tagship/settings/pool";
    const SECRET: &str = "#!/bin/sh\nexport LICENCE=d41d8cd98f00";
    let local = &service.stage.local;
    let topic = service.aws("sns create-topic --name pool-people")["TopicArn"].as_str().expect("an ARN").to_owned();
    service.aws(&format!("sns tag-resource --resource-arn {topic} --tags Key=tagship:service,Value={}", service.role));
    let tags = ["pool", "web", "tagship:service", service.role];
    let pool: BTreeSet<String> = (0..2).map(|_| service.allocates(&tags)).collect();
    let catch_all = service.default_switch();
    let put = |user_data: &str| {
        let settings = service.offered(json!({
            "AMI": "ssm:/tagship/ami", "EIP": "tag:pool=w*", "COUNT": 1, "USER_DATA": user_data, "TOPIC": topic,
            "TOPIC_FORMAT": "amazon-q",
            "TAGS": {"Cost": "42"}, "VOLUME": {"SIZE": 9, "TYPE": "gp3"}, "KEY_NAME": local.account.key_name,
        }));
        let value = settings.to_string();
        let arguments = ["ssm", "put-parameter", "--overwrite", "--type", "SecureString", "--name", PARAMETER];
        aws_with(&local.gateway.url(), &[&arguments[..], &["--value", &value]].concat());
    };
    service.settings(&format!("ssm:{PARAMETER}"));

    // Changed between the hold and the launch: what the hold promises can't be launched any more.
    put("#!/bin/sh\n: soon to be changed");
    let no_launch = service.refuses("provision", "ec2", "RunInstances");
    let changed = service.releases("p0").await;
    let held = service.held(&changed).await;
    assert_eq!(held["settings"]["USER_DATA_SHA256"].as_str().map(str::len), Some(64), "{held}");
    put(SECRET);
    // Until then nothing can be launched, for anyone: the others try again.
    let message = service.fails(&changed, "Provision").await;
    local.gateway.faults().remove(no_launch);
    assert!(message.contains("USER_DATA") && !message.contains("soon to be"), "{message}");
    service.marked(&changed, "discarded").await;

    let first = service.releases("p1").await;
    let held = service.held(&first).await;
    assert!(!held.to_string().contains("LICENCE"), "the hold has the hash only: {held}");
    service.approves(&first).await;
    let instance = service.fleet(&first).remove(0);
    assert_eq!(instance.user_data.as_deref(), Some(SECRET));
    assert_eq!(instance.tags["Cost"], "42");
    assert_eq!(service.addressed(), service.ids(&first));
    let told = notices::messages(local).into_iter().filter(|message| message.topic == "pool-people");
    let told: BTreeSet<String> = told
        .map(|message| {
            notices::amazon_q(&message.text);
            message.caller
        })
        .collect();
    assert_eq!(told, ["cleanup", "deploy", "provision", "route"].map(str::to_owned).into(), "each stage told TOPIC");

    let second = service.succeeds("p2").await;
    assert_eq!(service.addressed(), service.ids(&second), "the first's was given back");
    let state = local.states.borrow().clone();
    let listener = state.listeners.iter().find(|listener| listener.arn == catch_all).expect("the listener");
    let [Action::Forward { groups, .. }] = &listener.default[..] else { panic!("{listener:?}") };
    let weighted = groups.iter().find(|group| group.weight > 0).expect("a weight");
    assert_ne!(weighted.arn, service.free_group(&second), "the default action has moved with the rules");
    let left: BTreeSet<String> = service.addresses().into_keys().collect();
    assert_eq!(left, pool, "a pool's address is never released");
    let logs = ["provision", "deploy", "route", "cleanup"].map(|name| local.logs().join(format!("tagship-{name}.log")));
    for log in logs {
        let text = std::fs::read_to_string(&log).expect("a log");
        assert!(!text.contains("LICENCE"), "{} has the user data", log.display());
    }
}

/// No load balancer: live is whom the name says. The artifact is found by its tag, in a bucket of the company's that
/// becomes versioned only later.
async fn reached_by_name(service: Service<'_>) {
    let local = &service.stage.local;
    let bucket = "artifacts-of-the-company";
    service.aws(&format!("s3api create-bucket --bucket {bucket}"));
    let settings = |kinds: Value| {
        let artifact = json!({"BUCKET": bucket, "PREFIX": "built/", "TAG": "release=candidate"});
        let changes = json!({"TARGET_GROUP": "none", "COUNT": 1, "INSTANCE_TYPE": kinds, "ARTIFACT": artifact});
        service.settings(&service.offered(changes).to_string());
    };
    let dir = tempfile::tempdir().expect("a directory");
    let build = |name: &str, tag: &str| {
        let file = dir.path().join(name);
        std::fs::write(&file, pack(name, Variant::Healthy).expect("packed")).expect("written");
        let (key, file) = (format!("built/{name}.zip"), file.display());
        service.aws(&format!("s3api put-object --bucket {bucket} --key {key} --body {file} --tagging release={tag}"));
    };
    build("w1", "candidate");
    build("w2", "experiment");

    settings(json!(["m5.large", "m5.xlarge"]));
    let nowhere = service.releases("w0").await;
    let message = service.fails(&nowhere, "Provision").await;
    for subnet in &local.account.subnets {
        for kind in ["m5.large", "m5.xlarge"] {
            let told = message.lines().any(|line| line.contains(subnet) && line.contains(kind));
            assert!(told && message.contains("InsufficientInstanceCapacity"), "{subnet} {kind} in {message}");
        }
    }
    service.marked(&nowhere, "discarded").await;

    // The first release ever is rejected when it is live: there is nothing to go back to.
    settings(json!("t3.micro"));
    let first = service.releases("unused").await;
    service.asked(&first, "QaApproval").await;
    assert_eq!((service.named("candidate"), service.named("live")), (service.ips(&first), vec![]));
    assert_eq!(service.version_at(&service.ips(&first)).await, "w1", "the newest with the tag");
    service.approve(&first, "QaApproval").await;
    service.asked(&first, "FinalApproval").await;
    assert_eq!(service.named("live"), service.ips(&first));
    service.rejects(&first, "FinalApproval").await;
    service.marked(&first, "kept").await;
    assert_eq!(service.named("live"), service.ips(&first), "kept");

    let versioned = "--versioning-configuration Status=Enabled";
    service.aws(&format!("s3api put-bucket-versioning --bucket {bucket} {versioned}"));
    build("w3", "candidate");
    let second = service.releases("unused").await;
    service.approve(&second, "QaApproval").await;
    service.asked(&second, "FinalApproval").await;
    assert_eq!(service.named("live"), service.ips(&second), "the name has moved");
    assert_eq!(service.version_at(&service.ips(&second)).await, "w3");
    service.rejects(&second, "FinalApproval").await;
    service.marked(&second, "discarded").await;
    assert_eq!(service.named("live"), service.ips(&first), "the name is back");
    assert_eq!(service.version_at(&service.ips(&first)).await, "w1");
    service.reaches(&second, InstanceState::Terminated).await;
}

/// A pre-product, reached by name, before the product; emptied when the product's release is done. Of Amazon's own
/// newest image.
async fn pre_product(product: Service<'_>, pre: Service<'_>) {
    let image = "ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64";
    product.settings(&product.offered(json!({"COUNT": 1, "AMI": image})).to_string());
    pre.settings(&pre.offered(json!({"COUNT": 1, "AMI": image, "TARGET_GROUP": "none"})).to_string());
    let rejected = product.releases("s1").await;
    product.asked(&rejected, "PreApproval").await;
    assert_eq!(pre.named("live"), pre.ips(&rejected));
    assert_eq!(product.fleet(&rejected).len(), 0, "the product comes later");
    product.rejects(&rejected, "PreApproval").await;
    pre.marked(&rejected, "parked").await;
    product.marked(&rejected, "discarded").await;
    pre.reaches(&rejected, InstanceState::Terminated).await;
    assert_eq!(pre.named("live"), Vec::<Ipv4Addr>::new(), "nobody uses it any more");

    let release = product.releases("s2").await;
    product.approve(&release, "PreApproval").await;
    product.approves(&release).await;
    product.marked(&release, "approved").await;
    pre.marked(&release, "parked").await;
    pre.reaches(&release, InstanceState::Terminated).await;
    assert_eq!((pre.named("live"), pre.named("candidate")), (vec![], vec![]), "parked");
    assert_eq!(product.named("live"), product.ips(&release));
}

/// Each function's own way to say that a job failed, an artifact that isn't there, and a release that waits for one that
/// nobody ends and is then stopped while it is being installed.
async fn jobs_that_fail(service: Service<'_>) {
    let local = &service.stage.local;
    service.settings(&service.offered(json!({"COUNT": 1})).to_string());
    let desk = Desk::open(local);
    for stage in ["provision", "deploy", "route", "cleanup"] {
        let verdict = desk.job(local, stage, Some("{}"), json!([]), 1).await;
        assert!(matches!(&verdict, Verdict::Failed(kind, _) if kind == "ConfigurationError"), "{stage}: {verdict:?}");
    }
    // A release that no pipeline knows of.
    let parameters = json!({"serviceRole": service.role, "release": "j1", "pipeline": service.pipeline}).to_string();
    let provisioned = desk.job(local, "provision", Some(&parameters), json!([]), 1).await;
    assert!(matches!(provisioned, Verdict::Succeeded(_)), "{provisioned:?}");
    let nothing = artifact(&local.account.services[service.role].bucket, "nothing.zip");
    let deployed = desk.job(local, "deploy", Some(&parameters), nothing, 1).await;
    assert!(matches!(&deployed, Verdict::Failed(_, message) if message.contains("doesn't exist")), "{deployed:?}");

    let stopped = service.uploads("j2", Variant::SlowStart(600)).await;
    service.marked("j1", "discarded").await;
    let installing = "deploy list-deployments --application-name jobs --deployment-group-name JOBS \
                      --include-only-statuses InProgress";
    while service.aws(installing)["deployments"].as_array().is_none_or(Vec::is_empty) {
        tokio::time::sleep(LOOK).await;
    }
    let stop = json!({"pipelineName": service.pipeline, "pipelineExecutionId": stopped, "abandon": true});
    local.ops.pipeline("StopPipelineExecution", stop).await.expect("stopped");
    service.marked(&stopped, "discarded").await;
    assert_eq!(service.aws(installing)["deployments"], json!([]), "its deployment is stopped");
    assert_eq!(leftovers(local, service.role, None).await.expect("an answer"), Vec::<String>::new());
}

/// Every request of the story, held against botocore's models.
async fn requests_are_what_aws_takes(local: &Local) {
    let recording = local.dir.path().join("requests.jsonl");
    let validate::Verdict { passed, said } =
        validate::recorded(local.gateway.recorder(), &recording).await.expect("a verdict");
    let recorded = local.gateway.recorder().counts().values().sum::<u64>();
    assert!(passed && recorded > 1_000, "{recorded} were recorded; {said}");
}

/// The AWS CLI's `--tag-specifications` of these tags (key, value, …); empty of none.
fn specified(kind: &str, tags: &[&str]) -> String {
    let tags: Vec<String> = tags.chunks(2).map(|tag| format!("{{Key={},Value={}}}", tag[0], tag[1])).collect();
    if tags.is_empty() { String::new() } else { format!("ResourceType={kind},Tags=[{}]", tags.join(",")) }
}

impl Service<'_> {
    fn aws(&self, arguments: &str) -> Value {
        aws(&self.stage.local.gateway.url(), arguments)
    }

    /// The settings that infra/service.yaml gives, with short waits, and with `changes`.
    fn offered(&self, changes: Value) -> Value {
        let mut settings = self.stage.local.account.services[self.role].settings.clone();
        settings["TIMEOUTS"] = json!({"BOOT": 60, "INSTALL": 60, "HEALTHY": 30, "WATCH": 1, "SETTLE": 15});
        for (key, value) in changes.as_object().expect("an object") {
            settings[key] = value.clone();
        }
        settings
    }

    /// Has ops edit the variable.
    fn settings(&self, text: &str) {
        let mut variables = self.stage.variables.lock().expect("no test has failed");
        variables.insert(self.role.to_owned(), text.to_owned());
        let set = self.stage.local.lambda.set_environment("tagship-provision", variables.clone());
        set.unwrap_or_else(|error| panic!("{error:?}"));
    }

    /// Has a function's calls of an operation refused, everybody's, until the fault is removed: they are tried again.
    fn refuses(&self, caller: &str, service: &str, operation: &str) -> FaultId {
        self.stage.local.gateway.faults().add(Fault {
            caller: Some(caller.to_owned()),
            service: service.to_owned(),
            operation: Some(operation.to_owned()),
            when: When::Always,
            effect: Effect::error("RequestLimitExceeded", "Request limit exceeded."),
        })
    }

    /// Has ops launch an instance with these tags (key, value, …), and waits until it runs.
    async fn launches(&self, subnet: &str, tags: &[&str]) -> String {
        let local = &self.stage.local;
        let specification = match specified("instance", tags) {
            of_instance if of_instance.is_empty() => String::new(),
            of_instance => format!("--tag-specifications {of_instance} {}", specified("network-interface", tags)),
        };
        let launched = self.aws(&format!(
            "ec2 run-instances --image-id {} --instance-type t3.micro --subnet-id {subnet} {specification}",
            local.account.image
        ));
        let id = launched["Instances"][0]["InstanceId"].as_str().expect("an id").to_owned();
        // One with a release's tags may be gone before it runs.
        let is = |instance: &Instance| instance.id == id && instance.state != InstanceState::Pending;
        local.until(|state| state.instances.iter().any(is)).await;
        id
    }

    /// Has ops allocate an address with these tags (key, value, …).
    fn allocates(&self, tags: &[&str]) -> String {
        let specification = specified("elastic-ip", tags);
        let allocated = self.aws(&format!("ec2 allocate-address --domain vpc --tag-specifications {specification}"));
        allocated["AllocationId"].as_str().expect("an id").to_owned()
    }

    /// Has ops make a listener whose default action is a switch of this service; answers its ARN.
    fn default_switch(&self) -> String {
        let account = &self.stage.local.account;
        let [a, b] = &account.services[self.role].target_groups[..] else { panic!("a pair") };
        let groups = json!([{"TargetGroupArn": a, "Weight": 100}, {"TargetGroupArn": b, "Weight": 0}]);
        let action =
            json!([{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]).to_string().replace(' ', "");
        let made = self.aws(&format!(
            "elbv2 create-listener --load-balancer-arn {} --protocol HTTP --port 8081 --default-actions {action} \
             --tags Key=tagship:service,Value={}",
            account.load_balancer, self.role
        ));
        made["Listeners"][0]["ListenerArn"].as_str().expect("an ARN").to_owned()
    }

    /// The group of the pair that the live release isn't in.
    fn free_group(&self, live: &str) -> String {
        let (state, fleet) = (self.stage.local.states.borrow().clone(), self.ids(live));
        let pair = &self.stage.local.account.services[self.role].target_groups;
        let groups = state.target_groups.iter().filter(|group| pair.contains(&group.arn));
        let free = groups.filter(|group| !group.targets.iter().any(|target| fleet.contains(&target.id)));
        free.map(|group| group.arn.clone()).next().expect("a free group")
    }

    /// Uploads a version; answers the release.
    async fn releases(&self, version: &str) -> String {
        self.uploads(version, Variant::Healthy).await
    }

    async fn uploads(&self, version: &str, variant: Variant) -> String {
        let local = &self.stage.local;
        let bucket = &local.account.services[self.role].bucket;
        let artifact = pack(version, variant).expect("packed");
        local.ops.release(self.pipeline, bucket, artifact).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits until an approval is asked for.
    async fn asked(&self, release: &str, action: &str) {
        let ops = &self.stage.local.ops;
        let asked = ops.await_approval(self.pipeline, release, action).await.unwrap_or_else(|error| panic!("{error}"));
        if !asked {
            let state = ops.pipeline("GetPipelineState", json!({"name": self.pipeline})).await;
            panic!("{}: {release} ended before {action}: {state:#?}", self.role);
        }
    }

    async fn approve(&self, release: &str, action: &str) {
        self.asked(release, action).await;
        let answered = self.stage.local.ops.answer(self.pipeline, action, true, "fine").await;
        answered.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Approves it twice, and sees it succeed.
    async fn approves(&self, release: &str) {
        self.approve(release, "QaApproval").await;
        self.approve(release, "FinalApproval").await;
        self.ends(release, "Succeeded").await;
    }

    /// Uploads a version that is approved throughout; answers the release.
    async fn succeeds(&self, version: &str) -> String {
        let release = self.releases(version).await;
        self.approves(&release).await;
        self.marked(&release, "approved").await;
        release
    }

    async fn rejects(&self, release: &str, action: &str) {
        self.asked(release, action).await;
        let answered = self.stage.local.ops.answer(self.pipeline, action, false, "no").await;
        answered.unwrap_or_else(|error| panic!("{error}"));
        self.ends(release, "Failed").await;
    }

    async fn ends(&self, release: &str, wanted: &str) {
        let status = self.stage.local.ops.await_end(self.pipeline, release).await;
        assert_eq!(status.unwrap_or_else(|error| panic!("{error}")), wanted, "{release} of {}", self.role);
    }

    /// Waits until it fails; answers the message of the action that did.
    async fn fails(&self, release: &str, action: &str) -> String {
        self.ends(release, "Failed").await;
        let state = self.stage.local.ops.action(self.pipeline, action).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(state["execution"], release);
        state["latestExecution"]["errorDetails"]["message"].as_str().unwrap_or_default().to_owned()
    }

    /// The hold, once this release has it.
    async fn held(&self, release: &str) -> Value {
        let key = format!("holds/{}.json", self.role);
        loop {
            match self.object(&key).await {
                Some(hold) if hold["release"] == release => return hold,
                _ => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// Waits until the history has the release's end, and the hold is free.
    async fn marked(&self, release: &str, how: &str) {
        let marker = loop {
            match self.object(&format!("ended/{}/{release}.json", self.role)).await {
                Some(marker) => break marker,
                None => tokio::time::sleep(LOOK).await,
            }
        };
        assert_eq!(marker["how"], how, "{release} of {}", self.role);
        while self.object(&format!("holds/{}.json", self.role)).await.is_some_and(|hold| hold["release"] == release) {
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn object(&self, key: &str) -> Option<Value> {
        let local = &self.stage.local;
        local.ops.object(&local.account.bucket, key).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// The release's instances, gone ones too.
    fn fleet(&self, release: &str) -> Vec<Instance> {
        let state = self.stage.local.states.borrow().clone();
        state.instances.iter().filter(|instance| self.is_of(release, instance)).cloned().collect()
    }

    fn is_of(&self, release: &str, instance: &Instance) -> bool {
        let tag = |key: &str| instance.tags.get(key).map(String::as_str);
        (tag("tagship:service"), tag("tagship:release")) == (Some(self.role), Some(release))
    }

    fn ids(&self, release: &str) -> BTreeSet<String> {
        self.fleet(release).into_iter().map(|instance| instance.id).collect()
    }

    fn ips(&self, release: &str) -> Vec<Ipv4Addr> {
        let mut ips: Vec<Ipv4Addr> = self.fleet(release).into_iter().map(|instance| instance.ip).collect();
        ips.sort_unstable();
        ips
    }

    /// Waits until all of the release's instances are in that state.
    async fn reaches(&self, release: &str, state: InstanceState) {
        let is = |instance: &Instance| !self.is_of(release, instance) || instance.state == state;
        self.stage.local.until(|seen| seen.instances.iter().all(is)).await;
    }

    /// The addresses with the service's tag: allocation id → instance.
    fn addresses(&self) -> BTreeMap<String, Option<String>> {
        let filter = format!("Name=tag:tagship:service,Values={}", self.role);
        let found = self.aws(&format!("ec2 describe-addresses --filters {filter}"));
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let addresses = found["Addresses"].as_array().cloned().unwrap_or_default();
        let entry = |each: &Value| (text(&each["AllocationId"]).unwrap_or_default(), text(&each["InstanceId"]));
        addresses.iter().map(entry).collect()
    }

    /// The instances that have one of them.
    fn addressed(&self) -> BTreeSet<String> {
        self.addresses().into_values().flatten().collect()
    }

    /// What the private zone says.
    fn named(&self, which: &str) -> Vec<Ipv4Addr> {
        let label = self.role.to_lowercase().replace('_', "-");
        lookup(self.stage.local.dns.address(), &format!("{which}.{label}.{ZONE}"))
    }

    /// The version that the application there says.
    async fn version_at(&self, ips: &[Ipv4Addr]) -> String {
        let [ip] = ips else { panic!("one instance, not {ips:?}") };
        let answer = reqwest::get(format!("http://{ip}:8080/")).await.unwrap_or_else(|error| panic!("{error}"));
        answer.headers()["x-version"].to_str().expect("text").to_owned()
    }
}
