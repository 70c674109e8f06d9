//! IAM policies as infra/*.yaml has them: whether a role may do what is asked for.
//!
//! Exactly the language that the templates use, so that nothing is read more leniently than AWS does: an element or a
//! condition operator that isn't known here is an error that names it.

use crate::template::{Template, TemplateError, scalar};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
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
        let fields = statement.as_object().ok_or("a statement is a map")?;
        only(fields, &["Sid", "Effect", "Action", "Resource", "Condition"])?;
        if statement["Effect"] != "Allow" {
            return Err(format!("Effect {} is none that this reader knows", statement["Effect"]));
        }
        let actions = texts(&statement["Action"]).ok_or("Action takes names")?;
        if let Some(pattern) = actions.iter().find(|action| action.contains(['*', '?'])) {
            return Err(format!("{pattern} grants more than one action: name each"));
        }
        let mut conditions = Vec::new();
        let condition = fields.get("Condition").cloned().unwrap_or_else(|| json!({}));
        for (operator, keys) in condition.as_object().ok_or("Condition takes a map of operators")? {
            let operator = match operator.as_str() {
                "StringEquals" => Operator::StringEquals,
                "ForAllValues:StringEquals" => Operator::AllStringEquals,
                "ForAllValues:StringLike" => Operator::AllStringLike,
                "Null" => Operator::Null,
                _ => return Err(format!("{operator} is a condition operator that this reader doesn't know")),
            };
            for (key, values) in keys.as_object().ok_or("a condition operator takes a map of keys")? {
                let values = texts(values).ok_or_else(|| format!("{key} takes texts"))?;
                if operator == Operator::Null
                    && let Some(other) = values.iter().find(|value| !matches!(value.as_str(), "true" | "false"))
                {
                    return Err(format!("Null takes true or false for {key}, not {other}"));
                }
                conditions.push(Condition { operator, key: key.clone(), values });
            }
        }
        if let Some(sid) = fields.get("Sid")
            && !sid.as_str().is_some_and(|sid| sid.chars().all(|c| c.is_ascii_alphanumeric()))
        {
            return Err(format!("Sid takes letters and digits, not {sid}"));
        }
        Ok(Self {
            sid: statement["Sid"].as_str().map_or_else(|| format!("statement {number}"), str::to_owned),
            actions,
            resources: texts(&statement["Resource"]).ok_or("Resource takes ARNs")?,
            conditions,
        })
    }
}

/// One text, or a list of at least one.
fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(list) if list.is_empty() => None,
        Value::Array(list) => list.iter().map(scalar).collect(),
        one => scalar(one).map(|text| vec![text]),
    }
}

/// Refuses elements that would go unread.
fn only(fields: &Map<String, Value>, known: &[&str]) -> Result<(), String> {
    match fields.keys().find(|key| !known.contains(&key.as_str())) {
        Some(unknown) => Err(format!("{unknown} is an element that this reader doesn't know")),
        None => Ok(()),
    }
}

impl Policy {
    /// Whether a statement allows the request.
    pub fn allows(&self, request: &Request) -> bool {
        self.statements.iter().any(|statement| statement.allows(request))
    }

    fn add(&mut self, document: &Value) -> Result<(), String> {
        let fields = document.as_object().ok_or("a policy document is a map")?;
        only(fields, &["Version", "Id", "Statement"])?;
        if let Some(version) = fields.get("Version")
            && !["2012-10-17", "2008-10-17"].iter().any(|known| version == known)
        {
            return Err(format!("Version {version} is none of IAM's policy language"));
        }
        let statements = document["Statement"].as_array().ok_or("a policy document has a list of statements")?;
        let mut sids = BTreeSet::new();
        for statement in statements {
            if let Some(sid) = statement["Sid"].as_str()
                && !sids.insert(sid)
            {
                return Err(format!("the Sid {sid} stands twice in one policy"));
            }
            self.statements.push(Statement::read(self.statements.len() + 1, statement)?);
        }
        Ok(())
    }
}

impl Template {
    /// The policies that the template makes, by logical id: of each role all that it may do, its own and what is
    /// attached to it, wherever the template says so, and each managed policy by itself.
    ///
    /// # Errors
    /// Besides what is wrong, what would limit or widen a role unread: a permissions boundary, and managed policies of
    /// elsewhere.
    pub fn policies(&self) -> Result<BTreeMap<String, Policy>, TemplateError> {
        let mut policies: BTreeMap<String, Policy> = BTreeMap::new();
        let fails = |id: &str, problem: String| TemplateError { at: format!("Resources.{id}"), problem };
        let mut add = |holder: &str, id: &str, document: &Value| {
            policies.entry(holder.to_owned()).or_default().add(document).map_err(|problem| fails(id, problem))
        };
        let managed = self.resources("AWS::IAM::ManagedPolicy")?;
        for (id, properties) in &managed {
            add(id, id, &properties["PolicyDocument"])?;
        }
        let inline = [self.resources("AWS::IAM::Policy")?, self.resources("AWS::IAM::RolePolicy")?].concat();
        for (id, properties) in self.resources("AWS::IAM::Role")? {
            if properties.get("PermissionsBoundary").is_some() {
                return Err(fails(&id, "PermissionsBoundary is not read here: nothing says what it leaves".to_owned()));
            }
            for policy in list(&properties["Policies"]).ok_or_else(|| fails(&id, "Policies takes a list".to_owned()))? {
                add(&id, &id, &policy["PolicyDocument"])?;
            }
            let role = self.value(&json!({"Ref": id}))?;
            if let Some(elsewhere) = properties.get("ManagedPolicyArns") {
                let problem = format!("ManagedPolicyArns {elsewhere} are not read here: attach a policy by its Roles");
                return Err(fails(&id, problem));
            }
            for (policy, properties) in managed.iter().chain(&inline) {
                if attaches(properties, &role) {
                    add(&id, policy, &properties["PolicyDocument"])?;
                }
            }
        }
        Ok(policies)
    }
}

/// Whether a policy of its own is attached to the role.
fn attaches(properties: &Value, role: &Value) -> bool {
    properties["Roles"].as_array().is_some_and(|roles| roles.contains(role)) || properties["RoleName"] == *role
}

/// A list that may be absent; `None` for anything else.
fn list(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Null => Some(&[]),
        Value::Array(list) => Some(list),
        _ => None,
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

    #[test]
    fn what_iam_refuses_is_refused() {
        for (rest, expected) in [
            ("Condition: [{StringEquals: {k: v}}]", "Condition takes a map"),
            ("Condition: StringEquals", "Condition takes a map"),
            ("Condition: {StringEquals: [k]}", "takes a map of keys"),
            ("Condition: {StringEquals: k}", "takes a map of keys"),
            ("Condition: {StringEquals: {k: []}}", "k takes texts"),
            ("Condition: {StringEquals: {k: {l: m}}}", "k takes texts"),
            ("Condition: {'Null': {k: 'no'}}", "Null takes true or false for k, not no"),
            ("Condition: {'Null': {k: ['true', '0']}}", "not 0"),
            ("Sid: a b", "Sid takes letters and digits"),
            ("Sid: A}, {Sid: A, Effect: Allow, Action: s3:PutObject, Resource: '*'", "the Sid A stands twice"),
        ] {
            let statement = format!("{{Effect: Allow, Action: s3:GetObject, Resource: '*', {rest}}}");
            let error = policies(&statement).expect_err(rest).to_string();
            assert!(error.contains(expected), "{rest}: {error}");
        }
        for statement in [
            "{Effect: Allow, Action: [], Resource: '*'}",
            "{Effect: Allow, Action: s3:GetObject, Resource: []}",
            "text",
        ] {
            policies(statement).expect_err(statement);
        }
    }

    /// What a role may do that has these properties, beside these resources.
    fn role(properties: &str, resources: &str) -> Result<Vec<String>, String> {
        let text = format!("Resources:\n  Role: {{Type: AWS::IAM::Role, Properties: {{{properties}}}}}\n{resources}");
        let template = Template::read(&text, Stack { name: "s".into(), ..Stack::default() }).expect(&text);
        let policies = template.policies().map_err(|error| error.to_string())?;
        let statements = policies.get("Role").cloned().unwrap_or_default().statements;
        Ok(statements.into_iter().flat_map(|statement| statement.actions).collect())
    }

    #[test]
    fn whatever_limits_or_widens_a_role_is_read_or_refused() {
        const DOCUMENT: &str = "PolicyDocument: {Statement: [{Effect: Allow, Action: s3:GetObject, Resource: '*'}]}";
        let policy =
            |kind: &str, rest: &str| format!("  P: {{Type: AWS::IAM::{kind}, Properties: {{{rest}, {DOCUMENT}}}}}");
        let granted = Ok(vec!["s3:GetObject".to_owned()]);
        assert_eq!(role("", &policy("Policy", "Roles: [!Ref Role]")), granted);
        assert_eq!(role("", &policy("RolePolicy", "RoleName: !Ref Role")), granted);
        assert_eq!(role("", &policy("ManagedPolicy", "Roles: [!Ref Role]")), granted);
        assert_eq!(role("", &policy("Policy", "Roles: [other]")), Ok(vec![]));
        assert_eq!(role("PermissionsBoundary: !Ref AWS::NoValue", ""), Ok(vec![]));
        for (properties, expected) in [
            ("PermissionsBoundary: arn:aws:iam::1:policy/b", "PermissionsBoundary is not read"),
            (
                "ManagedPolicyArns: [arn:aws:iam::aws:policy/AdministratorAccess]",
                "AdministratorAccess\"] are not read here",
            ),
            ("Policies: {a: b}", "Policies takes a list"),
            ("Policies: [{PolicyDocument: {Version: 2020-01-01, Statement: []}}]", "Version"),
            ("Policies: [{PolicyDocument: {Statements: []}}]", "Statements is an element"),
            ("Policies: [{PolicyDocument: text}]", "a policy document is a map"),
        ] {
            let error = role(properties, "").expect_err(properties);
            assert!(error.contains(expected), "{properties}: {error}");
        }
    }
}
