//! `settings`: one service's settings, checked with the functions' own code before they are written.

use super::check::read;
use crate::ask::sure;
use crate::end::{End, Failure};
use crate::out::Out;
use crate::service::unknown;
use serde::Serialize;
use serde_json::Value;
use similar::TextDiff;
use std::path::Path;
use std::process::Command;
use tagship::ServiceRole;
use tagship::settings::Settings;
use tagship_aws::{Account, Stored};

/// What takes the place of a secret.
const MASKED: &str = "(not shown)";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    service: String,
    stored: String,
    settings: Value,
}

#[derive(Serialize)]
struct Did {
    service: String,
    did: String,
}

fn role(name: &str) -> Result<ServiceRole, Failure> {
    ServiceRole::try_from(name.to_owned()).map_err(Failure::Usage)
}

async fn stored(account: &Account, role: &ServiceRole) -> Result<Stored, Failure> {
    account.stored(role).await?.ok_or_else(|| unknown(account, role))
}

fn place(stored: &Stored) -> String {
    match stored {
        Stored::Variable(_) => "a variable of provision (whoever may read its configuration sees it)".to_owned(),
        Stored::Parameter { path, version, .. } => format!("parameter {path}, version {version}"),
    }
}

/// As it is shown and compared: laid out, and without what may be secret.
fn masked(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(mut value) => {
            if let Some(data) = value.get_mut("USER_DATA") {
                *data = MASKED.into();
            }
            serde_json::to_string_pretty(&value).unwrap_or_default() + "\n"
        }
        // The first generation's dictionaries: where USER_DATA stands isn't known, so that nothing after it is shown.
        Err(_) => match text.split_once("USER_DATA") {
            Some((before, _)) => format!("{before}USER_DATA {MASKED}\n"),
            None => format!("{}\n", text.trim_end()),
        },
    }
}

/// The same whatever is asked for: it is a document of its own.
pub(super) fn schema(out: &Out) -> Result<End, Failure> {
    let text = serde_json::to_string_pretty(&tagship::settings::schema()).unwrap_or_default();
    out.text(&format!("{text}\n"))?;
    Ok(End::Fine)
}

pub(super) async fn show(account: &Account, out: &Out, name: &str) -> Result<End, Failure> {
    let role = role(name)?;
    let stored = stored(account, &role).await?;
    let text = masked(stored.text());
    let settings = serde_json::from_str(&text).unwrap_or(Value::String(text.clone()));
    let shown = Shown { service: role.to_string(), stored: place(&stored), settings };
    out.show(&shown, || format!("{role}, in {}:\n\n{text}", shown.stored))?;
    Ok(End::Fine)
}

pub(super) async fn diff(account: &Account, out: &Out, name: &str, file: &Path) -> Result<End, Failure> {
    let role = role(name)?;
    let now = stored(account, &role).await?;
    let new = read(file)?;
    let changes = changes(now.text(), &new);
    let document = Did { service: role.to_string(), did: changes.clone() };
    let end = if changes.is_empty() { End::Fine } else { End::Found };
    out.show(&document, || if changes.is_empty() { "They are the same.\n".to_owned() } else { changes })?;
    Ok(end)
}

/// What differs, line by line.
fn changes(now: &str, new: &str) -> String {
    let (before, after) = (masked(now), masked(new));
    let mut text = TextDiff::from_lines(before.as_str(), after.as_str())
        .unified_diff()
        .context_radius(2)
        .header("stored", "new")
        .to_string();
    let data = |text: &str| serde_json::from_str::<Value>(text).map(|value| value["USER_DATA"].clone()).ok();
    let data = |text: &str| data(text).filter(|value| !value.is_null());
    if data(now) != data(new) {
        text.push_str("USER_DATA differs (it may hold secrets, and isn't shown).\n");
    }
    text
}

pub(super) async fn set(
    account: &Account,
    out: &Out,
    name: &str,
    file: &Path,
    parameter: bool,
    yes: bool,
) -> Result<End, Failure> {
    let role = role(name)?;
    let text = read(file)?;
    let now = account.stored(&role).await?;
    write(account, out, &role, now.as_ref(), text.trim(), parameter, yes).await
}

pub(super) async fn edit(account: &Account, out: &Out, name: &str, yes: bool) -> Result<End, Failure> {
    let role = role(name)?;
    let now = stored(account, &role).await?;
    let editor = std::env::var("VISUAL").or_else(|_| std::env::var("EDITOR")).unwrap_or_default();
    let mut words = editor.split_whitespace();
    let Some(program) = words.next() else {
        return Err(Failure::usage("no editor is set: export EDITOR=vi, or the like"));
    };
    // Only its owner may read it, and it goes with this process.
    let file = tempfile::Builder::new()
        .prefix("tagship-")
        .suffix(".json")
        .tempfile()
        .map_err(|error| Failure::usage(format!("no file to edit: {error}")))?;
    let laid_out =
        serde_json::from_str::<Value>(now.text()).ok().and_then(|value| serde_json::to_string_pretty(&value).ok());
    let before = laid_out.unwrap_or_else(|| now.text().to_owned()) + "\n";
    std::fs::write(file.path(), &before).map_err(|error| Failure::usage(format!("the file to edit: {error}")))?;
    let ended = Command::new(program).args(words).arg(file.path()).status();
    match ended {
        Ok(status) if status.success() => {}
        Ok(status) => return Err(Failure::usage(format!("{editor} ended with {status}: nothing was written"))),
        Err(error) => return Err(Failure::usage(format!("{editor} can't be run: {error}"))),
    }
    let after = read(file.path())?;
    if after == before {
        out.say("Nothing was changed.")?;
        return Ok(End::Fine);
    }
    let written = write(account, out, &role, Some(&now), after.trim(), false, yes).await;
    if written.is_err()
        && let Ok((_, kept)) = file.keep()
    {
        out.warn(&format!(
            "your text is kept in {}: correct it, then tagship settings set {role} FILE",
            kept.display()
        ));
    }
    written
}

async fn write(
    account: &Account,
    out: &Out,
    role: &ServiceRole,
    now: Option<&Stored>,
    text: &str,
    parameter: bool,
    yes: bool,
) -> Result<End, Failure> {
    // The functions' own code judges it, before anything is written.
    Settings::parse(role, text)?;
    let before = now.map(Stored::text).unwrap_or_default();
    let changes = changes(before, text);
    if changes.is_empty() {
        out.say("They are the same: nothing was written.")?;
        return Ok(End::Fine);
    }
    out.say(&changes)?;
    // A variable takes as little room as it can.
    let text = serde_json::from_str::<Value>(text).map_or_else(|_| text.to_owned(), |value| value.to_string());
    if !sure(yes, &format!("Write the settings of {role}? They take effect with its next release."))? {
        out.say("Nothing was written.")?;
        return Ok(End::Fine);
    }
    if let (true, None | Some(Stored::Variable(_))) = (parameter, now) {
        // A variable comes before a parameter: it goes once its successor is there.
        let path = account.store_as_parameter(role, &text).await?;
        if now.is_some() {
            account.store(role, now, None).await?;
        }
        return told(out, role, format!("The settings of {role} are in parameter {path}."));
    }
    match account.store(role, now, Some(&text)).await? {
        None => told(out, role, format!("The settings of {role} are written.")),
        Some(warning) => {
            told(out, role, format!("The settings of {role} are written, but {warning}."))?;
            Ok(End::Found)
        }
    }
}

pub(super) async fn remove(account: &Account, out: &Out, name: &str, yes: bool) -> Result<End, Failure> {
    let role = role(name)?;
    let now = stored(account, &role).await?;
    if account.hold(&role).await?.is_some() {
        return Err(Failure::usage(format!("{role} is held by a release: end that first (tagship status {role})")));
    }
    if !sure(yes, &format!("Remove the settings of {role} from {}? Nothing releases it any more then.", place(&now)))? {
        out.say("Nothing was removed.")?;
        return Ok(End::Fine);
    }
    account.store(&role, Some(&now), None).await?;
    told(out, &role, format!("{role} has no settings any more."))
}

fn told(out: &Out, role: &ServiceRole, did: String) -> Result<End, Failure> {
    let document = Did { service: role.to_string(), did };
    out.show(&document, || format!("{}\n", document.did))?;
    Ok(End::Fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_data_is_never_shown() {
        let secret = "hunter2";
        for text in [
            format!(r##"{{"COUNT": 2, "USER_DATA": "#!/bin/sh\necho {secret}"}}"##),
            format!("{{'COUNT': 2, 'USER_DATA': 'echo {secret}'}}"),
        ] {
            assert!(!masked(&text).contains(secret), "{}", masked(&text));
            let changes = changes(&text, r#"{"COUNT": 3}"#);
            assert!(!changes.contains(secret) && changes.contains("COUNT"), "{changes}");
        }
    }

    #[test]
    fn only_what_differs_is_told() {
        assert_eq!(changes(r#"{"COUNT": 2}"#, r#"{ "COUNT":2 }"#), "");
        let other = changes(r#"{"COUNT": 2, "USER_DATA": "a"}"#, r#"{"COUNT": 2, "USER_DATA": "b"}"#);
        assert_eq!(other, "USER_DATA differs (it may hold secrets, and isn't shown).\n");
    }
}
