"""How a job is described to HTCondor: pure functions from `Job` to a submit description and back.

Nothing of a job's files is in here, and so no token: what this module makes is public to every user of the pool.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

from eventflow.exactly_once import STAGING_TIME, Job, PoolRefused, QueuedJob, State
from eventflow.watching import Watched

KEEP = 3600
"""Seconds that a finished job stays in the queue: the window in which a query finds a duplicate, far longer than a
batch is in flight. A search in the history would take a second and more."""

TRANSIENT_EXITS = (11, 31)

SPOOLING = 16
"""HoldReasonCode of a job that waits for its input (condor_holdcodes.h: SpoolingInput)."""

LIMIT_UNITS = 2308032
"""HTCondor's own default of CONCURRENCY_LIMIT_DEFAULT. A function that may run N jobs at once takes an N-th of it for
each, so that the pool needs no configuration per function."""

PROJECTION = (
    "ClusterId",
    "ProcId",
    "JobStatus",
    "HoldReasonCode",
    "StageInFinish",
    "EnteredCurrentStatus",
    "ServerTime",
    "FaasKeys",
    "FaasFunction",
)

WATCHED = (
    *PROJECTION,
    *("FaasVersion", "FaasOrigin", "HoldReason", "RemoveReason", "LastJobStatus", "NumJobStarts"),
    *("ExitCode", "ExitBySignal", "ExitSignal", "QDate", "JobCurrentStartDate", "RemoteWallClockTime", "ShadowBday"),
    *("RequestCpus", "AcctGroup", "ChirpFaasBytesIn", "ChirpFaasBytesOut"),
)

_STATES: dict[int, State] = {
    1: "idle",
    2: "running",
    3: "removed",
    4: "completed",
    5: "held",
    6: "running",
    7: "running",
}
_ATTRIBUTE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
_PLAIN = re.compile(r"[A-Za-z0-9_.:@/+=,~-]{1,512}", re.ASCII)


def literal(value: str | int | float | bool) -> str:
    """A ClassAd literal for a submit description, where ``$`` would begin a macro.

    Submit descriptions are in the old ClassAd syntax, in which a backslash means itself and nothing but a quote can
    be escaped: raises `PoolRefused` for line breaks, other control characters, and a backslash at the end.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if value.endswith("\\") or '\\"' in value or any(char < " " or char == "\x7f" for char in value):
        raise PoolRefused(f"the value {value[:200]!r} holds characters that a job attribute cannot carry")
    return '"' + value.replace('"', '\\"').replace("$", "$(DOLLAR)") + '"'


def key_text(key: str) -> str:
    """A key as it stands in ``FaasKeys``: percent-encoded where ClassAds, submit files or people could stumble."""
    return quote(key, safe="/#:@+=,;~!*'() ")


def description(job: Job, names: Iterable[str]) -> dict[str, str]:
    """The submit description that jobs of one function share; `item` fills in what differs.

    ``names`` are the input files. Raises `PoolRefused` for values that a submit description cannot carry.
    """
    resources = job.resources
    overdue = f"JobStatus == 2 && time() - EnteredCurrentStatus > FaasRuntime + {int(STAGING_TIME)}"
    retried = " || ".join(f"ExitCode == {code}" for code in TRANSIENT_EXITS)
    described = {
        "universe": "vanilla",
        "executable": "/usr/bin/env",
        "arguments": "python3 runner.py",
        "transfer_executable": "false",
        "initialdir": "$(faas_folder)",
        "should_transfer_files": "YES",
        "when_to_transfer_output": "ON_EXIT",
        "transfer_input_files": ", ".join(sorted(names)),
        "transfer_output_files": "result.json",
        "request_cpus": str(resources.cpus),
        "request_memory": str(-(-resources.memory // 2**20)),
        "leave_in_queue": (
            "(JobStatus == 3 || JobStatus == 4) && StageInFinish isnt undefined"
            f" && time() - EnteredCurrentStatus < {KEEP}"
        ),
        "periodic_remove": "FaasExpired || FaasOverdue",
        "on_exit_remove": f"ExitBySignal || !({retried}) || NumJobCompletions > {job.retries}",
        "My.FaasExpired": "(JobStatus == 1 || JobStatus == 5) && time() > FaasExpires",
        "My.FaasOverdue": overdue,
        "My.FaasRuntime": str(int(resources.runtime)),  # RequestRuntime would be a resource that slots must offer
        "My.FaasExpires": "$(faas_expires)",
        "My.FaasKeys": "$(faas_key)",
        "My.FaasOrigin": "$(faas_origin)",
        "My.FaasFunction": literal(job.function),
        "My.FaasNamespace": literal(job.namespace),
        "My.FaasVersion": literal(job.version),
        "My.FaasCode": literal(job.code),
        "My.JobBatchName": literal(job.function),
    }
    if resources.disk is not None:
        described["request_disk"] = str(-(-resources.disk // 2**10))
    if resources.gpus:
        described["request_gpus"] = str(resources.gpus)
    if job.image is not None:
        described |= {"universe": "container", "container_image": _plain("image", job.image)}
    if job.accounting_group is not None:
        described["accounting_group"] = _plain("accounting group", job.accounting_group)
        described["accounting_group_user"] = _plain("namespace", job.namespace)
    if job.limits.max_running is not None:
        limit = "faas." + re.sub(r"\W", "_", job.function)
        described["concurrency_limits"] = f"{limit}:{max(1, LIMIT_UNITS // job.limits.max_running)}"
    for name, value in job.attributes.items():
        if not _ATTRIBUTE.fullmatch(name) or name.lower().startswith("faas"):
            raise PoolRefused(f"{name!r} is no job attribute that a policy may set", where=f"policy {job.namespace}")
        described[f"My.{name}"] = literal(value)
    return described


def item(job: Job, folder: str) -> dict[str, str]:
    """What is one job's own; ``folder`` holds its input files."""
    return {
        "faas_key": literal(key_text(job.key)),
        "faas_origin": literal(key_text(job.origin)),
        "faas_expires": str(int(job.expires)),
        "faas_folder": folder,
    }


def lookup_constraint(keys: Sequence[str], idle_of: Sequence[str]) -> str:
    """The jobs with one of these keys, and the waiting ones of these functions."""
    parts = ["false"]
    if keys:
        parts.append(f"identicalMember(FaasKeys, {{{', '.join(literal(key_text(key)) for key in keys)}}})")
    if idle_of:
        waiting = f"JobStatus == 1 || (JobStatus == 5 && HoldReasonCode == {SPOOLING})"
        parts.append(f"(({waiting}) && identicalMember(FaasFunction, {{{', '.join(map(literal, idle_of))}}}))")
    return " || ".join(parts)


def ids_constraint(ids: Iterable[str]) -> str:
    """The jobs with these ids (``cluster.proc``)."""
    procs: dict[int, list[int]] = {}
    for id in ids:
        cluster, _, proc = id.partition(".")
        procs.setdefault(int(cluster), []).append(int(proc))
    return " || ".join(
        f"(ClusterId == {cluster} && member(ProcId, {{{', '.join(map(str, sorted(numbers)))}}}))"
        for cluster, numbers in procs.items()
    )


def spooling_constraint(ids: Iterable[str]) -> str:
    """Those of the jobs that still wait for their input."""
    return f"JobStatus == 5 && HoldReasonCode == {SPOOLING} && ({ids_constraint(ids)})"


def queued(ad: Mapping[str, Any], schedd: str, now: float) -> QueuedJob | None:
    """A job's ad as the port has it; None for one that was removed before it had its input.

    ``since`` is told by the schedd's clock and turned into the caller's.
    """
    status = int(ad["JobStatus"])
    has_input = isinstance(ad.get("StageInFinish"), int)
    spooling = status == 5 and not has_input and ad.get("HoldReasonCode") == SPOOLING
    if status == 3 and not has_input:
        return None
    age = int(ad.get("ServerTime", ad["EnteredCurrentStatus"])) - int(ad["EnteredCurrentStatus"])
    return QueuedJob(
        schedd=schedd,
        id=f"{int(ad['ClusterId'])}.{int(ad['ProcId'])}",
        key=unquote(str(ad["FaasKeys"])),
        function=str(ad["FaasFunction"]),
        state="spooling" if spooling else _STATES[status],
        since=now - age,
    )


def watch_constraint(ended_within: float | None) -> str:
    """The platform's jobs that have their input: those under way, and those that ended so many seconds ago."""
    ours = "FaasKeys isnt undefined && StageInFinish isnt undefined"
    if ended_within is None:
        return ours
    recent = f"time() - EnteredCurrentStatus <= {int(ended_within)}"
    return f"{ours} && ((JobStatus != 3 && JobStatus != 4) || {recent})"


def watched(ad: Mapping[str, Any], schedd: str, now: float) -> Watched | None:
    """A job's ad, from the queue or the history, as a watcher has it; None for one without its input."""
    row = queued(ad, schedd, now)
    if row is None or row.state == "spooling":
        return None
    entered = int(ad["EnteredCurrentStatus"])
    removal = _text(ad, "RemoveReason")
    waited = _number(ad, "LastJobStatus") in (1, 5)
    return Watched(
        schedd=row.schedd,
        id=row.id,
        key=row.key,
        function=row.function,
        version=_text(ad, "FaasVersion") or "",
        origin=unquote(_text(ad, "FaasOrigin") or ""),
        state=row.state,
        since=row.since,
        entered=entered,
        reason=_text(ad, "HoldReason") if row.state == "held" else removal,
        exit=128 + int(_number(ad, "ExitSignal")) if ad.get("ExitBySignal") is True else _exit(ad),
        starts=int(_number(ad, "NumJobStarts")),
        queued=_number(ad, "QDate"),
        started=_number(ad, "JobCurrentStartDate") or None,
        wall=_number(ad, "RemoteWallClockTime") + _uncounted(ad, entered),
        cpus=int(_number(ad, "RequestCpus")) or 1,
        group=_text(ad, "AcctGroup"),
        bytes_in=_bytes(ad, "ChirpFaasBytesIn"),
        bytes_out=_bytes(ad, "ChirpFaasBytesOut"),
        expired="PeriodicRemove" in (removal or "") and waited,  # FaasOverdue is only ever true of a running job
    )


def _exit(ad: Mapping[str, Any]) -> int | None:
    code = ad.get("ExitCode")
    return int(code) if isinstance(code, int) else None


def _text(ad: Mapping[str, Any], name: str) -> str | None:
    value = ad.get(name)
    return value if isinstance(value, str) else None


def _number(ad: Mapping[str, Any], name: str) -> float:
    value = ad.get(name)
    return float(value) if isinstance(value, int | float) else 0.0


def _uncounted(ad: Mapping[str, Any], entered: int) -> float:
    """Seconds of the last start that the schedd has not added up yet: it does so when it has seen the shadow's end,
    which comes after the job's, and takes the birthday away then (`update_remote_wall_clock` in schedd.cpp)."""
    born = _number(ad, "ShadowBday")
    return max(0.0, entered - born) if born and int(ad["JobStatus"]) in (3, 4, 5) else 0.0


def _bytes(ad: Mapping[str, Any], name: str) -> int | None:
    """What the runner told: a function could tell its pool another number, and harms only its own sums."""
    value = ad.get(name)
    return value if isinstance(value, int) and value >= 0 else None


def _plain(what: str, value: str) -> str:
    if not _PLAIN.fullmatch(value):
        raise PoolRefused(f"the {what} {value[:200]!r} holds characters that a submit description cannot carry")
    return value
