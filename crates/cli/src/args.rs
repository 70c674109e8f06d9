//! What can be typed.

use crate::commands::onboard::Answers;
use crate::out::Format;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use std::path::PathBuf;

/// Releases, approves and operates what tagship deploys to EC2.
#[derive(Debug, Parser)]
#[command(
    name = "tagship",
    version,
    about = "Releases, approves and operates what tagship deploys to EC2",
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub struct Cli {
    /// Text for people, or JSON for programs
    #[arg(long, global = true, value_enum, default_value = "text")]
    pub(crate) output: Format,
    #[command(flatten)]
    pub(crate) access: Access,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Whose account, and which installation in it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "AWS")]
pub(crate) struct Access {
    /// A profile of the AWS configuration
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// The Region of the installation
    #[arg(long, global = true, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// What the names of the functions begin with, where there are several installations
    #[arg(long, global = true, value_name = "PREFIX", default_value = "tagship-", env = "TAGSHIP_PREFIX")]
    pub(crate) prefix: String,
    /// tagship's own bucket, for those who may not read the functions' configuration
    #[arg(long, global = true, value_name = "BUCKET", env = "TAGSHIP_BUCKET")]
    pub(crate) bucket: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what is live, what is under way, and for whom it waits
    Status {
        /// The service role; all services without it
        service: Option<String>,
        /// Look again until Ctrl-C
        #[arg(long)]
        watch: bool,
    },
    /// Show past releases: who answered, how they ended and why, how long each action took
    History {
        /// The service role
        service: String,
        /// How many
        #[arg(short, long, default_value_t = 10, value_parser = clap::value_parser!(u8).range(1..=50))]
        number: u8,
    },
    /// Tell the story of a release: what each action said, what the functions decided, what is left behind
    Why {
        /// The service role
        service: String,
        /// The release, or its beginning; the newest without it
        release: Option<String>,
    },
    /// Tell what the next release would do, with today's settings in today's world
    Plan {
        /// The service role
        service: String,
    },
    /// Check what a release needs before there is one, each problem with what to do
    Doctor {
        /// The service role
        service: String,
    },
    /// Write the files of a new service, and say which commands deploy them; deploys nothing itself
    Onboard {
        /// The name of its service role
        service: String,
        #[command(flatten)]
        answers: Box<Answers>,
        /// A JSON file with answers, each named like its flag; a flag wins over the file
        #[arg(long = "answers", value_name = "FILE", help_heading = "Files")]
        file: Option<PathBuf>,
        /// The directory to write into
        #[arg(long, value_name = "DIR", default_value = ".", help_heading = "Files")]
        into: PathBuf,
        /// Write over files that are there
        #[arg(long, help_heading = "Files")]
        overwrite: bool,
    },
    /// Serve a page on this machine that shows all of it, and updates by itself
    Dashboard(Dashboard),
    /// Check, upload and follow a build
    Release {
        /// The service role
        service: String,
        /// The build: a ZIP with an appspec.yml
        artifact: PathBuf,
        /// The build's version, for people
        #[arg(long, value_name = "VERSION")]
        build_version: Option<String>,
        /// The commit that it was made from
        #[arg(long)]
        commit: Option<String>,
        /// Who made it
        #[arg(long)]
        author: Option<String>,
        /// Don't follow it
        #[arg(long)]
        detach: bool,
        #[command(flatten)]
        sure: Sure,
    },
    /// Approve the open approval
    Approve(Answer),
    /// Reject the open approval
    Reject(Answer),
    /// Get back to an earlier build: reject, stop, or release it again
    Rollback {
        /// The service role
        service: String,
        /// The release whose build is wanted; the one before the live one without it
        #[arg(long, value_name = "RELEASE")]
        to: Option<String>,
        /// Keep the next upload from undoing it
        #[arg(long)]
        freeze: bool,
        /// Don't follow it
        #[arg(long)]
        detach: bool,
        #[command(flatten)]
        sure: Sure,
    },
    /// End the release that is under way
    Stop {
        /// The service role
        service: String,
        #[command(flatten)]
        words: Words,
        #[command(flatten)]
        sure: Sure,
    },
    /// Let no release in
    Freeze {
        /// The service role
        service: String,
        #[command(flatten)]
        words: Words,
        #[command(flatten)]
        sure: Sure,
    },
    /// Let releases in again
    Unfreeze {
        /// The service role
        service: String,
        #[command(flatten)]
        sure: Sure,
    },
    /// Show and change one service's settings
    #[command(subcommand)]
    Settings(Settings),
    /// Check a file before anybody uploads it; needs no AWS
    #[command(subcommand)]
    Check(Check),
    /// Write the JSON Schema of what every command writes with --output json; needs no AWS
    Schema,
    /// Write the completions of a shell
    Completions {
        /// Which
        shell: Shell,
    },
}

/// Whether to ask.
#[derive(Debug, Args)]
pub(crate) struct Sure {
    /// Don't ask
    #[arg(short, long)]
    pub(crate) yes: bool,
}

/// Why, for those who look later.
#[derive(Debug, Args)]
pub(crate) struct Words {
    /// Why
    #[arg(short, long, value_name = "WORDS")]
    pub(crate) message: String,
}

#[derive(Debug, Args)]
pub(crate) struct Dashboard {
    /// Let approvals be answered and releases be stopped on the page
    #[arg(long)]
    pub(crate) act: bool,
    /// The port to listen on, for a tunnel; any that is free without it
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub(crate) port: u16,
    /// Don't open the browser
    #[arg(long)]
    pub(crate) no_open: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Answer {
    /// The service role
    pub(crate) service: String,
    /// What to say with it
    #[arg(short, long, value_name = "WORDS", default_value = "")]
    pub(crate) message: String,
    /// The release that is meant; with --yes it must be given
    #[arg(long)]
    pub(crate) release: Option<String>,
    /// The approval that is meant; with --yes it must be given
    #[arg(long)]
    pub(crate) approval: Option<String>,
    /// Don't ask
    #[arg(short, long, requires = "release", requires = "approval")]
    pub(crate) yes: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Settings {
    /// Show a service's settings as they are stored, USER_DATA masked
    Show {
        /// The service role
        service: String,
    },
    /// Edit them with $EDITOR
    Edit {
        /// The service role
        service: String,
        #[command(flatten)]
        sure: Sure,
    },
    /// Set them to what a file says
    Set {
        /// The service role
        service: String,
        /// The file
        file: PathBuf,
        /// Keep them in the service's own parameter from now on, not in a variable
        #[arg(long)]
        parameter: bool,
        #[command(flatten)]
        sure: Sure,
    },
    /// Show how a file differs from what is stored
    Diff {
        /// The service role
        service: String,
        /// The file
        file: PathBuf,
    },
    /// Write their JSON Schema, for editors; needs no AWS
    Schema,
    /// Remove them
    Remove {
        /// The service role
        service: String,
        #[command(flatten)]
        sure: Sure,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Check {
    /// A build, as the CodeDeploy agent reads it
    Artifact {
        /// The build: a ZIP with an appspec.yml
        file: PathBuf,
    },
    /// A service's settings
    Settings {
        /// The file
        file: PathBuf,
        /// The service role, for the messages
        #[arg(long, default_value = "SERVICE")]
        service: String,
    },
}
