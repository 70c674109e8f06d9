//! The telling of what happens, while it happens, in words that fit a terminal.

use crate::traffic::load::Tally;
use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use console::Term;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tagship_cloud::state::State;
use uuid::Uuid;

/// What is known of a release.
#[derive(Debug, Default)]
pub(super) struct Chapter {
    pub(super) execution: String,
    /// Action → seconds.
    pub(super) took: BTreeMap<String, i64>,
    /// As its last event told them: weights → the switches that have them.
    pub(super) weights: BTreeMap<String, Vec<String>>,
    /// Who had the traffic then.
    pub(super) serving: Option<String>,
    pub(super) ended: String,
}

/// The telling: what has happened, with the time since the beginning.
#[derive(Clone)]
pub(super) struct Teller {
    since: Instant,
    /// How wide a release's name may be.
    who: u16,
    pub(super) bar: ProgressBar,
    chapters: Arc<Mutex<BTreeMap<String, Chapter>>>,
    /// Long names that AWS makes → those of the story.
    aliases: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Teller {
    /// Names of releases get so many columns.
    pub(super) fn new(who: u16) -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { since: Instant::now(), who, bar, chapters: Arc::default(), aliases: Arc::default() }
    }

    /// A line without a time.
    pub(super) fn title(&self, text: &str) {
        self.print(&format!("\n{}", wrapped(&[(0, text)])));
    }

    pub(super) fn say(&self, who: &str, what: &str) {
        let time = format!("{:.1} s", self.since.elapsed().as_secs_f64());
        self.print(&wrapped(&[(9, &format!("{time:>7}")), (self.who, who), (0, &self.plain(what))]));
    }

    fn print(&self, text: &str) {
        if self.bar.is_hidden() { println!("{text}") } else { self.bar.println(text) }
    }

    /// Says `alias` instead of `long` from now on.
    pub(super) fn call(&self, long: &str, alias: &str) {
        let mut aliases = self.aliases.lock().unwrap_or_else(PoisonError::into_inner);
        aliases.insert(long.to_owned(), alias.to_owned());
    }

    /// The text with the story's names, and without the tails of ids that nobody reads.
    fn plain(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (long, alias) in self.aliases.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            text = text.replace(long, alias);
        }
        let ends = |c: char| !c.is_ascii_alphanumeric() && c != '-';
        let words = text.split_inclusive(ends).map(|word| {
            let id = word.trim_end_matches(ends);
            if Uuid::try_parse(id).is_ok() { format!("{}…{}", &id[..8], &word[id.len()..]) } else { word.to_owned() }
        });
        words.collect()
    }

    pub(super) fn chapters<T>(&self, change: impl FnOnce(&mut BTreeMap<String, Chapter>) -> T) -> T {
        change(&mut self.chapters.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The release's name in the story, by its execution.
    fn name(&self, execution: &str) -> Option<String> {
        self.chapters(|all| {
            all.iter().find(|(_, chapter)| chapter.execution == execution).map(|(name, _)| name.clone())
        })
    }

    /// Tells of one event of tagship's.
    pub(super) fn hear(&self, event: &Value, state: &State) {
        let detail = &event["detail"];
        let text = |key: &str| detail[key].as_str().unwrap_or_default();
        let Some(name) = self.name(text("release")) else { return };
        let secs = detail["elapsedSeconds"].as_i64().unwrap_or_default();
        let (stage, action) = (text("stage"), text("action"));
        let mut weights: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (switch, value) in detail["weights"].as_object().into_iter().flatten() {
            let listener = switch.split_whitespace().next().unwrap_or(switch);
            weights.entry(self.plain(value.as_str().unwrap_or_default())).or_default().push(listener.to_owned());
        }
        let serving = serving(state).and_then(|execution| self.name(&execution));
        self.chapters(|all| {
            let Some(chapter) = all.get_mut(&name) else { return };
            chapter.took.insert(action.to_owned(), secs);
            if !weights.is_empty() {
                chapter.weights = weights;
                chapter.serving = serving;
            }
        });
        let action = if stage == action { action.to_owned() } else { format!("{stage} {action}") };
        let how = match event["detail-type"].as_str().unwrap_or_default() {
            "Stage Succeeded" | "Release Rolled Back" => "ok",
            "Stage Failed" => "FAILED",
            other => other,
        };
        self.say(&name, &format!("{action} {how}, {secs} s: {}", text("message")));
    }

    /// Tells of the requests since `before`, which is now.
    pub(super) fn requests(&self, before: &mut Tally, now: Tally) {
        let served = now.by_version.iter().filter_map(|(version, all)| {
            let served = all - before.by_version.get(version).unwrap_or(&0);
            (served > 0).then(|| format!("{served} by {version}"))
        });
        let hit = now.errors.iter().filter_map(|(version, all)| {
            let hit = all - before.errors.get(version).unwrap_or(&0);
            (hit > 0).then(|| format!("{hit} got an error from {version}"))
        });
        let told: Vec<String> = served.chain(hit).collect();
        let lost = now.failures.len() - before.failures.len();
        self.say("", &format!("requests meanwhile: {}; {lost} lost", told.join(", ")));
        *before = now;
    }
}

/// The weights of the first rule that has two: `90/10`.
pub(super) fn weights(state: &State) -> String {
    let rules = state.listeners.iter().flat_map(|listener| &listener.rules);
    let mut groups = rules.flat_map(|rule| &rule.actions).map(|action| action.groups());
    let pair = groups.find(|groups| groups.len() == 2).unwrap_or_default();
    pair.iter().map(|group| group.weight.to_string()).collect::<Vec<_>>().join("/")
}

/// The release whose instances are behind the first weight that a rule gives.
fn serving(state: &State) -> Option<String> {
    let rules = state.listeners.iter().flat_map(|listener| &listener.rules);
    let mut groups = rules.flat_map(|rule| &rule.actions).flat_map(|action| action.groups());
    let arn = &groups.find(|group| group.weight > 0)?.arn;
    let targets = &state.target_groups.iter().find(|group| group.arn == *arn)?.targets;
    let instance = state.instances.iter().find(|it| targets.iter().any(|target| target.id == it.id))?;
    instance.tags.get("tagship:release").cloned()
}

/// The terminal's width, as far as lines are read well; that of a log otherwise.
fn width() -> u16 {
    Term::stdout().size_checked().map_or(100, |(_, columns)| columns.clamp(60, 120))
}

/// Columns of these widths (0: as wide as it may be), each wrapped for itself.
fn wrapped(columns: &[(u16, &str)]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(width());
    table.add_row(columns.iter().map(|(_, text)| *text));
    for (column, (width, _)) in table.column_iter_mut().zip(columns) {
        column.set_padding((0, 0));
        if *width > 0 {
            column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(*width)));
        }
    }
    table.trim_fmt()
}
