//! Metrics: an invocation's calls counted, and lines written where CloudWatch reads them.

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction, RetryReason};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::retry::ErrorKind;
use jiff::Timestamp;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tagship::metrics::{Calls, Line};
use tracing::warn;

/// Writes a line of its own to the log: the bare object, which CloudWatch takes for metrics.
pub(crate) fn write(line: &Line) {
    if let Err(error) = writeln!(std::io::stdout().lock(), "{}", line.json(Timestamp::now())) {
        warn!(%error, "the metrics were not written");
    }
}

/// Counts the calls of all clients.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    made: AtomicU64,
    throttled: AtomicU64,
}

impl Tally {
    /// The calls since the last time.
    pub(crate) fn take(&self) -> Calls {
        let take = |count: &AtomicU64| count.swap(0, Ordering::Relaxed);
        Calls { made: take(&self.0.made), throttled: take(&self.0.throttled) }
    }
}

impl Intercept for Tally {
    fn name(&self) -> &'static str {
        "Tally"
    }

    /// Before, so that what is never answered counts too.
    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.made.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// What is a throttle, the SDK's own classifiers know, for each service.
    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        components: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let failed = matches!(context.output_or_error(), Some(Err(_)));
        let throttled = |action| {
            matches!(
                action,
                RetryAction::RetryIndicated(RetryReason::RetryableError { kind: ErrorKind::ThrottlingError, .. })
            )
        };
        if failed && components.retry_classifiers().any(|each| throttled(each.classify_retry(context.inner()))) {
            self.0.throttled.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}
