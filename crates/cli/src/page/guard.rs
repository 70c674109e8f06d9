//! Who may look, and who may act: a secret that opens once, a cookie, a token, and the names that the page goes by.
//!
//! SECURITY.md has the model. Nothing here is ever printed.

use axum::http::header::{COOKIE, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use std::sync::{Mutex, PoisonError};
use subtle::ConstantTimeEq;
use tempfile::NamedTempFile;

/// The header that an act must carry.
pub(super) const TOKEN: &str = "x-tagship-token";

/// Why a request isn't answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It names another host: a name that was made to lead here.
    Host,
    /// Another page asks.
    Origin,
    /// It has no cookie of this page.
    Nobody,
    /// It has no token: this browser may look, not act.
    Token,
}

/// How the browser comes in: the secret, and the file that has it.
pub(crate) struct Entry {
    secret: String,
    /// Goes when the secret has been used, or the page ends.
    _file: Option<NamedTempFile>,
}

/// What is known of those who may come in.
pub(crate) struct Guard {
    port: u16,
    entry: Mutex<Option<Entry>>,
    session: String,
    /// None if nobody may act.
    token: Option<String>,
}

/// As many random bits as nobody guesses, as text.
pub(crate) fn secret() -> String {
    format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>())
}

fn same(given: &str, expected: &str) -> bool {
    given.as_bytes().ct_eq(expected.as_bytes()).into()
}

impl Entry {
    pub(crate) fn new(secret: String, file: Option<NamedTempFile>) -> Self {
        Self { secret, _file: file }
    }
}

impl Guard {
    /// For a page on this port.
    pub(crate) fn new(port: u16, entry: Entry, act: bool) -> Self {
        Self { port, entry: Mutex::new(Some(entry)), session: secret(), token: act.then(secret) }
    }

    /// The token that acts need; none if nobody may act.
    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Opens once: the cookie for whoever has the secret. A wrong one doesn't use it up.
    pub(crate) fn enter(&self, given: &str) -> Option<HeaderValue> {
        let mut entry = self.entry.lock().unwrap_or_else(PoisonError::into_inner);
        entry.take_if(|entry| same(given, &entry.secret))?;
        let cookie = format!("{}={}; Path=/; HttpOnly; SameSite=Strict", self.cookie(), self.session);
        HeaderValue::from_str(&cookie).ok()
    }

    /// Browsers don't keep cookies apart by port: each page has a name of its own.
    fn cookie(&self) -> String {
        format!("tagship-{}", self.port)
    }

    /// Whether the request is for this page, under its own name, and from no other page.
    pub(crate) fn addressed(&self, method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
        let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        let hosts = [format!("127.0.0.1:{}", self.port), format!("localhost:{}", self.port)];
        let host = text(HOST).filter(|host| hosts.iter().any(|own| own == host)).ok_or(Refusal::Host)?;
        match text(ORIGIN) {
            Some(origin) if origin == format!("http://{host}") => Ok(()),
            // What only looks is navigated to without one.
            None if *method == Method::GET => Ok(()),
            _ => Err(Refusal::Origin),
        }
    }

    /// Whether the browser has come in.
    pub(crate) fn known(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let name = self.cookie();
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        if pairs.any(|(key, value)| key == name && same(value, &self.session)) { Ok(()) } else { Err(Refusal::Nobody) }
    }

    /// Whether it may act.
    pub(crate) fn may_act(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let given = headers.get(TOKEN).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let token = self.token.as_deref().ok_or(Refusal::Token)?;
        if same(given, token) { Ok(()) } else { Err(Refusal::Token) }
    }
}
