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
                    copied.map_err(about(source))?;
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
mod tests {
    use super::*;

    /// Installs `appspec` of a revision with `files` (a text beginning with `->` is a link), onto a disk with `before`;
    /// what the disk then holds: path, `->target` or text, and the mode of what isn't 644 or 755.
    #[track_caller]
    fn check(appspec: &str, files: &[(&str, &str)], before: &[(&str, &str)], expected: Result<&[&str], &str>) {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        for (base, files) in [("archive", files), ("root", before)] {
            fs::create_dir_all(at(base)).expect("made");
            for (path, content) in files {
                let path = at(base).join(path);
                fs::create_dir_all(path.parent().expect("a parent")).expect("made");
                match content.strip_prefix("->") {
                    Some(target) => symlink(target, path).expect("linked"),
                    None => fs::write(path, content).expect("written"),
                }
            }
        }
        let (archive, root, cleanup) = (at("archive"), at("root"), at("cleanup"));
        let places = Places { archive: &archive, root: &root, cleanup: &cleanup };
        let spec = AppSpec::parse(format!("version: 0.0\nos: linux\n{appspec}").as_bytes()).expect(appspec);
        let found = install(&spec, places, "DISALLOW").map(|()| {
            let mut lines = Vec::new();
            seen(&root, &root, &mut lines);
            lines
        });
        match expected {
            Ok(expected) => assert_eq!(found.expect(appspec), expected, "{appspec}"),
            Err(words) => {
                let error = found.expect_err(appspec);
                assert!(error.contains(words), "{appspec}: {error}");
            }
        }
        remove_last(places).expect("removed");
        let mut left = Vec::new();
        seen(&root, &root, &mut left);
        let kept = |line: &String| before.iter().any(|(path, _)| line.contains(path) || path.starts_with(&**line));
        assert!(left.iter().all(kept), "{appspec}: {left:?}");
    }

    fn seen(root: &Path, directory: &Path, lines: &mut Vec<String>) {
        for path in entries(directory).expect("entries") {
            let name = path.strip_prefix(root).expect("inside").display().to_string();
            if let Ok(target) = fs::read_link(&path) {
                lines.push(format!("{name} ->{}", target.display()));
                continue;
            }
            let mode = fs::metadata(&path).expect("metadata").permissions().mode() & 0o7777;
            let mode = if matches!(mode, 0o644 | 0o755) { String::new() } else { format!(" {mode:o}") };
            if path.is_dir() {
                lines.push(format!("{name}/{mode}"));
                seen(root, &path, lines);
            } else {
                lines.push(format!("{name} {}{mode}", fs::read_to_string(&path).expect("text")));
            }
        }
    }

    const ALL: &str = "files: [{source: /, destination: /opt/web}]\n";
    const TREE: [(&str, &str); 3] = [("a.sh", "1"), ("b.txt", "2"), ("d/c.sh", "3")];

    #[test]
    fn files_go_where_they_belong() {
        check(
            ALL,
            &TREE,
            &[],
            Ok(&["opt/", "opt/web/", "opt/web/a.sh 1", "opt/web/b.txt 2", "opt/web/d/", "opt/web/d/c.sh 3"]),
        );
        check("files: [{source: d/c.sh, destination: etc}]", &TREE, &[], Ok(&["etc/", "etc/c.sh 3"]));
        check("files: [{source: d, destination: /x/../../y}]", &TREE, &[], Ok(&["y/", "y/c.sh 3"]));
        check("files: [{source: d, destination: ~/y}]", &TREE, &[], Ok(&["root/", "root/y/", "root/y/c.sh 3"]));
        check("files: [{source: none, destination: /y}]", &TREE, &[], Err("No such file or directory - "));
        check("files: [{source: 2024, destination: /y}]", &TREE, &[], Err("a source of files"));
        check("files: [{source: a.sh, destination: 7}]", &TREE, &[], Err("a destination of files"));
    }

    #[test]
    fn links_stay_links_but_those_to_directories_are_followed() {
        let files = [("a", "1"), ("to-a", "->a"), ("to-d", "->d"), ("d/c", "3"), ("gone", "->/nowhere")];
        check(
            "files: [{source: /, destination: /w}]",
            &files,
            &[],
            Ok(&["w/", "w/a 1", "w/d/", "w/d/c 3", "w/gone ->/nowhere", "w/to-a ->a", "w/to-d/", "w/to-d/c 3"]),
        );
    }

    #[test]
    fn what_is_there_already() {
        let one = |more: &str| format!("{more}files: [{{source: a.sh, destination: /w}}]");
        let there = [("w/a.sh", "old")];
        check(&one(""), &TREE, &there, Err("already exists at this location: /w/a.sh"));
        check(&one("file_exists_behavior: RETAIN\n"), &TREE, &there, Ok(&["w/", "w/a.sh old"]));
        check(&one("file_exists_behavior: OVERWRITE\n"), &TREE, &there, Ok(&["w/", "w/a.sh 1"]));
        let twice = "files: [{source: a.sh, destination: /w}, {source: x/a.sh, destination: /w}]";
        let files = [("a.sh", "1"), ("x/a.sh", "2")];
        check(twice, &files, &[], Err("two source files named x/a.sh and a.sh for the same destination (/w/a.sh)"));
        let file_is_directory = "files: [{source: d/c.sh, destination: /w/a.sh}, {source: a.sh, destination: /w}]";
        check(file_is_directory, &TREE, &[], Err("calls for installing the file a.sh, but a file with that name"));
        let directory_is_file = "files: [{source: a.sh, destination: /w}, {source: d, destination: /w/a.sh}]";
        check(directory_is_file, &TREE, &[], Err("more than once for the same destination path (/w/a.sh)"));
    }

    #[test]
    fn permissions_touch_only_what_was_copied() {
        let with = |permission: &str| format!("{ALL}permissions: [{{object: /opt/web, {permission}}}]");
        let there = [("opt/web/old.sh", "0")];
        let disk = |a: &str, b: &str, c: &str, d: &str| {
            let line =
                |text: &str, mode: &str| if mode.is_empty() { text.to_owned() } else { format!("{text} {mode}") };
            vec![
                "opt/".to_owned(),
                "opt/web/".to_owned(),
                line("opt/web/a.sh 1", a),
                line("opt/web/b.txt 2", b),
                line("opt/web/d/", d),
                line("opt/web/d/c.sh 3", c),
                "opt/web/old.sh 0".to_owned(),
            ]
        };
        for (permission, modes) in [
            ("mode: 700", ["700", "700", "700", "700"]),
            ("mode: \"0700\", type: [file]", ["700", "700", "700", ""]),
            ("mode: 700, type: [directory]", ["", "", "", "700"]),
            ("mode: 700, pattern: \"*.sh\"", ["700", "", "", ""]),
            ("mode: 700, pattern: \"*\", except: [a*, d]", ["", "700", "", ""]),
            ("mode: 700, except: [\"*.txt\"]", ["700", "", "700", "700"]),
            ("mode: 700, type: []", ["", "", "", ""]),
            ("owner: web", ["", "", "", ""]),
        ] {
            let [a, b, c, d] = modes;
            let expected = disk(a, b, c, d);
            let expected: Vec<_> = expected.iter().map(String::as_str).collect();
            check(&with(permission), &TREE, &there, Ok(&expected));
        }
        let elsewhere =
            format!("{ALL}permissions: [{{object: /nowhere, mode: 700}}, {{object: /opt/web/d/c.sh, mode: 1}}]");
        let expected = disk("", "", "1", "");
        let expected: Vec<_> = expected.iter().map(String::as_str).collect();
        check(&elsewhere, &TREE, &there, Ok(&expected));
    }

    #[test]
    fn permissions_that_fail_while_installing() {
        let with = |permissions: &str| format!("{ALL}permissions: [{permissions}]");
        for (permissions, words) in [
            (
                "{object: /opt/web, mode: 1}, {object: /opt, mode: 2, type: [file]}",
                "(/opt/web/a.sh) is specified more than once",
            ),
            ("{object: /opt/web/a.sh, pattern: a}", "an object (/opt/web/a.sh) with an invalid pattern (a)"),
            ("{object: /opt/web/a.sh, except: [a]}", "section ([\"a\"]) for the object named /opt/web/a.sh"),
            ("{object: /opt/web/a.sh, acls: [\"d:u:web:rw\"]}", "supported for directories only"),
            ("{object: /opt/web, owner: 1000}", "an owner of permissions"),
            ("{object: /opt/web, pattern: [a]}", "a pattern of permissions"),
            ("{object: /opt/web, context: {type: t}}", "the context of permissions"),
        ] {
            check(&with(permissions), &TREE, &[], Err(words));
        }
    }

    #[test]
    fn no_path_leads_out_of_the_instance() {
        for (path, inside) in [("/opt/web", "/r/opt/web"), ("../../etc/passwd", "/r/etc/passwd"), ("a/../b", "/r/b")] {
            assert_eq!(under(Path::new("/r"), path), Path::new(inside));
        }
    }
}
