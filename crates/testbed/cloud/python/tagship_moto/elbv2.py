"""Elastic Load Balancing as strict as AWS: targets go through initial, healthy, unhealthy, unused and draining."""

import copy

from moto.core.resource_tagging import TaggedResource
from moto.core.responses import ActionResult
from moto.elbv2.exceptions import ELBClientError, InvalidTargetError, TargetGroupNotFoundError, TargetNotRunning
from moto.elbv2.models import (
    ELBv2Backend,
    FakeAction,
    FakeHealthStatus,
    FakeListener,
    FakeListenerRule,
    FakeLoadBalancer,
    FakeTargetGroup,
    elbv2_backends,
)
from moto.elbv2.responses import ELBV2Response

from . import clock

# AWS's words for the reasons, by code
DESCRIPTIONS = {
    "Elb.RegistrationInProgress": "Target registration is in progress",
    "Elb.InitialHealthChecking": "Initial health checks in progress",
    "Target.NotInUse": "Target group is not configured to receive traffic from the load balancer",
    "Target.InvalidState": "Target is in the stopped state",
    "Target.NotRegistered": "Target is not registered to the target group",
    "Target.DeregistrationInProgress": "Target deregistration is in progress",
    "Target.FailedHealthChecks": "Health checks failed",
}
TARGETS_MAX = 1000
DESCRIBE_TAGS_MAX = 20

_moto = {
    "group": FakeTargetGroup.__init__,
    "action": FakeAction.__init__,
    "tagged": ELBv2Backend.iter_tagged_resources,
    "describe_tags": ELBv2Backend.describe_tags,
}


def usage(backend: ELBv2Backend) -> dict[str, dict[str, set[str]]]:
    """For each target group that some rule forwards to: its balancers, each with the zones enabled on it."""
    used: dict[str, dict[str, set[str]]] = {}
    for balancer in list(backend.load_balancers.values()):
        zones = {subnet.availability_zone for subnet in balancer.subnets}
        for listener in list(balancer.listeners.values()):
            for rule in list(listener.rules.values()):
                for action in rule.actions:
                    for group in action.data.get("ForwardConfig", {}).get("TargetGroups", []):
                        used.setdefault(group["TargetGroupArn"], {})[balancer.arn] = zones
    return used


def _group_init(self: FakeTargetGroup, *args, **kwargs) -> None:
    self.registered_at: dict[str, float] = {}
    self.reported: dict[str, dict] = {}
    self.draining: dict[str, dict] = {}
    _moto["group"](self, *args, **kwargs)


def _load_balancer_arns(self: FakeTargetGroup) -> list[str]:
    return sorted(usage(elbv2_backends[self.account_id][self.region_name]).get(self.arn, {}))


def _key(self: FakeTargetGroup, target: dict) -> str:
    """An instance may be registered with several ports, and each is a target of its own."""
    return f"{target['Id']}:{int(target.get('Port') or self.port)}"


def _register(self: FakeTargetGroup, targets: list[dict]) -> None:
    """All targets or none, as on AWS. One that drains becomes a target again."""
    for target in targets:
        instance = self.ec2_backend.get_instance_by_id(target["Id"])
        if instance is None:
            raise ELBClientError("InvalidTarget", f"Instance ID '{target['Id']}' is not valid")
        if instance.state != "running":
            raise TargetNotRunning(instance_id=target["Id"])
        if instance.vpc_id != self.vpc_id:
            raise InvalidTargetError()
    if len(set(self.targets) | {_key(self, target) for target in targets}) > TARGETS_MAX:
        raise ELBClientError("TooManyTargets", f"The maximum number of targets a target group is {TARGETS_MAX}")
    for target in targets:
        key = _key(self, target)
        self.draining.pop(key, None)
        if key not in self.targets:
            self.registered_at[key] = clock.now()
        self.targets[key] = {"Id": target["Id"], "Port": int(target.get("Port") or self.port)}


def _deregister(self: FakeTargetGroup, targets: list[dict]) -> None:
    """What isn't registered is no error. A group in use drains its targets for its deregistration delay."""
    drains = bool(self.load_balancer_arns)
    delay = float(self.attributes["deregistration_delay.timeout_seconds"])
    for target in targets:
        key = _key(self, target)
        gone = self.targets.pop(key, None)
        self.reported.pop(key, None)
        self.registered_at.pop(key, None)
        if gone and drains and delay > 0:
            self.draining[key] = gone
            clock.after(delay, lambda key=key, gone=gone: _drained(self, key, gone))


def _drained(self: FakeTargetGroup, key: str, target: dict) -> None:
    if self.draining.get(key) is target:
        del self.draining[key]


def _deregister_terminated_instances(self: FakeTargetGroup, instance_ids: list[str]) -> None:
    self.deregister([target for target in list(self.targets.values()) if target["Id"] in instance_ids])


def health(self: FakeTargetGroup, target: dict, balancers: dict[str, set[str]] | None) -> dict:
    """State, reason and description of one target; `balancers` is the group's entry in `usage`."""
    key = _key(self, target)
    if key in self.draining:
        return _health("draining", "Target.DeregistrationInProgress")
    if key not in self.targets:
        return _health("unused", "Target.NotRegistered")
    instance = self.ec2_backend.get_instance_by_id(target["Id"])
    if instance is None or instance.state != "running":
        return _health("unused", "Target.InvalidState")
    if not balancers:
        self.reported.pop(key, None)  # its checks begin anew when a rule comes to use the group
        return _health("unused", "Target.NotInUse")
    if not any(instance.availability_zone in zones for zones in balancers.values()):
        return _health(
            "unused",
            "Target.NotInUse",
            "Target is in an Availability Zone that is not enabled for the load balancer",
        )
    if key in self.reported:
        return self.reported[key]
    if clock.config["targets"] == "timer":
        if clock.now() - self.registered_at[key] >= clock.config["healthy_secs"]:
            return _health("healthy", None)
        return _health("initial", "Elb.InitialHealthChecking")
    return _health("initial", "Elb.RegistrationInProgress")


def _health(state: str, reason: str | None, description: str | None = None) -> dict:
    return {"state": state, "reason": reason, "description": description or DESCRIPTIONS.get(reason)}


def report(seen: dict[str, dict[str, dict]]) -> None:
    """What the balancer's probes saw: target group -> "instance:port" -> state, reason, description."""
    groups = {arn: g for b in _backends() for arn, g in b.target_groups.items()}
    for arn, targets in seen.items():
        group = groups.get(arn)
        for key, said in targets.items() if group else ():
            if key in group.targets:
                now = _health(said["state"], said.get("reason"), said.get("description"))
                if group.reported.get(key) != now:
                    group.reported[key] = now
                    clock.changed()


def _backends() -> list[ELBv2Backend]:
    return [backend for account in list(elbv2_backends.values()) for backend in list(account.values())]


def _describe_target_health(self: ELBv2Backend, target_group_arn: str, targets: list[dict]) -> list[FakeHealthStatus]:
    group = self.target_groups.get(target_group_arn)
    if group is None:
        raise TargetGroupNotFoundError()
    balancers = usage(self).get(group.arn)
    known = {**group.draining, **group.targets}
    result = []
    for target in targets or list(known.values()):
        said = health(group, target, balancers)
        port = target.get("Port") or group.port
        checked = port if group.health_check_port == "traffic-port" else group.health_check_port
        result.append(
            FakeHealthStatus(target["Id"], port, str(checked), said["state"], said["reason"], said["description"])
        )
    return result


def _action_init(self: FakeAction, data: dict) -> None:
    """AWS answers both shapes of a forward action, whichever it was given."""
    data = copy.deepcopy(data)
    if data.get("Type") == "forward":
        arn = data.get("TargetGroupArn")
        if "ForwardConfig" not in data:
            data["ForwardConfig"] = {"TargetGroups": [{"TargetGroupArn": arn}]}
        groups = data["ForwardConfig"]["TargetGroups"]
        for group in groups:
            group["Weight"] = int(group.get("Weight", 1))
        if len(groups) == 1:
            data["TargetGroupArn"] = groups[0]["TargetGroupArn"]
    _moto["action"](self, data)


def _iter_tagged_resources(self: ELBv2Backend):
    """moto's are balancers and target groups; AWS's GetResources finds listeners and rules as well."""
    yield from _moto["tagged"](self)
    for balancer in list(self.load_balancers.values()):
        for listener in list(balancer.listeners.values()):
            kinds = [("listener", listener)] + [("listener-rule", rule) for rule in listener.rules.values()]
            for kind, resource in kinds:
                tags = self.tagging_service.get_tag_dict_for_resource(resource.arn)
                if tags:
                    yield TaggedResource(resource.arn, tags, f"elasticloadbalancing:{kind}/app")


def _describe_tags(self: ELBv2Backend, resource_arns: list[str]) -> dict[str, dict[str, str]]:
    if len(resource_arns) > DESCRIBE_TAGS_MAX:
        raise ELBClientError("ValidationError", f"At most {DESCRIBE_TAGS_MAX} resources can be described at once")
    for arn in resource_arns:
        self._get_resource_by_arn(arn)
    return _moto["describe_tags"](self, resource_arns)


def _tagged_by_cloudformation(resource: type) -> None:
    """Has CloudFormation keep a resource's tags and a target group's attributes, which moto drops, and no holes in lists."""
    create = resource.create_from_cloudformation_json.__func__

    def create_with_tags(cls, resource_name, cloudformation_json, account_id, region_name, **kwargs):
        properties = cloudformation_json["Properties"]
        if properties.get("Conditions"):
            # AWS::NoValue takes an item out of its list; moto leaves a hole.
            properties["Conditions"] = [condition for condition in properties["Conditions"] if condition]
        if "Priority" in properties:
            properties["Priority"] = int(properties["Priority"])  # a parameter's text; moto sorts it with numbers
        created = create(cls, resource_name, cloudformation_json, account_id, region_name, **kwargs)
        backend = elbv2_backends[account_id][region_name]
        if properties.get("Tags"):
            backend.add_tags([created.arn], properties["Tags"])
        if properties.get("TargetGroupAttributes"):
            backend.modify_target_group_attributes(
                created.arn, {a["Key"]: str(a["Value"]) for a in properties["TargetGroupAttributes"]}
            )
        return created

    resource.create_from_cloudformation_json = classmethod(create_with_tags)


def _describe_account_limits(_self: ELBV2Response) -> ActionResult:
    """Of the limits the one that somebody here asks for; moto's figures are older than AWS's."""
    limit = {"Name": "targets-per-application-load-balancer", "Max": str(clock.config["target_limit"])}
    return ActionResult({"Limits": [limit]})


def install() -> None:
    """Puts this module's behaviour in place of moto's."""
    FakeTargetGroup.__init__ = _group_init
    FakeTargetGroup.load_balancer_arns = property(_load_balancer_arns, lambda self, _: None)
    FakeTargetGroup.register = _register
    FakeTargetGroup.deregister = _deregister
    FakeTargetGroup.deregister_terminated_instances = _deregister_terminated_instances
    FakeAction.__init__ = _action_init
    ELBV2Response.describe_account_limits = _describe_account_limits
    ELBv2Backend.describe_target_health = _describe_target_health
    ELBv2Backend.iter_tagged_resources = _iter_tagged_resources
    ELBv2Backend.describe_tags = _describe_tags
    for resource in (FakeLoadBalancer, FakeListener, FakeListenerRule, FakeTargetGroup):
        _tagged_by_cloudformation(resource)
