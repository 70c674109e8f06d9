//! The API's token buckets: one set an account and Region, shared by all services and by everybody else in it.

use crate::past::{Ms, SECOND};

/// What a request takes from. docs/AWS.md has the figures, with their sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bucket {
    /// RunInstances, a token a request.
    RunInstances,
    /// RunInstances, a token an instance.
    Instances,
    /// TerminateInstances.
    TerminateInstances,
    /// CreateTags.
    CreateTags,
    /// EC2's describes, filtered or paged as the adapter's are.
    Describe,
    /// EC2's other changes.
    Mutating,
    /// All of Route 53.
    Route53,
    /// All of Elastic Load Balancing.
    Balancing,
    /// CloudWatch's DescribeAlarms.
    Alarms,
    /// CloudWatch's GetMetricData.
    Figures,
}

const BUCKETS: usize = 10;

/// How a bucket fills.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Tokens that it holds.
    pub burst: f64,
    /// Tokens that it gets back a second.
    pub per_sec: f64,
}

impl Rate {
    const fn new(burst: f64, per_sec: f64) -> Self {
        Self { burst, per_sec }
    }
}

/// An account's limits.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// RunInstances, requests.
    pub run_instances: Rate,
    /// RunInstances, instances.
    pub instances: Rate,
    /// TerminateInstances.
    pub terminate_instances: Rate,
    /// CreateTags.
    pub create_tags: Rate,
    /// EC2's describes.
    pub describe: Rate,
    /// EC2's other changes.
    pub mutating: Rate,
    /// Route 53.
    pub route53: Rate,
    /// DescribeAlarms.
    pub alarms: Rate,
    /// GetMetricData.
    pub figures: Rate,
    /// Elastic Load Balancing publishes no figure; none is no limit.
    pub balancing: Option<Rate>,
}

impl Default for Limits {
    /// AWS's defaults (docs/AWS.md).
    fn default() -> Self {
        Self {
            run_instances: Rate::new(5.0, 2.0),
            instances: Rate::new(1_000.0, 2.0),
            terminate_instances: Rate::new(100.0, 5.0),
            create_tags: Rate::new(100.0, 10.0),
            describe: Rate::new(100.0, 20.0),
            mutating: Rate::new(50.0, 5.0),
            route53: Rate::new(50.0, 10.0),
            alarms: Rate::new(9.0, 9.0),
            figures: Rate::new(50.0, 50.0),
            balancing: None,
        }
    }
}

impl Limits {
    /// As good as no limit: as if AWS had raised it on request.
    pub const PLENTY: Rate = Rate::new(100_000.0, 1_000.0);

    fn of(&self, bucket: Bucket) -> Option<Rate> {
        match bucket {
            Bucket::RunInstances => Some(self.run_instances),
            Bucket::Instances => Some(self.instances),
            Bucket::TerminateInstances => Some(self.terminate_instances),
            Bucket::CreateTags => Some(self.create_tags),
            Bucket::Describe => Some(self.describe),
            Bucket::Mutating => Some(self.mutating),
            Bucket::Route53 => Some(self.route53),
            Bucket::Alarms => Some(self.alarms),
            Bucket::Figures => Some(self.figures),
            Bucket::Balancing => self.balancing,
        }
    }
}

/// The share of a bucket's refill that is left while somebody else in the account makes too many requests.
const LEFT: f64 = 0.05;

/// The buckets as they stand.
#[derive(Debug, Clone)]
pub struct Buckets {
    limits: Limits,
    /// Tokens taken so far that haven't come back; none at the beginning.
    missing: [f64; BUCKETS],
    filled: Ms,
    /// Somebody else uses them up until then.
    storm: Ms,
}

impl Buckets {
    /// Full ones.
    pub fn new(limits: Limits) -> Self {
        Self { limits, missing: [0.0; BUCKETS], filled: 0, storm: 0 }
    }

    /// Somebody else in the account empties them, and goes on until then.
    pub fn storm(&mut self, now: Ms, until: Ms) {
        self.fill(now);
        self.storm = self.storm.max(until);
        self.missing = [f64::MAX; BUCKETS];
        self.fill(now);
    }

    /// Takes so many tokens, or none at all.
    pub fn take(&mut self, now: Ms, bucket: Bucket, tokens: u32) -> bool {
        let Some(rate) = self.limits.of(bucket) else { return true };
        self.fill(now);
        let missing = &mut self.missing[bucket as usize];
        let fits = *missing + f64::from(tokens) <= rate.burst;
        if fits {
            *missing += f64::from(tokens);
        }
        fits
    }

    fn fill(&mut self, now: Ms) {
        let stormy = (self.storm.min(now) - self.filled).max(0);
        let calm = now - self.filled - stormy;
        let secs = (stormy as f64 * LEFT + calm as f64) / SECOND as f64;
        self.filled = now;
        for bucket in ALL {
            if let Some(rate) = self.limits.of(bucket) {
                let missing = &mut self.missing[bucket as usize];
                *missing = (missing.min(rate.burst) - secs * rate.per_sec).max(0.0);
            }
        }
    }
}

const ALL: [Bucket; BUCKETS] = [
    Bucket::RunInstances,
    Bucket::Instances,
    Bucket::TerminateInstances,
    Bucket::CreateTags,
    Bucket::Describe,
    Bucket::Mutating,
    Bucket::Route53,
    Bucket::Balancing,
    Bucket::Alarms,
    Bucket::Figures,
];
