//! Hand-made states: one listener over the pair `blue` and `green`.

use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use tagship_local::state::State;

/// A target: instance id, address, state.
pub(crate) type Target = (&'static str, SocketAddr, &'static str);

/// The listener `web` forwards to the pair with `weights`; checks run every second.
pub(crate) fn pair(weights: [u32; 2], blue: &[Target], green: &[Target]) -> Arc<State> {
    let group = |name: &str, targets: &[Target]| -> Value {
        json!({
            "arn": name, "name": name, "port": 8080, "deregistration_delay_secs": 5,
            "health": {"path": "/health", "port": "traffic-port", "interval_secs": 1,
                "timeout_secs": 1, "healthy": 2, "unhealthy": 2, "matcher": "200"},
            "targets": targets.iter().map(|(id, address, state)|
                json!({"id": id, "port": address.port(), "state": state})).collect::<Vec<_>>(),
        })
    };
    let instances: Vec<Value> = blue
        .iter()
        .chain(green)
        .map(|(id, address, _)| json!({"id": id, "ip": address.ip(), "state": "running"}))
        .collect();
    Arc::new(
        serde_json::from_value(json!({
            "instances": instances,
            "target_groups": [group("blue", blue), group("green", green)],
            "listeners": [{
                "arn": "web", "load_balancer": "lb", "port": 80, "protocol": "HTTP",
                "default": [{"type": "forward", "groups": [
                    {"arn": "blue", "weight": weights[0]}, {"arn": "green", "weight": weights[1]},
                ]}],
            }],
        }))
        .unwrap(),
    )
}
