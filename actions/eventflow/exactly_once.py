"""One job per key, whoever submits, however often, and wherever a submitter dies.

The queue itself is the only memory. A key is looked up, submitted while the pool still waits for its input
("spooling", it cannot start), and looked up again: of several jobs with one key the lowest id goes on, the others
withdraw theirs. A key counts as submitted once its input is spooled.

This is right for a pool that hands out ids in the order in which jobs become visible to `lookup`, and that
withdraws a job and takes its input in one order for everybody. A schedd is single-threaded and does both; the
process pool does it under one lock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from eventflow.errors import FaasError
from eventflow.function import Limits, Resources

State = Literal["spooling", "idle", "running", "held", "completed", "removed"]
Outcome = Literal["submitted", "duplicate", "in_progress", "over_limit", "refused", "unavailable"]

SPOOL_DEADLINE = 60.0
"""Seconds after which a job still without its input was left behind by a submitter that died."""

STAGING_TIME = 1800.0
"""Seconds that a pool grants a job beyond its function's runtime, for stage-in and stage-out."""


class PoolUnavailable(FaasError):
    """The pool cannot be reached or does not answer: nothing is known of the jobs, try again later."""


class PoolRefused(FaasError):
    """The pool answered no (a requirement, a permission); ``why`` holds its own words. Trying again is no use."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job to be: ``files`` (events.jsonl, runner.py, function.zip) is all it starts with.

    ``key`` is the job's identity; ``function`` the full name, ``namespace`` its first part; ``code`` is
    ``sha256:<hex>`` and ``origin`` ``topic/partition/offset``. ``retries`` counts further starts after exit codes
    that may pass (11, 31). ``expires`` is the last moment (unix seconds) at which the job may still start, so that
    its tokens cover its runtime. ``attributes`` are the policy's further job attributes.
    """

    key: str
    function: str
    namespace: str
    version: str
    code: str
    origin: str
    expires: float
    files: dict[str, bytes]
    resources: Resources = Resources()
    limits: Limits = Limits()
    retries: int = 0
    image: str | None = None
    accounting_group: str | None = None
    attributes: dict[str, str | int | float | bool] = {}

    def __repr__(self) -> str:  # the files hold tokens
        return f"Job({self.key!r})"


class QueuedJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job as the queue knows it; ``id`` is ``cluster.proc``, ``since`` when it came into its state (unix s)."""

    schedd: str
    id: str
    key: str
    function: str
    state: State
    since: float


class Submitted(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one key.

    ``submitted``: this call made its job. ``duplicate``: its job was there already. ``in_progress``: another
    submitter is at it, ask again later. ``over_limit``: the function has as many waiting jobs as it may.
    ``refused``: the pool said no, ``reason`` says why. ``unavailable``: its schedd is away, the others go on.
    """

    key: str
    outcome: Outcome
    schedd: str | None = None
    id: str | None = None
    reason: str | None = None


class Pool(Protocol):
    """A queue of jobs. Every method raises `PoolUnavailable` or `PoolRefused`."""

    def lookup(self, keys: Sequence[str], idle_of: Sequence[str] = ()) -> list[QueuedJob]:
        """The jobs with one of these keys, and the waiting jobs of these functions, in one query.

        Completed jobs, and jobs removed after they had their input, are found as long as a batch may be in flight;
        jobs withdrawn before that are gone at once.
        """
        ...

    def submit(self, jobs: Sequence[Job]) -> list[str]:
        """Queue jobs of one function, "spooling" until they have their input, all or none; returns their ids."""
        ...

    def spool(self, jobs: Mapping[str, Job]) -> list[str]:
        """Hand over the input of jobs (by id), after which they may start; returns those that took it.

        One that was withdrawn in the meantime is left out.
        """
        ...

    def withdraw(self, ids: Sequence[str], reason: str) -> None:
        """Remove those of the jobs that are still spooling, and touch no other."""
        ...

    def remove(self, ids: Sequence[str], reason: str) -> None:
        """Remove jobs in whatever state they are (a person cancels them)."""
        ...


def submit_at_home(pools: Mapping[str, Pool], jobs: Sequence[Job], *, now: float) -> list[Submitted]:
    """`submit_exactly_once` for each schedd with the jobs whose home it is; one that is away stops no other.

    A key must always be looked for where it was submitted, so its home depends on nothing but its name and theirs.
    """
    at_home: dict[str, list[Job]] = {}
    for job in jobs:
        at_home.setdefault(home(job.key, pools), []).append(job)
    results: dict[str, Submitted] = {}
    for name, group in at_home.items():
        try:
            results |= {result.key: result for result in submit_exactly_once(pools[name], group, now=now)}
        except PoolUnavailable as away:
            results |= {
                job.key: Submitted(key=job.key, outcome="unavailable", schedd=name or None, reason=str(away))
                for job in group
            }
    return [results[key] for key in dict.fromkeys(job.key for job in jobs)]


def submit_exactly_once(
    pool: Pool, jobs: Sequence[Job], *, now: float, spool_deadline: float = SPOOL_DEADLINE
) -> list[Submitted]:
    """Bring every job into the queue unless its key is there already; one `Submitted` per key, in order.

    On the way it clears away what dead submitters of these functions left behind, whatever its key: it would count
    as waiting for ever, and whoever delivers its key again makes it anew.

    Raises `PoolUnavailable`; what was begun is then found by the next call for the same keys.
    """
    wanted = {job.key: job for job in jobs}
    found = pool.lookup(list(wanted), sorted({job.function for job in jobs}))
    results: dict[str, Submitted] = {}
    stale = [row.id for row in found if row.state == "spooling" and now - row.since > spool_deadline]
    if stale:
        pool.withdraw(stale, "its submitter did not hand over its input in time")
    standing = [row for row in found if row.id not in set(stale)]
    for key, first in _first_by_key(standing, wanted).items():
        results[key] = _present(first)

    new = _within_limits([job for key, job in wanted.items() if key not in results], standing, results)
    mine: dict[str, str] = {}
    for group in _by_function(new):
        try:
            mine |= zip((job.key for job in group), pool.submit(group), strict=True)
        except PoolRefused as refusal:
            results |= {j.key: Submitted(key=j.key, outcome="refused", reason=refusal.why) for j in group}

    if mine:
        results |= _settle(pool, wanted, mine)
    return [results[key] for key in wanted]


def _settle(pool: Pool, wanted: Mapping[str, Job], mine: Mapping[str, str]) -> dict[str, Submitted]:
    """After submission: spool where ours is the first of its key, withdraw where it is not.

    A job found too old a moment ago counts again if it is still there: its submitter may have been slow only,
    and have spooled it before it could be withdrawn.
    """
    rows = pool.lookup(list(mine))
    first = _first_by_key(rows, mine)
    won = {mine[key]: wanted[key] for key in mine if key in first and first[key].id == mine[key]}
    lost = [id for id in mine.values() if id not in won]
    if lost:
        pool.withdraw(lost, "another job with the same key came first")
    taken = set(pool.spool(won)) if won else set()
    results = {}
    for key, id in mine.items():
        if id in taken:
            results[key] = Submitted(key=key, outcome="submitted", schedd=first[key].schedd, id=id)
        elif key in first and id not in won:
            results[key] = _present(first[key])
        else:  # withdrawn by somebody who found it too old: who redoes it will report it
            results[key] = Submitted(key=key, outcome="in_progress")
    return results


def id_order(id: str) -> tuple[int, int]:
    """``cluster.proc`` as numbers: 9.0 comes before 10.0."""
    cluster, _, proc = id.partition(".")
    return int(cluster), int(proc or 0)


def home(key: str, schedds: Iterable[str]) -> str:
    """The schedd a key lives on, by rendezvous hashing: another schedd in the list moves only the keys it takes."""
    return max(schedds, key=lambda name: hashlib.sha256(f"{name}\0{key}".encode()).digest())


def _first_by_key(rows: Iterable[QueuedJob], keys: Mapping[str, object]) -> dict[str, QueuedJob]:
    """Of each key the job that stands for it: one that has its input, else the one with the lowest id."""
    first: dict[str, QueuedJob] = {}
    for row in sorted(rows, key=lambda row: (row.state == "spooling", id_order(row.id))):
        if row.key in keys:
            first.setdefault(row.key, row)
    return first


def _present(row: QueuedJob) -> Submitted:
    outcome: Outcome = "in_progress" if row.state == "spooling" else "duplicate"
    return Submitted(key=row.key, outcome=outcome, schedd=row.schedd, id=row.id)


def _within_limits(jobs: Sequence[Job], rows: Iterable[QueuedJob], results: dict[str, Submitted]) -> list[Job]:
    """The jobs that still fit under their function's ``max_idle``; the others are noted as over the limit."""
    waiting: dict[str, int] = {}
    for row in rows:
        if row.state in ("idle", "spooling"):
            waiting[row.function] = waiting.get(row.function, 0) + 1
    fitting = []
    for job in jobs:
        count = waiting.get(job.function, 0)
        if count >= job.limits.max_idle:
            reason = f"{job.function} has {count} waiting jobs, its max_idle is {job.limits.max_idle}"
            results[job.key] = Submitted(key=job.key, outcome="over_limit", reason=reason)
        else:
            waiting[job.function] = count + 1
            fitting.append(job)
    return fitting


def _by_function(jobs: Sequence[Job]) -> list[list[Job]]:
    """Groups that can be submitted in one go: jobs that differ in nothing but their event."""
    groups: dict[bytes, list[Job]] = {}
    for job in jobs:
        same = msgspec.structs.replace(job, key="", origin="", expires=0.0, files={})
        groups.setdefault(msgspec.json.encode(same, order="sorted"), []).append(job)
    return list(groups.values())
