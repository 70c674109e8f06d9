//! `tagship-local up`, running as a shell starts it: what it prints and tells, and what works for it.

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tagship_local::Plan;

/// Far longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(200);

/// The program, running in a process group of its own as a shell starts it, and what it printed.
pub struct Up {
    process: Child,
    /// Its first screen.
    pub text: String,
    /// What the first screen leads to: the file with the other commands.
    pub more: String,
    /// And the one that a shell reads.
    environment: String,
    /// What it has told since.
    told: Arc<Mutex<String>>,
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = killpg(self.group(), Signal::SIGKILL);
        let _ = self.process.wait();
        // It does so itself, unless it is killed.
        let _ = fs::remove_dir_all(self.directory());
    }
}

impl Up {
    /// Brings it up, and reads its first screen.
    ///
    /// # Panics
    ///
    /// If it doesn't come up.
    pub fn start() -> Self {
        let mut process = Command::new(Plan::new(Vec::new()).functions.join("tagship-local"))
            .arg("up")
            .process_group(0)
            .stdout(Stdio::piped())
            .spawn()
            .expect("tagship-local is built with the workspace");
        let mut output = BufReader::new(process.stdout.take().expect("piped")).lines();
        let mut text = String::new();
        while !text.contains("What happens is told here:") {
            let line = output.next().unwrap_or_else(|| panic!("it ended early: {text}")).expect("text");
            text.push_str(&line);
            text.push('\n');
        }
        let told = Arc::<Mutex<String>>::default();
        let tells = told.clone();
        std::thread::spawn(move || {
            for line in output.map_while(Result::ok) {
                let mut told = tells.lock().unwrap_or_else(PoisonError::into_inner);
                told.extend([line.as_str(), "\n"]);
            }
        });
        let file = |name: &str| {
            let directory = word_after(&text, "  . ").trim_end_matches("/env");
            fs::read_to_string(format!("{directory}/{name}")).unwrap_or_else(|error| panic!("{name}: {error}"))
        };
        let (more, environment) = (file("more"), file("env"));
        Self { process, text, more, environment, told }
    }

    fn group(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.process.id()).expect("a process id"))
    }

    /// The commands as printed: indented, those that end in a backslash with the next line.
    pub fn commands(&self) -> Vec<String> {
        let joined = [self.text.as_str(), &self.more].concat().replace("\\\n", "\\\u{1}");
        let indented = joined.lines().filter_map(|line| line.strip_prefix("  "));
        let commands = indented.filter(|line| !line.starts_with('$') && !line.starts_with('/'));
        commands.map(|line| line.replace('\u{1}', "\n")).collect()
    }

    /// Where it keeps everything.
    fn directory(&self) -> &str {
        word_after(&self.text, "  . ").trim_end_matches("/env")
    }

    /// What its commands go to.
    pub fn address(&self) -> &str {
        word_after(&self.environment, "export AWS_ENDPOINT_URL=").trim_matches('\'')
    }

    /// Waits until these have been told, each after the one before it.
    ///
    /// # Panics
    ///
    /// If they never are.
    pub fn tells(&self, parts: &[&str]) {
        until(&format!("{parts:?} to be told"), || {
            let told = self.told.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let words: String = told.split_whitespace().collect::<Vec<_>>().join(" ");
            let mut rest = words.as_str();
            for part in parts {
                rest = rest.split_once(part).ok_or_else(|| format!("no {part:?} there in {told}"))?.1;
            }
            Ok(())
        });
    }

    /// Its own process and all that works for it: its descendants, and whoever knows its address or its directory.
    fn processes(&self) -> BTreeSet<Pid> {
        let marks = [self.address(), self.directory()];
        let all: Vec<Pid> = fs::read_dir("/proc")
            .expect("/proc")
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok().map(Pid::from_raw))
            .collect();
        let knows = |pid: &&Pid| {
            ["environ", "cmdline"].iter().any(|file| {
                let text = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
                let text = String::from_utf8_lossy(&text);
                marks.iter().any(|mark| text.contains(mark))
            })
        };
        let mut found: BTreeSet<Pid> = all.iter().filter(knows).copied().collect();
        found.insert(self.group());
        loop {
            let children = all.iter().filter(|pid| parent(**pid).is_some_and(|parent| found.contains(&parent)));
            let grown: BTreeSet<Pid> = found.iter().chain(children).copied().collect();
            if grown.len() == found.len() {
                return found;
            }
            found = grown;
        }
    }

    /// Sends `signal` to the whole group, as a terminal does, and waits until none of its processes is left.
    ///
    /// # Panics
    ///
    /// If one stays, or it ends otherwise than it should.
    pub fn ends_with(mut self, signal: Signal) {
        let before = self.processes();
        assert!(before.len() > 4, "the emulator, functions, agents: {before:?}");
        killpg(self.group(), signal).expect("it runs");
        let status = self.process.wait().expect("it ends");
        assert_eq!(status.success(), signal != Signal::SIGKILL, "{status}: {:?}", self.told);
        let left = || -> Vec<String> {
            let since = self.processes();
            let alive = before.iter().chain(&since).filter(|pid| **pid != self.group() && alive(**pid));
            alive.map(|pid| format!("{pid} {}", command_line(*pid))).collect()
        };
        until(&format!("everything to end after {signal}"), || {
            let left = left();
            if left.is_empty() { Ok(()) } else { Err(left.join("\n")) }
        });
    }
}

/// What follows `before` in a text, up to white space.
///
/// # Panics
///
/// If it isn't there.
pub fn word_after<'t>(text: &'t str, before: &str) -> &'t str {
    let rest = text.split(before).nth(1).unwrap_or_else(|| panic!("no {before:?} in {text}"));
    rest.split_whitespace().next().unwrap_or_default()
}

fn parent(pid: Pid) -> Option<Pid> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let parent = stat.rsplit(')').next()?.split_whitespace().nth(1)?;
    parent.parse().ok().map(Pid::from_raw)
}

/// A process that has ended and is only waited for has no command line.
fn alive(pid: Pid) -> bool {
    !command_line(pid).is_empty()
}

fn command_line(pid: Pid) -> String {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&words).replace('\0', " ")
}

/// Looks until there is what is wanted.
///
/// # Panics
///
/// If it never comes.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let began = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) if began.elapsed() > LIMIT => panic!("waited in vain for {what}: {seen}"),
            Err(_) => std::thread::sleep(LOOK),
        }
    }
}
