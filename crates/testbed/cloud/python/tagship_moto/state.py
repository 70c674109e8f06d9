"""The snapshot that the balancer, the name server and the instance manager work from: GET /tagship/state.

And what IAM is asked with: the tags that a role's conditions are held against, GET /tagship/tags, and the role in an instance
profile, GET /tagship/role.
"""

import base64

from moto.ec2.models import ec2_backends
from moto.elbv2.models import elbv2_backends
from moto.iam.models import iam_backends
from moto.route53.models import route53_backends
from moto.sns.models import sns_backends

from . import ec2, elbv2


def snapshot() -> dict:
    """All instances, listeners, target groups and zones, of all accounts and Regions."""
    return {
        "instances": [_instance(i) for b in _all(ec2_backends) for i in b.all_instances()],
        "listeners": [
            _listener(listener)
            for b in _all(elbv2_backends)
            for balancer in list(b.load_balancers.values())
            for listener in list(balancer.listeners.values())
        ],
        "target_groups": [group for b in _all(elbv2_backends) for group in _target_groups(b)],
        "zones": [_zone(zone) for b in _all(route53_backends) for zone in list(b.zones.values())],
    }


def tags(ids: list[str]) -> dict[str, dict[str, str]]:
    """The tags of each of these, of an instance's interfaces, and of the address and interface of an association."""
    found: dict[str, dict[str, str]] = {}
    for id in ids:
        service = id.split(":")[2] if id.startswith("arn:") else "ec2"
        match service:
            case "ec2":
                resources = [resource for b in _all(ec2_backends) for resource in _attached(b, id)]
                found |= {resource.id: {tag["key"]: tag["value"] for tag in resource.get_tags()} for resource in resources}
            case "elasticloadbalancing":
                for backend in _all(elbv2_backends):
                    if backend.tagging_service.has_tags(id) or id in _arns(backend):
                        found[id] = backend.tagging_service.get_tag_dict_for_resource(id)
            case "sns":
                topics = [b.topics[id] for b in _all(sns_backends) if id in b.topics]
                found |= {id: dict(topic._tags) for topic in topics}
    return found


def role_in(profile: str) -> str | None:
    """The ARN of the role in this instance profile, if there is one."""
    profiles = [each for b in _all(iam_backends) for each in list(b.instance_profiles.values()) if each.name == profile]
    return next((role.arn for each in profiles for role in each.roles), None)


def _attached(backend, id: str) -> list:
    """What of EC2 has this id, and what hangs on it."""
    if id.startswith("eip"):
        addresses = [a for a in list(backend.addresses) if id in (a.allocation_id, a.association_id)]
        nics = [a.eni for a in addresses if id == a.association_id and a.eni]
        return addresses + nics
    return [each for i in backend.all_instances() if i.id == id for each in (i, *i.nics.values())]


def _arns(backend) -> list[str]:
    """Everything of load balancing that can carry tags."""
    listeners = [x for balancer in list(backend.load_balancers.values()) for x in list(balancer.listeners.values())]
    rules = [rule for listener in listeners for rule in list(listener.rules.values())]
    return [resource.arn for resource in (*backend.target_groups.values(), *listeners, *rules)]


def _all(backends) -> list:
    return [backend for account in list(backends.values()) for backend in list(account.values())]


def _instance(instance) -> dict:
    ip, subnet = ec2.place(instance)
    return {
        "id": instance.id,
        "ip": ip,
        "state": instance.state,
        "tags": dict(instance.ec2_backend.tags.get(instance.id, {})),
        "subnet": subnet,
        "type": instance.instance_type,
        "user_data": _text(instance.user_data),
    }


def _text(user_data) -> str | None:
    """User data as it was before base64; moto keeps it in either form."""
    if not user_data:
        return None
    raw = user_data if isinstance(user_data, bytes) else str(user_data).encode()
    try:
        raw = base64.b64decode(raw, validate=True)
    except ValueError:
        pass
    return raw.decode(errors="replace")


def _listener(listener) -> dict:
    rules = [rule for rule in list(listener.rules.values()) if not rule.is_default]
    return {
        "arn": listener.arn,
        "load_balancer": listener.load_balancer_arn,
        "port": int(listener.port),
        "protocol": listener.protocol,
        "default": [_action(a) for a in listener.default_actions],
        "rules": [
            {
                "arn": rule.arn,
                "priority": int(rule.priority),
                "hosts": _values(rule.conditions, "host-header", "HostHeaderConfig"),
                "paths": _values(rule.conditions, "path-pattern", "PathPatternConfig"),
                "headers": _headers(rule.conditions),
                "actions": [_action(a) for a in rule.actions],
            }
            for rule in sorted(rules, key=lambda rule: int(rule.priority))
        ],
    }


def _values(conditions: list[dict], field: str, config: str) -> list[str]:
    return [
        value
        for condition in conditions
        if condition.get("Field") == field
        for value in (condition.get("Values") or condition.get(config, {}).get("Values", []))
    ]


def _headers(conditions: list[dict]) -> list[dict]:
    configs = [c.get("HttpHeaderConfig", {}) for c in conditions if c.get("Field") == "http-header"]
    return [{"name": config["HttpHeaderName"], "values": config["Values"]} for config in configs]


def _action(action) -> dict:
    data = action.data
    if action.type == "forward":
        config = data["ForwardConfig"]
        sticky = config.get("TargetGroupStickinessConfig") or {}
        groups = [{"arn": g["TargetGroupArn"], "weight": int(g["Weight"])} for g in config["TargetGroups"]]
        enabled = str(sticky.get("Enabled", False)).lower() == "true"
        secs = int(sticky.get("DurationSeconds") or 0) if enabled else None
        return {"type": "forward", "groups": groups, "stickiness_secs": secs}
    if action.type == "fixed-response":
        config = data["FixedResponseConfig"]
        return {
            "type": "fixed-response",
            "status": int(config["StatusCode"]),
            "body": config.get("MessageBody") or "",
        }
    return {"type": action.type}


def _target_groups(backend) -> list[dict]:
    used = elbv2.usage(backend)
    return [_target_group(backend, group, used.get(group.arn)) for group in list(backend.target_groups.values())]


def _target_group(backend, group, balancers) -> dict:
    return {
        "arn": group.arn,
        "name": group.name,
        "port": int(group.port),
        "tags": dict(backend.tagging_service.get_tag_dict_for_resource(group.arn)),
        "health": {
            "path": group.health_check_path or "/",
            "port": str(group.health_check_port),
            "interval_secs": int(group.health_check_interval_seconds),
            "timeout_secs": int(group.health_check_timeout_seconds),
            "healthy": int(group.healthy_threshold_count),
            "unhealthy": int(group.unhealthy_threshold_count),
            "matcher": str(group.matcher["HttpCode"]),
        },
        "deregistration_delay_secs": int(group.attributes["deregistration_delay.timeout_seconds"]),
        "targets": [
            {"id": t["Id"], "port": int(t["Port"]), "state": elbv2.health(group, t, balancers)["state"]}
            for t in [*group.targets.values(), *group.draining.values()]
        ],
    }


def _zone(zone) -> dict:
    return {
        "id": zone.resource_id,
        "name": zone.name.rstrip("."),
        "private": bool(zone.private_zone),
        "records": [
            {
                "name": record.name.rstrip("."),
                "type": record.type,
                "ttl": int(record.ttl or 0),
                "values": [str(value) for value in record.records],
            }
            for record in list(zone.rrsets)
            if record.type not in ("SOA", "NS")
        ],
    }
