//! A value as Ruby has it, with those of its methods that CodeDeploy's agent calls.

use std::sync::Arc;

/// What Psych makes of a piece of YAML.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// `nil`.
    #[default]
    Nil,
    /// `true` or `false`.
    Bool(bool),
    /// An Integer.
    Int(i128),
    /// An Integer that was written with a leading zero, unquoted.
    Octal(i128),
    /// A Float.
    Float(f64),
    /// A String.
    Text(Arc<str>),
    /// A Symbol, `:name`.
    Symbol(Arc<str>),
    /// A Date, as it is shown.
    Date(Arc<str>),
    /// A Time: seconds since the epoch, and as it is shown.
    Time(i64, Arc<str>),
    /// An Array.
    List(Arc<Vec<Value>>),
    /// A Hash, in the order of its keys' first appearance.
    Map(Arc<Vec<(Value, Value)>>),
}

impl Value {
    #[allow(clippy::cast_precision_loss)] // As Ruby does.
    pub(crate) fn from_f64(n: i128) -> Self {
        Self::Float(n as f64)
    }

    /// A String's text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether Ruby's `||` takes the other side.
    pub(crate) fn is_false(&self) -> bool {
        matches!(self, Self::Nil | Self::Bool(false))
    }

    pub(crate) fn is_nil(&self) -> bool {
        matches!(self, Self::Nil)
    }

    /// A Hash's pairs; nothing of anything else.
    pub(crate) fn pairs(&self) -> &[(Value, Value)] {
        match self {
            Self::Map(pairs) => pairs,
            _ => &[],
        }
    }

    /// A Hash's value, `nil` if it has no such key.
    pub(crate) fn get(&self, key: &str) -> Self {
        let found = self.pairs().iter().find(|(there, _)| there.text() == Some(key));
        found.map_or(Self::Nil, |(_, value)| value.clone())
    }

    /// Ruby's `value[key]`: of a String the key itself, if it holds it. `None` where Ruby raises an error.
    pub(crate) fn index(&self, key: &str) -> Option<Self> {
        match self {
            Self::Map(_) => Some(self.get(key)),
            Self::Text(text) | Self::Symbol(text) if text.contains(key) => Some(Self::Text(key.into())),
            Self::Text(_) | Self::Symbol(_) => Some(Self::Nil),
            _ => None,
        }
    }

    /// Ruby's `each`: a Hash gives its pairs as Arrays. `None` for what has no `each`.
    pub(crate) fn each(&self) -> Option<Vec<Self>> {
        match self {
            Self::List(list) => Some(list.to_vec()),
            Self::Map(pairs) => {
                let pair = |(key, value): &(Self, Self)| Self::List(Arc::new(vec![key.clone(), value.clone()]));
                Some(pairs.iter().map(pair).collect())
            }
            _ => None,
        }
    }

    /// Ruby's `to_i`; `None` for what has none.
    pub(crate) fn to_i(&self) -> Option<i128> {
        match self {
            Self::Nil => Some(0),
            Self::Int(n) | Self::Octal(n) => Some(*n),
            #[allow(clippy::cast_possible_truncation)] // That is what to_i does.
            Self::Float(x) if x.is_finite() => Some(*x as i128),
            Self::Text(text) => Some(leading_int(text)),
            Self::Time(secs, _) => Some(i128::from(*secs)),
            _ => None,
        }
    }

    /// Ruby's `to_s`.
    pub(crate) fn to_s(&self) -> String {
        match self {
            Self::Nil => String::new(),
            Self::Bool(yes) => yes.to_string(),
            Self::Int(n) | Self::Octal(n) => n.to_string(),
            Self::Float(x) => float(*x),
            Self::Text(text) | Self::Symbol(text) | Self::Date(text) | Self::Time(_, text) => text.to_string(),
            Self::List(_) | Self::Map(_) => self.inspect(),
        }
    }

    /// Ruby's `inspect`, which is how a value stands in a list or a message.
    pub(crate) fn inspect(&self) -> String {
        match self {
            Self::Nil => "nil".to_owned(),
            Self::Text(text) => format!("{text:?}"),
            Self::Symbol(name) if name.contains(|c: char| !c.is_alphanumeric() && c != '_') => format!(":{name:?}"),
            Self::Symbol(name) => format!(":{name}"),
            Self::List(list) => format!("[{}]", list.iter().map(Self::inspect).collect::<Vec<_>>().join(", ")),
            Self::Map(pairs) => {
                let pair = |(key, value): &(Self, Self)| format!("{}=>{}", key.inspect(), value.inspect());
                format!("{{{}}}", pairs.iter().map(pair).collect::<Vec<_>>().join(", "))
            }
            other => other.to_s(),
        }
    }

    /// What it is, in words.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "empty",
            Self::Bool(_) => "true or false",
            Self::Int(_) | Self::Octal(_) | Self::Float(_) => "a number",
            Self::Text(_) | Self::Symbol(_) => "text",
            Self::Date(_) | Self::Time(..) => "a date",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// Ruby's `String#to_i`: the number at the beginning, 0 if there is none.
pub(crate) fn leading_int(text: &str) -> i128 {
    let text = text.trim_start_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']);
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut number: i128 = 0;
    let mut after_digit = false;
    for c in text.chars() {
        match c.to_digit(10) {
            Some(digit) => number = number.saturating_mul(10).saturating_add(i128::from(digit)),
            // One between two digits.
            None if c == '_' && after_digit => {}
            None => break,
        }
        after_digit = c != '_';
    }
    sign * number
}

fn float(x: f64) -> String {
    if x.is_nan() {
        return "NaN".to_owned();
    }
    if x.is_infinite() {
        return if x > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if x == 0.0 || (1e-4..1e16).contains(&x.abs()) {
        return format!("{x:?}");
    }
    let shown = format!("{x:e}");
    let (digits, exponent) = shown.split_once('e').unwrap_or((&shown, "0"));
    let digits = if digits.contains('.') { digits.to_owned() } else { format!("{digits}.0") };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}
