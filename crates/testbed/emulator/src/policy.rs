//! IAM policies as infra/*.yaml has them: whether a role may do what is asked for.
//!
//! Exactly the language that the templates use, so that nothing is read more leniently than AWS does: an element or a
//! condition operator that isn't known here is an error that names it.

use crate::template::{Template, TemplateError, scalar};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use wildmatch::WildMatch;

/// What AWS asks IAM before it does something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Request {
    /// As IAM names it, e.g. `ec2:RunInstances`.
    pub action: String,
    /// The ARN that it is to be done to; `*` where the action knows no resources.
    pub resource: String,
    /// The condition keys that AWS fills in, e.g. `aws:ResourceTag/tagship:service`.
    pub context: BTreeMap<String, Vec<String>>,
}

/// What a principal may do. Everything else is denied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Any of them may allow a request.
    pub statements: Vec<Statement>,
}

/// Actions on resources, under a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Its name, or its number.
    pub sid: String,
    /// Whole names; a pattern is refused, since nothing could prove it minimal.
    pub actions: Vec<String>,
    /// ARNs, with `*` and `?`.
    pub resources: Vec<String>,
    /// All of them must hold.
    pub conditions: Vec<Condition>,
}

/// One key of a statement's condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// How the key's values are compared.
    pub operator: Operator,
    /// E.g. `aws:RequestTag/tagship:service`.
    pub key: String,
    /// Any of them may match.
    pub values: Vec<String>,
}

/// The operators that the templates use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// The key is there and equals a value.
    StringEquals,
    /// Each of the key's values, if there are any, equals one of these.
    AllStringEquals,
    /// Each of the key's values, if there are any, matches one of these patterns.
    AllStringLike,
    /// `true`: the key is not there; `false`: it is.
    Null,
}

impl Condition {
    fn holds(&self, context: &BTreeMap<String, Vec<String>>) -> bool {
        let found = context.get(&self.key).map(Vec::as_slice).unwrap_or_default();
        let like = |value: &String| self.values.iter().any(|pattern| WildMatch::new(pattern).matches(value));
        match self.operator {
            Operator::StringEquals => !found.is_empty() && found.iter().any(|value| self.values.contains(value)),
            Operator::AllStringEquals => found.iter().all(|value| self.values.contains(value)),
            Operator::AllStringLike => found.iter().all(like),
            Operator::Null => self.values.iter().any(|absent| (absent == "true") == found.is_empty()),
        }
    }
}

impl Statement {
    /// Whether it allows the request.
    pub fn allows(&self, request: &Request) -> bool {
        self.actions.contains(&request.action)
            && self.resources.iter().any(|pattern| WildMatch::new(pattern).matches(&request.resource))
            && self.conditions.iter().all(|condition| condition.holds(&request.context))
    }

    fn read(number: usize, statement: &Value) -> Result<Self, String> {
        let known = ["Sid", "Effect", "Action", "Resource", "Condition"];
        let fields = statement.as_object().ok_or("a statement is a map")?;
        if let Some(unknown) = fields.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(format!("{unknown} is an element that this reader doesn't know"));
        }
        if statement["Effect"] != "Allow" {
            return Err(format!("Effect {} is none that this reader knows", statement["Effect"]));
        }
        let actions = texts(&statement["Action"]).ok_or("Action takes names")?;
        if let Some(pattern) = actions.iter().find(|action| action.contains(['*', '?'])) {
            return Err(format!("{pattern} grants more than one action: name each"));
        }
        let mut conditions = Vec::new();
        for (operator, keys) in statement["Condition"].as_object().into_iter().flatten() {
            let operator = match operator.as_str() {
                "StringEquals" => Operator::StringEquals,
                "ForAllValues:StringEquals" => Operator::AllStringEquals,
                "ForAllValues:StringLike" => Operator::AllStringLike,
                "Null" => Operator::Null,
                _ => return Err(format!("{operator} is a condition operator that this reader doesn't know")),
            };
            for (key, values) in keys.as_object().into_iter().flatten() {
                let values = texts(values).ok_or_else(|| format!("{key} takes texts"))?;
                conditions.push(Condition { operator, key: key.clone(), values });
            }
        }
        Ok(Self {
            sid: statement["Sid"].as_str().map_or_else(|| format!("statement {number}"), str::to_owned),
            actions,
            resources: texts(&statement["Resource"]).ok_or("Resource takes ARNs")?,
            conditions,
        })
    }
}

/// One text, or a list of them.
fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(list) => list.iter().map(scalar).collect(),
        one => scalar(one).map(|text| vec![text]),
    }
}

impl Policy {
    /// Whether a statement allows the request.
    pub fn allows(&self, request: &Request) -> bool {
        self.statements.iter().any(|statement| statement.allows(request))
    }

    fn add(&mut self, document: &Value) -> Result<(), String> {
        for statement in document["Statement"].as_array().ok_or("a policy document has a list of statements")? {
            self.statements.push(Statement::read(self.statements.len() + 1, statement)?);
        }
        Ok(())
    }
}

impl Template {
    /// The policies that the template makes, by logical id: of each role all that it may do, its own and what is
    /// attached to it, and each managed policy by itself.
    pub fn policies(&self) -> Result<BTreeMap<String, Policy>, TemplateError> {
        let mut policies: BTreeMap<String, Policy> = BTreeMap::new();
        let mut add = |holder: &str, id: &str, document: &Value| {
            let fails = |problem| TemplateError { at: format!("Resources.{id}"), problem };
            policies.entry(holder.to_owned()).or_default().add(document).map_err(fails)
        };
        let managed = self.resources("AWS::IAM::ManagedPolicy")?;
        for (id, properties) in &managed {
            add(id, id, &properties["PolicyDocument"])?;
        }
        for (id, properties) in self.resources("AWS::IAM::Role")? {
            for policy in properties["Policies"].as_array().into_iter().flatten() {
                add(&id, &id, &policy["PolicyDocument"])?;
            }
            let role = self.value(&json!({"Ref": id}))?;
            for (policy, properties) in &managed {
                if properties["Roles"].as_array().is_some_and(|roles| roles.contains(&role)) {
                    add(&id, policy, &properties["PolicyDocument"])?;
                }
            }
        }
        Ok(policies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::Stack;

    fn policies(statement: &str) -> Result<BTreeMap<String, Policy>, TemplateError> {
        let text = format!(
            "Resources:
  Role: {{Type: AWS::IAM::Role, Properties: {{Policies: [{{PolicyDocument: {{Statement: [{statement}]}}}}]}}}}
  Shared:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      Roles: [!Ref Role]
      PolicyDocument: {{Statement: [{{Effect: Allow, Action: s3:ListBucket, Resource: '*'}}]}}
"
        );
        Template::read(&text, Stack { name: "s".into(), ..Stack::default() })?.policies()
    }

    /// Whether `ec2:StopInstances` of this instance is allowed, with this context.
    #[track_caller]
    fn check(rest: &str, resource: &str, context: &[(&str, &[&str])], expected: bool) {
        let policies = policies(&format!("{{Effect: Allow, Action: ec2:StopInstances, {rest}}}")).expect("policies");
        let context = context
            .iter()
            .map(|(key, values)| ((*key).to_owned(), values.iter().map(|value| (*value).to_owned()).collect()));
        let request = |action: &str, resource: &str, context: BTreeMap<_, _>| Request {
            action: action.to_owned(),
            resource: resource.to_owned(),
            context,
        };
        let role = &policies["Role"];
        assert_eq!(role.allows(&request("ec2:StopInstances", resource, context.collect())), expected, "{rest}");
        assert!(!role.allows(&request("ec2:StartInstances", resource, BTreeMap::new())), "never granted");
        assert!(role.allows(&request("s3:ListBucket", "arn:aws:s3:::b", BTreeMap::new())), "attached");
    }

    #[test]
    fn a_request_is_held_against_resource_and_condition() {
        const I: &str = "arn:aws:ec2:r:1:instance/i-1";
        let any = "Resource: '*'";
        check(any, I, &[], true);
        check("Resource: 'arn:aws:ec2:r:1:instance/*'", I, &[], true);
        check("Resource: [arn:aws:ec2:r:1:volume/*, 'arn:aws:ec2:r:1:instance/*']", I, &[], true);
        check("Resource: 'arn:aws:ec2:r:1:volume/*'", I, &[], false);

        let there = "Resource: '*', Condition: {'Null': {k: 'false', l: 'false'}}";
        check(there, I, &[("k", &["v"]), ("l", &["v"])], true);
        check(there, I, &[("k", &["v"])], false);
        check("Resource: '*', Condition: {'Null': {k: 'true'}}", I, &[("k", &["v"])], false);
        check("Resource: '*', Condition: {'Null': {k: 'true'}}", I, &[], true);

        let equals = "Resource: '*', Condition: {StringEquals: {k: [v, w]}}";
        check(equals, I, &[("k", &["w"])], true);
        check(equals, I, &[("k", &["x"])], false);
        check(equals, I, &[], false);

        let all = "Resource: '*', Condition: {'ForAllValues:StringEquals': {k: [v, w]}}";
        check(all, I, &[("k", &["w", "v"])], true);
        check(all, I, &[("k", &["w", "x"])], false);
        check(all, I, &[], true);

        let like = "Resource: '*', Condition: {'ForAllValues:StringLike': {k: ['a.*', '*.a.*']}}";
        check(like, I, &[("k", &["a.b", "1.a.b"])], true);
        check(like, I, &[("k", &["a.b", "b"])], false);

        let both = "Resource: '*', Condition: {StringEquals: {k: v}, 'Null': {l: 'false'}}";
        check(both, I, &[("k", &["v"]), ("l", &["1"])], true);
        check(both, I, &[("k", &["v"])], false);
    }

    #[test]
    fn what_it_does_not_know_is_refused_by_name() {
        for (statement, expected) in [
            ("{Effect: Deny, Action: s3:GetObject, Resource: '*'}", "Effect \"Deny\""),
            ("{Effect: Allow, NotAction: s3:GetObject, Resource: '*'}", "NotAction"),
            ("{Effect: Allow, Action: 's3:Get*', Resource: '*'}", "s3:Get*"),
            ("{Effect: Allow, Action: s3:GetObject}", "Resource takes ARNs"),
            (
                "{Effect: Allow, Action: s3:GetObject, Resource: '*', Condition: {StringLikeIfExists: {k: v}}}",
                "StringLikeIfExists",
            ),
        ] {
            let error = policies(statement).expect_err(statement).to_string();
            assert!(error.starts_with("Resources.Role: ") && error.contains(expected), "{statement}: {error}");
        }
    }
}
