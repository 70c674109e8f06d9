//! `COMPARE`: whether a release that fails more often than its predecessor is given back while it has a part of the
//! traffic.

use super::fields::{Fields, flag, number};
use super::literal::Literal;
use serde::{Deserialize, Serialize};

/// The bar.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub struct Compare {
    /// How many times as often as its predecessor a release may fail.
    pub errors: f64,
    /// How sure it has to be: at 0.99 at most one sound release in a hundred is given back.
    pub confidence: f64,
}

/// Neither is ever NaN.
impl Eq for Compare {}

impl Default for Compare {
    fn default() -> Self {
        Self { errors: 2.0, confidence: 0.99 }
    }
}

/// The value of `COMPARE`: whether, or a dictionary with the bar.
pub(super) fn compare(fields: &mut Fields) -> Option<Compare> {
    let key = "COMPARE";
    if let Some(Literal::Dict(given)) = fields.entries.get(key) {
        let section = Some(given.clone());
        fields.entries.remove(key);
        return fields.section(key, &["ERRORS", "CONFIDENCE"], section, bar);
    }
    if fields.describes() {
        fields.section(key, &["ERRORS", "CONFIDENCE"], None, bar);
    }
    let wanted = fields.optional(key, "True, False or {\"ERRORS\": 2.0, \"CONFIDENCE\": 0.99}", flag);
    wanted.unwrap_or_default().then(Compare::default)
}

fn bar(fields: &mut Fields) -> Option<Compare> {
    let default = Compare::default();
    let within = |low: f64, high: f64| move |value: &Literal| number(value).filter(|it| (low..=high).contains(it));
    let errors = fields.optional("ERRORS", "a number from 1.1 to 100", within(1.1, 100.0));
    let confidence = fields.optional("CONFIDENCE", "a number from 0.9 to 0.9999", within(0.9, 0.9999));
    Some(Compare { errors: errors.unwrap_or(default.errors), confidence: confidence.unwrap_or(default.confidence) })
}
