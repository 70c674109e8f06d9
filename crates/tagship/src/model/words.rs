//! Words for people: counts, lists, bounded text, and characters that can't be seen.

use std::fmt::Display;

/// A count and its noun, in the plural unless it is one: `1 instance`, `2 addresses`.
pub fn counted(count: impl Display + PartialEq + From<u8>, noun: &str) -> String {
    if count == 1.into() {
        return format!("1 {noun}");
    }
    let ending = if noun.ends_with(['s', 'x']) || noun.ends_with("ch") { "es" } else { "s" };
    format!("{count} {noun}{ending}")
}

/// A great number: `8,214`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `3 min 20 s`.
pub(crate) fn duration(secs: i64) -> String {
    match (secs / 60, secs % 60) {
        (0, secs) => format!("{secs} s"),
        (minutes, 0) => format!("{minutes} min"),
        (minutes, secs) => format!("{minutes} min {secs} s"),
    }
}

/// The verb of so many: `1 target is`, `2 targets are`; and of a part: `1 of 2 targets is`, `0 of 1 target is`.
pub(crate) fn is_or_are(count: usize, of: usize) -> &'static str {
    if count == 1 || of == 1 { "is" } else { "are" }
}

/// A list for people: the first five, then how many more. `none` if it is empty.
pub fn listed<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 5;
    let mut items = items.into_iter();
    let shown: Vec<&str> = items.by_ref().take(SHOWN).collect();
    match (shown.is_empty(), items.count()) {
        (true, _) => "none".to_owned(),
        (false, 0) => shown.join(", "),
        (false, more) => format!("{}, +{more}", shown.join(", ")),
    }
}

/// Text of at most `max` characters, as AWS counts them (UTF-16 units); what is cut off ends in `…`.
pub fn bounded(text: &str, max: usize) -> String {
    let mut units = 0;
    let mut end = 0;
    for (start, c) in text.char_indices() {
        units += c.len_utf16();
        if units > max {
            return format!("{}…", &text[..end]);
        }
        // Room for the ellipsis, should it be needed.
        if units < max {
            end = start + c.len_utf8();
        }
    }
    text.to_owned()
}

/// How much of what was given an error shows, in characters.
const SHOWN: usize = 60;

/// Text that somebody gave, for an error: in quotes, bounded, and with its invisible characters by name.
pub(crate) fn quoted(text: &str) -> String {
    visible(&bounded(&serde_json::Value::from(text).to_string(), SHOWN))
}

/// As [`quoted`], without the quotes: a key.
pub(crate) fn unquoted(text: &str) -> String {
    visible(&bounded(text, SHOWN))
}

/// The text with its invisible characters by name: `subnet-1⟨ZERO WIDTH SPACE⟩`.
fn visible(text: &str) -> String {
    let shown = |c: char| invisible(c).map_or_else(|| c.to_string(), |name| format!("⟨{name}⟩"));
    text.chars().map(shown).collect()
}

/// A character's name, if it can't be seen, or not be told from a space.
pub(crate) fn invisible(c: char) -> Option<String> {
    let name = match c {
        ' ' => return None,
        '\t' => "TAB",
        '\n' => "LINE FEED",
        '\r' => "CARRIAGE RETURN",
        '\0' => "NULL",
        '\u{85}' => "NEXT LINE",
        '\u{a0}' => "NO-BREAK SPACE",
        '\u{ad}' => "SOFT HYPHEN",
        '\u{34f}' => "COMBINING GRAPHEME JOINER",
        '\u{61c}' => "ARABIC LETTER MARK",
        '\u{115f}' => "HANGUL CHOSEONG FILLER",
        '\u{1160}' => "HANGUL JUNGSEONG FILLER",
        '\u{2002}' => "EN SPACE",
        '\u{2003}' => "EM SPACE",
        '\u{2007}' => "FIGURE SPACE",
        '\u{2009}' => "THIN SPACE",
        '\u{200a}' => "HAIR SPACE",
        '\u{200b}' => "ZERO WIDTH SPACE",
        '\u{200c}' => "ZERO WIDTH NON-JOINER",
        '\u{200d}' => "ZERO WIDTH JOINER",
        '\u{200e}' => "LEFT-TO-RIGHT MARK",
        '\u{200f}' => "RIGHT-TO-LEFT MARK",
        '\u{2028}' => "LINE SEPARATOR",
        '\u{2029}' => "PARAGRAPH SEPARATOR",
        '\u{202f}' => "NARROW NO-BREAK SPACE",
        '\u{2060}' => "WORD JOINER",
        '\u{3000}' => "IDEOGRAPHIC SPACE",
        '\u{3164}' => "HANGUL FILLER",
        '\u{feff}' => "BYTE ORDER MARK",
        '\u{ffa0}' => "HALFWIDTH HANGUL FILLER",
        // Directions, invisible operators, variation selectors, tags; other spaces and controls.
        '\u{202a}'..='\u{202e}' | '\u{2061}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e01ef}' => {
            return Some(format!("U+{:04X}", u32::from(c)));
        }
        c if c.is_whitespace() || c.is_control() => return Some(format!("U+{:04X}", u32::from(c))),
        _ => return None,
    };
    Some(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_told_in_the_singular() {
        for (told, expected) in [
            (counted(1_usize, "instance"), "1 instance"),
            (counted(0_u32, "instance"), "0 instances"),
            (counted(2_i64, "healthy target"), "2 healthy targets"),
            (counted(1_usize, "address"), "1 address"),
            (counted(3_usize, "address"), "3 addresses"),
            (counted(2_usize, "switch"), "2 switches"),
        ] {
            assert_eq!(told, expected);
        }
        for ((count, of), expected) in
            [((1, 2), "is"), ((0, 1), "is"), ((0, 2), "are"), ((2, 2), "are"), ((1, 1), "is")]
        {
            assert_eq!(is_or_are(count, of), expected, "{count} of {of}");
        }
    }

    #[test]
    fn great_numbers_are_grouped() {
        for (given, shown) in [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(grouped(given), shown);
        }
    }

    #[test]
    fn what_cannot_be_seen_is_named() {
        for (given, shown) in [
            ("subnet-1", "\"subnet-1\""),
            ("a\"b\\", "\"a\\\"b\\\\\""),
            ("subnet-1\u{200b}", "\"subnet-1⟨ZERO WIDTH SPACE⟩\""),
            ("\u{feff}웹 서버\u{a0}", "\"⟨BYTE ORDER MARK⟩웹 서버⟨NO-BREAK SPACE⟩\""),
            ("a\tb\n", "\"a\\tb\\n\""),
            ("\u{202e}x\u{e0041}", "\"⟨U+202E⟩x⟨U+E0041⟩\""),
        ] {
            assert_eq!(quoted(given), shown);
        }
    }
}
