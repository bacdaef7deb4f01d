"""A light function's way into OpenWhisk: `__main__.py` of its zip, beside its own files and the job's runner.

The runner does for each event of the batch what it does in a job: it stages in, calls `main(event)` in a child that
holds no token, stages out, and tells. Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faas_runner  # type: ignore[import-not-found]

CODE = str(Path(__file__).resolve().parent)
RESULT_BYTES = 4096
OUTPUT_BYTES = 65536


def main(args: dict[str, Any]) -> dict[str, Any]:
    """Called with `{"events": [...], "until": ms}`: one record per event, but none for those with too little time."""
    faas_runner.hide()
    faas_runner.PATIENCE = 8.0
    records: list[dict[str, Any]] = []
    for number, event in enumerate(args["events"]):
        if args["until"] / 1000 - time.time() < event["exec"]["runtime"]:
            break
        records.append(_run(number, event))
    return {"records": records}


def _run(number: int, event: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="faas-") as sandbox, _inside(sandbox):
        work = None
        try:
            work = faas_runner.Work(event, f"{sandbox}/work-{number}", CODE)
            record = work.run()
        except faas_runner.Failure as failure:
            record = {"key": event.get("key"), "exit": failure.code, "reason": str(failure)}
        except Exception as error:  # one event does not stop the others; never its text, which may quote a token
            reason = f"the runner: {type(error).__name__}"
            record = {"key": event.get("key"), "exit": faas_runner.INPUT_REFUSED, "reason": reason}
    for name in ("stdout", "stderr"):
        text = work.logs[name].decode("utf-8", "replace")[-OUTPUT_BYTES:] if work else ""
        if text:
            print(text, end="" if text.endswith("\n") else "\n")
    kept = ("key", "subject", "exit", "reason", "result", "outputs", "bytes_in", "bytes_out")
    record = {name: record[name] for name in kept if name in record}
    if len(json.dumps(record)) > RESULT_BYTES:
        record.update(result=None, outputs=[])
    told = json.dumps({name: record.get(name) for name in ("key", "subject", "exit", "reason")})
    print(f"faas: {told}")
    return record


@contextlib.contextmanager
def _inside(folder: str) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
