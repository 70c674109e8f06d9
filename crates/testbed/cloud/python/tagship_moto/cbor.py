"""CloudWatch's RPC v2 CBOR, which moto doesn't speak: a call becomes the same one in JSON, and its answer CBOR again."""

import datetime
import io
import json
import re

import cbor2
from botocore.loaders import Loader
from botocore.model import OperationNotFoundError, ServiceModel, Shape

PATH = re.compile("/service/(?P<target>[^/]+)/operation/(?P<operation>[^/]+)")
MODEL = ServiceModel(Loader().load_service_model("cloudwatch", "service-2"))


def call(moto, environ: dict, start_response):
    """Passes a call in CBOR to moto in JSON; none if it isn't in CBOR."""
    found = PATH.fullmatch(environ["PATH_INFO"])
    if not found or environ.get("HTTP_SMITHY_PROTOCOL") != "rpc-v2-cbor":
        return None
    length = int(environ.get("CONTENT_LENGTH") or 0)
    given = environ["wsgi.input"].read(length)
    asked = json.dumps(cbor2.loads(given) if given else {}, default=seconds).encode()
    environ |= {
        "PATH_INFO": "/",
        "CONTENT_TYPE": "application/x-amz-json-1.0",
        "CONTENT_LENGTH": str(len(asked)),
        "HTTP_X_AMZ_TARGET": f"{found['target']}.{found['operation']}",
        "wsgi.input": io.BytesIO(asked),
    }
    answered = {}

    def begin(status, headers, exc_info=None):
        answered.update(status=status, headers=headers)

    body = b"".join(moto(environ, begin))
    value = json.loads(body) if body else {}
    answer = cbor2.dumps(as_shaped(output(found["operation"]), value))
    kept = [(name, text) for name, text in answered["headers"] if name.lower() not in ("content-type", "content-length")]
    kept += [("Content-Type", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor")]
    start_response(answered["status"], [*kept, ("Content-Length", str(len(answer)))])
    return [answer]


def seconds(value) -> float:
    """A time as JSON has it."""
    if isinstance(value, datetime.datetime):
        return value.timestamp()
    raise TypeError(f"{value!r} is no time")


def output(operation: str) -> Shape | None:
    """What the operation answers; none if it answers nothing, or isn't known."""
    try:
        return MODEL.operation_model(operation).output_shape
    except OperationNotFoundError:
        return None


def as_shaped(shape: Shape | None, value):
    """The value with its times tagged as times."""
    match shape and shape.type_name, value:
        case "structure", dict():
            return {key: as_shaped(shape.members.get(key), item) for key, item in value.items() if item is not None}
        case "list", list():
            return [as_shaped(shape.member, item) for item in value]
        case "timestamp", int() | float():
            return cbor2.CBORTag(1, float(value))
        case "double", int():
            return float(value)
        case _:
            return value
