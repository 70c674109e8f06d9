//! What is shown at the moment, and who looks.

use crate::page::act::Offer;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// What browsers are told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shown {
    /// All services, as JSON.
    pub(crate) overview: Option<Arc<str>>,
    /// Each service that was opened.
    pub(crate) services: BTreeMap<String, One>,
    /// What goes wrong with looking itself; empty if nothing does.
    pub(crate) trouble: Arc<str>,
}

/// A service that was opened.
#[derive(Debug, Clone)]
pub(crate) struct One {
    /// As JSON.
    pub(crate) json: Arc<str>,
    /// What a person who sees it may do.
    pub(crate) acts: Vec<Offer>,
}

/// Who looks at what: open streams.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    /// By service; all services are the empty name.
    open: Mutex<BTreeMap<String, usize>>,
    changed: Notify,
}

/// One stream; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Wish {
    wishes: Arc<Wishes>,
    service: String,
}

impl Wishes {
    /// Somebody looks at a service, or at all of them.
    pub(crate) fn wish(self: &Arc<Self>, service: &str) -> Wish {
        *self.lock().entry(service.to_owned()).or_default() += 1;
        self.changed.notify_one();
        Wish { wishes: self.clone(), service: service.to_owned() }
    }

    /// What is looked at.
    pub(crate) fn open(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// Waits until somebody begins to look.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wish {
    /// Which service; empty for all.
    pub(crate) fn service(&self) -> &str {
        &self.service
    }
}

impl Drop for Wish {
    fn drop(&mut self) {
        let mut open = self.wishes.lock();
        if let Some(count) = open.get_mut(&self.service) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.service);
            }
        }
    }
}
