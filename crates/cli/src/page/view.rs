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
use tagship::history::{Entry, Outcome, history};
use tagship::settings::TargetGroup;
use tagship::status::{Seen, Status, Unavailable, status};
use tagship::{Alarm, Does, Error, Hold, Instance, Phase, Pipeline, Record, ReleaseId, Routing, Stage, StageName};
use tagship_aws::{Account, Watched};

/// Past releases that are shown, and the runs of actions that they may have.
const PAST: i32 = 10;
const RUNS: usize = 140;
/// What comes later than this after the last look wasn't watched in between.
const APART: SignedDuration = SignedDuration::from_secs(90);

/// What is read beside hold, pipeline and switches: one of them at each look.
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

/// A service that somebody looks at.
pub(super) struct Opened {
    service: Service,
    watched: Watched,
    looks: usize,
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
            // What is new of the history has time until the decisions have had their turn.
            let slow = match TURNS[self.looks % TURNS.len()] {
                Slow::Decisions => Slow::Decisions,
                other if self.history_of.as_ref() == Some(&self.reached()) => other,
                _ => Slow::History,
            };
            self.slow(account, slow).await;
            // Who is live is told by the hold and the instances together: both are of the same time.
            if slow != Slow::Instances && (news || self.strangers()) {
                self.slow(account, Slow::Instances).await;
            }
            if news {
                self.slow(account, Slow::Names).await;
            }
        }
        self.looks += 1;
        let seen = self.status(account);
        if self.routing.is_some() {
            self.weights.add(seen.at, &seen.switches, APART);
        }
    }

    /// Whether a target isn't among the instances: it is newer than they were read.
    fn strangers(&self) -> bool {
        let known = |id: &str| self.instances.iter().flatten().any(|instance| instance.id == id);
        let targets = self.routing.iter().flat_map(|routing| &routing.groups).flat_map(|group| &group.targets);
        targets.filter(|target| target.counts()).any(|target| !known(&target.id))
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
        let Service { role, settings } = &self.service;
        let name = self.service.pipeline_name(self.hold.as_ref()).ok();
        let early = async {
            match &name {
                Some(name) => account.pipeline_again(name, &self.watched).await.map(Some),
                None => Ok(None),
            }
        };
        let routing = async {
            match settings.as_ref().map(|settings| &settings.target_group) {
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
                let Some(settings) = &self.service.settings else { return };
                let found = account.alarms(settings).await;
                self.alarms = self.read("alarms", found).or(self.alarms.take());
            }
            Slow::Names => {
                let zone = self.service.settings.as_ref().and_then(|settings| settings.zone.clone());
                let Some(zone) = zone else { return };
                let found = account.names_again(&role, &zone, &self.watched).await;
                self.names = self.read("names", found).or(self.names.take());
            }
            Slow::Decisions => {
                self.decisions.of(self.hold.as_ref(), &self.history, Timestamp::now());
                let mut read = Ok(());
                for stage in self.decisions.next(self.running(), self.looks / 2) {
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
        let settings = self.service.settings.is_none().then(|| no_settings(account));
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
            decisions_of,
            decisions: decisions.collect(),
            history: &self.history,
            acts: &acts,
        };
        One { json: serde_json::to_string(&view).unwrap_or_default().into(), acts }
    }
}
