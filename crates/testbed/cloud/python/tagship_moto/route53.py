"""Route 53 as strict as AWS: a batch is checked as a whole against the records as they stand."""

from typing import Any

from moto.route53.exceptions import DnsNameInvalidForZone, Route53ClientError
from moto.route53.models import FakeZone, RecordSet, Route53Backend

# AWS's limits of one batch; an UPSERT counts twice. And of one record set.
RECORDS_MAX = 1000
CHARACTERS_MAX = 32_000
VALUES_MAX = 400

_create_zone = FakeZone.create_from_cloudformation_json.__func__


def _change(self: Route53Backend, zoneid: str, change_list: list[dict[str, Any]]) -> None:
    """All changes or none. moto compares a DELETE with all values that ever were, and forgets to check a CREATE."""
    zone = self.get_hosted_zone(zoneid)
    records = {_key(r.name, r.type, r.set_identifier): r for r in zone.rrsets}
    problems, count, characters = [], 0, 0
    for change in change_list:
        action, wanted = change["Action"], _record_set(change["ResourceRecordSet"])
        weight = 2 if action == "UPSERT" else 1
        count += weight * len(wanted.records)
        characters += weight * sum(len(value) for value in wanted.records)
        if not f".{wanted.name}".endswith(f".{zone.name.rstrip('.').lower()}."):
            raise DnsNameInvalidForZone(name=wanted.name, zone_name=zone.name)
        key = _key(wanted.name, wanted.type, wanted.set_identifier)
        current = records.get(key)
        what = f"resource record set [name='{wanted.name}', type='{wanted.type}']"
        if len(wanted.records) > VALUES_MAX:
            problems.append(f"{what}: at most {VALUES_MAX} values")
        elif action == "DELETE" and current is None:
            problems.append(f"Tried to delete {what} but it was not found")
        elif action == "DELETE" and _values(current) != _values(wanted):
            problems.append(f"Tried to delete {what} but the values provided do not match the current values")
        elif action == "CREATE" and current is not None:
            problems.append(f"Tried to create {what} but it already exists")
        elif action == "DELETE":
            del records[key]
        else:
            records[key] = wanted
    if count > RECORDS_MAX:
        problems.append(f"Number of records limit of {RECORDS_MAX} exceeded.")
    if characters > CHARACTERS_MAX:
        problems.append(f"Number of characters limit of {CHARACTERS_MAX} exceeded.")
    if problems:
        raise Route53ClientError("InvalidChangeBatch", f"[{', '.join(problems)}]")
    zone.rrsets = list(records.values())


def _record_set(given: dict[str, Any]) -> RecordSet:
    values = [record["Value"] for record in given.get("ResourceRecords", [])]
    return RecordSet({**given, "Name": given["Name"].rstrip(".").lower() + ".", "ResourceRecords": values})


def _key(name: str, kind: str, set_identifier: str | None) -> tuple:
    return name.rstrip(".").lower(), kind, set_identifier


def _values(record: RecordSet) -> tuple:
    return str(record.ttl), sorted(str(value) for value in record.records)


def _private_zone(cls, resource_name, cloudformation_json, account_id, region_name, **kwargs) -> FakeZone:
    """moto drops the VPCs of a zone that CloudFormation creates, and with them that it is private."""
    zone = _create_zone(cls, resource_name, cloudformation_json, account_id, region_name, **kwargs)
    for vpc in cloudformation_json["Properties"].get("VPCs", []):
        zone.private_zone = True
        zone.add_vpc(vpc["VPCId"], vpc["VPCRegion"])
    if not zone.name.endswith("."):
        zone.name += "."
    return zone


def _list_by_name(self: Route53Backend, dnsname: str | None) -> tuple[str | None, list[FakeZone]]:
    """AWS starts the list at the name, and goes on with those after it; moto gives the exact matches only."""
    zones = sorted(self.zones.values(), key=lambda zone: _labels(zone.name))
    return dnsname, [zone for zone in zones if not dnsname or _labels(zone.name) >= _labels(dnsname)]


def _labels(name: str) -> list[str]:
    return name.rstrip(".").lower().split(".")[::-1]


def install() -> None:
    """Puts this module's behaviour in place of moto's."""
    Route53Backend.change_resource_record_sets = _change
    Route53Backend.list_hosted_zones_by_name = _list_by_name
    FakeZone.create_from_cloudformation_json = classmethod(_private_zone)
