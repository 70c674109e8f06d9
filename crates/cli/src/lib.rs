//! The command `tagship`, for those who release, approve and operate.
//!
//! It changes no instance, switch, name, deployment or hold: it asks CodePipeline, uploads to S3, writes settings, or has
//! a function act. What it shows comes from the core's read model, what it reads from the functions' own readers.

mod args;
pub use args::Cli;

mod ask;
mod commands;
mod end;
mod out;
mod page;
mod service;
mod table;
mod words;

/// This command's own.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

use end::{End, Failure};
use out::Out;
use std::process::ExitCode;

/// Runs a command to its end, and says how it ended (docs/CLI.md has the codes).
pub fn run(cli: Cli) -> ExitCode {
    let out = Out::new(cli.output);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return out.fail(&Failure::usage(format!("no runtime: {error}"))),
    };
    match runtime.block_on(commands::run(cli, &out)) {
        Ok(end) => end.into(),
        // Who reads may stop reading: that is no failure.
        Err(Failure::Gone) => End::Fine.into(),
        Err(failure) => out.fail(&failure),
    }
}
