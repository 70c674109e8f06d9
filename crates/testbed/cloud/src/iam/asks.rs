//! What AWS asks IAM before it carries out a call: actions, resources and condition keys, from the request and from the
//! tags of what it is about.
//!
//! After AWS's service authorization reference. Where that leaves open whether a resource is asked about, it is.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tagship_emulator::policy::Request;

use super::Iam;
use crate::call::Call;
use crate::service::Service;

type Tags = BTreeMap<String, String>;
type Context = BTreeMap<String, Vec<String>>;

/// Calls that know no resource; of any other that isn't told apart below, `*` is granted by no statement that names one.
const ANYTHING: &str = "*";

/// One call that is asked about.
pub(super) struct Asked<'a> {
    pub(super) iam: &'a Iam,
    pub(super) call: &'a Call,
    pub(super) codedeploy: Option<&'a dyn Service>,
}

pub(super) fn request(action: &str, resource: impl Into<String>) -> Request {
    Request { action: action.to_owned(), resource: resource.into(), context: Context::new() }
}

/// About a bucket, or an object (`bucket/key`); all buckets here are the account's own.
pub(super) fn in_bucket(account: &str, action: &str, path: &str) -> Request {
    let context = Context::from([("aws:ResourceAccount".to_owned(), vec![account.to_owned()])]);
    Request { context, ..request(action, format!("arn:aws:s3:::{path}")) }
}

impl Asked<'_> {
    pub(super) async fn requests(&self) -> Vec<Request> {
        let Call { service, operation, .. } = self.call;
        match (service.as_str(), operation.as_str()) {
            ("ec2", "RunInstances") => self.launch().await,
            ("ec2", "AllocateAddress") => self.allocation(),
            ("ec2", "CreateTags") => self.tagging().await,
            ("ec2", "TerminateInstances" | "StopInstances") => {
                self.tagged(list(&self.form(), "InstanceId."), false).await
            }
            ("ec2", "AssociateAddress") => self.tagged(self.ids(&["AllocationId", "InstanceId"]), true).await,
            ("ec2", "DisassociateAddress") => self.tagged(self.ids(&["AssociationId"]), true).await,
            ("ec2", "ReleaseAddress") => self.tagged(self.ids(&["AllocationId"]), false).await,
            ("elasticloadbalancing", "RegisterTargets" | "DeregisterTargets") => {
                self.tagged(self.ids(&["TargetGroupArn"]), false).await
            }
            ("elasticloadbalancing", "ModifyRule") => self.tagged(self.ids(&["RuleArn"]), false).await,
            ("elasticloadbalancing", "ModifyListener") => self.tagged(self.ids(&["ListenerArn"]), false).await,
            ("sns", "Publish") => self.tagged(self.ids(&["TopicArn"]), false).await,
            ("route53", "ListResourceRecordSets" | "ChangeResourceRecordSets") => vec![self.names()],
            ("s3", _) => self.objects(),
            ("codedeploy", _) => self.deployments().await,
            (
                "codepipeline",
                "GetPipelineExecution" | "ListActionExecutions" | "ListPipelineExecutions" | "StopPipelineExecution",
            ) => vec![self.of(self.arn("codepipeline", &text(&self.json()["pipelineName"])))],
            ("codepipeline", "GetPipeline" | "GetPipelineState") => {
                vec![self.of(self.arn("codepipeline", &text(&self.json()["name"])))]
            }
            ("lambda", "GetFunctionConfiguration") => {
                let name = self.call.path.split('/').skip_while(|part| *part != "functions").nth(1).unwrap_or_default();
                vec![self.of(self.arn("lambda", &format!("function:{name}")))]
            }
            ("logs", "FilterLogEvents") => {
                let group = text(&self.json()["logGroupName"]);
                vec![self.of(self.arn("logs", &format!("log-group:{group}")))]
            }
            ("monitoring", "DescribeAlarms") => vec![self.of(self.arn("cloudwatch", "alarm:*"))],
            ("lambda", "Invoke") => vec![self.function()],
            ("ssm", "GetParameter") => {
                let name = text(&self.json()["Name"]);
                // AWS's public parameters are of no account.
                let account = if name.starts_with("/aws/") { "" } else { &self.iam.account };
                vec![self.of(format!("arn:aws:ssm:{}:{account}:parameter{name}", self.iam.region))]
            }
            ("events", "PutEvents") => {
                let entries = self.json()["Entries"].as_array().cloned().unwrap_or_default();
                let event = |entry: &Value| {
                    let mut request = self.of(self.arn("events", "event-bus/default"));
                    request.context.insert("events:source".to_owned(), vec![text(&entry["Source"])]);
                    request
                };
                entries.iter().map(event).collect()
            }
            _ => vec![self.of(ANYTHING)],
        }
    }

    /// The call's own action on a resource.
    fn of(&self, resource: impl Into<String>) -> Request {
        let prefix = match self.call.service.as_str() {
            "tagging" => "tag",
            "monitoring" => "cloudwatch",
            service => service,
        };
        request(&format!("{prefix}:{}", self.call.operation), resource)
    }

    fn arn(&self, service: &str, rest: &str) -> String {
        format!("arn:aws:{service}:{}:{}:{rest}", self.iam.region, self.iam.account)
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.call.body).unwrap_or_default()
    }

    fn form(&self) -> Tags {
        pairs(&String::from_utf8_lossy(&self.call.body))
    }

    fn ids(&self, names: &[&str]) -> Vec<String> {
        let form = self.form();
        names.iter().filter_map(|name| form.get(*name).cloned()).collect()
    }

    /// The ARN of what has this id; ids of load balancing and SNS are ARNs.
    fn named(&self, id: &str) -> String {
        let kind = match id.split('-').next() {
            Some("i") => "instance",
            Some("eipalloc") => "elastic-ip",
            Some("eni") => "network-interface",
            _ => return id.to_owned(),
        };
        self.arn("ec2", &format!("{kind}/{id}"))
    }

    /// A request for each of these, with the tags that it has; and, if asked for, for what is attached to it.
    ///
    /// What isn't there is not asked about: the emulator says so.
    async fn tagged(&self, ids: Vec<String>, attached: bool) -> Vec<Request> {
        let found = self.iam.emulator.tags(&ids).await.unwrap_or_default();
        let asked = found.iter().filter(|(id, _)| attached || ids.contains(id));
        let request = |(id, tags): (&String, &Tags)| {
            let mut request = self.of(self.named(id));
            add(&mut request.context, "aws:ResourceTag", tags);
            request
        };
        asked.map(request).collect()
    }

    /// What is created with the call's tag specifications: the kind of resource, and its tags.
    fn specified(&self) -> BTreeMap<String, Tags> {
        let form = self.form();
        let kind = |n: usize| form.get(&format!("TagSpecification.{n}.ResourceType")).cloned();
        let specified = (1..).map_while(|n| Some((kind(n)?, tags(&form, &format!("TagSpecification.{n}.Tag")))));
        specified.collect()
    }

    /// Something new, and the tagging of it by the call that makes it.
    fn creation(&self, kind: &str, tags: Option<&Tags>) -> Vec<Request> {
        let resource = self.arn("ec2", &format!("{kind}/*"));
        let mut created = self.of(resource.clone());
        let Some(tags) = tags else { return vec![created] };
        request_tags(&mut created.context, tags);
        let mut tagged = request("ec2:CreateTags", resource);
        tagged.context.clone_from(&created.context);
        tagged.context.insert("ec2:CreateAction".to_owned(), vec![self.call.operation.clone()]);
        vec![created, tagged]
    }

    fn allocation(&self) -> Vec<Request> {
        self.creation("elastic-ip", self.specified().get("elastic-ip"))
    }

    async fn launch(&self) -> Vec<Request> {
        let (form, specified) = (self.form(), self.specified());
        let tokens = form.get("MetadataOptions.HttpTokens").map_or("optional", String::as_str);
        let mut requests: Vec<Request> = ["instance", "volume", "network-interface"]
            .into_iter()
            .flat_map(|kind| self.creation(kind, specified.get(kind)))
            .collect();
        requests[0].context.insert("ec2:MetadataHttpTokens".to_owned(), vec![tokens.to_owned()]);
        for (kind, ids) in [
            ("subnet", list(&form, "SubnetId")),
            ("security-group", list(&form, "SecurityGroupId.")),
            ("key-pair", list(&form, "KeyName")),
        ] {
            requests.extend(ids.iter().map(|id| self.of(self.arn("ec2", &format!("{kind}/{id}")))));
        }
        for image in list(&form, "ImageId") {
            // An image's ARN has no account.
            requests.push(self.of(format!("arn:aws:ec2:{}::image/{image}", self.iam.region)));
        }
        if let Some(profile) = form.get("IamInstanceProfile.Name") {
            let role = self.iam.emulator.role_in(profile).await.unwrap_or_else(|error| {
                tracing::warn!(%error, profile, "its role isn't known");
                None
            });
            let mut pass = request("iam:PassRole", role.unwrap_or_else(|| format!("the role of {profile}")));
            pass.context.insert("iam:PassedToService".to_owned(), vec!["ec2.amazonaws.com".to_owned()]);
            requests.push(pass);
        }
        requests
    }

    async fn tagging(&self) -> Vec<Request> {
        let form = self.form();
        let mut requests = self.tagged(list(&form, "ResourceId."), false).await;
        for request in &mut requests {
            request_tags(&mut request.context, &tags(&form, "Tag"));
        }
        requests
    }

    fn names(&self) -> Request {
        let zone = self.call.path.split('/').skip_while(|part| *part != "hostedzone").nth(1).unwrap_or_default();
        let mut request = self.of(format!("arn:aws:route53:::hostedzone/{zone}"));
        if self.call.operation == "ChangeResourceRecordSets" {
            let body = String::from_utf8_lossy(&self.call.body).into_owned();
            let all = |element: &str| elements(&body, element).map(str::to_owned).collect::<Vec<_>>();
            // Normalized: lower case, and without the last dot.
            let names = all("Name").iter().map(|name| name.trim_end_matches('.').to_lowercase()).collect();
            for (key, values) in
                [("NormalizedRecordNames", names), ("RecordTypes", all("Type")), ("Actions", all("Action"))]
            {
                request.context.insert(format!("route53:ChangeResourceRecordSets{key}"), values);
            }
        }
        request
    }

    fn objects(&self) -> Vec<Request> {
        let Some((bucket, key)) = self.call.bucket_and_key() else {
            let bucket = self.call.path.trim_matches('/');
            let action = if self.call.operation == "ListObjectsV2" { "s3:ListBucket" } else { "s3:*" };
            return vec![in_bucket(&self.iam.account, action, bucket)];
        };
        let query = pairs(&self.call.query);
        let versioned = if query.contains_key("versionId") { "Version" } else { "" };
        let action = match self.call.operation.as_str() {
            "GetObject" | "HeadObject" => format!("GetObject{versioned}"),
            other => other.to_owned(),
        };
        let object = |action: &str| in_bucket(&self.iam.account, &format!("s3:{action}"), &format!("{bucket}/{key}"));
        // Who may compare an object's ETag may know it.
        let compares = self.call.headers.contains_key("if-match") && !action.starts_with("Get");
        let compared = compares.then(|| object("GetObject"));
        [object(&action)].into_iter().chain(compared).collect()
    }

    /// The function of an invocation, an alias aside, with the tags that it has.
    fn function(&self) -> Request {
        let name = self.call.path.split('/').skip_while(|part| *part != "functions").nth(1).unwrap_or_default();
        let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy().into_owned();
        // An ARN, or a name; an alias may follow either.
        let name = match name.split(':').collect::<Vec<_>>().as_slice() {
            ["arn", _, _, _, _, _, name, ..] | [name, ..] => (*name).to_owned(),
            [] => String::new(),
        };
        let mut request = request("lambda:InvokeFunction", self.arn("lambda", &format!("function:{name}")));
        if let Some(tags) = self.iam.functions.get(&name) {
            add(&mut request.context, "aws:ResourceTag", tags);
        }
        request
    }

    async fn deployments(&self) -> Vec<Request> {
        let (body, application) = (self.json(), text(&self.json()["applicationName"]));
        let group = |application: &str, name: &Value| {
            self.of(self.arn("codedeploy", &format!("deploymentgroup:{application}/{}", text(name))))
        };
        match self.call.operation.as_str() {
            "GetDeploymentGroup" | "ListDeployments" => vec![group(&application, &body["deploymentGroupName"])],
            "UpdateDeploymentGroup" => vec![group(&application, &body["currentDeploymentGroupName"])],
            "CreateDeployment" => {
                let revision = self.arn("codedeploy", &format!("application:{application}"));
                let config = format!("deploymentconfig:{}", text(&body["deploymentConfigName"]));
                vec![
                    group(&application, &body["deploymentGroupName"]),
                    // CodeDeploy registers the revision and reads it and the configuration, as its caller.
                    request("codedeploy:RegisterApplicationRevision", revision.clone()),
                    request("codedeploy:GetApplicationRevision", revision),
                    request("codedeploy:GetDeploymentConfig", self.arn("codedeploy", &config)),
                ]
            }
            "BatchGetDeployments" => {
                let mut requests = Vec::new();
                for id in body["deploymentIds"].as_array().into_iter().flatten() {
                    let Some(codedeploy) = self.codedeploy else { continue };
                    if let Ok(found) = codedeploy.call("iam", "GetDeployment", json!({"deploymentId": id})).await {
                        let info = &found["deploymentInfo"];
                        requests.push(group(&text(&info["applicationName"]), &info["deploymentGroupName"]));
                    }
                }
                requests
            }
            _ => vec![self.of(ANYTHING)],
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A query string or form.
fn pairs(text: &str) -> Tags {
    let plain = |part: &str| {
        let part = part.replace('+', " ");
        percent_encoding::percent_decode_str(&part).decode_utf8_lossy().into_owned()
    };
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (plain(key), plain(value)))
        .collect()
}

/// The values of the members whose name begins so.
fn list(form: &Tags, name: &str) -> Vec<String> {
    form.iter().filter(|(key, _)| key.starts_with(name)).map(|(_, value)| value.clone()).collect()
}

/// `NAME.1.Key`, `NAME.1.Value`, ….
fn tags(form: &Tags, name: &str) -> Tags {
    let value = |n: usize, part: &str| form.get(&format!("{name}.{n}.{part}")).cloned();
    (1..).map_while(|n| Some((value(n, "Key")?, value(n, "Value").unwrap_or_default()))).collect()
}

fn add(context: &mut Context, kind: &str, tags: &Tags) {
    context.extend(tags.iter().map(|(key, value)| (format!("{kind}/{key}"), vec![value.clone()])));
}

fn request_tags(context: &mut Context, tags: &Tags) {
    add(context, "aws:RequestTag", tags);
    context.insert("aws:TagKeys".to_owned(), tags.keys().cloned().collect());
}

/// The texts of the XML elements of this name.
fn elements<'a>(body: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = body;
    std::iter::from_fn(move || {
        let (_, from) = rest.split_once(open.as_str())?;
        let (found, after) = from.split_once(close.as_str())?;
        rest = after;
        Some(found)
    })
}
