//! Looks for secrets where none may be: in logs, events, requests, objects and notifications.

use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};
use tagship_local::Local;
use tokio::sync::broadcast;

const FUNCTIONS: [&str; 4] = ["provision", "deploy", "route", "cleanup"];

/// What was told since the beginning of a test.
#[derive(Debug)]
pub struct Ear {
    bus: broadcast::Receiver<Arc<Value>>,
    events: Vec<Arc<Value>>,
    /// Where, and what: holds and markers, which the gateway's recorder doesn't keep.
    objects: Arc<Mutex<Vec<(String, String)>>>,
}

impl Ear {
    /// Listens to all events from now on, and reads all objects that functions write.
    pub fn open(local: &Local) -> Self {
        let objects = Arc::<Mutex<Vec<_>>>::default();
        let written = objects.clone();
        local.gateway.on_success("s3", "PutObject", move |call, _| {
            if FUNCTIONS.contains(&call.caller.as_str()) {
                let object = (format!("object {}", call.path), String::from_utf8_lossy(&call.body).into_owned());
                written.lock().unwrap_or_else(PoisonError::into_inner).push(object);
            }
        });
        Self { bus: local.events.listen(), events: Vec::new(), objects }
    }

    /// The events so far.
    pub fn events(&mut self) -> &[Arc<Value>] {
        self.events.extend(std::iter::from_fn(|| self.bus.try_recv().ok()));
        &self.events
    }

    /// Where any of the secrets was written to a function's log, told in an event or to people, written to an object or
    /// sent in a request, those of the `allowed` operation aside: the place, the secret, and what is there.
    pub fn leaks(&mut self, local: &Local, secrets: &[&str], allowed: Option<&str>) -> Vec<[String; 3]> {
        let mut places = self.objects.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let logs = std::fs::read_dir(local.logs()).expect("the functions' logs");
        for log in logs.map(|entry| entry.expect("a log").path()) {
            places.push((format!("log {}", log.display()), std::fs::read_to_string(&log).expect("a log's text")));
        }
        let logged = |(place, text): &(String, String)| place.starts_with("log") && !text.is_empty();
        assert!(places.iter().any(logged), "no function has logged anything");
        let events = self.events();
        assert!(!events.is_empty(), "no event was heard");
        places.extend(events.iter().map(|event| ("event".to_owned(), event.to_string())));
        // What rules tell people is sent by the event bus.
        for record in local.gateway.recorder().records() {
            let ours = record.caller == "events" || FUNCTIONS.contains(&record.caller.as_str());
            if ours && allowed.is_none_or(|allowed| record.operation != allowed) {
                let place = format!("request {}:{} of {}", record.service, record.operation, record.caller);
                places.push((place, format!("{record:?}")));
            }
        }
        let found = places.iter().flat_map(|(place, text)| {
            let found = secrets.iter().filter(|secret| text.contains(**secret));
            found.map(|secret| [place.clone(), (*secret).to_owned(), text.clone()])
        });
        found.collect()
    }

    /// Asserts that there are none.
    pub fn assert_no_leak(mut self, local: &Local, secrets: &[&str], allowed: Option<&str>) {
        assert_eq!(self.leaks(local, secrets, allowed), Vec::<[String; 3]>::new());
    }
}
