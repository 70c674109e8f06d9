//! The reading of infra/*.yaml: parameters, conditions and intrinsics as CloudFormation evaluates them.

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

impl Template {
    /// Reads a template (YAML with short tags, or JSON) for `stack`, and checks the parameters.
    pub fn read(text: &str, stack: Stack) -> Result<Self, TemplateError> {
        let at = At::root("template");
        let yaml: yaml_serde::Value = yaml_serde::from_str(text).or_else(|error| at.fails(error.to_string()))?;
        let body = to_long_form(yaml, &at)?;
        let parameters = parameters(&body, &stack)?;
        Ok(Self { body, parameters, stack })
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

    fn section(&self, name: &str) -> impl Iterator<Item = (&String, &Value)> {
        self.body[name].as_object().into_iter().flatten()
    }

    /// `value` with its intrinsics replaced; `None` is `AWS::NoValue`.
    fn evaluate(&self, value: &Value, at: &At<'_>) -> Result<Option<Value>, TemplateError> {
        if at.depth > DEPTH {
            return at.fails("refers to itself");
        }
        match value {
            Value::Object(map) => {
                if map.len() == 1
                    && let Some((name, argument)) = map.iter().next()
                    && (name == "Ref" || name.starts_with("Fn::"))
                {
                    return self.intrinsic(name, argument, &at.child(name));
                }
                let mut result = Map::new();
                for (key, value) in map {
                    if let Some(value) = self.evaluate(value, &at.child(key))? {
                        result.insert(key.clone(), value);
                    }
                }
                Ok(Some(Value::Object(result)))
            }
            Value::Array(list) => {
                let mut result = Vec::with_capacity(list.len());
                for (index, value) in list.iter().enumerate() {
                    result.extend(self.evaluate(value, &at.child(&index.to_string()))?);
                }
                Ok(Some(Value::Array(result)))
            }
            scalar => Ok(Some(scalar.clone())),
        }
    }

    fn intrinsic(&self, name: &str, argument: &Value, at: &At<'_>) -> Result<Option<Value>, TemplateError> {
        let text = |value: String| Ok(Some(Value::String(value)));
        match name {
            "Ref" => match argument.as_str() {
                Some("AWS::NoValue") => Ok(None),
                Some(name) => Ok(Some(self.reference(name, at)?)),
                None => at.fails("takes a name"),
            },
            "Fn::GetAtt" => match argument {
                Value::String(path) => text(self.attribute(path, at)?),
                list => text(self.attribute(&self.texts(list, at)?.join("."), at)?),
            },
            "Fn::Sub" => match argument {
                Value::String(template) => text(self.substitute(template, &Map::new(), at)?),
                Value::Array(list) => match list.as_slice() {
                    [Value::String(template), Value::Object(variables)] => {
                        text(self.substitute(template, variables, at)?)
                    }
                    _ => at.fails("takes a text and a map"),
                },
                _ => at.fails("takes a text, or a text and a map"),
            },
            "Fn::Join" => match self.list(argument, at)?.as_slice() {
                [Value::String(delimiter), list] => text(self.texts(list, at)?.join(delimiter)),
                _ => at.fails("takes a delimiter and a list"),
            },
            "Fn::Split" => match self.list(argument, at)?.as_slice() {
                [Value::String(delimiter), Value::String(whole)] if !delimiter.is_empty() => {
                    let parts = whole.split(delimiter.as_str());
                    Ok(Some(parts.map(|part| Value::String(part.into())).collect()))
                }
                _ => at.fails("takes a delimiter and a text"),
            },
            "Fn::Select" => match self.list(argument, at)?.as_slice() {
                [index, Value::Array(list)] => {
                    let index = scalar(index).and_then(|index| index.parse::<usize>().ok());
                    match index.and_then(|index| list.get(index)) {
                        Some(value) => Ok(Some(value.clone())),
                        None => at.fails(format!("no such entry; the list has {}", list.len())),
                    }
                }
                _ => at.fails("takes an index and a list"),
            },
            "Fn::If" => match argument.as_array().map(Vec::as_slice) {
                Some([Value::String(condition), then, otherwise]) => {
                    let chosen = if self.condition(condition, at)? { then } else { otherwise };
                    self.evaluate(chosen, at)
                }
                _ => at.fails("takes a condition's name and two values"),
            },
            "Fn::FindInMap" => match self.texts(argument, at)?.as_slice() {
                [map, first, second] => match &self.body["Mappings"][map][first][second] {
                    Value::Null => at.fails(format!("no mapping {map}.{first}.{second}")),
                    value => Ok(Some(value.clone())),
                },
                _ => at.fails("takes a map and two keys"),
            },
            "Fn::ImportValue" => {
                let name = self.evaluate(argument, at)?.as_ref().and_then(scalar);
                match name.as_ref().and_then(|name| self.stack.imports.get(name)) {
                    Some(value) => text(value.clone()),
                    None => at.fails(format!("nothing is exported as {name:?}")),
                }
            }
            "Fn::Equals" | "Fn::Not" | "Fn::And" | "Fn::Or" => at.fails("stands under Conditions only"),
            other => at.fails(format!("{other} is an intrinsic that this reader doesn't know")),
        }
    }

    /// Whether the condition called `name` holds.
    fn condition(&self, name: &str, at: &At<'_>) -> Result<bool, TemplateError> {
        match self.body["Conditions"].get(name) {
            Some(condition) => self.holds(condition, &at.child(name)),
            None => at.fails(format!("no condition is called {name}")),
        }
    }

    fn holds(&self, condition: &Value, at: &At<'_>) -> Result<bool, TemplateError> {
        if at.depth > DEPTH {
            return at.fails("refers to itself");
        }
        let Some((name, argument)) =
            condition.as_object().filter(|map| map.len() == 1).and_then(|map| map.iter().next())
        else {
            return at.fails("a condition is one function");
        };
        let at = at.child(name);
        let all = || -> Result<Vec<bool>, TemplateError> {
            match argument {
                Value::Array(list) => list.iter().map(|part| self.holds(part, &at)).collect(),
                _ => at.fails("takes a list of conditions"),
            }
        };
        match name.as_str() {
            "Condition" => match argument.as_str() {
                Some(name) => self.condition(name, &at),
                None => at.fails("takes a condition's name"),
            },
            "Fn::Equals" => match self.list(argument, &at)?.as_slice() {
                [left, right] => Ok(scalar(left) == scalar(right)),
                _ => at.fails("takes two values"),
            },
            "Fn::Not" => match all()?.as_slice() {
                [condition] => Ok(!condition),
                _ => at.fails("takes a list of one condition"),
            },
            "Fn::And" => Ok(all()?.into_iter().all(|holds| holds)),
            "Fn::Or" => Ok(all()?.into_iter().any(|holds| holds)),
            other => at.fails(format!("{other} is a condition that this reader doesn't know")),
        }
    }

    fn substitute(&self, template: &str, variables: &Map<String, Value>, at: &At<'_>) -> Result<String, TemplateError> {
        let mut result = String::with_capacity(template.len());
        let mut rest = template;
        while let Some(start) = rest.find("${") {
            result.push_str(&rest[..start]);
            let Some(length) = rest[start..].find('}') else {
                return at.fails("a ${ without }");
            };
            let name = &rest[start + 2..start + length];
            rest = &rest[start + length + 1..];
            if let Some(literal) = name.strip_prefix('!') {
                result.push_str(&format!("${{{literal}}}"));
            } else if let Some(value) = variables.get(name) {
                let value = self.evaluate(value, &at.child(name))?;
                match value.as_ref().and_then(scalar) {
                    Some(value) => result.push_str(&value),
                    None => return at.fails(format!("{name} is not a text")),
                }
            } else if name.contains('.') {
                result.push_str(&self.attribute(name, at)?);
            } else {
                match scalar(&self.reference(name, at)?) {
                    Some(value) => result.push_str(&value),
                    None => return at.fails(format!("{name} is a list")),
                }
            }
        }
        result.push_str(rest);
        Ok(result)
    }

    /// What `Ref name` gives.
    fn reference(&self, name: &str, at: &At<'_>) -> Result<Value, TemplateError> {
        if let Some(value) = self.parameters.get(name) {
            return Ok(value.clone());
        }
        let stack = &self.stack;
        let text = match name {
            "AWS::AccountId" => stack.account.clone(),
            "AWS::Region" => stack.region.clone(),
            "AWS::StackName" => stack.name.clone(),
            "AWS::Partition" => "aws".into(),
            "AWS::URLSuffix" => "amazonaws.com".into(),
            _ => match self.stack.known.get(name) {
                Some(known) => known.clone(),
                None => {
                    let (kind, name) = self.named(name, at)?;
                    if kind.reference_is_arn { kind.arn(&name, stack) } else { name }
                }
            },
        };
        Ok(Value::String(text))
    }

    /// What `GetAtt path` gives.
    fn attribute(&self, path: &str, at: &At<'_>) -> Result<String, TemplateError> {
        if let Some(known) = self.stack.known.get(path) {
            return Ok(known.clone());
        }
        match path.split_once('.') {
            Some((id, "Arn")) => {
                let (kind, name) = self.named(id, at)?;
                Ok(kind.arn(&name, &self.stack))
            }
            _ => at.fails(format!("the value of {path} is not known here")),
        }
    }

    /// The kind and name of a resource that this stack makes.
    fn named(&self, id: &str, at: &At<'_>) -> Result<(&'static Kind, String), TemplateError> {
        let at = at.child(id);
        let resource = &self.body["Resources"][id];
        let Some(kind) = resource["Type"].as_str() else {
            return at.fails("neither a parameter nor a resource");
        };
        let Some(kind) = KINDS.iter().find(|known| known.name == kind) else {
            return at.fails(format!("what a {kind} is called is not known here"));
        };
        let name = match resource["Properties"].get(kind.property) {
            Some(name) => self.evaluate(name, &at)?.as_ref().and_then(scalar),
            None => None,
        };
        let name = name.unwrap_or_else(|| format!("{}-{id}", self.stack.name));
        let bucket = kind.name == "AWS::S3::Bucket";
        Ok((kind, if bucket { name.to_lowercase() } else { name }))
    }

    fn list(&self, value: &Value, at: &At<'_>) -> Result<Vec<Value>, TemplateError> {
        match self.evaluate(value, at)? {
            Some(Value::Array(list)) => Ok(list),
            _ => at.fails("takes a list"),
        }
    }

    fn texts(&self, value: &Value, at: &At<'_>) -> Result<Vec<String>, TemplateError> {
        let list = self.list(value, at)?;
        match list.iter().map(scalar).collect() {
            Some(texts) => Ok(texts),
            None => at.fails("takes a list of texts"),
        }
    }
}

/// How AWS names one type of resource.
#[derive(Debug)]
struct Kind {
    name: &'static str,
    /// The property that may name it.
    property: &'static str,
    /// Its ARN, with `{R}`, `{A}` and `{N}` for Region, account and name.
    arn: &'static str,
    reference_is_arn: bool,
}

impl Kind {
    fn arn(&self, name: &str, stack: &Stack) -> String {
        self.arn.replace("{R}", &stack.region).replace("{A}", &stack.account).replace("{N}", name)
    }
}

const fn kind(name: &'static str, property: &'static str, arn: &'static str) -> Kind {
    Kind { name, property, arn, reference_is_arn: false }
}

const KINDS: [Kind; 11] = [
    kind("AWS::CodePipeline::Pipeline", "Name", "arn:aws:codepipeline:{R}:{A}:{N}"),
    kind("AWS::Lambda::Function", "FunctionName", "arn:aws:lambda:{R}:{A}:function:{N}"),
    kind("AWS::Serverless::Function", "FunctionName", "arn:aws:lambda:{R}:{A}:function:{N}"),
    kind("AWS::IAM::Role", "RoleName", "arn:aws:iam::{A}:role/{N}"),
    kind("AWS::S3::Bucket", "BucketName", "arn:aws:s3:::{N}"),
    kind("AWS::Events::Rule", "Name", "arn:aws:events:{R}:{A}:rule/{N}"),
    kind("AWS::SQS::Queue", "QueueName", "arn:aws:sqs:{R}:{A}:{N}"),
    kind("AWS::KMS::Key", "", "arn:aws:kms:{R}:{A}:key/{N}"),
    kind("AWS::CodeDeploy::Application", "ApplicationName", "arn:aws:codedeploy:{R}:{A}:application:{N}"),
    kind("AWS::CodeDeploy::DeploymentGroup", "DeploymentGroupName", "arn:aws:codedeploy:{R}:{A}:deploymentgroup:{N}"),
    Kind { name: "AWS::SNS::Topic", property: "TopicName", arn: "arn:aws:sns:{R}:{A}:{N}", reference_is_arn: true },
];

/// A scalar as CloudFormation passes it on: text.
pub(crate) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    }
}

/// The parameters' values: given, or by default.
fn parameters(body: &Value, stack: &Stack) -> Result<BTreeMap<String, Value>, TemplateError> {
    let at = At::root("Parameters");
    let declared = body["Parameters"].as_object();
    let mut values = BTreeMap::new();
    for (name, parameter) in declared.into_iter().flatten() {
        let at = at.child(name);
        let given = stack.parameters.get(name).cloned();
        let Some(value) = given.or_else(|| scalar(&parameter["Default"])) else {
            return at.fails("has no default and was not given");
        };
        if let Some(allowed) = parameter["AllowedValues"].as_array() {
            let allowed: Vec<String> = allowed.iter().filter_map(scalar).collect();
            if !allowed.contains(&value) {
                return at.fails(format!("is {value:?}; allowed: {}", allowed.join(", ")));
            }
        }
        let kind = parameter["Type"].as_str().unwrap_or_default();
        let value = if kind.contains("List") {
            value.split(',').map(|part| Value::String(part.trim().into())).collect()
        } else {
            Value::String(value)
        };
        values.insert(name.clone(), value);
    }
    match stack.parameters.keys().find(|name| !values.contains_key(*name)) {
        Some(unknown) => at.child(unknown).fails("was given but is not declared"),
        None => Ok(values),
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
    }
}
