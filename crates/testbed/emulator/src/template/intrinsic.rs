//! Intrinsics and conditions, evaluated as CloudFormation does.

use super::kind::{KINDS, Kind};
use super::{At, DEPTH, Template, TemplateError, scalar};
use serde_json::{Map, Value};

impl Template {
    /// `value` with its intrinsics replaced; `None` is `AWS::NoValue`.
    pub(super) fn evaluate(&self, value: &Value, at: &At<'_>) -> Result<Option<Value>, TemplateError> {
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
    pub(super) fn condition(&self, name: &str, at: &At<'_>) -> Result<bool, TemplateError> {
        match self.body["Conditions"].get(name) {
            Some(condition) => self.holds(condition, &at.child(name)),
            None => at.fails(format!("no condition is called {name}")),
        }
    }

    pub(super) fn holds(&self, condition: &Value, at: &At<'_>) -> Result<bool, TemplateError> {
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
            "AWS::Partition" => stack.partition().into(),
            "AWS::URLSuffix" if stack.partition() == "aws-cn" => "amazonaws.com.cn".into(),
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
