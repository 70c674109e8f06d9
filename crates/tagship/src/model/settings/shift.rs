//! `SHIFT`: by which steps the traffic moves.

use super::fields::{Fields, text, whole};
use super::literal::Literal;
use super::{Compare, Hooks, TargetGroup, Timeouts};
use crate::counted;
use serde::{Deserialize, Serialize};

/// Steps that a person may write.
const MAX_STEPS: usize = 10;
/// Seconds that the steps may take in all: a Lambda action of CodePipeline's ends after 24 hours.
const MAX_SHIFT_SECS: u64 = 20 * 3_600;
const SECS_A_MINUTE: u32 = 60;

/// What may be written, for people.
pub(super) const FORMS: &str = "\"AllAtOnce\", CodeDeploy's names (\"Canary10Percent5Minutes\", \
    \"Linear10PercentEvery1Minutes\", with any numbers), or {\"STEPS\": [{\"WEIGHT\": 5, \"BAKE\": 300}, …]}";

/// The steps of a shift, before the last one, which gives the candidate everything. None: all at once.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub struct Shift {
    /// One after the other, weights rising.
    pub steps: Vec<ShiftStep>,
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub struct ShiftStep {
    /// The candidate's share of each switch's weight, 1 to 99.
    #[serde(rename = "WEIGHT")]
    pub percent: u32,
    /// How long it stands before the next one.
    #[serde(rename = "BAKE")]
    pub bake_secs: u32,
}

impl Shift {
    /// Whether everything moves at once.
    pub fn at_once(&self) -> bool {
        self.steps.is_empty()
    }

    /// The share of a step by its number from 0; beyond the last step everything.
    pub fn percent(&self, step: usize) -> u32 {
        self.steps.get(step).map_or(100, |step| step.percent)
    }

    /// How long the steps take.
    pub fn secs(&self) -> u64 {
        self.steps.iter().map(|step| u64::from(step.bake_secs)).sum()
    }

    /// One of the names that CodeDeploy gives its configurations.
    fn named(name: &str) -> Option<Self> {
        if name == "AllAtOnce" {
            return Some(Self::default());
        }
        if let Some(rest) = name.strip_prefix("Canary") {
            let (percent, bake_secs) = numbers(rest, "Percent")?;
            return Some(Self { steps: vec![ShiftStep { percent, bake_secs }] });
        }
        let (percent, bake_secs) = numbers(name.strip_prefix("Linear")?, "PercentEvery")?;
        let steps = (percent..100).step_by(percent as usize).map(|percent| ShiftStep { percent, bake_secs }).collect();
        Some(Self { steps })
    }
}

/// `10Percent5Minutes`: a share of 1 to 99 percent, and seconds.
fn numbers(text: &str, between: &str) -> Option<(u32, u32)> {
    let (percent, minutes) = text.strip_suffix("Minutes").or(text.strip_suffix("Minute"))?.split_once(between)?;
    let number =
        |digits: &str| digits.bytes().all(|c| c.is_ascii_digit()).then(|| digits.parse::<u32>().ok()).flatten();
    let percent = number(percent).filter(|percent| (1..100).contains(percent))?;
    let minutes = number(minutes).filter(|minutes| *minutes > 0)?;
    Some((percent, minutes.checked_mul(SECS_A_MINUTE)?))
}

/// The value of `SHIFT`: a name, or a dictionary with the steps.
pub(super) fn shift(fields: &mut Fields) -> Option<Shift> {
    let key = "SHIFT";
    if let Some(Literal::Dict(given)) = fields.entries.get(key) {
        let section = Some(given.clone());
        fields.entries.remove(key);
        return fields.section(key, &["STEPS"], section, steps);
    }
    if fields.describes() {
        fields.section(key, &["STEPS"], None, steps);
    }
    fields.optional(key, FORMS, |value| Shift::named(&text(value)?))
}

fn steps(fields: &mut Fields) -> Option<Shift> {
    let what = format!("a list of 1 to {MAX_STEPS} steps, each {{\"WEIGHT\": percent, \"BAKE\": seconds}}");
    let list = fields.required("STEPS", &what, |value| match value {
        Literal::List(list) if (1..=MAX_STEPS).contains(&list.len()) => Some(list.clone()),
        _ => None,
    })?;
    let mut steps: Vec<ShiftStep> = Vec::new();
    for (number, value) in (1..).zip(&list) {
        let Literal::Dict(given) = value else {
            fields.problem("STEPS", &format!("step {number} isn't accepted: write {{\"WEIGHT\": 5, \"BAKE\": 300}}"));
            continue;
        };
        let section = format!("SHIFT.STEPS[{number}]");
        let step = fields.section(&section, &["WEIGHT", "BAKE"], Some(given.clone()), |fields| {
            let percent = fields.required("WEIGHT", "percent from 1 to 99", |value| whole(value, 1..=99));
            let bake_secs = fields.required("BAKE", "seconds from 1 to 72000", |value| whole(value, 1..=72_000));
            Some(ShiftStep { percent: percent?, bake_secs: bake_secs? })
        });
        let Some(step) = step else { continue };
        if let Some(before) = steps.last().filter(|before| before.percent >= step.percent) {
            let problem = format!(
                "step {number} gives {} % after {} %: write weights that rise, the last step to 100 % follows by itself",
                step.percent, before.percent
            );
            fields.problem("STEPS", &problem);
        }
        steps.push(step);
    }
    Some(Shift { steps })
}

/// What a shift in steps needs of the other keys.
pub(super) fn gradual(
    fields: &mut Fields,
    (shift, compare): (Option<&Shift>, Option<Compare>),
    group: Option<&TargetGroup>,
) {
    if shift.is_none_or(Shift::at_once) {
        if compare.is_some() && !fields.problems.iter().any(|problem| problem.starts_with("SHIFT")) {
            let problem = "needs steps, during which both releases have traffic: write SHIFT too, such as \
                           \"Canary10Percent10Minutes\"";
            fields.problem("COMPARE", problem);
        }
    } else if group == Some(&TargetGroup::None) {
        let problem =
            "needs a load balancer, and TARGET_GROUP is \"none\": a name can't be divided. Write \"AllAtOnce\"";
        fields.problem("SHIFT", problem);
    }
}

/// What shift may take at most, with hooks and the watch: CodePipeline ends the action after a day.
pub(super) fn lasting(
    fields: &mut Fields,
    (shift, compare, hooks): (Option<&Shift>, Option<Compare>, Option<&Hooks>),
    timeouts: Option<&Timeouts>,
) {
    let default = Timeouts::default();
    let timeouts = timeouts.unwrap_or(&default);
    let hooks = hooks.map_or(0, |hooks| hooks.all().count());
    // With too little traffic to compare, a step takes twice as long.
    let times = 1 + u64::from(compare.is_some());
    let steps = times * shift.map_or(0, Shift::secs);
    let secs = steps + hooks as u64 * u64::from(timeouts.hook_secs) + u64::from(timeouts.watch_secs);
    if secs <= MAX_SHIFT_SECS {
        return;
    }
    let mut parts = Vec::new();
    if steps > 0 {
        parts.push(if compare.is_some() { "the steps (COMPARE may double each step)" } else { "the steps" }.to_owned());
    }
    if hooks > 0 {
        parts.push(format!("{} of TIMEOUTS.HOOK", counted(hooks, "hook")));
    }
    let problem = format!(
        "{} and TIMEOUTS.WATCH take {secs} s together: write at most {MAX_SHIFT_SECS} s, since CodePipeline ends the action \
         after 24 hours",
        parts.join(", ")
    );
    fields.problem(if steps > 0 { "SHIFT" } else { "HOOKS" }, &problem);
}
