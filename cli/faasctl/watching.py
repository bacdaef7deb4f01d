"""What became of a job, told alike by every pool that a local stack may have."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec

from eventflow.clients.condor import HTCondorPool
from eventflow.clients.pools import HTCondorAccess, connect_schedds
from eventflow.clients.process_pool import ProcessPool
from eventflow.errors import FaasError
from faasctl.environment import Environment
from faasctl.environment.model import HTCondorPool as HTCondorSite
from faasctl.functions.site import access


class Moment(msgspec.Struct, frozen=True):
    """A state that a job came into: when (unix seconds), and why."""

    state: str
    at: float
    why: str = ""


class Course(msgspec.Struct, frozen=True):
    """A job's course so far: ``exit`` is the runner's exit code, ``result`` its report where the pool keeps it."""

    state: str
    exit: int | None
    moments: tuple[Moment, ...]
    result: dict[str, Any] | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more becomes of it by itself."""
        return self.state in ("completed", "removed", "held")


class Watched(Protocol):
    """A pool whose jobs can be followed."""

    def course(self, id: str) -> Course | None:
        """The course of a job, None while the pool does not show it."""


class WatchedProcesses:
    """The process pool, which keeps a log of every job."""

    def __init__(self, pool: ProcessPool) -> None:
        self._pool = pool

    def course(self, id: str) -> Course | None:
        shown = self._pool.show(id)
        moments = tuple(Moment(one["state"], one["time"], one.get("reason") or "") for one in shown["log"])
        return Course(shown["state"], shown["exit"], moments, shown["result"])


class WatchedHTCondor:
    """A schedd on this machine: its queue for the states, its event log for the times, which the queue has in whole
    seconds only."""

    def __init__(self, pool: HTCondorPool, event_log: Path) -> None:
        self._pool = pool
        self._event_log = event_log

    def course(self, id: str) -> Course | None:
        ad = self._pool.ad(id, ("JobStatus", "ExitCode", "HoldReasonCode", "HoldReason", "RemoveReason"))
        if ad is None:
            return None
        held = ad["JobStatus"] == 5 and ad.get("HoldReasonCode") != _SPOOLING
        state = "held" if held else _STATES.get(int(ad["JobStatus"]), "waiting")
        moments = moments_of(id, self._event_log.read_text(errors="replace"))
        if state in ("completed", "removed") and moments[-1:] and moments[-1].state != state:
            return None  # the schedd writes its log a moment later
        code = ad.get("ExitCode")
        why = {"completed": f"exit {code}", "held": ad.get("HoldReason"), "removed": ad.get("RemoveReason")}.get(state)
        told = tuple(msgspec.structs.replace(one, why=str(why)) if one.state == state else one for one in moments)
        return Course(state, code if isinstance(code, int) else None, told)


def watched(env: Environment, event_log: str | None = None) -> Watched:
    """The pool of a local stack; ``event_log`` is that of its schedd, where it has one."""
    if isinstance(env.pool, HTCondorSite):
        if event_log is None:
            raise FaasError("only the schedd of a local stack can be watched")
        known = access(env)
        assert isinstance(known, HTCondorAccess)
        (pool,) = connect_schedds(known).values()
        return WatchedHTCondor(pool, Path(event_log))
    return WatchedProcesses(ProcessPool(env.pool.url, env.pool.token.reveal()))


_SPOOLING = 16
_STATES = {2: "running", 3: "removed", 4: "completed"}
_EVENTS = {
    "000": ("submitted", ""),
    "013": ("idle", "has its input"),
    "001": ("running", ""),
    "005": ("completed", ""),
    "009": ("removed", ""),
    "012": ("held", ""),
}
"""The events of HTCondor's log that change a job's state (condor_event.h)."""

_EVENT = re.compile(r"^(\d{3}) \((\d+)\.(\d+)\.\d+\) (\S+ [\d:.]+)Z? (.*)$", re.MULTILINE)


def moments_of(id: str, log: str) -> tuple[Moment, ...]:
    """What an event log in UTC with fractions of seconds says of a job; the hold for spooling is no moment."""
    found = []
    for number, cluster, proc, when, _ in _EVENT.findall(log):
        if f"{int(cluster)}.{int(proc)}" == id and number in _EVENTS:
            state, why = _EVENTS[number]
            found.append(Moment(state, datetime.fromisoformat(when).replace(tzinfo=UTC).timestamp(), why))
    released = [index for index, one in enumerate(found) if one.state == "idle"]
    return tuple(one for index, one in enumerate(found) if one.state != "held" or (released and index > released[0]))
