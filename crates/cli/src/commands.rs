//! The commands.

pub(crate) mod answer;
mod check;
mod dashboard;
mod doctor;
mod follow;
mod history;
mod plan;
mod release;
mod rollback;
mod settings;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod why;

use crate::args::{Access, Check, Cli, Command, Settings};
use crate::end::{End, Failure};
use crate::out::Out;
use clap::CommandFactory;
use tagship_aws::{Account, Person};

/// Runs what was typed.
pub(crate) async fn run(cli: Cli, out: &Out) -> Result<End, Failure> {
    let access = cli.access;
    match cli.command {
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "tagship", &mut text);
            out.text(&String::from_utf8_lossy(&text))?;
            Ok(End::Fine)
        }
        Command::Check(Check::Artifact { file }) => check::artifact(out, &file),
        Command::Check(Check::Settings { file, service }) => check::settings(out, &file, &service),
        Command::Status { service: None, watch } => status::all(&open(access).await?, out, watch).await,
        Command::Status { service: Some(service), watch } => {
            status::one(&open(access).await?, out, &service, watch).await
        }
        Command::History { service, number } => history::run(&open(access).await?, out, &service, number).await,
        Command::Why { service, release } => why::run(&open(access).await?, out, &service, release).await,
        Command::Plan { service } => plan::run(&open(access).await?, out, &service).await,
        Command::Doctor { service } => doctor::run(&open(access).await?, out, &service).await,
        Command::Dashboard(wish) => dashboard::run(access, out, wish).await,
        Command::Approve(answer) => answer::run(&open(access).await?, out, answer, true).await,
        Command::Reject(answer) => answer::run(&open(access).await?, out, answer, false).await,
        Command::Release { service, artifact, build_version, commit, author, detach, sure } => {
            let build = release::Build { file: artifact, version: build_version, commit, author };
            release::run(&open(access).await?, out, &service, &build, detach, sure.yes).await
        }
        Command::Rollback { service, to, freeze, detach, sure } => {
            let wish = rollback::Wish { to, freeze, detach, yes: sure.yes };
            rollback::run(&open(access).await?, out, &service, wish).await
        }
        Command::Stop { service, words, sure } => {
            stop::stop(&open(access).await?, out, &service, &words.message, sure.yes).await
        }
        Command::Freeze { service, words, sure } => {
            stop::freeze(&open(access).await?, out, &service, &words.message, sure.yes).await
        }
        Command::Unfreeze { service, sure } => stop::unfreeze(&open(access).await?, out, &service, sure.yes).await,
        Command::Settings(Settings::Schema) => settings::schema(out),
        Command::Settings(command) => {
            let account = open(access).await?;
            match command {
                Settings::Show { service } => settings::show(&account, out, &service).await,
                Settings::Edit { service, sure } => settings::edit(&account, out, &service, sure.yes).await,
                Settings::Set { service, file, parameter, sure } => {
                    settings::set(&account, out, &service, &file, parameter, sure.yes).await
                }
                Settings::Diff { service, file } => settings::diff(&account, out, &service, &file).await,
                Settings::Schema => settings::schema(out),
                Settings::Remove { service, sure } => settings::remove(&account, out, &service, sure.yes).await,
            }
        }
    }
}

/// The account of the person who types.
pub(crate) async fn open(access: Access) -> Result<Account, Failure> {
    let mut loader = aws_config::defaults(aws_config::BehaviorVersion::v2026_01_12());
    if let Some(profile) = access.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = access.region {
        loader = loader.region(aws_config::Region::new(region));
    }
    let person = Person::new(loader, &access.prefix).await?;
    Ok(person.open(access.bucket).await?)
}
