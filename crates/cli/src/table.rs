//! Tables that fit the terminal.

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};

/// A table without lines; where the terminal ends, the columns wrap whose head begins with `~`.
pub(crate) fn table(width: usize, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
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
        column.set_padding((0, 2));
        if !head.starts_with('~') {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    let lines = table.lines().map(|line| line.trim_end().to_owned());
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

/// Two columns without a head; the second one wraps.
pub(crate) fn listed(width: usize, rows: impl IntoIterator<Item = Vec<String>>) -> String {
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
    fn wide_characters_count_double() {
        let text =
            table(30, &["NAME", "~SAYS"], [vec!["web".to_owned(), "웹 서버를 기다리는 중입니다 지금".to_owned()]]);
        for line in text.lines() {
            assert!(console::measure_text_width(line) <= 30, "{line:?}");
        }
        assert!(text.lines().count() > 2, "it wraps: {text}");
    }

    #[test]
    fn a_little_is_seen() {
        assert_eq!(bar(0, 10), "░░░░░░░░░░");
        assert_eq!(bar(1, 10), "█░░░░░░░░░");
        assert_eq!(bar(50, 10), "█████░░░░░");
        assert_eq!(bar(100, 10), "██████████");
    }
}
