//! What infra/tagship.yaml, the file that goes to AWS, says of the account: its rules and the functions' roles.

use super::{ARTIFACT_BUCKETS, Error};
use std::collections::BTreeMap;
use tagship_cloud::setup::{self, Account, REGION};
use tagship_emulator::policy::Policy;
use tagship_emulator::template::{Stack, Template, TemplateError};

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
