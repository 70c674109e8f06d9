//! A day's plan, as data: services, releases, people, faults. The same plan always makes the same day.

use crate::cloud::{Build, Nature};
use crate::mistake::Mistake;
use crate::past::{HOUR, MINUTE, Ms, SECOND};
use serde_json::json;
use std::collections::BTreeMap;
use tagship::settings::{Keep, Settings};
use tagship::{Action, AlarmState, Kind, ServiceRole};

/// All that a day is made from.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where chance begins.
    pub seed: u64,
    /// The cloud's nature.
    pub nature: Nature,
    /// The services, each with a pipeline of its own.
    pub services: Vec<ServicePlan>,
    /// What people do besides.
    pub acts: Vec<(Ms, PersonAct)>,
    /// The odds of faults.
    pub odds: Odds,
    /// Faults by position: the number of the call in the day, from 0.
    pub injected: BTreeMap<u64, Fault>,
    /// The same of events: the number of the event in the day, from 0.
    pub mishaps: BTreeMap<u64, Mishap>,
    /// From here on, nothing goes wrong any more.
    pub calm: Ms,
    /// How long after that everything must have come to its end.
    pub patience: Ms,
    /// How long an invocation may take, in milliseconds.
    pub timeout: Ms,
    /// A planted mistake.
    pub mistake: Option<Mistake>,
}

/// A service, its pipeline, and what is released.
#[derive(Debug, Clone)]
pub struct ServicePlan {
    /// The product.
    pub role: ServiceRole,
    /// Its settings.
    pub settings: Settings,
    /// The pre-product, where there is one.
    pub pre: Option<(ServiceRole, Settings)>,
    /// Another product's role, or its own, that the pipeline names as its pre-product by mistake.
    pub mistyped: Option<ServiceRole>,
    /// How many switches the product has.
    pub switches: usize,
    /// Requests a minute of its users.
    pub requests: u64,
    /// Whether the product has a rule for test traffic.
    pub tested: bool,
    /// QUEUED rather than SUPERSEDED.
    pub queued: bool,
    /// Whether a release has been live for long.
    pub settled: bool,
    /// The releases, in order.
    pub releases: Vec<ReleasePlan>,
}

/// A release.
#[derive(Debug, Clone)]
pub struct ReleasePlan {
    /// When it is uploaded.
    pub at: Ms,
    /// What it is like.
    pub build: Build,
    /// The votes by approval, `QaApproval` and so on; approvals that aren't listed are granted after a minute.
    pub votes: BTreeMap<String, Vote>,
    /// When a person stops it.
    pub stop: Option<(Ms, bool)>,
}

/// What becomes of an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vote {
    /// Granted after so long.
    Grant(Ms),
    /// Rejected after so long.
    Reject(Ms),
    /// Nobody answers.
    Silence,
}

/// What people do by hand.
#[derive(Debug, Clone, PartialEq)]
pub enum PersonAct {
    /// Turns a switch around, and puts it back after so long.
    TurnSwitch(ServiceRole, usize, Ms),
    /// Leads a rule for test traffic to the pair's other group.
    PointTest(ServiceRole),
    /// Takes a switch's tag away, and puts it back after so long.
    UntagSwitch(ServiceRole, usize, Ms),
    /// Splits a switch's weight 90 to 10, and gives it whole to the greater again after so long.
    SplitSwitch(ServiceRole, usize, Ms),
    /// Gives other numbers to a switch that is divided.
    Reweigh(ServiceRole, usize),
    /// The service's alarm gets this state (`Missing`: somebody deletes it), and is OK again after so long.
    Ring(ServiceRole, AlarmState, Ms),
    /// Waits until the traffic is divided, so many minutes at most; then deletes the service's alarm, and the candidate
    /// fails all its health checks: somebody has deleted what both stood on. An hour later all is there again.
    Wreck(ServiceRole, u32),
    /// What [`PersonAct::Wreck`] took is there again.
    Restore(ServiceRole),
    /// Registers an instance that isn't ours in a group of the pair, and takes it out after so long.
    AddStranger(ServiceRole, usize, Ms),
    /// Terminates an instance of the newest fleet, or one dies by itself.
    Kill(ServiceRole, usize),
    /// Stops an instance while nobody holds the service, and starts it after so long.
    Halt(ServiceRole, usize, Ms),
    /// An instance fails its health check for so long; 0 heals it.
    Sicken(ServiceRole, usize, Ms),
    /// Protects an instance against termination.
    Protect(ServiceRole, usize),
    /// Takes an instance out of its target group.
    TakeOut(ServiceRole, usize),
    /// A subnet has so much capacity left for a type.
    Exhaust(&'static str, &'static str, u32),
    /// Somebody else in the account uses up the API's limits for so long.
    Storm(Ms),
    /// Removes an instance's tags, or only the release's.
    Untag(ServiceRole, usize, bool),
    /// Changes the settings: COUNT.
    Resize(ServiceRole, u32),
    /// Changes them: KEEP and DRAIN.
    Keep(ServiceRole, Keep),
    /// Changes them: public addresses, which the service didn't have, or has no longer.
    Addresses(ServiceRole, bool),
    /// Changes them: the other type first, in one subnet.
    Move(ServiceRole),
    /// Sets every switch that a person turned back to the group of an approved release, as retire's message asks.
    Mend,
    /// Retries the failed stage of the last execution.
    Retry(ServiceRole),
    /// Asks a function directly for this action on the release that holds the service.
    Ask(ServiceRole, Action),
}

/// The odds of each fault, at each call or event.
#[derive(Debug, Clone, Copy, Default)]
pub struct Odds {
    /// The process dies before a call.
    pub crash: f64,
    /// It dies once the call has had its effect.
    pub crash_after: f64,
    /// It dies, and the call has its effect up to 10 s later.
    pub late: f64,
    /// The call takes effect, its reply is lost.
    pub lost: f64,
    /// The call fails without effect.
    pub refuse: f64,
    /// The process stands still for up to an hour, in a pause.
    pub freeze: f64,
    /// The process stands still for up to an hour before it gets to know what it has read.
    pub stale: f64,
    /// A call takes as long as it may.
    pub slow: f64,
    /// A person changes a switch right before tagship does.
    pub race: f64,
    /// An event is delivered twice.
    pub duplicate: f64,
    /// An event is lost.
    pub lose_event: f64,
    /// An event comes up to ten minutes late.
    pub late_event: f64,
    /// CodePipeline doesn't know an execution, for one answer.
    pub unknown: f64,
}

/// A fault at one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The process dies before it.
    Crash,
    /// It dies once the call has had its effect.
    CrashAfter,
    /// It dies, and the call has its effect so much later.
    Late(Ms),
    /// The call takes effect, its reply is lost.
    Lost,
    /// It fails without effect.
    Refuse(Kind),
    /// The process stands still before the answer reaches it.
    Freeze(Ms),
}

/// What goes wrong with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// It never comes. EventBridge may lose events; a pipeline's job, once accepted, isn't lost.
    Lost,
    /// It comes so much later.
    Late(Ms),
    /// It comes twice, so far apart.
    Twice(Ms),
}

/// What a call that [`Fault::Refuse`] refuses is told.
pub const REFUSED: &str = "a fault of the simulator";

impl Fault {
    /// For the report.
    pub fn name(self) -> &'static str {
        match self {
            Fault::Crash => "crash before a call",
            Fault::CrashAfter => "crash after a call",
            Fault::Late(_) => "crash with a late call",
            Fault::Lost => "reply lost",
            Fault::Refuse(Kind::Throttled) => "call failed: throttled",
            Fault::Refuse(Kind::Unavailable) => "call failed: unavailable",
            Fault::Refuse(Kind::Conflict) => "call failed: conflict",
            Fault::Refuse(Kind::Capacity) => "call failed: no capacity",
            Fault::Refuse(Kind::Denied) => "call failed: denied",
            Fault::Refuse(Kind::Configuration) => "call failed: configuration",
            Fault::Refuse(Kind::Spent | Kind::Protected | Kind::Refused | Kind::Release | Kind::Bug) => {
                "call failed: refused"
            }
            Fault::Freeze(_) => "process frozen",
        }
    }
}

impl Plan {
    /// A quiet day of one service without releases.
    pub fn quiet(seed: u64) -> Self {
        Self {
            seed,
            nature: Nature::default(),
            services: vec![ServicePlan::new("WEB_PRODUCT", 2)],
            acts: Vec::new(),
            odds: Odds::default(),
            injected: BTreeMap::new(),
            mishaps: BTreeMap::new(),
            calm: 2 * HOUR,
            patience: 6 * HOUR,
            timeout: 5 * MINUTE,
            mistake: None,
        }
    }

    /// With these releases of the first service.
    pub fn releases(mut self, releases: impl IntoIterator<Item = ReleasePlan>) -> Self {
        self.services[0].releases = releases.into_iter().collect();
        self
    }
}

impl ServicePlan {
    /// A service without releases, with two switches.
    pub fn new(name: &str, count: u32) -> Self {
        let role = role(name);
        let settings = settings(&role, count);
        Self {
            role,
            settings,
            pre: None,
            mistyped: None,
            switches: 2,
            requests: 6_000,
            tested: false,
            queued: false,
            settled: false,
            releases: Vec::new(),
        }
    }
}

impl ReleasePlan {
    /// A good build that everybody approves.
    pub fn at(at: Ms) -> Self {
        Self { at, build: Build::Good, votes: BTreeMap::new(), stop: None }
    }

    /// Of another build.
    pub fn build(self, build: Build) -> Self {
        Self { build, ..self }
    }

    /// With another vote.
    pub fn vote(mut self, approval: &str, vote: Vote) -> Self {
        self.votes.insert(approval.to_owned(), vote);
        self
    }
}

/// The id of every service's private zone.
pub const ZONE_ID: &str = "zone-1";
/// The subnets of every service.
pub const SUBNETS: [&str; 2] = ["subnet-a", "subnet-b"];
/// The types, in order of preference.
pub const TYPES: [&str; 2] = ["t3.micro", "t3a.micro"];

/// A service role.
pub fn role(name: &str) -> ServiceRole {
    ServiceRole::try_from(name.to_owned()).expect("the simulator's own names are well formed")
}

/// Settings with the defaults of docs/SETTINGS.md, two subnets and two types.
pub fn settings(role: &ServiceRole, count: u32) -> Settings {
    let written = json!({
        "SUBNET": SUBNETS, "AMI": "ami-1", "INSTANCE_TYPE": TYPES, "SG": "sg-1", "INSTANCE_PROFILE": "web",
        "DEPLOY": {"VIA": "codedeploy", "APPLICATION": "web", "GROUP": role.label()},
        "COUNT": count, "ZONE": "cd.internal",
    });
    let offer = Settings::parse(role, &written.to_string()).expect("the simulator's own settings are well formed");
    offer.settings
}

/// How long people take for an approval if the plan doesn't say.
pub const USUAL_VOTE: Vote = Vote::Grant(60 * SECOND);
