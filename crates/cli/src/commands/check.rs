//! `check`: files, before anybody uploads them. Needs no AWS.

use crate::end::{End, Failure};
use crate::out::Out;
use serde::Serialize;
use std::fmt::Write;
use std::path::Path;
use tagship::settings::Settings;
use tagship::{ServiceRole, counted};
use tagship_appspec::{Report, Severity};

#[derive(Serialize)]
struct Checked {
    file: String,
    problems: Vec<String>,
}

/// The text of a file that a person named.
pub(super) fn read(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))
}

/// A build, as the CodeDeploy agent reads it.
pub(super) fn artifact(out: &Out, file: &Path) -> Result<End, Failure> {
    let report = tagship_appspec::check(file).map_err(|error| Failure::usage(error.to_string()))?;
    out.show(&report, || findings(&report))?;
    Ok(if report.errors() == 0 { End::Fine } else { End::Found })
}

/// What was found, a line for the problem and one for its fix.
pub(super) fn findings(report: &Report) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let severity = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let _ = writeln!(text, "{severity}: {}: {}\n    {}", finding.place, finding.message, finding.fix);
    }
    let (errors, warnings) = (report.errors(), report.warnings());
    let found = format!("{}, {}", counted(errors, "error"), counted(warnings, "warning"));
    let _ = writeln!(text, "{}: {found}", report.archive);
    text
}

/// A service's settings, with the functions' own code.
pub(super) fn settings(out: &Out, file: &Path, service: &str) -> Result<End, Failure> {
    let role = ServiceRole::try_from(service.to_owned()).map_err(Failure::Usage)?;
    let problems = match Settings::parse(&role, read(file)?.trim()) {
        Ok(_) => Vec::new(),
        Err(error) => {
            let mut lines = error.message.split("\n- ");
            let heading = lines.next().unwrap_or_default().to_owned();
            let problems: Vec<String> = lines.map(str::to_owned).collect();
            if problems.is_empty() { vec![heading] } else { problems }
        }
    };
    let checked = Checked { file: file.display().to_string(), problems };
    out.show(&checked, || match &checked.problems[..] {
        [] => format!("{}: nothing is wrong with it.\n", checked.file),
        problems => problems.iter().map(|problem| format!("{}: {problem}\n", checked.file)).collect(),
    })?;
    Ok(if checked.problems.is_empty() { End::Fine } else { End::Found })
}
