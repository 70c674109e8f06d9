//! What a check of an archive has found, as plain data.

use serde::Serialize;
use std::collections::BTreeMap;

/// All that is worth saying about an archive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Its path, as it was given.
    pub archive: String,
    /// Its size.
    pub bytes: u64,
    /// The size of what is in it, as it says itself.
    pub unpacked_bytes: u64,
    /// How many files are in it.
    pub files: u64,
    /// Which of them is its appspec, if there is one that the agent finds.
    pub appspec: Option<String>,
    /// Errors first; within them, in the order of a deployment.
    pub findings: Vec<Finding>,
}

impl Report {
    /// How many findings are errors.
    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    /// How many findings are warnings.
    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

/// One thing that is wrong, or looks so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Whether a release with this archive fails.
    pub severity: Severity,
    /// What kind of mistake it is; it stays the same when the words change.
    pub code: Code,
    /// Where it is.
    pub place: Place,
    /// What is wrong, and what comes of it.
    pub message: String,
    /// What to do.
    pub fix: String,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A release with this archive fails, or installs something else than what is meant.
    Error,
    /// It may work, but is surely not meant so.
    Warning,
}

/// Where a mistake is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file's name in the archive; nothing if it is about the archive as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line in it, from 1, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
}

impl std::fmt::Display for Place {
    /// `scripts/start.sh:3`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "{file}:{line}"),
            (Some(file), None) => f.write_str(file),
            (None, _) => f.write_str("the archive"),
        }
    }
}

/// The kinds of mistakes. More may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Code {
    /// It can't be read as a ZIP.
    NotAZip,
    /// It may be larger than what CodePipeline takes.
    ArchiveLarge,
    /// An entry's name leads out of the directory that it is unpacked into.
    NameLeaves,
    /// An entry's name begins at the root of the disk.
    NameAbsolute,
    /// An entry's name has `\` between directories.
    NameBackslash,
    /// Two entries have one name, or one is a file where the other has a directory.
    NameTwice,
    /// An entry is below a symbolic link, and would be written where that leads.
    NameThroughLink,
    /// An entry needs a password.
    EntryEncrypted,
    /// An entry is compressed in a way that instances can't undo.
    EntryCompression,
    /// An entry's content is damaged.
    EntryDamaged,
    /// There is no `appspec.yml` where the agent looks for it.
    AppspecMissing,
    /// Everything is in one directory, which this version of the agent sees through.
    AppspecNested,
    /// The appspec is too large to be one.
    AppspecLarge,
    /// The appspec begins with a byte order mark.
    AppspecByteOrderMark,
    /// The agent refuses the appspec.
    AppspecRefused,
    /// A key is there twice, and the first is ignored.
    AppspecKeyTwice,
    /// A mode without quotes isn't read as octal.
    ModeUnquoted,
    /// No deployment has a lifecycle event of a hook's name.
    HookUnknown,
    /// A release has that lifecycle event, but it runs no scripts.
    HookNeverRuns,
    /// A hook's script isn't in the archive.
    ScriptMissing,
    /// The agent can't start a script of such a name.
    ScriptName,
    /// A script isn't executable.
    ScriptNotExecutable,
    /// The user of `runas` can't read the script.
    ScriptUnreadable,
    /// A script begins with a byte order mark.
    ScriptByteOrderMark,
    /// A script has the line ends of Windows.
    ScriptLineEnds,
    /// A script doesn't say what runs it.
    ScriptInterpreter,
    /// `runas` is no user's name.
    RunasName,
    /// A script may take longer than CodeDeploy waits.
    TimeoutTooLong,
    /// An event's scripts together may take longer than CodeDeploy waits.
    TimeoutsTooLong,
    /// `files` names something that isn't in the archive.
    SourceMissing,
    /// The agent refuses to install this.
    InstallRefused,
    /// Permissions of something that isn't installed.
    PermissionUnused,
}

/// More of one kind say nothing new.
const MOST_OF_A_KIND: usize = 20;

/// Collects findings.
#[derive(Default)]
pub(super) struct Findings {
    found: Vec<Finding>,
    counts: BTreeMap<(Severity, Code), usize>,
}

impl Findings {
    pub(super) fn error(&mut self, code: Code, place: Place, message: impl Into<String>, fix: impl Into<String>) {
        self.add(Severity::Error, code, place, message.into(), fix.into());
    }

    pub(super) fn warning(&mut self, code: Code, place: Place, message: impl Into<String>, fix: impl Into<String>) {
        self.add(Severity::Warning, code, place, message.into(), fix.into());
    }

    fn add(&mut self, severity: Severity, code: Code, place: Place, message: String, fix: String) {
        let count = self.counts.entry((severity, code)).or_default();
        *count += 1;
        if *count <= MOST_OF_A_KIND {
            self.found.push(Finding { severity, code, place, message, fix });
        }
    }

    /// Errors first.
    pub(super) fn sorted(self) -> Vec<Finding> {
        let mut found = self.found;
        for ((severity, code), count) in self.counts {
            if count > MOST_OF_A_KIND {
                let message = format!("{} more of the kind just shown.", count - MOST_OF_A_KIND);
                let last = found.iter().rposition(|one| (one.severity, one.code) == (severity, code));
                let at = last.map_or(found.len(), |last| last + 1);
                let fix = "Mend those that are shown, and check again.".to_owned();
                found.insert(at, Finding { severity, code, place: Place::default(), message, fix });
            }
        }
        found.sort_by_key(|finding| finding.severity);
        found
    }
}
