//! Reads YAML as Ruby's Psych does, which CodeDeploy's agent uses: YAML 1.1, later keys win, `0644` is octal.

use crate::value::Value;
use libyaml_safer::{Encoding, Event, EventData, Parser, ScalarStyle};
use regex::Regex;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

/// libyaml has 1,000, which no appspec and no small stack has use for.
const DEEPEST: usize = 200;

/// A document, and where its parts are.
#[derive(Default)]
pub(crate) struct Document {
    /// `nil` if the text has none.
    pub(crate) value: Value,
    pub(crate) lines: Lines,
}

/// The line, from 1, on which each key or list entry stands, by its path: `hooks/AfterInstall/0`.
#[derive(Default)]
pub(crate) struct Lines {
    by_path: BTreeMap<String, u64>,
    /// Keys that their mapping had already, and their lines.
    pub(crate) again: Vec<(String, u64)>,
}

impl Lines {
    /// The line of `path`, or of what it is a part of.
    pub(crate) fn of(&self, path: &str) -> Option<u64> {
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        ends.filter_map(|end| self.by_path.get(&path[..end])).next_back().copied()
    }
}

/// Why a text is no document.
pub(crate) struct Unreadable {
    /// In Psych's words.
    pub(crate) message: String,
    pub(crate) line: Option<u64>,
}

impl From<String> for Unreadable {
    fn from(message: String) -> Self {
        Self { message, line: None }
    }
}

/// The first document of `text`.
///
/// # Errors
/// What libyaml refuses, and what Ruby can't make an object of.
pub(crate) fn read(text: &[u8]) -> Result<Document, Unreadable> {
    let mut parser = Parser::new();
    parser.set_input(text);
    // Ruby tells libyaml so; a byte order mark is then not looked for.
    parser.set_encoding(Encoding::Utf8);
    let mut reader =
        Reader { parser, anchors: HashMap::new(), depth: 0, path: Vec::new(), lines: Lines::default(), line: 0 };
    loop {
        match reader.event()?.data {
            EventData::StreamEnd => return Ok(Document::default()),
            EventData::DocumentStart { .. } => break,
            _ => {}
        }
    }
    let first = reader.event()?;
    let value = match reader.node(first) {
        Ok(node) => node.value,
        // What Ruby refuses has no place in its words.
        Err(refused) => return Err(Unreadable { line: refused.line.or(Some(reader.line)), ..refused }),
    };
    // Up to its end, as Ruby reads; what follows is never looked at.
    reader.event()?;
    Ok(Document { value, lines: reader.lines })
}

struct Reader<'t> {
    parser: Parser<&'t [u8]>,
    anchors: HashMap<String, Value>,
    depth: usize,
    path: Vec<String>,
    lines: Lines,
    /// Of the last event.
    line: u64,
}

/// A value, and what of its text decides about a merge.
struct Node {
    value: Value,
    tag: Option<String>,
    scalar: bool,
    sequence: bool,
}

impl Reader<'_> {
    fn event(&mut self) -> Result<Event, Unreadable> {
        let event = self.parser.parse().map_err(|error| {
            let context = error.context().map(|context| format!(" {context}")).unwrap_or_default();
            let problem = error.problem();
            // Where the broken thing begins, as Psych says; the place of the problem if it is no part of a thing.
            let mark = error.context_mark().or_else(|| error.problem_mark());
            let at = mark.map(|mark| format!(" at line {} column {}", mark.line + 1, mark.column + 1));
            let at = at.unwrap_or_default();
            let message = format!("(<unknown>): {problem}{context}{at}");
            Unreadable { message, line: mark.map(|mark| mark.line + 1) }
        })?;
        self.line = event.start_mark.line + 1;
        Ok(event)
    }

    /// Reads a part of the node that is being read.
    fn part(&mut self, key: String, line: u64, event: Event) -> Result<Node, Unreadable> {
        self.path.push(key);
        let path = self.path.join("/");
        if self.lines.by_path.insert(path.clone(), line).is_some() {
            self.lines.again.push((path, line));
        }
        let node = self.node(event)?;
        self.path.pop();
        Ok(node)
    }

    fn node(&mut self, event: Event) -> Result<Node, Unreadable> {
        if self.depth == DEEPEST {
            return Err(format!("(<unknown>): exceeded max depth of {DEEPEST}").into());
        }
        self.depth += 1;
        let node = self.inner(event);
        self.depth -= 1;
        node
    }

    fn inner(&mut self, event: Event) -> Result<Node, Unreadable> {
        Ok(match event.data {
            EventData::Alias { anchor } => {
                let value = self.anchors.get(&anchor).cloned().ok_or_else(|| format!("Unknown alias: {anchor}"))?;
                Node { value, tag: None, scalar: false, sequence: false }
            }
            EventData::Scalar { anchor, tag, value, quoted_implicit, style, .. } => {
                let plain = style == ScalarStyle::Plain;
                let value = scalar(tag.as_deref(), &value, quoted_implicit, plain)?;
                self.register(anchor, &value);
                Node { value, tag, scalar: true, sequence: false }
            }
            EventData::SequenceStart { anchor, tag, .. } => {
                // An alias to what holds it is no finite value.
                self.register(anchor.clone(), &Value::Nil);
                let mut list = Vec::new();
                loop {
                    let event = self.event()?;
                    if event.data == EventData::SequenceEnd {
                        break;
                    }
                    let node = self.part(list.len().to_string(), self.line, event)?;
                    list.push(node.value);
                }
                let value = sequence(tag.as_deref(), list)?;
                self.register(anchor, &value);
                Node { value, tag, scalar: false, sequence: true }
            }
            EventData::MappingStart { anchor, tag, .. } => {
                self.register(anchor.clone(), &Value::Nil);
                let mut map = Vec::new();
                loop {
                    let event = self.event()?;
                    if event.data == EventData::MappingEnd {
                        break;
                    }
                    let line = self.line;
                    let key = self.node(event)?;
                    let event = self.event()?;
                    let value = self.part(key.value.to_s(), line, event)?;
                    pair(&mut map, key, value);
                }
                if tag.as_deref().is_some_and(|tag| tag.starts_with("!ruby/") || tag.ends_with(":str")) {
                    return Err(unknown_class(tag.as_deref()).into());
                }
                let value = Value::Map(Arc::new(map));
                self.register(anchor, &value);
                Node { value, tag, scalar: false, sequence: false }
            }
            _ => return Err("(<unknown>): unexpected event".to_owned().into()),
        })
    }

    fn register(&mut self, anchor: Option<String>, value: &Value) {
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, value.clone());
        }
    }
}

/// Adds a pair to a mapping; `<<` merges.
fn pair(map: &mut Vec<(Value, Value)>, key: Node, value: Node) {
    let merge = key.value.text() == Some("<<") && key.tag.as_deref() != Some("tag:yaml.org,2002:str");
    match &value.value {
        Value::Map(merged) if merge && !value.scalar => {
            for (key, value) in merged.iter() {
                insert(map, key.clone(), value.clone());
            }
        }
        Value::List(maps) if merge && value.sequence && maps.iter().all(|one| matches!(one, Value::Map(_))) => {
            // The first one wins.
            for merged in maps.iter().rev() {
                for (key, value) in merged.pairs() {
                    insert(map, key.clone(), value.clone());
                }
            }
        }
        _ => insert(map, key.value, value.value),
    }
}

fn insert(map: &mut Vec<(Value, Value)>, key: Value, value: Value) {
    match map.iter_mut().find(|(there, _)| *there == key) {
        Some((_, there)) => *there = value,
        None => map.push((key, value)),
    }
}

fn sequence(tag: Option<&str>, list: Vec<Value>) -> Result<Value, String> {
    match tag {
        Some("!omap" | "tag:yaml.org,2002:omap") => {
            let mut map = Vec::new();
            for one in &list {
                if let Some((key, value)) = one.pairs().first() {
                    insert(&mut map, key.clone(), value.clone());
                }
            }
            Ok(Value::Map(Arc::new(map)))
        }
        Some(tag) if tag.starts_with("!ruby/") || tag.starts_with("!seq:") => Err(unknown_class(Some(tag))),
        _ => Ok(Value::List(Arc::new(list))),
    }
}

fn unknown_class(tag: Option<&str>) -> String {
    format!("Tried to load unspecified class: {}", tag.unwrap_or_default())
}

fn scalar(tag: Option<&str>, text: &str, quoted: bool, plain: bool) -> Result<Value, String> {
    let as_text = || Ok(Value::Text(text.into()));
    if quoted {
        return as_text();
    }
    match tag {
        None => tokenize(text, plain),
        Some("!str" | "!ruby/string" | "tag:yaml.org,2002:str") => as_text(),
        Some("!float" | "tag:yaml.org,2002:float") => match tokenize(text, plain)? {
            Value::Int(n) | Value::Octal(n) => Ok(Value::from_f64(n)),
            float @ Value::Float(_) => Ok(float),
            other => Err(format!("invalid value for Float(): {}", other.inspect())),
        },
        // Bytes; nothing in an appspec is written so.
        Some("!binary" | "tag:yaml.org,2002:binary") => as_text(),
        Some("!ruby/sym" | "!ruby/symbol") => Ok(Value::Symbol(text.into())),
        Some(tag) if tag.starts_with("!ruby/") => Err(unknown_class(Some(tag))),
        Some(_) => tokenize(text, plain),
    }
}

/// Psych's `ScalarScanner`, test by test and in its order. Its expressions look at lines, not at the whole text.
struct Scanner {
    null: Regex,
    yes: Regex,
    no: Regex,
    time: Regex,
    date: Regex,
    symbol: Regex,
    base60: Regex,
    base60_float: Regex,
    float: Regex,
    integer: Regex,
}

static SCANNER: LazyLock<Scanner> = LazyLock::new(|| {
    let regex = |pattern: &str| Regex::new(pattern).expect("a constant expression");
    Scanner {
        null: regex(r"(?im-u)^null$"),
        yes: regex(r"(?im-u)^(?:yes|true|on)$"),
        no: regex(r"(?im-u)^(?:no|false|off)$"),
        time: regex(concat!(
            r"^(-?[0-9]{4})-([0-9]{1,2})-([0-9]{1,2})(?:[Tt]|[ \t]+)([0-9]{1,2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]*)?",
            r"(?:[ \t]*(?:Z|([-+][0-9]{1,2}):?([0-9]{2})?))?$"
        )),
        date: regex(r"^([0-9]{4})-(1[012]|0[0-9]|[0-9])-([12][0-9]|3[01]|0[0-9]|[0-9])$"),
        symbol: regex(r#"^:(?:"(.*)"|'(.*)'|(.+))$"#),
        base60: regex(r"^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9]){1,2}$"),
        base60_float: regex(r"^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9]){1,2}\.[0-9_]*$"),
        float: regex(r"^[-+]?(?:[0-9][0-9_,]*)?\.[0-9]*(?:[eE][-+][0-9]+)?$"),
        integer: regex(r"^[-+]?(?:0b[01_,]+|0[0-7_,]+|(?:0|[1-9](?:[0-9]|,[0-9]|_[0-9])*)|0x[0-9a-fA-F_,]+)$"),
    }
});

fn tokenize(text: &str, plain: bool) -> Result<Value, String> {
    let as_text = || Ok(Value::Text(text.into()));
    let mut chars = text.chars();
    let Some(first) = chars.next() else {
        return Ok(Value::Nil);
    };
    let wordy = |c: char| c.is_alphabetic() || "_ \t\r\u{b}\u{c}!@#$%^&*(){}<>|/\\~;=".contains(c);
    let number = |c: char| c.is_ascii_digit() || ".:-".contains(c);
    let s = &*SCANNER;
    if wordy(first) || (!number(first) && chars.next().is_some_and(wordy)) || text.contains('\n') {
        if text.chars().count() > 5 {
            return as_text();
        }
        return Ok(match text {
            "~" => Value::Nil,
            _ if !"ytonf~".contains(first.to_ascii_lowercase()) && !text.contains('\n') => Value::Text(text.into()),
            _ if s.null.is_match(text) => Value::Nil,
            _ if s.yes.is_match(text) => Value::Bool(true),
            _ if s.no.is_match(text) => Value::Bool(false),
            _ => Value::Text(text.into()),
        });
    }
    if let Some(parts) = s.time.captures(text) {
        return Ok(time(&parts).unwrap_or_else(|| Value::Text(text.into())));
    }
    if let Some(parts) = s.date.captures(text) {
        let part = |n: usize| parts[n].parse::<i16>().unwrap_or_default();
        let (month, day) = (i8::try_from(part(2)).unwrap_or_default(), i8::try_from(part(3)).unwrap_or_default());
        let date = jiff::civil::Date::new(part(1), month, day);
        return Ok(date.map_or_else(|_| Value::Text(text.into()), |date| Value::Date(date.to_string().into())));
    }
    match text.to_ascii_lowercase().as_str() {
        ".inf" | "+.inf" => return Ok(Value::Float(f64::INFINITY)),
        "-.inf" => return Ok(Value::Float(f64::NEG_INFINITY)),
        ".nan" => return Ok(Value::Float(f64::NAN)),
        _ => {}
    }
    if let Some(parts) = s.symbol.captures(text) {
        let name = parts.iter().skip(1).flatten().next().map_or("", |name| name.as_str());
        return Ok(Value::Symbol(name.into()));
    }
    // Psych takes hours for the first part, also of two.
    let weights = [3600, 60, 1];
    if s.base60.is_match(text) {
        let parts = text.split(':').zip(weights);
        return Ok(Value::Int(parts.map(|(part, weight)| crate::value::leading_int(part) * weight).sum()));
    }
    if s.base60_float.is_match(text) {
        let parts = text.split(':').zip(weights);
        let plain = |part: &str| part.replace('_', "").parse::<f64>().unwrap_or_default();
        return Ok(Value::Float(parts.map(|(part, weight)| plain(part) * f64::from(weight as i32)).sum()));
    }
    if s.float.is_match(text) {
        if matches!(text, "." | "+." | "-.") {
            return as_text();
        }
        let refused = |_| format!("invalid value for Float(): {text:?}");
        return text.replace([',', '_'], "").parse().map(Value::Float).map_err(refused);
    }
    if s.integer.is_match(text) {
        return integer(text, plain);
    }
    as_text()
}

/// Ruby's `Integer()`: a leading zero is octal.
fn integer(text: &str, plain: bool) -> Result<Value, String> {
    let digits = text.replace([',', '_'], "");
    let (sign, bare) = match digits.strip_prefix('-') {
        Some(bare) => (-1, bare),
        None => (1, digits.strip_prefix('+').unwrap_or(&digits)),
    };
    let (radix, rest) = match bare.as_bytes() {
        [b'0', b'b', ..] => (2, &bare[2..]),
        [b'0', b'x', ..] => (16, &bare[2..]),
        [b'0', _, ..] => (8, &bare[1..]),
        _ => (10, bare),
    };
    if rest.is_empty() {
        return Err(format!("invalid value for Integer(): {digits:?}"));
    }
    // Beyond 38 digits no appspec's number means anything.
    let value = sign * i128::from_str_radix(rest, radix).unwrap_or(i128::MAX);
    Ok(if radix == 8 && plain { Value::Octal(value) } else { Value::Int(value) })
}

/// A Ruby Time; `None` for an hour or a month that there isn't. The 30th of February is the 1st or 2nd of March.
fn time(parts: &regex::Captures<'_>) -> Option<Value> {
    let part = |n: usize| parts.get(n).map_or("0", |part| part.as_str()).parse::<i16>().ok();
    let small = |n: usize| part(n).and_then(|part| i8::try_from(part).ok());
    let days = i64::from(small(3).filter(|day| (1..=31).contains(day))?) - 1;
    let date = jiff::civil::Date::new(part(1)?, small(2)?, 1).ok()?.checked_add(jiff::Span::new().days(days)).ok()?;
    let at = date.to_datetime(jiff::civil::Time::new(small(4)?, small(5)?, small(6)?, 0).ok()?);
    let (hours, minutes) = (i64::from(part(7)?), i64::from(part(8)?));
    let secs = at.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
    let offset = hours * 3600 + hours.signum() * minutes * 60;
    let sign = if hours < 0 { '-' } else { '+' };
    let zone = match parts.get(0) {
        Some(all) if all.as_str().ends_with('Z') => "UTC".to_owned(),
        _ => format!("{sign}{:02}{minutes:02}", hours.abs()),
    };
    Some(Value::Time(secs - offset, format!("{} {zone}", at.strftime("%Y-%m-%d %H:%M:%S")).into()))
}
