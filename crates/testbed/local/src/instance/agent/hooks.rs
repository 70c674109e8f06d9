//! Runs the scripts of one lifecycle event.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use tagship_appspec::{SHELL_CHARACTERS, Script};
use tagship_emulator::deployment::Diagnostics;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

/// What a report carries of the scripts' output.
const LOG_TAIL_BYTES: usize = 2048;

const SCRIPT_MISSING: u8 = 1;
const SCRIPT_NOT_EXECUTABLE: u8 = 2;
const SCRIPT_TIMED_OUT: u8 = 3;
const SCRIPT_FAILED: u8 = 4;
const OUTPUTS_LEFT_OPEN: u8 = 6;

/// The output so far: its tail for the report, all of it in a file.
struct Log {
    tail: VecDeque<String>,
    file: Option<File>,
}

impl Log {
    fn line(&mut self, line: String) {
        if let Some(file) = &mut self.file {
            // A full disk must not fail a deployment.
            let _ = writeln!(file, "{line}");
        }
        self.tail.push_back(line + "\n");
        while self.tail.iter().map(String::len).sum::<usize>() > LOG_TAIL_BYTES {
            self.tail.pop_front();
        }
    }
}

/// Runs the scripts one after the other, with `env`, from the unpacked revision in `archive`.
///
/// What they start and leave running lives on, if it has let go of their output.
pub(super) async fn run(
    event: &str,
    scripts: &[Script],
    archive: &Path,
    logs: &Path,
    env: &[(&str, String)],
) -> Result<(), Diagnostics> {
    let file = fs::create_dir_all(logs)
        .and_then(|()| File::options().create(true).append(true).open(logs.join("scripts.log")));
    let log = Arc::new(Mutex::new(Log { tail: VecDeque::new(), file: file.ok() }));
    write(&log, format!("LifecycleEvent - {event}"));
    for script in scripts {
        write(&log, format!("Script - {}", script.location));
        if let Err((error_code, message)) = one(script, archive, env, &log).await {
            let log = log.lock().unwrap_or_else(PoisonError::into_inner);
            return Err(Diagnostics {
                error_code,
                script_name: script.location.clone(),
                message,
                log: log.tail.iter().map(String::as_str).collect(),
            });
        }
    }
    Ok(())
}

async fn one(
    script: &Script,
    archive: &Path,
    env: &[(&str, String)],
    log: &Arc<Mutex<Log>>,
) -> Result<(), (u8, String)> {
    let location = &script.location;
    let path = super::install::under(archive, location);
    let at = format!("Script at specified location: {location}");
    let prefix = match &script.runas {
        Some(user) => format!("{at} run as user {user}"),
        None => at.clone(),
    };
    let metadata = fs::metadata(&path).map_err(|_| {
        let message = format!("Script does not exist at specified location: {}", path.display());
        (SCRIPT_MISSING, message)
    })?;
    let mode = metadata.permissions().mode();
    if mode & 0o100 == 0 {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode | 0o111)).map_err(|_| {
            let message = format!("Unable to set script at specified location: {location} as executable");
            (SCRIPT_NOT_EXECUTABLE, message)
        })?;
    }
    let hint = hint(location, &path);
    let failed = |error: std::io::Error| {
        let error = ruby_error(&error, &path);
        (SCRIPT_FAILED, format!("{prefix} failed with error {error}{hint}"))
    };
    let mut child = spawn(script, archive, env).map_err(failed)?;
    let group = child.id();
    let outputs = [
        child.stdout.take().map(|out| tokio::spawn(copy(out, "[stdout]", log.clone()))),
        child.stderr.take().map(|out| tokio::spawn(copy(out, "[stderr]", log.clone()))),
    ];
    let deadline = tokio::time::Instant::now() + script.timeout();
    let Ok(status) = tokio::time::timeout_at(deadline, child.wait()).await else {
        if let Some(group) = group.and_then(|id| i32::try_from(id).ok()) {
            // The whole group, as the agent does; it may be gone by now.
            let group = nix::unistd::Pid::from_raw(group);
            let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGTERM);
        }
        let secs = script.timeout_secs;
        let message = format!("{at} failed to complete in {secs} seconds");
        return Err((SCRIPT_TIMED_OUT, message));
    };
    for (output, name) in outputs.into_iter().zip(["STDOUT", "STDERR"]) {
        if let Some(output) = output
            && tokio::time::timeout_at(deadline, output).await.is_err()
        {
            return Err((OUTPUTS_LEFT_OPEN, format!("{at} failed to close {name}")));
        }
    }
    match status.map_err(failed)?.code() {
        Some(0) => Ok(()),
        // A script that a signal ended has no exit code; Ruby shows it as an empty string.
        code => {
            let code = code.map(|code| code.to_string()).unwrap_or_default();
            Err((SCRIPT_FAILED, format!("{prefix} failed with exit code {code}{hint}")))
        }
    }
}

/// Starts a script as the agent does: `runas` is `su USER -c PATH`, so a shell reads the path; a path without characters
/// that a shell knows is started without one, word by word.
fn spawn(script: &Script, archive: &Path, env: &[(&str, String)]) -> std::io::Result<Child> {
    let start = |mut command: Command| {
        command
            .envs(env.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
    };
    let location = &script.location;
    if script.runas.is_some() || location.contains(SHELL_CHARACTERS) {
        let mut shell = Command::new("/bin/sh");
        // The directory is this machine's, and its name no part of what the agent's shell would read: it is `$0`.
        shell.arg("-c").arg(format!("\"$0\"/{location}")).arg(archive);
        return start(shell);
    }
    let mut words = location.split_ascii_whitespace();
    let path = super::install::under(archive, words.next().unwrap_or_default());
    let mut direct = Command::new(&path);
    direct.args(words.clone());
    match start(direct) {
        // Ruby gives what has no `#!` to a shell.
        Err(error) if error.raw_os_error() == Some(nix::errno::Errno::ENOEXEC as i32) => {
            let mut shell = Command::new("/bin/sh");
            shell.arg(&path).args(words);
            start(shell)
        }
        other => other,
    }
}

/// An error as Ruby words it.
fn ruby_error(error: &std::io::Error, path: &Path) -> String {
    let class = match error.kind() {
        std::io::ErrorKind::NotFound => "Errno::ENOENT",
        std::io::ErrorKind::PermissionDenied => "Errno::EACCES",
        _ => "SystemCallError",
    };
    let path = path.display();
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or_default();
    format!("{class} with message {words} - {path}")
}

/// The likeliest reason why a script fails, if its text shows one.
fn hint(location: &str, path: &Path) -> String {
    let text = fs::read(path).unwrap_or_default();
    if text.starts_with("\u{feff}".as_bytes()) {
        return format!(
            " ({location} begins with a byte order mark, so that its #! is not seen: save it without one.)"
        );
    }
    if text.windows(2).any(|two| two == b"\r\n") {
        return format!(
            " ({location} has the line ends of Windows, CRLF, which Linux takes for a part of each command: save it with \
             LF, for example with `dos2unix` or `*.sh text eol=lf` in .gitattributes.)"
        );
    }
    String::new()
}

async fn copy(output: impl AsyncRead + Unpin, name: &str, log: Arc<Mutex<Log>>) {
    let mut lines = BufReader::new(output).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        write(&log, format!("{name}{}", String::from_utf8_lossy(&line)));
    }
}

fn write(log: &Mutex<Log>, line: String) {
    log.lock().unwrap_or_else(PoisonError::into_inner).line(line);
}
