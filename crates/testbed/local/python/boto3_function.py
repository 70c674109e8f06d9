"""A Lambda function in Python, as far as its first request for work: what `make bench` compares ours with.

Its arguments are the clients that it makes at start-up.
"""

import http.client
import os
import sys

import boto3

clients = [boto3.client(name) for name in sys.argv[1:]]
runtime = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
runtime.request("GET", "/2018-06-01/runtime/invocation/next")
runtime.getresponse()
