//! Tables that fit the terminal.

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use console::measure_text_width as measured;

/// Between two columns.
const GAP: usize = 2;
/// Narrower than this, text in a column can't be read any more.
const READABLE: usize = 12;
/// Sentences need more.
const SENTENCES: usize = 24;

/// A table without lines; where the terminal ends, the columns wrap whose head begins with `~`. Where the terminal is too
/// narrow for that, each row is a paragraph instead.
pub(crate) fn table(width: usize, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let rows: Vec<Vec<String>> = rows.into_iter().collect();
    // A list of two columns without heads wraps by itself.
    let headed = head.iter().any(|head| !head.trim_start_matches('~').is_empty());
    if headed && needed(head, &rows) > width {
        return paragraphs(width, head, &rows);
    }
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(u16::try_from(width.max(20)).unwrap_or(u16::MAX))
        .set_header(head.iter().map(|head| head.trim_start_matches('~')));
    for row in rows {
        table.add_row(row);
    }
    for (column, head) in table.column_iter_mut().zip(head) {
        column.set_padding((0, u16::try_from(GAP).unwrap_or_default()));
        if !head.starts_with('~') {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    let lines = table.lines().map(|line| line.trim_end().to_owned());
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

/// The least that these rows take beside each other.
fn needed(head: &[&str], rows: &[Vec<String>]) -> usize {
    let column = |(index, head): (usize, &&str)| {
        let cells = rows.iter().filter_map(|row| row.get(index)).map(|cell| measured(cell));
        let widest = cells.chain([measured(head.trim_start_matches('~'))]).max().unwrap_or_default();
        GAP + if head.starts_with('~') { widest.min(READABLE) } else { widest }
    };
    // The last column's gap may stand over.
    head.iter().enumerate().map(column).sum::<usize>().saturating_sub(GAP)
}

/// Each row under its first cell, a line for each of the others.
fn paragraphs(width: usize, head: &[&str], rows: &[Vec<String>]) -> String {
    let paragraph = |row: &Vec<String>| {
        let named = head.iter().map(|head| head.trim_start_matches('~').to_owned()).zip(row.iter().cloned());
        let others = named.skip(1).filter(|(_, cell)| !cell.is_empty()).map(|(head, cell)| vec![head, cell]);
        let title = row.first().filter(|title| !title.is_empty()).map(|title| format!("{title}\n")).unwrap_or_default();
        let lines = listed(width.saturating_sub(GAP), others);
        title + &lines.lines().map(|line| format!("{:GAP$}{line}\n", "")).collect::<String>()
    };
    rows.iter().map(paragraph).collect()
}

/// Text whose lines are no wider than this, broken between words; what is broken off is set in.
pub(crate) fn wrapped(width: usize, text: &str) -> String {
    let mut wrapped = String::new();
    for line in text.split_inclusive('\n') {
        let set_in = line.len() - line.trim_start_matches(' ').len() + GAP;
        let (mut used, mut begun) = (0, false);
        for word in line.split_inclusive(' ') {
            if begun && used + measured(word.trim_end()) > width {
                let kept = wrapped.trim_end_matches(' ').len();
                wrapped.truncate(kept);
                wrapped.push('\n');
                wrapped.extend(std::iter::repeat_n(' ', set_in));
                used = set_in;
            }
            begun |= !word.trim().is_empty();
            used += measured(word.trim_end_matches('\n'));
            wrapped.push_str(word);
        }
    }
    wrapped
}

/// Two columns without a head; the second one wraps. Where it would have no room for sentences, each stands under its
/// first.
pub(crate) fn listed(width: usize, rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let rows: Vec<Vec<String>> = rows.into_iter().collect();
    let first = rows.iter().filter_map(|row| row.first()).map(|cell| measured(cell)).max().unwrap_or_default();
    if first + GAP + SENTENCES > width && rows.iter().any(|row| needed(&["", ""], std::slice::from_ref(row)) > width) {
        let under = |row: &Vec<String>| {
            let (first, others) = row.split_first()?;
            Some(format!("{first}\n") + &wrapped(width, &format!("{:GAP$}{}\n", "", others.join(" "))))
        };
        return rows.iter().filter_map(under).collect();
    }
    let text = table(width, &["", "~"], rows);
    text.split_once('\n').map(|(_, rows)| rows.to_owned()).unwrap_or_default()
}

/// A bar of so many percent, `width` characters at 100.
pub(crate) fn bar(percent: u32, width: usize) -> String {
    let full = usize::try_from(percent.min(100)).unwrap_or_default() * width / 100;
    // What has something is never shown as nothing.
    let full = if percent > 0 { full.max(1) } else { 0 };
    format!("{}{}", "█".repeat(full), "░".repeat(width - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_columns_that_do_not_fit_become_a_list() {
        let (name, address) = ("1.candidate.web-product.cd.internal", "127.16.1.4");
        let text = table(40, &["NAME", "~LEADS TO"], [vec![name.to_owned(), address.to_owned()]]);
        assert_eq!(text.lines().map(str::trim).collect::<Vec<_>>(), [name, "LEADS TO  127.16.1.4"]);
    }

    #[test]
    fn wide_characters_count_double() {
        let text =
            table(30, &["NAME", "~SAYS"], [vec!["web".to_owned(), "웹 서버를 기다리는 중입니다 지금".to_owned()]]);
        for line in text.lines() {
            assert!(console::measure_text_width(line) <= 30, "{line:?}");
        }
        assert!(text.lines().count() > 2, "it wraps: {text}");
    }

    #[test]
    fn a_row_is_a_paragraph_where_a_table_has_no_room() {
        let row = || vec!["5b2cc88f".to_owned(), "candidate".to_owned(), String::new(), "ready to serve".to_owned()];
        let head = ["RELEASE", "ROLE", "ADDRESS", "~HEALTH"];
        assert_eq!(table(44, &head, [row()]).lines().count(), 3, "it fits, and wraps");
        assert_eq!(table(40, &head, [row()]), "5b2cc88f\n  ROLE    candidate\n  HEALTH  ready to serve\n");
    }

    #[test]
    fn text_is_broken_between_words() {
        for (text, expected) in [
            ("short\n", "short\n"),
            ("what is too long goes on below\n", "what is too\n  long goes\n  on below\n"),
            ("  set in, and more\n", "  set in,\n    and more\n"),
            ("arn:aws:a-word-that-nothing-breaks\nx", "arn:aws:a-word-that-nothing-breaks\nx"),
        ] {
            assert_eq!(wrapped(12, text), expected);
        }
    }

    #[test]
    fn a_little_is_seen() {
        assert_eq!(bar(0, 10), "░░░░░░░░░░");
        assert_eq!(bar(1, 10), "█░░░░░░░░░");
        assert_eq!(bar(50, 10), "█████░░░░░");
        assert_eq!(bar(100, 10), "██████████");
    }
}
