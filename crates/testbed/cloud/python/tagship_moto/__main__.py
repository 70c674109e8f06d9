"""moto's server with our plug-in, on one port: python -m tagship_moto [--port N].

Prints {"port": N} when it is ready, and exits when its standard input closes, so that it never outlives its parent.
"""

import argparse
import json
import logging
import os
import sys
import threading
import traceback
import warnings
from collections import defaultdict

# Before moto is imported: unknown images and instance types are errors on AWS.
os.environ.setdefault("MOTO_ENABLE_AMI_VALIDATION", "true")
os.environ.setdefault("MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION", "true")

from moto.moto_server.werkzeug_app import (  # noqa: E402
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server  # noqa: E402
from werkzeug.wrappers import Request, Response  # noqa: E402

# What CloudFormation can't make here, setup_account.py finds missing where somebody needs it.
warnings.filterwarnings("ignore", message="Tried to parse ")
logging.getLogger("moto").addFilter(lambda record: "No Moto CloudFormation support" not in record.getMessage())

from . import alarms, cbor, clock, cloudformation, cloudwatch, ec2, elbv2, route53, speed, state  # noqa: E402

READS = ("Describe", "List", "Get", "BatchGet", "Head")


class Application:
    """moto behind one lock a service for changing calls, so that checks and changes are one step."""

    def __init__(self) -> None:
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.locks: dict[str, threading.RLock] = defaultdict(threading.RLock)

    def __call__(self, environ: dict, start_response):
        clock.advance()
        if environ["PATH_INFO"].startswith("/tagship/"):
            return own_route(Request(environ))(environ, start_response)
        if (answer := cbor.call(self, environ, start_response)) is not None:
            return answer
        service, operation = self.operation(environ)
        changing = not operation.startswith(READS)
        try:
            if not changing:
                return self.moto(environ, start_response)
            with self.locks[service]:
                chunks = self.moto(environ, start_response)
                body = list(chunks)
                if hasattr(chunks, "close"):
                    chunks.close()
            clock.changed()
            return body
        except NotImplementedError as error:
            return refuse(environ, 501, "NotImplemented", str(error))(environ, start_response)
        except Exception as error:  # moto's own mistakes: an AWS error, where werkzeug would send a page of HTML
            traceback.print_exc()
            return refuse(environ, 500, "InternalFailure", repr(error))(environ, start_response)

    def operation(self, environ: dict) -> tuple[str, str]:
        """Service and operation; REST calls that change nothing are `Get`, the others their method."""
        scope = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].split(",")[0].split("/")
        service = scope[3] if len(scope) > 3 else "s3"
        target = environ.get("HTTP_X_AMZ_TARGET")
        if target:
            return service, target.rpartition(".")[2]
        body = self.moto._get_body(environ)
        for pair in (body or "").split("&"):
            if pair.startswith("Action="):
                return service, pair.removeprefix("Action=")
        method = environ["REQUEST_METHOD"]
        return service, "Get" if method in ("GET", "HEAD") else method


def refuse(environ: dict, status: int, code: str, message: str) -> Response:
    """An error in the caller's protocol."""
    if "HTTP_X_AMZ_TARGET" in environ or "json" in environ.get("CONTENT_TYPE", ""):
        body, kind = json.dumps({"__type": code, "message": message}), "application/x-amz-json-1.1"
    else:
        from xml.sax.saxutils import escape

        error = f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
        ec2_style = "/ec2/" in environ.get("HTTP_AUTHORIZATION", "")
        outer = "<Response><Errors>{}</Errors></Response>" if ec2_style else "<ErrorResponse>{}</ErrorResponse>"
        body, kind = outer.format(error), "text/xml"
    return Response(body, status=status, content_type=kind)


def own_route(request: Request) -> Response:
    """The routes for the rest of the local cloud."""
    match request.method, request.path:
        case "GET", "/tagship/state":
            version = f'"{clock.version}"'
            if request.headers.get("If-None-Match") == version:
                return Response(status=304, headers={"ETag": version})
            return reply(state.snapshot(), headers={"ETag": version})
        case "GET", "/tagship/tags":
            return reply(state.tags(request.args.getlist("of")))
        case "GET", "/tagship/role":
            return reply(state.role_in(request.args["profile"]))
        case "GET", "/tagship/stacks":
            return reply(cloudformation.stacks())
        case "POST", "/tagship/health":
            elbv2.report(request.get_json(force=True))
            return reply({})
        case "POST", "/tagship/instance":
            news = request.get_json(force=True)
            try:
                return reply({"state": ec2.report(news["id"], news["state"], news.get("reason"))})
            except KeyError as missing:
                return reply({"error": f"no instance or key {missing}"}, status=404)
        case "POST", "/tagship/skip":
            clock.skip(float(request.get_json(force=True)["secs"]))
            return reply({})
        case "POST", "/tagship/config":
            try:
                clock.configure(request.get_json(force=True))
            except ValueError as error:
                return reply({"error": str(error)}, status=400)
            return reply(clock.config)
    return reply({"error": f"no route {request.method} {request.path}"}, status=404)


def reply(body: dict, status: int = 200, headers: dict | None = None) -> Response:
    return Response(json.dumps(body), status=status, headers=headers, content_type="application/json")


class QuietHandler(MotoRequestHandler):
    """No line on standard error for each request: the gateway records them."""

    def log_request(self, *_args) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(prog="tagship_moto", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    args = parser.parse_args()
    alarms.install()
    cloudformation.install()
    cloudwatch.install()
    ec2.install()
    elbv2.install()
    route53.install()
    speed.install()
    server = make_server("127.0.0.1", args.port, Application(), threaded=True, request_handler=QuietHandler)
    print(json.dumps({"port": server.server_port}), flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)  # open connections must not keep it


if __name__ == "__main__":
    main()
