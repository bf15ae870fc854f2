#!/usr/bin/env python3
"""Deploys a model file by way of Slipway's gateway. It needs the standard library alone.

    SLIPWAY_GATEWAY=http://127.0.0.1:8082 deploy_http.py churn model.ubj

It uploads the file, publishes a deploy command that names it, waits for the outcome, and prints it.
With the same --id it may be run again: what was done is not done a second time. SLIPWAY_GATEWAY_TOKEN
is the token of the gateway, if it asks for one.
"""

import argparse
import base64
import hashlib
import http.client
import json
import os
import pathlib
import sys
import time
import urllib.parse
import uuid

# How long a request may take; the gateway answers a wait earlier.
REQUEST_SECONDS = 90
WAIT = "30s"


class Gateway:
    """Asks the gateway, one connection for each request."""

    def __init__(self, url, token=""):
        self.url = urllib.parse.urlsplit(url)
        self.token = token

    def ask(self, method, path, body=None, headers=None):
        """Returns status, headers and body. A problem that is no answer is an OSError."""
        kind = http.client.HTTPSConnection if self.url.scheme == "https" else http.client.HTTPConnection
        connection = kind(self.url.netloc, timeout=REQUEST_SECONDS)
        headers = dict(headers or {})
        if self.token:
            headers["Authorization"] = "Bearer " + self.token
        try:
            try:
                connection.request(method, path, body=body, headers=headers)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it has refused before it had everything, and says why
            with connection.getresponse() as response:
                return response.status, response.headers, response.read()
        finally:
            connection.close()


def fail(what, status, body):
    """Ends the program with what the gateway says is wrong."""
    try:
        problem = json.loads(body)
        sys.exit(f"{what}: {problem['detail']}")
    except (ValueError, KeyError):
        sys.exit(f"{what}: {status} {body!r}")


def read(content):
    """The SHA-256 of an open file and how many bytes it has; it can be read again from the start."""
    digest, size = hashlib.sha256(), 0
    while piece := content.read(1 << 20):
        digest.update(piece)
        size += len(piece)
    content.seek(0)
    return digest, size


def upload(gateway, file, name):
    """Puts the file into the object store, unless it is there, and returns what names it in a command."""
    with open(file, "rb") as content:
        digest, size = read(content)
        path = "/objects/" + urllib.parse.quote(name)
        said = "sha-256=:" + base64.b64encode(digest.digest()).decode() + ":"
        status, headers, body = gateway.ask("HEAD", path)
        if status != 200 or headers["Repr-Digest"] != said:
            print(f"uploading {file}, {size} bytes", file=sys.stderr)
            status, _, body = gateway.ask("PUT", path, content, {"Content-Length": str(size), "Content-Digest": said})
            if status not in (200, 201):
                fail(f"upload {file}", status, body)
    return {
        "path": "model" + pathlib.PurePath(file).suffix.lower(),
        "object": name,
        "digest": "sha256:" + digest.hexdigest(),
        "size": size,
    }


def publish(gateway, command):
    """Publishes the command and returns where to ask what became of it."""
    body = json.dumps(command).encode()
    status, headers, body = gateway.ask("POST", "/commands", body, {"Content-Type": "application/cloudevents+json"})
    if status != 202:
        fail("publish", status, body)
    return headers["Location"]


def outcome(gateway, location, seconds):
    """Waits for the record of the outcome; None if there is none in time. The command goes on all the same."""
    end = time.monotonic() + seconds
    while True:
        status, _, body = gateway.ask("GET", f"{location}&wait={WAIT}")
        if status == 200:
            return json.loads(body)
        if status not in (202, 503):
            fail("outcome", status, body)
        if time.monotonic() > end:
            return None
        if status == 503:
            time.sleep(1)


def main():
    parser = argparse.ArgumentParser(description="Deploys a model file by way of Slipway's gateway.")
    parser.add_argument("deployment", help="name of the deployment")
    parser.add_argument("model", help="model file, such as model.onnx or model.ubj")
    parser.add_argument("--label", help="name for people (that of the deployment)")
    parser.add_argument("--model-type", help="type of the model, such as LIGHTGBM, if its file does not say it")
    parser.add_argument("--id", default=str(uuid.uuid4()), help="id of this run; the same id is the same command")
    parser.add_argument("--source", default="/pipelines/python", help="CloudEvents source of the command")
    parser.add_argument("--timeout", type=float, default=600, help="seconds to wait for the outcome")
    arguments = parser.parse_args()

    gateway = Gateway(os.environ.get("SLIPWAY_GATEWAY", "http://127.0.0.1:8082"), os.environ.get("SLIPWAY_GATEWAY_TOKEN", ""))
    file = upload(gateway, arguments.model, f"{arguments.deployment}/{arguments.id}/{os.path.basename(arguments.model)}")
    source = {"route": "artifact", "artifact": {"bucket": "artifacts", "files": [file]}}
    if arguments.model_type:
        source["modelType"] = arguments.model_type
    location = publish(gateway, {
        "specversion": "1.0",
        "type": "dev.slipway.deployment.deploy.requested.v1",
        "source": arguments.source,
        "id": arguments.id,
        "subject": arguments.deployment,
        "data": {"label": arguments.label or arguments.deployment, "source": source},
    })
    record = outcome(gateway, location, arguments.timeout)
    if record is None:
        print(f"{arguments.deployment}: no outcome yet; the command goes on", file=sys.stderr)
        return 4
    failure = record.get("failure")
    print(f"{record['name']} {record['outcome']}" + (f": {failure['code']}: {failure['message']}" if failure else ""))
    return 0 if record["outcome"] == "completed" else 1


if __name__ == "__main__":
    sys.exit(main())
