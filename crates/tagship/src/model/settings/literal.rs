//! Reads a JSON object or a Python dict literal, the two ways in which settings are written.

use ruff_python_ast::token::TokenKind;
use ruff_python_ast::{Expr, Number, UnaryOp};
use ruff_python_parser::{LexicalErrorType, Mode, ParseErrorType, lexer, parse_expression};
use ruff_text_size::{Ranged, TextSize};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use std::fmt;

/// Lists and dictionaries within each other: more than settings need, far less than a stack takes.
const MAX_DEPTH: usize = 32;

/// Far over what a variable (4 KB) or a parameter (8 KB) holds.
const MAX_BYTES: usize = 64 * 1024;

const ACCEPTED: &str = "only strings, numbers, True, False, None, lists and dictionaries are accepted";

/// The entries of a JSON object or Python dict, in order and with repetitions.
///
/// Errors give a place and the grammar's complaint, never a part of the text: it may hold secrets.
pub(super) fn entries(text: &str) -> Result<Vec<(String, Value)>, String> {
    let json = match serde_json::from_str::<Entries>(text) {
        Ok(Entries(entries)) => return Ok(entries),
        Err(error) => error,
    };
    let python = match Source::new(text).parse(|source, expression| source.entries(expression)) {
        Ok(entries) => return Ok(entries),
        Err(error) => error,
    };
    let json = match json.classify() {
        // Its message would show the value.
        serde_json::error::Category::Data => "no object".to_owned(),
        _ => json.to_string(),
    };
    Err(format!("write a JSON object or a Python dict. As Python: {python}. As JSON: {json}"))
}

/// A Python literal: a string, a number, a boolean, None, a list, a tuple or a dict.
pub(super) fn value(text: &str) -> Result<Value, String> {
    Source::new(text).parse(|source, expression| source.value(expression))
}

/// A Python source: line breaks as Python itself reads them.
struct Source(String);

impl Source {
    fn new(text: &str) -> Self {
        Self(text.trim().replace("\r\n", "\n").replace('\r', "\n"))
    }

    fn parse<T>(&self, read: impl Fn(&Self, &Expr) -> Result<T, String>) -> Result<T, String> {
        self.check_tokens()?;
        let parsed = parse_expression(&self.0).map_err(|error| match &error.error {
            // Names of characters aren't known: crates/patches/unicode_names2 says why.
            ParseErrorType::Lexical(LexicalErrorType::UnicodeError) => self
                .at(error.location.start(), r"no character (or one by its name, \N{…}): write the character itself,"),
            complaint => self.at(error.location.start(), complaint),
        })?;
        read(self, parsed.expr())
    }

    /// Refuses, without recursion, whatever could make the parser recurse deeply: only brackets nest here, and
    /// brackets and signs only where a value begins (so no calls, subscripts or chains of operators).
    fn check_tokens(&self) -> Result<(), String> {
        if self.0.len() > MAX_BYTES {
            return Err(format!("longer than {MAX_BYTES} bytes"));
        }
        let mut lexer = lexer::lex(&self.0, Mode::Expression);
        let mut depth = 0_usize;
        let mut value_begins = true;
        loop {
            match lexer.next_token() {
                TokenKind::EndOfFile => return Ok(()),
                TokenKind::Comment | TokenKind::Newline | TokenKind::NonLogicalNewline => {}
                TokenKind::Comma | TokenKind::Colon => value_begins = true,
                TokenKind::Lpar | TokenKind::Lsqb | TokenKind::Lbrace if value_begins => {
                    depth += 1;
                    if depth > MAX_DEPTH {
                        return Err(format!("lists and dictionaries nested more than {MAX_DEPTH} deep"));
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
                token => return Err(format!("{token} is no part of a literal there: {ACCEPTED}")),
            }
        }
    }

    fn entries(&self, expression: &Expr) -> Result<Vec<(String, Value)>, String> {
        let Expr::Dict(dict) = expression else {
            return Err("no dict".to_owned());
        };
        let entry = |item: &ruff_python_ast::DictItem| match &item.key {
            Some(Expr::StringLiteral(key)) => Ok((self.string(key)?, self.value(&item.value)?)),
            _ => Err(self.at(item.start(), "a key must be a string")),
        };
        dict.items.iter().map(entry).collect()
    }

    fn value(&self, expression: &Expr) -> Result<Value, String> {
        match expression {
            Expr::NoneLiteral(_) => Ok(Value::Null),
            Expr::BooleanLiteral(literal) => Ok(literal.value.into()),
            Expr::StringLiteral(literal) => Ok(self.string(literal)?.into()),
            Expr::NumberLiteral(literal) => self.number(&literal.value, 1, literal.start()),
            Expr::UnaryOp(sign) => match (sign.op, &*sign.operand) {
                (UnaryOp::USub, Expr::NumberLiteral(literal)) => self.number(&literal.value, -1, sign.start()),
                (UnaryOp::UAdd, Expr::NumberLiteral(literal)) => self.number(&literal.value, 1, sign.start()),
                _ => Err(self.at(sign.start(), "a sign belongs before a number")),
            },
            Expr::List(list) => list.elts.iter().map(|element| self.value(element)).collect(),
            Expr::Tuple(tuple) => tuple.elts.iter().map(|element| self.value(element)).collect(),
            Expr::Dict(_) => Ok(Value::Object(self.entries(expression)?.into_iter().collect())),
            Expr::Name(name) if ["true", "false", "null"].contains(&name.id.as_str()) => {
                Err(self.at(name.start(), format!("{} is JSON's: write True, False or None", name.id)))
            }
            Expr::Name(name) => Err(self.at(name.start(), "text without quotes")),
            _ => Err(self.at(expression.start(), ACCEPTED)),
        }
    }

    fn string(&self, literal: &ruff_python_ast::ExprStringLiteral) -> Result<String, String> {
        let text = literal.value.to_str();
        // The parser puts this character where an escape names half a character.
        if text.contains('\u{FFFD}') && !self.0.contains('\u{FFFD}') {
            return Err(self.at(literal.start(), "\\uD800 to \\uDFFF are no characters: write the character itself"));
        }
        Ok(text.to_owned())
    }

    fn number(&self, number: &Number, sign: i64, place: TextSize) -> Result<Value, String> {
        match number {
            Number::Int(int) => int.as_i64().map(|int| (sign * int).into()),
            Number::Float(float) => serde_json::Number::from_f64(sign as f64 * float).map(Value::from),
            Number::Complex { .. } => None,
        }
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

/// A JSON object's entries; serde_json's own map forgets repetitions.
struct Entries(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests;
