//! Looks for secrets where none may be: in logs, events and requests.

use serde_json::Value;
use std::sync::Arc;
use tagship_local::up::Local;
use tokio::sync::broadcast;

/// What was told since the beginning of a test.
#[derive(Debug)]
pub struct Ear(broadcast::Receiver<Arc<Value>>);

impl Ear {
    /// Listens to all events from now on.
    pub fn open(local: &Local) -> Self {
        Self(local.events.listen())
    }

    /// The events so far.
    pub fn events(&mut self) -> Vec<Arc<Value>> {
        std::iter::from_fn(|| self.0.try_recv().ok()).collect()
    }

    /// Asserts that none of the secrets was written to a function's log, told in an event, or sent in a
    /// request, those of the `allowed` operation aside.
    pub fn assert_no_leak(mut self, local: &Local, secrets: &[&str], allowed: Option<&str>) {
        let mut places = Vec::new();
        let logs = std::fs::read_dir(local.logs()).expect("the functions' logs");
        for log in logs.map(|entry| entry.expect("a log").path()) {
            places.push((log.display().to_string(), std::fs::read_to_string(&log).expect("a log's text")));
        }
        assert!(places.iter().any(|(_, text)| !text.is_empty()), "no function has logged anything");
        let events = self.events();
        assert!(!events.is_empty(), "no event was heard");
        places.extend(events.iter().map(|event| ("an event".to_owned(), event.to_string())));
        let functions = ["provision", "deploy", "route", "cleanup"];
        let records = local.gateway.recorder().records();
        let sent = records.iter().filter(|record| {
            functions.contains(&record.caller.as_str()) && allowed.is_none_or(|allowed| record.operation != allowed)
        });
        places.extend(sent.map(|record| (format!("{}:{}", record.service, record.operation), format!("{record:?}"))));
        for (place, text) in places {
            for secret in secrets {
                assert!(!text.contains(secret), "{secret} in {place}: {text}");
            }
        }
    }
}
