//! What the agent's installer makes of an appspec: first a list of what to do, without doing it.

use crate::appspec::{AppSpec, Remark, wrong};
use crate::permission::Permission;
use crate::value::Value;
use std::collections::{BTreeMap, BTreeSet};

/// An unpacked revision. Paths are [`clean`], from its top, which is the empty path.
pub trait Revision {
    /// Whether it is a directory, or a link to one.
    fn is_directory(&self, path: &str) -> bool;

    /// What is in a directory, sorted.
    ///
    /// # Errors
    /// That it can't be read.
    fn names(&self, directory: &str) -> Result<Vec<String>, String>;
}

/// What an instance has already. Paths are absolute.
pub trait Disk {
    /// Whether anything is there.
    fn exists(&self, path: &str) -> bool;

    /// Whether it is a directory, or a link to one.
    fn is_directory(&self, path: &str) -> bool;
}

/// One thing to do on an instance. Destinations are its absolute paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Makes a directory whose parent is there.
    MakeDirectory(String),
    /// Copies a file of the revision, or a link as a link.
    Copy {
        /// In the revision.
        source: String,
        /// The new file.
        destination: String,
    },
    /// Changes the mode of what was copied or made.
    ChangeMode {
        /// Which.
        object: String,
        /// To what.
        mode: u32,
    },
}

/// What is to be done, in order.
pub struct Plan<'a> {
    /// As far as nothing is refused.
    pub commands: Vec<Command>,
    /// Why there is no installation; the agent reports the first one alone.
    pub refusals: Vec<Remark>,
    /// Permissions that are about nothing that is installed.
    pub unused: Vec<Remark>,
    revision: &'a dyn Revision,
    disk: &'a dyn Disk,
    file_exists_behavior: &'a str,
    /// Destination and source of each file, in the order of the copies.
    copies: Vec<(String, String)>,
    copied: BTreeMap<String, String>,
    /// In the order in which they are made; the same as a set.
    directories: Vec<String>,
    made: BTreeSet<String>,
    permitted: BTreeSet<String>,
}

impl<'a> Plan<'a> {
    /// Plans the installation of a revision onto a disk; `file_exists_behavior` is the deployment's.
    pub fn of(
        spec: &'a AppSpec,
        revision: &'a dyn Revision,
        disk: &'a dyn Disk,
        file_exists_behavior: &'a str,
    ) -> Self {
        let mut plan = Self {
            commands: Vec::new(),
            refusals: Vec::new(),
            unused: Vec::new(),
            revision,
            disk,
            file_exists_behavior: spec.file_exists_behavior.as_deref().unwrap_or(file_exists_behavior),
            copies: Vec::new(),
            copied: BTreeMap::new(),
            directories: Vec::new(),
            made: BTreeSet::new(),
            permitted: BTreeSet::new(),
        };
        for mapping in &spec.files {
            if let Err(message) = plan.copy(&mapping.source, &mapping.destination) {
                plan.refusals.push(Remark { at: "files".to_owned(), line: mapping.line, message });
            }
        }
        for permission in &spec.permissions {
            let remark = |message| Remark { at: "permissions".to_owned(), line: permission.line, message };
            match plan.permit(permission) {
                Err(message) => plan.refusals.push(remark(message)),
                Ok(true) => {}
                Ok(false) => plan.unused.push(remark(format!(
                    "The permissions of {} are about nothing that this revision installs, and do nothing.",
                    permission.object
                ))),
            }
        }
        plan
    }

    fn copy(&mut self, source: &Value, destination: &Value) -> Result<(), String> {
        let source = clean(path("a source of files", source)?);
        let destination = absolute(path("a destination of files", destination)?);
        if self.revision.is_directory(&source) {
            self.missing_ancestors(&destination)?;
            self.directory(&source, &destination)
        } else {
            let name = source.rsplit('/').next().unwrap_or_default();
            let destination = join(&destination, name);
            self.missing_ancestors(&destination)?;
            self.file(source, destination)
        }
    }

    fn missing_ancestors(&mut self, destination: &str) -> Result<(), String> {
        let ends = destination.match_indices('/').map(|(end, _)| end).filter(|end| *end > 0);
        let ancestors: Vec<_> = ends.map(|end| &destination[..end]).collect();
        let there = ancestors.iter().rposition(|ancestor| self.disk.exists(ancestor));
        let missing = &ancestors[there.map_or(0, |there| there + 1)..];
        missing.iter().try_for_each(|ancestor| self.make_directory(ancestor))
    }

    /// A link to a directory is followed, a link to a file isn't.
    fn directory(&mut self, source: &str, destination: &str) -> Result<(), String> {
        if !self.disk.is_directory(destination) {
            self.make_directory(destination)?;
        }
        for name in self.revision.names(source)? {
            let source = if source.is_empty() { name.clone() } else { join(source, &name) };
            let destination = join(destination, &name);
            if self.revision.is_directory(&source) {
                self.directory(&source, &destination)?;
            } else {
                self.file(source, destination)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, source: String, destination: String) -> Result<(), String> {
        if self.disk.exists(&destination) {
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
        if let Some(other) = self.copied.get(&destination) {
            return Err(format!(
                "The deployment failed because the application specification file specifies two source files named \
                 {source} and {other} for the same destination ({destination}). Remove one of the source file paths from \
                 the AppSpec file, and then try again."
            ));
        }
        if self.made.contains(&destination) {
            return Err(format!(
                "The deployment failed because the application specification file calls for installing the file \
                 {source}, but a file with that name already exists at the location ({destination}). Update your AppSpec \
                 file or directory structure, and then try again."
            ));
        }
        self.copied.insert(destination.clone(), source.clone());
        self.copies.push((destination.clone(), source.clone()));
        self.commands.push(Command::Copy { source, destination });
        Ok(())
    }

    fn make_directory(&mut self, path: &str) -> Result<(), String> {
        if let Some(source) = self.copied.get(path) {
            return Err(format!(
                "The deployment failed because the application specification file includes an mkdir command more than \
                 once for the same destination path ({path}) from ({source}). Update the files section of the AppSpec \
                 file, and then try again."
            ));
        }
        if self.made.insert(path.to_owned()) {
            self.directories.push(path.to_owned());
            self.commands.push(Command::MakeDirectory(path.to_owned()));
        }
        Ok(())
    }

    /// Only what this installation copies or makes is touched; of a directory its content, not itself. Whether there
    /// was anything.
    fn permit(&mut self, permission: &Permission) -> Result<bool, String> {
        let object = absolute(&permission.object);
        if self.copied.contains_key(&object) {
            if permission.is_about("file") {
                permission.check_file()?;
                permission.check_file_acl()?;
                self.set(permission, object)?;
            }
            return Ok(permission.is_about("file"));
        }
        if !self.made.contains(&object) && !self.disk.is_directory(&object) {
            return Ok(false);
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
        let any = !matches.is_empty();
        matches.into_iter().try_for_each(|path| self.set(permission, path))?;
        Ok(any)
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
}

fn path<'a>(place: &str, value: &'a Value) -> Result<&'a str, String> {
    value.text().ok_or_else(|| wrong(place, value, "text"))
}

/// A path from a top that `..` can't leave, without `.`, `..` and doubled separators. Of any machine: Unix's rules.
pub fn clean(path: &str) -> String {
    let mut inside = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                inside.pop();
            }
            part => inside.push(part),
        }
    }
    inside.join("/")
}

/// Ruby's `File.expand_path`, for an agent that is root and works in `/`.
fn absolute(path: &str) -> String {
    match path.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("/{}", clean(&format!("root{rest}"))),
        _ => format!("/{}", clean(path)),
    }
}

fn join(directory: &str, name: &str) -> String {
    if name.is_empty() || directory.ends_with('/') {
        return format!("{directory}{name}");
    }
    format!("{directory}/{name}")
}
