"""Jobs a second into a real HTCondor: exactly once in bulk, beside one at a time and beside a bare bulk submit."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence

from eventflow.clients import condor
from eventflow.clients.condor import HTCondorPool
from eventflow.exactly_once import Job, submit_exactly_once
from eventflow.function import Limits, Resources
from eventflow.job import source
from tests.bench.result import Result, against
from tests.parts import htcondor

BULK = 200
SINGLES = 5
ROUNDS = 3


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
    """``submission.bulk_jobs_s`` against one at a time, ``submission.exactly_once_s`` against a bare bulk submit."""
    with htcondor.condor() as part:
        pool = condor.schedds(part.collector, part.token(), [part.schedd])[part.schedd]
        once(pool, jobs(1))  # the connection
        bulk = min(once(pool, jobs(BULK)) for _ in range(ROUNDS))
        bare = min(submit_and_spool(pool, jobs(BULK)) for _ in range(ROUNDS))
        single = sum(once(pool, jobs(1)) for _ in range(SINGLES)) / SINGLES
    return {
        "submission.bulk_jobs_s": against(BULK / bulk, "jobs/s", 1 / single),
        "submission.exactly_once_s": against(bulk, "s", bare),
    }


def once(pool: HTCondorPool, batch: Sequence[Job]) -> float:
    """Seconds for a batch as the platform submits it."""
    began = time.perf_counter()
    results = submit_exactly_once(pool, batch, now=time.time())
    assert {result.outcome for result in results} == {"submitted"}
    return time.perf_counter() - began


def submit_and_spool(pool: HTCondorPool, batch: Sequence[Job]) -> float:
    """Seconds for the same without looking whether a key is there already."""
    began = time.perf_counter()
    ids = pool.submit(batch)
    assert pool.spool(dict(zip(ids, batch, strict=True))) == ids
    return time.perf_counter() - began
