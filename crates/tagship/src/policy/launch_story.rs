//! Provision and deploy played against a small cloud whose describes lag, each invoked twice at once.

use crate::deploy::Deploy;
use crate::names::{self, Names};
use crate::provision::Provision;
use crate::testing::*;
use crate::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Seconds that booting, installing and becoming healthy take; a round is two.
const SLOW_SECS: i64 = 6;

/// Release 1 is live in `a`; a stranger is in `b`.
struct Cloud {
    truth: World,
    /// What describes showed before, newest last.
    past: Vec<World>,
    holding: Holding,
    clock: i64,
    tokens: BTreeSet<String>,
    full: BTreeSet<(String, String)>,
    registered: BTreeMap<String, i64>,
    calls: Vec<String>,
    /// Whether an instance has died.
    ended: bool,
}

impl Cloud {
    fn new(full: &[(&str, &str)]) -> Self {
        let mut truth = world();
        truth.instances.retain(|instance| instance.release == Some(release(1)));
        truth.names = named(Names::Live, 1);
        truth.routing = Some(routing(vec![target(1, 1), target(1, 2)], vec![target(9, 9)]));
        truth.settings = Some(Offer { settings: settings(), user_data: None });
        truth.install = Some(Install { filtered: false, deployment: None });
        truth.artifact =
            Some(Ok(Artifact { bucket: "builds".to_owned(), key: "web.zip".to_owned(), version: None, etag: None }));
        Self {
            truth,
            past: Vec::new(),
            holding: Holding::default(),
            clock: 100,
            tokens: BTreeSet::new(),
            full: full.iter().map(|(subnet, kind)| ((*subnet).to_owned(), (*kind).to_owned())).collect(),
            registered: BTreeMap::new(),
            calls: Vec::new(),
            ended: false,
        }
    }

    fn fleet(&self) -> Vec<&Instance> {
        let me = release(2);
        self.truth.instances.iter().filter(|i| i.alive() && i.release.as_ref() == Some(&me)).collect()
    }

    fn end_one(&mut self) {
        let newest = self.truth.instances.iter_mut().rfind(|i| i.release == Some(release(2)) && i.alive());
        if let Some(instance) = newest
            && !self.ended
        {
            self.ended = true;
            (instance.state, instance.subnet) = (InstanceState::Terminated, None);
        }
    }

    fn tick(&mut self) {
        self.past.push(self.truth.clone());
        self.clock += 2;
        let now = at(self.clock);
        self.truth.now = now;
        let ripe = |since: jiff::Timestamp| now.duration_since(since).as_secs() >= SLOW_SECS;
        for instance in &mut self.truth.instances {
            if instance.state == InstanceState::Pending && ripe(instance.launched_at) {
                instance.state = InstanceState::Running;
            }
        }
        let fleet: Vec<String> = self.fleet().iter().map(|instance| instance.id.clone()).collect();
        if let Some(deployment) = self.truth.install.as_mut().and_then(|install| install.deployment.as_mut())
            && deployment.state == DeploymentState::Running
            && ripe(deployment.created_at)
        {
            deployment.state = DeploymentState::Succeeded;
            deployment.targets =
                fleet.into_iter().map(|instance| Installed { instance, succeeded: true, diagnostics: None }).collect();
        }
        for target in self.truth.routing.iter_mut().flat_map(|routing| &mut routing.groups[1].targets) {
            if target.health == Health::Initial && self.registered.get(&target.id).is_some_and(|&since| ripe(at(since)))
            {
                target.health = Health::Healthy;
            }
        }
    }

    /// One round of an invocation that sees the world as it was `lag` rounds ago.
    fn round<S: Stage>(&mut self, action: Action, memo: &mut Memo, lag: usize) -> Option<Decision> {
        self.tick();
        let seen = &self.past[self.past.len().saturating_sub(lag)..];
        let mut world = seen.first().unwrap_or(&self.truth).clone();
        world.now = self.truth.now;
        let job = job(action, 2);
        let verdict = admit(action, &job.release, &self.holding);
        let decision = S::decide(&Situation { job: &job, holding: &self.holding, verdict, world: &world }, memo);
        match decision {
            Decision::Do { step, .. } => {
                self.apply(step, memo);
                None
            }
            end @ (Decision::Done(_) | Decision::Fail(_)) => Some(end),
            _ => None,
        }
    }

    fn apply(&mut self, step: Step, memo: &mut Memo) {
        let now = at(self.clock);
        let routing = self.truth.routing.as_mut().expect("routing");
        let install = self.truth.install.as_mut().expect("an install");
        self.calls.push(step.to_string());
        match step {
            Step::WriteHold { hold, .. } => self.holding = held(*hold),
            Step::Launch(launch) => {
                if self.full.contains(&(launch.subnet.clone(), launch.instance_type.clone())) {
                    memo.exhausted.push((launch.subnet, launch.instance_type, "Insufficient".to_owned()));
                } else if self.tokens.insert(launch.client_token) {
                    for _ in 0..launch.count {
                        let n = self.truth.instances.len() as u8;
                        self.truth.instances.push(Instance {
                            subnet: Some(launch.subnet.clone()),
                            instance_type: launch.instance_type.clone(),
                            state: InstanceState::Pending,
                            launched_at: now,
                            ..instance(2, n)
                        });
                    }
                }
            }
            Step::Terminate { instances } => {
                for instance in self.truth.instances.iter_mut().filter(|i| instances.contains(&i.id)) {
                    assert_eq!(instance.release, Some(release(2)));
                    assert!(!self.registered.contains_key(&instance.id), "{} serves", instance.id);
                    (instance.state, instance.subnet) = (InstanceState::Terminated, None);
                }
            }
            Step::ChangeNames { changes, .. } => {
                for change in changes {
                    let (NameChange::Upsert(record) | NameChange::Delete(record)) = &change;
                    self.truth.names.retain(|other| other.name != record.name);
                    if let NameChange::Upsert(record) = change {
                        self.truth.names.push(record);
                    }
                }
            }
            Step::FilterDeployments { .. } => install.filtered = true,
            Step::CreateDeployment { .. } => {
                assert!(install.filtered);
                // One at a time a group; a second one of the release installs the same again.
                if install.deployment.as_ref().is_none_or(|one| one.state != DeploymentState::Running) {
                    install.deployment = Some(Deployment {
                        id: "d-1".to_owned(),
                        state: DeploymentState::Running,
                        created_at: now,
                        error: None,
                        targets: Vec::new(),
                        overview: String::new(),
                    });
                }
            }
            Step::Register { group, instances, port } => {
                assert_eq!(group, "arn:b");
                let targets = &mut routing.groups[1].targets;
                for id in instances {
                    self.registered.entry(id.clone()).or_insert(self.clock);
                    if !targets.iter().any(|target| target.id == id) {
                        targets.push(Target { id, port, health: Health::Initial, reason: None, description: None });
                    }
                }
                let own = |target: &&Target| !target.counts() || target.id.starts_with("i-2");
                assert_eq!(targets.iter().filter(own).count(), targets.len(), "two releases share a group");
            }
            Step::Deregister { group, targets } => {
                assert_eq!(group, "arn:b");
                assert!(targets.iter().all(|(id, _)| id == "i-99"), "{targets:?}");
                routing.groups[1].targets[0].health = Health::Draining;
            }
            other => panic!("neither provision's nor deploy's: {other}"),
        }
    }
}

/// Two provisions, then two deploys beside them, as the schedule says (who, how late its describe is; 4 ends
/// the newest instance, once, while no provision is done), and then in turn, without lag, until all have ended.
fn play(full: &[(&str, &str)], schedule: &[(usize, usize)]) -> (Cloud, Vec<Option<Decision>>) {
    let mut cloud = Cloud::new(full);
    let mut memos = [100, 100, 100, 100].map(|began| Memo::new(at(began)));
    let mut ends: Vec<Option<Decision>> = vec![None; 4];
    let in_turn = (0..400).map(|n| (n % 4, 0));
    for (who, lag) in schedule.iter().copied().chain(in_turn) {
        let provisioned = ends[..2].iter().any(|end| matches!(end, Some(Decision::Done(_))));
        if who == 4 {
            if !provisioned {
                cloud.end_one();
            }
            continue;
        }
        if ends[who].is_some() || (who >= 2 && !provisioned) {
            continue;
        }
        ends[who] = match who {
            0 | 1 => cloud.round::<Provision>(Action::Provision, &mut memos[who], lag),
            _ => cloud.round::<Deploy>(Action::Deploy, &mut memos[who], lag),
        };
    }
    (cloud, ends)
}

#[test]
fn without_lag_each_call_is_made_once() {
    let (cloud, ends) = play(&[("subnet-a", "t3.micro")], &[]);
    assert!(ends.iter().all(|end| matches!(end, Some(Decision::Done(_)))), "{ends:?}");
    assert_eq!(
        cloud.calls,
        [
            "take the hold for r0000002",
            "launch 1 × t3.micro in subnet-a",
            "launch 1 × t3.micro in subnet-a",
            "launch 1 × t3a.micro in subnet-a",
            "launch 1 × t3.micro in subnet-b",
            "change 3 names in cd.internal",
            "write the hold of r0000002: Open",
            "filter the deployment group to r0000002",
            "deploy s3://builds/web.zip",
            "deregister i-99 from arn:b",
            "register i-22, i-23 on port 8080 in arn:b",
        ]
    );
}

proptest! {
    #[test]
    fn two_at_once_with_lagging_describes_end_as_one(
        schedule in prop::collection::vec((0_usize..5, 0_usize..5), 0..80),
        full in prop::sample::subsequence(vec![("subnet-a", "t3.micro"), ("subnet-a", "t3a.micro"), ("subnet-b", "t3.micro")], 0..=3),
    ) {
        let (cloud, ends) = play(&full, &schedule);
        let done = |end: &Option<Decision>| matches!(end, Some(Decision::Done(_)));
        prop_assert!(ends.iter().all(Option::is_some), "not ended: {:?}\n{:#?}", ends, cloud.calls);
        let fleet = cloud.fleet();
        if !cloud.ended {
            prop_assert!([&ends[..2], &ends[2..]].iter().all(|two| two.iter().any(done)), "{:?}\n{:#?}", ends, cloud.calls);
            prop_assert_eq!(cloud.truth.instances.len(), 2 + 2, "launched more than once: {:#?}", cloud.calls);
        }
        if ends[2..].iter().any(done) {
            let candidate = names::held_by(&cloud.truth.names, &role(), "cd.internal", Names::Candidate);
            prop_assert_eq!((fleet.len(), candidate.len()), (2, 2), "{:?}\n{:#?}", ends, cloud.calls);
            let targets = &cloud.truth.routing.as_ref().expect("routing").groups[1].targets;
            let serving: BTreeSet<&str> = targets.iter().filter(|t| t.counts()).map(|t| t.id.as_str()).collect();
            prop_assert_eq!(serving, fleet.iter().map(|instance| instance.id.as_str()).collect());
            prop_assert!(targets.iter().all(|target| !target.counts() || target.health == Health::Healthy));
        }
        let live = &cloud.truth.routing.as_ref().expect("routing").groups[0].targets;
        prop_assert_eq!(live, &vec![target(1, 1), target(1, 2)]);
    }
}
