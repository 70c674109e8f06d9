//! `ALARMS`, `ON_ALARM`: which of CloudWatch's alarms send the traffic back.

use super::fields::texts;
use super::literal::Literal;
use super::{Choice, Selector};
use serde::{Deserialize, Serialize};

/// DescribeAlarms takes so many names.
pub const MAX_ALARMS: usize = 100;
/// The longest name that CloudWatch takes, in characters.
const MAX_NAME: usize = 255;

/// What is done when an alarm rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnAlarm {
    /// The traffic goes back.
    #[default]
    Rollback,
    /// People are told.
    Tell,
}

impl OnAlarm {
    /// The default, which a hold doesn't say.
    pub(super) fn is_rollback(&self) -> bool {
        *self == Self::Rollback
    }
}

/// Names, or the tags that find them.
pub(super) fn alarms(value: &Literal) -> Option<Choice> {
    // An empty list: no alarm at all.
    if *value == Literal::List(Vec::new()) {
        return Some(Choice::Ids(Vec::new()));
    }
    let names = texts(value)?;
    match names.as_slice() {
        [text] if text.starts_with(Selector::PREFIX) => text.clone().try_into().ok().map(Choice::Tags),
        names => {
            let sound = names.len() <= MAX_ALARMS && names.iter().all(|name| name.chars().count() <= MAX_NAME);
            sound.then(|| Choice::Ids(names.to_vec()))
        }
    }
}
