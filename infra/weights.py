"""Whether a change set would move a released service's traffic: its switches' weights belong to tagship.

CloudFormation writes a listener rule again when its text or its parameters change, with the weights that the template
says. That is an outage where another group is live, unless the template says what is live.
"""

from cli import aws

GROUP = "AWS::ElasticLoadBalancingV2::TargetGroup"
RULE = "AWS::ElasticLoadBalancingV2::ListenerRule"
LISTENER = "AWS::ElasticLoadBalancingV2::Listener"
KINDS = {GROUP, RULE, LISTENER}
TEST = "TestRule"  # infra/service.yaml's rule for test traffic: nobody is served by it


def problem(changes, parameters, groups, switches):
    """Why the changes must not be carried out; `None` if they may.

    `changes` are CloudFormation's, `parameters` those that it will use. `groups` has each target group's ARN and whether it
    has targets, by logical id; `switches` the weights of each switch that there is, by logical id and then by ARN.
    """
    if not any(filled for _, filled in groups.values()):
        return None  # never released: nobody is served by it
    for change in changes:
        name, what = change["LogicalResourceId"], change["Action"]
        if change["ResourceType"] == GROUP and (what == "Remove" or change.get("Replacement", "False") != "False"):
            return (
                f"{name} would be replaced or removed, and the targets that serve are in what is there now. Make a second "
                "stack beside this one, release there, and move the host names by hand"
            )
    written = [
        change["LogicalResourceId"]
        for change in changes
        if change["ResourceType"] in (RULE, LISTENER) and change["Action"] in ("Add", "Modify")
        and change["LogicalResourceId"] != TEST
    ]
    if not written:
        return None
    live = [{name: weights.get(arn, 0) for name, (arn, _) in groups.items()} for weights in switches.values()]
    if not live or any(weights != live[0] for weights in live):
        return (
            f"{', '.join(written)} would be written, and the switches that there are don't agree on what is live: let the "
            "release that moves them end first"
        )
    names = {name: "Weight" + name.removeprefix("TargetGroup") for name in groups}
    said = " ".join(f"{names[name]}={weight}" for name, weight in sorted(live[0].items()))
    if any(parameter not in parameters for parameter in names.values()):
        return (
            f"{', '.join(written)} would be written with the template's own weights, and it has no parameters for those "
            f"that are live ({said}): change the rule by hand, or give the template {', '.join(sorted(names.values()))}"
        )
    if any(float(parameters[names[name]]) != weight for name, weight in live[0].items()):
        return f"{', '.join(written)} would be written, with other weights than are live: add {said} to the parameters"
    return None


def look(stack):
    """The stack's target groups and switches as they are: what `problem` takes."""
    resources = aws("cloudformation", "list-stack-resources", "--stack-name", stack)["StackResourceSummaries"]
    of = {
        kind: {
            each["LogicalResourceId"]: each["PhysicalResourceId"]
            for each in resources
            if each["ResourceType"] == kind and each.get("PhysicalResourceId")
        }
        for kind in (GROUP, RULE, LISTENER)
    }
    groups = {}
    for name, arn in of[GROUP].items():
        targets = aws("elbv2", "describe-target-health", "--target-group-arn", arn)["TargetHealthDescriptions"]
        groups[name] = arn, bool(targets)
    switches = {}
    of[RULE].pop(TEST, None)
    for name, arn in of[RULE].items():
        rule = aws("elbv2", "describe-rules", "--rule-arns", arn)["Rules"][0]
        switches[name] = forwarded(rule["Actions"])
    for name, arn in of[LISTENER].items():
        listener = aws("elbv2", "describe-listeners", "--listener-arns", arn)["Listeners"][0]
        switches[name] = forwarded(listener["DefaultActions"])
    return groups, {
        name: weights for name, weights in switches.items() if set(weights) & {arn for arn, _ in groups.values()}
    }


def forwarded(actions):
    """The weights of a forward action, by target group."""
    groups = [group for action in actions for group in action.get("ForwardConfig", {}).get("TargetGroups", [])]
    return {group["TargetGroupArn"]: group.get("Weight", 1) for group in groups}
