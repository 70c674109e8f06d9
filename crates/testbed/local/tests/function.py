"""A function for the tests of the Lambda host: speaks the Runtime API and does what its event says."""

import http.client
import json
import os
import time

RUNTIME = "/2018-06-01/runtime/invocation/"


def post(path, body):
    connection.request("POST", RUNTIME + path, json.dumps(body))
    connection.getresponse().read()


connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
print("started", os.getpid(), flush=True)
while True:
    connection.request("GET", RUNTIME + "next")
    response = connection.getresponse()
    request_id = response.headers["lambda-runtime-aws-request-id"]
    event = json.loads(response.read())
    if "append" in event:  # leave a mark of each try
        with open(event["append"], "a") as marks:
            marks.write(request_id + "\n")
        with open(event["append"]) as marks:
            tries = len(marks.readlines())
        if tries <= event["fail_first"]:
            os._exit(3)
        post(request_id + "/response", {"tries": tries})
    elif event.get("do") == "hang":
        time.sleep(3600)
    elif event.get("do") == "exit":
        os._exit(3)
    elif event.get("do") == "fail":
        post(request_id + "/error", {"errorType": "Test", "errorMessage": "as told"})
    elif event.get("do") == "wait":  # until a file is there
        while not os.path.exists(event["for"]):
            time.sleep(0.01)
        post(request_id + "/response", {"pid": os.getpid()})
    else:
        deadline_ms = int(response.headers["lambda-runtime-deadline-ms"])
        post(
            request_id + "/response",
            {
                "event": event,
                "pid": os.getpid(),
                "left_ms": deadline_ms - time.time() * 1000,
                "environment": dict(os.environ),
            },
        )
