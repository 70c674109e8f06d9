"""EC2 as strict as AWS: launches are idempotent and counted, and instances take their time to change state."""

import copy
import json
import weakref
from xml.sax.saxutils import escape

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError, InvalidInstanceIdError
from moto.ec2.models import EC2Backend
from moto.ec2.models.amis import AmiBackend
from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.models.elastic_ip_addresses import ElasticAddressBackend
from moto.ec2.models.instances import Instance, InstanceBackend, StateReason
from moto.ec2.responses.amis import AmisResponse
from moto.ec2.responses._base_response import EC2BaseResponse
from moto.ec2.responses.elastic_ip_addresses import ElasticIPAddresses
from moto.ec2.responses.instances import InstanceResponse
from moto.ec2.responses.tags import TagResponse

from . import clock

STATE_CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}

# moto looks instances up by walking over all of them: 1,000 targets would take 1,000,000 steps.
_instances: "weakref.WeakValueDictionary[str, Instance]" = weakref.WeakValueDictionary()
# (account, Region, zone, client token) -> (what was asked, what was launched)
_launches: dict[tuple, tuple[str, object]] = {}

_moto = {
    "init": Instance.__init__,
    "terminate": Instance.terminate,
    "stop": Instance.stop,
    "start": Instance.start,
    "run_instances": InstanceResponse.run_instances,
    "describe_instances": InstanceResponse.describe_instances,
    "associate": ElasticIPAddresses.associate_address,
    "create_tags": TagResponse.create_tags,
    "allocate": ElasticAddressBackend.allocate_address,
    "release": ElasticAddressBackend.release_address,
    "register_image": AmisResponse.register_image,
    "describe_images": AmiBackend.describe_images,
    "iter_tagged_resources": EC2Backend.iter_tagged_resources,
}


def _set_state(instance: Instance, name: str) -> None:
    instance._state.name = name
    instance._state.code = STATE_CODES[name]


def _after_secs(key: str, instance: Instance, then) -> None:
    """Leaves the end of a change of state to the instance manager, or to a timer where there is none."""
    state = instance.state
    if clock.config["instances"] == "timer":
        clock.after(clock.config[key], lambda: then(instance) if instance.state == state else None)


# Launching


def _run_instances(self: InstanceResponse):
    """One call at a time comes here (see __main__), so a repeated token waits for the first call's end."""
    params = self._get_params()
    asked = json.dumps({k: v for k, v in params.items() if k != "ClientToken"}, sort_keys=True, default=str)
    subnet_id = params.get("SubnetId")
    zone = self.ec2_backend.get_subnet(subnet_id).availability_zone if subnet_id else None
    if params.get("KeyName"):
        self.ec2_backend.describe_key_pairs(key_names=[params["KeyName"]])
    token = params.get("ClientToken")
    launch = (self.current_account, self.region, zone, token)
    if token and len(token) > 64:
        raise EC2ClientError("InvalidParameterValue", "ClientToken must be at most 64 characters")
    if token and launch in _launches:
        before, result = _launches[launch]
        if before != asked:
            raise EC2ClientError(
                "IdempotentParameterMismatch",
                "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
            )
        return result
    least, most = int(params.get("MinCount", 1)), int(params.get("MaxCount", 1))
    if least < 1 or most < least:
        raise EC2ClientError("InvalidParameterValue", f"MinCount {least} and MaxCount {most} do not fit together")
    fault, count = _capacity(subnet_id, params.get("InstanceType"), least, most)
    if fault:
        return _refuse(fault["code"], fault.get("message") or _no_capacity(params.get("InstanceType"), zone))
    params["MinCount"] = count
    result = _moto["run_instances"](self)
    profile = params.get("IamInstanceProfile", {})
    tags = self._parse_tag_specification().get("network-interface", {})
    for index, instance in enumerate(result.result.instances):
        _set_state(instance, "pending")
        for nic in instance.nics.values():
            nic.delete_on_termination = True  # as the interface that a launch creates is on AWS
            nic.add_tags(tags)
        if index > 0 and profile:  # moto gives the profile to the first one only
            self.ec2_backend.associate_iam_instance_profile(
                instance_id=instance.id,
                iam_instance_profile_name=profile.get("Name"),
                iam_instance_profile_arn=profile.get("Arn"),
            )
        _after_secs("boot_secs", instance, _is_running)
    if token:
        _launches[launch] = (asked, result)
    return result


def _describe_instances(self: InstanceResponse) -> ActionResult:
    """A page is so many instances; moto counts reservations, whole fleets."""
    most = int(self._get_param("MaxResults") or 0)
    if not most or self._get_param("InstanceIds", []):
        return _moto["describe_instances"](self)
    self.error_on_dryrun()
    start = int(self._get_param("NextToken") or 0)
    page, seen = [], 0
    for reservation in self.ec2_backend.describe_instances(filters=self._filters_from_querystring()):
        first, seen = seen, seen + len(reservation.instances)
        part = copy.copy(reservation)
        part.instances = reservation.instances[max(start - first, 0) : max(start + most - first, 0)]
        if part.instances:
            page.append(part)
    return ActionResult({"Reservations": page, "NextToken": str(start + most) if seen > start + most else None})


def _capacity(subnet: str | None, kind: str | None, least: int, most: int) -> tuple[dict | None, int]:
    """The fault to answer with, or how many instances the (subnet, type) still has room for."""
    for fault in clock.config["capacity"]:
        if fault.get("subnet", "*") in ("*", subnet) and fault.get("type", "*") in ("*", kind):
            available = fault.get("available", 0)
            if available < least:
                return fault, 0
            most = min(most, available)
            fault["available"] = available - most
            return None, most
    return None, most


def _no_capacity(kind: str | None, zone: str | None) -> str:
    return (
        f"We currently do not have sufficient {kind} capacity in the Availability Zone you requested ({zone}). "
        "Our system will be working on provisioning additional capacity."
    )


def _refuse(code: str, message: str):
    """An EC2 error; those about capacity are the server's (HTTP 500), the rest the client's."""
    status = 500 if code.startswith("Insufficient") else 400
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?><Response><Errors><Error><Code>{escape(code)}</Code>'
        f"<Message>{escape(message)}</Message></Error></Errors><RequestID>0</RequestID></Response>"
    )
    return body, {"status": status, "Content-Type": "text/xml;charset=UTF-8"}


# The life of an instance


def _is_running(instance: Instance) -> None:
    _moto["start"](instance)


def _is_stopped(instance: Instance) -> None:
    _moto["stop"](instance)


def _is_terminated(instance: Instance) -> None:
    """Takes from it what AWS takes: addresses, interfaces, volumes; a describe then has no subnet either."""
    backend = instance.ec2_backend
    for address in list(backend.addresses):
        if address.instance is instance:
            backend.disassociate_address(address=address.public_ip)
    instance.last_place = (instance.private_ip, instance.subnet_id)
    _moto["terminate"](instance)
    instance.nics = {}
    instance._private_ips = set()
    instance._subnet_id = None


def _by_user() -> StateReason:
    return StateReason("Client.UserInitiatedShutdown: User initiated shutdown", "Client.UserInitiatedShutdown")


def _leave_target_groups(instance: Instance) -> None:
    from moto.elbv2.models import elbv2_backends

    elbv2_backends[instance.owner_id][instance.region_name].notify_terminate_instances([instance.id])


def _terminate(self: Instance):
    previous = copy.copy(self._state)
    if previous.name in ("shutting-down", "terminated"):
        return previous
    _set_state(self, "shutting-down")
    self.state_reason = _by_user()
    _leave_target_groups(self)
    if previous.name == "stopped":  # has no process whose end anybody could report
        clock.after(0, lambda: _is_terminated(self))
    else:
        _after_secs("shutdown_secs", self, _is_terminated)
    return previous


def _stop(self: Instance):
    previous = copy.copy(self._state)
    if previous.name in ("stopping", "stopped"):
        return previous
    if previous.name != "running":
        raise EC2ClientError(
            "IncorrectInstanceState", f"This instance '{self.id}' is not in a state from which it can be stopped."
        )
    _set_state(self, "stopping")
    self.state_reason = _by_user()
    _after_secs("shutdown_secs", self, _is_stopped)
    return previous


def _start(self: Instance):
    previous = copy.copy(self._state)
    if previous.name in ("pending", "running"):
        return previous
    if previous.name != "stopped":
        raise EC2ClientError(
            "IncorrectInstanceState",
            f"The instance '{self.id}' is not in a state from which it can be started.",
        )
    _set_state(self, "pending")
    _after_secs("boot_secs", self, _is_running)
    return previous


def report(instance_id: str, state: str, reason: str | None = None) -> str:
    """What the instance manager saw: a process up, or gone. Returns the instance's state; late news change nothing."""
    instance = _instances.get(instance_id)
    if instance is None:
        raise KeyError(instance_id)
    now = instance.state
    if state == "running" and now == "pending":
        _is_running(instance)
    elif state in ("stopped", "terminated") and now == "stopping":
        _is_stopped(instance)
    elif state == "terminated" and now != "terminated" and now != "stopped":
        died = now in ("pending", "running")
        _leave_target_groups(instance)
        _is_terminated(instance)
        if died:
            reason = reason or "Client.InstanceInitiatedShutdown: Instance initiated shutdown"
            instance.state_reason = StateReason(reason, reason.split(":")[0])
    clock.changed()
    return instance.state


def place(instance: Instance) -> tuple[str, str]:
    """Private address and subnet, of a terminated instance the last it had."""
    return instance.last_place or (instance.private_ip, instance.subnet_id)


def _init(self: Instance, *args, **kwargs) -> None:
    self.last_place: tuple[str, str] | None = None
    _moto["init"](self, *args, **kwargs)
    _instances[self.id] = self


def _get_instance_by_id(self, instance_id: str) -> Instance | None:
    return _instances.get(instance_id)


def _get_instance(self, instance_id: str) -> Instance:
    if instance_id not in _instances:
        raise InvalidInstanceIdError(instance_id)
    return _instances[instance_id]


def _get_tags(self) -> list[dict[str, str]]:
    """moto walks over all tags of all resources for each resource; this is most of a describe of 1,000."""
    return [{"resource_id": self.id, "key": k, "value": v} for k, v in list(self.ec2_backend.tags.get(self.id, {}).items())]


def _describe_images(self, ami_ids=None, filters=None, exec_users=None, owners=None):
    """Each new instance asks for its image, among 1,300: half the time of a launch of 1,000."""
    if filters and list(filters) == ["image-id"] and isinstance(filters["image-id"], str) and not ami_ids:
        image = self.amis.get(filters["image-id"])
        return [image] if image else []
    return _moto["describe_images"](self, ami_ids, filters, exec_users, owners)


def _of_first_nic(name: str):
    """A property of the first interface; a terminated instance has none."""
    return property(lambda self: getattr(self.nics[0], name) if self.nics else None)


def _private_dns_name(self: Instance) -> str:
    return f"ip-{self.private_ip.replace('.', '-')}.ec2.internal" if self.private_ip else ""


# Addresses


def _associate_address(self: ElasticIPAddresses):
    """By default AWS takes the address away from whoever has it; it wants an instance that is up, or stopped, and that
    has no other address. Repeated, it changes nothing."""
    params = self._get_params()
    params.setdefault("AllowReassociation", True)
    if "InstanceId" in params:
        instance = self.ec2_backend.get_instance(params["InstanceId"])
        if instance.state not in ("running", "stopped"):
            raise EC2ClientError(
                "InvalidInstanceID",
                f"The {instance.state} instance '{instance.id}' is not in a valid state for this operation.",
            )
        its = [address for address in self.ec2_backend.addresses if address.instance is instance]
        if any(address.allocation_id == params.get("AllocationId") for address in its):
            return ActionResult({"AssociationId": its[0].association_id})
        if its and params["AllowReassociation"] in (False, "false"):
            raise EC2ClientError(
                "Resource.AlreadyAssociated",
                f"resource {instance.nics[0].id} is already associated with address {its[0].public_ip}",
            )
    return _moto["associate"](self)


def _create_tags(self: TagResponse):
    """moto tags what isn't there."""
    for resource in self._get_param("Resources", []):
        if resource.startswith("i-"):
            self.ec2_backend.get_instance(resource)
    return _moto["create_tags"](self)


def _allocate_address(self, *args, **kwargs):
    limit = clock.config["address_limit"]
    if limit is not None and len(self.addresses) >= limit:
        raise EC2ClientError("AddressLimitExceeded", "The maximum number of addresses has been reached.")
    return _moto["allocate"](self, *args, **kwargs)


def _release_address(self, address: str | None = None, allocation_id: str | None = None) -> None:
    found = self.address_by_ip([address]) if address else self.address_by_allocation([allocation_id])
    if found[0].association_id:
        raise EC2ClientError("InvalidIPAddress.InUse", f"The address {found[0].public_ip} is in use.")
    _moto["release"](self, address=address, allocation_id=allocation_id)


def _iter_tagged_resources(self: EC2Backend):
    """Reads take no lock, and a launch meanwhile ends moto's walk with an error: then it is walked again."""
    while True:
        try:
            return iter(list(_moto["iter_tagged_resources"](self)))
        except RuntimeError:  # changed during iteration
            continue


def _register_image(self: AmisResponse):
    """The image has the architecture that it was registered with."""
    answer = _moto["register_image"](self)
    self.ec2_backend.amis[answer.result["ImageId"]].architecture = self._get_param("Architecture") or "i386"
    return answer


def install() -> None:
    """Puts this module's behaviour in place of moto's."""
    EC2BaseResponse.RESPONSE_KEY_PATH_TO_TRANSFORMER.pop("RunInstances.Reservation.Instances.Instance.State", None)
    AmisResponse.register_image = _register_image
    InstanceResponse.run_instances = _run_instances
    InstanceResponse.describe_instances = _describe_instances
    Instance.__init__ = _init
    Instance.terminate, Instance.stop, Instance.start = _terminate, _stop, _start
    for name in ("private_ip", "private_ip_address", "public_ip", "public_ip_address"):
        setattr(Instance, name, _of_first_nic(name.removesuffix("_address") if "public" in name else "private_ip_address"))
    Instance.private_dns_name = property(_private_dns_name)
    for backend in (InstanceBackend, EC2Backend):
        backend.get_instance_by_id, backend.get_instance = _get_instance_by_id, _get_instance
    for backend in (AmiBackend, EC2Backend):
        backend.describe_images = _describe_images
    TaggedEC2Resource.get_tags = _get_tags
    EC2Backend.iter_tagged_resources = _iter_tagged_resources
    ElasticIPAddresses.associate_address = _associate_address
    TagResponse.create_tags = _create_tags
    ElasticAddressBackend.allocate_address = _allocate_address
    ElasticAddressBackend.release_address = _release_address
