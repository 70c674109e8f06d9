//! The reading of infra/*.yaml: parameters, conditions and intrinsics as CloudFormation evaluates them.

mod intrinsic;
mod kind;
mod parameter;

use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;

/// What CloudFormation knows when it makes a stack of a template.
#[derive(Clone, Debug, Default)]
pub struct Stack {
    /// The stack's name.
    pub name: String,
    /// The account's id.
    pub account: String,
    /// The Region's name.
    pub region: String,
    /// The parameters given; the others take their defaults.
    pub parameters: BTreeMap<String, String>,
    /// What other stacks export, by name.
    pub imports: BTreeMap<String, String>,
    /// What `Ref` (`LogicalId`) and `GetAtt` (`LogicalId.Attribute`) give for resources that exist
    /// already. The others get the name that the template gives them, or one made of the stack's.
    pub known: BTreeMap<String, String>,
}

/// A template can't be read: what is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {problem}")]
pub struct TemplateError {
    /// The path into the template, e.g. `Resources.Pipeline.Properties.Name`.
    pub at: String,
    /// What is wrong there.
    pub problem: String,
}

/// A template with its parameters given.
#[derive(Clone, Debug)]
pub struct Template {
    body: Value,
    parameters: BTreeMap<String, Value>,
    stack: Stack,
}

/// References may be this deep; a template that refers to itself is deeper.
const DEPTH: usize = 200;

/// Where in the template we are: a list on the stack, written out for an error only.
#[derive(Clone, Copy)]
struct At<'a> {
    parent: Option<&'a At<'a>>,
    name: &'a str,
    depth: usize,
}

impl<'a> At<'a> {
    fn root(name: &'a str) -> Self {
        Self { parent: None, name, depth: 0 }
    }

    fn child(&'a self, name: &'a str) -> Self {
        Self { parent: Some(self), name, depth: self.depth + 1 }
    }

    fn fails<T>(&self, problem: impl Into<String>) -> Result<T, TemplateError> {
        Err(TemplateError { at: self.to_string(), problem: problem.into() })
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            write!(f, "{parent}.")?;
        }
        f.write_str(self.name)
    }
}

impl Stack {
    /// The partition that the Region is in: `aws`, `aws-cn` or `aws-us-gov`.
    pub fn partition(&self) -> &'static str {
        match &self.region {
            region if region.starts_with("cn-") => "aws-cn",
            region if region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        }
    }
}

impl Template {
    /// Reads a template (YAML with short tags, or JSON) for `stack`, and checks the parameters.
    pub fn read(text: &str, stack: Stack) -> Result<Self, TemplateError> {
        let at = At::root("template");
        let yaml: yaml_serde::Value = yaml_serde::from_str(text).or_else(|error| at.fails(error.to_string()))?;
        let body = to_long_form(yaml, &at)?;
        let parameters = parameter::values(&body, &stack)?;
        let template = Self { body, parameters, stack };
        template.assert_rules()?;
        Ok(template)
    }

    /// The stack that the template was read for.
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// The evaluated properties of each resource of the type whose condition holds, by logical id.
    pub fn resources(&self, kind: &str) -> Result<Vec<(String, Value)>, TemplateError> {
        let mut found = Vec::new();
        for (id, resource) in self.section("Resources") {
            if resource["Type"] != kind {
                continue;
            }
            let at = At::root("Resources");
            let at = at.child(id);
            if let Some(condition) = resource["Condition"].as_str()
                && !self.condition(condition, &at)?
            {
                continue;
            }
            let empty = Value::Object(Map::new());
            let properties = resource.get("Properties").unwrap_or(&empty);
            let value = self.evaluate(properties, &at.child("Properties"))?;
            found.push((id.clone(), value.unwrap_or(empty)));
        }
        Ok(found)
    }

    /// The evaluated outputs, by name.
    pub fn outputs(&self) -> Result<BTreeMap<String, Value>, TemplateError> {
        let mut outputs = BTreeMap::new();
        for (name, output) in self.section("Outputs") {
            let at = At::root("Outputs");
            let at = at.child(name);
            if let Some(condition) = output["Condition"].as_str()
                && !self.condition(condition, &at)?
            {
                continue;
            }
            if let Some(value) = self.evaluate(&output["Value"], &at)? {
                outputs.insert(name.clone(), value);
            }
        }
        Ok(outputs)
    }

    /// A value with its intrinsics replaced.
    pub(crate) fn value(&self, value: &Value) -> Result<Value, TemplateError> {
        Ok(self.evaluate(value, &At::root("value"))?.unwrap_or_default())
    }

    fn section(&self, name: &str) -> impl Iterator<Item = (&String, &Value)> {
        self.body[name].as_object().into_iter().flatten()
    }
}

/// A scalar as CloudFormation passes it on: text.
pub(crate) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    }
}

/// YAML as JSON, short tags (`!Sub x`) in their long form (`{"Fn::Sub": x}`).
fn to_long_form(value: yaml_serde::Value, at: &At<'_>) -> Result<Value, TemplateError> {
    use yaml_serde::Value as Yaml;
    Ok(match value {
        Yaml::Null => Value::Null,
        Yaml::Bool(value) => Value::Bool(value),
        Yaml::String(text) => Value::String(text),
        Yaml::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Value::from(integer),
            (None, Some(float)) => Value::from(float),
            (None, None) => return at.fails("not a number that JSON has"),
        },
        Yaml::Sequence(list) => {
            let entries = list.into_iter().enumerate();
            let entries = entries.map(|(index, value)| to_long_form(value, &at.child(&index.to_string())));
            Value::Array(entries.collect::<Result<_, _>>()?)
        }
        Yaml::Mapping(mapping) => {
            let mut map = Map::new();
            for (key, value) in mapping {
                let key = match key {
                    Yaml::String(key) => key,
                    Yaml::Number(key) => key.to_string(),
                    Yaml::Bool(key) => key.to_string(),
                    _ => return at.fails("a key that is not a text"),
                };
                let value = to_long_form(value, &at.child(&key))?;
                map.insert(key, value);
            }
            Value::Object(map)
        }
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let tag = tag.trim_start_matches('!');
            let name = match tag {
                "Ref" | "Condition" => tag.to_owned(),
                function => format!("Fn::{function}"),
            };
            let value = to_long_form(tagged.value, &at.child(&name))?;
            Value::Object(Map::from_iter([(name, value)]))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const HEAD: &str = "
Parameters:
  Service: {Type: String, Default: MZUM_WEB}
  Mode: {Type: String, Default: QUEUED, AllowedValues: [QUEUED, SUPERSEDED]}
  Subnets: {Type: CommaDelimitedList, Default: 'a, b'}
  Qa: {Type: String, Default: ''}
  Name: {Type: String, Default: web, AllowedPattern: '[a-z]{2,4}|x', MinLength: 1, MaxLength: 3}
  Count: {Type: Number, Default: 2, MinValue: 1, MaxValue: 10}
  Zone: {Type: String, Default: a}
Rules:
  Zones: {Assertions: [{Assert: !Not [!Equals [!Ref Zone, '']], AssertDescription: give a zone}]}
  Queued:
    RuleCondition: !Equals [!Ref Mode, SUPERSEDED]
    Assertions: [{Assert: !Equals [!Ref Qa, '']}]
Mappings: {Sizes: {small: {memory: 128}}}
Conditions:
  HasQa: !Not [!Equals [!Ref Qa, '']]
  Both: !And [Condition: HasQa, !Equals [!Ref Mode, QUEUED]]
  Any: !Or [!Condition HasQa, !Equals [!Ref Mode, QUEUED]]
  Loop: !Not [!Condition Loop]
Resources:
  Topic: {Type: AWS::SNS::Topic}
  Role: {Type: AWS::IAM::Role}
  Bucket: {Type: AWS::S3::Bucket, Properties: {BucketName: !Sub '${Service}-B'}}
  Odd: {Type: AWS::Odd::Thing}
  Self: {Type: AWS::SQS::Queue, Properties: {QueueName: !Ref Self}}
  Given: {Type: AWS::Odd::Thing}
  It:
    Type: Test
    Properties:
      Value: ";

    fn check(value: &str, parameters: &[(&str, &str)], expected: Result<Value, &str>) {
        let owned = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let stack = Stack {
            name: "web".into(),
            account: "123456789012".into(),
            region: "eu-west-1".into(),
            parameters: owned(parameters),
            imports: owned(&[("shared-topic", "arn:topic")]),
            known: owned(&[("Given", "g-1"), ("Given.Url", "http://g")]),
        };
        let found = Template::read(&format!("{HEAD}{value}\n"), stack)
            .and_then(|template| template.resources("Test"))
            .map(|resources| resources[0].1.get("Value").cloned().unwrap_or(Value::Null));
        match expected {
            Ok(expected) => assert_eq!(found, Ok(expected), "{value}"),
            Err(expected) => {
                let found = found.expect_err(value).to_string();
                assert!(found.contains(expected), "{value}: {found}");
            }
        }
    }

    #[test]
    fn intrinsics() {
        for (value, expected) in [
            ("!Ref Service", json!("MZUM_WEB")),
            ("{Ref: Service}", json!("MZUM_WEB")),
            ("!Ref Subnets", json!(["a", "b"])),
            ("!Ref AWS::Region", json!("eu-west-1")),
            ("!Ref Topic", json!("arn:aws:sns:eu-west-1:123456789012:web-Topic")),
            ("!GetAtt Role.Arn", json!("arn:aws:iam::123456789012:role/web-Role")),
            ("{Fn::GetAtt: [Bucket, Arn]}", json!("arn:aws:s3:::mzum_web-b")),
            ("!Ref Given", json!("g-1")),
            ("!Sub '${Given.Url}/${!Name}-${Service}'", json!("http://g/${Name}-MZUM_WEB")),
            ("!Sub ['${A}${Service}', {A: !Ref Mode}]", json!("QUEUEDMZUM_WEB")),
            ("!Join ['-', [a, !Ref Mode, 3]]", json!("a-QUEUED-3")),
            ("!Select [1, !Split ['_', !Ref Service]]", json!("WEB")),
            ("!If [HasQa, 1, 2]", json!(2)),
            ("!If [Any, 1, 2]", json!(1)),
            ("[a, !If [HasQa, b, !Ref AWS::NoValue], c]", json!(["a", "c"])),
            ("!FindInMap [Sizes, small, memory]", json!(128)),
            ("!ImportValue shared-topic", json!("arn:topic")),
        ] {
            check(value, &[], Ok(expected));
        }
        check("!If [Both, 1, 2]", &[("Qa", "MZUM_WEB_QA")], Ok(json!(1)));
    }

    #[test]
    fn what_it_does_not_know_is_an_error_that_says_where() {
        let at = "Resources.It.Properties.Value";
        for (value, expected) in [
            ("!Cidr [a, 1, 2]", format!("{at}.Fn::Cidr: Fn::Cidr is an intrinsic")),
            ("[!Base64 x]", format!("{at}.0.Fn::Base64: ")),
            ("!Ref Nothing", format!("{at}.Ref.Nothing: neither a parameter")),
            ("!Ref Odd", "what a AWS::Odd::Thing is called".into()),
            ("!GetAtt Topic.Name", "the value of Topic.Name is not known".into()),
            ("!Ref Self", "refers to itself".into()),
            ("!If [Loop, 1, 2]", "refers to itself".into()),
            ("!If [None, 1, 2]", "no condition is called None".into()),
            ("!Sub '${Service'", "without }".into()),
            ("!Select [7, !Ref Subnets]", "the list has 2".into()),
            ("!ImportValue other", "nothing is exported".into()),
        ] {
            check(value, &[], Err(&expected));
        }
        check("1", &[("Mode", "PARALLEL")], Err("allowed: QUEUED, SUPERSEDED"));
        check("1", &[("Other", "x")], Err("Parameters.Other: was given but is not declared"));
        for (name, value, expected) in [
            ("Name", "webs", "Parameters.Name: has 4 characters, takes 1 to 3"),
            ("Name", "", "has 0 characters"),
            ("Name", "1", "Parameters.Name: is \"1\", which is not [a-z]{2,4}|x"),
            ("Name", "xa1", "is \"xa1\", which is not"),
            ("Count", "11", "Parameters.Count: is 11, takes 1 to 10"),
            ("Count", "many", "Parameters.Count: \"many\" is not a number"),
            ("Zone", "", "Rules.Zones: give a zone"),
        ] {
            check("1", &[(name, value)], Err(expected));
        }
        check("1", &[("Qa", "x"), ("Mode", "SUPERSEDED")], Err("Rules.Queued: an assertion doesn't hold"));
        check("1", &[("Qa", "x")], Ok(json!(1)));
        check("1", &[("Name", "x"), ("Count", "10")], Ok(json!(1)));
    }
}
