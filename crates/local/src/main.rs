//! `tagship-local`: a whole pipeline on one machine.

use clap::{Parser, Subcommand};
use tagship_local::agent;

#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Plays CodeDeploy's agent on one instance; started by the instances, not by people.
    #[command(hide = true)]
    Agent(agent::Args),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match Cli::parse().command {
        Command::Agent(args) => agent::run(args).await,
    }
}
