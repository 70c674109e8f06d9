//! The pipelines at work: uploads, jobs, approvals, events and who is invoked by them.

use super::queue::Event;
use crate::day::Day;
use crate::invocation::Delivery;
use crate::past::{MINUTE, Ms, SECOND, timestamp};
use crate::pipes::job;
use crate::plan::{Mishap, USUAL_VOTE, Vote};
use rand::RngExt;
use std::collections::BTreeMap;
use tagship::{Action, Job, Occasion, ReleaseId, ServiceRole};
use tagship_emulator::change::{Origin, State, Subject};
use tagship_emulator::effect::Effect;
use tagship_emulator::execution::Trigger;

impl Day {
    pub(super) fn upload(&mut self, pipe: usize, n: usize) {
        let now = timestamp(self.cloud.now);
        let release = self.plan.services[pipe].releases[n].clone();
        let trigger = Trigger { kind: "CloudWatchEvent", detail: "arn:rule".into() };
        let started = self.pipes[pipe].engine.start(now, trigger, BTreeMap::new());
        self.pipes[pipe].uploaded += 1;
        let Ok(id) = started else { return };
        self.tell(|| "person".into(), || format!("uploads: release {id}, {:?}", release.build));
        if let Ok(of) = ReleaseId::try_from(id.to_string()) {
            self.cloud.builds.insert(of, release.build);
        }
        self.pipes[pipe].releases.insert(id.clone(), n);
        if let Some((at, abandon)) = release.stop {
            self.at(at, Event::Stop(pipe, id, abandon));
        }
        self.pump(pipe);
    }

    /// Carries out what a pipeline wants.
    pub(super) fn pump(&mut self, pipe: usize) {
        for effect in self.pipes[pipe].engine.effects() {
            match effect {
                Effect::Fetch(fetch) => {
                    let delay = self.between(SECOND, 5 * SECOND);
                    self.after(delay, Event::Fetched(pipe, fetch.job));
                }
                Effect::Invoke(of) => {
                    let text = of.configuration.get("UserParameters").map_or("", String::as_str);
                    let function = of.configuration.get("FunctionName").map(String::as_str);
                    let parameters: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
                    let Some(job) = job(&parameters, function) else { continue };
                    let delivery = Delivery { job, answers: Some((pipe, of.id)), token: of.continuation, attempt: 0 };
                    self.send(delivery, 0);
                }
                Effect::Ask(asked) => {
                    let n = self.pipes[pipe].releases.get(&asked.execution);
                    let release = n.map(|n| &self.plan.services[pipe].releases[*n]);
                    let vote = release.and_then(|it| it.votes.get(&*asked.action)).copied().unwrap_or(USUAL_VOTE);
                    let (delay, granted) = match vote {
                        Vote::Grant(delay) => (delay, true),
                        Vote::Reject(delay) => (delay, false),
                        Vote::Silence => continue,
                    };
                    let (stage, action, token) = (asked.stage, asked.action, asked.token);
                    self.after(delay, Event::Voted { pipe, stage, action, token, granted });
                }
                Effect::Changed(change) => {
                    let it = &self.pipes[pipe];
                    if change.subject != Subject::Pipeline {
                        continue;
                    }
                    let origin = Origin {
                        account: "123456789012".into(),
                        region: "eu-west-1".into(),
                        pipeline: it.name.as_str().into(),
                    };
                    let jobs = it.blueprint.jobs(&change.event(&origin, "event"));
                    let (id, state) = (change.execution, change.state);
                    self.tell(|| "pipeline".into(), || format!("{id} is {}", state.as_str()));
                    for job in jobs {
                        self.deliver(job, 0);
                    }
                    if change.state == State::Stopping {
                        let pipeline = self.pipes[pipe].name.clone();
                        self.guard(&Occasion::Stop(pipeline));
                    }
                }
            }
        }
        if let Some(due) = self.pipes[pipe].engine.due() {
            let at = due.duration_since(timestamp(0)).as_millis() as Ms;
            self.at(at.max(self.cloud.now), Event::Tick(pipe));
        }
    }

    /// A direct invocation, asynchronous.
    pub(super) fn deliver(&mut self, job: Job, delay: Ms) {
        self.send(Delivery { job, answers: None, token: None, attempt: 0 }, delay);
    }

    pub(super) fn send(&mut self, delivery: Delivery, delay: Ms) {
        let event = format!("{} of {}", delivery.job.action, delivery.job.release);
        let number = self.sent;
        self.sent += 1;
        if delivery.answers.is_none() {
            self.direct.push(number);
        }
        let mut mishaps = self.misadventure(&delivery);
        mishaps.extend(self.plan.mishaps.get(&number));
        let mut delay = delay + self.between(50, 500);
        for mishap in mishaps {
            match mishap {
                Mishap::Lost => {
                    *self.faults.entry("event lost").or_default() += 1;
                    return self.tell(|| "fault".into(), || format!("the event is lost: {event}"));
                }
                Mishap::Late(by) => {
                    *self.faults.entry("event late").or_default() += 1;
                    delay += by;
                    self.tell(|| "fault".into(), || format!("the event is {} s late: {event}", by / SECOND));
                }
                Mishap::Twice(apart) => {
                    *self.faults.entry("event duplicated").or_default() += 1;
                    self.tell(|| "fault".into(), || format!("the event comes twice: {event}"));
                    self.deliveries += 1;
                    self.after(delay + apart, Event::Deliver(delivery.clone()));
                }
            }
        }
        self.deliveries += 1;
        self.after(delay, Event::Deliver(delivery));
    }

    /// What goes wrong with an event by chance. A pipeline's job is late by less: nobody waits 20 minutes for it.
    fn misadventure(&mut self, delivery: &Delivery) -> Vec<Mishap> {
        let direct = delivery.answers.is_none();
        let mut mishaps = Vec::new();
        if direct && self.chance(|odds| odds.lose_event) {
            return vec![Mishap::Lost];
        }
        if self.chance(|odds| odds.late_event) {
            let longest = if direct { 10 * MINUTE } else { MINUTE };
            mishaps.push(Mishap::Late(self.between(SECOND, longest)));
        }
        if self.chance(|odds| odds.duplicate) {
            mishaps.push(Mishap::Twice(if self.rng.random_bool(0.5) { 0 } else { self.between(0, 5 * MINUTE) }));
        }
        mishaps
    }

    pub(super) fn abandoned(
        &mut self,
        role: &ServiceRole,
        release: &ReleaseId,
        pipeline: &str,
        action: Action,
        reason: &str,
    ) {
        let event = serde_json::json!({
            "source": "tagship",
            "detail-type": "Release Abandoned",
            "detail": {"service": role.as_str(), "release": release.as_str(), "pipeline": pipeline,
                       "action": action.as_str(), "reason": reason},
        });
        let jobs: Vec<Job> = self.pipes.iter().flat_map(|pipe| pipe.blueprint.jobs(&event)).collect();
        for job in jobs {
            self.deliver(job, 0);
        }
    }
}
