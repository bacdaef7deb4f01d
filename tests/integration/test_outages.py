"""Servers that are killed while jobs need them: afterwards every key has one completed job, and the right output."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from eventflow.clients import condor
from eventflow.errors import FaasError
from eventflow.exactly_once import submit_exactly_once
from tests.parts import htcondor
from tests.parts.faulty_storage import faulty_storage
from tests.parts.htcondor import Pool
from tests.parts.jobs import job
from tests.parts.xrootd import xrootd

SEED = 20190731
LARGE = 200 << 20

REPEAT = f"""
import os
def main(event):
    block = open(event["read"]["local"], "rb").read()
    with open(event["write"]["local"] + "/large", "wb") as out:
        for _ in range({LARGE} // len(block)):
            out.write(block)
"""


@pytest.fixture(scope="module")
def part() -> Iterator[Pool]:
    with htcondor.condor() as running:
        yield running


def until(condition: Callable[[], Any], what: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen in time"
        time.sleep(0.02)


def schedd_of(part: Pool) -> int:
    """The process id of a pool's schedd."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            mine = str(part.home).encode() in (process / "environ").read_bytes()
            if mine and b"condor_schedd" in (process / "cmdline").read_bytes():
                return int(process.name)
        except OSError:
            continue
    raise AssertionError("there is no schedd")


def test_a_schedd_killed_during_a_bulk_submit(part: Pool) -> None:
    """Given a schedd that dies with some of a batch's jobs in its queue, when the batch is delivered again until it is
    done, then each key has one job."""
    pool = condor.schedds(part.collector, part.token(), [part.schedd])[part.schedd]
    with faulty_storage() as storage:
        storage.files["/data/raw/f"] = random.Random(SEED).randbytes(8000)
        keys = [f"{uuid.uuid4()}/ns.f" for _ in range(30)]
        said: Counter[str] = Counter()
        noticed = threading.Event()

        def submit() -> None:
            while pending := [key for key in keys if said[key] == 0]:
                later = (
                    61 if noticed.is_set() else 0
                )  # what the dead batch left behind is then too old to be waited for
                try:
                    jobs = [job(key, storage) for key in pending]
                    results = submit_exactly_once(pool, jobs, now=time.time() + later)
                    said.update(one.key for one in results if one.outcome in ("submitted", "duplicate"))
                except FaasError:
                    noticed.set()  # the schedd is away
                    time.sleep(0.1)

        submitter = threading.Thread(target=submit, daemon=True)
        submitter.start()
        queue_log = part.home / "spool/job_queue.log"
        until(lambda: keys[0] in queue_log.read_text(), "the submission")
        os.kill(schedd_of(part), signal.SIGKILL)
        submitter.join(90)
        assert not submitter.is_alive()
        assert noticed.is_set(), "the submitter never noticed that the schedd was away"

        def all_completed() -> bool:
            return sum(row.state == "completed" for row in pool.lookup(keys)) == len(keys)

        until(all_completed, "the jobs' end")
        assert Counter(row.key for row in pool.lookup(keys)) == Counter(keys)
        for key in keys:
            assert storage.files[f"/data/out/{key}.d/copy"] == storage.files["/data/raw/f"]


@pytest.mark.timeout(400)
def test_xrootd_restarted_during_a_stage_out(part: Pool) -> None:
    pool = condor.schedds(part.collector, part.token(), [part.schedd])[part.schedd]
    content = random.Random(SEED).randbytes(1 << 20)
    with xrootd() as server, requests.Session() as platform, faulty_storage() as nobody:
        platform.trust_env = False
        platform.verify, platform.cert = str(server.ca), (str(server.certificate), str(server.key))

        def token(path: str, activities: str) -> str:
            body = json.dumps({"caveats": [f"activity:{activities}"], "validity": "PT1H"})
            headers = {"Content-Type": "application/macaroon-request"}
            answer = platform.post(server.url(path), data=body, headers=headers, timeout=20)
            return str(answer.json()["macaroon"])

        platform.put(server.url("/data/in/f"), data=content, timeout=20).raise_for_status()
        key = f"{uuid.uuid4()}/ns.f"
        one = job(key, nobody, REPEAT)
        event = json.loads(one.files["events.jsonl"])
        place = {"endpoint": server.endpoint, "ca": server.ca.read_text()}
        event["read"] = {**place, "path": "/data/in/f", "macaroon": token("/data/in/f", "DOWNLOAD")}
        event["write"] = {**place, "path": "/data/out.d/", "macaroon": token("/data/out.d/", "UPLOAD,DELETE")}
        one.files["events.jsonl"] = json.dumps(event).encode() + b"\n"
        (result,) = submit_exactly_once(pool, [one], now=time.time())
        assert result.outcome == "submitted"

        large = server.data / "data/out.d/large"
        until(lambda: large.exists() and 0 < large.stat().st_size < LARGE, "the stage-out")
        server.kill()
        cut = large.stat().st_size
        server.start()

        assert cut < LARGE, "the kill came too late"
        until(lambda: [row.state for row in pool.lookup([key])] == ["completed"], "the job's end", 300)
        report = json.loads((server.data / "data/out.d/_faas/result.json").read_text())
        assert report["exit"] == 0, report
        with large.open("rb") as file:
            blocks = list(iter(lambda: file.read(len(content)), b""))
        assert len(blocks) == LARGE // len(content)
        assert set(blocks) == {content}
