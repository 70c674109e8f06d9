//! Copies an appspec's files to their places, as the agent's installer does.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use tagship_appspec::{AppSpec, Command, Disk, Plan, Revision, clean};

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
    let plan = Plan::of(spec, &places, &places, file_exists_behavior);
    if let Some(refusal) = plan.refusals.into_iter().next() {
        return Err(refusal.message);
    }
    let mut made = String::new();
    let done = plan.commands.iter().try_for_each(|command| carry_out(command, places, &mut made));
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

fn carry_out(command: &Command, places: Places<'_>, made: &mut String) -> Result<(), String> {
    let at = |path: &str| under(places.root, path);
    match command {
        Command::MakeDirectory(path) => {
            fs::create_dir(at(path)).map_err(about(Path::new(path)))?;
            *made += &format!("{path}\n");
        }
        Command::Copy { source, destination } => {
            *made += &format!("{destination}\n");
            let (source, there) = (under(places.archive, source), at(destination));
            if source.is_symlink() {
                let copied = fs::read_link(source).and_then(|target| symlink(target, &there));
                copied.map_err(about(Path::new(destination)))?;
            } else {
                let copied = fs::copy(&source, &there).and_then(|_| {
                    let modified = fs::metadata(&source)?.modified()?;
                    fs::File::open(&there)?.set_modified(modified)
                });
                // Ruby names the function that failed.
                copied.map_err(|error| about(&source)(error).replacen(" - ", " @ rb_sysopen - ", 1))?;
            }
        }
        Command::ChangeMode { object, mode } => {
            // A link that leads out of the directory leads to this machine's own files.
            let real = at(object).canonicalize().map_err(about(Path::new(object)))?;
            if places.root.canonicalize().is_ok_and(|root| real.starts_with(root)) {
                fs::set_permissions(real, fs::Permissions::from_mode(*mode)).map_err(about(Path::new(object)))?;
            }
        }
    }
    Ok(())
}

impl Revision for Places<'_> {
    fn is_directory(&self, path: &str) -> bool {
        under(self.archive, path).is_dir()
    }

    fn names(&self, directory: &str) -> Result<Vec<String>, String> {
        let name = |path: PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(entries(&under(self.archive, directory))?.into_iter().map(name).collect())
    }
}

impl Disk for Places<'_> {
    fn exists(&self, path: &str) -> bool {
        under(self.root, path).exists()
    }

    fn is_directory(&self, path: &str) -> bool {
        under(self.root, path).is_dir()
    }
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
    let inside = clean(path);
    if inside.is_empty() { root.to_path_buf() } else { root.join(inside) }
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
