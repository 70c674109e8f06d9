//! Reads `appspec.yml`, and refuses what CodeDeploy's agent refuses, in its words.

use std::collections::BTreeMap;
use std::time::Duration;
use yaml_serde::Value;

/// What a revision says about its installation.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct AppSpec {
    pub(super) files: Vec<Mapping>,
    pub(super) permissions: Vec<Permission>,
    pub(super) hooks: BTreeMap<String, Vec<Script>>,
    /// What to do with files that are there already, unless the deployment says so.
    pub(super) file_exists_behavior: Option<String>,
}

/// A file or directory of the revision and the directory that it goes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) source: String,
    pub(super) destination: String,
}

/// The mode of an installed file, or of everything in an installed directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Permission {
    pub(super) object: String,
    pub(super) mode: Option<u32>,
    /// `file`, `directory` or both.
    pub(super) types: Vec<String>,
}

/// One script of a hook.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Script {
    pub(super) location: String,
    pub(super) timeout: Duration,
    /// Only for messages: everything runs as one user on one machine.
    pub(super) runas: Option<String>,
}

/// The agent's limit for a script that names none.
const DEFAULT_TIMEOUT_SECS: u64 = 3600;

impl AppSpec {
    /// Reads the file; the error is what the agent would report.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        // Ruby's YAML names its source, which the agent doesn't give, in front.
        let yaml: Value = yaml_serde::from_str(text).map_err(|e| format!("(<unknown>): {e}"))?;
        let version = &yaml["version"];
        if version.as_f64() != Some(0.0) {
            return Err(format!(
                "The deployment failed because an invalid version value ({}) was entered in the application \
                 specification file. Make sure your AppSpec file specifies \"0.0\" as the version, and then try again.",
                shown(version)
            ));
        }
        let os = &yaml["os"];
        if os.as_str() != Some("linux") {
            return Err(format!(
                "The deployment failed because the application specification file specifies an unsupported operating \
                 system ({}). Specify either \"linux\" or \"windows\" in the os section of the AppSpec file, and then try again.",
                shown(os)
            ));
        }
        let hooks = yaml["hooks"].as_mapping().into_iter().flatten();
        Ok(Self {
            files: each(&yaml["files"]).map(mapping).collect::<Result<_, _>>()?,
            permissions: each(&yaml["permissions"]).map(permission).collect::<Result<_, _>>()?,
            hooks: hooks
                .map(|(hook, scripts)| {
                    let scripts = each(scripts).map(script).collect::<Result<_, _>>()?;
                    Ok((shown(hook), scripts))
                })
                .collect::<Result<_, String>>()?,
            file_exists_behavior: yaml["file_exists_behavior"].as_str().map(str::to_owned),
        })
    }
}

fn mapping(value: &Value) -> Result<Mapping, String> {
    let (source, destination) = (value["source"].as_str(), value["destination"].as_str());
    match (source, destination) {
        (None, _) => Err("The deployment failed because the application specification file specifies a destination \
            file, but no source file. Update the files section of the AppSpec file, and then try again."
            .to_owned()),
        (Some(source), None) => Err(format!(
            "The deployment failed because the application specification file specifies only a source file ({source}). \
             Add the name of the destination file to the files section of the AppSpec file, and then try again."
        )),
        (Some(source), Some(destination)) => {
            Ok(Mapping { source: source.to_owned(), destination: destination.to_owned() })
        }
    }
}

fn permission(value: &Value) -> Result<Permission, String> {
    let Some(object) = value["object"].as_str() else {
        return Err("The deployment failed because a permission listed in the application specification file has no \
            object value. Update the permissions section of the AppSpec file, and then try again."
            .to_owned());
    };
    let mode = match &value["mode"] {
        Value::Null => None,
        mode => {
            let mode = shown(mode);
            let parsed = u32::from_str_radix(&mode, 8).ok().filter(|mode| *mode <= 0o7777);
            Some(parsed.ok_or_else(|| format!("invalid permission mode {mode}"))?)
        }
    };
    let types: Vec<String> = each(&value["type"]).map(shown).collect();
    if let Some(other) = types.iter().find(|t| !matches!(t.as_str(), "file" | "directory")) {
        return Err(format!(
            "The deployment failed because the application specification file specifies a permission for an object type \
             not supported for permissions ({other}). Update the permissions section of the AppSpec file, and then try again."
        ));
    }
    Ok(Permission { object: object.to_owned(), mode, types })
}

fn script(value: &Value) -> Result<Script, String> {
    let location = value["location"].as_str().map(str::trim).unwrap_or_default();
    if location.is_empty() {
        return Err(
            "The deployment failed because the application specification file specifies a script with no location \
            value. Specify the location in the hooks section of the AppSpec file, and then try again."
                .to_owned(),
        );
    }
    let timeout = match &value["timeout"] {
        Value::Null => Some(DEFAULT_TIMEOUT_SECS),
        timeout => shown(timeout).parse().ok().filter(|secs| *secs > 0),
    };
    let Some(timeout) = timeout else {
        return Err(
            "The deployment failed because an invalid timeout value was provided for a script in the application \
            specification file. Make corrections in the hooks section of the AppSpec file, and then try again."
                .to_owned(),
        );
    };
    Ok(Script {
        location: location.to_owned(),
        timeout: Duration::from_secs(timeout),
        runas: value["runas"].as_str().map(|user| user.trim().to_owned()),
    })
}

fn each(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_sequence().into_iter().flatten()
}

/// A scalar as a person wrote it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => yaml_serde::to_string(other).unwrap_or_default().trim_end().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_agent_reads() {
        let spec = AppSpec::parse(
            "version: 0.0\nos: linux\nfile_exists_behavior: OVERWRITE\nfiles:\n  - source: /\n    destination: /opt/web\n\
             permissions:\n  - object: /opt/web\n    mode: 755\n    type: [file]\n\
             hooks:\n  ApplicationStart:\n    - location: start.sh\n      timeout: 5\n    - location: more.sh\n      runas: root\n",
        );
        let script = |location: &str, secs, runas: Option<&str>| Script {
            location: location.to_owned(),
            timeout: Duration::from_secs(secs),
            runas: runas.map(str::to_owned),
        };
        let expected = AppSpec {
            files: vec![Mapping { source: "/".into(), destination: "/opt/web".into() }],
            permissions: vec![Permission { object: "/opt/web".into(), mode: Some(0o755), types: vec!["file".into()] }],
            hooks: BTreeMap::from([(
                "ApplicationStart".to_owned(),
                vec![script("start.sh", 5, None), script("more.sh", 3600, Some("root"))],
            )]),
            file_exists_behavior: Some("OVERWRITE".into()),
        };
        assert_eq!(spec, Ok(expected));
    }

    #[test]
    fn refuses_in_the_agents_words() {
        let head = "version: 0.0\nos: linux\n";
        for (text, words) in [
            ("version: 1.0\nos: linux", "invalid version value (1.0)"),
            ("version: 0.0\nos: plan9", "unsupported operating system (plan9)"),
            ("version: 0.0", "unsupported operating system ()"),
            ("a: [", "(<unknown>): "),
            ("just text", "invalid version value ()"),
            (&format!("{head}files: [{{source: a}}]"), "specifies only a source file (a)"),
            (&format!("{head}files: [{{destination: a}}]"), "but no source file"),
            (&format!("{head}hooks: {{Install: [{{timeout: 3}}]}}"), "a script with no location value"),
            (&format!("{head}hooks: {{X: [{{location: a, timeout: 0}}]}}"), "an invalid timeout value"),
            (&format!("{head}permissions: [{{mode: 644}}]"), "has no object value"),
            (&format!("{head}permissions: [{{object: a, type: [socket]}}]"), "(socket)"),
        ] {
            let error = AppSpec::parse(text).expect_err(text);
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
