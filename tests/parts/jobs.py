"""Whole jobs for tests: a function that copies its input, its event, and the real runner."""

from __future__ import annotations

import hashlib
import io
import json
import time
import zipfile
from typing import Any

from eventflow import job as runner_package
from eventflow.exactly_once import Job
from tests.parts.faulty_storage import TOKEN, FaultyStorage

COPY = """
import shutil
def main(event):
    shutil.copy(event["read"]["local"], event["write"]["local"] + "/copy")
    return {"copied": True}
"""


def function_zip(files: dict[str, str | bytes]) -> bytes:
    """A function's code as it is pushed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def job(key: str, storage: FaultyStorage, code: str = COPY, *, path: str = "/data/raw/f", **changes: Any) -> Job:
    """A job that reads ``path`` and writes to ``/data/out/<key>.d/`` of a storage."""
    archive = function_zip({"f.py": code})
    digest = "sha256:" + hashlib.sha256(archive).hexdigest()
    place = {"endpoint": storage.url, "ca": storage.ca, "macaroon": TOKEN}
    event = {
        "schema": 1,
        "key": key,
        "subject": path,
        "read": {**place, "path": path},
        "inputs": {},
        "write": {**place, "path": f"/data/out/{key}.d/"},
        "exec": {"function": "ns.f", "version": "0.0.1", "code": digest, "main": "f.py", "runtime": 60},
        "params": {},
    }
    described: dict[str, Any] = {
        "key": key,
        "function": "ns.f",
        "namespace": "ns",
        "version": "0.0.1",
        "code": digest,
        "origin": "billing/0/17",
        "expires": time.time() + 3600,
        "files": {
            "events.jsonl": json.dumps(event).encode() + b"\n",
            "runner.py": runner_package.source(),
            "function.zip": archive,
        },
    }
    return Job(**(described | changes))
