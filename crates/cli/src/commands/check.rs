//! `check`: files, before anybody uploads them. Needs no AWS.

use crate::end::{End, Failure};
use crate::out::Out;
use serde::Serialize;
use std::path::Path;
use tagship::ServiceRole;
use tagship::settings::Settings;

#[derive(Serialize)]
struct Checked {
    file: String,
    problems: Vec<String>,
}

/// The text of a file that a person named.
pub(super) fn read(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))
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
