//! What infra/'s templates, the files that go to AWS, say of a line: its pipeline, rules and deployment groups.

use super::{ARTIFACT_BUCKETS, Error, Line};
use crate::ops::Ops;
use serde_json::Value;
use std::collections::BTreeMap;
use tagship_cloud::setup::{self, Account, REGION};
use tagship_emulator::policy::Policy;
use tagship_emulator::template::{Stack, Template, TemplateError};

pub(super) fn pipeline_template(line: &Line, account: &Account) -> Result<Template, Error> {
    let mut parameters = line.parameters.clone();
    parameters.insert("PipelineName".to_owned(), line.pipeline.clone());
    parameters.insert("ServiceRole".to_owned(), line.product.service_role.clone());
    parameters.insert("TopicArn".to_owned(), account.topic.clone());
    if let Some(service) = &line.pre_product {
        parameters.insert("PreProductServiceRole".to_owned(), service.service_role.clone());
    }
    let stack = Stack {
        name: line.pipeline.clone(),
        account: account.account.clone(),
        region: REGION.to_owned(),
        parameters,
        ..Stack::default()
    };
    let file = "pipeline.yaml";
    let text = std::fs::read_to_string(setup::infra(file))?;
    Template::read(&text, stack).map_err(|source| Error::Template { file, source })
}

/// What an account has once: the sweep, what tells people, and the functions' roles.
pub(super) fn account_template(account: &Account) -> Result<Template, Error> {
    let bucket = &account.bucket;
    let known = [
        ("Topic", account.topic.clone()),
        ("ChatTopic", account.chat_topic.clone()),
        ("Bucket", bucket.clone()),
        ("Bucket.Arn", format!("arn:aws:s3:::{bucket}")),
        ("Cleanup.Arn", format!("arn:aws:lambda:{REGION}:{}:function:tagship-cleanup", account.account)),
    ];
    let stack = Stack {
        name: "tagship".to_owned(),
        account: account.account.clone(),
        region: REGION.to_owned(),
        parameters: BTreeMap::from([
            ("Chat".to_owned(), "amazon-q".to_owned()),
            ("ArtifactBuckets".to_owned(), ARTIFACT_BUCKETS.to_owned()),
        ]),
        known: known.map(|(name, value)| (name.to_owned(), value)).into(),
        ..Stack::default()
    };
    let file = "tagship.yaml";
    let text = std::fs::read_to_string(setup::infra(file))?;
    Template::read(&text, stack).map_err(|source| Error::Template { file, source })
}

/// What each function may do, and a person who looks, by the access key that it calls with.
pub(super) fn function_policies(template: &Template) -> Result<BTreeMap<String, Policy>, TemplateError> {
    let mut policies = template.policies()?;
    let roles = [
        ("provision", "ProvisionRole"),
        ("deploy", "DeployRole"),
        ("route", "RouteRole"),
        ("cleanup", "CleanupRole"),
        ("viewer", "ViewerPolicy"),
    ];
    let role = |(name, role): (&str, &str)| (name.to_owned(), policies.remove(role).unwrap_or_default());
    Ok(roles.map(role).into())
}

/// Of each function the one that is told of what it failed on to the last; those whose destination isn't a function aren't
/// there.
pub(super) fn on_failure(template: &Template) -> Result<BTreeMap<String, String>, TemplateError> {
    let functions = template.resources("AWS::Serverless::Function")?;
    let told = functions.iter().filter_map(|(_, properties)| {
        let destination = &properties["EventInvokeConfig"]["DestinationConfig"]["OnFailure"];
        let function = destination["Destination"].as_str().filter(|_| destination["Type"] == "Lambda")?;
        Some((properties["FunctionName"].as_str()?.to_owned(), function.to_owned()))
    });
    Ok(told.collect())
}

/// The role in each instance profile.
pub(super) fn instance_roles(account: &Account) -> BTreeMap<String, String> {
    let services = account.services.values();
    services.map(|service| (service.instance_profile.clone(), service.instance_role.clone())).collect()
}

/// CodeDeploy's application and groups, as infra/pipeline.yaml has them.
pub(super) async fn make_deployment_groups(ops: &Ops, line: &Line, account: &Account) -> Result<(), Error> {
    let file = "pipeline.yaml";
    let template = pipeline_template(line, account)?;
    let of = |kind: &str| template.resources(kind).map_err(|source| Error::Template { file, source });
    let call = async |operation: &str, body: Value| {
        ops.json("codedeploy", &format!("CodeDeploy_20141006.{operation}"), body).await
    };
    for (_, resource) in of("AWS::CodeDeploy::Application")? {
        call("CreateApplication", camel(&resource)).await?;
    }
    for (_, resource) in of("AWS::CodeDeploy::DeploymentGroup")? {
        call("CreateDeploymentGroup", camel(&resource)).await?;
    }
    Ok(())
}

/// CloudFormation's keys (`Ec2TagSet`) as the API has them (`ec2TagSet`); those of a tag filter stay as they are.
fn camel(properties: &Value) -> Value {
    match properties {
        Value::Object(fields) if fields.contains_key("Key") => properties.clone(),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| {
                let mut letters = key.chars();
                let first = letters.next().map(|letter| letter.to_ascii_lowercase());
                (first.into_iter().chain(letters).collect::<String>(), camel(value))
            })
            .collect(),
        // A group of filters is a list by itself there.
        Value::Array(items) => items.iter().map(|item| camel(item.get("Ec2TagGroup").unwrap_or(item))).collect(),
        other => other.clone(),
    }
}
