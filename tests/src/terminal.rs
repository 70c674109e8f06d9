//! A person at a terminal: the command `tagship`, whose questions aren't asked where nobody looks on, or in a terminal of
//! so many columns, with answers.

use crate::forms::Forms;
use serde_json::Value;
use std::process::{Command, Output, Stdio};
use tagship_local::{Local, moto};

/// Has a command run in a terminal of so many columns, and types each answer once its question is shown.
const SCREEN: &str = "
import fcntl, json, os, pty, struct, sys, termios, time
columns, answers, words = int(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3:]
child, terminal = pty.fork()
if child == 0:
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack('HHHH', 24, columns, 0, 0))
    os.execvp(words[0], words)
unread = b''
try:
    while shown := os.read(terminal, 65536):
        sys.stdout.buffer.write(shown)
        unread += shown
        if answers and answers[0][0].encode() in unread:
            # What is typed before keys are read is a line to the terminal.
            while termios.tcgetattr(terminal)[3] & termios.ICANON:
                time.sleep(0.01)
            os.write(terminal, answers.pop(0)[1].encode())
            unread = b''
except OSError:
    pass  # it has ended
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
";

/// The command, against a cloud on this machine.
pub struct Terminal<'a> {
    /// The cloud.
    pub local: &'a Local,
    /// The person's own directory, where commands run.
    pub dir: tempfile::TempDir,
    /// What it has written as JSON.
    pub forms: Forms,
}

impl<'a> Terminal<'a> {
    /// Before anything is typed.
    ///
    /// # Panics
    ///
    /// If there is no room for a directory.
    pub fn new(local: &'a Local) -> Self {
        Self { local, dir: tempfile::tempdir().expect("a directory"), forms: Forms::default() }
    }

    /// As somebody with this access key would run it.
    pub fn command(&self, who: &str, words: &[&str]) -> Command {
        let mut command = Command::new(tagship_local::command().expect("built"));
        command
            .args(words)
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir.path())
            .env("AWS_ENDPOINT_URL", self.local.gateway.url())
            .env("AWS_ACCESS_KEY_ID", who)
            .env("AWS_SECRET_ACCESS_KEY", "local")
            .env("AWS_REGION", &self.local.account.region)
            .stdin(Stdio::null());
        command
    }

    /// What is shown in a terminal of so many columns to somebody with this access key, who types each answer once its
    /// question is shown; and the exit code.
    ///
    /// # Panics
    ///
    /// If there is no Python.
    pub fn shows(&self, who: &str, columns: usize, words: &[&str], answers: &[(&str, &str)]) -> (Option<i32>, String) {
        let typed = self.command(who, words);
        let python = moto::python().unwrap_or_else(|error| panic!("{error}"));
        let python = std::path::absolute(python).expect("a path");
        let mut screen = Command::new(python);
        screen.args(["-c", SCREEN, &columns.to_string(), &serde_json::json!(answers).to_string()]);
        screen.arg(typed.get_program()).args(typed.get_args()).current_dir(self.dir.path());
        for (name, value) in typed.get_envs() {
            screen.env(name, value.unwrap_or_default());
        }
        let output = screen.env("NO_COLOR", "1").stdin(Stdio::null()).output().expect("Python runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n"))
    }

    /// As ops, who may do everything.
    ///
    /// # Panics
    ///
    /// If the command isn't built.
    pub fn run(&self, words: &[&str]) -> Output {
        self.command("ops", words).output().expect("tagship is built with the workspace")
    }

    /// What it prints, if it ends so.
    ///
    /// # Panics
    ///
    /// If it ends otherwise.
    pub fn says(&self, code: i32, words: &[&str]) -> String {
        let output = self.run(words);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "tagship {}:\n{out}{err}", words.join(" "));
        out + &err
    }

    /// Its JSON.
    ///
    /// # Panics
    ///
    /// If it fails, or writes none.
    pub fn json(&self, words: &[&str]) -> Value {
        let text = self.says(0, &[words, &["--output", "json"]].concat());
        let document: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        self.forms.note(words, &document);
        document
    }
}
