//! The port of an invocation in virtual time: a mailbox that the day answers when it pleases.

use crate::past::{Ms, milliseconds, timestamp};
use jiff::Timestamp;
use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use tagship::settings::Settings;
use tagship::{Applied, Decision, Error, Holding, Job, Look, Parts, Port, ReleaseId, ServiceRole, Step, World};

/// What an invocation asks of the world.
#[derive(Debug, Clone)]
pub enum Ask {
    /// A little time.
    Pause,
    /// Time until then.
    Sleep(Ms),
    /// Hold and markers; `bound` as in [`Port::holding`].
    Holding {
        /// Whose.
        role: ServiceRole,
        /// For whom.
        release: ReleaseId,
        /// Right before a change.
        bound: bool,
    },
    /// An observation.
    Observe {
        /// What is read.
        parts: Parts,
        /// The bucket's word.
        holding: Box<Holding>,
        /// The settings to go by.
        settings: Option<Box<Settings>>,
        /// Whether it begins a new observation, rather than adding to one.
        begins: bool,
    },
    /// A change.
    Apply(Step),
}

/// What it gets.
#[derive(Debug)]
pub enum Answer {
    /// The time has passed.
    Paused,
    /// To [`Ask::Holding`].
    Holding(Box<Result<Holding, Error>>),
    /// To [`Ask::Observe`].
    World(Box<Result<World, Error>>),
    /// To [`Ask::Apply`].
    Applied(Result<Applied, Error>),
}

/// What lies between an invocation and the day.
#[derive(Debug, Default)]
pub struct Mailbox {
    /// The virtual time.
    pub now: Ms,
    /// No other round begins after this.
    pub until: Ms,
    /// Whether CodePipeline waits for it.
    pub job: bool,
    /// A planted mistake: what was read first is what is read again.
    pub careless: bool,
    /// A planted mistake: its clock stands still while the process does.
    pub naive: bool,
    /// How long the process has stood still.
    pub stood: Ms,
    /// What was read first.
    pub first: Option<Holding>,
    /// What is asked.
    pub ask: Option<Ask>,
    /// What is answered.
    pub answer: Option<Answer>,
    /// Decisions since the day looked last, with the job they were for.
    pub told: Vec<Decision>,
}

/// A port in virtual time.
#[derive(Debug, Clone, Default)]
pub struct Line(Arc<Mutex<Mailbox>>);

impl Line {
    /// The mailbox. Nobody else has it: a day is one thread.
    pub fn mailbox(&self) -> MutexGuard<'_, Mailbox> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, ask: Ask) -> impl Future<Output = Answer> + Send + '_ {
        let mut ask = Some(ask);
        poll_fn(move |_| {
            let mut mailbox = self.mailbox();
            if let Some(ask) = ask.take() {
                mailbox.ask = Some(ask);
                return Poll::Pending;
            }
            mailbox.answer.take().map_or(Poll::Pending, Poll::Ready)
        })
    }
}

impl Port for Line {
    fn now(&self) -> Timestamp {
        let mailbox = self.mailbox();
        timestamp(if mailbox.naive { mailbox.now - mailbox.stood } else { mailbox.now })
    }

    async fn pause(&self) {
        self.ask(Ask::Pause).await;
    }

    async fn sleep_until(&self, then: Timestamp) {
        self.ask(Ask::Sleep(milliseconds(then))).await;
    }

    fn has_time(&self) -> bool {
        let mailbox = self.mailbox();
        mailbox.now < mailbox.until
    }

    fn hands_back(&self) -> bool {
        self.mailbox().job
    }

    async fn holding(&self, role: &ServiceRole, release: &ReleaseId, bound: bool) -> Result<Holding, Error> {
        if bound && self.mailbox().careless {
            return Ok(self.mailbox().first.clone().unwrap_or_default());
        }
        let ask = Ask::Holding { role: role.clone(), release: release.clone(), bound };
        match self.ask(ask).await {
            Answer::Holding(holding) => {
                if !bound && self.mailbox().careless {
                    self.mailbox().first = holding.as_ref().as_ref().ok().cloned();
                }
                *holding
            }
            other => unreachable!("asked for the hold, got {other:?}"),
        }
    }

    async fn observe(&self, look: &Look<'_>) -> Result<World, Error> {
        let settings = look.settings.map(|settings| Box::new(settings.clone()));
        let ask = Ask::Observe {
            parts: look.parts,
            holding: Box::new(look.holding.clone()),
            settings,
            begins: look.began == self.now(),
        };
        match self.ask(ask).await {
            Answer::World(world) => *world,
            other => unreachable!("asked for the world, got {other:?}"),
        }
    }

    async fn apply(&self, _: &Look<'_>, step: &Step) -> Result<Applied, Error> {
        match self.ask(Ask::Apply(step.clone())).await {
            Answer::Applied(applied) => applied,
            other => unreachable!("asked for a change, got {other:?}"),
        }
    }

    fn tell(&self, _: &Job, decision: &Decision) {
        self.mailbox().told.push(decision.clone());
    }
}
