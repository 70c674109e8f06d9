//! Says all that is wrong with an archive at once, before it is uploaded.

mod archive;
mod report;
mod scripts;

pub use report::{Code, Finding, Place, Report, Severity};

use crate::appspec::{AppSpec, BYTE_ORDER_MARK, EVENTS, Mapping, Reading, Remark};
use crate::plan::{Disk, Plan, clean};
use archive::{Found, Unpacked};
use report::Findings;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use zip::ZipArchive;

/// Why an archive couldn't be looked at.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can't be read at all.
    #[error("{} can't be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// The name that the agent looks for.
const APPSPEC: &str = "appspec.yml";

/// The newest figure that AWS's guide to CodePipeline was found to have for artifacts from S3; it has grown over the
/// years, so a larger archive is no error.
const LARGE_BYTES: u64 = 3 << 30;

/// Looks at the archive of a build as CodeDeploy's agent will.
///
/// # Errors
/// Only that the file can't be read. What is no ZIP has a report that says so.
pub fn check(path: &Path) -> Result<Report, Error> {
    let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(unreadable(io::ErrorKind::IsADirectory.into()));
    }
    let bytes = metadata.len();
    let mut report = Report { archive: path.display().to_string(), bytes, ..Report::default() };
    let mut findings = Findings::default();
    if bytes > LARGE_BYTES {
        findings.warning(
            Code::ArchiveLarge,
            Place::default(),
            format!(
                "The archive has {} GB. CodePipeline has a limit for artifacts, and every instance downloads it.",
                bytes >> 30
            ),
            "Look up the limit for artifacts in S3 in CodePipeline's quotas; leave out what the service doesn't need.",
        );
    }
    match ZipArchive::new(BufReader::new(file)) {
        Ok(zip) => contents(zip, &mut report, &mut findings),
        Err(zip::result::ZipError::Io(source)) if source.kind() != io::ErrorKind::UnexpectedEof => {
            return Err(unreadable(source));
        }
        Err(error) => findings.error(
            Code::NotAZip,
            Place::default(),
            format!("The file can't be read as a ZIP: {error}."),
            "Build it with `zip -r`; if it was copied, look whether it has arrived whole. The pipeline takes no tar.",
        ),
    }
    report.findings = findings.sorted();
    Ok(report)
}

fn contents(zip: ZipArchive<BufReader<File>>, report: &mut Report, findings: &mut Findings) {
    let mut archive = Unpacked::of(zip, findings);
    for (_, node) in archive.files() {
        report.files += 1;
        report.unpacked_bytes = report.unpacked_bytes.saturating_add(node.bytes);
    }
    if !matches!(archive.find(APPSPEC), Found::Node(node) if node.kind != archive::Kind::Directory) {
        missing_appspec(&archive, findings);
        return;
    }
    let name = archive.shown(APPSPEC);
    report.appspec = Some(name.clone());
    if let Some(top) = archive.top() {
        findings.warning(
            Code::AppspecNested,
            Place { file: Some(name.clone()), line: None },
            format!(
                "Everything is in the directory {top}. Version 1.8.1 of the agent looks into a lone directory; older ones \
                 don't, and one more name beside it breaks the release."
            ),
            format!("Build the archive from inside: `cd {top} && zip -r ../release.zip .`"),
        );
    }
    let text = match archive.read(APPSPEC) {
        Ok(Some(text)) => text,
        Ok(None) => return,
        Err(error) => return scripts::damaged(name, &error, findings),
    };
    if text.len() as u64 == archive::MOST_READ_BYTES {
        let message = "The appspec has a megabyte or more, and isn't looked at.";
        let place = Place { file: Some(name), line: None };
        findings.error(Code::AppspecLarge, place, message, "Put scripts and data into files of their own.");
        return;
    }
    let text = match text.strip_prefix(BYTE_ORDER_MARK) {
        Some(rest) => {
            findings.error(
                Code::AppspecByteOrderMark,
                Place { file: Some(name.clone()), line: Some(1) },
                "The file begins with a byte order mark, which the agent takes for part of the first key.",
                "Save it as UTF-8 without one.",
            );
            rest
        }
        None => &text,
    };
    let Reading { spec, refusals, repeated } = AppSpec::read(text);
    let place = |line| Place { file: Some(name.clone()), line };
    // A mode without quotes explains why it is refused.
    let (explained, doubtful): (Vec<_>, Vec<_>) =
        spec.warnings.iter().partition(|warning| refusals.iter().any(|refusal| refusal.at == warning.at));
    for Remark { at, line, message } in &refusals {
        let why = explained.iter().find(|warning| warning.at == *at).map(|warning| warning.message.as_str());
        let fix = why.unwrap_or("Correct it; nothing is installed before.");
        findings.error(Code::AppspecRefused, place(*line), message, fix);
    }
    for Remark { line, message, .. } in &repeated {
        findings.warning(Code::AppspecKeyTwice, place(*line), message, "Join the two, or remove one.");
    }
    for Remark { line, message, .. } in doubtful {
        findings.warning(Code::ModeUnquoted, place(*line), message, "Put the mode into quotes.");
    }
    unknown_hooks(&spec, &place, findings);
    scripts::check(&spec, &name, &mut archive, findings);
    installation(&spec, refusals.is_empty(), &archive, &place, findings);
}

fn missing_appspec(archive: &Unpacked, findings: &mut Findings) {
    let is_appspec = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or_default().to_lowercase();
        matches!(&*name, "appspec.yml" | "appspec.yaml")
    };
    let others = archive.files().map(|(path, _)| path).filter(|path| is_appspec(path));
    let nearest = others.min_by_key(|path| path.matches('/').count());
    let expected = archive.shown(APPSPEC);
    let (file, message, fix) = match nearest.map(|path| (path, path.rsplit_once('/'))) {
        None => (
            None,
            "There is no appspec.yml in the archive. The agent refuses it.".to_owned(),
            "Add an appspec.yml at the top: `version: 0.0`, `os: linux`, and what is copied and run.".to_owned(),
        ),
        Some((path, Some((directory, _)))) if Some(directory) != archive.top() => (
            Some(path),
            format!("The agent looks for {APPSPEC} at the top of the archive, and this one is in {directory}."),
            format!("Build the archive from inside: `cd {directory} && zip -r ../release.zip .`"),
        ),
        Some((path, _)) => (
            Some(path),
            format!(
                "The agent looks for {expected}, in small letters and with .yml: its hooks don't find another name."
            ),
            format!("Rename it to {APPSPEC}."),
        ),
    };
    findings.error(Code::AppspecMissing, Place { file: file.map(str::to_owned), line: None }, message, fix);
}

fn unknown_hooks(spec: &AppSpec, place: &impl Fn(Option<u64>) -> Place, findings: &mut Findings) {
    for hook in spec.unknown_hooks() {
        let name = hook.name.to_s();
        let fix = match closest(&name, EVENTS) {
            Some(closest) => format!("Did you mean {closest}?"),
            None => format!("Name one of {}.", scripts::RUN_SCRIPTS.join(", ")),
        };
        let message = format!("No deployment has a lifecycle event {name}. The agent refuses the whole file for it.");
        findings.error(Code::HookUnknown, place(hook.line), message, fix);
    }
}

/// What the agent's installer would say, on an instance that has nothing yet.
fn installation(
    spec: &AppSpec,
    complete: bool,
    archive: &Unpacked,
    place: &impl Fn(Option<u64>) -> Place,
    findings: &mut Findings,
) {
    /// An instance just launched has its system, but nothing of the service.
    struct Empty;
    impl Disk for Empty {
        fn exists(&self, path: &str) -> bool {
            path == "/"
        }
        fn is_directory(&self, path: &str) -> bool {
            path == "/"
        }
    }
    let mut there = spec.clone();
    there.files.retain(|mapping| is_there(mapping, archive, place, findings));
    let plan = Plan::of(&there, archive, &Empty, "DISALLOW");
    for Remark { line, message, .. } in &plan.refusals {
        findings.error(
            Code::InstallRefused,
            place(*line),
            message,
            "Correct it; the agent installs nothing else either.",
        );
    }
    // What isn't copied can't be permitted, and has its error.
    if complete && plan.refusals.is_empty() && there.files.len() == spec.files.len() {
        for Remark { line, message, .. } in &plan.unused {
            let fix = "Name a destination of `files`, or what is below it, as an absolute path of the instance.";
            findings.warning(Code::PermissionUnused, place(*line), message, fix);
        }
    }
}

/// Whether the source of a mapping is in the archive; the rest is left to the plan.
fn is_there(
    mapping: &Mapping,
    archive: &Unpacked,
    place: &impl Fn(Option<u64>) -> Place,
    findings: &mut Findings,
) -> bool {
    let Some(source) = mapping.source.text() else {
        return true;
    };
    let cleaned = clean(source);
    if cleaned.is_empty() || !matches!(archive.find(&cleaned), Found::Nothing) {
        return true;
    }
    let message = format!("`source: {source}` isn't in the archive, and the installation fails there.");
    findings.error(Code::SourceMissing, place(mapping.line), message, in_archive(&cleaned, archive));
    false
}

/// What to do about a path that isn't in the archive.
fn in_archive(path: &str, archive: &Unpacked) -> String {
    let prefix = archive.shown("");
    let names: Vec<_> = archive.files().filter_map(|(name, _)| name.strip_prefix(&*prefix)).collect();
    // A suggestion isn't worth minutes with a hundred thousand files.
    let near = if names.len() <= 10_000 { closest(path, names) } else { None };
    match near {
        Some(closest) => format!("Add it to the archive, or correct the name; {closest} is there."),
        None => "Add it to the archive, or correct the name. Paths begin at the appspec's directory.".to_owned(),
    }
}

/// The candidate most like `name`, if one is like it at all.
fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Below, the two have little in common but their length.
    const ALIKE: f64 = 0.6;
    let name = name.to_ascii_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::normalized_damerau_levenshtein(&name, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}
