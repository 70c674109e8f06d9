//! Carries requests from clients to targets and the answers back.

use super::counts::{Counts, Outcome};
use super::view::{Decision, Endpoint, View};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, SERVER};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri, Version};
use hyper_util::client::legacy::{Client, Error, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tagship_cloud::state::Listener;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

type Body = BoxBody<Bytes, hyper::Error>;
type Pool = Client<HttpConnector, Incoming>;

/// Kept connections, a pool an endpoint: what is no target any more loses its pool, so that no
/// request can reach it over an old connection.
pub(super) struct Pools {
    connect_timeout: Duration,
    pools: Mutex<HashMap<Endpoint, Pool>>,
}

impl Pools {
    pub(super) fn new(connect_timeout: Duration) -> Self {
        Self { connect_timeout, pools: Mutex::default() }
    }

    fn to(&self, endpoint: &Endpoint) -> Pool {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(endpoint) {
            return pool.clone();
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(self.connect_timeout));
        let pool: Pool = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        pools.insert(endpoint.clone(), pool.clone());
        pool
    }

    /// Forgets every endpoint that no node may choose.
    pub(super) fn keep(&self, nodes: &[watch::Receiver<Arc<View>>]) {
        let views: Vec<_> = nodes.iter().map(|node| node.borrow().clone()).collect();
        let known: HashSet<_> = views.iter().flat_map(|view| view.endpoints()).collect();
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.retain(|endpoint, _| known.contains(endpoint));
    }
}

/// The balancer's nodes and what they share.
pub(super) struct Proxy {
    nodes: Vec<watch::Receiver<Arc<View>>>,
    pools: Arc<Pools>,
    idle_timeout: Duration,
    counts: Arc<Counts>,
    requests: AtomicUsize,
    /// The next target of each group, round robin.
    turns: Mutex<HashMap<String, usize>>,
}

impl Proxy {
    pub(super) fn new(
        nodes: Vec<watch::Receiver<Arc<View>>>,
        pools: Arc<Pools>,
        idle_timeout: Duration,
        counts: Arc<Counts>,
    ) -> Self {
        Self { nodes, pools, idle_timeout, counts, requests: AtomicUsize::new(0), turns: Mutex::default() }
    }

    /// Serves one listener's port until dropped.
    pub(super) async fn serve(self: Arc<Self>, socket: TcpListener, listener: Listener) {
        let listener = Arc::new(listener);
        let mut connections = JoinSet::new();
        loop {
            let (stream, client) = tokio::select! {
                accepted = socket.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        tracing::warn!(listener = listener.arn, %error, "a client could not be accepted");
                        // Out of file descriptors, most likely.
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                },
                Some(_) = connections.join_next() => continue,
            };
            // Without it, small answers wait for the client's acknowledgement.
            let _ = stream.set_nodelay(true);
            let (proxy, listener) = (self.clone(), listener.clone());
            connections.spawn(async move {
                let service = service_fn(move |request| {
                    let (proxy, listener) = (proxy.clone(), listener.clone());
                    async move { Ok::<_, Infallible>(proxy.answer(&listener, client, request).await) }
                });
                // An error here is the client's: it went away or spoke no HTTP.
                let _ = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    }

    async fn answer(&self, listener: &Listener, client: SocketAddr, request: Request<Incoming>) -> Response<Body> {
        let turn = self.requests.fetch_add(1, Ordering::Relaxed);
        let view = self.nodes[turn % self.nodes.len()].borrow().clone();
        let host = request
            .headers()
            .get(HOST)
            .and_then(|host| host.to_str().ok())
            .or(request.uri().host())
            .unwrap_or_default();
        let decision = view.decide(
            &listener.arn,
            host,
            request.uri().path(),
            |name| request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned),
            |total| rand::random_range(0..total),
            |group, _| self.turn(group),
        );
        match decision {
            Decision::Respond { status, body } => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::NOT_IMPLEMENTED);
                own(status, body.to_owned())
            }
            Decision::NoTarget { group } => {
                self.counts.add(group, Outcome::NoTarget);
                own(StatusCode::SERVICE_UNAVAILABLE, String::new())
            }
            Decision::Forward { group, endpoint } => {
                let forwarded = forwarded(listener, client, endpoint, request);
                let began = Instant::now();
                let answer = self.pools.to(endpoint).request(forwarded);
                let (outcome, response) = match tokio::time::timeout(self.idle_timeout, answer).await {
                    Ok(Ok(response)) => {
                        self.counts.took(group, began.elapsed());
                        carried(response)
                    }
                    Ok(Err(error)) if !timed_out(&error) => {
                        tracing::warn!(target = endpoint.id, %error, "502");
                        (Outcome::BadGateway, own(StatusCode::BAD_GATEWAY, String::new()))
                    }
                    Ok(Err(_)) | Err(_) => (Outcome::Timeout, own(StatusCode::GATEWAY_TIMEOUT, String::new())),
                };
                self.counts.add(group, outcome);
                response
            }
        }
    }

    fn turn(&self, group: &str) -> usize {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get_mut(group) {
            *turn = turn.wrapping_add(1);
            return *turn;
        }
        turns.insert(group.to_owned(), 0);
        0
    }
}

/// The client's request as the target gets it.
fn forwarded(
    listener: &Listener,
    client: SocketAddr,
    endpoint: &Endpoint,
    request: Request<Incoming>,
) -> Request<Incoming> {
    let (mut parts, body) = request.into_parts();
    let mut uri = std::mem::take(&mut parts.uri).into_parts();
    uri.scheme = Some(hyper::http::uri::Scheme::HTTP);
    uri.authority = endpoint.address.to_string().parse().ok();
    if uri.path_and_query.is_none() {
        uri.path_and_query = Some(hyper::http::uri::PathAndQuery::from_static("/"));
    }
    parts.uri = Uri::from_parts(uri).unwrap_or_default();
    parts.version = Version::HTTP_11;
    strip_hop_by_hop(&mut parts.headers);
    let seen = HeaderName::from_static("x-forwarded-for");
    let mut path: Vec<String> =
        parts.headers.get_all(&seen).iter().filter_map(|value| value.to_str().ok().map(str::to_owned)).collect();
    path.push(client.ip().to_string());
    for (name, value) in [
        (seen, path.join(", ")),
        (HeaderName::from_static("x-forwarded-proto"), listener.protocol.to_ascii_lowercase()),
        (HeaderName::from_static("x-forwarded-port"), listener.port.to_string()),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            parts.headers.insert(name, value);
        }
    }
    Request::from_parts(parts, body)
}

/// The target's response as the client gets it.
fn carried(mut response: Response<Incoming>) -> (Outcome, Response<Body>) {
    strip_hop_by_hop(response.headers_mut());
    // A status has three digits, so its class is 1 to 9.
    let class = u8::try_from(response.status().as_u16() / 100).unwrap_or(u8::MAX);
    *response.version_mut() = Version::HTTP_11;
    (Outcome::Target(class), response.map(BodyExt::boxed))
}

/// A response of the balancer's own.
fn own(status: StatusCode, body: String) -> Response<Body> {
    let body = if body.is_empty() { status.to_string() } else { body };
    let body = Full::new(Bytes::from(body)).map_err(|never| match never {});
    let mut response = Response::new(body.boxed());
    *response.status_mut() = status;
    response.headers_mut().insert(SERVER, HeaderValue::from_static("awselb/2.0"));
    response
}

/// Takes off what is between two neighbours only (RFC 9110, section 7.6.1).
fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in ["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"] {
        headers.remove(name);
    }
}

fn timed_out(error: &Error) -> bool {
    std::iter::successors(std::error::Error::source(error), |cause| (*cause).source())
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == ErrorKind::TimedOut)
}
