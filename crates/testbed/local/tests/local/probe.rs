//! Health checks against real targets.

use crate::backend::{Backend, Mode};
use crate::states::pair;
use std::sync::Arc;
use tagship_local::probe::{Health, Probes, Report};
use tagship_local::state::{State, TargetState};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

/// Waits until `group` has one target with `state`, and gives its health.
async fn reported(reports: &mut mpsc::UnboundedReceiver<Report>, group: &str, state: TargetState) -> Health {
    loop {
        let report = reports.recv().await.unwrap();
        if let Some(targets) = report.get(group)
            && let Some(health) = targets.values().find(|health| health.state == state)
        {
            return health.clone();
        }
    }
}

fn start(state: Arc<State>) -> (Probes, watch::Sender<Arc<State>>, mpsc::UnboundedReceiver<Report>) {
    let (states, seen) = watch::channel(state);
    let (sender, reports) = mpsc::unbounded_channel();
    (Probes::start(seen, sender), states, reports)
}

#[tokio::test]
async fn reasons() {
    let backend = Backend::start(1, "one").await;
    let vacated = Backend::start(2, "two").await.address;
    let silent = TcpListener::bind("127.16.0.3:0").await.unwrap();
    backend.mode.send_replace(Mode::Status(503));
    for (address, reason, description) in [
        (backend.address, "Target.ResponseCodeMismatch", "Health checks failed with these codes: [503]"),
        (vacated, "Target.FailedHealthChecks", "Health checks failed"),
        (silent.local_addr().unwrap(), "Target.Timeout", "Request timed out"),
    ] {
        let state = pair([1, 0], &[("i-1", address, "initial")], &[]);
        let (_probes, _states, mut reports) = start(state);
        let health = reported(&mut reports, "blue", TargetState::Unhealthy).await;
        assert_eq!((health.reason.as_str(), health.description.as_str()), (reason, description));
    }
}

#[tokio::test]
async fn one_check_makes_a_new_target_healthy_at_weight_0_too_and_it_recovers() {
    let backend = Backend::start(1, "one").await;
    let state = pair([1, 0], &[], &[("i-1", backend.address, "initial")]);
    let (_probes, _states, mut reports) = start(state);
    reported(&mut reports, "green", TargetState::Healthy).await;
    assert_eq!(*backend.arrived.borrow(), 1);
    backend.mode.send_replace(Mode::Status(500));
    reported(&mut reports, "green", TargetState::Unhealthy).await;
    backend.mode.send_replace(Mode::Status(200));
    reported(&mut reports, "green", TargetState::Healthy).await;
}

#[tokio::test]
async fn only_targets_in_use_are_checked() {
    let idle = Backend::start(1, "one").await;
    let used = Backend::start(2, "two").await;
    let state = pair([1, 0], &[("i-1", idle.address, "initial")], &[("i-2", used.address, "initial")]);
    let mut out_of_use = State::clone(&state);
    let tagship_local::state::Action::Forward { groups, .. } = &mut out_of_use.listeners[0].default[0] else {
        unreachable!("the listener forwards");
    };
    groups.remove(0);
    let (_probes, states, mut reports) = start(Arc::new(out_of_use));
    reported(&mut reports, "green", TargetState::Healthy).await;
    assert_eq!(*idle.arrived.borrow(), 0);
    states.send_replace(state);
    reported(&mut reports, "blue", TargetState::Healthy).await;
    assert_eq!(*idle.arrived.borrow(), 1);
}

#[tokio::test]
async fn a_verdict_that_the_state_lacks_is_sent_again() {
    let backend = Backend::start(1, "one").await;
    let state = pair([1, 0], &[("i-1", backend.address, "initial")], &[]);
    let (_probes, states, mut reports) = start(state.clone());
    reported(&mut reports, "blue", TargetState::Healthy).await;
    states.send_replace(state);
    reported(&mut reports, "blue", TargetState::Healthy).await;
}
