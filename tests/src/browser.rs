//! A real browser without a screen: Debian's `chromium`, led over WebDriver by its `chromium-driver` (`make chromium`).

use base64::prelude::{BASE64_STANDARD, Engine};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use reqwest::Client;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Between two looks at the page.
const LOOK: Duration = Duration::from_millis(200);
/// Far more than anything here takes.
const LOOKS: u32 = 1_000;

/// A browser with one tab; it ends when this is dropped.
pub struct Browser {
    driver: Child,
    http: Client,
    session: String,
}

/// How a picture is taken.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pose {
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom; the whole page if none.
    pub height: u32,
    /// As by night.
    pub dark: bool,
}

impl Browser {
    /// Starts it; none if this machine has none.
    pub async fn start() -> Option<Self> {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            // A group of its own, so that the browser ends with it.
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let output = BufReader::new(driver.stdout.take().expect("piped"));
        let started = output.lines().map_while(Result::ok).find(|line| line.contains("started successfully on port"));
        let started = started.expect("chromedriver says its port");
        let port = started.trim_end_matches('.').rsplit(' ').next().expect("a number").to_owned();
        let mut browser = Self { driver, http: Client::new(), session: format!("http://127.0.0.1:{port}/session") };
        // Where tests run as root there is no sandbox; it looks at nothing but our own page.
        let arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"];
        let wanted = json!({"browserName": "chrome", "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"args": arguments}});
        let body = json!({"capabilities": {"alwaysMatch": wanted}});
        let begun = browser.post("", body).await;
        browser.session = format!("{}/{}", browser.session, begun["sessionId"].as_str().expect("a session"));
        Some(browser)
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let request = self.http.post(format!("{}{path}", self.session)).json(&body);
        let mut answer: Value = request.send().await.expect("the driver answers").json().await.expect("in JSON");
        assert!(answer["value"]["error"].is_null(), "{path} {body}: {answer:#}");
        answer["value"].take()
    }

    /// Goes to an address.
    pub async fn goes(&self, url: &str) {
        self.post("/url", json!({"url": url})).await;
    }

    /// What this script returns in the page.
    pub async fn runs(&self, script: &str) -> Value {
        self.post("/execute/sync", json!({"script": script, "args": []})).await
    }

    /// The text of what a selector finds first; empty if there is nothing.
    pub async fn text(&self, selector: &str) -> String {
        let text = self.runs(&format!("return document.querySelector({})?.innerText ?? ''", json!(selector))).await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the text there has these words.
    pub async fn sees(&self, selector: &str, words: &str) {
        for _ in 0..LOOKS {
            if self.text(selector).await.contains(words) {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
        panic!("{selector} never says {words:?}: {}\n{}", self.text(selector).await, self.text("body").await);
    }

    /// Types these keys, each pressed and let go, into what has the focus. Keys without a letter are WebDriver's:
    /// `\u{E004}` is Tab, `\u{E007}` Enter.
    pub async fn types(&self, keys: &str) {
        let key = |kind: &str, key: char| json!({"type": kind, "value": key});
        let actions: Vec<Value> = keys.chars().flat_map(|it| [key("keyDown", it), key("keyUp", it)]).collect();
        self.post("/actions", json!({"actions": [{"type": "key", "id": "keys", "actions": actions}]})).await;
    }

    /// Tabs on until what has the focus says this, as a person without a mouse does.
    pub async fn tabs_to(&self, words: &str) {
        for _ in 0..100 {
            let focused = self.runs("return document.activeElement.textContent").await;
            if focused.as_str().is_some_and(|text| text.trim() == words) {
                return;
            }
            self.types("\u{E004}").await;
        }
        panic!("no key leads to {words:?}");
    }

    /// What the browser complains of: scripts' errors, what the policy of the page forbids.
    pub async fn complaints(&self) -> Vec<String> {
        let logs = self.post("/se/log", json!({"type": "browser"})).await;
        logs.as_array().into_iter().flatten().filter_map(|line| line["message"].as_str().map(str::to_owned)).collect()
    }

    /// Shows the page in this pose.
    pub async fn poses(&self, pose: Pose) {
        let light = json!([{"name": "prefers-color-scheme", "value": if pose.dark { "dark" } else { "light" }}]);
        self.tools("Emulation.setEmulatedMedia", json!({"features": light})).await;
        let height = if pose.height == 0 { 900 } else { pose.height };
        let size = json!({"width": pose.width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.tools("Emulation.setDeviceMetricsOverride", size).await;
        // What is drawn for the width is drawn anew.
        self.runs("window.dispatchEvent(new Event('resize')); return document.body.offsetHeight").await;
    }

    /// Takes a picture of the page.
    pub async fn pictures(&self, file: &Path, pose: Pose) {
        self.poses(pose).await;
        let whole = json!({"format": "png", "captureBeyondViewport": pose.height == 0});
        let taken = self.tools("Page.captureScreenshot", whole).await;
        let decoded = BASE64_STANDARD.decode(taken["data"].as_str().expect("a picture")).expect("base64");
        std::fs::write(file, decoded).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }

    async fn tools(&self, command: &str, parameters: Value) -> Value {
        self.post("/goog/cdp/execute", json!({"cmd": command, "params": parameters})).await
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let group = i32::try_from(self.driver.id()).expect("a process id");
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        let _ = self.driver.wait();
    }
}
