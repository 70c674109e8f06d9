//! Reads `appspec.yml`, and refuses what CodeDeploy's agent 1.8.1 refuses, in its words.
//!
//! The rules are those of `application_specification/*.rb` in aws/aws-codedeploy-agent. Where the agent has words of its
//! own for a mistake, they are used; where Ruby would only say which method is missing, the mistake is named instead.

use crate::permission::Permission;
use crate::value::Value;
use crate::yaml::{self, Document, Lines, Unreadable};
use std::time::Duration;

/// The lifecycle events of a deployment: no other hook's name is known.
pub const EVENTS: [&str; 11] = [
    "BeforeBlockTraffic",
    "AfterBlockTraffic",
    "ApplicationStop",
    "DownloadBundle",
    "BeforeInstall",
    "Install",
    "AfterInstall",
    "ApplicationStart",
    "ValidateService",
    "BeforeAllowTraffic",
    "AfterAllowTraffic",
];

/// What a revision says about its installation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AppSpec {
    /// What is copied where.
    pub files: Vec<Mapping>,
    /// What mode the copies get.
    pub permissions: Vec<Permission>,
    /// The scripts of each event, in the file's order.
    pub hooks: Vec<Hook>,
    /// What to do with files that are there already: it outranks what the deployment says.
    pub file_exists_behavior: Option<String>,
    /// What is accepted but surely not meant.
    pub warnings: Vec<Remark>,
}

/// Something in the file that the agent refuses, or takes otherwise than it is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// Where: keys, and numbers of entries from 0, from the top, like `hooks/AfterInstall/0/timeout`.
    pub at: String,
    /// The line, from 1, if it is known.
    pub line: Option<u64>,
    /// What is wrong, in the agent's words where it has some.
    pub message: String,
}

/// What a file says as far as it can be read, and all that the agent refuses in it, in the order in which it looks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// Without the entries that are refused.
    pub spec: AppSpec,
    /// The agent reports the first one alone.
    pub refusals: Vec<Remark>,
    /// Keys that are there again in one place: only the last of them counts.
    pub repeated: Vec<Remark>,
}

/// Collects what is said about a file.
pub(crate) struct Remarks {
    lines: Lines,
    refusals: Vec<Remark>,
    warnings: Vec<Remark>,
}

impl Remarks {
    pub(crate) fn line(&self, at: &str) -> Option<u64> {
        self.lines.of(at)
    }

    pub(crate) fn refuse(&mut self, at: &str, message: String) {
        let line = self.line(at);
        self.refusals.push(Remark { at: at.to_owned(), line, message });
    }

    pub(crate) fn warn(&mut self, at: &str, message: String) {
        let line = self.line(at);
        self.warnings.push(Remark { at: at.to_owned(), line, message });
    }

    /// What was found; its default instead of what is refused.
    pub(crate) fn found<T: Default>(&mut self, at: &str, found: Result<T, String>) -> T {
        found.unwrap_or_else(|message| {
            self.refuse(at, message);
            T::default()
        })
    }
}

/// A file or directory of the revision and the directory that it goes to, as Ruby reads them: that both are text shows
/// only when they are used.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapping {
    /// In the revision.
    pub source: Value,
    /// On the instance.
    pub destination: Value,
    /// Where the file says so.
    pub line: Option<u64>,
}

/// What runs at one lifecycle event.
#[derive(Clone, Debug, PartialEq)]
pub struct Hook {
    /// The event's name.
    pub name: Value,
    /// In the file's order.
    pub scripts: Vec<Script>,
    /// Where the file says so.
    pub line: Option<u64>,
}

/// One script of a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Its path in the revision.
    pub location: String,
    /// How many seconds it may take.
    pub timeout_secs: i128,
    /// The user that `su` starts a shell of. Locally everything runs as one user, but through the shell.
    pub runas: Option<String>,
    /// Whether `sudo` starts it.
    pub sudo: bool,
    /// Where the file says so.
    pub line: Option<u64>,
}

impl Script {
    /// How long it may take.
    pub fn timeout(&self) -> Duration {
        // A century is as good as for ever, and no clock overflows.
        Duration::from_secs(u64::try_from(self.timeout_secs).unwrap_or(u64::MAX).min(100 * 365 * 86_400))
    }
}

/// The agent's limit for a script that names none.
pub(crate) const DEFAULT_TIMEOUT_SECS: i128 = 3600;
/// What makes Ruby start a shell for a command; spaces part its words in any case.
pub const SHELL_CHARACTERS: &[char] =
    &['*', '?', '{', '}', '[', ']', '<', '>', '(', ')', '~', '&', '|', '\\', '$', ';', '\'', '`', '"', '\n', '#'];

pub(crate) const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

impl AppSpec {
    /// Reads the file.
    ///
    /// # Errors
    /// What the agent would report.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let Reading { spec, refusals, .. } = Self::read(text);
        let Some(first) = refusals.into_iter().next() else {
            return Ok(spec);
        };
        let error = first.message;
        Err(if text.starts_with(BYTE_ORDER_MARK) {
            format!(
                "{error} (The file begins with a byte order mark, which the agent takes for part of the first line: \
                 save it as UTF-8 without one.)"
            )
        } else {
            error
        })
    }

    /// Reads the file, and goes on after what the agent refuses.
    pub fn read(text: &[u8]) -> Reading {
        let Document { value: top, lines } = match yaml::read(text) {
            Ok(document) => document,
            Err(Unreadable { message, line }) => {
                let refusal = Remark { at: String::new(), line, message };
                return Reading { refusals: vec![refusal], ..Reading::default() };
            }
        };
        let mut remarks = Remarks { lines, refusals: Vec::new(), warnings: Vec::new() };
        let spec = Self::of(&top, &mut remarks);
        let twice = std::mem::take(&mut remarks.lines.again).into_iter().map(|(at, line)| {
            let key = at.rsplit('/').next().unwrap_or_default();
            let message = format!("`{key}` is there more than once in the same place, and only the last one counts.");
            Remark { at, line: Some(line), message }
        });
        let repeated = twice.collect();
        Reading { spec: Self { warnings: remarks.warnings, ..spec }, refusals: remarks.refusals, repeated }
    }

    fn of(top: &Value, remarks: &mut Remarks) -> Self {
        if top.is_false() {
            remarks.refuse(
                "",
                "The deployment failed because the application specification file was empty. Make sure your AppSpec \
                 file defines at minimum the 'version' and 'os' properties."
                    .to_owned(),
            );
            return Self::default();
        }
        let field = |key: &str| top.index(key).unwrap_or_default();
        if top.index("version").is_none() {
            remarks.refuse("", wrong("the whole file", top, "a mapping"));
            return Self::default();
        }
        let version = field("version");
        if !matches!(version, Value::Int(0) | Value::Octal(0)) && version != Value::Float(0.0) {
            let message = format!(
                "The deployment failed because an invalid version value ({}) was entered in the application \
                 specification file. Make sure your AppSpec file specifies \"0.0\" as the version, and then try again.",
                version.to_s()
            );
            remarks.refuse("version", message);
        }
        let os = field("os");
        if os.text() != Some("linux") {
            let message = format!(
                "The deployment failed because the application specification file specifies an unsupported operating \
                 system ({}). Specify either \"linux\" or \"windows\" in the os section of the AppSpec file, and then try again.",
                os.to_s()
            );
            remarks.refuse("os", message);
        }
        let hooks = hooks(&field("hooks"), remarks);
        let files = list(&field("files"), "files", "a list of source and destination");
        let files = entries(remarks.found("files", files), "files", remarks, mapping);
        let permissions = list(&field("permissions"), "permissions", "a list of objects");
        let permissions = entries(remarks.found("permissions", permissions), "permissions", remarks, Permission::read);
        let behavior = file_exists_behavior(&field("file_exists_behavior"));
        let file_exists_behavior = remarks.found("file_exists_behavior", behavior);
        Self { files, permissions, hooks, file_exists_behavior, warnings: Vec::new() }
    }

    /// Refuses hooks of events that no deployment has, as the agent does when it installs.
    ///
    /// # Errors
    /// The agent's words, with the names.
    pub fn check_hooks(&self) -> Result<(), String> {
        let names: Vec<_> = self.unknown_hooks().map(|hook| hook.name.inspect()).collect();
        if names.is_empty() {
            return Ok(());
        }
        Err(format!("appspec.yml file contains unknown lifecycle events: [{}]", names.join(", ")))
    }

    /// The hooks of events that no deployment has.
    pub fn unknown_hooks(&self) -> impl Iterator<Item = &Hook> {
        self.hooks.iter().filter(|hook| !hook.name.text().is_some_and(|name| EVENTS.contains(&name)))
    }

    /// The scripts of an event.
    pub fn scripts(&self, event: &str) -> &[Script] {
        let found = self.hooks.iter().find(|hook| hook.name.text() == Some(event));
        found.map_or(&[], |hook| &hook.scripts)
    }
}

fn file_exists_behavior(value: &Value) -> Result<Option<String>, String> {
    match value.text() {
        Some(behavior @ ("DISALLOW" | "OVERWRITE" | "RETAIN")) => Ok(Some(behavior.to_owned())),
        _ if value.is_nil() => Ok(None),
        _ => Err(format!(
            "The deployment failed because an invalid file_exists_behavior value ({}) was entered in the application \
             specification file. Make sure your AppSpec file specifies one of DISALLOW,OVERWRITE,RETAIN as the \
             file_exists_behavior, and then try again.",
            value.to_s()
        )),
    }
}

fn hooks(value: &Value, remarks: &mut Remarks) -> Vec<Hook> {
    if !value.is_false() && !matches!(value, Value::Map(_)) {
        remarks.refuse("hooks", wrong("hooks", value, "a mapping of lifecycle events to lists of scripts"));
    }
    let mut hooks = Vec::new();
    for (hook, scripts) in value.pairs() {
        // The agent ignores an empty hook.
        if !scripts.is_false() {
            let name = hook.to_s();
            let at = format!("hooks/{name}");
            let scripts = remarks.found(&at, list(scripts, &name, "a list of scripts"));
            let scripts = entries(scripts, &at, remarks, script);
            hooks.push(Hook { name: hook.clone(), scripts, line: remarks.line(&at) });
        }
    }
    hooks
}

/// The entries of a list, without those that are refused.
fn entries<T>(
    list: Vec<Value>,
    at: &str,
    remarks: &mut Remarks,
    read: impl Fn(&Value, &str, &mut Remarks) -> Option<T>,
) -> Vec<T> {
    let list = list.iter().enumerate();
    list.filter_map(|(number, one)| read(one, &format!("{at}/{number}"), remarks)).collect()
}

fn script(value: &Value, at: &str, remarks: &mut Remarks) -> Option<Script> {
    if !matches!(value, Value::Map(_)) {
        let hook = at.split('/').nth(1).unwrap_or_default();
        remarks.refuse(at, wrong(&format!("a script of {hook}"), value, "a mapping with a location"));
        return None;
    }
    let location = strip(&value.get("location").to_s()).to_owned();
    if location.is_empty() {
        remarks.refuse(
            at,
            "The deployment failed because the application specification file specifies a script with no location \
             value. Specify the location in the hooks section of the AppSpec file, and then try again."
                .to_owned(),
        );
    }
    let timeout = value.get("timeout");
    let timeout_secs = if timeout.is_false() {
        Some(DEFAULT_TIMEOUT_SECS)
    } else {
        let seconds = timeout.to_i().map(Some);
        let seconds =
            seconds.ok_or_else(|| wrong(&format!("the timeout of {location}"), &timeout, "a number of seconds"));
        remarks.found(&format!("{at}/timeout"), seconds)
    };
    if timeout_secs.is_some_and(|seconds| seconds <= 0) {
        remarks.refuse(
            &format!("{at}/timeout"),
            "The deployment failed because an invalid timeout value was provided for a script in the application \
             specification file. Make corrections in the hooks section of the AppSpec file, and then try again."
                .to_owned(),
        );
    }
    let runas = value.get("runas");
    (!location.is_empty()).then(|| Script {
        location,
        timeout_secs: timeout_secs.unwrap_or(DEFAULT_TIMEOUT_SECS),
        runas: (!runas.is_nil()).then(|| strip(&runas.to_s()).to_owned()),
        sudo: !value.get("sudo").is_false(),
        line: remarks.line(at),
    })
}

fn mapping(value: &Value, at: &str, remarks: &mut Remarks) -> Option<Mapping> {
    let (Some(source), Some(destination)) = (value.index("source"), value.index("destination")) else {
        remarks.refuse(at, wrong("an entry of files", value, "a mapping"));
        return None;
    };
    if source.is_nil() {
        remarks.refuse(
            at,
            "The deployment failed because the application specification file specifies a destination file, but no \
             source file. Update the files section of the AppSpec file, and then try again."
                .to_owned(),
        );
    } else if destination.is_nil() {
        let message = format!(
            "The deployment failed because the application specification file specifies only a source file ({}). Add \
             the name of the destination file to the files section of the AppSpec file, and then try again.",
            source.to_s()
        );
        remarks.refuse(at, message);
    } else {
        return Some(Mapping { source, destination, line: remarks.line(at) });
    }
    None
}

/// What Ruby's `each` goes through; nothing at all is an empty list.
pub(crate) fn list(value: &Value, place: &str, expected: &str) -> Result<Vec<Value>, String> {
    if value.is_false() {
        return Ok(Vec::new());
    }
    value.each().ok_or_else(|| wrong(place, value, expected))
}

/// What the agent would meet with an error of Ruby's own.
pub(crate) fn wrong(place: &str, found: &Value, expected: &str) -> String {
    let shown = match found {
        Value::Nil => String::new(),
        other => format!(" ({})", other.inspect()),
    };
    format!(
        "The deployment failed because the application specification file is wrong at {place}: it is {}{shown}, where \
         {expected} is expected. Correct it, and then try again.",
        found.kind()
    )
}

/// Ruby's `strip`: ASCII white space, and the null character at the end.
pub(crate) fn strip(text: &str) -> &str {
    let white = |c: char| matches!(c, '\t' | '\n' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\0');
    text.trim_matches(white)
}
