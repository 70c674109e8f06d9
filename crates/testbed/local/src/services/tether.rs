//! Becomes another program that doesn't outlive whoever started it, however that ends.

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid};
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is to run.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The process that starts it.
    #[arg(long)]
    parent: i32,
    /// The program.
    program: PathBuf,
    /// Its own arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// The arguments with which this process starts `program` so; the program's own follow them.
pub fn arguments(program: &Path) -> Vec<OsString> {
    ["tether".into(), "--parent".into(), Pid::this().to_string().into(), program.into()].into()
}

/// Becomes the program. Only ever returns why it can't.
pub fn run(args: &Args) -> io::Error {
    // The kernel sends it then; it stays in force when the program is replaced.
    if let Err(error) = prctl::set_pdeathsig(Signal::SIGKILL) {
        return error.into();
    }
    // Too late to be told.
    if getppid() != Pid::from_raw(args.parent) {
        return Errno::ESRCH.into();
    }
    Command::new(&args.program).args(&args.arguments).exec()
}
