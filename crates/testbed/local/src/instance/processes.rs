//! Finds and ends every process of an instance, wherever it has moved itself.
//!
//! Groups and sessions can be left (`nohup setsid …`), the environment that a process was started
//! with can't: a mark in it says whose it is.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::time::Duration;

/// The environment variable that carries the mark.
pub const MARK: &str = "TAGSHIP_INSTANCE";

/// The living processes, other than this one, whose mark starts with `prefix`.
pub fn marked(prefix: &str) -> Vec<Pid> {
    let wanted = format!("{MARK}={prefix}").into_bytes();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .map(Pid::from_raw)
        .filter(|pid| *pid != Pid::this())
        .filter(|pid| {
            // Empty for what has ended and is only waited for.
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|entry| entry.starts_with(&wanted))
        })
        .collect()
}

/// Sends a signal to all of them; those that have ended meanwhile don't matter.
pub fn signal(prefix: &str, signal: Signal) {
    for pid in marked(prefix) {
        let _ = kill(pid, signal);
    }
}

/// Asks them to end, waits for `grace`, and kills what is left.
pub async fn end(prefix: &str, grace: Duration) {
    const LOOK: Duration = Duration::from_millis(20);
    signal(prefix, Signal::SIGTERM);
    let deadline = tokio::time::Instant::now() + grace;
    while !marked(prefix).is_empty() && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(LOOK).await;
    }
    kill_all(prefix);
}

/// Kills them now, what they have just started too.
pub fn kill_all(prefix: &str) {
    const ROUNDS: usize = 50;
    for _ in 0..ROUNDS {
        if marked(prefix).is_empty() {
            return;
        }
        signal(prefix, Signal::SIGKILL);
        std::thread::sleep(Duration::from_millis(2));
    }
    tracing::error!(prefix, "processes of an instance could not be killed");
}
