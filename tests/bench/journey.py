"""From the event on Kafka to the job in the queue, beside the sum of what cannot be avoided."""

from __future__ import annotations

import base64
import io
import json
import statistics
import tempfile
import time
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eventflow.exactly_once import Job
from eventflow.job import source
from faasctl.kafka import cluster
from faasctl.local.stack import TOPIC
from tests.bench.result import Result, against, median_ms
from tests.parts.platform import Platform, running, wait

EVENTS = 30
TRIVIAL = b"def main(args):\n    return args\n"


def measure() -> dict[str, Result]:
    """``journey.event_to_queue_ms``: p50 over single events on a warm pipeline."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as platform:
        platform.put("/demo/in/bench/a.csv", b"channel,counts\n1,2\n")
        platform.job_of("/demo/in/bench/a.csv")
        platform.drained()
        producer = cluster(platform.env).producer()
        event_to_queue(platform, producer)  # containers that were not needed yet
        journeys = [event_to_queue(platform, producer) for _ in range(EVENTS)]
        yardstick = produce_consume(platform, producer) + trivial_sequence(platform) + one_submit(platform)
        producer.close(timeout=5)
    return {"journey.event_to_queue_ms": against(statistics.median(journeys), "ms", yardstick)}


def event_to_queue(platform: Platform, producer: Any) -> float:
    """Milliseconds from before a record is produced until its job stands in the queue, by one clock."""
    known = {row["id"] for row in platform.jobs()}
    record = {
        **json.loads(_RECORD),
        "pnfsid": uuid.uuid4().hex.upper() + "0000",  # a change of its own, and for the job a superseded file
    }
    begin = time.time()
    producer.send(TOPIC, value=json.dumps(record).encode())
    (job,) = wait(lambda: [row for row in platform.jobs() if row["id"] not in known] or None, "the job")
    ended = wait(lambda: _ended(platform, job["id"]), "the job's end")
    platform.drained()
    queued = next(entry["time"] for entry in ended["log"] if entry["state"] == "idle")
    return float((queued - begin) * 1000)


def produce_consume(platform: Platform, producer: Any) -> float:
    """One record through the broker, to a consumer that waits for it."""
    consumer = cluster(platform.env).consumer("bench")
    consumer.subscribe(["bench"])
    producer.send("bench", value=b"warm").get(timeout=10)
    wait(lambda: consumer.poll(timeout_ms=500) or None, "the first record")

    def once() -> None:
        producer.send("bench", value=_RECORD.encode())
        while not consumer.poll(timeout_ms=500):
            pass

    taken = median_ms(once, EVENTS)
    consumer.close()
    return taken


def trivial_sequence(platform: Platform) -> float:
    """A sequence of four actions that do nothing, on the same host, warm."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("__main__.py", TRIVIAL)
    code = base64.b64encode(buffer.getvalue()).decode()
    names = [f"trivial{number}" for number in range(4)]
    for name in names:
        body = {"exec": {"kind": platform.env.openwhisk.kind, "code": code}}
        platform.openwhisk.put("actions", name, body, overwrite=True)
    sequence = {"exec": {"kind": "sequence", "components": [f"/_/{name}" for name in names]}}
    platform.openwhisk.put("actions", "trivial", sequence, overwrite=True)
    payload = {"messages": [{"value": _RECORD}]}
    invoke: Callable[[], object] = lambda: platform.openwhisk.invoke("trivial", payload)  # noqa: E731
    invoke()
    return median_ms(invoke, EVENTS)


def one_submit(platform: Platform) -> float:
    """One job into the queue and its input spooled; removed again, so that none runs beside the measurement."""
    files = {"events.jsonl": b"{}\n", "runner.py": source()}

    def once() -> None:
        job = Job(
            key=str(uuid.uuid4()),
            function="bench.none",
            namespace="bench",
            version="0.0.1",
            code="sha256:0",
            origin="bench/0/0",
            expires=time.time() + 3600,
            files=files,
        )
        (id,) = platform.pool.submit([job])
        platform.pool.spool({id: job})
        ids.append(id)

    ids: list[str] = []
    taken = median_ms(once, EVENTS)
    platform.pool.remove(ids, "measured")
    return taken


def _ended(platform: Platform, id: str) -> dict[str, Any] | None:
    shown = platform.pool.show(id)
    return shown if shown["state"] == "completed" else None


_RECORD = json.dumps(
    {
        "version": "1.0",
        "msgType": "transfer",
        "date": "2026-07-20T10:11:12.345+02:00",
        "cellName": "pool-01",
        "cellType": "pool",
        "cellDomain": "poolDomain",
        "status": {"code": 0, "msg": ""},
        "session": "pool:pool-01@poolDomain:1784535072345-4711",
        "subject": ["UidPrincipal[1000]", "GidPrincipal[1000,primary]", "UserNamePrincipal[alice]"],
        "initiator": "door:WebDAV-door@webdavDomain:AAXXEs+sAog",
        "transferPath": "/demo/in/bench/a.csv",
        "billingPath": "/demo/in/bench/a.csv",
        "fileSize": 19,
        "transferSize": 19,
        "isWrite": "write",
        "isP2p": False,
    }
)
