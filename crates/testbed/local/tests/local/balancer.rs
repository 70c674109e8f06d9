//! The balancer between real clients and real targets.

use crate::backend::{Backend, Mode};
use crate::states::pair;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tagship_local::balancer::{Balancer, Config, Outcome};
use tagship_local::load::{self, Load, Site};
use tagship_local::state::State;
use tokio::sync::watch;

/// A balancer whose nodes follow at once, over `state`.
async fn at_once(state: Arc<State>) -> (Balancer, watch::Sender<Arc<State>>, String) {
    with_delays([Duration::ZERO; 2], state).await
}

async fn with_delays(delays: [Duration; 2], state: Arc<State>) -> (Balancer, watch::Sender<Arc<State>>, String) {
    let (states, seen) = watch::channel(state);
    let config = Config { node_delays: delays.to_vec(), idle_timeout: Duration::from_secs(60), ..Config::default() };
    let balancer = Balancer::start(config, seen);
    let url = format!("http://{}/", balancer.address("web").await);
    (balancer, states, url)
}

/// Asks until the condition holds.
async fn until(mut met: impl AsyncFnMut() -> bool) {
    while !met().await {
        tokio::task::yield_now().await;
    }
}

async fn version(client: &reqwest::Client, url: &str) -> (u16, String) {
    let response = client.get(url).send().await.unwrap();
    let version = response.headers().get(load::VERSION_HEADER);
    let version = version.map_or("-", |v| v.to_str().unwrap()).to_owned();
    (response.status().as_u16(), version)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shift_and_a_retirement_under_load_lose_no_request() {
    let (old, new) = (Backend::start(1, "old").await, Backend::start(2, "new").await);
    let blue = ("i-1", old.address, "healthy");
    let green = ("i-2", new.address, "healthy");
    let delays = [Duration::from_millis(30), Duration::from_millis(90)];
    let (balancer, states, _) = with_delays(delays, pair([100, 0], &[blue], &[green])).await;
    let site = Site { address: balancer.address("web").await, host: "web.example.com".into(), path: "/".into() };
    let load = Load::start(&load::Config {
        sites: vec![site.clone(), site],
        rate: 400,
        connections: 4,
        timeout: Duration::from_secs(30),
    });
    let served = |by: &str| load.tally().by_version.get(by).copied().unwrap_or(0);

    until(async || served("old") >= 50).await;
    assert_eq!(served("new"), 0);
    states.send_replace(pair([0, 100], &[blue], &[green]));
    // Both nodes have moved when 20 in a row were new.
    let (mut last_old, mut new_then) = (served("old"), served("new"));
    until(async || {
        if served("old") != last_old {
            (last_old, new_then) = (served("old"), served("new"));
        }
        served("new") >= new_then + 20
    })
    .await;
    let draining = ("i-1", old.address, "draining");
    states.send_replace(pair([0, 100], &[draining], &[green]));
    drop(old);
    let so_far = served("new");
    until(async || served("new") >= so_far + 50).await;
    states.send_replace(pair([0, 100], &[], &[green]));
    let so_far = served("new");
    until(async || served("new") >= so_far + 50).await;

    let tally = load.stop().await;
    assert_eq!(tally.failures, []);
    let expected: u64 = tally.by_version.values().sum();
    assert_eq!(tally.requests, expected);
    let counted: BTreeMap<_, _> = balancer.counts();
    assert_eq!(counted[&("blue".into(), Outcome::Target(2))], tally.by_version["old"]);
    assert_eq!(counted[&("green".into(), Outcome::Target(2))], tally.by_version["new"]);
}

#[tokio::test]
async fn each_node_sees_a_change_after_its_own_delay() {
    let (old, new) = (Backend::start(1, "old").await, Backend::start(2, "new").await);
    let (blue, green) = (("i-1", old.address, "healthy"), ("i-2", new.address, "healthy"));
    let delays = [Duration::ZERO, Duration::from_secs(3600)];
    let (_balancer, states, url) = with_delays(delays, pair([1, 0], &[blue], &[green])).await;
    let client = reqwest::Client::new();
    states.send_replace(pair([0, 1], &[blue], &[green]));
    until(async || version(&client, &url).await.1 == "new").await;
    let mut seen = Vec::new();
    for _ in 0..6 {
        seen.push(version(&client, &url).await.1);
    }
    assert_eq!(seen, ["old", "new", "old", "new", "old", "new"]);
}

#[tokio::test]
async fn a_draining_target_finishes_its_requests_and_gets_no_new_ones() {
    let mut old = Backend::start(1, "old").await;
    let (_balancer, states, url) = at_once(pair([1, 0], &[("i-1", old.address, "healthy")], &[])).await;
    old.mode.send_replace(Mode::Hang);
    let client = reqwest::Client::new();
    let (asking, asked) = (client.clone(), url.clone());
    let slow = tokio::spawn(async move { version(&asking, &asked).await });
    old.arrived.wait_for(|n| *n == 1).await.unwrap();
    states.send_replace(pair([1, 0], &[("i-1", old.address, "draining")], &[]));
    // A node that still has the old view would hang: a new connection each time, given up at once.
    let impatient = reqwest::Client::builder().timeout(Duration::from_millis(50)).build().unwrap();
    let mut refused = 0;
    until(async || {
        let answer = impatient.get(&url).send().await;
        refused = if answer.is_ok_and(|a| a.status() == 503) { refused + 1 } else { 0 };
        refused == 2
    })
    .await;
    old.mode.send_replace(Mode::Status(200));
    assert_eq!(slow.await.unwrap(), (200, "old".into()));
}

#[tokio::test]
async fn what_the_balancer_says_itself() {
    let good = Backend::start(1, "one").await;
    let vacated = Backend::start(2, "two").await.address;
    type Case<'a> = (&'a str, &'a [crate::states::Target], u16, Option<Outcome>);
    let cases: [Case<'_>; 4] = [
        ("no target", &[], 503, Some(Outcome::NoTarget)),
        ("refused", &[("i-2", vacated, "healthy")], 502, Some(Outcome::BadGateway)),
        ("fails open", &[("i-1", good.address, "unhealthy")], 200, Some(Outcome::Target(2))),
        (
            "healthy first",
            &[("i-2", vacated, "unhealthy"), ("i-1", good.address, "healthy")],
            200,
            Some(Outcome::Target(2)),
        ),
    ];
    for (name, blue, status, outcome) in cases {
        let (balancer, _states, url) = at_once(pair([1, 0], blue, &[])).await;
        let client = reqwest::Client::new();
        for _ in 0..4 {
            assert_eq!(version(&client, &url).await.0, status, "{name}");
        }
        let counts: Vec<_> = balancer.counts().into_iter().collect();
        let expected: Vec<_> = outcome.map(|outcome| (("blue".to_owned(), outcome), 4)).into_iter().collect();
        assert_eq!(counts, expected, "{name}");
    }
}

#[tokio::test]
async fn a_silent_target_is_a_504() {
    let silent = Backend::start(1, "one").await;
    silent.mode.send_replace(Mode::Hang);
    let (_states, seen) = watch::channel(pair([1, 0], &[("i-1", silent.address, "healthy")], &[]));
    let config = Config { idle_timeout: Duration::from_millis(20), ..Config::default() };
    let balancer = Balancer::start(config, seen);
    let url = format!("http://{}/", balancer.address("web").await);
    assert_eq!(version(&reqwest::Client::new(), &url).await.0, 504);
}

#[tokio::test]
async fn connections_are_kept_but_not_across_instances_with_one_address() {
    let backend = Backend::start(1, "one").await;
    let state = |id| pair([1, 0], &[(id, backend.address, "healthy")], &[]);
    let (_balancer, states, url) = at_once(state("i-1")).await;
    let client = reqwest::Client::new();
    for _ in 0..10 {
        client.get(&url).send().await.unwrap().bytes().await.unwrap();
    }
    assert_eq!(backend.connections(), 1);
    states.send_replace(state("i-2"));
    until(async || {
        client.get(&url).send().await.unwrap().bytes().await.unwrap();
        backend.connections() == 2
    })
    .await;
}

#[tokio::test]
async fn targets_learn_of_the_client_and_of_nothing_between_neighbours() {
    let backend = Backend::start(1, "one").await;
    let (_balancer, _states, url) = at_once(pair([1, 0], &[("i-1", backend.address, "healthy")], &[])).await;
    let body = reqwest::Client::new()
        .get(url)
        .header("host", "web.example.com")
        .header("x-forwarded-for", "192.0.2.7")
        .header("connection", "x-hop")
        .header("x-hop", "1")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert_eq!(body, "web.example.com 192.0.2.7, 127.0.0.1 http -");
}

#[tokio::test]
async fn listeners_come_and_go() {
    let backend = Backend::start(1, "one").await;
    let state = pair([1, 0], &[("i-1", backend.address, "healthy")], &[]);
    let (balancer, states, _) = at_once(state.clone()).await;
    let address: SocketAddr = balancer.address("web").await;
    states.send_replace(Arc::new(State::default()));
    until(async || tokio::net::TcpStream::connect(address).await.is_err()).await;
    assert!(balancer.addresses().is_empty());
    states.send_replace(state);
    let url = format!("http://{}/", balancer.address("web").await);
    let client = reqwest::Client::new();
    until(async || version(&client, &url).await.0 == 200).await;
}
