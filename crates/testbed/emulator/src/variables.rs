//! Variables in an action's configuration: `#{namespace.Key}`, resolved when the action starts.

use std::collections::BTreeMap;

/// The output variables of an execution so far, by namespace and key.
pub type Variables = BTreeMap<String, BTreeMap<String, String>>;

/// `text` with its variables replaced, or the first one that has no value.
pub fn resolve(text: &str, variables: &Variables) -> Result<String, String> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("#{") {
        let Some(length) = rest[start..].find('}') else { break };
        let name = &rest[start + 2..start + length];
        let value = name.split_once('.').and_then(|(namespace, key)| variables.get(namespace)?.get(key));
        match value {
            Some(value) => {
                result.push_str(&rest[..start]);
                result.push_str(value);
            }
            None => return Err(name.to_owned()),
        }
        rest = &rest[start + length + 1..];
    }
    result.push_str(rest);
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_or_named() {
        let release = BTreeMap::from([("PipelineExecutionId".to_owned(), "e-1".to_owned())]);
        let variables = Variables::from([("codepipeline".to_owned(), release)]);
        for (text, expected) in [
            ("plain #1 {x}", Ok("plain #1 {x}")),
            ("\"#{codepipeline.PipelineExecutionId}\"!", Ok("\"e-1\"!")),
            ("#{codepipeline.Other}", Err("codepipeline.Other")),
            ("#{Source.VersionId}", Err("Source.VersionId")),
            ("#{open", Ok("#{open")),
        ] {
            let found = resolve(text, &variables);
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{text}");
        }
    }
}
