//! A change of weights keeps everything else of a switch.

use crate::account::Account;
use aws_sdk_elasticloadbalancingv2::types::{
    Action, ActionTypeEnum, AuthenticateOidcActionConfig, ForwardActionConfig, RuleCondition, TargetGroupTuple,
};
use tagship::{Kind, Step};

#[tokio::test]
async fn authentication_strangers_and_conditions_stay() {
    let account = Account::set_up().await;
    let elb = aws_sdk_elasticloadbalancingv2::Client::new(&account.sdk);
    let [a, b] = &account.stack.target_groups[..] else { panic!("no pair") };
    let stranger = elb.create_target_group().name("stranger").target_type("lambda".into()).send().await;
    let stranger = stranger.expect("a group").target_groups()[0].target_group_arn().expect("an ARN").to_owned();
    let tuple = |arn: &str, weight| TargetGroupTuple::builder().target_group_arn(arn).weight(weight).build();
    let forward = ForwardActionConfig::builder()
        .target_groups(tuple(a, 100))
        .target_groups(tuple(b, 0))
        .target_groups(tuple(&stranger, 7));
    let oidc = AuthenticateOidcActionConfig::builder()
        .issuer("https://id.example.com")
        .authorization_endpoint("https://id.example.com/a")
        .token_endpoint("https://id.example.com/t")
        .user_info_endpoint("https://id.example.com/u")
        .client_id("web")
        .client_secret("secret");
    let authenticate =
        Action::builder().r#type(ActionTypeEnum::AuthenticateOidc).order(1).authenticate_oidc_config(oidc.build());
    let forward = Action::builder().r#type(ActionTypeEnum::Forward).order(2).forward_config(forward.build());
    let rule = elb
        .create_rule()
        .listener_arn(&account.listener)
        .priority(77)
        .conditions(RuleCondition::builder().field("path-pattern").values("/x/*").build())
        .actions(authenticate.build())
        .actions(forward.build())
        .send()
        .await
        .expect("a rule");
    let rule = rule.rules()[0].rule_arn().expect("an ARN").to_owned();

    let release = account.release().await;
    let routing = release.observe().await.routing.expect("routing");
    let switch = routing.switches.iter().find(|switch| switch.arn == rule).expect("the switch");
    assert_eq!(switch.label, "HTTP:80 rule 77");
    let step = |expected| Step::SetWeights {
        switch: rule.clone(),
        label: switch.label.clone(),
        weights: vec![(a.clone(), expected, 0), (b.clone(), 0, 100)],
        unstick: false,
    };
    let surprised = release.apply(step(50)).await.expect_err("it isn't 50");
    assert_eq!(surprised.kind, Kind::Conflict, "{surprised}");
    release.apply(step(100)).await.expect("moved");

    let after = release.observe().await.routing.expect("routing");
    let switch = after.switches.iter().find(|switch| switch.arn == rule).expect("the switch");
    assert_eq!(switch.weights, [(a.clone(), 0), (b.clone(), 100), (stranger, 7)]);
    let rules = elb.describe_rules().rule_arns(&rule).send().await.expect("rules");
    let kept = &rules.rules()[0];
    let kinds: Vec<_> = kept.actions().iter().map(|action| (action.r#type().cloned(), action.order())).collect();
    assert_eq!(kinds, [(Some(ActionTypeEnum::AuthenticateOidc), Some(1)), (Some(ActionTypeEnum::Forward), Some(2))]);
    assert_eq!(kept.conditions().len(), 1);
    let sent = account.gateway.recorder().records();
    let sent = sent.iter().rfind(|record| record.operation == "ModifyRule").expect("a ModifyRule");
    let body = format!("{:?}", sent.request);
    assert!(body.contains("UseExistingClientSecret") && !body.contains("ClientSecret=secret"), "{body}");
}
