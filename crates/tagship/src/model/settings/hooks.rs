//! `HOOKS`: Lambda functions that a release has to pass, before its first weight moves and after its last.

use super::fields::{Fields, dictionary, text};
use super::literal::Literal;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Functions that a person may write for one point.
pub(super) const MAX_HOOKS: usize = 10;
/// The longest details that go to and fro, in bytes of JSON: the hold carries them.
pub const MAX_DETAILS: usize = 4_096;
/// Lambda's limit of a function's name, in characters.
const MAX_NAME: usize = 64;
/// The same of an alias.
const MAX_ALIAS: usize = 128;
/// What a hook is written as, for people.
const FORMS: &str = "a Lambda function's name or ARN, or {\"FUNCTION\": …, \"DETAILS\": {…}}";

/// The hooks of a release.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", default)]
pub struct Hooks {
    /// Before the first weight moves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub before_shift: Vec<Hook>,
    /// After the last one has moved.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after_shift: Vec<Hook>,
}

/// When a hook is called. Earlier ones are less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum HookPoint {
    /// Before the first weight moves.
    BeforeShift,
    /// After the last one has moved.
    AfterShift,
}

impl HookPoint {
    /// As settings have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BeforeShift => "BEFORE_SHIFT",
            Self::AfterShift => "AFTER_SHIFT",
        }
    }
}

/// A Lambda function that answers as one of ECS's lifecycle hooks does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub struct Hook {
    /// Its name or ARN, perhaps with an alias.
    pub function: String,
    /// What it is told besides when it is called first.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub details: Option<Value>,
}

impl Hooks {
    /// Those of a point, in order.
    pub fn at(&self, point: HookPoint) -> &[Hook] {
        match point {
            HookPoint::BeforeShift => &self.before_shift,
            HookPoint::AfterShift => &self.after_shift,
        }
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Hook> {
        self.before_shift.iter().chain(&self.after_shift)
    }

    /// What a hold needn't say.
    pub(super) fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// The value of `HOOKS`.
pub(super) fn hooks(fields: &mut Fields) -> Option<Hooks> {
    let form = "{\"BEFORE_SHIFT\": [\"smoke-test\"], \"AFTER_SHIFT\": […]}";
    let section = fields.optional("HOOKS", form, dictionary);
    fields.section("HOOKS", &["BEFORE_SHIFT", "AFTER_SHIFT"], section, |fields| {
        let (before_shift, after_shift) = (list(fields, "BEFORE_SHIFT"), list(fields, "AFTER_SHIFT"));
        Some(Hooks { before_shift, after_shift })
    })
}

fn list(fields: &mut Fields, key: &'static str) -> Vec<Hook> {
    let what = format!("a list of at most {MAX_HOOKS}, each {FORMS}");
    let found = fields.optional(key, &what, |value| match value {
        Literal::List(list) => (list.len() <= MAX_HOOKS).then(|| list.clone()),
        Literal::Text(_) | Literal::Dict(_) => Some(vec![value.clone()]),
        _ => None,
    });
    let mut hooks = Vec::new();
    for (number, value) in (1..).zip(found.unwrap_or_default()) {
        let given = match value {
            Literal::Dict(given) => given,
            name => vec![("FUNCTION".to_owned(), name)],
        };
        let section = format!("HOOKS.{key}[{number}]");
        hooks.extend(fields.section(&section, &["FUNCTION", "DETAILS"], Some(given), hook));
    }
    hooks
}

fn hook(fields: &mut Fields) -> Option<Hook> {
    let function = fields.required("FUNCTION", "the name or ARN of a Lambda function", function);
    // It may be a secret: it isn't shown.
    let what = format!("a dictionary of at most {MAX_DETAILS} bytes");
    let details = fields.secret("DETAILS", &what, |value| {
        let details: Map<String, Value> =
            dictionary(value)?.into_iter().map(|(key, value)| (key, value.json())).collect();
        let details = Value::Object(details);
        (details.to_string().len() <= MAX_DETAILS).then_some(details)
    });
    Some(Hook { function: function?, details })
}

/// A function's name, or its ARN, each perhaps with an alias or version.
fn function(value: &Literal) -> Option<String> {
    let text = text(value)?;
    let word = |word: &str, max: usize| {
        (1..=max).contains(&word.len()) && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    let alias = |alias: &str| alias == "$LATEST" || word(alias, MAX_ALIAS);
    let sound = match text.split(':').collect::<Vec<_>>().as_slice() {
        [name] => word(name, MAX_NAME),
        [name, of] => word(name, MAX_NAME) && alias(of),
        ["arn", partition, "lambda", region, account, "function", name, rest @ ..] => {
            partition.starts_with("aws")
                && !region.is_empty()
                && account.len() == 12
                && account.chars().all(|c| c.is_ascii_digit())
                && word(name, MAX_NAME)
                && matches!(rest, [] | [_])
                && rest.iter().all(|of| alias(of))
        }
        _ => false,
    };
    sound.then_some(text)
}
