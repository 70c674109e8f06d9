//! The page over real HTTP on this machine: who is answered, and what is done.

use super::act::{Deed, Meant, Offer, Verb};
use super::guard::{Entry, Guard, TOKEN};
use super::server::{Asked, Page, router};
use super::shown::{One, Shown, Wishes};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::sync::Arc;
use tagship::ReleaseId;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

const SECRET: &str = "the secret";
const SERVICE: &str = "WEB_PRODUCT";

/// A page that is served, and the other ends of what it needs.
struct Served {
    port: u16,
    token: Option<String>,
    wishes: Arc<Wishes>,
    shows: watch::Sender<Shown>,
    asked: mpsc::Receiver<Asked>,
}

fn meant(token: &str) -> Meant {
    let approval = ["Release", "QaApproval", token].map(str::to_owned);
    let release = ReleaseId::try_from("r-1".to_owned()).expect("a release");
    Meant { verb: Verb::Approve, pipeline: "web".to_owned(), release, approval: Some(approval) }
}

impl Served {
    async fn start(act: bool) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let offer = Offer { meant: meant("t-1"), question: "Approve?".to_owned() };
        let one = One { json: r#"{"service":"WEB_PRODUCT"}"#.into(), acts: vec![offer] };
        let shown = Shown { services: [(SERVICE.to_owned(), one)].into(), ..Shown::default() };
        let ((shows, shown), (asks, asked)) = (watch::channel(shown), mpsc::channel(1));
        let wishes = Arc::new(Wishes::default());
        let guard = Guard::new(port, Entry::new(SECRET.to_owned(), None), act);
        let token = guard.token().map(str::to_owned);
        let page = Arc::new(Page { guard, shown, wishes: wishes.clone(), acts: asks });
        tokio::spawn(async move { axum::serve(listener, router(page)).await });
        Self { port, token, wishes, shows, asked }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        Client::new().request(method, format!("http://127.0.0.1:{}{path}", self.port))
    }

    async fn enters(&self, secret: &str) -> Response {
        self.request(Method::GET, "/enter").query(&[("secret", secret)]).send().await.expect("an answer")
    }

    /// Comes in, and answers with the cookie as a browser sends it.
    async fn cookie(&self) -> String {
        let entered = self.enters(SECRET).await;
        assert_eq!(entered.status(), 200);
        let cookie = entered.headers()["set-cookie"].to_str().expect("text").to_owned();
        for flag in ["HttpOnly", "SameSite=Strict", "Path=/"] {
            assert!(cookie.split("; ").any(|part| part == flag), "{flag}: {cookie}");
        }
        let body = entered.text().await.expect("a page");
        let token = self.token.as_deref().unwrap_or_default();
        assert!(body.contains(&format!(r#"<meta name="token" content="{token}">"#)), "{body}");
        cookie.split(';').next().expect("a pair").to_owned()
    }

    fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// A request of a browser that has come in, changed by what is wrong with it; how it is answered.
#[track_caller]
fn check(act: bool, method: Method, path: &'static str, changes: &[(&'static str, &str)], expected: u16) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let status = runtime.block_on(async {
        let mut served = Served::start(act).await;
        let port = served.port.to_string();
        let mut headers = vec![("cookie", served.cookie().await)];
        if method == Method::POST {
            headers.push(("origin", served.origin()));
            headers.extend(served.token.clone().map(|token| (TOKEN, token)));
        }
        for (name, value) in changes {
            headers.retain(|(known, _)| known != name);
            headers.extend((!value.is_empty()).then(|| (*name, value.replace("PORT", &port))));
        }
        let mut request = served.request(method.clone(), path);
        for (name, value) in &headers {
            request = request.header(*name, value);
        }
        if method == Method::POST {
            request = request.body(json!({"service": SERVICE, "meant": meant("t-1"), "words": "ok"}).to_string());
        }
        let does = async {
            if let Some((_, answer)) = served.asked.recv().await {
                let _ = answer.send(Ok("done".to_owned()));
            }
            std::future::pending::<()>().await
        };
        let response = tokio::select! {
            response = request.send() => response.expect("an answer"),
            () = does => unreachable!("it waits for ever"),
        };
        let policy = response.headers()["content-security-policy"].to_str().expect("text");
        assert!(policy.starts_with("default-src 'none'"), "every answer has it: {policy}");
        assert!(response.headers().get("access-control-allow-origin").is_none(), "no other page may read it");
        response.status().as_u16()
    });
    assert_eq!(status, expected, "{method} {path} {changes:?}");
}

#[test]
fn who_looks_has_come_in_and_names_this_page() {
    for path in ["/", "/page.js", "/page.css", "/events?service=WEB_PRODUCT"] {
        for (what, expected) in [
            (vec![], 200),
            (vec![("host", "localhost:PORT")], 200),
            (vec![("cookie", "")], 401),
            (vec![("cookie", "tagship-PORT=0000")], 401),
            (vec![("cookie", "other=1; tagship-PORT=")], 401),
            (vec![("host", "evil.example:PORT")], 403),
            (vec![("host", "127.0.0.1")], 403),
            (vec![("host", "127.0.0.1:1")], 403),
            (vec![("origin", "http://127.0.0.1:PORT")], 200),
            (vec![("origin", "http://localhost:PORT")], 403),
            (vec![("origin", "http://127.0.0.1:1")], 403),
            (vec![("origin", "https://evil.example")], 403),
            (vec![("origin", "null")], 403),
        ] {
            check(true, Method::GET, path, &what, expected);
        }
    }
    check(true, Method::GET, "/nothing", &[], 404);
    check(true, Method::POST, "/", &[], 405);
}

#[test]
fn who_acts_has_the_token_too() {
    for (what, expected) in [
        (vec![], 200),
        (vec![("cookie", "")], 401),
        (vec![(TOKEN, "")], 403),
        (vec![(TOKEN, "0000")], 403),
        (vec![("origin", "")], 403),
        (vec![("origin", "null")], 403),
        (vec![("origin", "https://evil.example")], 403),
        (vec![("host", "evil.example:PORT"), ("origin", "http://evil.example:PORT")], 403),
    ] {
        check(true, Method::POST, "/act", &what, expected);
    }
    // Where nobody may act, no token is the right one.
    check(false, Method::POST, "/act", &[], 403);
    check(false, Method::POST, "/act", &[(TOKEN, "0000")], 403);
    check(true, Method::GET, "/act", &[], 405);
}

#[tokio::test]
async fn the_secret_opens_once() {
    let served = Served::start(true).await;
    assert_eq!(served.enters("").await.status(), 401);
    // A wrong one doesn't use it up.
    assert_eq!(served.enters("the secre").await.status(), 401);
    served.cookie().await;
    let again = served.enters(SECRET).await;
    assert_eq!(again.status(), 401);
    assert!(again.headers().get("set-cookie").is_none());
    assert!(again.text().await.expect("words").contains("tagship dashboard"), "it says what to do");
}

#[tokio::test]
async fn the_file_goes_with_the_secret() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let path = file.path().to_path_buf();
    let guard = Guard::new(1, Entry::new(SECRET.to_owned(), Some(file)), false);
    assert!(guard.enter("wrong").is_none() && path.exists());
    assert!(guard.enter(SECRET).is_some() && !path.exists());
}

/// An act as somebody posts it: how it is answered, and whether anything is done.
async fn posts(served: &mut Served, cookie: &str, body: Value, does: Result<String, String>) -> (u16, String, bool) {
    let token = served.token.clone().unwrap_or_default();
    let request = served.request(Method::POST, "/act").header("cookie", cookie).header("origin", served.origin());
    let request = request.header(TOKEN, token).body(body.to_string());
    let mut done = None;
    let response = tokio::select! {
        response = request.send() => response.expect("an answer"),
        response = async {
            let (deed, answer) = served.asked.recv().await.expect("it is asked");
            done = Some(deed);
            let _ = answer.send(does.map_err(super::act::Said));
            std::future::pending().await
        } => response,
    };
    let status = response.status().as_u16();
    let wanted: Option<Deed> = serde_json::from_value(body).ok();
    assert!(done.is_none() || done == wanted, "what is done is what was asked for");
    (status, response.text().await.expect("words"), done.is_some())
}

#[tokio::test]
async fn what_is_done_is_what_was_seen() {
    let mut served = Served::start(true).await;
    let cookie = served.cookie().await;
    let act = |service: &str, meant: Meant| json!({"service": service, "meant": meant, "words": "ok"});
    let stop = Meant { verb: Verb::Stop, ..meant("t-1") };
    let other = Meant { release: ReleaseId::try_from("r-2".to_owned()).expect("a release"), ..meant("t-1") };
    let fine = || Ok("done".to_owned());
    for (what, body, does, expected) in [
        ("as it is", act(SERVICE, meant("t-1")), fine(), (200, "done", true)),
        ("refused", act(SERVICE, meant("t-1")), Err("somebody else".to_owned()), (409, "somebody else", true)),
        ("an older token", act(SERVICE, meant("t-0")), fine(), (409, "isn't so any more", false)),
        ("another release", act(SERVICE, other), fine(), (409, "isn't so any more", false)),
        ("what isn't offered", act(SERVICE, stop), fine(), (409, "isn't so any more", false)),
        ("another service", act("OTHER", meant("t-1")), fine(), (409, "isn't so any more", false)),
        ("no act", json!({"service": SERVICE}), fine(), (400, "no act", false)),
    ] {
        let (status, says, done) = posts(&mut served, &cookie, body, does).await;
        assert_eq!((status, done), (expected.0, expected.2), "{what}: {says}");
        assert!(says.contains(expected.1), "{what}: {says}");
    }
}

#[tokio::test]
async fn a_stream_tells_what_is_new_and_counts_as_somebody_who_looks() {
    let served = Served::start(false).await;
    let cookie = served.cookie().await;
    assert!(served.wishes.open().is_empty());
    let request = served.request(Method::GET, "/events?service=WEB_PRODUCT").header("cookie", cookie);
    let mut stream = request.send().await.expect("a stream");
    let mut told = String::new();
    let mut until = async |wanted: &str| {
        while !told.contains(wanted) {
            let chunk = stream.chunk().await.expect("it goes on").expect("it has no end");
            told.push_str(&String::from_utf8_lossy(&chunk));
        }
    };
    until(r#"data: {"service":"WEB_PRODUCT"}"#).await;
    assert_eq!(served.wishes.open(), [SERVICE]);
    let one = One { json: r#"{"service":"WEB_PRODUCT","at":2}"#.into(), acts: Vec::new() };
    served.shows.send_modify(|shown| {
        shown.services.insert(SERVICE.to_owned(), one);
        shown.trouble = "asked too often".into();
    });
    until(r#""at":2"#).await;
    until("data: asked too often").await;
    drop(stream);
    // The server notices when the connection ends.
    while !served.wishes.open().is_empty() {
        tokio::task::yield_now().await;
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
