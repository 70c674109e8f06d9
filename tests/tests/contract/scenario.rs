//! A scenario as data: who looks, and what happens, in names that both clouds understand.
//!
//! What a cloud names itself is named here by its order of appearance: `instance1`, `ip1`, `address1`, `public1`,
//! `association1`, `deployment1`, `artifact1`, `etag1`. What is there from the beginning: the groups `a` and `b`, and
//! `other`, which is nobody's; the switches `http`, `https` and `default`; the
//! rule `test` for test traffic, in scenarios whose name says so; `subnet-a` and `subnet-b`.

use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use tagship::settings::{Ami, Choice, Resolved, Settings};
use tagship::{
    AlarmState, Artifact, Ended, Hold, HowEnded, Launch, NameChange, Record, ReleaseId, ServiceRole, Step, TAG_RELEASE,
    TAG_SERVICE,
};
use tagship_emulator::pipeline::{self, Mode, Pipeline};
use tagship_sim::cloud::Build;

pub(crate) const ZONE: &str = "cd.internal";
/// The port of both groups.
pub(crate) const PORT: u16 = 8080;

/// What happens to one service, and to one account while it does.
pub(crate) struct Scenario {
    /// Also the service role.
    pub(crate) name: &'static str,
    /// Over the usual settings.
    pub(crate) settings: Value,
    /// The first one makes the steps and looks after each move; the others look now and then.
    pub(crate) releases: Vec<&'static str>,
    /// In order.
    pub(crate) moves: Vec<Move>,
}

/// One thing that happens.
#[derive(Debug, Clone)]
pub(crate) enum Move {
    /// The first release makes a call.
    Step(Step),
    /// A person, or the cloud by itself.
    Act(Act),
    /// Nobody looks before the next move.
    Unseen(Box<Move>),
}

impl Move {
    /// What happens, and whether nobody looks.
    pub(crate) fn parts(&self) -> (&Move, bool) {
        match self {
            Move::Unseen(it) => (it, true),
            it => (it, false),
        }
    }
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Move::Step(step) => step.fmt(f),
            Move::Act(act) => write!(f, "{act:?}"),
            Move::Unseen(it) => write!(f, "{it}, unseen"),
        }
    }
}

/// What isn't tagship's doing.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Nothing happens; every stage of every release looks.
    Look,
    /// What is pending is running.
    Boot,
    /// A pending instance never gets to running.
    BootFails(&'static str),
    /// What shuts down is terminated, what stops is stopped.
    Settle,
    /// The balancer has checked every target.
    Check,
    /// The deregistration delay of whatever drains is over.
    Drain,
    /// The agents are done with whatever is being deployed.
    Install,
    /// A release's artifact is like this.
    Build(&'static str, Build),
    /// An instance dies, and is gone.
    Die(&'static str),
    /// An instance fails its health checks.
    Sicken(&'static str),
    /// A person removes one of tagship's tags from an instance.
    Untag(&'static str, &'static str),
    /// A person registers an instance that isn't the service's.
    Stranger(&'static str),
    /// A person sets a switch to this.
    Turn(&'static str, &'static [(&'static str, u32)]),
    /// So many instances of the usual type still fit into a subnet.
    Capacity(&'static str, u32),
    /// So many addresses may still be allocated.
    Quota(u32),
    /// A person gives an alarm this state; there is such an alarm from then on.
    Alarm(&'static str, AlarmState),
    /// A pipeline execution starts; it is this release's.
    Start(&'static str),
    /// Somebody approves what the pipeline waits for.
    Approve,
    /// Somebody rejects it.
    Reject,
    /// Somebody stops an execution; at once, or when its action is done.
    Halt(&'static str, bool),
}

impl Scenario {
    /// With moves made of its own names.
    pub(crate) fn new(
        name: &'static str,
        settings: Value,
        releases: &[&'static str],
        moves: impl FnOnce(&Steps) -> Vec<Move>,
    ) -> Self {
        let steps = Steps::of(name, settings.clone());
        Self { name, settings, releases: releases.to_vec(), moves: moves(&steps) }
    }

    /// With the usual settings, and a second release that looks on.
    pub(crate) fn usual(name: &'static str, moves: impl FnOnce(&Steps) -> Vec<Move>) -> Self {
        Self::new(name, Value::Null, &["r1", "r2"], moves)
    }

    /// Whether the service has a rule for test traffic.
    pub(crate) fn tested(&self) -> bool {
        self.name.contains("TESTED")
    }

    pub(crate) fn role(&self) -> ServiceRole {
        ServiceRole::try_from(self.name.to_owned()).expect("a role")
    }

    /// The usual settings of a service, with this scenario's over them.
    pub(crate) fn text(&self, usual: Value) -> String {
        let mut settings = usual;
        // Named, as everything here is: tags would be looked up.
        settings["ALARMS"] = json!([]);
        for (key, value) in self.settings.as_object().into_iter().flatten() {
            settings[key] = value.clone();
        }
        settings.to_string()
    }

    /// The settings in the names that are used here.
    pub(crate) fn named_settings(&self) -> Settings {
        settings(&self.role(), &self.text(usual()))
    }

    /// Who looks after a move.
    pub(crate) fn watchers(&self, all: bool) -> Vec<&'static str> {
        if all { self.releases.clone() } else { vec![self.releases[0]] }
    }

    pub(crate) fn pipeline(&self) -> String {
        self.role().label()
    }
}

/// As provision takes them into a hold; they name everything by its id.
pub(crate) fn settings(role: &ServiceRole, text: &str) -> Settings {
    let offer = Settings::parse(role, text).and_then(|offer| {
        // Those that are named are there.
        let alarms = offer.settings.alarms.ids().to_vec();
        offer.settings.resolve(Resolved { alarms, ..Resolved::default() })
    });
    offer.unwrap_or_else(|error| panic!("{error}"))
}

fn usual() -> Value {
    json!({
        "SUBNET": ["subnet-a", "subnet-b"], "AMI": "ami-1", "INSTANCE_TYPE": "t3.micro", "COUNT": 2, "SG": "sg-1",
        "INSTANCE_PROFILE": "profile", "DEPLOY": {"VIA": "codedeploy", "APPLICATION": "web", "GROUP": "web"},
        "DRAIN": 2, "ZONE": ZONE,
    })
}

pub(crate) fn release(id: &str) -> ReleaseId {
    ReleaseId::try_from(id.to_owned()).expect("a release")
}

pub(crate) fn strings(words: &str) -> Vec<String> {
    words.split_whitespace().map(str::to_owned).collect()
}

/// A pipeline of one approval, where executions overtake each other. The simulator has the same.
pub(crate) fn pipeline(scenario: &Scenario) -> Pipeline {
    let approval = pipeline::Action {
        name: "Approval".into(),
        run_order: 1,
        kind: pipeline::Kind::Approval,
        configuration: BTreeMap::new(),
        namespace: None,
        inputs: Vec::new(),
        outputs: Vec::new(),
        timeout: None,
    };
    Pipeline {
        name: scenario.pipeline().into(),
        mode: Mode::Superseded,
        artifact_bucket: "none".to_owned(),
        stages: vec![pipeline::Stage { name: "Release".into(), actions: vec![approval] }],
    }
}

/// Steps in the names of one scenario's service.
pub(crate) struct Steps {
    pub(crate) role: ServiceRole,
    settings: Settings,
    pipeline: String,
}

impl Steps {
    fn of(name: &'static str, settings: Value) -> Self {
        let scenario = Scenario { name, settings, releases: Vec::new(), moves: Vec::new() };
        Self { role: scenario.role(), settings: scenario.named_settings(), pipeline: scenario.pipeline() }
    }

    pub(crate) fn hold(&self, of: &str) -> Hold {
        Hold::taken(release(of), self.pipeline.clone(), Timestamp::UNIX_EPOCH, self.settings.clone())
    }

    /// Takes the hold for a release.
    pub(crate) fn take(&self, of: &str) -> Move {
        write(self.hold(of), None)
    }

    pub(crate) fn tags(&self, of: &str) -> Vec<(String, String)> {
        vec![(TAG_SERVICE.to_owned(), self.role.to_string()), (TAG_RELEASE.to_owned(), of.to_owned())]
    }

    /// A launch into a subnet.
    pub(crate) fn launching(&self, of: &str, subnet: &str, count: u32, token: &str) -> Launch {
        let settings = &self.settings;
        let (Ami::Id(ami), Choice::Ids(security_groups)) = (&settings.ami, &settings.sg) else {
            panic!("settings are resolved");
        };
        Launch {
            role: self.role.clone(),
            release: release(of),
            subnet: subnet.to_owned(),
            instance_type: settings.instance_type[0].clone(),
            count,
            // Tokens are the account's, and so differ from scenario to scenario.
            client_token: format!("{}-{token}", self.role),
            ami: ami.clone(),
            security_groups: security_groups.clone(),
            instance_profile: settings.instance_profile.clone(),
            key_name: None,
            user_data: None,
            imds_hops: settings.imds_hops,
            volume: settings.volume.clone().map(|volume| ("/dev/xvda".to_owned(), volume)),
            lasting: BTreeMap::new(),
            tags: self.tags(of),
        }
    }

    pub(crate) fn launch(&self, of: &str, subnet: &str, count: u32, token: &str) -> Move {
        launch(self.launching(of, subnet, count, token))
    }

    /// The beginning of many scenarios: a release that holds, with so many running instances.
    pub(crate) fn fleet(&self, of: &str, count: u32) -> Vec<Move> {
        vec![self.take(of), self.launch(of, "subnet-a", count, of), Move::Act(Act::Boot)]
    }

    pub(crate) fn allocate(&self, of: &str) -> Move {
        Move::Step(Step::AllocateAddress { tags: self.tags(of) })
    }

    pub(crate) fn names(&self, changes: Vec<NameChange>) -> Move {
        Move::Step(Step::ChangeNames { zone: ZONE.to_owned(), changes })
    }

    /// `live.<service>.<zone>` and these addresses.
    pub(crate) fn record(&self, name: &str, ips: &str) -> Record {
        Record { name: format!("{name}.{}.{ZONE}", self.role.label()), values: strings(ips), ttl: 10 }
    }
}

/// These moves, and more.
pub(crate) fn with(mut moves: Vec<Move>, more: impl IntoIterator<Item = Move>) -> Vec<Move> {
    moves.extend(more);
    moves
}

pub(crate) fn unseen(it: Move) -> Move {
    Move::Unseen(Box::new(it))
}

pub(crate) fn launch(launch: Launch) -> Move {
    Move::Step(Step::Launch(Box::new(launch)))
}

pub(crate) fn write(hold: Hold, etag: Option<&str>) -> Move {
    Move::Step(Step::WriteHold { hold: Box::new(hold), etag: etag.map(str::to_owned) })
}

pub(crate) fn delete_hold(etag: &str) -> Move {
    Move::Step(Step::DeleteHold { etag: etag.to_owned() })
}

pub(crate) fn end(of: &str, how: HowEnded) -> Move {
    Move::Step(Step::WriteEnded(Ended::unheld(release(of), how, Timestamp::UNIX_EPOCH)))
}

pub(crate) fn terminate(instances: &str) -> Move {
    Move::Step(Step::Terminate { instances: strings(instances) })
}

pub(crate) fn stop(instances: &str) -> Move {
    Move::Step(Step::Stop { instances: strings(instances) })
}

pub(crate) fn tag_retired(instances: &str, by: &str) -> Move {
    Move::Step(Step::TagRetired { instances: strings(instances), by: release(by) })
}

pub(crate) fn associate(address: &str, instance: &str) -> Move {
    Move::Step(Step::AssociateAddress { address: address.to_owned(), instance: instance.to_owned() })
}

pub(crate) fn disassociate(address: &str, association: &str) -> Move {
    Move::Step(Step::DisassociateAddress { address: address.to_owned(), association: association.to_owned() })
}

pub(crate) fn release_address(address: &str) -> Move {
    Move::Step(Step::ReleaseAddress { address: address.to_owned() })
}

pub(crate) fn register(group: &str, instances: &str) -> Move {
    Move::Step(Step::Register { group: group.to_owned(), instances: strings(instances), port: PORT })
}

pub(crate) fn deregister(group: &str, instances: &str) -> Move {
    let targets = strings(instances).into_iter().map(|id| (id, PORT)).collect();
    Move::Step(Step::Deregister { group: group.to_owned(), targets })
}

/// From these weights of `a` and `b` to those.
pub(crate) fn shift(switch: &str, from: (u32, u32), to: (u32, u32)) -> Move {
    let weights = vec![("a".to_owned(), from.0, to.0), ("b".to_owned(), from.1, to.1)];
    Move::Step(Step::SetWeights { switch: switch.to_owned(), label: switch.to_owned(), weights, unstick: false })
}

/// The rule for test traffic, from this group to that.
pub(crate) fn point(from: &str, to: &str) -> Move {
    let (rule, label) = ("test".to_owned(), "test".to_owned());
    Move::Step(Step::PointTest { rule, label, from: vec![from.to_owned()], to: to.to_owned() })
}

pub(crate) fn filter(of: &str) -> Move {
    Move::Step(Step::FilterDeployments { release: release(of) })
}

pub(crate) fn deploy(of: &str, artifact: &str) -> Move {
    Move::Step(Step::CreateDeployment { release: release(of), artifact: named_artifact(artifact) })
}

pub(crate) fn stop_deployment(deployment: &str) -> Move {
    Move::Step(Step::StopDeployment { deployment: deployment.to_owned() })
}

pub(crate) fn upsert(record: Record) -> NameChange {
    NameChange::Upsert(record)
}

pub(crate) fn delete(record: Record) -> NameChange {
    NameChange::Delete(record)
}

/// The artifact of this name.
pub(crate) fn named_artifact(name: &str) -> Artifact {
    Artifact { bucket: String::new(), key: name.to_owned(), version: None, etag: None }
}

/// An instance that there is not, in EC2's form.
pub(crate) const NOBODY: &str = "i-0123456789abcdef0";
