//! The `permissions` of an appspec: which of the copied files, and what they get.

use crate::appspec::{Remarks, list, strip, wrong};
use crate::value::Value;

/// What the copies at or under one object get.
///
/// `owner`, `group`, `acls` and `context` are checked as the agent checks them, but not applied: everything on one
/// machine belongs to one user.
#[derive(Clone, Debug, PartialEq)]
pub struct Permission {
    /// A file, or the directory whose content it is about.
    pub object: String,
    /// Names directly in the directory; `**` is everything under it.
    pub pattern: Value,
    /// Names that are left out.
    pub except: Vec<Value>,
    /// `file`, `directory` or both.
    pub types: Vec<String>,
    /// A user's name.
    pub owner: Value,
    /// A group's name.
    pub group: Value,
    /// Three or four octal digits.
    pub mode: Option<String>,
    /// Whether an access list has a default, which only directories may have.
    pub(crate) default_acl: bool,
    /// Whether there is an SELinux context without a range.
    pub(crate) context_without_range: bool,
    /// Where the file says so.
    pub line: Option<u64>,
}

const EVERYTHING: &str = "**";

impl Permission {
    pub(crate) fn read(value: &Value, at: &str, remarks: &mut Remarks) -> Option<Self> {
        if !matches!(value, Value::Map(_)) {
            remarks.refuse(at, wrong("an entry of permissions", value, "a mapping with an object"));
            return None;
        }
        let object = value.get("object");
        let no_object = || {
            "The deployment failed because a permission listed in the application specification file has no object \
             value. Update the permissions section of the AppSpec file, and then try again."
                .to_owned()
        };
        if object.is_nil() {
            remarks.refuse(at, no_object());
        }
        let without = object.is_nil();
        let object = strip(&object.to_s()).to_owned();
        let below = |key: &str| format!("{at}/{key}");
        let pattern = value.get("pattern");
        let except = remarks.found(&below("except"), list(&value.get("except"), "except", "a list of names"));
        let types = remarks.found(&below("type"), types(&value.get("type")));
        let mode = value.get("mode");
        if let Value::Octal(number) = mode {
            let message = format!(
                "permissions of {object}: `mode: 0{number:o}` without quotes is the number {number} to the agent, which \
                 then sets the mode {number} or refuses it; another version of the agent may read it differently. Write \
                 mode: \"{number:04o}\"."
            );
            remarks.warn(&below("mode"), message);
        }
        let mode = if mode.is_nil() { Ok(None) } else { checked_mode(&mode).map(Some) };
        let mode = remarks.found(&below("mode"), mode);
        let default_acl = remarks.found(&below("acls"), acls(&value.get("acls")));
        let context_without_range = remarks.found(&below("context"), context(&value.get("context")));
        if object.is_empty() {
            if !without {
                remarks.refuse(at, no_object());
            }
            return None;
        }
        Some(Self {
            object,
            pattern: if pattern.is_false() { Value::Text(EVERYTHING.into()) } else { pattern },
            except,
            types,
            owner: value.get("owner"),
            group: value.get("group"),
            mode,
            default_acl,
            context_without_range,
            line: remarks.line(at),
        })
    }

    /// Whether it is about files, or about directories.
    pub(crate) fn is_about(&self, kind: &str) -> bool {
        self.types.iter().any(|one| one == kind)
    }

    /// A permission of one file has neither pattern nor exceptions.
    pub(crate) fn check_file(&self) -> Result<(), String> {
        if self.pattern.text() != Some(EVERYTHING) {
            return Err(format!(
                "The deployment failed because the application specification file includes an object ({}) with an \
                 invalid pattern ({}), such as a pattern for a file applied to a directory. Correct the permissions \
                 section of the AppSpec file, and then try again.",
                self.object,
                self.pattern.to_s()
            ));
        }
        if !self.except.is_empty() {
            let except: Vec<_> = self.except.iter().map(Value::inspect).collect();
            return Err(format!(
                "The deployment failed because the except parameter for a pattern in the permissions section ([{}]) for \
                 the object named {} contains an invalid format. Update the AppSpec file, and then try again.",
                except.join(", "),
                self.object
            ));
        }
        Ok(())
    }

    /// A default access list is for directories only.
    pub(crate) fn check_file_acl(&self) -> Result<(), String> {
        if self.default_acl {
            return Err(
                "The deployment failed because the -d parameter has been specified to apply an acl setting to \
                a file. This parameter is supported for directories only. Update the AppSpec file, and then try again."
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// Whether `name`, a path relative to the object, is meant.
    pub(crate) fn covers(&self, name: &str) -> Result<bool, String> {
        let matches = |glob: &Value| {
            let glob = glob.text().ok_or_else(|| wrong("a pattern of permissions", glob, "text"))?;
            // Names directly in the directory only.
            Ok::<_, String>(!name.contains('/') && simple_glob(glob, name))
        };
        if self.pattern.text() != Some(EVERYTHING) && !matches(&self.pattern)? {
            return Ok(false);
        }
        for except in &self.except {
            if matches(except)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// A name against a pattern in which `*` is any text, and nothing else is special.
fn simple_glob(glob: &str, name: &str) -> bool {
    let Some((head, rest)) = glob.split_once('*') else {
        return glob == name;
    };
    name.strip_prefix(head).is_some_and(|name| {
        let tails = name.char_indices().map(|(at, _)| &name[at..]);
        tails.chain([""]).any(|tail| simple_glob(rest, tail))
    })
}

fn types(value: &Value) -> Result<Vec<String>, String> {
    if value.is_false() {
        return Ok(vec!["file".to_owned(), "directory".to_owned()]);
    }
    let each = value.each().ok_or_else(|| wrong("type", value, "a list of file or directory"))?;
    let one = |kind: &Value| match kind.text() {
        Some(kind @ ("file" | "directory")) => Ok(kind.to_owned()),
        // One space is missing in the agent's words; they are meant to be found when searched for.
        _ => Err(format!(
            "The deployment failed because the application specification filespecifies a permission for an object type \
             not supported for permissions ({}). Update the permissions section of the AppSpec file, and then try again.",
            kind.to_s()
        )),
    };
    each.iter().map(one).collect()
}

fn checked_mode(value: &Value) -> Result<String, String> {
    let mode = format!("{:0>3}", value.to_s());
    if mode.chars().count() > 4 {
        return Err(format!(
            "The deployment failed because the length of a permissions mode ({mode}) in the application specification \
             file is invalid. Permissions modes must be between one and four characters long. Update the permissions \
             section of the AppSpec file, and then try again."
        ));
    }
    if let Some(invalid) = mode.chars().find(|c| !('0'..='7').contains(c)) {
        return Err(format!(
            "The deployment failed because the permissions mode ({mode}) in the application specification file contains \
             an invalid character ({invalid}). Update the permissions section of the AppSpec file, and then try again."
        ));
    }
    Ok(mode)
}

/// Checks an access list; whether it has a default entry.
fn acls(value: &Value) -> Result<bool, String> {
    if value.is_nil() {
        return Ok(false);
    }
    let each = value.each().ok_or_else(|| wrong("acls", value, "a list of entries"))?;
    let mut default = false;
    for ace in &each {
        let ace = ace.text().ok_or_else(|| wrong("an entry of acls", ace, "text"))?;
        default |= acl_entry(ace)?;
    }
    Ok(default)
}

/// Checks `[default:][user|group|mask|other]:[name]:permissions`; whether it is a default.
fn acl_entry(ace: &str) -> Result<bool, String> {
    const PROBLEM: &str = "The deployment failed because of a problem with the acls permission settings in the application \
        specification file.";
    let invalid = || format!("{PROBLEM} Invalid acl entry ({ace}).");
    let parts: Vec<_> = if ace.is_empty() { Vec::new() } else { ace.rsplit(':').collect() };
    if !(2..=4).contains(&parts.len()) {
        return Err(invalid());
    }
    let is_default = |part: &str| matches!(part, "d" | "default");
    let mut default = parts.len() == 4;
    if default && !is_default(parts[3]) {
        return Err(invalid());
    }
    let mut kind = None;
    if let Some(part) = parts.get(2) {
        match *part {
            part if is_default(part) && !default => default = true,
            "m" | "mask" => kind = Some("mask"),
            "o" | "other" => kind = Some("other"),
            "g" | "group" => kind = Some("group"),
            "u" | "user" => kind = Some("user"),
            _ => return Err(invalid()),
        }
    }
    let mut name = "";
    match (parts[1], kind) {
        ("m" | "mask", None) => kind = Some("mask"),
        ("m" | "mask", Some(_)) => name = "mask",
        ("o" | "other", None) => kind = Some("other"),
        ("o" | "other", Some(_)) => name = "other",
        (named, _) => name = named,
    }
    let kind = kind.unwrap_or("user");
    if matches!(kind, "mask" | "other") && !name.is_empty() {
        return Err(invalid());
    }
    if !default && kind != "mask" && name.is_empty() {
        return Err(format!(
            "{PROBLEM} Use mode to set the base acl entry ({ace}). Update the permissions section of the AppSpec file, \
             and then try again."
        ));
    }
    let permissions = parts[0];
    let digit = matches!(permissions.as_bytes(), [b'0'..=b'7']);
    match permissions.chars().find(|c| !"rwx-".contains(*c)) {
        Some(other) if !digit => Err(format!(
            "The deployment failed because the access control list (ACL) named {ace} in the application specification \
             file contains an invalid character ({other}). Correct the ACL in the hooks section of the AppSpec file, and \
             then try again."
        )),
        _ => Ok(default),
    }
}

/// Checks an SELinux context; whether it lacks a range.
fn context(value: &Value) -> Result<bool, String> {
    if value.is_nil() {
        return Ok(false);
    }
    let field = |key: &str| value.index(key).ok_or_else(|| wrong("context", value, "a mapping"));
    if field("type")?.is_nil() {
        return Err(format!(
            "The deployment failed because the application specification file specifies an invalid context type ({}). \
             Update the permissions section of the AppSpec file, and then try again.",
            value.inspect()
        ));
    }
    let range = field("range")?;
    if range.is_nil() {
        return Ok(true);
    }
    let range = range.text().ok_or_else(|| wrong("the range of a context", &range, "text"))?;
    check_range(range).map(|()| false)
}

/// Checks `s0[-s1][:c0[.c3][,c5]…]`.
fn check_range(range: &str) -> Result<(), String> {
    let (sensitivity, categories) = halves(range, ':')?;
    let (low, high) = halves(sensitivity, '-')?;
    let number = |level: &str| after(level, 's').ok_or_else(|| format!("invalid sensitivity {level}"));
    let low = number(low)?;
    if high.map(number).transpose()?.is_some_and(|high| high < low) {
        return Err(format!(
            "The deployment failed because of a problem with the SELinux range specified ({range}) for the context \
             parameter in the permissions section of the application specification file. Make corrections in the \
             permissions section of the AppSpec file, and then try again."
        ));
    }
    let category = |name: &str| {
        after(name, 'c').filter(|number| *number <= 1023).ok_or_else(|| format!("invalid category {name}"))
    };
    let mut seen = std::collections::BTreeSet::new();
    // Ruby's split leaves out what is empty at the end.
    for part in categories.unwrap_or_default().trim_end_matches(',').split(',').filter(|_| categories.is_some()) {
        if part.is_empty() && categories.is_some_and(|all| all.trim_matches(',').is_empty()) {
            continue;
        }
        let (low, high) = if part.contains('.') { halves(part, '.')? } else { (part, None) };
        let first = category(low)?;
        let last = high.map(category).transpose()?.unwrap_or(first);
        if last < first {
            return Err(format!("invalid category range {low}.{}", high.unwrap_or_default()));
        }
        if !(first..=last).all(|number| seen.insert(number)) {
            return Err("duplicate categories".to_owned());
        }
    }
    Ok(())
}

/// Around the first `at`, if there is one; neither side may be empty.
fn halves(text: &str, at: char) -> Result<(&str, Option<&str>), String> {
    let (first, second) = text.split_once(at).map_or((text, None), |(first, second)| (first, Some(second)));
    if first.is_empty() || second == Some("") {
        return Err(format!("invalid range part {text}"));
    }
    Ok((first, second))
}

/// The number after a letter.
fn after(text: &str, letter: char) -> Option<u64> {
    let digits = text.strip_prefix(letter)?;
    let all = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    all.then(|| digits.parse().unwrap_or(u64::MAX))
}
