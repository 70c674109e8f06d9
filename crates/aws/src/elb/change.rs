//! What is changed of a pair: weights and targets.

use super::{DESCRIBE_LISTENERS, DESCRIBE_RULES, weights};
use crate::Cloud;
use crate::error::Called;
use aws_sdk_elasticloadbalancingv2::types::{
    Action, ForwardActionConfig, TargetDescription, TargetGroupStickinessConfig, TargetGroupTuple,
};
use tagship::{Error, Kind};

/// ModifyRule or ModifyListener: the whole action list, read right before, with other weights of our groups.
pub(crate) async fn set_weights(
    cloud: &Cloud,
    switch: &str,
    label: &str,
    changes: &[(String, u32, u32)],
    unstick: bool,
) -> Result<(), Error> {
    let rule = switch.contains(":listener-rule/");
    let actions = if rule {
        let answer = cloud.elb_bound().describe_rules().rule_arns(switch).send().await.called(DESCRIBE_RULES, label)?;
        answer.rules.unwrap_or_default().into_iter().next().and_then(|rule| rule.actions)
    } else {
        let answer = cloud.elb_bound().describe_listeners().listener_arns(switch).send().await;
        let answer = answer.called(DESCRIBE_LISTENERS, label)?;
        answer.listeners.unwrap_or_default().into_iter().next().and_then(|listener| listener.default_actions)
    };
    let actions = actions.and_then(|actions| reweighted(actions, changes, unstick)).ok_or_else(|| {
        Error::new(Kind::Conflict, format!("{label} isn't as it was when the change was decided: looking again"))
    })?;
    if rule {
        let request = cloud.elb_changes().modify_rule().rule_arn(switch).set_actions(Some(actions));
        request.send().await.called("elasticloadbalancing:ModifyRule", label)?;
    } else {
        let request = cloud.elb_changes().modify_listener().listener_arn(switch).set_default_actions(Some(actions));
        request.send().await.called("elasticloadbalancing:ModifyListener", label)?;
    }
    Ok(())
}

/// The same list with these weights; none if a group hasn't the weight that was expected.
fn reweighted(mut actions: Vec<Action>, changes: &[(String, u32, u32)], unstick: bool) -> Option<Vec<Action>> {
    let forward = actions.iter_mut().find(|action| weights(action).is_some())?;
    let mut tuples = weights(forward)?;
    for (group, expected, weight) in changes {
        let (_, current) = tuples.iter_mut().find(|(arn, _)| arn == group)?;
        if current != expected {
            return None;
        }
        *current = *weight;
    }
    let tuple = |(arn, weight): (String, u32)| {
        // At most 999.
        let weight = i32::try_from(weight).unwrap_or(i32::MAX);
        TargetGroupTuple::builder().target_group_arn(arn).weight(weight).build()
    };
    let config = forward.forward_config.get_or_insert_with(|| ForwardActionConfig::builder().build());
    config.target_groups = Some(tuples.into_iter().map(tuple).collect());
    if unstick {
        let off = TargetGroupStickinessConfig::builder().enabled(false).build();
        config.target_group_stickiness_config = Some(off);
    }
    // Beside a forward config of several groups AWS refuses a single one.
    forward.target_group_arn = None;
    keep_secrets(&mut actions);
    Some(actions)
}

/// An OIDC client's secret isn't told by a describe.
pub(super) fn keep_secrets(actions: &mut [Action]) {
    for oidc in actions.iter_mut().filter_map(|action| action.authenticate_oidc_config.as_mut()) {
        oidc.client_secret = None;
        oidc.use_existing_client_secret = Some(true);
    }
}

/// RegisterTargets.
pub(crate) async fn register(cloud: &Cloud, group: &str, ids: &[String], port: u16) -> Result<(), Error> {
    let target = |id: &String| TargetDescription::builder().id(id).port(port.into()).build();
    let request = cloud.elb_changes().register_targets().target_group_arn(group);
    let sent = request.set_targets(Some(ids.iter().map(target).collect())).send().await;
    sent.called("elasticloadbalancing:RegisterTargets", group)?;
    Ok(())
}

/// DeregisterTargets.
pub(crate) async fn deregister(cloud: &Cloud, group: &str, targets: &[(String, u16)]) -> Result<(), Error> {
    let target = |(id, port): &(String, u16)| TargetDescription::builder().id(id).port((*port).into()).build();
    let request = cloud.elb_changes().deregister_targets().target_group_arn(group);
    let sent = request.set_targets(Some(targets.iter().map(target).collect())).send().await;
    sent.called("elasticloadbalancing:DeregisterTargets", group)?;
    Ok(())
}
