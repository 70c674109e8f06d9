//! What the page answers over HTTP: itself, a stream of what is shown, and acts.

use super::act::{Deed, Said};
use super::guard::{Guard, Refusal};
use super::shown::{Shown, Wish, Wishes};
use axum::Router;
use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{HeaderName, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::stream::{self, Stream};
use serde::Deserialize;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

const INDEX: &str = include_str!("assets/index.html");
const STYLE: &str = include_str!("assets/page.css");
const ICON: &str = include_str!("assets/icon.svg");
/// In the order in which they are loaded.
const SCRIPTS: [(&str, &str); 5] = [
    ("/dom.js", include_str!("assets/dom.js")),
    ("/chart.js", include_str!("assets/chart.js")),
    ("/served.js", include_str!("assets/served.js")),
    ("/view.js", include_str!("assets/view.js")),
    ("/page.js", include_str!("assets/page.js")),
];

/// What every answer carries: nothing is loaded from elsewhere, framed, guessed or kept.
const HEADERS: [(HeaderName, &str); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Between two signs of life on a stream where nothing happens.
const ALIVE: Duration = Duration::from_secs(15);

/// A person's act, and where its answer goes.
pub(crate) type Asked = (Deed, oneshot::Sender<Result<String, Said>>);

/// What the server knows.
pub(crate) struct Page {
    pub(crate) guard: Guard,
    pub(crate) shown: watch::Receiver<Shown>,
    pub(crate) wishes: Arc<Wishes>,
    /// Where acts are carried out.
    pub(crate) acts: mpsc::Sender<Asked>,
}

/// The page.
pub(crate) fn router(page: Arc<Page>) -> Router {
    let mut router = Router::new()
        .route("/enter", get(enter))
        .route("/", get(|| async { index("") }))
        .route("/page.css", get(|| async { text("text/css; charset=utf-8", STYLE) }))
        .route("/icon.svg", get(|| async { text("image/svg+xml", ICON) }))
        .route("/events", get(events))
        .route("/act", post(act));
    for (path, script) in SCRIPTS {
        router = router.route(path, get(move || async move { text("text/javascript; charset=utf-8", script) }));
    }
    router.layer(from_fn_with_state(page.clone(), guarded)).with_state(page)
}

/// Lets nobody in who may not, and says on every answer what a browser may do with it.
async fn guarded(State(page): State<Arc<Page>>, request: Request<Body>, next: Next) -> Response {
    let allowed = page.guard.addressed(request.method(), request.headers()).and_then(|()| {
        // Whoever enters has no cookie yet.
        if request.uri().path() == "/enter" { Ok(()) } else { page.guard.known(request.headers()) }
    });
    let mut response = match allowed {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, says) = match self {
            Self::Host => {
                (StatusCode::FORBIDDEN, "This page answers to 127.0.0.1 and localhost alone, on its own port.")
            }
            Self::Origin => (StatusCode::FORBIDDEN, "Another page asks: nothing is answered."),
            Self::Nobody => (
                StatusCode::UNAUTHORIZED,
                "This browser hasn't come in. Open the file that `tagship dashboard` names; it opens the page once. For \
                 another time, start `tagship dashboard` again.",
            ),
            Self::Token => (
                StatusCode::FORBIDDEN,
                "This browser may look, not act: `tagship dashboard --act` opens a page that may.",
            ),
        };
        (status, says).into_response()
    }
}

fn text(kind: &'static str, body: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind)], body).into_response()
}

/// The page, with the token that acts need for whoever has just come in. Its script keeps it; it isn't shown again.
fn index(token: &str) -> Response {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], INDEX.replace("{token}", token)).into_response()
}

#[derive(Deserialize)]
struct Secret {
    #[serde(default)]
    secret: String,
}

async fn enter(State(page): State<Arc<Page>>, Query(given): Query<Secret>) -> Response {
    let Some(cookie) = page.guard.enter(&given.secret) else { return Refusal::Nobody.into_response() };
    let mut response = index(page.guard.token().unwrap_or_default());
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    response
}

#[derive(Deserialize)]
struct Wanted {
    /// The service role; all services without it.
    #[serde(default)]
    service: String,
}

async fn events(
    State(page): State<Arc<Page>>,
    Query(wanted): Query<Wanted>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let told = Told {
        wish: page.wishes.wish(&wanted.service),
        shown: page.shown.clone(),
        view: None,
        trouble: None,
        ready: VecDeque::new(),
    };
    let stream = stream::unfold(told, |mut told| async {
        let event = told.next().await?;
        Some((Ok(event), told))
    });
    Sse::new(stream).keep_alive(KeepAlive::new().interval(ALIVE))
}

/// What one browser has been told.
struct Told {
    wish: Wish,
    shown: watch::Receiver<Shown>,
    view: Option<Arc<str>>,
    trouble: Option<Arc<str>>,
    ready: VecDeque<Event>,
}

impl Told {
    /// The next thing that it doesn't know; none at the page's end.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let shown = self.shown.borrow_and_update().clone();
            let (name, view) = match self.wish.service() {
                "" => ("overview", shown.overview),
                service => ("service", shown.services.get(service).map(|one| one.json.clone())),
            };
            if let Some(view) = view.filter(|view| self.view.as_ref() != Some(view)) {
                self.ready.push_back(Event::default().event(name).data(&*view));
                self.view = Some(view);
            }
            if self.trouble.as_ref() != Some(&shown.trouble) {
                self.ready.push_back(Event::default().event("trouble").data(&*shown.trouble));
                self.trouble = Some(shown.trouble);
            }
            if self.ready.is_empty() {
                self.shown.changed().await.ok()?;
            }
        }
    }
}

/// An act is done if it is one of those that are shown, word for word: whoever saw an older view is told so.
async fn act(State(page): State<Arc<Page>>, headers: HeaderMap, body: axum::body::Bytes) -> Response {
    if let Err(refusal) = page.guard.may_act(&headers) {
        return refusal.into_response();
    }
    let deed: Deed = match serde_json::from_slice(&body) {
        Ok(deed) => deed,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("This is no act: {error}")).into_response(),
    };
    let offered = page.shown.borrow().services.get(&deed.service).is_some_and(|one| deed.is_among(&one.acts));
    if !offered {
        let says = "What you saw isn't so any more: nothing was done. Look again, then decide.";
        return (StatusCode::CONFLICT, says).into_response();
    }
    let (answer, answered) = oneshot::channel();
    if page.acts.send((deed, answer)).await.is_err() {
        return (StatusCode::SERVICE_UNAVAILABLE, "The page is ending: nothing was done.").into_response();
    }
    match answered.await {
        Ok(Ok(did)) => (StatusCode::OK, did).into_response(),
        Ok(Err(Said(why))) => (StatusCode::CONFLICT, why).into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "The page is ending: look whether it was done.").into_response(),
    }
}
