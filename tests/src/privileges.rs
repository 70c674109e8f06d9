//! The proof that no role of infra/tagship.yaml grants more than its function needs: take anything away from one, or
//! change what a call is about, and a call that was made is denied.
//!
//! That they grant enough, each end-to-end test shows: the gateway refuses what they don't.

use std::collections::BTreeSet;
use tagship_emulator::policy::{Condition, Operator, Policy, Request};
use tagship_local::Local;
use tagship_local::gateway::Record;

/// The statements for what AWS does as the function, without a call of its own that could be recorded: whose doing each is.
const IMPLIED: [(&str, &str); 3] = [
    ("HandOver", "Lambda, handing a dead invocation over to the on-failure destination"),
    ("HandOverEncrypted", "Lambda, handing an event over to the encrypted queue"),
    ("Log", "Lambda, logging"),
];

/// Everything that the functions' roles grant without need, or don't bind as they seem to.
pub fn excess(local: &Local) -> Vec<String> {
    let records = local.gateway.recorder().records();
    let functions = local.policies.iter().filter(|(caller, _)| *caller != "viewer");
    functions.flat_map(|(function, policy)| of_role(function, policy, &asked(&records, function))).collect()
}

/// What IAM was asked for one function and allowed; each once.
fn asked(records: &[Record], function: &str) -> BTreeSet<Request> {
    let carried_out = records.iter().filter(|record| record.caller == function);
    carried_out.flat_map(|record| &record.requests).cloned().collect()
}

fn of_role(function: &str, policy: &Policy, asked: &BTreeSet<Request>) -> Vec<String> {
    let needed = |without: Policy| asked.iter().any(|request| !without.allows(request));
    let mut excess: Vec<String> = asked
        .iter()
        .filter(|request| !policy.allows(request))
        .map(|request| format!("{function} asked for what it may not do: {request:?}"))
        .collect();
    for (n, statement) in policy.statements.iter().enumerate() {
        let name = format!("{function}, {}", statement.sid);
        if IMPLIED.iter().any(|(sid, _)| *sid == statement.sid) {
            continue;
        }
        for action in &statement.actions {
            let mut without = policy.clone();
            without.statements[n].actions.retain(|other| other != action);
            if !needed(without) {
                excess.push(format!("{name}: {action} is granted, but no call needs it"));
            }
        }
        for resource in &statement.resources {
            let mut without = policy.clone();
            without.statements[n].resources.retain(|other| other != resource);
            if !needed(without) {
                excess.push(format!("{name}: {resource} is granted, but no call needs it"));
            }
        }
        let allowed = || asked.iter().filter(|request| statement.allows(request));
        for condition in &statement.conditions {
            if let Some(request) = allowed().find(|request| policy.allows(&otherwise(request, condition))) {
                excess.push(format!("{name}: {} doesn't bind {request:?}", condition.key));
            }
        }
        if let Some(request) = allowed().find(|request| {
            statement.resources != ["*"] && elsewhere(request).is_some_and(|request| policy.allows(&request))
        }) {
            excess.push(format!("{name}: is allowed with what is somebody else's too: {request:?}"));
        }
    }
    excess
}

/// The same request about something that the condition is to keep out.
fn otherwise(request: &Request, condition: &Condition) -> Request {
    let (mut request, something) = (request.clone(), "something-else".to_owned());
    match condition.operator {
        Operator::Null => drop(request.context.remove(&condition.key)),
        Operator::StringEquals => drop(request.context.insert(condition.key.clone(), vec![something])),
        Operator::AllStringEquals | Operator::AllStringLike => {
            request.context.entry(condition.key.clone()).or_default().push(something);
        }
    }
    request
}

/// The same request about another account's resource, or an object of another bucket; none of what has no owner in its
/// name.
fn elsewhere(request: &Request) -> Option<Request> {
    let mut parts: Vec<&str> = request.resource.splitn(6, ':').collect();
    match parts[..] {
        [_, _, "s3", ..] => parts[5] = "somebody-elses/object",
        [_, _, _, _, account, _] if !account.is_empty() => parts[4] = "999999999999",
        _ => return None,
    }
    Some(Request { resource: parts.join(":"), ..request.clone() })
}
