//! A real HTTP load balancer that follows the listeners' rules, weights and target health as they stand.

mod counts;
mod figures;
mod proxy;
mod view;

pub use counts::{Counts, Outcome};
pub(crate) use view::addresses;

use proxy::{Pools, Proxy};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tagship_cloud::state::State;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use view::View;

/// How the balancer behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// One entry a node: how long after a change the node acts on it.
    pub node_delays: Vec<Duration>,
    /// How long a target may take to answer before its client gets a 504; ALB's idle timeout.
    pub idle_timeout: Duration,
    /// How long connecting to a target may take before its client gets a 504.
    pub connect_timeout: Duration,
}

impl Default for Config {
    /// AWS publishes no figure for the nodes' delays; the other two are ALB's defaults.
    fn default() -> Self {
        Self {
            node_delays: vec![Duration::from_millis(300), Duration::from_millis(900)],
            idle_timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
        }
    }
}

/// The running balancer; it ends, with every connection, when dropped.
#[derive(Debug)]
pub struct Balancer {
    addresses: watch::Receiver<BTreeMap<String, SocketAddr>>,
    counts: Arc<Counts>,
    tasks: JoinSet<()>,
}

impl Balancer {
    /// Starts one node for each delay and a port of 127.0.0.1 for each listener, now and later.
    ///
    /// HTTPS listeners are served in plain HTTP and say `https` in `X-Forwarded-Proto`.
    pub fn start(config: Config, states: watch::Receiver<Arc<State>>) -> Self {
        let mut tasks = JoinSet::new();
        let first = Arc::new(View::of(&states.borrow()));
        let (senders, nodes): (Vec<_>, Vec<_>) =
            config.node_delays.iter().map(|_| watch::channel(first.clone())).unzip();
        let pools = Arc::new(Pools::new(config.connect_timeout));
        for (sender, delay) in senders.into_iter().zip(&config.node_delays) {
            let (pools, nodes) = (pools.clone(), nodes.clone());
            tasks.spawn(follow(states.clone(), *delay, sender, move || {
                pools.keep(&nodes);
            }));
        }
        let counts = Arc::new(Counts::default());
        let proxy = Arc::new(Proxy::new(nodes, pools, config.idle_timeout, counts.clone()));
        let (publish, addresses) = watch::channel(BTreeMap::new());
        tasks.spawn(listen(states, proxy, publish));
        Self { addresses, counts, tasks }
    }

    /// Where a listener is served, as soon as it is.
    pub async fn address(&self, listener_arn: &str) -> SocketAddr {
        let mut addresses = self.addresses.clone();
        loop {
            if let Some(address) = addresses.borrow_and_update().get(listener_arn) {
                return *address;
            }
            if addresses.changed().await.is_err() {
                // The task ends only with the balancer, which `&self` keeps.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Where every listener is served now, by its ARN.
    pub fn addresses(&self) -> BTreeMap<String, SocketAddr> {
        self.addresses.borrow().clone()
    }

    /// Requests by target group and outcome since the start.
    pub fn counts(&self) -> BTreeMap<(String, Outcome), u64> {
        self.counts.read()
    }
}

/// Plays one node: every state becomes its view `delay` after it appeared.
async fn follow(
    mut states: watch::Receiver<Arc<State>>,
    delay: Duration,
    view: watch::Sender<Arc<View>>,
    applied: impl Fn(),
) {
    let mut coming: VecDeque<(Instant, Arc<State>)> = VecDeque::new();
    loop {
        let due = coming.front().map(|(at, _)| *at);
        tokio::select! {
            changed = states.changed() => {
                if changed.is_err() {
                    return;
                }
                let state = states.borrow_and_update().clone();
                coming.push_back((Instant::now() + delay, state));
            }
            () = async { sleep_until(due.unwrap_or_else(Instant::now)).await }, if due.is_some() => {
                if let Some((_, state)) = coming.pop_front() {
                    view.send_replace(Arc::new(View::of(&state)));
                    applied();
                }
            }
        }
    }
}

/// Keeps one bound port for every listener of the state.
async fn listen(
    mut states: watch::Receiver<Arc<State>>,
    proxy: Arc<Proxy>,
    publish: watch::Sender<BTreeMap<String, SocketAddr>>,
) {
    let mut serving: BTreeMap<String, JoinSet<()>> = BTreeMap::new();
    loop {
        let state = states.borrow_and_update().clone();
        serving.retain(|arn, _| state.listeners.iter().any(|l| l.arn == *arn));
        publish.send_if_modified(|addresses| {
            let before = addresses.len();
            addresses.retain(|arn, _| serving.contains_key(arn));
            addresses.len() != before
        });
        for listener in &state.listeners {
            if serving.contains_key(&listener.arn) {
                continue;
            }
            match bind().await {
                Ok((socket, address)) => {
                    let mut task = JoinSet::new();
                    task.spawn(proxy.clone().serve(socket, listener.clone()));
                    serving.insert(listener.arn.clone(), task);
                    publish.send_modify(|all| {
                        all.insert(listener.arn.clone(), address);
                    });
                }
                Err(error) => {
                    tracing::error!(listener = listener.arn, %error, "no port for the listener");
                }
            }
        }
        if states.changed().await.is_err() {
            return;
        }
    }
}

async fn bind() -> io::Result<(TcpListener, SocketAddr)> {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}
