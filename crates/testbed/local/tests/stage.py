"""Stands in for tagship's functions: writes down what it is asked, and reports to CodePipeline as they do."""

import http.client
import json
import os
import urllib.request

RUNTIME = "/2018-06-01/runtime/invocation/"
NAME = os.environ["AWS_LAMBDA_FUNCTION_NAME"].removeprefix("tagship-")
OUTPUTS = {
    "provision": {"CandidateName": "candidate.web", "InstanceIds": "i-1", "PrivateIps": "10.0.0.1"},
    "deploy": {"HealthyTargets": "1", "DeploymentId": "d-1", "Artifact": "a", "TestAddress": "none", "Alarms": "none is ringing"},
    "route": {"LiveRelease": "this", "PreviousRelease": "none"},
    "cleanup": {"Terminated": "none"},
}


def report(operation, body):
    scope = f"{os.environ['AWS_ACCESS_KEY_ID']}/20000101/{os.environ['AWS_REGION']}/codepipeline/aws4_request"
    request = urllib.request.Request(
        os.environ["AWS_ENDPOINT_URL"],
        json.dumps(body).encode(),
        {
            "X-Amz-Target": f"CodePipeline_20150709.{operation}",
            "Content-Type": "application/x-amz-json-1.1",
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
        },
    )
    urllib.request.urlopen(request).read()


def job(event):
    data = event["data"]
    token = data.get("continuationToken")
    parameters = json.loads(data["actionConfiguration"]["configuration"]["UserParameters"])
    with open(os.environ["ASKED"], "a") as asked:
        artifacts = [artifact["revision"] for artifact in data["inputArtifacts"]]
        asked.write(json.dumps({"function": NAME, "job": parameters, "artifacts": artifacts, "token": token}) + "\n")
    if NAME == "provision" and token is None:
        report("PutJobSuccessResult", {"jobId": event["id"], "continuationToken": "booting"})
    else:
        report("PutJobSuccessResult", {"jobId": event["id"], "outputVariables": OUTPUTS[NAME]})


connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    connection.request("GET", RUNTIME + "next")
    response = connection.getresponse()
    request_id = response.headers["lambda-runtime-aws-request-id"]
    event = json.loads(response.read())
    if "CodePipeline.job" in event:
        job(event["CodePipeline.job"])
    else:
        with open(os.environ["ASKED"], "a") as asked:
            asked.write(json.dumps({"function": NAME, "direct": event["tagship"]}) + "\n")
    connection.request("POST", f"{RUNTIME}{request_id}/response", "{}")
    connection.getresponse().read()
