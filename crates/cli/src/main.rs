//! `tagship`: one command for everybody who releases, approves and operates.

use clap::Parser;
use std::process::ExitCode;
use tagship_cli::{Cli, run};

fn main() -> ExitCode {
    run(Cli::parse())
}
