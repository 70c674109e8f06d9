"""Holds recorded requests against AWS's own service models: python -m validate_requests RECORDING.jsonl…

A recording is what the gateway's recorder wrote, one call a line. Each request is parsed by its service's protocol
(moto's parsers, which are generated from the same models) and checked: required members, lengths, ranges, patterns,
enumerations, and members that the model doesn't know. Problems go to standard output, one a line; any makes it fail,
and so does a recording with nothing in it.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, unquote
from xml.etree import ElementTree

import regex
from botocore.exceptions import UnknownServiceError
from botocore.model import OperationNotFoundError, Shape
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.utils import get_service_model
from werkzeug.datastructures import Headers, MultiDict

# botocore's names of services whose signing name differs
MODELS = {"elasticloadbalancing": "elbv2", "tagging": "resourcegroupstaggingapi", "monitoring": "cloudwatch"}
# What CodeDeploy's agents call; AWS publishes no model of it.
UNMODELLED = {"codedeploy-commands"}


class Form(MultiDict):
    """A query string or form that remembers what was asked of it."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        super().__init__(pairs)
        self.read: set[str] = set()

    def get(self, key, default=None, type=None):
        self.read.add(key)
        return super().get(key, default, type)


def problems(record: dict[str, Any]) -> Iterator[str]:
    """Everything that is wrong with one recorded call."""
    if record["service"] in UNMODELLED:
        return
    request = record["request"]
    try:
        service = get_service_model(MODELS.get(record["service"], record["service"]))
        operation = service.operation_model(record["operation"])
    except UnknownServiceError:
        yield "no such service"
        return
    except OperationNotFoundError:
        yield "the service has no such operation"
        return
    shape = operation.input_shape
    if shape is None:
        return
    protocol = service.resolved_protocol
    body = request["body"]
    if body is None and request["path"].startswith("/service/"):
        return  # CBOR, of which the recorder keeps nothing: it isn't text
    omitted = body is None  # an object's bytes, which no model describes
    form = Form(parse_qsl(request["query"], keep_blank_values=True))
    if protocol in ("query", "ec2"):
        form.update(parse_qsl(body or "", keep_blank_values=True))
    unread = {
        "query": lambda: unread_form(form),
        "ec2": lambda: unread_form(form),
        "rest-xml": lambda: unread_xml(shape, body),
    }.get(protocol, lambda: unread_json(shape, body))
    try:
        parsed = PROTOCOL_PARSERS[protocol](operation).parse(
            {
                "method": request["method"],
                "values": form,
                "headers": Headers(request["headers"]),
                "body": (body or "").encode(),
                "url_path": request["path"],
                "url_params": uri_members(operation.http["requestUri"], request["path"]),
            }
        )
        unknown = list(unread())
    except Exception as error:  # whatever a parser makes of a malformed request
        yield f"does not parse: {error!r}"
        return
    yield from (f"{name}: not in the model" for name in unknown)
    yield from check(shape, parsed, "", {shape.serialization.get("payload")} if omitted else set())


def uri_members(template: str, path: str) -> dict[str, str]:
    """The path's parts by the names that the model gives them, e.g. `/{Bucket}/{Key+}`."""
    pattern = regex.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template.split("?")[0].replace("+}", "}+"))
    pattern = regex.sub(r"\[\^/\]\+\)\+", ".+)", pattern).rstrip("/")
    found = regex.fullmatch(pattern + "/?", path)
    return {name: unquote(value) for name, value in found.groupdict().items()} if found else {}


def unread_form(form: Form) -> list[str]:
    return sorted(set(form) - form.read - {"Action", "Version"})


def unread_json(shape: Shape, body: str | None) -> Iterator[str]:
    """Keys of the body, at any depth, that its shape doesn't have."""
    payload = shape.serialization.get("payload")
    if payload:
        shape = shape.members[payload]
    if body and shape.type_name == "structure":
        yield from unknown_keys(shape, json.loads(body), "")


def unknown_keys(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if shape.type_name == "structure" and isinstance(value, dict) and not shape.is_document_type:
        names = {member.serialization.get("name", name): member for name, member in shape.members.items()}
        for key, item in value.items():
            if key in names:
                yield from unknown_keys(names[key], item, f"{path}.{key}")
            else:
                yield f"{path}.{key}".lstrip(".")
    elif shape.type_name == "list" and isinstance(value, list):
        for index, item in enumerate(value):
            yield from unknown_keys(shape.member, item, f"{path}[{index}]")
    elif shape.type_name == "map" and isinstance(value, dict):
        for key, item in value.items():
            yield from unknown_keys(shape.value, item, f"{path}.{key}")


def unread_xml(shape: Shape, body: str | None) -> list[str]:
    """Elements of the body whose name stands nowhere in the shape. The root has a name of its own."""
    if not body:
        return []
    known: set[str] = set()

    def collect(shape: Shape, seen: frozenset[str]) -> None:
        if shape.type_name == "structure" and shape.name not in seen:
            for name, member in shape.members.items():
                known.add(member.serialization.get("name", name))
                collect(member, seen | {shape.name})
        elif shape.type_name == "list":
            known.add(shape.member.serialization.get("name", "member"))
            collect(shape.member, seen)

    collect(shape, frozenset())
    elements = [element for child in ElementTree.fromstring(body) for element in child.iter()]
    return sorted({element.tag.rpartition("}")[2] for element in elements} - known)


def check(shape: Shape, value: Any, path: str, omitted: set[str | None] = frozenset()) -> Iterator[str]:
    """What in `value` its shape doesn't allow."""
    where = path.lstrip(".") or "the request"
    match shape.type_name:
        case "structure":
            if not isinstance(value, dict):
                yield f"{where}: a structure is wanted"
                return
            for name in shape.required_members:
                if value.get(name) is None and name not in omitted:
                    yield f"{f'{path}.{name}'.lstrip('.')}: required, but missing"
            for name, item in value.items():
                if name in shape.members and item is not None:
                    yield from check(shape.members[name], item, f"{path}.{name}")
        case "list":
            yield from bounded(shape, len(value), where, "items")
            for index, item in enumerate(value):
                yield from check(shape.member, item, f"{path}[{index}]")
        case "map":
            yield from bounded(shape, len(value), where, "entries")
            for key, item in value.items():
                yield from check(shape.key, key, f"{path}.{key}")
                yield from check(shape.value, item, f"{path}.{key}")
        case "string":
            if not isinstance(value, str):
                yield f"{where}: a string is wanted"
                return
            yield from bounded(shape, len(value), where, "characters")
            if shape.enum and value not in shape.enum:
                yield f"{where}: {value!r} is none of {', '.join(shape.enum)}"
            pattern = shape.metadata.get("pattern")
            if pattern and not matches(pattern, value):
                yield f"{where}: {value!r} does not match {pattern}"
        case "integer" | "long" | "float" | "double":
            try:
                yield from bounded(shape, float(value), where, "")
            except (TypeError, ValueError):
                yield f"{where}: a number is wanted, not {value!r}"
        case "boolean":
            if not isinstance(value, bool):
                yield f"{where}: true or false is wanted, not {value!r}"


def bounded(shape: Shape, size: float, where: str, unit: str) -> Iterator[str]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and size < least:
        yield f"{where}: {size:g} {unit} is less than {least}".replace("  ", " ")
    if most is not None and size > most:
        yield f"{where}: {size:g} {unit} is more than {most}".replace("  ", " ")


def matches(pattern: str, value: str) -> bool:
    """The models' patterns are of Java; one with an anchor of its own says itself how much it means."""
    anchored = pattern.startswith("^") or pattern.endswith("$")
    return bool((regex.search if anchored else regex.fullmatch)(pattern, value))


def main(paths: list[str]) -> int:
    seen: Counter[str] = Counter()
    wrong = 0
    for path in paths:
        with open(path) as file:
            for number, line in enumerate(file, 1):
                record = json.loads(line)
                name = f"{record['service']} {record['operation']}"
                seen[name] += 1
                for problem in problems(record):
                    wrong += 1
                    print(f"{path}:{number}: {record['caller']} {name}: {problem}")
    print(f"{seen.total()} requests of {len(seen)} operations, {wrong} problems")
    return 1 if wrong or not seen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
