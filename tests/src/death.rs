//! Functions' processes that die right after a call: AWS has carried it out, and they have not heard of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tagship_local::Local;

/// A place to die: after the `nth` successful call of an operation by a function.
#[derive(Clone, Copy, Debug)]
pub struct Death {
    /// `provision`, `deploy`, `route` or `cleanup`.
    pub function: &'static str,
    /// The signing name, e.g. `ec2`.
    pub service: &'static str,
    /// The API's name, e.g. `RunInstances`.
    pub operation: &'static str,
    /// From now on, counted from 1.
    pub nth: u64,
}

/// Says later whether it has happened.
#[derive(Debug)]
pub struct Sentence {
    death: Death,
    calls: Arc<AtomicU64>,
}

impl Death {
    /// Kills the function's processes (SIGKILL) once, when it comes to this place.
    pub fn await_at(self, local: &Local) -> Sentence {
        let calls = Arc::new(AtomicU64::new(0));
        let (lambda, counted) = (local.lambda.clone(), calls.clone());
        local.gateway.on_success(self.service, self.operation, move |call, _| {
            if call.caller == self.function && counted.fetch_add(1, Ordering::SeqCst) + 1 == self.nth {
                lambda.crash(&format!("tagship-{}", self.function));
            }
        });
        Sentence { death: self, calls }
    }
}

impl Sentence {
    /// A test whose deaths didn't happen would prove nothing.
    pub fn assert_carried_out(&self) {
        let calls = self.calls.load(Ordering::SeqCst);
        assert!(calls >= self.death.nth, "only {calls} calls: {:?} did not happen", self.death);
    }
}
