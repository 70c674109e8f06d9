//! The event rules that set the functions off.

use super::Account;
use crate::error::Called;
use serde_json::Value;
use tagship::Error;

/// A rule of the event bus, with those that it sets off.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventRule {
    /// Its name.
    pub name: String,
    /// Whether it is on.
    pub enabled: bool,
    /// What it hears; null if it goes by the clock.
    pub pattern: Value,
    /// The ARN of each target, and what that is sent; null where it isn't JSON.
    pub targets: Vec<(String, Value)>,
}

impl Account {
    /// The rules whose names begin so, with their targets.
    ///
    /// # Errors
    ///
    /// If EventBridge refuses.
    pub async fn event_rules(&self, prefix: &str) -> Result<Vec<EventRule>, Error> {
        let (mut rules, mut token) = (Vec::new(), None);
        loop {
            let request = self.cloud.events().list_rules().name_prefix(prefix).set_next_token(token);
            let page = request.send().await.called("events:ListRules", format!("{prefix}*"))?;
            for rule in page.rules() {
                let Some(name) = rule.name() else { continue };
                let sent = self.cloud.events().list_targets_by_rule().rule(name).send().await;
                let targets = sent.called("events:ListTargetsByRule", name)?;
                let read = |text: &str| serde_json::from_str(text).unwrap_or_default();
                let target = |target: &aws_sdk_eventbridge::types::Target| {
                    let template = target.input_transformer().map(|it| it.input_template());
                    (target.arn().to_owned(), target.input().or(template).map(read).unwrap_or_default())
                };
                rules.push(EventRule {
                    name: name.to_owned(),
                    enabled: rule.state().is_none_or(|state| state.as_str().starts_with("ENABLED")),
                    pattern: rule.event_pattern().map(read).unwrap_or_default(),
                    targets: targets.targets().iter().map(target).collect(),
                });
            }
            token = page.next_token;
            if token.is_none() {
                return Ok(rules);
            }
        }
    }
}
