//! `tagship-local`: a whole pipeline on one machine.

use clap::{Parser, Subcommand};
use std::io::{self, Write};
use std::process::ExitCode;
use tagship_local::commands::{bench, demo, up};
use tagship_local::{agent, hook, tether};
use tokio::signal::unix::{SignalKind, signal};

#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Plays a story of releases under constant load; fails if a request is lost or anything is left behind.
    Demo(demo::Args),
    /// Brings everything up for your own artifacts, prints what to try, and tells what happens.
    Up,
    /// Measures the functions' release binaries and the calls that they make; fails if a limit is missed.
    Bench(bench::Args),
    /// Plays CodeDeploy's agent on one instance; started by the instances, not by people.
    #[command(hide = true)]
    Agent(agent::Args),
    /// Plays a Lambda function that is a release's hook; started by the Lambda host, not by people.
    #[command(hide = true)]
    Hook,
    /// Becomes another program that is killed when this one's parent ends; the functions are started so.
    #[command(hide = true)]
    Tether(tether::Args),
}

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::WARN).init();
    let command = Cli::parse().command;
    // A fleet has many agents: each is one thread.
    let mut builder = match &command {
        Command::Agent(_) | Command::Hook | Command::Tether(_) => tokio::runtime::Builder::new_current_thread(),
        Command::Demo(_) | Command::Up | Command::Bench(_) => tokio::runtime::Builder::new_multi_thread(),
    };
    let ended = builder.enable_all().build().map_err(Into::into).and_then(|runtime| runtime.block_on(run(command)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tagship-local: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the command. Asked to end, it ends as it would by itself: everything that was started is dropped.
async fn run(command: Command) -> Result<(), Box<dyn std::error::Error>> {
    match command {
        Command::Agent(args) => Ok(agent::run(args).await?),
        Command::Hook => Ok(hook::run().await?),
        Command::Tether(args) => Err(tether::run(&args).into()),
        Command::Demo(args) => tokio::select! {
            ended = demo::run(args) => Ok(ended?),
            asked = asked_to_end() => Err(format!("the demo was interrupted by {}", asked?).into()),
        },
        Command::Up => tokio::select! {
            ended = up::run() => Ok(ended?),
            asked = asked_to_end() => {
                // The reader may be gone; that is no reason to fail.
                let _ = writeln!(io::stdout(), "\n{}: ending every process …", asked?);
                Ok(())
            }
        },
        Command::Bench(args) => tokio::select! {
            ended = bench::run(args) => Ok(ended?),
            asked = asked_to_end() => Err(format!("the bench was interrupted by {}", asked?).into()),
        },
    }
}

/// Ctrl-C, an ordinary `kill`, or the terminal's end.
async fn asked_to_end() -> io::Result<&'static str> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    Ok(tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
        _ = hang_up.recv() => "SIGHUP",
    })
}
