//! The gateway holds calls against the roles of infra/tagship.yaml: the same call about what isn't tagship's is refused,
//! in the words of its service.

use std::collections::BTreeMap;
use tagship_cloud::gateway::Gateway;
use tagship_cloud::iam::Iam;
use tagship_cloud::moto::Moto;
use tagship_cloud::setup::{self, Account, REGION, ServicePlan};
use tagship_emulator::template::{Stack, Template};

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/x-amz-json-1.1";

struct Cloud {
    gateway: Gateway,
    account: Account,
    emulator: Moto,
}

/// One call: who calls which service, method and path, `X-Amz-Target` if it has one, and the body.
struct Call(&'static str, &'static str, String, &'static str, String);

impl Cloud {
    async fn start() -> Self {
        let emulator = Moto::start().await.unwrap_or_else(|error| panic!("{error}"));
        let gateway = Gateway::start(emulator.address()).await.expect("a gateway");
        let plan = [ServicePlan::quick("WEB", "web", "web.example.com", 1)];
        let account = setup::set_up(&gateway.url(), 16, &plan, &[]).await.unwrap_or_else(|error| panic!("{error}"));
        let stack = Stack {
            name: "tagship".to_owned(),
            account: account.account.clone(),
            region: REGION.to_owned(),
            known: BTreeMap::from([
                ("Bucket".to_owned(), account.bucket.clone()),
                ("Bucket.Arn".to_owned(), format!("arn:aws:s3:::{}", account.bucket)),
            ]),
            ..Stack::default()
        };
        let text = std::fs::read_to_string(setup::infra("tagship.yaml")).expect("a file");
        let mut policies = Template::read(&text, stack).and_then(|template| template.policies()).expect("policies");
        gateway.guard(Iam {
            policies: ["Provision", "Deploy", "Route", "Cleanup"]
                .map(|name| (name.to_lowercase(), policies.remove(&format!("{name}Role")).expect("a role")))
                .into(),
            account: account.account.clone(),
            region: REGION.to_owned(),
            functions: BTreeMap::new(),
            emulator: emulator.client(),
        });
        Self { gateway, account, emulator }
    }

    async fn call(&self, Call(caller, service, place, target, body): Call) -> (u16, String) {
        let (method, path) = place.split_once(' ').expect("a method and a path");
        let kind = if target.is_empty() { FORM } else { JSON };
        let mut request = reqwest::Client::new()
            .request(method.parse().expect("a method"), format!("{}{path}", self.gateway.url()))
            .header("authorization", format!("AWS4-HMAC-SHA256 Credential={caller}/20000101/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0"))
            .header("content-type", kind)
            .body(body);
        if !target.is_empty() {
            request = request.header("x-amz-target", target);
        }
        let response = request.send().await.expect("an answer");
        (response.status().as_u16(), response.text().await.expect("a body"))
    }

    /// What is allowed and what is the same but for one thing, and is refused with these words.
    async fn check(&self, allowed: Call, refused: Call, words: &[&str]) {
        let (status, said) = self.call(allowed).await;
        assert!(status < 300, "to be allowed: {status} {said}");
        self.refused(refused, words).await;
    }

    async fn refused(&self, call: Call, words: &[&str]) {
        let (status, said) = self.call(call).await;
        assert!(matches!(status, 400 | 403), "to be refused: {status} {said}");
        for word in words.iter().chain(&["not authorized to perform"]) {
            assert!(said.contains(word), "no {word:?} in {said}");
        }
    }

    /// Has ops launch an instance; answers its id.
    async fn instance(&self, tags: &str) -> String {
        let (status, said) =
            self.call(Call("ops", "ec2", "POST /".to_owned(), "", self.launch(tags, "optional"))).await;
        assert!(status < 300, "{said}");
        let (_, id) = said.split_once("<instanceId>").expect("an id");
        id.split('<').next().unwrap_or_default().to_owned()
    }

    fn launch(&self, tags: &str, tokens: &str) -> String {
        let Account { image, subnets, services, .. } = &self.account;
        let (subnet, profile) = (&subnets[0], &services["WEB"].instance_profile);
        format!(
            "Action=RunInstances&Version=2016-11-15&ImageId={image}&MinCount=1&MaxCount=1&InstanceType=t3.micro&\
             SubnetId={subnet}&IamInstanceProfile.Name={profile}&MetadataOptions.HttpTokens={tokens}{tags}"
        )
    }
}

/// Tags of everything that a launch creates.
fn tagged(tags: &[(&str, &str)]) -> String {
    let mut form = String::new();
    for (n, kind) in (1..).zip(["instance", "volume", "network-interface"]) {
        form += &format!("&TagSpecification.{n}.ResourceType={kind}");
        for (m, (key, value)) in (1..).zip(tags) {
            form += &format!("&TagSpecification.{n}.Tag.{m}.Key={key}&TagSpecification.{n}.Tag.{m}.Value={value}");
        }
    }
    form
}

#[tokio::test]
async fn what_is_not_tagships_is_refused() {
    let cloud = Cloud::start().await;
    let bucket = &cloud.account.bucket;
    let ours = tagged(&[("tagship:service", "WEB"), ("tagship:release", "r1")]);

    // EC2: by the tags of a request, and of what it is about.
    let launch = |tags: &str, tokens| Call("provision", "ec2", "POST /".to_owned(), "", cloud.launch(tags, tokens));
    let unauthorized = ["UnauthorizedOperation", "ec2:RunInstances", "instance/*"];
    cloud.check(launch(&ours, "required"), launch(&ours, "optional"), &unauthorized).await;
    let anonymous = tagged(&[("tagship:service", "WEB")]);
    cloud.check(launch(&ours, "required"), launch(&anonymous, "required"), &unauthorized).await;
    let (mine, others) = (cloud.instance(&ours).await, cloud.instance("").await);
    let terminate = |id: &str| {
        Call(
            "cleanup",
            "ec2",
            "POST /".to_owned(),
            "",
            format!("Action=TerminateInstances&Version=2016-11-15&InstanceId.1={id}"),
        )
    };
    cloud.check(terminate(&mine), terminate(&others), &["UnauthorizedOperation", &others]).await;

    // S3: by the key; and who may list is told that there is no such key.
    let put = |key: &str| Call("deploy", "s3", format!("PUT /{bucket}/{key}"), "", "{}".to_owned());
    cloud.check(put("holds/WEB.json"), put("ended/WEB/r1.json"), &["AccessDenied", "s3:PutObject", "ended/WEB"]).await;
    let missing = Call("route", "s3", format!("GET /{bucket}/ended/WEB/r2.json"), "", String::new());
    let (status, said) = cloud.call(missing).await;
    assert_eq!(status, 404, "{said}");

    // JSON: by what the body says.
    let event = |source: &str| {
        let entry = serde_json::json!({"Source": source, "DetailType": "d", "Detail": "{}"});
        let body = serde_json::json!({"Entries": [entry]}).to_string();
        Call("route", "events", "POST /".to_owned(), "AWSEvents.PutEvents", body)
    };
    cloud.check(event("tagship"), event("aws.codepipeline"), &["AccessDeniedException", "events:PutEvents"]).await;

    // Names: by the records of the batch.
    let state = cloud.emulator.client().state().await.unwrap_or_else(|error| panic!("{error}"));
    let zone = &state.zones.first().expect("a zone").id;
    let name = |name: &str| {
        let record = "<TTL>10</TTL><ResourceRecords><ResourceRecord><Value>127.16.0.9</Value></ResourceRecord></ResourceRecords>";
        let change = format!(
            "<ChangeResourceRecordSetsRequest><ChangeBatch><Changes><Change><Action>UPSERT</Action><ResourceRecordSet>\
             <Name>{name}.web.cd.internal</Name><Type>A</Type>{record}</ResourceRecordSet></Change></Changes></ChangeBatch>\
             </ChangeResourceRecordSetsRequest>"
        );
        let place = format!("POST /2013-04-01/hostedzone/{zone}/rrset/");
        Call("route", "route53", place, "", change)
    };
    cloud.refused(name("www"), &["AccessDenied", "route53:ChangeResourceRecordSets"]).await;
}
