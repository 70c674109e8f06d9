//! The page of a cloud on this machine: `tagship dashboard`, run as a process beside it.

use crate::local::{Local, command};
use crate::services::tether;
use console::Term;
use serde::Deserialize;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use tagship_cloud::setup::ops_environment;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// It runs until it is dropped.
pub(super) struct Page {
    _process: Child,
    /// The file that opens it, once.
    pub(super) file: PathBuf,
    /// Where it is.
    pub(super) address: String,
}

#[derive(Deserialize)]
struct Told {
    address: String,
    file: PathBuf,
}

/// Serves it, and opens it in the browser of whoever sits here.
pub(super) async fn serve(local: &Local) -> io::Result<Page> {
    let program = command().map_err(io::Error::other)?;
    let mut process = Command::new(program.with_file_name("tagship-local"))
        .args(tether::arguments(&program))
        .args(["dashboard", "--act", "--no-open", "--output", "json"])
        .env_remove("AWS_PROFILE")
        // Its file goes with the cloud, however both end.
        .env("TMPDIR", local.dir.path())
        .envs(ops_environment(&local.gateway.url()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut line = String::new();
    if let Some(output) = process.stdout.take() {
        BufReader::new(output).read_line(&mut line).await?;
    }
    let told: Told = serde_json::from_str(&line).map_err(|_| io::Error::other("`tagship dashboard` ended at once"))?;
    let screen = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    if screen && Term::stdout().is_term() {
        // Where no browser can be started, the file is there still.
        let _ = open::that_detached(&told.file);
    }
    Ok(Page { _process: process, file: told.file, address: told.address })
}
