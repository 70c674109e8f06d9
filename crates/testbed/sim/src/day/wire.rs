//! A call's requests on the wire: each takes from the account's buckets; the SDK repeats reads that are throttled.

use super::Day;
use super::calls::refused;
use super::queue::Event;
use crate::invocation::{Asked, RETRY_COST};
use crate::limits::Bucket;
use crate::past::{Ms, SECOND};
use crate::pipes::stands;
use crate::port::Ask;
use crate::requests::{self, Chains, Request};
use rand::RngExt;
use tagship::{Error, Job, Kind};

/// Attempts of one read (`ATTEMPTS` in crates/aws).
const ATTEMPTS: u32 = 6;
/// The SDK waits up to so long before the first repetition, twice as long before the next, and so on…
const BACKOFF: Ms = SECOND;
/// …and at most so long.
const BACKOFF_MAX: Ms = 20 * SECOND;
/// How long reads may go on after the loop should have handed back (`OVERTIME` in crates/aws).
const OVERTIME: Ms = 5 * SECOND;

impl Day {
    /// What a call is on the wire.
    pub(super) fn chains(&mut self, by: u32, job: &Job, asked: &Asked) -> Chains {
        let mut cached = self.invocations.get(&by).map(|it| it.cached).unwrap_or_default();
        let chains = match asked {
            Asked::Port(Ask::Pause | Ask::Sleep(_)) => Vec::new(),
            Asked::Port(Ask::Holding { .. }) => requests::holding(&self.cloud.holding(&job.role, &job.release), job),
            Asked::Port(Ask::Observe { parts, holding, settings, .. }) => {
                let look = (*parts, settings.as_deref());
                requests::observation(&self.cloud, job, look, holding, &mut cached, |pipeline, release| {
                    stands(&self.pipes, pipeline, release)
                })
            }
            Asked::Port(Ask::Apply(step)) => requests::step(step, &mut cached),
            Asked::Report(..) => requests::report(),
        };
        if let Some(invocation) = self.invocations.get_mut(&by) {
            invocation.cached = cached;
        }
        chains
    }

    /// A call's requests set out, those that need no other's answer at once.
    pub(super) fn set_out(&mut self, number: u64) {
        let Some(call) = self.calls.get(&number) else { return };
        let (chains, there) = (call.chains.len(), call.there);
        // A fault has answered it, or there is nothing to ask.
        if call.answer.is_some() || chains == 0 {
            return self.after(there, Event::Effect(number));
        }
        for chain in 0..chains {
            self.request(number, chain);
        }
    }

    /// A chain goes on as far as the buckets let it.
    pub(super) fn request(&mut self, number: u64, chain: usize) {
        let now = self.cloud.now;
        loop {
            let Some(call) = self.calls.get_mut(&number).filter(|call| call.answer.is_none()) else { return };
            let (there, by, action) = (call.there, call.by, call.job.action.as_str());
            let Some(request) = call.chains[chain].0.last().copied() else {
                if call.chains.iter().all(|(requests, _)| requests.is_empty()) {
                    self.after(there, Event::Effect(number));
                }
                return;
            };
            let granted = self.granted(request);
            let requested = self.requests.entry((action, request.operation)).or_default();
            requested.made += 1;
            requested.throttled += u64::from(!granted);
            let Some(call) = self.calls.get_mut(&number) else { return };
            let (requests, attempts) = &mut call.chains[chain];
            if granted {
                requests.pop();
                *attempts = 0;
                continue;
            }
            *attempts += 1;
            let attempts = *attempts;
            let longest = (BACKOFF << (attempts - 1)).min(BACKOFF_MAX);
            let wait = self.rng.random_range(0..=longest);
            let invocation = self.invocations.get_mut(&by);
            let patient = invocation.filter(|it| {
                request.reads && attempts < ATTEMPTS && it.retries >= RETRY_COST && now + wait < it.until + OVERTIME
            });
            let Some(invocation) = patient else {
                *self.faults.entry("call throttled").or_default() += 1;
                let Some(call) = self.calls.get_mut(&number) else { return };
                call.answer = Some(refused(throttled(request), &call.asked));
                return self.after(there, Event::Effect(number));
            };
            invocation.retries -= RETRY_COST;
            return self.after(wait, Event::Request(number, chain));
        }
    }

    fn granted(&mut self, request: Request) -> bool {
        let Some(bucket) = request.bucket else { return true };
        let (now, buckets) = (self.cloud.now, &mut self.cloud.buckets);
        // Whether the instances are to be had is looked at once the request is accepted.
        buckets.take(now, bucket, 1)
            && (request.instances == 0 || buckets.take(now, Bucket::Instances, request.instances))
    }
}

/// As the adapter's table has it.
fn throttled(request: Request) -> Error {
    let code = if request.operation.starts_with("ec2:") { "RequestLimitExceeded" } else { "Throttling" };
    let message = format!("{}: {code}: Rate exceeded", request.operation);
    Error { code: Some(code.to_owned()), ..Error::new(Kind::Throttled, message) }
}
