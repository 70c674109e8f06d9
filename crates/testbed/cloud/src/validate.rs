//! Holds recorded requests against AWS's own service models, which come with botocore.

use crate::gateway::Recorder;
use crate::moto;
use std::io;
use std::path::Path;

/// What the validator says of a recording.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// There are requests, and each is as its model has it.
    pub passed: bool,
    /// A line a problem, and the count at the end.
    pub said: String,
}

/// Holds what was recorded against the models; it is written to `file` first.
///
/// # Errors
///
/// The file can't be written, or the validator not be started.
pub async fn recorded(recorder: &Recorder, file: &Path) -> io::Result<Verdict> {
    recorder.write(file)?;
    recording(file).await
}

/// The same for a recording that is written.
///
/// # Errors
///
/// The validator can't be started.
pub async fn recording(file: &Path) -> io::Result<Verdict> {
    let output = moto::python_module("validate_requests").map_err(io::Error::other)?.arg(file).output().await?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Ok(Verdict { passed: output.status.success(), said: said.trim_end().to_owned() })
}
