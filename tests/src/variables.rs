//! provision's environment variables, as ops edit them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use tagship_local::Local;

/// The variables that provision has now.
pub struct Variables<'a> {
    local: &'a Local,
    now: Mutex<BTreeMap<String, String>>,
}

impl<'a> Variables<'a> {
    /// Of no service yet: those that the cloud came up with go with the first change.
    pub fn of(local: &'a Local) -> Self {
        let bucket = ("TAGSHIP_BUCKET".to_owned(), local.account.bucket.clone());
        Self { local, now: Mutex::new([bucket].into()) }
    }

    /// Has ops set a service's.
    pub fn set(&self, role: &str, settings: &str) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.insert(role.to_owned(), settings.to_owned());
        self.local.lambda.set_environment("tagship-provision", now.clone()).unwrap_or_else(|error| panic!("{error}"));
    }
}
