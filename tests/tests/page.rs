//! The page that `tagship dashboard` serves, in a real browser without a screen, against a cloud on this machine: a
//! release that is approved by keyboard, one in steps, and one that is rejected after it had traffic.
//!
//! Where there is no browser it says so, and is skipped. `SCREENSHOTS=DIRECTORY` has it take pictures.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tagship_local::artifact::{Variant, pack};
use tagship_local::gateway::Record;
use tagship_local::load::{self, Load, Site};
use tagship_local::{Line, Local, Plan};
use tagship_tests::browser::{Browser, Pose};
use tagship_tests::person::aws_with;
use tagship_tests::words::says;

const ROLE: &str = "WEB_PRODUCT";
const WIDE: u32 = 1_120;
const NARROW: u32 = 360;

/// `tagship dashboard`, running.
struct Dashboard {
    process: Child,
    told: Value,
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Dashboard {
    /// As a caller of this name, by which its calls are known.
    fn start(local: &Local, home: &Path, caller: &str, flags: &[&str]) -> Self {
        let mut process = Command::new(tagship_local::command().expect("built"))
            .args(["dashboard", "--no-open", "--output", "json"])
            .args(flags)
            .env_clear()
            .env("HOME", home)
            .env("TMPDIR", home)
            .env("AWS_ENDPOINT_URL", local.gateway.url())
            .env("AWS_ACCESS_KEY_ID", caller)
            .env("AWS_SECRET_ACCESS_KEY", "local")
            .env("AWS_REGION", &local.account.region)
            .stdout(Stdio::piped())
            .spawn()
            .expect("tagship is built with the workspace");
        let mut line = String::new();
        let mut output = BufReader::new(process.stdout.take().expect("piped"));
        output.read_line(&mut line).expect("it says where it is");
        let told: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(told["schema"], 1, "{told}");
        Self { process, told }
    }

    fn file(&self) -> PathBuf {
        self.told["file"].as_str().expect("a file").into()
    }

    /// Opens it as a person does. The file is its owner's alone, and gone once it has been used; the secret in it shows
    /// nowhere in the list of processes.
    async fn opens(&self, browser: &Browser) {
        let file = self.file();
        let text = std::fs::read_to_string(&file).expect("a page");
        let secret = text.split("secret=").nth(1).and_then(|rest| rest.split('"').next()).expect("a secret");
        assert_eq!(file.metadata().expect("a file").permissions().mode() & 0o777, 0o600);
        browser.goes(&format!("file://{}", file.display())).await;
        browser.sees("h1", "Services").await;
        assert!(!file.exists(), "it opens once");
        assert_eq!(browser.runs("return location.href").await, self.told["address"]);
        for entry in std::fs::read_dir("/proc").expect("processes").filter_map(Result::ok) {
            let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            assert!(!String::from_utf8_lossy(&words).contains(secret), "it shows in {}", entry.path().display());
        }
        // A page of another origin, and the cookie itself, are out of a script's reach.
        assert_eq!(browser.runs("return document.cookie").await, "");
    }
}

/// What a story needs.
struct Story {
    local: Local,
    browser: Browser,
    bucket: String,
    pictures: Option<PathBuf>,
}

impl Story {
    /// A build that says what it is called.
    fn uploads(&self, name: &str) {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), pack(name, Variant::Healthy).expect("a build")).expect("a file");
        let said = json!({"codepipeline-artifact-revision-summary": format!("version {name}, commit 9f3c01ab52")});
        let (body, said) = (file.path().display().to_string(), said.to_string());
        let to = ["s3api", "put-object", "--bucket", &self.bucket, "--key", "release.zip"];
        aws_with(&self.local.gateway.url(), &[&to[..], &["--body", &body, "--metadata", &said]].concat());
    }

    /// Answers the open approval with the keyboard alone.
    async fn answers(&self, verb: &str, approval: &str, words: &str) {
        self.browser.sees("#now", &format!("{approval} waits for an answer")).await;
        self.browser.sees("main .buttons", verb).await;
        // Who doesn't see the page is told the same.
        self.browser.sees("#news", &format!("{ROLE}: {approval} waits for an answer")).await;
        self.browser.tabs_to(verb).await;
        self.browser.types("\u{E007}").await;
        self.browser.sees("#ask-title", &format!("{verb} {approval}?")).await;
        self.browser.types(words).await;
        self.browser.tabs_to(verb).await;
        self.browser.types("\u{E007}").await;
    }

    /// The calls of a page.
    fn calls(&self, caller: &str) -> Vec<Record> {
        let records = self.local.gateway.recorder().records();
        records.into_iter().filter(|record| record.caller == caller).collect()
    }

    async fn picture(&self, name: &str, pose: Pose) {
        if let Some(directory) = &self.pictures {
            self.browser.pictures(&directory.join(name), pose).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_as_the_page_shows_it() {
    let Some(browser) = Browser::start().await else {
        eprintln!(
            "SKIPPED: no chromedriver here, so the page wasn't tried in a browser (`make chromium` installs one)"
        );
        return;
    };
    let mut line = Line::quick("web", ROLE, "web.example.com", 10);
    line.settings["SHIFT"] = json!({"STEPS": [{"WEIGHT": 10, "BAKE": 12}, {"WEIGHT": 50, "BAKE": 12}]});
    // The balancer's minutes are seconds.
    let local = Local::start(Plan { minute_secs: 1, ..Plan::new(vec![line]) }).await.expect("the cloud comes up");
    let home = tempfile::tempdir().expect("a directory");
    let bucket = local.account.services[ROLE].bucket.clone();
    let pictures = std::env::var_os("SCREENSHOTS").map(PathBuf::from);
    let story = Story { local, browser, bucket, pictures };
    let hidden = only_looks(&story, home.path()).await;
    let page = Dashboard::start(&story.local, home.path(), "page", &["--act"]);
    page.opens(&story.browser).await;
    first_release(&story).await;
    let asked = story.calls("viewer").len();
    in_steps_and_back(&story).await;
    assert_eq!(story.calls("viewer").len(), asked, "nobody looks at that page, and it asks");
    drop(hidden);
    narrow_and_whole(&story).await;
    not_too_often(&story);
    assert_eq!(story.browser.complaints().await, Vec::<String>::new());
    // When the command has ended, the page says so.
    drop(page);
    story.browser.sees("#pulse", "lost").await;
}

/// Without `--act` nothing can be done. Who has infra's ViewerPolicy, and no more, sees all of it.
async fn only_looks(story: &Story, home: &Path) -> Dashboard {
    let page = Dashboard::start(&story.local, home, "viewer", &[]);
    page.opens(&story.browser).await;
    story.browser.sees("main", ROLE).await;
    says("overview", &story.browser.text("main").await, &["1 service", "nothing under way"]);
    story.browser.runs("location.hash = '#/WEB_PRODUCT'").await;
    story.browser.sees("#now", "Nothing has been released yet").await;
    let text = story.browser.text("main").await;
    says(
        "service",
        &text,
        &["No release has instances", "The settings name no alarm", "not reached", "HTTP:80 rule 10"],
    );
    assert_eq!(story.browser.runs("return document.querySelectorAll('[data-act]').length").await, 0);
    assert_eq!(story.browser.text(".lacking").await, "", "a viewer may read all of it");
    assert!(story.calls("viewer").iter().any(|it| it.operation == "GetMetricData"), "the figures are asked for");
    let refused = "return fetch('/act', {method: 'POST', body: '{}'}).then((answer) => answer.status)";
    assert_eq!(story.browser.runs(refused).await, 403);
    // That one is a complaint in the browser's log, and was wanted.
    assert_eq!(story.browser.complaints().await.len(), 1);
    story.browser.goes("about:blank").await;
    page
}

async fn first_release(story: &Story) {
    let browser = &story.browser;
    story.uploads("v1");
    browser.runs("document.querySelector('main table a').click()").await;
    browser.sees("h1", ROLE).await;
    story.answers("Approve", "QaApproval", "looks good").await;
    story.answers("Approve", "FinalApproval", "").await;
    browser.sees("#now", "Nothing is under way").await;
    for (part, words) in [
        ("history", "released"),
        ("history", "page"),
        ("fleets", "live"),
        ("fleets", "2 of 2 healthy"),
        ("fleets", "v1+9f3c01ab"),
        ("decisions", "launch"),
        ("decisions", "deploy"),
        ("decisions", "route"),
    ] {
        browser.sees(&format!("[aria-labelledby={part}]"), words).await;
    }
}

async fn in_steps_and_back(story: &Story) {
    let browser = &story.browser;
    let load = some_load(&story.local).await;
    story.uploads("v2");
    story.answers("Approve", "QaApproval", "").await;
    browser.sees(".now .facts", "1 of 2: 10 %").await;
    // Both serve, and each has its own bars.
    browser.sees("figure.requests:nth-of-type(2)", "request").await;
    browser.runs("document.querySelector('[aria-labelledby=served] .as-table').open = true").await;
    says("requests", &browser.text("[aria-labelledby=served] .as-table").await, &["requests", "errors"]);
    browser.sees("#now", "FinalApproval waits").await;
    story.picture("page.png", Pose { width: WIDE, height: 1_000, dark: false }).await;
    story.answers("Reject", "FinalApproval", "slow").await;
    browser.sees("[aria-labelledby=history]", "rejected after traffic").await;
    browser.sees("#now", "Nothing is under way").await;
    browser.sees("[aria-labelledby=fleets]", "live").await;
    assert_eq!(browser.runs("return document.querySelectorAll('.fleet').length").await, 1, "the candidate is gone");
    // The chart in words: each step, and the way back.
    browser.runs("document.querySelector('[aria-labelledby=traffic] .as-table').open = true").await;
    let table = browser.text("[aria-labelledby=traffic] .as-table").await;
    says("weights", &table, &["10 %", "50 %", "90 %", "100 %"]);
    let label = browser.runs("return document.querySelector('.chart').getAttribute('aria-label')").await;
    says("chart", label.as_str().unwrap_or_default(), &["Weights of HTTP:80 rule 10", "now 100 % to"]);
    load.stop().await;
}

/// Requests as customers send them, a few.
async fn some_load(local: &Local) -> Load {
    let address = match &local.balancer {
        Some(balancer) => balancer.address(&local.account.http_listener).await,
        None => panic!("instances are processes, so there is a balancer"),
    };
    let sites = vec![Site { address, host: "web.example.com".to_owned(), path: "/".to_owned() }];
    Load::start(&load::Config { sites, rate: 20, connections: 2, timeout: Duration::from_secs(5) })
}

/// The functions come first: two calls a second, and what may be asked ahead of its time.
fn not_too_often(story: &Story) {
    const AHEAD: f64 = 20.0;
    // The first looks at the overview and at the service, two times the installation, and four acts.
    const FIRST: f64 = 40.0;
    let calls = story.calls("page");
    let (Some(first), Some(last)) = (calls.first(), calls.last()) else { panic!("it has asked nothing") };
    let (made, seconds) = (calls.len() as f64, last.at.duration_since(first.at).as_secs_f64());
    eprintln!("the page made {made} calls in {seconds:.0} s: {:.2} a second", made / seconds);
    assert!(made <= 2.0 * seconds + AHEAD + FIRST, "{made} calls in {seconds} s");
}

/// Narrow, nothing is cut off; what is shown as a table by day and by night.
async fn narrow_and_whole(story: &Story) {
    for (name, pose) in [
        ("page-light.png", Pose { width: WIDE, ..Pose::default() }),
        ("page-dark.png", Pose { width: WIDE, dark: true, ..Pose::default() }),
        ("page-narrow.png", Pose { width: NARROW, ..Pose::default() }),
    ] {
        story.browser.poses(pose).await;
        let wide = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]";
        let found = story.browser.runs(wide).await;
        assert_eq!(found[0], found[1], "at {pose:?} something is cut off");
        story.picture(name, pose).await;
    }
    story.browser.runs("location.hash = '#/'").await;
    story.browser.sees("h1", "Services").await;
    story.browser.sees("table.services", "v1+9f3c01ab").await;
    story.picture("overview.png", Pose { width: WIDE, height: 500, dark: false }).await;
}
