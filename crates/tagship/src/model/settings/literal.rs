//! Reads a JSON object or a Python dict literal, the two ways in which settings are written.

use crate::model::words::invisible;
use ruff_python_ast::token::TokenKind;
use ruff_python_ast::{self as ast, Expr, ExprDict, UnaryOp};
use ruff_python_parser::{LexicalErrorType, Mode, ParseErrorType, lexer, parse_expression};
use ruff_text_size::{Ranged, TextSize};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use std::fmt;

/// Lists and dictionaries within each other: more than settings need, far less than a stack takes.
const MAX_DEPTH: usize = 32;

/// Far over what a variable (4 KB) or a parameter (8 KB) holds.
const MAX_BYTES: usize = 64 * 1024;

const ACCEPTED: &str = "only strings, numbers, True, False, None, lists and dictionaries are accepted";

/// What was written, with every entry of every dictionary: serde_json's own maps forget repetitions.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Literal>),
    Dict(Vec<(String, Literal)>),
}

impl Literal {
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// As JSON, where of repeated keys only the last is left.
    pub(super) fn json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(flag) => (*flag).into(),
            Self::Number(number) => number.clone().into(),
            Self::Text(text) => text.as_str().into(),
            Self::List(list) => list.iter().map(Self::json).collect(),
            Self::Dict(entries) => entries.iter().map(|(key, value)| (key.clone(), value.json())).collect(),
        }
    }
}

impl From<Value> for Literal {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(flag),
            Value::Number(number) => Self::Number(number),
            Value::String(text) => Self::Text(text),
            Value::Array(list) => Self::List(list.into_iter().map(Self::from).collect()),
            Value::Object(map) => Self::Dict(map.into_iter().map(|(key, value)| (key, value.into())).collect()),
        }
    }
}

impl<'de> Deserialize<'de> for Literal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Literal;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_unit<E>(self) -> Result<Literal, E> {
                Ok(Literal::Null)
            }

            fn visit_bool<E>(self, flag: bool) -> Result<Literal, E> {
                Ok(Literal::Bool(flag))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Literal, E> {
                Ok(Literal::Number(number.into()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Literal, E> {
                Ok(Literal::Number(number.into()))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Literal, E> {
                Ok(Number::from_f64(number).map_or(Literal::Null, Literal::Number))
            }

            fn visit_str<E>(self, text: &str) -> Result<Literal, E> {
                Ok(Literal::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Literal, A::Error> {
                let mut list = Vec::new();
                while let Some(element) = seq.next_element()? {
                    list.push(element);
                }
                Ok(Literal::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Literal, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Literal::Dict(entries))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// Without the byte order mark that an editor of Windows puts before a file's text.
pub(crate) fn unmarked(text: &str) -> &str {
    text.trim_start().trim_start_matches('\u{feff}')
}

/// A JSON text. An error gives a place and the grammar's complaint, never a part of the text.
pub(crate) fn json(text: &str) -> Result<Literal, String> {
    let text = unmarked(text);
    serde_json::from_str(text).map_err(|error| {
        // The place that is told is that of the character, or just before it.
        let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
        let near = (error.column().saturating_sub(1)..=error.column())
            .find_map(|at| line.get(at..)?.chars().next().and_then(stray));
        match near {
            Some(stray) => format!("{stray} at line {} column {}", error.line(), error.column()),
            None => error.to_string(),
        }
    })
}

/// Whether a text is itself a dictionary: then what held it was encoded twice.
pub(crate) fn twice_encoded(text: &str) -> bool {
    let dict = |literal: Result<Literal, String>| matches!(literal, Ok(Literal::Dict(_)));
    unmarked(text).starts_with('{') && (dict(json(text)) || dict(value(text)))
}

/// What is wrong with settings as a whole, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Illegible {
    /// Places and the grammars' complaints; never a part of the text, but single characters of it.
    pub(super) complaint: String,
    /// The places alone.
    pub(super) places: String,
}

/// The entries of a JSON object or Python dict, in order and with repetitions.
///
/// Errors never show a part of the text: it may hold secrets.
pub(super) fn entries(text: &str) -> Result<Vec<(String, Literal)>, Illegible> {
    let no_dict = |literal: Literal| match literal {
        Literal::Dict(entries) => Ok(entries),
        Literal::Text(text) if twice_encoded(&text) => {
            Err("encoded twice, the whole is a string that holds the dictionary: remove the quotes around it and the \
             backslashes, starting at line 1 column 1"
                .to_owned())
        }
        _ => Err("no dictionary at line 1 column 1".to_owned()),
    };
    let json = match json(text).and_then(no_dict) {
        Ok(entries) => return Ok(entries),
        Err(complaint) => complaint,
    };
    let python = match value(text).and_then(no_dict) {
        Ok(entries) => return Ok(entries),
        Err(complaint) => complaint,
    };
    let place = |complaint: &str| complaint.rfind("line ").map_or_else(String::new, |at| complaint[at..].to_owned());
    Err(Illegible {
        places: format!("As Python, look at {}. As JSON, look at {}", place(&python), place(&json)),
        complaint: format!("As Python: {python}. As JSON: {json}"),
    })
}

/// A Python literal: a string, a number, a boolean, None, a list, a tuple or a dict.
pub(super) fn value(text: &str) -> Result<Literal, String> {
    Source::new(text).parse()
}

/// The complaint about a character that belongs in no literal. What can be seen isn't shown: it may be of a secret.
fn stray(c: char) -> Option<String> {
    let (name, remedy) = match c {
        '\u{2018}' => ("LEFT SINGLE QUOTATION MARK".to_owned(), "write '"),
        '\u{2019}' => ("RIGHT SINGLE QUOTATION MARK".to_owned(), "write '"),
        '\u{201c}' => ("LEFT DOUBLE QUOTATION MARK".to_owned(), "write \""),
        '\u{201d}' => ("RIGHT DOUBLE QUOTATION MARK".to_owned(), "write \""),
        c if c.is_ascii() => return None,
        c => (invisible(c)?, "which can't be seen: remove it"),
    };
    Some(format!("the character {name} (U+{:04X}), {remedy},", u32::from(c)))
}

/// A Python source: line breaks as Python itself reads them.
struct Source(String);

impl Source {
    fn new(text: &str) -> Self {
        Self(unmarked(text).trim().replace("\r\n", "\n").replace('\r', "\n"))
    }

    fn parse(&self) -> Result<Literal, String> {
        self.check_tokens()?;
        let parsed = parse_expression(&self.0).map_err(|error| {
            let place = error.location.start();
            match &error.error {
                // Names of characters aren't known: crates/patches/unicode_names2 says why.
                ParseErrorType::Lexical(LexicalErrorType::UnicodeError) => {
                    self.at(place, r"no character (or one by its name, \N{…}): write the character itself,")
                }
                ParseErrorType::Lexical(LexicalErrorType::UnrecognizedToken { tok }) => {
                    self.at(place, stray(*tok).unwrap_or_else(|| "a character that no literal has".to_owned()))
                }
                complaint => self.at(place, complaint),
            }
        })?;
        self.value(parsed.expr())
    }

    /// Refuses, without recursion, whatever could make the parser recurse deeply: only brackets nest here, and
    /// brackets and signs only where a value begins (so no calls, subscripts or chains of operators).
    fn check_tokens(&self) -> Result<(), String> {
        if self.0.len() > MAX_BYTES {
            return Err(format!("longer than {MAX_BYTES} bytes at line 1 column 1"));
        }
        let mut lexer = lexer::lex(&self.0, Mode::Expression);
        let mut depth = 0_usize;
        let mut value_begins = true;
        let mut read = 0;
        loop {
            let token = lexer.next_token();
            read += usize::from(counts(token));
            match token {
                TokenKind::EndOfFile => return Ok(()),
                TokenKind::Comment | TokenKind::Newline | TokenKind::NonLogicalNewline => {}
                TokenKind::Comma | TokenKind::Colon => value_begins = true,
                TokenKind::Lpar | TokenKind::Lsqb | TokenKind::Lbrace if value_begins => {
                    depth += 1;
                    if depth > MAX_DEPTH {
                        let complaint = format!("lists and dictionaries nested more than {MAX_DEPTH} deep");
                        return Err(self.at(self.place(read), complaint));
                    }
                }
                TokenKind::Rpar | TokenKind::Rsqb | TokenKind::Rbrace => {
                    depth = depth.saturating_sub(1);
                    value_begins = false;
                }
                TokenKind::Plus | TokenKind::Minus if value_begins => value_begins = false,
                TokenKind::String
                | TokenKind::Int
                | TokenKind::Float
                | TokenKind::Complex
                | TokenKind::True
                | TokenKind::False
                | TokenKind::None => value_begins = false,
                // What is no token at all, an unfinished string say, the parser explains better; and it has the place.
                TokenKind::Name | TokenKind::Unknown => value_begins = false,
                token => {
                    let complaint = format!("{token} is no part of a literal ({ACCEPTED})");
                    return Err(self.at(self.place(read), complaint));
                }
            }
        }
    }

    /// Where the token begins that is the `count`-th. The lexer doesn't tell: it is where the shortest beginning of the
    /// source that has so many tokens ends.
    fn place(&self, count: usize) -> TextSize {
        let has = |end: usize| {
            let mut lexer = lexer::lex(&self.0[..end], Mode::Expression);
            let tokens = std::iter::from_fn(|| Some(lexer.next_token()).filter(|token| *token != TokenKind::EndOfFile));
            tokens.filter(|token| counts(*token)).count() >= count
        };
        let starts: Vec<usize> = self.0.char_indices().map(|(start, _)| start).collect();
        let found = starts.partition_point(|start| !has(*start));
        // The beginning that ends here has it: so it begins a character before.
        TextSize::try_from(starts[..found].last().copied().unwrap_or_default()).unwrap_or_default()
    }

    fn entries(&self, dict: &ExprDict) -> Result<Vec<(String, Literal)>, String> {
        let entry = |item: &ruff_python_ast::DictItem| match &item.key {
            Some(Expr::StringLiteral(key)) => Ok((self.string(key)?, self.value(&item.value)?)),
            _ => Err(self.at(item.start(), "a key must be a string")),
        };
        dict.items.iter().map(entry).collect()
    }

    fn value(&self, expression: &Expr) -> Result<Literal, String> {
        match expression {
            Expr::NoneLiteral(_) => Ok(Literal::Null),
            Expr::BooleanLiteral(literal) => Ok(Literal::Bool(literal.value)),
            Expr::StringLiteral(literal) => Ok(Literal::Text(self.string(literal)?)),
            Expr::NumberLiteral(literal) => self.number(&literal.value, 1, literal.start()),
            Expr::UnaryOp(sign) => match (sign.op, &*sign.operand) {
                (UnaryOp::USub, Expr::NumberLiteral(literal)) => self.number(&literal.value, -1, sign.start()),
                (UnaryOp::UAdd, Expr::NumberLiteral(literal)) => self.number(&literal.value, 1, sign.start()),
                _ => Err(self.at(sign.start(), "a sign belongs before a number")),
            },
            Expr::List(list) => self.list(&list.elts),
            Expr::Tuple(tuple) => self.list(&tuple.elts),
            Expr::Dict(dict) => Ok(Literal::Dict(self.entries(dict)?)),
            Expr::Name(name) if ["true", "false", "null"].contains(&name.id.as_str()) => {
                Err(self.at(name.start(), format!("{} is JSON's: write True, False or None", name.id)))
            }
            Expr::Name(name) => {
                let stray = self.0[name.range()].chars().find_map(stray);
                Err(self.at(name.start(), stray.unwrap_or_else(|| "text without quotes".to_owned())))
            }
            _ => Err(self.at(expression.start(), ACCEPTED)),
        }
    }

    fn list(&self, elements: &[Expr]) -> Result<Literal, String> {
        elements.iter().map(|element| self.value(element)).collect::<Result<_, _>>().map(Literal::List)
    }

    fn string(&self, literal: &ruff_python_ast::ExprStringLiteral) -> Result<String, String> {
        let text = literal.value.to_str();
        // The parser puts this character where an escape names half a character.
        if text.contains('\u{FFFD}') && !self.0.contains('\u{FFFD}') {
            return Err(self.at(literal.start(), "\\uD800 to \\uDFFF are no characters: write the character itself"));
        }
        Ok(text.to_owned())
    }

    fn number(&self, number: &ast::Number, sign: i64, place: TextSize) -> Result<Literal, String> {
        match number {
            ast::Number::Int(int) => int.as_i64().map(|int| Number::from(sign * int)),
            ast::Number::Float(float) => Number::from_f64(sign as f64 * float),
            ast::Number::Complex { .. } => None,
        }
        .map(Literal::Number)
        .ok_or_else(|| self.at(place, "no number that a setting could have"))
    }

    /// The complaint with its line and column.
    fn at(&self, place: TextSize, complaint: impl fmt::Display) -> String {
        let before = self.0.get(..place.to_usize()).unwrap_or(&self.0);
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        format!("{complaint} at line {line} column {column}")
    }
}

/// Whether a token counts where one is looked for; a source that ends in mid-air has an unknown one more.
fn counts(token: TokenKind) -> bool {
    use TokenKind::{Comment, EndOfFile, Newline, NonLogicalNewline, Unknown};
    !matches!(token, Comment | Newline | NonLogicalNewline | EndOfFile | Unknown)
}

#[cfg(test)]
mod tests;
