//! EventBridge event patterns: which events a rule is about.

use serde_json::{Map, Value};

/// An event pattern, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    fields: Vec<(String, Field)>,
    /// Each `$or`: one of its patterns must match.
    alternatives: Vec<Vec<Pattern>>,
}

#[derive(Clone, Debug, PartialEq)]
enum Field {
    Object(Pattern),
    /// One of these must match.
    Leaf(Vec<Test>),
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    Exact(Value),
    Text(Text),
    AnythingBut(Vec<Test>),
    Exists(bool),
    Numeric(Vec<(Comparison, f64)>),
}

#[derive(Clone, Debug, PartialEq)]
enum Text {
    Prefix(String),
    PrefixIgnoreCase(String),
    Suffix(String),
    SuffixIgnoreCase(String),
    IgnoreCase(String),
    Wildcard(String),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
}

/// What no field inside an `$or` may be called, says EventBridge.
const RESERVED: [&str; 24] = [
    "exactly",
    "equals-ignore-case",
    "prefix",
    "suffix",
    "anything-but",
    "exists",
    "wildcard",
    "numeric",
    "cidr",
    "=",
    "<",
    "<=",
    ">=",
    ">",
    "regex",
    "not-wildcard",
    "not-equals-ignore-case",
    "date-after",
    "date-on-or-after",
    "date-before",
    "date-on-or-before",
    "in-date-range",
    "ip-address-in-range",
    "ip-address-not-in-range",
];

/// A pattern that EventBridge would refuse, or that uses an operator unknown here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event pattern: {at}: {problem}")]
pub struct PatternError {
    /// The path of the field, e.g. `detail.state`.
    pub at: String,
    /// What is wrong there.
    pub problem: String,
}

fn fails<T>(at: &str, problem: impl Into<String>) -> Result<T, PatternError> {
    Err(PatternError { at: at.into(), problem: problem.into() })
}

impl Pattern {
    /// Checks and takes in a pattern as a rule has it.
    pub fn parse(pattern: &Value) -> Result<Self, PatternError> {
        match pattern {
            Value::Object(map) => Self::object(map, "$"),
            _ => fails("$", "a pattern is an object"),
        }
    }

    fn object(map: &Map<String, Value>, at: &str) -> Result<Self, PatternError> {
        if map.is_empty() {
            return fails(at, "an empty object matches nothing");
        }
        let mut pattern = Self { fields: Vec::new(), alternatives: Vec::new() };
        for (key, value) in map {
            let at = format!("{at}.{key}");
            match value {
                Value::Array(list) if key == "$or" && list.len() > 1 => {
                    let alternatives = list.iter().map(|value| match value {
                        Value::Object(map) => Self::alternative(map, &at),
                        _ => fails(&at, "takes a list of patterns"),
                    });
                    pattern.alternatives.push(alternatives.collect::<Result<_, _>>()?);
                }
                _ if key == "$or" => return fails(&at, "takes a list of at least two patterns"),
                Value::Array(list) if !list.is_empty() => {
                    let tests = list.iter().map(|value| test(value, &at));
                    let tests = tests.collect::<Result<_, _>>()?;
                    pattern.fields.push((key.clone(), Field::Leaf(tests)));
                }
                Value::Object(map) => {
                    pattern.fields.push((key.clone(), Field::Object(Self::object(map, &at)?)));
                }
                _ => return fails(&at, "takes a list of values, or an object"),
            }
        }
        Ok(pattern)
    }

    /// One branch of an `$or`: no field in it may be called like an operator.
    fn alternative(map: &Map<String, Value>, at: &str) -> Result<Self, PatternError> {
        fn reserved(map: &Map<String, Value>) -> Option<&str> {
            map.iter().find_map(|(key, value)| match value {
                _ if RESERVED.contains(&key.as_str()) => Some(key.as_str()),
                Value::Object(map) => reserved(map),
                _ => None,
            })
        }
        match reserved(map) {
            Some(name) => fails(at, format!("{name} is an operator's name, which no field of $or may have")),
            None => Self::object(map, at),
        }
    }

    /// Whether the pattern matches the event.
    pub fn matches(&self, event: &Value) -> bool {
        self.fields.iter().all(|(key, field)| field.matches(event.get(key)))
            && self.alternatives.iter().all(|any| any.iter().any(|one| one.matches(event)))
    }
}

impl Field {
    fn matches(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            (Self::Object(pattern), Some(Value::Array(list))) => list.iter().any(|value| pattern.matches(value)),
            (Self::Object(pattern), value) => pattern.matches(value.unwrap_or(&Value::Null)),
            (Self::Leaf(tests), Some(Value::Array(list))) => tests.iter().any(|test| match test {
                Test::Exists(exists) => *exists != list.is_empty(),
                test => list.iter().any(|value| test.matches(Some(value))),
            }),
            (Self::Leaf(tests), value) => tests.iter().any(|test| test.matches(value)),
        }
    }
}

impl Test {
    fn matches(&self, value: Option<&Value>) -> bool {
        // Only leaves exist, says EventBridge.
        let value = value.filter(|value| !value.is_object());
        match (self, value) {
            (Self::Exists(exists), value) => *exists == value.is_some(),
            (_, None) => false,
            (Self::Exact(Value::Number(wanted)), Some(Value::Number(found))) => wanted.as_f64() == found.as_f64(),
            (Self::Exact(wanted), Some(found)) => wanted == found,
            (Self::Text(text), Some(found)) => found.as_str().is_some_and(|it| text.matches(it)),
            (Self::AnythingBut(tests), found) => !tests.iter().any(|test| test.matches(found)),
            (Self::Numeric(all), Some(found)) => {
                found.as_f64().is_some_and(|found| all.iter().all(|(how, bound)| how.holds(found, *bound)))
            }
        }
    }
}

impl Text {
    fn matches(&self, found: &str) -> bool {
        match self {
            Self::Prefix(prefix) => found.starts_with(prefix),
            Self::PrefixIgnoreCase(prefix) => found.to_lowercase().starts_with(&prefix.to_lowercase()),
            Self::Suffix(suffix) => found.ends_with(suffix),
            Self::SuffixIgnoreCase(suffix) => found.to_lowercase().ends_with(&suffix.to_lowercase()),
            Self::IgnoreCase(text) => found.to_lowercase() == text.to_lowercase(),
            Self::Wildcard(pattern) => wildcard(pattern, found),
        }
    }
}

impl Comparison {
    fn parse(operator: &str) -> Option<Self> {
        Some(match operator {
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            "=" => Self::Equal,
            ">=" => Self::GreaterOrEqual,
            ">" => Self::Greater,
            _ => return None,
        })
    }

    fn holds(self, found: f64, bound: f64) -> bool {
        match self {
            Self::Less => found < bound,
            Self::LessOrEqual => found <= bound,
            Self::Equal => found == bound,
            Self::GreaterOrEqual => found >= bound,
            Self::Greater => found > bound,
        }
    }
}

fn test(value: &Value, at: &str) -> Result<Test, PatternError> {
    let Value::Object(map) = value else {
        return match value {
            Value::Array(_) => fails(at, "a list within a list"),
            exact => Ok(Test::Exact(exact.clone())),
        };
    };
    let (operator, argument) = match map.iter().next() {
        Some(entry) if map.len() == 1 => entry,
        _ => return fails(at, "an operator stands alone in its object"),
    };
    match (operator.as_str(), argument) {
        ("exists", Value::Bool(exists)) => Ok(Test::Exists(*exists)),
        ("numeric", Value::Array(list)) => numeric(list, at),
        ("anything-but", Value::Object(map)) => anything_but(map, at),
        ("anything-but", Value::Array(list)) => {
            let all = |is: fn(&Value) -> bool| !list.is_empty() && list.iter().all(is);
            if all(Value::is_string) || all(Value::is_number) {
                Ok(Test::AnythingBut(list.iter().cloned().map(Test::Exact).collect()))
            } else {
                fails(at, "anything-but takes a list of texts only, or of numbers only")
            }
        }
        ("anything-but", Value::String(_) | Value::Number(_)) => {
            Ok(Test::AnythingBut(vec![Test::Exact(argument.clone())]))
        }
        (operator, argument) => text(operator, argument, at).map(Test::Text),
    }
}

/// A comparison, or a range from its bottom to its top.
fn numeric(list: &[Value], at: &str) -> Result<Test, PatternError> {
    let pair = |pair: &[Value]| {
        let how = pair[0].as_str().and_then(Comparison::parse)?;
        Some((how, pair.get(1)?.as_f64()?))
    };
    let pairs: Option<Vec<_>> = list.chunks(2).map(pair).collect();
    use Comparison::{Greater, GreaterOrEqual, Less, LessOrEqual};
    match pairs.as_deref() {
        Some([_]) => {}
        Some([(Greater | GreaterOrEqual, bottom), (Less | LessOrEqual, top)]) if bottom < top => {}
        Some([(Greater | GreaterOrEqual, _), (Less | LessOrEqual, _)]) => {
            return fails(at, "numeric: the bottom of a range must be less than its top");
        }
        Some([_, _]) => return fails(at, "numeric: a range is > or >= a number, then < or <= another"),
        _ => return fails(at, "numeric takes an operator and a number, or two of each"),
    }
    Ok(Test::Numeric(pairs.unwrap_or_default()))
}

/// One operator, with a text or a list of them, none of which may match.
fn anything_but(map: &Map<String, Value>, at: &str) -> Result<Test, PatternError> {
    let (operator, argument) = match map.iter().next() {
        Some((operator, argument)) if map.len() == 1 => (operator, argument),
        _ => return fails(at, "anything-but takes one operator"),
    };
    let texts = match argument {
        Value::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    if texts.is_empty() || !texts.iter().all(Value::is_string) {
        return fails(at, format!("anything-but: {operator} takes a text, or a list of texts"));
    }
    let tests = texts.iter().map(|one| text(operator, one, at).map(Test::Text));
    Ok(Test::AnythingBut(tests.collect::<Result<_, _>>()?))
}

fn text(operator: &str, argument: &Value, at: &str) -> Result<Text, PatternError> {
    let ignore_case = match argument {
        Value::Object(map) if map.len() == 1 => map.get("equals-ignore-case").and_then(Value::as_str),
        _ => None,
    };
    match (operator, argument.as_str(), ignore_case) {
        // Refused in anything-but, and everything's beginning elsewhere: never what is meant.
        ("prefix" | "suffix", Some(""), _) | ("prefix" | "suffix", _, Some("")) => {
            fails(at, format!("{operator}: an empty text"))
        }
        ("prefix", Some(text), _) => Ok(Text::Prefix(text.into())),
        ("prefix", _, Some(text)) => Ok(Text::PrefixIgnoreCase(text.into())),
        ("suffix", Some(text), _) => Ok(Text::Suffix(text.into())),
        ("suffix", _, Some(text)) => Ok(Text::SuffixIgnoreCase(text.into())),
        ("equals-ignore-case", Some(text), _) => Ok(Text::IgnoreCase(text.into())),
        ("wildcard", Some(text), _) => {
            check_wildcard(text).or_else(|problem| fails(at, problem))?;
            Ok(Text::Wildcard(text.into()))
        }
        _ => fails(at, format!("{operator} with {argument} is not known here")),
    }
}

/// A star stands alone, and a backslash before a star or a backslash.
fn check_wildcard(pattern: &str) -> Result<(), &'static str> {
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('*', Some('*')) => return Err("wildcard: two stars in a row"),
            ('\\', Some('*' | '\\')) => {
                chars.next();
            }
            ('\\', _) => return Err("wildcard: a backslash that is followed by neither a star nor a backslash"),
            _ => {}
        }
    }
    Ok(())
}

/// Whether `pattern`, in which `*` is any text and `\` makes the next character plain, matches.
fn wildcard(pattern: &str, text: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = rest.as_str();
            rest.is_empty()
                || text.char_indices().any(|(index, _)| wildcard(rest, &text[index..]))
                || wildcard(rest, "")
        }
        Some(first) => {
            let first = if first == '\\' { rest.next().unwrap_or('\\') } else { first };
            text.strip_prefix(first).is_some_and(|text| wildcard(rest.as_str(), text))
        }
    }
}

#[cfg(test)]
mod tests;
