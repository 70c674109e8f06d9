//! What people do to a service by hand, with the AWS CLI.

use crate::person::aws;
use crate::releases::{LOOK, Releases};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tagship_local::gateway::{Effect, Fault, FaultId, Record, When};
use tagship_local::state::{Instance, InstanceState};

impl Releases<'_> {
    /// Runs the AWS CLI.
    pub fn aws(&self, arguments: &str) -> Value {
        aws(&self.local.gateway.url(), arguments)
    }

    /// The settings that infra/service.yaml gives, with the shortest waits, and with `changes`.
    pub fn offered(&self, changes: Value) -> Value {
        let mut settings = self.local.account.services[self.role].settings.clone();
        settings["TIMEOUTS"] = json!({"BOOT": 60, "INSTALL": 60, "HEALTHY": 30, "WATCH": 1, "SETTLE": 15});
        for (key, value) in changes.as_object().expect("an object") {
            settings[key] = value.clone();
        }
        settings
    }

    /// Has a function's calls of an operation refused, everybody's, until the fault is removed: they are tried again.
    pub fn refuses(&self, caller: &str, service: &str, operation: &str) -> FaultId {
        self.local.gateway.faults().add(Fault {
            caller: Some(caller.to_owned()),
            service: service.to_owned(),
            operation: Some(operation.to_owned()),
            when: When::Always,
            effect: Effect::error("RequestLimitExceeded", "Request limit exceeded."),
        })
    }

    /// Launches an instance with these tags (key, value, …), and waits until it runs.
    pub async fn launches(&self, subnet: &str, tags: &[&str]) -> String {
        let specification = match specified("instance", tags) {
            of_instance if of_instance.is_empty() => String::new(),
            of_instance => format!("--tag-specifications {of_instance} {}", specified("network-interface", tags)),
        };
        let launched = self.aws(&format!(
            "ec2 run-instances --image-id {} --instance-type t3.micro --subnet-id {subnet} {specification}",
            self.local.account.image
        ));
        let id = launched["Instances"][0]["InstanceId"].as_str().expect("an id").to_owned();
        // One with a release's tags may be gone before it runs.
        let is = |instance: &Instance| instance.id == id && instance.state != InstanceState::Pending;
        self.local.until(|state| state.instances.iter().any(is)).await;
        id
    }

    /// Allocates an address with these tags (key, value, …).
    pub fn allocates(&self, tags: &[&str]) -> String {
        let specification = specified("elastic-ip", tags);
        let allocated = self.aws(&format!("ec2 allocate-address --domain vpc --tag-specifications {specification}"));
        allocated["AllocationId"].as_str().expect("an id").to_owned()
    }

    /// Waits until a function has released an address.
    pub async fn releases_an_address(&self, caller: &str) {
        let is = |record: &Record| record.caller == caller && record.operation == "ReleaseAddress";
        let has = |record: &Record| is(record) && record.status == Some(200);
        while !self.local.gateway.recorder().records().iter().any(has) {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Makes a listener whose default action is a switch of this service; answers its ARN.
    pub fn default_switch(&self) -> String {
        let account = &self.local.account;
        let [a, b] = &account.services[self.role].target_groups[..] else { panic!("a pair") };
        let groups = json!([{"TargetGroupArn": a, "Weight": 100}, {"TargetGroupArn": b, "Weight": 0}]);
        let action =
            json!([{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]).to_string().replace(' ', "");
        let made = self.aws(&format!(
            "elbv2 create-listener --load-balancer-arn {} --protocol HTTP --port 8081 --default-actions {action} \
             --tags Key=tagship:service,Value={}",
            account.load_balancer, self.role
        ));
        made["Listeners"][0]["ListenerArn"].as_str().expect("an ARN").to_owned()
    }

    /// The addresses with the service's tag: allocation id → instance.
    pub fn addresses(&self) -> BTreeMap<String, Option<String>> {
        let filter = format!("Name=tag:tagship:service,Values={}", self.role);
        let found = self.aws(&format!("ec2 describe-addresses --filters {filter}"));
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let addresses = found["Addresses"].as_array().cloned().unwrap_or_default();
        let entry = |each: &Value| (text(&each["AllocationId"]).unwrap_or_default(), text(&each["InstanceId"]));
        addresses.iter().map(entry).collect()
    }

    /// The instances that have one of them.
    pub fn addressed(&self) -> BTreeSet<String> {
        self.addresses().into_values().flatten().collect()
    }
}

/// The AWS CLI's `--tag-specifications` of these tags (key, value, …); empty of none.
fn specified(kind: &str, tags: &[&str]) -> String {
    let tags: Vec<String> = tags.chunks(2).map(|tag| format!("{{Key={},Value={}}}", tag[0], tag[1])).collect();
    if tags.is_empty() { String::new() } else { format!("ResourceType={kind},Tags=[{}]", tags.join(",")) }
}
