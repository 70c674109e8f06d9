//! A person at a terminal that nobody looks at: the command `tagship`, whose questions aren't asked.

use crate::forms::Forms;
use serde_json::Value;
use std::process::{Command, Output, Stdio};
use tagship_local::{Local, Plan};

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
        let mut command = Command::new(Plan::new(Vec::new()).functions.join("tagship"));
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
