//! What the balancer counted of each group of the pair, minute by minute.

use jiff::Timestamp;

/// What CloudWatch shows of the balancer's figures.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Figures {
    /// How long each of them is for, in seconds: a minute, but on a cloud with faster clocks.
    pub minute_secs: u32,
    /// In no order. A minute without requests isn't there.
    pub counted: Vec<Counted>,
}

/// One group in one minute.
#[derive(Debug, Clone, PartialEq)]
pub struct Counted {
    /// The group's ARN.
    pub group: String,
    /// When the minute began.
    pub start: Timestamp,
    /// Requests and answers.
    pub counts: Counts,
    /// How long its targets took, in seconds: half of the requests less, and 99 of 100; none if nobody says.
    pub latency: Option<(f64, f64)>,
}

/// What the balancer counted of one group in one minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All requests.
    pub requests: u64,
    /// Answers of the targets from 200 to 299. None counted is 0, here and below.
    pub c2xx: u64,
    /// From 300 to 399.
    pub c3xx: u64,
    /// From 400 to 499.
    pub c4xx: u64,
}

impl Counts {
    /// Requests without a good answer. So 502 and 504 of the balancer count, which it doesn't tell by group.
    pub fn errors(self) -> u64 {
        [self.c2xx, self.c3xx, self.c4xx].into_iter().fold(self.requests, u64::saturating_sub)
    }
}
