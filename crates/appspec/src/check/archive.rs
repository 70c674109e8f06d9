//! The ZIP: its entries as they come, and the tree that they make once `unzip` has put them on an instance's disk.

use super::report::{Code, Findings, Place};
use crate::plan::{Revision, clean};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Read};
use zip::{CompressionMethod, System, ZipArchive};

/// Far more than any script that is text. What is longer is looked at up to here.
pub(super) const MOST_READ_BYTES: u64 = 1 << 20;

/// What is at a path.
pub(super) struct Node {
    pub(super) kind: Kind,
    /// The entry; a directory may have none of its own, and what can't be unpacked has none here.
    entry: Option<usize>,
    /// Read, write, execute; `None` if the archive says nothing, as one made on Windows.
    pub(super) mode: Option<u32>,
    pub(super) bytes: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    /// A symbolic link, and what it holds.
    Link(String),
}

/// What a path leads to.
pub(super) enum Found<'a> {
    Node(&'a Node),
    Nothing,
    /// Something on the instance, of which an archive knows nothing.
    Outside,
}

/// An archive, unpacked as far as names go.
pub(super) struct Unpacked {
    zip: ZipArchive<BufReader<File>>,
    /// By [`clean`] paths from the top.
    nodes: BTreeMap<String, Node>,
    /// The directory that is taken for the top, with its `/`.
    prefix: String,
}

const ONE_BY_ONE: &str =
    "Build the archive from inside its directory, with names below it: `cd build && zip -r ../release.zip .`";

impl Unpacked {
    pub(super) fn of(mut zip: ZipArchive<BufReader<File>>, findings: &mut Findings) -> Self {
        let mut nodes: BTreeMap<String, Node> = BTreeMap::new();
        for index in 0..zip.len() {
            let Ok(entry) = zip.by_index_data(index) else {
                continue;
            };
            let Ok(name) = entry.name().map(std::borrow::Cow::into_owned) else {
                let place = Place { file: Some(String::from_utf8_lossy(entry.name_raw()).into_owned()), line: None };
                findings.error(
                    Code::EntryDamaged,
                    place,
                    "The entry's name can't be read.",
                    "Build the archive again.",
                );
                continue;
            };
            let place = Place { file: Some(name.clone()), line: None };
            let (is_link, unix) = (entry.is_symlink(), entry.system() == System::Unix);
            let mode = entry.unix_mode().filter(|_| unix).map(|mode| mode & 0o777);
            let bytes = entry.size();
            let is_directory = entry.is_dir() || name.ends_with('\\');
            let readable = check_content(entry.encrypted(), entry.compression(), &place, findings);
            let name = check_name(&name, unix, &place, findings);
            if name.is_empty() {
                continue;
            }
            let kind = match () {
                () if is_directory => Kind::Directory,
                () if readable && is_link => Kind::Link(text(&mut zip, index).unwrap_or_default()),
                () => Kind::File,
            };
            let entry = readable.then_some(index);
            insert(&mut nodes, name, Node { kind, entry, mode, bytes }, &place, findings);
        }
        if zip.has_duplicate_names() {
            findings.warning(
                Code::NameTwice,
                Place::default(),
                "Several entries of the archive have the same name, and only the last one of them stays.",
                "Build the archive anew instead of adding to an old one.",
            );
        }
        let mut all = Self { zip, nodes, prefix: String::new() };
        all.through_links(findings);
        all.prefix = all.single_directory().map(|name| format!("{name}/")).unwrap_or_default();
        all
    }

    /// `unzip` writes through a link that it has just made.
    fn through_links(&self, findings: &mut Findings) {
        for (path, node) in &self.nodes {
            if let (Kind::Link(target), Some((below, _))) = (&node.kind, self.below(path).next()) {
                findings.error(
                    Code::NameThroughLink,
                    Place { file: Some(below.clone()), line: None },
                    format!("{path} is a symbolic link to {target}, and this entry would be written where that leads."),
                    format!("Leave {path} or what is below it out of the archive."),
                );
            }
        }
    }

    fn below<'a>(&'a self, path: &str) -> impl Iterator<Item = (&'a String, &'a Node)> {
        let base = if path.is_empty() { String::new() } else { format!("{path}/") };
        self.nodes.range(base.clone()..).take_while(move |(name, _)| name.starts_with(&base))
    }

    /// A lone directory that holds something called appspec is taken for the top, as the agent does.
    fn single_directory(&self) -> Option<String> {
        let mut tops = self.names_at("").into_iter();
        let (Some(only), None) = (tops.next(), tops.next()) else {
            return None;
        };
        let within = self.names_at(&only);
        within.iter().any(|name| name.to_lowercase().contains("appspec")).then_some(only)
    }

    /// Names at a path from the archive's own top.
    fn names_at(&self, directory: &str) -> Vec<String> {
        let base = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        let names = self.below(directory).filter_map(|(path, _)| path.strip_prefix(&base)?.split('/').next());
        let names: BTreeSet<_> = names.map(str::to_owned).collect();
        names.into_iter().collect()
    }

    /// The directory that is taken for the top, if it isn't the archive's.
    pub(super) fn top(&self) -> Option<&str> {
        self.prefix.strip_suffix('/')
    }

    /// A path of the revision, as the archive has it.
    pub(super) fn shown(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    /// All files, by their paths from the archive's own top.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &Node)> {
        let files = self.nodes.iter().filter(|(_, node)| node.kind != Kind::Directory);
        files.map(|(path, node)| (path.as_str(), node))
    }

    /// What is at a path of the revision; links are followed.
    pub(super) fn find(&self, path: &str) -> Found<'_> {
        /// Linux's own limit is 40.
        const MOST_LINKS: usize = 40;
        let mut path = self.shown(&clean(path)).trim_end_matches('/').to_owned();
        'links: for _ in 0..MOST_LINKS {
            let ends: Vec<_> = path.match_indices('/').map(|(end, _)| end).chain([path.len()]).collect();
            for end in ends {
                let (so_far, rest) = path.split_at(end);
                if let Some(Kind::Link(target)) = self.nodes.get(so_far).map(|node| &node.kind) {
                    let parent = so_far.rsplit_once('/').map_or("", |(parent, _)| parent);
                    let Some(inside) = resolve(parent, target) else {
                        return Found::Outside;
                    };
                    path = clean(&format!("{inside}{rest}"));
                    continue 'links;
                }
            }
            return self.nodes.get(&path).map_or(Found::Nothing, Found::Node);
        }
        Found::Nothing
    }

    /// The beginning of a file; `None` where that isn't in the archive, or has its error.
    pub(super) fn read(&mut self, path: &str) -> Result<Option<Vec<u8>>, String> {
        match self.find(path) {
            Found::Node(&Node { kind: Kind::File, entry: Some(entry), .. }) => bytes(&mut self.zip, entry).map(Some),
            _ => Ok(None),
        }
    }
}

impl Revision for Unpacked {
    fn is_directory(&self, path: &str) -> bool {
        path.is_empty() || matches!(self.find(path), Found::Node(Node { kind: Kind::Directory, .. }))
    }

    fn names(&self, directory: &str) -> Result<Vec<String>, String> {
        Ok(self.names_at(self.shown(directory).trim_end_matches('/')))
    }
}

/// Where a link leads, from the top; `None` if that is outside.
fn resolve(parent: &str, target: &str) -> Option<String> {
    if target.starts_with('/') {
        return None;
    }
    let mut inside: Vec<_> = parent.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                inside.pop()?;
            }
            part => inside.push(part),
        }
    }
    Some(inside.join("/"))
}

/// The name as `unzip` takes it.
fn check_name(name: &str, unix: bool, place: &Place, findings: &mut Findings) -> String {
    let mut name = name.to_owned();
    if name.contains('\\') {
        findings.error(
            Code::NameBackslash,
            place.clone(),
            "The name has `\\` between its directories, which on Linux is a character like any other: the file may land \
             at the top under this whole name.",
            "Build the archive with `zip`, `tar -a`, 7-Zip or PowerShell 7; older PowerShell and .NET write such names.",
        );
        if !unix {
            name = name.replace('\\', "/");
        }
    }
    let drive = name.as_bytes().get(1) == Some(&b':') && name.as_bytes()[0].is_ascii_alphabetic();
    if name.starts_with('/') || drive {
        let message = "The name is absolute. The agent puts the file below its own directory, not there.";
        findings.error(Code::NameAbsolute, place.clone(), message, ONE_BY_ONE);
    }
    if name.split('/').any(|part| part == "..") {
        let message =
            "The name has `..` in it: unpacked, the file leaves its directory, or lands elsewhere than it says.";
        findings.error(Code::NameLeaves, place.clone(), message, ONE_BY_ONE);
        // Info-ZIP leaves them out.
        name = name.split('/').filter(|part| *part != "..").collect::<Vec<_>>().join("/");
    }
    clean(&name)
}

/// Whether it can be unpacked at all.
fn check_content(encrypted: bool, method: CompressionMethod, place: &Place, findings: &mut Findings) -> bool {
    if encrypted {
        let message = "The entry is encrypted, and the agent has no password.";
        findings.error(Code::EntryEncrypted, place.clone(), message, "Build the archive without a password.");
        return false;
    }
    // What both of the agent's ways of unpacking know: `unzip`, and Ruby's own.
    if !matches!(method, CompressionMethod::Stored | CompressionMethod::Deflated) {
        findings.error(
            Code::EntryCompression,
            place.clone(),
            format!("The entry is compressed by method {method}, which not every instance can undo."),
            "Build the archive with the ordinary method, deflate: `zip -Z deflate`, or 7-Zip's `-mm=Deflate`.",
        );
        return false;
    }
    true
}

fn insert(nodes: &mut BTreeMap<String, Node>, name: String, node: Node, place: &Place, findings: &mut Findings) {
    let mut clash = |path: &str| {
        let message = format!("{path} is a file in one entry, and a directory in another.");
        findings.error(Code::NameTwice, place.clone(), message, "Leave one of them out of the archive.");
    };
    for (end, _) in name.match_indices('/') {
        let parent = &name[..end];
        match nodes.get(parent) {
            Some(Node { kind: Kind::File, .. }) => clash(parent),
            Some(_) => {}
            None => {
                let directory = Node { kind: Kind::Directory, entry: None, mode: None, bytes: 0 };
                nodes.insert(parent.to_owned(), directory);
            }
        }
    }
    if nodes.get(&name).is_some_and(|there| (there.kind == Kind::Directory) != (node.kind == Kind::Directory)) {
        clash(&name);
    }
    nodes.insert(name, node);
}

fn text(zip: &mut ZipArchive<BufReader<File>>, entry: usize) -> Option<String> {
    String::from_utf8(bytes(zip, entry).ok()?).ok()
}

fn bytes(zip: &mut ZipArchive<BufReader<File>>, entry: usize) -> Result<Vec<u8>, String> {
    let mut read = Vec::new();
    let entry = zip.by_index(entry).map_err(|error| error.to_string())?;
    entry.take(MOST_READ_BYTES).read_to_end(&mut read).map_err(|error| error.to_string())?;
    Ok(read)
}
