"""The demo's web application: says which version and instance answers. Standard library only."""

import itertools
import json
import os
import pathlib
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOME = pathlib.Path(__file__).resolve().parent
RELEASE = json.loads((HOME / "release.json").read_text())
INSTANCE = os.environ.get("INSTANCE_ID", "unknown")

served = itertools.count(1)
busy = 0
idle = threading.Condition()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "web"
    disable_nagle_algorithm = True
    wbufsize = -1  # one packet an answer

    def do_GET(self) -> None:
        global busy
        with idle:
            busy += 1
        try:
            if self.path == "/health":
                self.answer(RELEASE["health"], {"health": RELEASE["health"]})
            elif self.path == "/" and RELEASE["errsEach"] and next(served) % RELEASE["errsEach"] == 0:
                self.answer(500, {"error": "not this time"})
            elif self.path == "/":
                self.answer(200, {"version": RELEASE["version"], "instance": INSTANCE})
            else:
                self.answer(404, {"error": "not found"})
        finally:
            with idle:
                busy -= 1
                idle.notify_all()

    def answer(self, status: int, content: dict) -> None:
        body = json.dumps(content).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Version", RELEASE["version"])
        self.send_header("X-Instance", INSTANCE)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_args) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main() -> None:
    time.sleep(RELEASE["startSeconds"])
    server = Server((os.environ.get("HOST", "0.0.0.0"), int(os.environ.get("PORT", "8080"))), Handler)
    # shutdown() waits for serve_forever(), so it can't be called from the thread that runs it.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    (HOME / "run" / "ready").touch()
    server.serve_forever(poll_interval=0.05)
    server.server_close()
    with idle:
        idle.wait_for(lambda: busy == 0, timeout=5)


if __name__ == "__main__":
    main()
