"""Jobs into a real HTCondor: in bulk beside one at a time, exactly once beside bare, and the look into a long queue."""

from __future__ import annotations

import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from eventflow.clients import condor, condor_ad
from eventflow.clients.condor import HTCondorPool
from eventflow.exactly_once import Job, submit_exactly_once
from eventflow.function import Limits, Resources
from eventflow.job import source
from tests.bench.result import Result, against, median_ms
from tests.parts import htcondor

BULK = 1000
SPOOLED = 200
SINGLES = 20
ROUNDS = 3
QUEUED = 50_000
BATCH = 100


def jobs(count: int) -> list[Job]:
    """Jobs that no machine can run, so that nothing but the submission is measured."""
    return [
        Job(
            key=f"{uuid.uuid4()}/bench.f",
            function="bench.f",
            namespace="bench",
            version="0.0.1",
            code="sha256:00",
            origin="billing/0/17",
            expires=time.time() + 3600,
            files={"events.jsonl": b"{}" * 1000, "runner.py": source()},
            resources=Resources(memory=10**15),
            limits=Limits(max_idle=1_000_000),
        )
        for _ in range(count)
    ]


def measure() -> dict[str, Result]:
    """``submit.bulk_vs_single`` and ``..._spool``: jobs a second in bulk, the yardstick is one at a time.

    Both with the bare calls of the bindings; ``submit.exactly_once_s`` is how long a bulk takes with all that makes it
    exactly one job per key, beside the bare calls, and ``submit.lookup_ms`` one look for a batch's keys among
    ``QUEUED`` jobs, beside a look for one key.
    """
    with htcondor.condor("MAX_JOBS_PER_OWNER = 200000\nMAX_JOBS_SUBMITTED = 200000\n") as part:
        pool = condor.schedds(part.collector, part.token(), [part.schedd])[part.schedd]
        once(pool, jobs(1))  # the connection
        results = {
            "submit.bulk_vs_single": ratio(lambda count: bare(pool, jobs(count), spool=False), BULK),
            "submit.bulk_vs_single_spool": ratio(lambda count: bare(pool, jobs(count), spool=True), SPOOLED),
        }
        exactly = min(once(pool, jobs(SPOOLED)) for _ in range(ROUNDS))
        plain = min(bare(pool, jobs(SPOOLED), spool=True) for _ in range(ROUNDS))
        results["submit.exactly_once_s"] = against(exactly, "s", plain)
        results["submit.lookup_ms"] = lookup(pool)
    return results


def ratio(submit: Callable[[int], float], count: int) -> Result:
    """Jobs a second of one bulk against single jobs, medians over rounds that alternate."""
    bulks, singles = [], []
    for _ in range(ROUNDS):
        bulks.append(count / submit(count))
        singles.append(SINGLES / sum(submit(1) for _ in range(SINGLES)))
    return against(statistics.median(bulks), "jobs/s", statistics.median(singles))


def bare(pool: HTCondorPool, batch: Sequence[Job], *, spool: bool) -> float:
    """Seconds for the calls of the bindings that a batch takes, and nothing else."""
    schedd = pool._connected()
    with tempfile.TemporaryDirectory() as folder:
        for name, content in batch[0].files.items():
            Path(folder, name).write_bytes(content)
        submission = pool._htcondor2.Submit(condor_ad.description(batch[0], batch[0].files))
        items: list[dict[str, Any]] = [condor_ad.item(job, folder) for job in batch]
        began = time.perf_counter()
        result = schedd.submit(submission, spool=True, itemdata=iter(items))
        if spool:
            schedd.spool(result)
        return time.perf_counter() - began


def once(pool: HTCondorPool, batch: Sequence[Job]) -> float:
    """Seconds for a batch as the platform submits it."""
    began = time.perf_counter()
    results = submit_exactly_once(pool, batch, now=time.time())
    assert {result.outcome for result in results} == {"submitted"}
    return time.perf_counter() - began


def lookup(pool: HTCondorPool) -> Result:
    """Milliseconds to look for a batch's keys in a long queue; half of them are in it."""
    queued: list[str] = []
    while len(queued) < QUEUED:
        more = jobs(5000)
        bare(pool, more, spool=False)
        queued += [job.key for job in more]
    wanted = queued[:: QUEUED // (BATCH // 2)][: BATCH // 2] + [f"{uuid.uuid4()}/bench.f" for _ in range(BATCH // 2)]
    assert len(pool.lookup(wanted)) == BATCH // 2
    taken = median_ms(lambda: pool.lookup(wanted), 10)
    return against(taken, "ms", median_ms(lambda: pool.lookup(wanted[:1]), 10))
