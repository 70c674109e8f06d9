//! The commands.

pub(crate) mod answer;
mod check;
mod dashboard;
mod doctor;
mod follow;
mod history;
pub(crate) mod onboard;
mod plan;
mod release;
mod rollback;
mod settings;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod why;

use crate::VERSION;
use crate::args::{Access, Check, Cli, Command, Settings};
use crate::end::{End, Failure};
use crate::out::Out;
use clap::CommandFactory;
use tagship_aws::{Account, Person};

/// Runs what was typed.
pub(crate) async fn run(cli: Cli, out: &Out) -> Result<End, Failure> {
    let access = cli.access;
    match cli.command {
        Command::Schema => {
            out.text(include_str!("../schema.json"))?;
            Ok(End::Fine)
        }
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "tagship", &mut text);
            out.text(&String::from_utf8_lossy(&text))?;
            Ok(End::Fine)
        }
        Command::Check(Check::Artifact { file }) => check::artifact(out, &file),
        Command::Check(Check::Settings { file, service }) => check::settings(out, &file, &service),
        Command::Status { service: None, watch } => status::all(&entered(access, out).await?, out, watch).await,
        Command::Status { service: Some(service), watch } => {
            status::one(&entered(access, out).await?, out, &service, watch).await
        }
        Command::History { service, number } => history::run(&entered(access, out).await?, out, &service, number).await,
        Command::Why { service, release } => why::run(&entered(access, out).await?, out, &service, release).await,
        Command::Plan { service } => plan::run(&entered(access, out).await?, out, &service).await,
        Command::Doctor { service } => doctor::run(&entered(access, out).await?, out, &service).await,
        Command::Onboard { service, answers, file, into, overwrite } => {
            let prefix = access.prefix.clone();
            let wish = onboard::Wish { answers: *answers, file, into, overwrite, prefix };
            onboard::run(&entered(access, out).await?, out, &service, wish).await
        }
        Command::Dashboard(wish) => dashboard::run(access, out, wish).await,
        Command::Approve(answer) => answer::run(&entered(access, out).await?, out, answer, true).await,
        Command::Reject(answer) => answer::run(&entered(access, out).await?, out, answer, false).await,
        Command::Release { service, artifact, build_version, commit, author, detach, sure } => {
            let build = release::Build { file: artifact, version: build_version, commit, author };
            release::run(&entered(access, out).await?, out, &service, &build, detach, sure.yes).await
        }
        Command::Rollback { service, to, freeze, detach, sure } => {
            let wish = rollback::Wish { to, freeze, detach, yes: sure.yes };
            rollback::run(&entered(access, out).await?, out, &service, wish).await
        }
        Command::Stop { service, words, sure } => {
            stop::stop(&entered(access, out).await?, out, &service, &words.message, sure.yes).await
        }
        Command::Freeze { service, words, sure } => {
            stop::freeze(&entered(access, out).await?, out, &service, &words.message, sure.yes).await
        }
        Command::Unfreeze { service, sure } => {
            stop::unfreeze(&entered(access, out).await?, out, &service, sure.yes).await
        }
        Command::Settings(Settings::Schema) => settings::schema(out),
        Command::Settings(command) => {
            let account = entered(access, out).await?;
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

/// The account of the person who types; who is told if its functions are of another version.
pub(crate) async fn entered(access: Access, out: &Out) -> Result<Account, Failure> {
    let account = open(access).await?;
    if let Some(version) = account.version().filter(|version| *version != VERSION) {
        out.warn(&other_version(version, VERSION));
    }
    Ok(account)
}

/// The same without a word.
pub(crate) async fn open(access: Access) -> Result<Account, Failure> {
    let mut loader = aws_config::defaults(aws_config::BehaviorVersion::v2026_01_12());
    if let Some(region) = access.region {
        loader = loader.region(aws_config::Region::new(region));
    }
    let person = Person::new(loader, access.profile.as_deref(), &access.prefix).await?;
    Ok(person.open(access.bucket).await?)
}

/// That functions and command aren't of one version, with what to do.
pub(crate) fn other_version(functions: &str, own: &str) -> String {
    format!(
        "the functions are of version {functions}, this command of {own}: install that of {functions}, or `make deploy` this \
         one; what they say may differ"
    )
}
