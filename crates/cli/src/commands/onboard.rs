//! `onboard`: a new service's files, from a listener and a few answers. It reads AWS, and deploys nothing.

mod answers;
mod files;
mod judge;

pub(crate) use answers::Answers;

use super::check::read;
use crate::end::{End, Failure};
use crate::out::Out;
use crate::table::listed;
use files::{File, Wanted};
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tagship::settings::{Choice, Settings};
use tagship::{ServiceRole, counted, ground};
use tagship_aws::{Account, Site};

/// What was typed beside the answers.
pub(super) struct Wish {
    pub(super) answers: Answers,
    pub(super) file: Option<PathBuf>,
    pub(super) into: PathBuf,
    pub(super) overwrite: bool,
    /// What the functions' names begin with.
    pub(super) prefix: String,
}

#[derive(Serialize)]
struct Onboarded {
    service: String,
    written: Vec<File>,
    /// To be run in this order.
    commands: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Refused {
    service: String,
    problems: Vec<String>,
}

/// Ctrl-C ends it before anything is written.
pub(super) async fn run(account: &Account, out: &Out, name: &str, wish: Wish) -> Result<End, Failure> {
    let end = tokio::select! {
        biased;
        // Heard from now on: a question that it ends says so itself.
        _ = tokio::signal::ctrl_c() => Err(Failure::Stopped),
        end = onboarded(account, out, name, wish) => end,
    };
    if matches!(end, Err(Failure::Stopped)) {
        // A question among several had hidden it.
        let _ = console::Term::stderr().show_cursor();
    }
    end
}

async fn onboarded(account: &Account, out: &Out, name: &str, wish: Wish) -> Result<End, Failure> {
    let role = ServiceRole::try_from(name.to_owned()).map_err(Failure::Usage)?;
    let from_file = match &wish.file {
        None => Answers::default(),
        Some(file) => serde_json::from_str(&read(file)?)
            .map_err(|error| Failure::usage(format!("{}: {error}. Nothing was written", file.display())))?,
    };
    let answers = wish.answers.or(from_file).begun(&role)?;
    let site = account.site(&answers.listener).await?;
    let answers = answers.asked(&site)?;
    let mut problems = judge::problems(&answers, &site);
    let priority = answers.priority.or_else(|| judge::free_place(&site)).unwrap_or_default();
    let wanted = Wanted {
        role: &role,
        answers: &answers,
        site: &site,
        region: account.region(),
        prefix: &wish.prefix,
        role_path: account.passes(),
        priority,
    };
    let found = fits(account, &wanted, problems.is_empty()).await?;
    problems.extend(found.errors);
    if !problems.is_empty() {
        let refused = Refused { service: role.to_string(), problems };
        out.show(&refused, || {
            let each: String = refused.problems.iter().map(|it| format!("- {it}\n")).collect();
            format!("{role} doesn't fit there, and nothing was written:\n{each}")
        })?;
        return Ok(End::Found);
    }
    let mut warnings = found.warnings;
    if account.services().contains(&role) {
        warnings.push(format!("{role} has settings already: `tagship settings set` shows what would change"));
    }
    warnings.extend(unasked(wanted.answers));
    // What is printed is typed elsewhere, where tagship is checked out.
    let into = std::path::absolute(&wish.into)
        .map_err(|error| Failure::usage(format!("{}: {error}. Nothing was written", wish.into.display())))?;
    let written = wanted.files(&into);
    files::write(&written, wish.overwrite)?;
    let commands = commands(&wanted, &written);
    let done = Onboarded { service: role.to_string(), written, commands, warnings };
    out.show(&done, || text(&done, &wanted, out.width()))?;
    Ok(End::Fine)
}

/// What works without an answer, but not as most people want it.
fn unasked(answers: &Answers) -> Vec<String> {
    let zone = answers.zone.is_none().then_some("no --zone: the candidate and the live release have no names");
    let viewers =
        answers.viewer_cidr.is_none().then_some("no --viewer-cidr: people can't reach a candidate by its name");
    let topic = answers.topic.is_none().then_some("no --topic: nobody is told of an open approval");
    [zone, viewers, topic].into_iter().flatten().map(str::to_owned).collect()
}

/// What the functions' own code says of the settings, and EC2 of what they name.
async fn fits(account: &Account, wanted: &Wanted<'_>, placed: bool) -> Result<ground::Found, Failure> {
    let wrong = |message: &str| {
        let lines = message.split("\n- ");
        let lines: Vec<String> = lines.map(str::to_owned).collect();
        let errors = if lines.len() > 1 { lines[1..].to_vec() } else { lines };
        ground::Found { errors, ..ground::Found::default() }
    };
    let mut settings = match Settings::parse(wanted.role, &wanted.settings().to_string()) {
        Ok(offer) => offer.settings,
        Err(error) => return Ok(wrong(&error.message)),
    };
    if !placed {
        return Ok(ground::Found::default());
    }
    // Its own security group comes with its stack; the load balancer's stands for it.
    settings.sg = Choice::Ids(wanted.site.groups.clone());
    let settings = match account.looked_up(settings).await {
        Ok(settings) => settings,
        Err(error) if error.kind == tagship::Kind::Configuration => return Ok(wrong(&error.message)),
        Err(error) => return Err(error.into()),
    };
    let mut ground = account.ground(&settings, None).await?;
    // And so does its instance profile.
    ground.profile = Some(ground::Profile { role_path: Some(account.passes().to_owned()) });
    Ok(ground::problems(&ground, &settings, &BTreeSet::new(), account.passes()))
}

/// What deploys it, and looks at it in the end.
fn commands(wanted: &Wanted<'_>, written: &[File]) -> Vec<String> {
    let (role, pipeline) = (wanted.role, wanted.pipeline());
    let prefix = if wanted.prefix == "tagship-" { String::new() } else { format!(" --prefix {}", wanted.prefix) };
    let path = |file: &File| quoted(&file.path);
    let mut commands = Vec::new();
    let own = if wanted.answers.is_pre_product { role.label() } else { pipeline.to_owned() };
    if let [service, others @ ..] = written {
        commands.push(format!("infra/deploy.sh {own}-service infra/service.yaml {}", path(service)));
        if let [release, _] = others {
            commands.push(format!("infra/deploy.sh {pipeline}-pipeline infra/pipeline.yaml {}", path(release)));
        }
        commands
            .extend(others.last().map(|settings| format!("tagship settings set {role} {}{prefix}", path(settings))));
    }
    commands.push(format!("tagship doctor {role}{prefix}"));
    commands
}

/// As a shell takes it.
fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-\\:".contains(c);
    if path.chars().all(plain) { path } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

fn text(done: &Onboarded, wanted: &Wanted<'_>, width: usize) -> String {
    let Site { balancers, vpc, listeners, .. } = wanted.site;
    let mut text = format!(
        "{}: on load balancer {} in {vpc}, rule {} of {}. Nothing is deployed yet.\n\n",
        done.service,
        tagship::listed(balancers.iter().map(String::as_str)),
        wanted.priority,
        counted(listeners.len(), "listener")
    );
    let rows = done.written.iter().map(|file| vec![file.path.display().to_string(), file.holds.to_owned()]);
    text += &listed(width, rows);
    text += "\nAdd what else the templates take to their files. Then, where tagship is checked out:\n";
    text.extend(done.commands.iter().map(|command| format!("  {command}\n")));
    text += "\nThe image must have the CodeDeploy agent; from here that can't be seen. infra/README.md has a USER_DATA for it.\n";
    text.extend(done.warnings.iter().map(|warning| format!("warning: {warning}\n")));
    text
}
