//! One Lambda invocation: the real loop with a real planner, as a future that the day polls.

use crate::mistake::Mistake;
use crate::past::Ms;
use crate::plan::Fault;
use crate::port::{Answer, Ask, Line};
use crate::requests::{Cached, Request};
use crate::wrong::Wrong;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tagship::{Called, Job, Memo, Outcome, Planner, Port, Visit, actions, run};

/// An event on its way to a function.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// What it asks for.
    pub job: Job,
    /// The pipeline's number and its job; none for a direct invocation.
    pub answers: Option<(usize, tagship_emulator::pipeline::Id)>,
    /// The continuation token.
    pub token: Option<String>,
    /// How often it was tried before; Lambda retries twice.
    pub attempt: u8,
}

/// How an invocation goes on.
#[derive(Debug)]
pub enum Went {
    /// It asks for something.
    On(Ask),
    /// It has ended, with this continuation token.
    Over(Box<(Outcome, String)>),
}

/// Tokens of the SDK's standard retry mode; a repetition costs [`RETRY_COST`].
const RETRY_QUOTA: u32 = 500;
/// What a repetition costs.
pub const RETRY_COST: u32 = 5;

type Running = Pin<Box<dyn Future<Output = (Outcome, String)> + Send>>;

/// A running invocation.
pub struct Invocation {
    /// Its event.
    pub delivery: Delivery,
    /// Its port.
    pub line: Line,
    /// When its last observation began.
    pub looked: Ms,
    /// It stands still until then.
    pub frozen: Ms,
    /// No other round begins after this.
    pub until: Ms,
    /// What its adapter has looked up once.
    pub cached: Cached,
    /// The call of a hook that it has made last.
    pub hook: Option<Called>,
    /// What is left of the SDK's retry quota.
    pub retries: u32,
    future: Running,
}

impl std::fmt::Debug for Invocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Invocation").field("delivery", &self.delivery).finish_non_exhaustive()
    }
}

impl Invocation {
    /// Begins; no other round begins after `until`.
    pub fn begin(delivery: Delivery, now: Ms, until: Ms, mistake: Option<Mistake>) -> Self {
        let line = Line::default();
        {
            let mut mailbox = line.mailbox();
            mailbox.until = until;
            mailbox.now = now;
            mailbox.careless = mistake == Some(Mistake::NoSecondLook);
            mailbox.naive = mistake == Some(Mistake::StaleWorld);
            mailbox.job = delivery.answers.is_some();
        }
        let (job, token) = (delivery.job.clone(), delivery.token.clone());
        let start = Start { job, line: line.clone(), token, mistaken: mistake.is_some() };
        let future = actions::visit(delivery.job.action, start);
        let (looked, frozen, cached) = (now, 0, Cached::default());
        Self { delivery, line, looked, frozen, until, cached, hook: None, retries: RETRY_QUOTA, future }
    }

    /// Goes on, perhaps with an answer, until it asks or has ended.
    pub fn go(&mut self, now: Ms, answer: Option<Answer>) -> Went {
        {
            let mut mailbox = self.line.mailbox();
            mailbox.now = now;
            mailbox.answer = answer;
        }
        match self.future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(end) => Went::Over(Box::new(end)),
            Poll::Pending => Went::On(self.line.mailbox().ask.take().expect("an invocation waits for the day only")),
        }
    }
}

/// A call under way. It outlives the process that made it.
#[derive(Debug)]
pub struct Call {
    /// Its number in the day.
    pub number: u64,
    /// Which invocation.
    pub by: u32,
    /// For whom.
    pub job: Job,
    /// What.
    pub asked: Asked,
    /// What goes wrong with it.
    pub fault: Option<Fault>,
    /// When the observation began that it was decided by.
    pub looked: Ms,
    /// When it was sent.
    pub sent: Ms,
    /// The answer, once it had its effect.
    pub answer: Option<Answer>,
    /// The requests that it still is, the next last, with the attempts of that one.
    pub chains: Vec<(Vec<Request>, u32)>,
    /// How long it is under way besides.
    pub there: Ms,
}

/// What a call is.
#[derive(Debug)]
pub enum Asked {
    /// Through the port.
    Port(Ask),
    /// The report to CodePipeline.
    Report(Box<Outcome>, String),
}

impl Asked {
    /// Whether it changes anything in the cloud.
    pub fn changes(&self) -> bool {
        matches!(self, Asked::Port(Ask::Apply(_)))
    }
}

/// Starts the planner of the job's action, with a planted mistake if there is one.
struct Start {
    job: Job,
    line: Line,
    token: Option<String>,
    mistaken: bool,
}

impl Visit for Start {
    type Out = Running;

    fn visit<P: Planner>(self) -> Running {
        if self.mistaken { go::<Wrong<P>>(self) } else { go::<P>(self) }
    }
}

fn go<P: Planner>(start: Start) -> Running {
    let Start { job, line, token, .. } = start;
    Box::pin(async move {
        let mut memo = token.as_deref().and_then(Memo::from_token).unwrap_or_else(|| Memo::new(line.now()));
        let outcome = run::<P, Line>(&line, &job, &mut memo).await;
        (outcome, memo.to_token())
    })
}
