//! The pages tell the truth as far as a test can see: links lead somewhere, tables are the code's, translations are of
//! the page as it is.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};
use tagship::engine::{Standing, Word};
use tagship::settings::Settings;
use tagship::{
    Action, Back, Ended, Held, Hold, Holding, HowEnded, Offer, Phase, Planner, ReleaseId, ServiceRole, StageName,
    Visit, actions,
};

/// Directories that are built, not written.
const BUILT: [&str; 3] = ["target", "node_modules", "__pycache__"];
/// Files whose comments may name a page.
const SOURCES: [&str; 8] = ["rs", "py", "yaml", "yml", "toml", "sh", "mk", "Makefile"];

fn root() -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("the workspace's directory")
}

/// Every file that a person wrote, by the end of its name (or by its whole name), relative to the root.
fn files(ends: &[&str]) -> Vec<PathBuf> {
    fn walk(folder: &Path, ends: &[&str], found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a directory") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            if path.is_dir() {
                if !name.starts_with('.') && !BUILT.contains(&name.as_str()) {
                    walk(&path, ends, found);
                }
            } else if ends.iter().any(|end| name == *end || name.ends_with(&format!(".{end}"))) {
                found.push(path);
            }
        }
    }
    let root = root();
    let mut found = Vec::new();
    walk(&root, ends, &mut found);
    let mut found: Vec<PathBuf> =
        found.iter().filter_map(|path| path.strip_prefix(&root).ok()).map(Into::into).collect();
    found.sort();
    found
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Without `..`; none if it leaves the repository.
fn normal(path: &Path) -> Option<PathBuf> {
    path.components().try_fold(PathBuf::new(), |mut normal, component| {
        match component {
            Component::ParentDir => normal.pop().then_some(())?,
            Component::Normal(part) => normal.push(part),
            _ => {}
        }
        Some(normal)
    })
}

/// A page: where it links to, what it names, and what can be linked to in it.
#[derive(Debug, Default)]
struct Page {
    links: Vec<String>,
    /// What it sets as code.
    code: Vec<String>,
    anchors: BTreeSet<String>,
}

impl Page {
    fn of(text: &str) -> Self {
        let mut page = Self::default();
        let mut heading: Option<String> = None;
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push(dest_url.to_string());
                }
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::Text(words) | Event::Code(words) if heading.is_some() => {
                    heading.get_or_insert_default().push_str(&words);
                }
                Event::Code(words) => page.code.push(words.to_string()),
                Event::End(TagEnd::Heading(_)) => page.anchor(&heading.take().unwrap_or_default()),
                _ => {}
            }
        }
        page
    }

    /// As GitHub makes them: lower case, punctuation dropped, spaces as dashes, repetitions numbered.
    fn anchor(&mut self, heading: &str) {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let slug: String = kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect();
        let mut numbered = slug.clone();
        let mut n = 0;
        while !self.anchors.insert(numbered.clone()) {
            n += 1;
            numbered = format!("{slug}-{n}");
        }
    }
}

#[test]
fn every_link_leads_somewhere() {
    let pages: BTreeMap<PathBuf, Page> =
        files(&["md"]).into_iter().map(|path| (path.clone(), Page::of(&read(&path)))).collect();
    let mut dead = Vec::new();
    for (path, page) in &pages {
        for link in &page.links {
            if link.starts_with("https://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => Some(path.clone()),
                file => normal(&path.parent().unwrap_or(Path::new("")).join(file)),
            };
            let found = target.as_ref().is_some_and(|target| root().join(target).exists());
            let there = anchor.is_empty()
                || target.and_then(|target| pages.get(&target)).is_some_and(|page| page.anchors.contains(anchor));
            if !found || !there {
                dead.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(pages.values().map(|page| page.links.len()).sum::<usize>() > 50, "the pages' links were not found");
    assert!(dead.is_empty(), "these links lead nowhere:\n{}", dead.join("\n"));
}

/// Pages name files from the root, or from the core's sources.
#[test]
fn every_file_that_a_page_names_is_there() {
    const FROM: [&str; 2] = ["", "crates/tagship/src"];
    const BEGIN: [&str; 9] =
        ["crates/", "infra/", "tests/", "events/", "docs/", "model/", "engine/", "policy/", "report/"];
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
    let mut missing = Vec::new();
    let mut seen = 0;
    for path in files(&["md"]) {
        for name in Page::of(&read(&path)).code {
            if name.chars().all(plain) && BEGIN.iter().any(|begin| name.starts_with(begin)) {
                seen += 1;
                if !FROM.iter().any(|from| root().join(from).join(&name).exists()) {
                    missing.push(format!("{}: {name}", path.display()));
                }
            }
        }
    }
    assert!(seen > 50, "only {seen} names were found");
    assert!(missing.is_empty(), "these files are not there:\n{}", missing.join("\n"));
}

/// `docs/RULES.md#the-hold` in a comment.
fn mentions(text: &str) -> impl Iterator<Item = &str> {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '/' | '_' | '-' | '#');
    text.split(move |c| !part(c)).map(|word| word.trim_end_matches('.')).filter(|word| {
        let file = word.split('#').next().unwrap_or_default();
        file.len() > ".md".len() && file.ends_with(".md")
    })
}

#[test]
fn no_comment_names_a_page_that_is_not_there() {
    let pages: BTreeMap<PathBuf, Page> =
        files(&["md"]).into_iter().map(|path| (path.clone(), Page::of(&read(&path)))).collect();
    let mut wrong = Vec::new();
    for path in files(&SOURCES) {
        let text = read(&path);
        for mention in mentions(&text) {
            let (file, anchor) = mention.split_once('#').unwrap_or((mention, ""));
            // From the root, or from where it is mentioned.
            let beside = normal(&path.parent().unwrap_or(Path::new("")).join(file));
            let page = pages.get(Path::new(file)).or_else(|| beside.and_then(|beside| pages.get(&beside)));
            if !page.is_some_and(|page| anchor.is_empty() || page.anchors.contains(anchor)) {
                wrong.push(format!("{}: {mention}", path.display()));
            }
        }
        // The pages that the design was once on.
        if path.extension().is_some_and(|end| end == "rs") && path.file_name().is_some_and(|name| name != "docs.rs") {
            wrong.extend(
                text.lines()
                    .filter(|line| line.contains("//") && (line.contains("DESIGN") || line.contains("FACTS")))
                    .map(|line| format!("{}: {}", path.display(), line.trim())),
            );
        }
    }
    assert!(wrong.is_empty(), "these pages are not there:\n{}", wrong.join("\n"));
}

/// The rows of the table that follows `marker`, its head first; a cell is its plain words.
fn table(text: &str, marker: &str) -> Vec<Vec<String>> {
    let (_, after) = text.split_once(marker).unwrap_or_else(|| panic!("no {marker}"));
    let mut rows = Vec::new();
    let mut inside = false;
    for event in Parser::new_ext(after, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Table(_)) => inside = true,
            Event::Start(Tag::TableHead | Tag::TableRow) => rows.push(Vec::new()),
            Event::Start(Tag::TableCell) => rows.last_mut().expect("a row").push(String::new()),
            Event::Text(words) | Event::Code(words) if inside => {
                rows.last_mut().and_then(|row: &mut Vec<String>| row.last_mut()).expect("a cell").push_str(&words);
            }
            Event::End(TagEnd::Table) => break,
            _ => {}
        }
    }
    rows
}

fn role() -> ServiceRole {
    "WEB_PRODUCT".to_owned().try_into().expect("a role")
}

/// The least that settings have to say.
const SETTINGS: &str = r#"{"SUBNET": "subnet-1", "AMI": "ami-1", "INSTANCE_TYPE": "t3.small", "SG": "sg-1",
    "INSTANCE_PROFILE": "web", "DEPLOY": {"VIA": "codedeploy", "APPLICATION": "web", "GROUP": "WEB_PRODUCT"}}"#;

/// The bucket in the words of docs/RULES.md.
fn bucket(state: &str) -> Holding {
    let release = |n: u8| ReleaseId::try_from(format!("release-{n}")).expect("a release");
    let held = |n, phase, freed| {
        let Offer { settings, .. } = Settings::parse(&role(), SETTINGS).expect("settings");
        let taken = Hold::taken(release(n), "web".to_owned(), jiff::Timestamp::UNIX_EPOCH, settings);
        let hold = Hold { phase, ..taken };
        Some(Held { hold, etag: "e".to_owned(), freed })
    };
    let discarded = Ended::unheld(release(1), HowEnded::Discarded, jiff::Timestamp::UNIX_EPOCH);
    let (held, ended) = match state {
        "this release has ended, there is no hold of its own" => (None, Some(discarded)),
        "this release has ended, its hold is still there" => (held(1, Phase::Ending, true), Some(discarded)),
        "this release has ended, but its hold is open" => (held(1, Phase::Open, true), Some(discarded)),
        "no hold" => (None, None),
        "another release holds" => (held(2, Phase::Open, false), None),
        "another release holds, but has ended" => (held(2, Phase::Approved, true), None),
        "another release holds, has ended, but its hold is open" => (held(2, Phase::Open, true), None),
        "this release holds: open" => (held(1, Phase::Open, false), None),
        "this release holds: open, its traffic goes back" => {
            let back = Back { why: "an alarm".to_owned(), at: jiff::Timestamp::UNIX_EPOCH };
            let held = held(1, Phase::Open, false);
            (held.map(|held| Held { hold: Hold { back: Some(back), ..held.hold }, ..held }), None)
        }
        "this release holds: approved" => (held(1, Phase::Approved, false), None),
        "this release holds: ending" => (held(1, Phase::Ending, false), None),
        other => panic!("docs/RULES.md has a row that this test doesn't know: {other}"),
    };
    Holding { held, ended }
}

/// The word of an action's cell.
struct Cell<'a>(&'a ReleaseId, &'a Holding);

impl Visit for Cell<'_> {
    type Out = &'static str;

    fn visit<P: Planner>(self) -> &'static str {
        P::admit(Standing::of(self.0, self.1)).word()
    }
}

#[test]
fn the_table_of_phases_is_the_codes() {
    let named: BTreeMap<&str, Action> =
        StageName::ALL.iter().flat_map(|stage| stage.actions()).map(|action| (action.as_str(), *action)).collect();
    let rows = table(&read("docs/RULES.md"), "<!-- phases -->");
    let (columns, rows) = rows.split_first().expect("a head");
    let told: BTreeSet<&str> = columns[1..].iter().map(String::as_str).collect();
    assert_eq!(told, named.keys().copied().collect(), "a column for each action");
    assert_eq!(rows.len(), 11, "a row for each state of the bucket");
    let release = ReleaseId::try_from("release-1".to_owned()).expect("a release");
    let mut wrong = Vec::new();
    for row in rows {
        let holding = bucket(&row[0]);
        for (action, told) in columns[1..].iter().zip(&row[1..]) {
            let word = actions::visit(named[action.as_str()], Cell(&release, &holding));
            if word != told {
                wrong.push(format!("{action}, {}: the page says {told}, the code {word}", row[0]));
            }
        }
    }
    assert!(wrong.is_empty(), "docs/RULES.md and engine/admission.rs differ:\n{}", wrong.join("\n"));
}

#[test]
fn the_table_of_settings_is_the_codes() {
    let error = Settings::parse(&role(), r#"{"?": 1}"#).expect_err("no such key").message;
    let (_, known) = error.split_once("the keys are ").expect("the keys");
    let known: BTreeSet<&str> = known.lines().next().unwrap_or_default().split(", ").collect();
    let rows = table(&read("docs/SETTINGS.md"), "<!-- settings -->");
    let told: BTreeSet<&str> = rows[1..].iter().flat_map(|row| row[0].split(", ")).collect();
    assert_eq!(told, known, "docs/SETTINGS.md has a row for each key");
}

/// A translation's first line: `<!-- docs/OPERATIONS.md at SHA-256 1f…, translated -->`.
#[test]
fn translations_are_of_the_page_as_it_is() {
    let pages = files(&["md"]).into_iter().filter(|path| path.starts_with("docs/ko"));
    let mut translations = 0;
    for path in pages {
        let text = read(&path);
        let first = text.lines().next().unwrap_or_default();
        let told = first
            .strip_prefix("<!-- ")
            .and_then(|first| first.strip_suffix(", translated -->"))
            .and_then(|first| first.split_once(" at SHA-256 "));
        let Some((original, sum)) = told else {
            panic!("{}: its first line doesn't say which page it translates: {first}", path.display());
        };
        let now: String = Sha256::digest(read(original)).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            sum,
            now,
            "{original} has changed since {} was translated from it: translate the change (git log -p {original}), then \
             write the new sum into its first line",
            path.display()
        );
        translations += 1;
    }
    assert_eq!(translations, 1, "docs/ko has the page for operations");
}
