//! What CloudFormation makes of a stack that the emulator can't: pipelines, event rules, CodeDeploy's applications and groups.

use super::Error;
use crate::services::codedeploy::CodeDeploy;
use crate::services::codepipeline::CodePipeline;
use crate::services::events::Events;
use serde_json::Value;
use std::sync::Arc;
use tagship_cloud::gateway::Gateway;
use tagship_cloud::moto::{self, Deployed};
use tagship_cloud::setup::REGION;
use tagship_emulator::pipeline::Pipeline;
use tagship_emulator::rule::Rule;
use tagship_emulator::template::{Stack, Template, TemplateError};
use tokio::sync::Mutex;

/// After these a stack may say something else.
const CHANGES: [&str; 4] = ["CreateStack", "UpdateStack", "ExecuteChangeSet", "DeleteStack"];

/// The services that have what the stacks say, whoever deploys them: the set-up before anybody looks, or a person.
pub(super) struct Stacks {
    emulator: moto::Client,
    account: String,
    events: Events,
    pipelines: CodePipeline,
    codedeploy: Arc<CodeDeploy>,
    /// One look after the other: an older one doesn't undo a newer.
    turn: Mutex<()>,
}

/// What all stacks say.
#[derive(Default)]
struct Said {
    pipelines: Vec<Pipeline>,
    rules: Vec<Rule>,
    applications: Vec<Value>,
    groups: Vec<Value>,
}

impl Stacks {
    pub(super) fn new(
        emulator: moto::Client,
        account: &str,
        events: Events,
        pipelines: CodePipeline,
        codedeploy: Arc<CodeDeploy>,
    ) -> Self {
        Self { emulator, account: account.to_owned(), events, pipelines, codedeploy, turn: Mutex::default() }
    }

    /// Has the services do what the stacks say: now, and before anybody hears that one has changed.
    pub(super) async fn follow(self, gateway: &Gateway) -> Result<(), Error> {
        let stacks = Arc::new(self);
        for operation in CHANGES {
            let stacks = Arc::clone(&stacks);
            gateway.on_success_await("cloudformation", operation, move |_, _| {
                let stacks = Arc::clone(&stacks);
                Box::pin(async move {
                    match stacks.look().await {
                        Ok(new) => new.iter().for_each(|pipeline| stacks.pipelines.created(pipeline)),
                        Err(error) => tracing::warn!(%error, "not all that the stacks say is there"),
                    }
                })
            });
        }
        stacks.look().await.map(drop)
    }

    /// Answers the pipelines that are new, or the last stack that can't be read; the others count all the same.
    async fn look(&self) -> Result<Vec<String>, Error> {
        let _turn = self.turn.lock().await;
        let mut said = Said::default();
        let mut unread = None;
        for stack in self.emulator.stacks().await? {
            let name = stack.name.clone();
            if let Err(source) = self.read(stack, &mut said) {
                unread = Some(Error::Stack { name, source });
            }
        }
        // What ends with its pipeline is still cleared up after by its rules.
        let new = self.pipelines.keep(said.pipelines);
        self.events.keep(said.rules);
        self.codedeploy.keep(&said.applications, &said.groups)?;
        unread.map_or(Ok(new), Err)
    }

    fn read(&self, stack: Deployed, said: &mut Said) -> Result<(), TemplateError> {
        let Deployed { name, template, parameters } = stack;
        let account = self.account.clone();
        let stack = Stack { name, account, region: REGION.to_owned(), parameters, ..Stack::default() };
        let template = Template::read(&template, stack)?;
        let api = |kind: &str| -> Result<Vec<Value>, TemplateError> {
            Ok(template.resources(kind)?.iter().map(|(_, properties)| camel(properties)).collect())
        };
        said.pipelines.extend(template.pipelines()?);
        said.rules.extend(template.rules()?);
        said.applications.extend(api("AWS::CodeDeploy::Application")?);
        said.groups.extend(api("AWS::CodeDeploy::DeploymentGroup")?);
        Ok(())
    }
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
