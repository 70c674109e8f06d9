//! How the example service is reached, and what its instances reach.

use super::{HTTP, HTTPS, SERVICE, service};
use serde_json::{Value, json};
use tagship_emulator::template::{Stack, Template};

#[test]
fn a_service_is_reached_by_https_by_http_or_by_both() {
    for (http, https, expected) in
        [("", HTTPS, &["HttpsRule"][..]), (HTTP, "", &["HttpRule"]), (HTTP, HTTPS, &["HttpRule", "HttpsRule"])]
    {
        let service =
            service(&[("HttpListener", http), ("HttpsListener", https), ("WeightA", "0"), ("WeightB", "100")]);
        let rules = service.resources("AWS::ElasticLoadBalancingV2::ListenerRule").expect("rules");
        let names: Vec<_> = rules.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(names, expected);
        for (id, rule) in &rules {
            let groups = rule["Actions"][0]["ForwardConfig"]["TargetGroups"].as_array().expect("groups");
            let weights: Vec<_> = groups.iter().map(|group| group["Weight"].as_str().expect("a weight")).collect();
            assert_eq!(weights, ["0", "100"], "{id}: those that are live");
        }
    }
    let given = Stack {
        parameters: [
            ("ServiceRole", "WEB"),
            ("HostNames", "a"),
            ("RulePriority", "1"),
            ("Vpc", "v"),
            ("Subnets", "s"),
            ("LoadBalancerSecurityGroup", "g"),
            ("PipelineName", "web"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into(),
        ..Stack::default()
    };
    let error = Template::read(SERVICE, given).expect_err("neither");
    assert_eq!(
        error.to_string(),
        "Rules.Reached: Give HttpsListener, HttpListener or both, the service is reached by neither"
    );
}

/// Who reaches the instances and whom they reach: the parameters, and the group's rules as `from` or `to` ports.
#[test]
fn instances_are_reached_by_the_balancer_and_by_those_who_look_at_candidates() {
    let balancer = "sg-1 8080-8080";
    let https = "0.0.0.0/0 443-443";
    for (parameters, ingress, egress) in [
        (&[][..], &[balancer][..], &[https][..]),
        (&[("ViewerCidr", "10.8.0.0/16")], &[balancer, "10.8.0.0/16 8080-8080"], &[https]),
        (&[("ViewerSecurityGroup", "sg-0a1")], &[balancer, "sg-0a1 8080-8080"], &[https]),
        (&[("OutboundCidr", "10.0.0.0/16")], &[balancer], &[https, "10.0.0.0/16 all"]),
    ] {
        let service = service(parameters);
        let (_, group) = service.resources("AWS::EC2::SecurityGroup").expect("a group").remove(0);
        let rules = |key: &str| -> Vec<String> {
            let one = |rule: &Value| {
                let text = |key: &str| rule[key].as_str().map(str::to_owned).unwrap_or_else(|| rule[key].to_string());
                let peer = if rule["CidrIp"].is_null() { text("SourceSecurityGroupId") } else { text("CidrIp") };
                match rule["IpProtocol"].as_str() {
                    Some("-1") => format!("{peer} all"),
                    _ => format!("{peer} {}-{}", text("FromPort"), text("ToPort")),
                }
            };
            let apart = service.resources(&format!("AWS::EC2::{key}")).expect("rules");
            let apart = apart.iter().map(|(_, rule)| rule);
            group[key].as_array().expect("rules").iter().chain(apart).map(one).collect()
        };
        assert_eq!((rules("SecurityGroupIngress"), rules("SecurityGroupEgress")), (owned(ingress), owned(egress)));
    }
    let managed = |value: &str| {
        let (_, role) = service(&[("SessionManager", value)]).resources("AWS::IAM::Role").expect("a role").remove(0);
        role["ManagedPolicyArns"].clone()
    };
    assert_eq!(managed("true"), json!(["arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"]));
    assert_eq!(managed("false"), Value::Null);
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn the_settings_name_the_pipeline_and_what_a_pre_product_is() {
    for (parameters, pre_product) in [(&[][..], Value::Null), (&[("PreProduct", "true")], json!(true))] {
        let outputs = service(parameters).outputs().expect("outputs");
        let settings: Value = serde_json::from_str(outputs["Settings"].as_str().expect("a text")).expect("JSON");
        assert_eq!((&settings["PIPELINE"], &settings["PRE_PRODUCT"]), (&json!("mzum-web"), &pre_product));
    }
}
