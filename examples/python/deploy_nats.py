#!/usr/bin/env python3
"""Deploys a model file over NATS, with nats-py (requirements.txt).

    NATS_URL=nats://127.0.0.1:4222 deploy_nats.py churn model.ubj

It puts the file into the object store, publishes a deploy command that names it, waits for the outcome,
and prints it. With the same --id it may be run again: what was done is not done a second time. NATS_CREDS
is the path of a credentials file, if the server asks for one.
"""

import argparse
import asyncio
import base64
import hashlib
import json
import os
import pathlib
import sys
import uuid

import nats
from nats.js.errors import ObjectNotFoundError


def token(source, command_id):
    """What a command is known by: its message id, and the key of its record."""
    digest = hashlib.sha256(f"{source}\0{command_id}".encode()).digest()
    return base64.b32encode(digest).decode().lower()[:26]


def digest(command):
    """What a command says, in short: its record has it too."""
    data = json.dumps(command["data"], separators=(",", ":"))
    return hashlib.sha256("\0".join([command["subject"], command["type"], data]).encode()).hexdigest()[:16]


def read(content):
    """The SHA-256 of an open file and how many bytes it has; it can be read again from the start."""
    found, size = hashlib.sha256(), 0
    while piece := content.read(1 << 20):
        found.update(piece)
        size += len(piece)
    content.seek(0)
    return found, size


async def upload(js, file, name):
    """Puts the file into the object store, unless it is there, and returns what names it in a command."""
    store = await js.object_store("artifacts")
    with open(file, "rb") as content:
        found, size = read(content)
        said = "SHA-256=" + base64.urlsafe_b64encode(found.digest()).decode()
        try:
            there = (await store.get_info(name)).digest == said
        except ObjectNotFoundError:
            there = False
        if not there:
            print(f"uploading {file}, {size} bytes", file=sys.stderr)
            stored = await store.put(name, content)
            if stored.digest != said:
                sys.exit(f"upload {file}: the file has changed meanwhile")
    return {
        "path": "model" + pathlib.PurePath(file).suffix.lower(),
        "object": name,
        "digest": "sha256:" + found.hexdigest(),
        "size": size,
    }


async def publish(js, command):
    """Publishes the command. It returns once the broker has stored it: it will be carried out."""
    await js.publish(
        f"slipway.commands.deployment.{command['subject']}.deploy",
        json.dumps(command).encode(),
        stream="SLIPWAY_COMMANDS",
        headers={
            "Nats-Msg-Id": token(command["source"], command["id"]),
            "Content-Type": "application/cloudevents+json; charset=utf-8",
        },
    )


async def outcome(js, command):
    """Waits for the record of the outcome. The broker, for a while, drops what has a known id without a word, so the record may
    be that of another command."""
    operations = await js.key_value("operations")
    watcher = await operations.watch(token(command["source"], command["id"]))
    try:
        async for entry in watcher:
            if entry is None:  # that is all there is yet
                continue
            record = json.loads(entry.value)
            if record["digest"] != digest(command):
                sys.exit(f"command {command['id']} from {command['source']} was published before with other content: expected a new id")
            if record["done"]:
                return record
    finally:
        await watcher.stop()


async def deploy(arguments):
    options = {"servers": os.environ.get("NATS_URL", "nats://127.0.0.1:4222").split(","), "name": arguments.source}
    if os.environ.get("NATS_CREDS"):
        options["user_credentials"] = os.environ["NATS_CREDS"]
    connection = await nats.connect(**options)
    try:
        js = connection.jetstream()
        file = await upload(js, arguments.model, f"{arguments.deployment}/{arguments.id}/{os.path.basename(arguments.model)}")
        source = {"route": "artifact", "artifact": {"bucket": "artifacts", "files": [file]}}
        if arguments.model_type:
            source["modelType"] = arguments.model_type
        command = {
            "specversion": "1.0",
            "type": "dev.slipway.deployment.deploy.requested.v1",
            "source": arguments.source,
            "id": arguments.id,
            "subject": arguments.deployment,
            "data": {"label": arguments.label or arguments.deployment, "source": source},
        }
        await publish(js, command)
        return await asyncio.wait_for(outcome(js, command), arguments.timeout)
    finally:
        await connection.close()


def main():
    parser = argparse.ArgumentParser(description="Deploys a model file over NATS.")
    parser.add_argument("deployment", help="name of the deployment")
    parser.add_argument("model", help="model file, such as model.onnx or model.ubj")
    parser.add_argument("--label", help="name for people (that of the deployment)")
    parser.add_argument("--model-type", help="type of the model, such as LIGHTGBM, if its file does not say it")
    parser.add_argument("--id", default=str(uuid.uuid4()), help="id of this run; the same id is the same command")
    parser.add_argument("--source", default="/pipelines/python", help="CloudEvents source of the command")
    parser.add_argument("--timeout", type=float, default=600, help="seconds to wait for the outcome")
    arguments = parser.parse_args()
    try:
        record = asyncio.run(deploy(arguments))
    except asyncio.TimeoutError:
        print(f"{arguments.deployment}: no outcome yet; the command goes on", file=sys.stderr)
        return 4
    failure = record.get("failure")
    print(f"{record['name']} {record['outcome']}" + (f": {failure['code']}: {failure['message']}" if failure else ""))
    return 0 if record["outcome"] == "completed" else 1


if __name__ == "__main__":
    sys.exit(main())
