//! The scripts of hooks: whether they are there, and whether Linux can run them.

use super::archive::{Found, Kind, Node, Unpacked};
use super::report::{Code, Findings, Place};
use crate::appspec::{AppSpec, BYTE_ORDER_MARK, DEFAULT_TIMEOUT_SECS, SHELL_CHARACTERS, Script};
use crate::plan::clean;
use std::collections::BTreeSet;

/// The lifecycle events that run a revision's scripts in a deployment that leaves the balancer alone, in order.
pub(super) const RUN_SCRIPTS: [&str; 5] =
    ["ApplicationStop", "BeforeInstall", "AfterInstall", "ApplicationStart", "ValidateService"];

/// How long CodeDeploy waits for a lifecycle event, whatever an appspec says.
const LONGEST_EVENT_SECS: i128 = 3600;

pub(super) fn check(spec: &AppSpec, appspec: &str, archive: &mut Unpacked, findings: &mut Findings) {
    let at = |line| Place { file: Some(appspec.to_owned()), line };
    let mut looked_at = BTreeSet::new();
    for hook in &spec.hooks {
        let event = hook.name.to_s();
        if spec.unknown_hooks().any(|unknown| unknown.name == hook.name) {
            // It has its error.
        } else if !RUN_SCRIPTS.contains(&&*event) && !hook.scripts.is_empty() {
            let message = match &*event {
                "Install" | "DownloadBundle" => format!("{event} is the agent's own, and runs no scripts."),
                _ => format!("{event} runs no scripts in a release: CodeDeploy's control of the balancer is off."),
            };
            let fix = format!("Use one of {}.", RUN_SCRIPTS.join(", "));
            findings.warning(Code::HookNeverRuns, at(hook.line), message, fix);
        } else {
            together(&event, &hook.scripts, &at(hook.line), findings);
        }
        for script in &hook.scripts {
            one(script, &at(script.line), archive, &mut looked_at, findings);
        }
    }
    others(archive, &looked_at, findings);
}

/// Only timeouts that somebody has written: two scripts without one are common, and meant to be quick.
fn together(event: &str, scripts: &[Script], place: &Place, findings: &mut Findings) {
    let written = scripts.iter().map(|script| script.timeout_secs);
    let written: Vec<_> = written.filter(|secs| *secs != DEFAULT_TIMEOUT_SECS && *secs <= LONGEST_EVENT_SECS).collect();
    let sum = written.iter().fold(0, |sum: i128, secs| sum.saturating_add(*secs));
    if sum > LONGEST_EVENT_SECS {
        let message = format!(
            "The scripts of {event} may take {sum} seconds together. CodeDeploy gives a lifecycle event \
             {LONGEST_EVENT_SECS}, whatever an appspec says."
        );
        findings.warning(Code::TimeoutsTooLong, place.clone(), message, "Shorten the timeouts.");
    }
}

fn one(
    script: &Script,
    place: &Place,
    archive: &mut Unpacked,
    looked_at: &mut BTreeSet<String>,
    findings: &mut Findings,
) {
    let location = &script.location;
    let secs = script.timeout_secs;
    if secs > LONGEST_EVENT_SECS {
        let message = format!(
            "{location} has a timeout of {secs} seconds. CodeDeploy gives a lifecycle event {LONGEST_EVENT_SECS}, \
             whatever an appspec says, and fails it then."
        );
        let fix = format!(
            "Write {LONGEST_EVENT_SECS} or less. Let the script start what takes longer, and go on without it."
        );
        findings.error(Code::TimeoutTooLong, place.clone(), message, fix);
    }
    let runas = script.runas.as_deref();
    let known = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if let Some(user) = runas
        && (user.starts_with(|c: char| c.is_ascii_digit() || c == '-') || !user.chars().all(known))
    {
        let message = format!("`runas: {user}` is no name of a user. It becomes a part of `su {user} -c …`.");
        findings.error(
            Code::RunasName,
            place.clone(),
            message,
            "Name a user that is on the image; numbers are no names.",
        );
    }
    let path = clean(location);
    let (name, mode) = match archive.find(&path) {
        Found::Node(Node { kind: Kind::Directory, .. }) => {
            let message = format!("{location} is a directory, which can't be run.");
            findings.error(Code::ScriptMissing, place.clone(), message, "Name a script in it.");
            return;
        }
        Found::Node(node) => (archive.shown(&path), node.mode),
        Found::Outside => return,
        Found::Nothing => {
            let first = location.split_ascii_whitespace().next().unwrap_or_default();
            let message = format!("{location} isn't in the archive. The deployment fails when the hook is due.");
            let fix = if first != location && matches!(archive.find(first), Found::Node(_)) {
                format!("A location has no arguments: name {first} alone, and let a script of its own pass them.")
            } else {
                super::in_archive(&path, archive)
            };
            findings.error(Code::ScriptMissing, place.clone(), message, fix);
            return;
        }
    };
    let special = |c: char| c.is_whitespace() || SHELL_CHARACTERS.contains(&c);
    if let Some(special) = location.chars().find(|c| special(*c)) {
        let message = format!("{location} has {special:?} in it, which the agent's shell takes for its own.");
        findings.error(Code::ScriptName, place.clone(), message, "Rename it: letters, digits, `_`, `-`, `.` and `/`.");
    }
    let file = Place { file: Some(name.clone()), line: None };
    let unreadable = |mode: &u32| mode & 0o004 == 0;
    if let (Some(user), Some(mode)) = (runas.filter(|user| *user != "root"), mode.filter(unreadable)) {
        let message =
            format!("{user}, who is to run it, may not read it: its mode is {mode:03o}, and it belongs to root.");
        let fix = format!("Give it the mode 755 before it is packed: `chmod 755 {path}`.");
        findings.error(Code::ScriptUnreadable, file.clone(), message, fix);
    }
    if !looked_at.insert(name.clone()) {
        return;
    }
    executable(mode, &path, file, findings);
    match archive.read(&path) {
        Ok(text) => text.iter().for_each(|text| content(text, &name, findings)),
        Err(error) => damaged(name, &error, findings),
    }
}

fn executable(mode: Option<u32>, path: &str, place: Place, findings: &mut Findings) {
    let why = match mode {
        Some(mode) if mode & 0o111 != 0 => return,
        Some(mode) => format!("Its mode is {mode:03o}: it isn't executable."),
        None => "The archive says nothing about modes, as those built on Windows.".to_owned(),
    };
    let message =
        format!("{why} Version 1.8.1 of the agent makes it so itself; nothing does that for what the script calls.");
    let fix = format!("`chmod 755 {path}` before it is packed; in Git, `git update-index --chmod=+x {path}`.");
    findings.warning(Code::ScriptNotExecutable, place, message, fix);
}

const LINE_ENDS: &str = "Save it with LF: `dos2unix`, or `*.sh text eol=lf` in .gitattributes.";

/// What Linux makes of a script's text. Programs have no text.
fn content(text: &[u8], name: &str, findings: &mut Findings) {
    let place = |line| Place { file: Some(name.to_owned()), line };
    if text.starts_with(b"\x7fELF") {
        return;
    }
    let (text, marked) = match text.strip_prefix(BYTE_ORDER_MARK) {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    if marked {
        let message = "The script begins with a byte order mark, so that its #! isn't seen.";
        findings.error(Code::ScriptByteOrderMark, place(Some(1)), message, "Save it as UTF-8 without one.");
    }
    if !text.starts_with(b"#!") {
        let message =
            "The first line isn't `#!` and a program. The agent runs the script with sh, whatever it is written for.";
        findings.warning(
            Code::ScriptInterpreter,
            place(Some(1)),
            message,
            "Begin it with `#!/bin/bash`, or what it is for.",
        );
    }
    if let Some(line) = windows_line(text) {
        let message = "The script has the line ends of Windows, CRLF. Linux takes the CR for a part of each command, and of \
                       the program's name after #!.";
        findings.error(Code::ScriptLineEnds, place(Some(line)), message, LINE_ENDS);
    }
}

/// The first line that ends as on Windows.
fn windows_line(text: &[u8]) -> Option<u64> {
    let at = text.windows(2).position(|two| two == b"\r\n")?;
    Some(text[..at].iter().filter(|byte| **byte == b'\n').count() as u64 + 1)
}

/// Shell scripts that no hook names; what the hooks call, as a rule.
fn others(archive: &mut Unpacked, looked_at: &BTreeSet<String>, findings: &mut Findings) {
    let prefix = archive.shown("");
    let is_script = |path: &&str| path.ends_with(".sh") && !looked_at.contains(*path);
    let scripts: Vec<_> = archive.files().map(|(path, _)| path).filter(is_script).map(str::to_owned).collect();
    for name in scripts {
        let Some(path) = name.strip_prefix(&*prefix) else {
            continue;
        };
        match archive.read(path) {
            Ok(text) => {
                if let Some(line) = text.as_deref().and_then(windows_line) {
                    let place = Place { file: Some(name), line: Some(line) };
                    let message =
                        "The script has the line ends of Windows, CRLF. No hook names it, but what runs it fails.";
                    findings.warning(Code::ScriptLineEnds, place, message, LINE_ENDS);
                }
            }
            Err(error) => damaged(name, &error, findings),
        }
    }
}

pub(super) fn damaged(name: String, error: &str, findings: &mut Findings) {
    let place = Place { file: Some(name), line: None };
    let message = format!("The entry can't be unpacked: {error}.");
    findings.error(Code::EntryDamaged, place, message, "Build the archive again.");
}
