//! Copies an appspec's files to their places, as the agent's installer does: first a list of what to do, then the doing.

use super::appspec::{AppSpec, wrong};
use super::permission::Permission;
use super::value::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

/// Where a revision is, and where it goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places<'a> {
    /// The unpacked revision.
    pub(super) archive: &'a Path,
    /// The directory that stands for the instance's disk.
    pub(super) root: &'a Path,
    /// The file that lists what the last installation made.
    pub(super) cleanup: &'a Path,
}

/// Installs the revision, after removing what the last installation made. `file_exists_behavior` is the deployment's.
pub(super) fn install(spec: &AppSpec, places: Places<'_>, file_exists_behavior: &str) -> Result<(), String> {
    remove_last(places)?;
    let behavior = spec.file_exists_behavior.as_deref().unwrap_or(file_exists_behavior);
    let commands = Plan::of(spec, places, behavior)?.commands;
    let mut made = String::new();
    let done = commands.iter().try_for_each(|command| command.carry_out(places.root, &mut made));
    // Also of an installation that failed half-way.
    fs::write(places.cleanup, made).map_err(about(places.cleanup))?;
    done
}

/// Removes what the last installation made, the last thing first; directories only if nothing else is in them.
fn remove_last(places: Places<'_>) -> Result<(), String> {
    let made = fs::read_to_string(places.cleanup).unwrap_or_default();
    for path in made.lines().rev() {
        let there = under(places.root, path);
        let removed = match there.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => fs::remove_dir(&there),
            Ok(_) => fs::remove_file(&there),
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => {
                return Err(about(Path::new(path))(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What is to be done. Destinations are absolute paths of the instance, not of this machine.
enum Command {
    MakeDirectory(String),
    Copy { source: PathBuf, destination: String },
    ChangeMode { object: String, mode: u32 },
}

impl Command {
    fn carry_out(&self, root: &Path, made: &mut String) -> Result<(), String> {
        match self {
            Self::MakeDirectory(path) => {
                fs::create_dir(under(root, path)).map_err(about(Path::new(path)))?;
                *made += &format!("{path}\n");
            }
            Self::Copy { source, destination } => {
                *made += &format!("{destination}\n");
                let there = under(root, destination);
                if source.is_symlink() {
                    let copied = fs::read_link(source).and_then(|target| symlink(target, &there));
                    copied.map_err(about(Path::new(destination)))?;
                } else {
                    let copied = fs::copy(source, &there).and_then(|_| {
                        let modified = fs::metadata(source)?.modified()?;
                        fs::File::open(&there)?.set_modified(modified)
                    });
                    // Ruby names the function that failed.
                    copied.map_err(|error| about(source)(error).replacen(" - ", " @ rb_sysopen - ", 1))?;
                }
            }
            Self::ChangeMode { object, mode } => {
                let there = under(root, object);
                // A link that leads out of the directory leads to this machine's own files.
                let real = there.canonicalize().map_err(about(Path::new(object)))?;
                if root.canonicalize().is_ok_and(|root| real.starts_with(root)) {
                    fs::set_permissions(real, fs::Permissions::from_mode(*mode)).map_err(about(Path::new(object)))?;
                }
            }
        }
        Ok(())
    }
}

struct Plan<'a> {
    places: Places<'a>,
    file_exists_behavior: &'a str,
    commands: Vec<Command>,
    /// Destination and source of each file, in the order of the copies.
    copies: Vec<(String, PathBuf)>,
    copied: BTreeMap<String, PathBuf>,
    directories: Vec<String>,
    permitted: BTreeSet<String>,
}

impl<'a> Plan<'a> {
    fn of(spec: &AppSpec, places: Places<'a>, file_exists_behavior: &'a str) -> Result<Self, String> {
        let mut plan = Self {
            places,
            file_exists_behavior,
            commands: Vec::new(),
            copies: Vec::new(),
            copied: BTreeMap::new(),
            directories: Vec::new(),
            permitted: BTreeSet::new(),
        };
        for mapping in &spec.files {
            let source = path("a source of files", &mapping.source)?;
            let destination = absolute(path("a destination of files", &mapping.destination)?);
            let source = under(places.archive, source);
            if source.is_dir() {
                plan.missing_ancestors(&destination)?;
                plan.directory(&source, &destination)?;
            } else {
                let name = source.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let destination = join(&destination, &name);
                plan.missing_ancestors(&destination)?;
                plan.file(source, destination)?;
            }
        }
        for permission in &spec.permissions {
            plan.permit(permission)?;
        }
        Ok(plan)
    }

    fn missing_ancestors(&mut self, destination: &str) -> Result<(), String> {
        let ancestors = Path::new(destination).ancestors().skip(1);
        let missing = ancestors.map(|ancestor| ancestor.display().to_string());
        let missing: Vec<_> = missing.take_while(|ancestor| !self.at(ancestor).exists()).collect();
        missing.iter().rev().try_for_each(|ancestor| self.make_directory(ancestor))
    }

    /// A link to a directory is followed, a link to a file isn't.
    fn directory(&mut self, source: &Path, destination: &str) -> Result<(), String> {
        if !self.at(destination).is_dir() {
            self.make_directory(destination)?;
        }
        for entry in entries(source)? {
            let destination = join(destination, &entry.file_name().unwrap_or_default().to_string_lossy());
            if entry.is_dir() {
                self.directory(&entry, &destination)?;
            } else {
                self.file(entry, destination)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, source: PathBuf, destination: String) -> Result<(), String> {
        if self.at(&destination).exists() {
            match self.file_exists_behavior {
                "OVERWRITE" => {}
                "RETAIN" => return Ok(()),
                "DISALLOW" => {
                    return Err(format!(
                        "The deployment failed because a specified file already exists at this location: {destination}"
                    ));
                }
                other => {
                    return Err(format!(
                        "The deployment failed because an invalid option was specified for fileExistsBehavior: {other}. \
                         Valid options include OVERWRITE, RETAIN, and DISALLOW."
                    ));
                }
            }
        }
        let shown = self.shown(&source);
        if let Some(other) = self.copied.get(&destination) {
            let other = self.shown(other);
            return Err(format!(
                "The deployment failed because the application specification file specifies two source files named \
                 {shown} and {other} for the same destination ({destination}). Remove one of the source file paths from \
                 the AppSpec file, and then try again."
            ));
        }
        if self.directories.contains(&destination) {
            return Err(format!(
                "The deployment failed because the application specification file calls for installing the file {shown}, \
                 but a file with that name already exists at the location ({destination}). Update your AppSpec file or \
                 directory structure, and then try again."
            ));
        }
        self.copied.insert(destination.clone(), source.clone());
        self.copies.push((destination.clone(), source.clone()));
        self.commands.push(Command::Copy { source, destination });
        Ok(())
    }

    fn make_directory(&mut self, path: &str) -> Result<(), String> {
        if let Some(source) = self.copied.get(path) {
            let source = self.shown(source);
            return Err(format!(
                "The deployment failed because the application specification file includes an mkdir command more than \
                 once for the same destination path ({path}) from ({source}). Update the files section of the AppSpec \
                 file, and then try again."
            ));
        }
        if !self.directories.iter().any(|there| there == path) {
            self.directories.push(path.to_owned());
            self.commands.push(Command::MakeDirectory(path.to_owned()));
        }
        Ok(())
    }

    /// Only what this installation copies or makes is touched; of a directory its content, not itself.
    fn permit(&mut self, permission: &Permission) -> Result<(), String> {
        let object = absolute(&permission.object);
        if self.copied.contains_key(&object) {
            if permission.is_about("file") {
                permission.check_file()?;
                permission.check_file_acl()?;
                self.set(permission, object)?;
            }
            return Ok(());
        }
        if !self.directories.contains(&object) && !self.at(&object).is_dir() {
            return Ok(());
        }
        let base = if object == "/" { object } else { object + "/" };
        let files = self.copies.iter().map(|(path, _)| (path, true));
        let directories = self.directories.iter().map(|path| (path, false));
        let mut matches = Vec::new();
        for (path, is_file) in files.chain(directories) {
            let about = permission.is_about(if is_file { "file" } else { "directory" });
            if let Some(name) = path.strip_prefix(&base).filter(|_| about)
                && permission.covers(name)?
            {
                if is_file {
                    permission.check_file_acl()?;
                }
                matches.push(path.clone());
            }
        }
        matches.into_iter().try_for_each(|path| self.set(permission, path))
    }

    fn set(&mut self, permission: &Permission, object: String) -> Result<(), String> {
        if !self.permitted.insert(object.clone()) {
            return Err(format!(
                "The deployment failed because the permissions setting for ({object}) is specified more than once in the \
                 application specification file. Update the files section of the AppSpec file, and then try again."
            ));
        }
        for (place, name) in [("an owner", &permission.owner), ("a group", &permission.group)] {
            if !name.is_nil() && name.text().is_none() {
                return Err(wrong(&format!("{place} of permissions"), name, "a name"));
            }
        }
        if permission.context_without_range {
            return Err(wrong("the context of permissions", &Value::Nil, "a range"));
        }
        if let Some(mode) = &permission.mode {
            let mode = u32::from_str_radix(mode, 8).unwrap_or_default();
            self.commands.push(Command::ChangeMode { object, mode });
        }
        Ok(())
    }

    /// Where a path of the instance is on this machine.
    fn at(&self, path: &str) -> PathBuf {
        under(self.places.root, path)
    }

    /// A path of the revision as its author knows it.
    fn shown(&self, source: &Path) -> String {
        source.strip_prefix(self.places.archive).unwrap_or(source).display().to_string()
    }
}

fn path<'a>(place: &str, value: &'a Value) -> Result<&'a str, String> {
    value.text().ok_or_else(|| wrong(place, value, "text"))
}

/// Ruby's `File.expand_path`, for an agent that is root and works in `/`.
fn absolute(path: &str) -> String {
    let path = match path.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("/root{rest}"),
        _ => path.to_owned(),
    };
    under(Path::new("/"), &path).display().to_string()
}

fn join(directory: &str, name: &str) -> String {
    Path::new(directory).join(name).display().to_string()
}

pub(super) fn entries(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let mut entries = fs::read_dir(directory)
        .and_then(|entries| entries.map(|entry| entry.map(|e| e.path())).collect::<io::Result<Vec<_>>>())
        .map_err(about(directory))?;
    entries.sort();
    Ok(entries)
}

/// A path inside `root`, which `..` can't leave.
pub(super) fn under(root: &Path, path: &str) -> PathBuf {
    let mut inside: Vec<&std::ffi::OsStr> = Vec::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(part) => inside.push(part),
            Component::ParentDir => {
                inside.pop();
            }
            _ => {}
        }
    }
    inside.iter().fold(root.to_path_buf(), |path, part| path.join(part))
}

/// An error as Ruby words it: `No such file or directory - /opt/web`.
pub(super) fn about(path: &Path) -> impl Fn(io::Error) -> String {
    let path = path.display().to_string();
    move |error| {
        let text = error.to_string();
        let words = text.split(" (os error").next().unwrap_or_default();
        format!("{words} - {path}")
    }
}

#[cfg(test)]
mod tests;
