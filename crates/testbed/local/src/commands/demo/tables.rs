//! The demo's two tables: releases and requests.

use super::teller::{Chapter, Teller};
use crate::traffic::load::Tally;
use comfy_table::{Table, presets};

/// Function and action, in the order of the flow.
const ACTIONS: [(&str, &str); 6] = [
    ("provision", "provision"),
    ("deploy", "deploy"),
    ("route shift", "shift"),
    ("cleanup retire", "retire"),
    ("route rollback", "rollback"),
    ("cleanup discard", "discard"),
];

/// A column a release, so that it can be read in a terminal of 80 columns.
pub(super) fn releases(teller: &Teller) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    let mut row = |label: &str, cell: &dyn Fn(&Chapter) -> String| {
        let cells: Vec<String> = teller.chapters(|all| all.values().map(cell).collect());
        table.add_row([label.to_owned()].into_iter().chain(cells));
    };
    row("release", &|chapter| head(&chapter.execution, 8));
    row("ended as", &|chapter| chapter.ended.clone());
    for (label, action) in ACTIONS {
        row(label, &|chapter| chapter.took.get(action).map_or("–".to_owned(), |secs| format!("{secs} s")));
    }
    row("instances", &|chapter| chapter.instances.iter().map(|id| head(id, 10)).collect::<Vec<_>>().join("\n"));
    row("weights at its end", &|chapter| {
        let lines = chapter.weights.iter().map(|(weights, switches)| match chapter.weights.len() {
            1 => weights.replace(", ", "\n"),
            _ => format!("{}:\n{}", switches.join(", "), weights.replace(", ", "\n")),
        });
        lines.collect::<Vec<_>>().join("\n")
    });
    row("serving then", &|chapter| chapter.serving.clone().unwrap_or("–".to_owned()));
    let names: Vec<String> = teller.chapters(|all| all.keys().cloned().collect());
    table.set_header([String::new()].into_iter().chain(names));
    table
}

/// So much of an id as tells it from the others here.
fn head(id: &str, length: usize) -> String {
    match id.get(..length) {
        Some(head) if id.len() > length => format!("{head}…"),
        _ => id.to_owned(),
    }
}

/// Every release's requests, those that got none, too.
pub(super) fn requests(teller: &Teller, tally: &Tally) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_header(["requests", ""]);
    let names: Vec<String> = teller.chapters(|all| all.keys().cloned().collect());
    let strangers = tally.by_version.keys().filter(|version| !names.contains(version));
    for version in names.iter().chain(strangers) {
        let served = tally.by_version.get(version).copied().unwrap_or_default();
        table.add_row([format!("served by {version}"), served.to_string()]);
    }
    for (version, hit) in &tally.errors {
        table.add_row([format!("answered with an error by {version}"), hit.to_string()]);
    }
    table.add_row(["lost".to_owned(), tally.failures.len().to_string()]);
    table.add_row(["all".to_owned(), tally.requests.to_string()]);
    table
}
