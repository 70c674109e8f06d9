//! Where a command writes: text for people, or JSON for programs.

use crate::end::Failure;
use crate::table::wrapped;
use clap::ValueEnum;
use serde::Serialize;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

/// The version of what is written as JSON: fields are only ever added to it.
pub(crate) const SCHEMA: u32 = 1;

/// The form of what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs: one document, or one a line while it watches.
    Json,
}

/// Standard output, and how it is used.
pub(crate) struct Out {
    format: Format,
}

impl Out {
    pub(crate) fn new(format: Format) -> Self {
        Self { format }
    }

    pub(crate) fn json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether a person looks on.
    pub(crate) fn watched(&self) -> bool {
        !self.json() && io::stdout().is_terminal()
    }

    /// Columns: of the terminal, or 80.
    pub(crate) fn width(&self) -> usize {
        let size = console::Term::stdout().size_checked().filter(|_| self.watched());
        size.map_or(80, |(_, columns)| columns.into())
    }

    /// The document, if programs read; the text otherwise.
    pub(crate) fn show(&self, document: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
        if self.json() { self.document(document, true) } else { self.text(&self.fitted(text())) }
    }

    /// The same while it watches: documents are lines, and text takes the place of what was there.
    pub(crate) fn again(&self, document: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
        if self.json() {
            return self.document(document, false);
        }
        if self.watched() {
            console::Term::stdout().clear_screen().map_err(gone)?;
        }
        self.text(&self.fitted(text()))
    }

    /// Text for people; nothing if programs read.
    pub(crate) fn say(&self, text: &str) -> Result<(), Failure> {
        if self.json() { Ok(()) } else { self.text(&self.fitted(format!("{text}\n"))) }
    }

    /// As wide as the terminal; what goes elsewhere keeps its lines, for those who search in it.
    fn fitted(&self, text: String) -> String {
        if self.watched() { wrapped(self.width(), &text) } else { text }
    }

    /// Text as it is.
    pub(crate) fn text(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(gone)
    }

    fn document(&self, body: &impl Serialize, pretty: bool) -> Result<(), Failure> {
        #[derive(Serialize)]
        struct Document<'a, T> {
            schema: u32,
            #[serde(flatten)]
            body: &'a T,
        }
        let document = Document { schema: SCHEMA, body };
        let text = if pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) };
        let text = text.map_err(|error| Failure::usage(format!("what was found can't be written as JSON: {error}")))?;
        self.text(&format!("{text}\n"))
    }

    /// Says on standard error what somebody should know whatever comes of the command.
    pub(crate) fn warn(&self, warning: &str) {
        let text = match self.format {
            Format::Text => wrapped(self.width(), &format!("tagship: {warning}")),
            Format::Json => serde_json::json!({"schema": SCHEMA, "warning": warning}).to_string(),
        };
        // Nothing depends on its being heard.
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// Says on standard error why a command failed.
    pub(crate) fn fail(&self, failure: &Failure) -> ExitCode {
        let text = match self.format {
            Format::Text => format!("tagship: {failure}"),
            Format::Json => serde_json::to_string(&failure.document()).unwrap_or_else(|_| failure.to_string()),
        };
        // If nobody hears it, the exit code still says it.
        let _ = writeln!(io::stderr(), "{text}");
        failure.code().into()
    }
}

fn gone(_: io::Error) -> Failure {
    Failure::Gone
}
