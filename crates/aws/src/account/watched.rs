//! What is read of a service again and again: what seldom changes is asked for every five minutes.

use super::Account;
use super::pipelines::joined;
use crate::{cloudwatch, elb, route53};
use aws_sdk_codepipeline::types::StageDeclaration;
use jiff::Timestamp;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tagship::settings::Selector;
use tagship::{Error, Figures, Pipeline, Record, Routing, ServiceRole};

/// So long a pipeline's structure is gone by, and which groups and switches there are.
const KNOWN: Duration = Duration::from_secs(300);

/// What somebody who looks at a service again and again has found of it.
pub struct Watched {
    pair: elb::Known,
    zones: route53::Zones,
    structure: Mutex<Option<(Instant, String, Vec<StageDeclaration>)>>,
}

impl Default for Watched {
    fn default() -> Self {
        Self { pair: elb::Known::lasting(KNOWN), zones: route53::Zones::default(), structure: Mutex::default() }
    }
}

impl Account {
    /// Where a pipeline stands; one call, and one more every five minutes.
    ///
    /// # Errors
    ///
    /// If CodePipeline refuses.
    pub async fn pipeline_again(&self, name: &str, watched: &Watched) -> Result<Pipeline, Error> {
        let known = || watched.structure.lock().unwrap_or_else(PoisonError::into_inner);
        let structure = known().clone().filter(|(at, of, _)| of == name && at.elapsed() < KNOWN);
        let (structure, states) = match structure {
            Some((_, _, structure)) => (structure, self.states(name).await?),
            None => {
                let at = Instant::now();
                let (structure, states) = tokio::try_join!(self.declared(name), self.states(name))?;
                *known() = Some((at, name.to_owned(), structure.clone()));
                (structure, states)
            }
        };
        Ok(joined(name, &structure, &states))
    }

    /// The pair and its switches; three or four calls, and some more every five minutes.
    ///
    /// # Errors
    ///
    /// If Elastic Load Balancing refuses.
    pub async fn routing_again(
        &self,
        role: &ServiceRole,
        selector: &Selector,
        watched: &Watched,
    ) -> Result<Routing, Error> {
        elb::routing(&self.cloud, role, selector, &watched.pair).await
    }

    /// The service's records in its private zone; one call, and one more the first time.
    ///
    /// # Errors
    ///
    /// If Route 53 refuses.
    pub async fn names_again(&self, role: &ServiceRole, zone: &str, watched: &Watched) -> Result<Vec<Record>, Error> {
        route53::names(&self.cloud, &watched.zones, role, zone).await
    }

    /// What the balancer counted of the pair since then; one call. Nothing before the pair was looked at.
    ///
    /// # Errors
    ///
    /// If CloudWatch refuses.
    pub async fn figures(&self, selector: &Selector, watched: &Watched, since: Timestamp) -> Result<Figures, Error> {
        cloudwatch::figures_since(&self.cloud, &watched.pair.pair(selector), Some(since)).await
    }

    /// For how many seconds each of the balancer's figures is: 60 on AWS.
    pub fn minute_secs(&self) -> u32 {
        self.cloud.minute_secs
    }

    /// The calls since the last time, and how many of them were throttled.
    pub fn calls(&self) -> (u64, u64) {
        let calls = self.cloud.tally.take();
        (calls.made, calls.throttled)
    }
}
