//! The demo's two tables: releases and requests.

use crate::commands::teller::Teller;
use crate::traffic::load::Tally;
use comfy_table::{Table, presets};

/// The actions, in the order of the flow.
const ACTIONS: [&str; 6] = ["provision", "deploy", "shift", "retire", "rollback", "discard"];

/// A row a release, for a terminal of 80 columns.
pub(super) fn releases(teller: &Teller) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(["", "ended as"].into_iter().chain(ACTIONS).chain(["A/B", "serves"]));
    teller.chapters(|all| {
        for (name, chapter) in all.iter() {
            let took = |action: &str| chapter.took.get(action).map_or("–".to_owned(), |secs| format!("{secs} s"));
            let weights = chapter.weights.iter().map(|(weights, switches)| match chapter.weights.len() {
                1 => numbers(weights),
                _ => format!("{}: {}", switches.join(", "), numbers(weights)),
            });
            let weights = weights.collect::<Vec<_>>().join("\n");
            let serving = chapter.serving.clone().unwrap_or("–".to_owned());
            let first = [name.clone(), chapter.ended.clone()].into_iter();
            table.add_row(first.chain(ACTIONS.map(took)).chain([weights, serving]));
        }
    });
    for column in table.column_iter_mut() {
        column.set_padding((0, 0));
    }
    table
}

/// `0/100` of `group A=0, group B=100`.
fn numbers(weights: &str) -> String {
    weights.split(", ").filter_map(|group| Some(group.rsplit_once('=')?.1)).collect::<Vec<_>>().join("/")
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
