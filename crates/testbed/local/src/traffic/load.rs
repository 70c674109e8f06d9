//! Constant HTTP load over kept connections, and what became of every request.

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::HOST;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

/// The response header that names the version that answered.
pub const VERSION_HEADER: &str = "x-version";

/// Where requests go.
#[derive(Clone, Debug)]
pub struct Site {
    /// A listener's real address.
    pub address: SocketAddr,
    /// The `Host` header.
    pub host: String,
    /// The path, e.g. `/`.
    pub path: String,
}

/// How much load.
#[derive(Clone, Debug)]
pub struct Config {
    /// All get the same share.
    pub sites: Vec<Site>,
    /// Requests a second, of all sites together.
    pub rate: u32,
    /// Kept connections to each site.
    pub connections: u32,
    /// A slower answer is a failure.
    pub timeout: Duration,
}

/// A request that nobody's application has answered, or only with a 4xx.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// When it was sent.
    pub at: Timestamp,
    /// Its `Host` header.
    pub host: String,
    /// Why, in words.
    pub cause: String,
}

/// What became of the requests so far.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// All requests that have ended.
    pub requests: u64,
    /// Those served, by the version that served them.
    pub by_version: BTreeMap<String, u64>,
    /// Those that an application answered with an error of its own, by its version: hit, but not lost.
    pub errors: BTreeMap<String, u64>,
    /// Those that were lost.
    pub failures: Vec<Failure>,
    /// The slowest one that was served.
    pub slowest: Duration,
}

/// Running load; it ends when dropped.
#[derive(Debug)]
pub struct Load {
    tally: Arc<Mutex<Tally>>,
    stop: tokio::sync::watch::Sender<bool>,
    workers: JoinSet<()>,
}

impl Load {
    /// Starts sending.
    pub fn start(config: &Config) -> Self {
        let tally = Arc::new(Mutex::new(Tally::default()));
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let mut workers = JoinSet::new();
        let count = config.connections * u32::try_from(config.sites.len()).unwrap_or(u32::MAX);
        let every = Duration::from_secs(1) * count / config.rate.max(1);
        for n in 0..count {
            let site = config.sites[n as usize % config.sites.len()].clone();
            // Spread evenly, instead of all at once.
            let first = Instant::now() + every * n / count;
            let (tally, stopped, limit) = (tally.clone(), stopped.clone(), config.timeout);
            workers.spawn(send(site, first, every, limit, tally, stopped));
        }
        Self { tally, stop, workers }
    }

    /// What became of the requests so far.
    pub fn tally(&self) -> Tally {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells what became of the requests so far, also after `self` is elsewhere.
    pub fn watch(&self) -> impl Fn() -> Tally + Send + use<> {
        let tally = self.tally.clone();
        move || tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends no more, waits for what is under way, and gives the end's tally.
    pub async fn stop(mut self) -> Tally {
        self.stop.send_replace(true);
        while self.workers.join_next().await.is_some() {}
        self.tally()
    }
}

/// One worker: one connection, one request every `every`.
async fn send(
    site: Site,
    first: Instant,
    every: Duration,
    limit: Duration,
    tally: Arc<Mutex<Tally>>,
    mut stopped: tokio::sync::watch::Receiver<bool>,
) {
    let mut ticks = interval_at(first, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut connection = None;
    loop {
        tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => return,
            _ = ticks.tick() => {}
        }
        let (at, began) = (Timestamp::now(), Instant::now());
        let answer = match timeout(limit, once(&site, &mut connection)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer in {limit:?}")),
        };
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.requests += 1;
        match answer {
            Ok(Answer::Error(version)) => *tally.errors.entry(version).or_default() += 1,
            Ok(Answer::Served(version)) => {
                *tally.by_version.entry(version).or_default() += 1;
                tally.slowest = tally.slowest.max(began.elapsed());
            }
            Err(cause) => {
                connection = None;
                let host = site.host.clone();
                tally.failures.push(Failure { at, host, cause });
            }
        }
    }
}

/// Whose answer it was.
enum Answer {
    Served(String),
    /// A 5xx that names its version, so it isn't the balancer's.
    Error(String),
}

type Connection = SendRequest<Empty<bytes::Bytes>>;

/// Sends one request and reads the whole answer.
async fn once(site: &Site, kept: &mut Option<Connection>) -> Result<Answer, String> {
    let mut connection = match kept.take() {
        Some(connection) if !connection.is_closed() => connection,
        _ => connect(site.address).await?,
    };
    let broken = |error: hyper::Error| format!("connection broken: {error}");
    connection.ready().await.map_err(broken)?;
    let request =
        Request::get(&site.path).header(HOST, &site.host).body(Empty::new()).map_err(|error| error.to_string())?;
    let response = connection.send_request(request).await.map_err(broken)?;
    let status = response.status();
    let version = response.headers().get(VERSION_HEADER).and_then(|version| version.to_str().ok()).map(str::to_owned);
    response.into_body().collect().await.map_err(broken)?;
    *kept = Some(connection);
    match version {
        Some(version) if status.is_server_error() => Ok(Answer::Error(version)),
        version if status.is_success() || status.is_redirection() => {
            Ok(Answer::Served(version.unwrap_or("unknown".to_owned())))
        }
        _ => Err(status.to_string()),
    }
}

async fn connect(address: SocketAddr) -> Result<Connection, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| format!("no connection to {address}: {error}"))?;
    let _ = stream.set_nodelay(true);
    let (sender, connection) =
        handshake(TokioIo::new(stream)).await.map_err(|error| format!("no connection to {address}: {error}"))?;
    tokio::spawn(connection);
    Ok(sender)
}
