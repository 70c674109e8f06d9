//! Tables that fit the terminal.

use comfy_table::{ContentArrangement, Table, presets};

/// A table without lines; columns are as wide as they must be, and wrap where the terminal ends.
pub(crate) fn table(width: usize, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(u16::try_from(width.max(20)).unwrap_or(u16::MAX))
        .set_header(head.iter().copied());
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines = table.lines().map(|line| line.trim_end().to_owned());
    lines.collect::<Vec<_>>().join("\n") + "\n"
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
            table(30, &["NAME", "SAYS"], [vec!["web".to_owned(), "웹 서버를 기다리는 중입니다 지금".to_owned()]]);
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
