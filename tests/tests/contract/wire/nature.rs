//! What isn't tagship's doing on the wire: instances, probes and agents are played here, and people act as ops.

use super::play::Play;
use super::text_in;
use crate::scenario::{Act, release};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tagship::{AlarmState, ReleaseId};
use tagship_local::moto::{Behaviour, Capacity};
use tagship_local::state::{Instance, InstanceState, State, TargetState};
use tagship_sim::cloud::Build;

impl Play<'_> {
    /// What CodeDeploy chooses its instances from.
    pub(super) async fn refresh(&self) -> Arc<State> {
        let state = self.wire.moto.client().state().await.expect("a state");
        self.wire.states.send_replace(Arc::new(state));
        self.wire.states.borrow().clone()
    }

    async fn report(&self, instance: &str, state: InstanceState, reason: Option<&str>) {
        let reported = self.wire.moto.client().report_instance(instance, state, reason).await;
        reported.unwrap_or_else(|error| panic!("{error}"));
    }

    pub(super) async fn act(&mut self, act: &Act) {
        let wire = self.wire;
        let moto = wire.moto.client();
        let pipeline = self.scenario.pipeline();
        match act {
            Act::Look => {}
            Act::Boot => {
                for instance in self.in_state(&[InstanceState::Pending]).await {
                    self.report(&instance.id, InstanceState::Running, None).await;
                }
            }
            Act::BootFails(instance) | Act::Die(instance) => {
                let reason = Some("Server.InternalError: Server.InternalError");
                self.report(&self.names.real(instance), InstanceState::Terminated, reason).await;
            }
            Act::Settle => {
                for instance in self.in_state(&[InstanceState::ShuttingDown, InstanceState::Stopping]).await {
                    self.report(&instance.id, InstanceState::Terminated, None).await;
                }
            }
            Act::Check => self.check().await,
            Act::Drain => {
                moto.skip(Duration::from_secs(300)).await.expect("skipped");
            }
            Act::Install => self.install().await,
            Act::Build(of, build) => {
                if *build == Build::Missing {
                    wire.ops.delete(&self.stack.bucket, of, None).await.expect("deleted");
                }
                self.builds.insert(self.names.real_release(&release(of)), *build);
            }
            Act::Sicken(instance) => {
                self.sick.insert(self.names.real(instance));
            }
            Act::Untag(instance, key) => {
                let id = self.names.real(instance);
                wire.query("ec2", "DeleteTags", &[("ResourceId.1", &id), ("Tag.1.Key", key)]).await;
            }
            Act::Stranger(group) => {
                let subnet = self.names.real("subnet-a");
                let image = wire.account.image.clone();
                let parameters = [
                    ("ImageId", image.as_str()),
                    ("InstanceType", "t3.micro"),
                    ("SubnetId", &subnet),
                    ("MinCount", "1"),
                    ("MaxCount", "1"),
                ];
                let launched = wire.query("ec2", "RunInstances", &parameters).await;
                let id = text_in(&launched, "instanceId");
                self.report(&id, InstanceState::Running, None).await;
                let group = self.names.real(group);
                let parameters = [("TargetGroupArn", group.as_str()), ("Targets.member.1.Id", id.as_str())];
                wire.query("elasticloadbalancing", "RegisterTargets", &parameters).await;
            }
            Act::Turn(switch, weights) => self.turn(switch, weights).await,
            Act::Capacity(subnet, left) => {
                let room = Capacity {
                    subnet: self.names.real(subnet),
                    instance_type: "t3.micro".to_owned(),
                    code: "InsufficientInstanceCapacity".to_owned(),
                    available: *left,
                };
                let behaviour = Behaviour { capacity: Some(vec![room]), ..Behaviour::default() };
                moto.configure(&behaviour).await.expect("configured");
            }
            Act::Quota(left) => {
                let answer = wire.query("ec2", "DescribeAddresses", &[]).await;
                let there = u32::try_from(answer.matches("<allocationId>").count()).expect("a few");
                let behaviour = Behaviour { address_limit: Some(there + left), ..Behaviour::default() };
                moto.configure(&behaviour).await.expect("configured");
            }
            Act::Alarm(name, state) => {
                let state = match state {
                    AlarmState::Ok => "OK",
                    AlarmState::Alarm => "ALARM",
                    AlarmState::NoData => "INSUFFICIENT_DATA",
                    AlarmState::Missing => unreachable!("nobody gives an alarm that state"),
                };
                let call = async |operation: &str, body: Value| {
                    let target = format!("GraniteServiceVersion20100801.{operation}");
                    wire.ops.json("monitoring", &target, body).await.unwrap_or_else(|error| panic!("{error}"));
                };
                let alarm = json!({"AlarmName": name, "Namespace": "Shop", "MetricName": "Refunds", "Statistic": "Sum",
                    "Period": 60, "EvaluationPeriods": 1, "Threshold": 1.0, "ComparisonOperator": "GreaterThanThreshold"});
                call("PutMetricAlarm", alarm).await;
                call("SetAlarmState", json!({"AlarmName": name, "StateValue": state, "StateReason": "by hand"})).await;
            }
            Act::Start(of) => {
                let started = wire.pipeline("StartPipelineExecution", json!({"name": pipeline})).await;
                self.names.bind(of, started["pipelineExecutionId"].as_str().expect("an id"));
            }
            Act::Approve | Act::Reject => {
                let approves = matches!(act, Act::Approve);
                wire.ops.answer(&pipeline, "Approval", approves, "so be it").await.expect("taken");
            }
            Act::Halt(of, at_once) => {
                let id = self.names.real(of);
                let body = json!({"pipelineName": pipeline, "pipelineExecutionId": id, "abandon": at_once});
                wire.pipeline("StopPipelineExecution", body).await;
            }
        }
    }

    async fn in_state(&self, states: &[InstanceState]) -> Vec<Instance> {
        let all = self.refresh().await;
        all.instances.iter().filter(|instance| states.contains(&instance.state)).cloned().collect()
    }

    /// The balancer's probes, of applications that aren't there.
    async fn check(&self) {
        let (moto, state) = (self.wire.moto.client(), self.refresh().await);
        for group in state.target_groups.iter().filter(|group| self.stack.target_groups.contains(&group.arn)) {
            for target in &group.targets {
                let serves = !self.sick.contains(&target.id)
                    && self.installed.get(&target.id).is_some_and(|of| self.build(of) != Build::Unhealthy);
                let (seen, reason) = match serves {
                    true => (TargetState::Healthy, None),
                    false => (TargetState::Unhealthy, Some("Target.FailedHealthChecks")),
                };
                let target = (target.id.as_str(), target.port);
                moto.report_target(&group.arn, target, seen, reason).await.expect("reported");
            }
        }
    }

    fn build(&self, of: &ReleaseId) -> Build {
        self.builds.get(of).copied().unwrap_or_default()
    }

    /// The agents of all running instances, which carry out whatever there is.
    async fn install(&mut self) {
        let running = self.in_state(&[InstanceState::Running]).await;
        let mut first = true;
        let mut ours: Vec<&Instance> = running
            .iter()
            .filter(|instance| instance.tags.get(tagship::TAG_SERVICE).is_some_and(|role| role == self.scenario.name))
            .collect();
        ours.sort_by_key(|instance| self.names.known(&instance.id));
        for instance in ours {
            let of = release(&instance.tags[tagship::TAG_RELEASE]);
            let fails = self.build(&of) == Build::FailsOnOne && first;
            let mut worked = false;
            loop {
                let answer = self.wire.deployments("PollHostCommand", json!({"HostIdentifier": instance.id})).await;
                let Some(command) = answer.get("HostCommand").filter(|command| command.is_object()) else { break };
                worked = true;
                let failed = fails && command["CommandName"] == "AfterInstall";
                let told = json!({"error_code": if failed { 4 } else { 0 }, "script_name": "hook.sh",
                    "message": if failed { "exit code 1" } else { "Succeeded" }, "log": ""});
                let body = json!({"HostCommandIdentifier": command["HostCommandIdentifier"],
                    "Diagnostics": {"Payload": told.to_string()}});
                self.wire.deployments("PutHostCommandComplete", body).await;
            }
            if worked {
                first = false;
            }
            if worked && !fails {
                self.installed.insert(instance.id.clone(), of);
            }
        }
    }

    pub(super) async fn turn(&self, switch: &str, weights: &[(&str, u32)]) {
        let arn = self.names.real(switch);
        let (action, resource, actions) = match switch {
            "default" => ("ModifyListener", "ListenerArn", "DefaultActions.member.1"),
            _ => ("ModifyRule", "RuleArn", "Actions.member.1"),
        };
        let mut parameters = vec![(resource.to_owned(), arn), (format!("{actions}.Type"), "forward".to_owned())];
        for (n, (group, weight)) in (1..).zip(weights) {
            let tuple = format!("{actions}.ForwardConfig.TargetGroups.member.{n}");
            parameters.push((format!("{tuple}.TargetGroupArn"), self.names.real(group)));
            parameters.push((format!("{tuple}.Weight"), weight.to_string()));
        }
        let parameters: Vec<(&str, &str)> =
            parameters.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        self.wire.query("elasticloadbalancing", action, &parameters).await;
    }
}
