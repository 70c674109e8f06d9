//! EventBridge rules as infra/*.yaml has them: a pattern or schedule, targets, and what each is sent.

use crate::pattern::Pattern;
use crate::template::{Template, TemplateError};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// A rule of the event bus.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Its name, or its logical id where it has none.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// What sets it off.
    pub on: On,
    /// Its event pattern as it is written; null if time sets it off.
    pub pattern: Value,
    /// Who is told.
    pub targets: Vec<Target>,
}

/// What sets a rule off.
#[derive(Clone, Debug, PartialEq)]
pub enum On {
    /// An event that matches.
    Event(Pattern),
    /// Time: again and again, this far apart.
    Every(Duration),
}

/// One target of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The id within the rule.
    pub id: String,
    /// What is called.
    pub arn: String,
    /// What it is sent.
    pub input: Input,
}

/// What a target is sent of an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The event.
    Event,
    /// The same text always.
    Constant(String),
    /// A part of the event.
    Path(Path),
    /// A text with parts of the event in it.
    Transformer {
        /// Which part each placeholder stands for.
        paths: BTreeMap<String, Path>,
        /// The text, with placeholders `<name>`.
        template: String,
    },
}

/// A JSON path of the kind that EventBridge takes: `$.detail.execution-id`, `$.resources[0]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

impl Path {
    /// Reads a path; `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text.strip_prefix('$')?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if let Some(key) = rest.strip_prefix('.') {
                let end = key.find(['.', '[']).unwrap_or(key.len());
                if end == 0 {
                    return None;
                }
                steps.push(Step::Key(key[..end].into()));
                rest = &key[end..];
            } else {
                let (inside, after) = rest.strip_prefix('[')?.split_once(']')?;
                steps.push(match inside.strip_prefix('\'').and_then(|it| it.strip_suffix('\'')) {
                    Some(key) => Step::Key(key.into()),
                    None => Step::Index(inside.parse().ok()?),
                });
                rest = after;
            }
        }
        Some(Self(steps))
    }

    /// The part of `event` that the path leads to.
    pub fn find<'e>(&self, event: &'e Value) -> Option<&'e Value> {
        self.0.iter().try_fold(event, |value, step| match step {
            Step::Key(key) => value.get(key),
            Step::Index(index) => value.get(index),
        })
    }
}

impl Input {
    /// The text that a target of `rule` is sent of `event`.
    pub fn of(&self, event: &Value, rule: &Rule) -> String {
        match self {
            Self::Event => event.to_string(),
            Self::Constant(text) => text.clone(),
            Self::Path(path) => path.find(event).map(Value::to_string).unwrap_or_default(),
            Self::Transformer { paths, template } => transform(template, |name| match name {
                "aws.events.rule-arn" => Some(Value::String(rule.arn.clone())),
                "aws.events.rule-name" => Some(Value::String(rule.name.clone())),
                "aws.events.event.json" => Some(event.clone()),
                "aws.events.event.ingestion-time" => event.get("time").cloned(),
                name => Some(paths.get(name)?.find(event).cloned().unwrap_or(Value::Null)),
            }),
        }
    }
}

/// `template` with its placeholders filled in, as EventBridge does it: nothing is escaped, what
/// isn't there vanishes, and a text gets quotes only where it doesn't stand within some.
fn transform(template: &str, value: impl Fn(&str) -> Option<Value>) -> String {
    let mut result = String::with_capacity(template.len());
    let mut quoted = false;
    let mut rest = template;
    while let Some(at) = rest.find(['<', '"', '\\']) {
        result.push_str(&rest[..at]);
        let found = &rest[at..];
        let placeholder = found.strip_prefix('<').and_then(|name| name.split_once('>'));
        if let Some((name, after)) = placeholder
            && let Some(value) = value(name)
        {
            match value {
                Value::Null => {}
                Value::String(text) if quoted => result.push_str(&text),
                value => result.push_str(&value.to_string()),
            }
            rest = after;
            continue;
        }
        // A backslash takes the next character along, so that \" ends no quotes.
        let width = if found.starts_with('\\') { 2 } else { 1 };
        let width = found.char_indices().nth(width).map_or(found.len(), |(index, _)| index);
        quoted ^= found.starts_with('"');
        result.push_str(&found[..width]);
        rest = &found[width..];
    }
    result.push_str(rest);
    result
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RawRule {
    name: Option<String>,
    event_pattern: Option<Value>,
    schedule_expression: Option<String>,
    #[serde(default)]
    targets: Vec<RawTarget>,
    state: Option<String>,
    #[serde(rename = "Description")]
    _description: Option<Value>,
    #[serde(rename = "EventBusName")]
    _event_bus_name: Option<Value>,
    #[serde(rename = "Tags")]
    _tags: Option<Value>,
    #[serde(rename = "RoleArn")]
    _role_arn: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RawTarget {
    id: String,
    arn: String,
    input: Option<String>,
    input_path: Option<String>,
    input_transformer: Option<RawTransformer>,
    #[serde(rename = "RoleArn")]
    _role_arn: Option<Value>,
    #[serde(rename = "RetryPolicy")]
    _retry_policy: Option<Value>,
    #[serde(rename = "DeadLetterConfig")]
    _dead_letter_config: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RawTransformer {
    #[serde(default)]
    input_paths_map: BTreeMap<String, String>,
    input_template: String,
}

impl Template {
    /// The enabled rules that the template makes (`AWS::Events::Rule`).
    pub fn rules(&self) -> Result<Vec<Rule>, TemplateError> {
        let mut rules = Vec::new();
        for (id, properties) in self.resources("AWS::Events::Rule")? {
            let fails = |problem: String| TemplateError { at: format!("Resources.{id}"), problem };
            let raw: RawRule = serde_json::from_value(properties).map_err(|error| fails(error.to_string()))?;
            if raw.state.as_deref() == Some("DISABLED") {
                continue;
            }
            let on = match (&raw.event_pattern, &raw.schedule_expression) {
                (Some(pattern), None) => On::Event(Pattern::parse(pattern).map_err(|error| fails(error.to_string()))?),
                (None, Some(rate)) => {
                    On::Every(every(rate).ok_or_else(|| fails(format!("{rate} is not a rate that this reader knows")))?)
                }
                _ => return Err(fails("takes EventPattern or ScheduleExpression".into())),
            };
            let targets = raw.targets.into_iter().map(target).collect::<Result<_, _>>();
            let stack = self.stack();
            let name = raw.name.unwrap_or_else(|| format!("{}-{id}", stack.name));
            let arn = format!("arn:{}:events:{}:{}:rule/{name}", stack.partition(), stack.region, stack.account);
            let pattern = raw.event_pattern.unwrap_or_default();
            rules.push(Rule { name, arn, on, pattern, targets: targets.map_err(fails)? });
        }
        Ok(rules)
    }
}

fn target(raw: RawTarget) -> Result<Target, String> {
    let path = |text: &str| Path::parse(text).ok_or_else(|| format!("{text} is not a JSON path"));
    let input = match (raw.input, raw.input_path, raw.input_transformer) {
        (None, None, None) => Input::Event,
        (Some(text), None, None) => Input::Constant(text),
        (None, Some(text), None) => Input::Path(path(&text)?),
        (None, None, Some(RawTransformer { input_paths_map, input_template })) => {
            if input_template.len() > 8192 || input_paths_map.len() > 100 {
                return Err("an input transformer has 100 paths and 8,192 characters".into());
            }
            let paths = input_paths_map.into_iter();
            let paths = paths.map(|(name, text)| Ok::<_, String>((name, path(&text)?)));
            Input::Transformer { paths: paths.collect::<Result<_, _>>()?, template: input_template }
        }
        _ => return Err("takes one of Input, InputPath and InputTransformer".into()),
    };
    Ok(Target { id: raw.id, arn: raw.arn, input })
}

/// `rate(5 minutes)`.
fn every(expression: &str) -> Option<Duration> {
    let (count, unit) = expression.strip_prefix("rate(")?.strip_suffix(')')?.split_once(' ')?;
    let unit_secs = match unit.trim_end_matches('s') {
        "minute" => 60,
        "hour" => 3_600,
        "day" => 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(count.parse::<u64>().ok().filter(|count| *count > 0)? * unit_secs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::Stack;
    use serde_json::json;

    fn check(target: &str, expected: &str) {
        let yaml = format!(
            "Resources: {{R: {{Type: AWS::Events::Rule, Properties: {{Name: it, \
             EventPattern: {{source: [x]}}, Targets: [{{Id: a, Arn: arn, {target}}}]}}}}}}"
        );
        let rules = Template::read(&yaml, Stack::default()).and_then(|template| template.rules());
        let event = json!({"source": "x", "time": "now", "resources": ["r0"],
            "detail": {"execution-id": "e-1", "say": "a \"b\"", "n": 3, "list": ["p", "q"]}});
        let sent = match rules {
            Ok(rules) => rules[0].targets[0].input.of(&event, &rules[0]),
            Err(error) => error.to_string(),
        };
        assert!(sent.contains(expected), "{target}: {sent}");
    }

    #[test]
    fn what_a_target_is_sent() {
        let with = |paths: &str, template: &str| {
            format!("InputTransformer: {{InputPathsMap: {{{paths}}}, InputTemplate: '{template}'}}")
        };
        check("Input: '{\"a\": 1}'", r#"{"a": 1}"#);
        check("InputPath: $.detail.n", "3");
        check("InputPath: '$.resources[0]'", "\"r0\"");
        check(&with("e: $.detail.execution-id", r#"{"release": "<e>"}"#), r#"{"release": "e-1"}"#);
        check(&with("e: $.detail.execution-id", r#"{"release": <e>}"#), r#"{"release": "e-1"}"#);
        check(&with("l: $.detail.list, n: $.detail.n", "<l> <n>"), r#"["p","q"] 3"#);
        // Not escaped, and gone where there is nothing.
        check(&with(r#"s: "$.detail['say']""#, r#""said <s>""#), r#""said a "b"""#);
        check(&with("m: $.detail.missing", r#"{"a": "<m>"}"#), r#"{"a": ""}"#);
        check(&with("m: $.detail.n", "<other> <aws.events.rule-name>"), "<other> \"it\"");
        check(&with("n: $.detail.n", r#""\"<n>\" a <b""#), r#""\"3\" a <b""#);
    }

    #[test]
    fn what_it_does_not_know_is_an_error_that_says_where() {
        check("InputPath: detail", "Resources.R: detail is not a JSON path");
        check("Input: a, InputPath: $.b", "takes one of Input");
        check("SqsParameters: {}", "unknown field `SqsParameters`");
    }

    #[test]
    fn rates() {
        assert_eq!(every("rate(5 minutes)"), Some(Duration::from_secs(300)));
        assert_eq!(every("rate(1 hour)"), Some(Duration::from_secs(3600)));
        assert_eq!(every("cron(0 * * * ? *)"), None);
        assert_eq!(every("rate(0 minutes)"), None);
    }
}
