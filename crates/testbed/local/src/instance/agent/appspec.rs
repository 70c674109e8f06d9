//! Reads `appspec.yml`, and refuses what CodeDeploy's agent 1.8.1 refuses, in its words.
//!
//! The rules are those of `application_specification/*.rb` in aws/aws-codedeploy-agent. Where the agent has words of its
//! own for a mistake, they are used; where Ruby would only say which method is missing, the mistake is named instead.

use super::permission::Permission;
use super::value::Value;
use super::yaml;
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
    pub hooks: Vec<(Value, Vec<Script>)>,
    /// What to do with files that are there already: it outranks what the deployment says.
    pub file_exists_behavior: Option<String>,
    /// What is accepted but surely not meant.
    pub warnings: Vec<String>,
}

/// A file or directory of the revision and the directory that it goes to, as Ruby reads them: that both are text shows
/// only when they are used.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapping {
    /// In the revision.
    pub source: Value,
    /// On the instance.
    pub destination: Value,
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
}

impl Script {
    /// How long it may take.
    pub(super) fn timeout(&self) -> Duration {
        // A century is as good as for ever, and no clock overflows.
        Duration::from_secs(u64::try_from(self.timeout_secs).unwrap_or(u64::MAX).min(100 * 365 * 86_400))
    }
}

/// The agent's limit for a script that names none.
const DEFAULT_TIMEOUT_SECS: i128 = 3600;
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

impl AppSpec {
    /// Reads the file.
    ///
    /// # Errors
    /// What the agent would report.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        Self::read(text).map_err(|error| {
            if text.starts_with(BYTE_ORDER_MARK) {
                format!(
                    "{error} (The file begins with a byte order mark, which the agent takes for part of the first line: \
                     save it as UTF-8 without one.)"
                )
            } else {
                error
            }
        })
    }

    fn read(text: &[u8]) -> Result<Self, String> {
        let top = yaml::read(text)?.unwrap_or(Value::Nil);
        if top.is_false() {
            return Err("The deployment failed because the application specification file was empty. Make sure your \
                AppSpec file defines at minimum the 'version' and 'os' properties."
                .to_owned());
        }
        let field = |key: &str| top.index(key).ok_or_else(|| wrong("the whole file", &top, "a mapping"));
        let version = field("version")?;
        if !matches!(version, Value::Int(0) | Value::Octal(0)) && version != Value::Float(0.0) {
            return Err(format!(
                "The deployment failed because an invalid version value ({}) was entered in the application \
                 specification file. Make sure your AppSpec file specifies \"0.0\" as the version, and then try again.",
                version.to_s()
            ));
        }
        let os = field("os")?;
        if os.text() != Some("linux") {
            return Err(format!(
                "The deployment failed because the application specification file specifies an unsupported operating \
                 system ({}). Specify either \"linux\" or \"windows\" in the os section of the AppSpec file, and then try again.",
                os.to_s()
            ));
        }
        let mut warnings = Vec::new();
        Ok(Self {
            hooks: hooks(&field("hooks")?)?,
            files: list(&field("files")?, "files", "a list of source and destination")?
                .iter()
                .map(mapping)
                .collect::<Result<_, _>>()?,
            permissions: list(&field("permissions")?, "permissions", "a list of objects")?
                .iter()
                .map(|one| Permission::read(one, &mut warnings))
                .collect::<Result<_, _>>()?,
            file_exists_behavior: file_exists_behavior(&field("file_exists_behavior")?)?,
            warnings,
        })
    }

    /// Refuses hooks of events that no deployment has, as the agent does when it installs.
    ///
    /// # Errors
    /// The agent's words, with the names.
    pub fn check_hooks(&self) -> Result<(), String> {
        let known = |hook: &Value| hook.text().is_some_and(|hook| EVENTS.contains(&hook));
        let unknown: Vec<_> = self.hooks.iter().map(|(hook, _)| hook).filter(|hook| !known(hook)).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = unknown.iter().map(|hook| hook.inspect()).collect();
        Err(format!("appspec.yml file contains unknown lifecycle events: [{}]", names.join(", ")))
    }

    /// The scripts of an event.
    pub fn scripts(&self, event: &str) -> &[Script] {
        let found = self.hooks.iter().find(|(hook, _)| hook.text() == Some(event));
        found.map_or(&[], |(_, scripts)| scripts)
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

fn hooks(value: &Value) -> Result<Vec<(Value, Vec<Script>)>, String> {
    if !value.is_false() && !matches!(value, Value::Map(_)) {
        return Err(wrong("hooks", value, "a mapping of lifecycle events to lists of scripts"));
    }
    let mut hooks = Vec::new();
    for (hook, scripts) in value.pairs() {
        // The agent ignores an empty hook.
        if !scripts.is_false() {
            let name = hook.to_s();
            let scripts = list(scripts, &name, "a list of scripts")?;
            let scripts = scripts.iter().map(|one| script(one, &name)).collect::<Result<_, _>>()?;
            hooks.push((hook.clone(), scripts));
        }
    }
    Ok(hooks)
}

fn script(value: &Value, hook: &str) -> Result<Script, String> {
    if !matches!(value, Value::Map(_)) {
        return Err(wrong(&format!("a script of {hook}"), value, "a mapping with a location"));
    }
    let location = strip(&value.get("location").to_s()).to_owned();
    if location.is_empty() {
        return Err(
            "The deployment failed because the application specification file specifies a script with no location \
            value. Specify the location in the hooks section of the AppSpec file, and then try again."
                .to_owned(),
        );
    }
    let timeout = value.get("timeout");
    let timeout_secs = if timeout.is_false() {
        DEFAULT_TIMEOUT_SECS
    } else {
        timeout.to_i().ok_or_else(|| wrong(&format!("the timeout of {location}"), &timeout, "a number of seconds"))?
    };
    if timeout_secs <= 0 {
        return Err(
            "The deployment failed because an invalid timeout value was provided for a script in the application \
            specification file. Make corrections in the hooks section of the AppSpec file, and then try again."
                .to_owned(),
        );
    }
    let runas = value.get("runas");
    Ok(Script {
        location,
        timeout_secs,
        runas: (!runas.is_nil()).then(|| strip(&runas.to_s()).to_owned()),
        sudo: !value.get("sudo").is_false(),
    })
}

fn mapping(value: &Value) -> Result<Mapping, String> {
    let field = |key: &str| value.index(key).ok_or_else(|| wrong("an entry of files", value, "a mapping"));
    let (source, destination) = (field("source")?, field("destination")?);
    if source.is_nil() {
        return Err(
            "The deployment failed because the application specification file specifies a destination file, but \
            no source file. Update the files section of the AppSpec file, and then try again."
                .to_owned(),
        );
    }
    if destination.is_nil() {
        return Err(format!(
            "The deployment failed because the application specification file specifies only a source file ({}). Add \
             the name of the destination file to the files section of the AppSpec file, and then try again.",
            source.to_s()
        ));
    }
    Ok(Mapping { source, destination })
}

/// What Ruby's `each` goes through; nothing at all is an empty list.
pub(super) fn list(value: &Value, place: &str, expected: &str) -> Result<Vec<Value>, String> {
    if value.is_false() {
        return Ok(Vec::new());
    }
    value.each().ok_or_else(|| wrong(place, value, expected))
}

/// What the agent would meet with an error of Ruby's own.
pub(super) fn wrong(place: &str, found: &Value, expected: &str) -> String {
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
pub(super) fn strip(text: &str) -> &str {
    let white = |c: char| matches!(c, '\t' | '\n' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\0');
    text.trim_matches(white)
}
