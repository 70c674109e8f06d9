//! One service as the page shows it: read part by part, so that each look is a few calls, and each part's age is small.

use super::act::{Offer, offers};
use super::decisions::Decisions;
use super::weights::{self, Stretch};
use crate::commands::status::{no_settings, part};
use crate::commands::why::Line;
use crate::end::Failure;
use crate::out::SCHEMA;
use crate::page::shown::One;
use crate::service::{Naming, Service, named};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tagship::history::{Entry, Outcome, history};
use tagship::served::{self, Served, Tenures};
use tagship::settings::{Settings, TargetGroup};
use tagship::status::{Seen, Status, Unavailable, status};
use tagship::{Alarm, Does, Error, Hold, Instance, Phase, Pipeline, Record, ReleaseId, Routing, Stage, StageName};
use tagship_aws::{Account, Watched};

/// Past releases that are shown, and the runs of actions that they may have.
const PAST: i32 = 10;
const RUNS: usize = 140;
/// The figures are the minute's: they aren't asked for more often, nor with each look where a minute is a second.
const FIGURES: Duration = Duration::from_secs(10);
/// What comes later than this after the last look wasn't watched in between.
const APART: SignedDuration = SignedDuration::from_secs(90);

/// What is read beside hold, pipeline and switches: one of them at each look, at every other one while the service is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slow {
    Instances,
    Alarms,
    Names,
    Decisions,
    History,
}

/// In this order, again and again.
const TURNS: [Slow; 8] = [
    Slow::Decisions,
    Slow::Instances,
    Slow::Decisions,
    Slow::Alarms,
    Slow::Decisions,
    Slow::Instances,
    Slow::Decisions,
    Slow::Names,
];

/// Calls of a look at a service that is held, as AWS counts them, this long after the first: what the page's pace is tested
/// with.
#[cfg(test)]
pub(super) fn calls_of_a_look(looks: usize, since: Duration) -> u64 {
    // The hold, the pipeline's state, the health of two groups, the rules.
    const QUICK: u64 = 5;
    let before = since.saturating_sub(super::schedule::HELD);
    let every = |period: u64, calls: u64| if before.as_secs() / period == since.as_secs() / period { 0 } else { calls };
    let slow = u64::from(looks.is_multiple_of(2));
    // Figures each minute; structure, groups, listeners, their rules and tags every five.
    let first = if looks == 0 { 12 } else { 0 };
    QUICK + slow + every(60, 1) + every(300, 6) + first
}

/// A service that somebody looks at.
pub(super) struct Opened {
    service: Service,
    watched: Watched,
    looks: usize,
    /// How often a slow part had its turn.
    turns: usize,
    hold: Option<Hold>,
    pipeline: Option<Pipeline>,
    routing: Option<Routing>,
    instances: Option<Vec<Instance>>,
    alarms: Option<Vec<Alarm>>,
    names: Option<Vec<Record>>,
    /// How far it was when the history was read.
    history_of: Option<Reached>,
    history: Vec<Entry>,
    decisions: Decisions,
    weights: weights::Seen,
    tenures: Tenures,
    /// When the figures were read, and what they told.
    figures: Option<(Instant, Served)>,
    unavailable: BTreeMap<&'static str, Unavailable>,
}

/// How far a service is: who holds it, in which phase, and for which approval it waits.
type Reached = (Option<(ReleaseId, Phase)>, Option<String>);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View<'a> {
    schema: u32,
    #[serde(flatten)]
    status: &'a Status,
    weights: &'a [Stretch],
    #[serde(skip_serializing_if = "Option::is_none")]
    served: Option<&'a Served>,
    decisions_of: Option<&'a ReleaseId>,
    decisions: Vec<&'a Line>,
    history: &'a [Entry],
    acts: &'a [Offer],
}

impl Opened {
    pub(super) async fn new(account: &Account, name: &str) -> Result<Self, Failure> {
        let service = named(account, name, Naming::Exact).await?;
        Ok(Self {
            service,
            watched: Watched::default(),
            looks: 0,
            turns: 0,
            hold: None,
            pipeline: None,
            routing: None,
            instances: None,
            alarms: None,
            names: None,
            history_of: None,
            history: Vec::new(),
            decisions: Decisions::default(),
            weights: weights::Seen::default(),
            tenures: Tenures::default(),
            figures: None,
            unavailable: BTreeMap::new(),
        })
    }

    /// Whether a release is under way.
    pub(super) fn held(&self) -> bool {
        self.hold.is_some()
    }

    /// Takes the settings as they are now.
    pub(super) async fn renew(&mut self, account: &Account) -> Result<(), Failure> {
        self.service = named(account, self.service.role.as_str(), Naming::Exact).await?;
        Ok(())
    }

    /// Looks: everything the first time, then hold, pipeline and switches with one other part.
    pub(super) async fn look(&mut self, account: &Account) {
        let before = self.holder();
        self.quick(account).await;
        let news = self.holder() != before;
        if self.looks == 0 {
            for slow in [Slow::Instances, Slow::Alarms, Slow::Names] {
                self.slow(account, slow).await;
            }
        } else {
            let slow = self.turn();
            if let Some(slow) = slow {
                self.slow(account, slow).await;
            }
            // Who is live is told by the hold and the instances together: both are of the same time.
            if slow != Some(Slow::Instances) && (news || self.strangers()) {
                self.slow(account, Slow::Instances).await;
            }
            if news {
                self.slow(account, Slow::Names).await;
            }
        }
        self.looks += 1;
        let seen = self.status(account);
        if let Some(routing) = &self.routing {
            self.weights.add(seen.at, &seen.switches, APART);
            self.tenures.add(seen.at, routing, self.instances.as_deref().unwrap_or_default());
        }
        self.figures(account).await;
    }

    /// The slow part that is read now.
    fn turn(&mut self) -> Option<Slow> {
        if self.held() && !self.looks.is_multiple_of(2) {
            return None;
        }
        let turn = TURNS[self.turns % TURNS.len()];
        self.turns += 1;
        // What is new of the history has time until the decisions have had their turn.
        let known = turn == Slow::Decisions || self.history_of.as_ref() == Some(&self.reached());
        Some(if known { turn } else { Slow::History })
    }

    /// Reads what the balancer counted, once a minute.
    async fn figures(&mut self, account: &Account) {
        let Some(TargetGroup::Pair(selector)) = self.settings().map(|it| &it.target_group) else {
            return;
        };
        let every = FIGURES.max(Duration::from_secs(account.minute_secs().into()));
        if self.figures.as_ref().is_some_and(|(at, _)| at.elapsed() < every) {
            return;
        }
        let (at, now) = (Instant::now(), Timestamp::now());
        let found = account.figures(selector, &self.watched, served::since(now, account.minute_secs())).await;
        let served = self.read("requests", found).map(|figures| self.tenures.served(&figures, now));
        let before = self.figures.take().map(|(_, served)| served);
        self.figures = Some((at, served.or(before).unwrap_or_default()));
    }

    /// Whether a target isn't among the instances: it is newer than they were read.
    fn strangers(&self) -> bool {
        let known = |id: &str| self.instances.iter().flatten().any(|instance| instance.id == id);
        let targets = self.routing.iter().flat_map(|routing| &routing.groups).flat_map(|group| &group.targets);
        targets.filter(|target| target.counts()).any(|target| !known(&target.id))
    }

    fn settings(&self) -> Option<&Settings> {
        self.service.in_force(self.hold.as_ref())
    }

    fn reached(&self) -> Reached {
        let stage = self.pipeline.as_ref().and_then(|pipeline| pipeline.stage_of(self.service.role.as_str()));
        let asks = stage.and_then(Stage::approval).map(|open| open.action.to_owned());
        (self.holder(), asks)
    }

    fn holder(&self) -> Option<(ReleaseId, Phase)> {
        self.hold.as_ref().map(|hold| (hold.release.clone(), hold.phase))
    }

    async fn quick(&mut self, account: &Account) {
        let (role, settings) = (&self.service.role, self.settings());
        let name = self.service.pipeline_name(self.hold.as_ref()).ok();
        let early = async {
            match &name {
                Some(name) => account.pipeline_again(name, &self.watched).await.map(Some),
                None => Ok(None),
            }
        };
        let routing = async {
            match settings.map(|settings| &settings.target_group) {
                Some(TargetGroup::Pair(selector)) => {
                    account.routing_again(role, selector, &self.watched).await.map(Some)
                }
                _ => Ok(None),
            }
        };
        let (hold, pipeline, routing) = tokio::join!(account.hold(role), early, routing);
        // What can't be read now stays as it was seen last; that it couldn't be is said.
        if let Some(hold) = self.read("hold", hold) {
            self.hold = hold;
        }
        if let Some(pipeline) = self.read("pipeline", pipeline) {
            self.pipeline = pipeline;
        }
        if let Some(routing) = self.read("switches", routing) {
            self.routing = routing;
        }
    }

    async fn slow(&mut self, account: &Account, slow: Slow) {
        let role = self.service.role.clone();
        match slow {
            Slow::Instances => {
                let found = account.instances(&role).await;
                self.instances = self.read("instances", found).or(self.instances.take());
            }
            Slow::Alarms => {
                let Some(settings) = self.settings() else { return };
                let found = account.alarms(settings).await;
                self.alarms = self.read("alarms", found).or(self.alarms.take());
            }
            Slow::Names => {
                let zone = self.settings().and_then(|settings| settings.zone.clone());
                let Some(zone) = zone else { return };
                let found = account.names_again(&role, &zone, &self.watched).await;
                self.names = self.read("names", found).or(self.names.take());
            }
            Slow::Decisions => {
                self.decisions.of(self.hold.as_ref(), &self.history, Timestamp::now());
                let mut read = Ok(());
                for stage in self.decisions.next(self.running(), self.turns / 2) {
                    read = read.and(self.decisions.read(account, &role, stage).await);
                }
                self.read("decisions", read);
            }
            Slow::History => {
                let Some(pipeline) = self.pipeline.as_ref().map(|pipeline| pipeline.name.clone()) else { return };
                let reached = self.reached();
                let found = tokio::try_join!(account.executions(&pipeline, PAST), account.runs(&pipeline, None, RUNS));
                let Some((executions, runs)) = self.read("history", found) else { return };
                self.history = history(role.as_str(), &executions, &runs, Timestamp::now());
                // One that runs still is read again, for its end.
                let over = self.history.first().is_none_or(|entry| entry.outcome != Outcome::Running);
                self.history_of = (over || reached.0.is_some()).then_some(reached);
            }
        }
    }

    /// The function that runs for the service.
    fn running(&self) -> Option<StageName> {
        let running = self.pipeline.as_ref()?.stage_of(self.service.role.as_str()).and_then(Stage::running)?;
        match &running.does {
            Does::Invoke { action, .. } => action.map(|action| action.stage()),
            _ => None,
        }
    }

    /// What was read; what couldn't be is named until it can.
    fn read<T>(&mut self, name: &'static str, found: Result<T, Error>) -> Option<T> {
        let mut lacks = Vec::new();
        let found = part(name, found, &mut lacks);
        match lacks.pop() {
            Some(lack) => self.unavailable.insert(name, lack),
            None => self.unavailable.remove(name),
        };
        found
    }

    fn status(&self, account: &Account) -> Status {
        let unread = self.unavailable.values().cloned();
        let settings = self.settings().is_none().then(|| no_settings(account));
        let seen = Seen {
            now: Timestamp::now(),
            hold: self.hold.as_ref(),
            instances: self.instances.as_deref(),
            routing: self.routing.as_ref(),
            names: self.names.as_deref(),
            alarms: self.alarms.as_deref(),
            pipeline: self.pipeline.as_ref(),
            unavailable: unread.chain(settings).collect(),
        };
        status(&self.service.role, &seen)
    }

    /// For browsers; with what can be done, if something may be.
    pub(super) fn shown(&self, account: &Account, act: bool) -> One {
        let status = self.status(account);
        let acts = if act { offers(&status, self.pipeline.as_ref()) } else { Vec::new() };
        let (decisions_of, decisions) = self.decisions.lines();
        let view = View {
            schema: SCHEMA,
            status: &status,
            weights: self.weights.stretches(),
            served: self.figures.as_ref().map(|(_, served)| served),
            decisions_of,
            decisions: decisions.collect(),
            history: &self.history,
            acts: &acts,
        };
        One { json: serde_json::to_string(&view).unwrap_or_default().into(), acts }
    }
}
