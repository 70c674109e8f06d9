//! Parameters and rules: what CloudFormation refuses before it makes anything.

use super::{At, Stack, Template, TemplateError, scalar};
use regex_lite::Regex;
use serde_json::Value;
use std::collections::BTreeMap;

/// The parameters' values: given, or by default.
pub(super) fn values(body: &Value, stack: &Stack) -> Result<BTreeMap<String, Value>, TemplateError> {
    let at = At::root("Parameters");
    let declared = body["Parameters"].as_object();
    let mut values = BTreeMap::new();
    for (name, parameter) in declared.into_iter().flatten() {
        let at = at.child(name);
        let given = stack.parameters.get(name).cloned();
        let Some(value) = given.or_else(|| scalar(&parameter["Default"])) else {
            return at.fails("has no default and was not given");
        };
        check(parameter, &value, &at)?;
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

/// Holds one value against what its parameter allows.
fn check(parameter: &Value, value: &str, at: &At<'_>) -> Result<(), TemplateError> {
    if let Some(allowed) = parameter["AllowedValues"].as_array() {
        let allowed: Vec<String> = allowed.iter().filter_map(scalar).collect();
        if !allowed.iter().any(|allowed| allowed == value) {
            return at.fails(format!("is {value:?}; allowed: {}", allowed.join(", ")));
        }
    }
    let number = |key: &str| scalar(&parameter[key]).and_then(|text| text.parse::<f64>().ok());
    let (least, most) = (number("MinLength").unwrap_or(0.0), number("MaxLength").unwrap_or(f64::INFINITY));
    let length = value.chars().count();
    #[allow(clippy::cast_precision_loss, reason = "a parameter has 4,096 characters at most")]
    if !(least..=most).contains(&(length as f64)) {
        return at.fails(format!("has {length} characters, takes {least} to {most}"));
    }
    if let Some(pattern) = parameter["AllowedPattern"].as_str() {
        // All of the value must match.
        let whole = Regex::new(&format!("^(?:{pattern})$")).or_else(|error| at.fails(error.to_string()))?;
        if !whole.is_match(value) {
            return at.fails(format!("is {value:?}, which is not {pattern}"));
        }
    }
    if parameter["Type"] == "Number" {
        let Ok(given) = value.parse::<f64>() else {
            return at.fails(format!("{value:?} is not a number"));
        };
        let (least, most) = (number("MinValue").unwrap_or(f64::MIN), number("MaxValue").unwrap_or(f64::MAX));
        if !(least..=most).contains(&given) {
            return at.fails(format!("is {value}, takes {least} to {most}"));
        }
    }
    Ok(())
}

impl Template {
    /// Holds the parameters together against the template's `Rules`.
    pub(super) fn assert_rules(&self) -> Result<(), TemplateError> {
        for (name, rule) in self.section("Rules") {
            let at = At::root("Rules");
            let at = at.child(name);
            if let Some(condition) = rule.get("RuleCondition")
                && !self.holds(condition, &at)?
            {
                continue;
            }
            for assertion in rule["Assertions"].as_array().into_iter().flatten() {
                if !self.holds(&assertion["Assert"], &at)? {
                    return at.fails(assertion["AssertDescription"].as_str().unwrap_or("an assertion doesn't hold"));
                }
            }
        }
        Ok(())
    }
}
