//! A target to balance to: a real HTTP server on an address of its own.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tagship_local::load::VERSION_HEADER;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What it answers with.
#[derive(Clone, Debug)]
pub(crate) enum Mode {
    Status(u16),
    /// Takes requests and answers when the mode changes.
    Hang,
}

pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    pub(crate) mode: watch::Sender<Mode>,
    connections: Arc<AtomicUsize>,
    /// Requests that have arrived.
    pub(crate) arrived: watch::Receiver<usize>,
    _tasks: JoinSet<()>,
}

impl Backend {
    /// Answers as `version` on a free port of `127.16.0.<last>`; the body says who asked for whom.
    pub(crate) async fn start(last: u8, version: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::new(127, 16, 0, last), 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mode, modes) = watch::channel(Mode::Status(200));
        let (arrive, arrived) = watch::channel(0);
        let arrive = Arc::new(arrive);
        let connections = Arc::new(AtomicUsize::new(0));
        let accepted = connections.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                accepted.fetch_add(1, Ordering::SeqCst);
                let (modes, arrive) = (modes.clone(), arrive.clone());
                let service = service_fn(move |request| {
                    arrive.send_modify(|n| *n += 1);
                    answer(request, version, modes.clone())
                });
                open.spawn(async move {
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { address, mode, connections, arrived, _tasks: tasks }
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn answer(
    request: Request<Incoming>,
    version: &'static str,
    mut modes: watch::Receiver<Mode>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let mode = modes.wait_for(|mode| !matches!(mode, Mode::Hang)).await;
    let status = match mode.as_deref() {
        Ok(Mode::Status(status)) => *status,
        _ => 500,
    };
    let header = |name| {
        let value = request.headers().get(name);
        value.map_or("-", |value| value.to_str().unwrap()).to_owned()
    };
    let body = format!(
        "{} {} {} {}",
        header("host"),
        header("x-forwarded-for"),
        header("x-forwarded-proto"),
        header("x-hop"),
    );
    Ok(Response::builder().status(status).header(VERSION_HEADER, version).body(Full::new(Bytes::from(body))).unwrap())
}
