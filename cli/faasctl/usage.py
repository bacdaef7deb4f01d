"""Who used how much: what the outcomes tell, summed up by function, namespace or accounting group. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from faasfeeds.outcomes import JOB_ENDS, Outcome

By = Literal["function", "namespace", "group"]

BY: tuple[By, ...] = ("function", "namespace", "group")


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What one function (namespace, group) used: events that became jobs or invocations, jobs that ended, their wall
    and core hours, bytes read from the storage and written there as far as that is known, and seconds in the queue and
    running (median and 95th percentile, None without any)."""

    name: str
    events: int
    jobs: int
    completed: int
    failed: int
    removed: int
    wall_hours: float
    core_hours: float
    bytes_in: int
    bytes_out: int
    queued_median: float | None
    queued_p95: float | None
    ran_median: float | None
    ran_p95: float | None

    @property
    def success(self) -> float | None:
        """The part of the jobs with an exit code that completed."""
        ended = self.completed + self.failed
        return self.completed / ended if ended else None


def usage(outcomes: Iterable[Outcome], by: By) -> list[Usage]:
    """The sums, by name. An outcome that was written twice counts once."""
    counted = [one for one in outcomes if one.outcome in ("submitted", "invoked") or one.outcome in JOB_ENDS]
    paying = {one.key: one.run.group for one in counted if one.run is not None and one.run.group}
    groups: dict[str, dict[tuple[str, str], Outcome]] = {}
    for one in counted:
        groups.setdefault(_name(one, by, paying), {})[one.key, one.outcome] = one
    return [_summed(name, list(groups[name].values())) for name in sorted(groups)]


def _name(one: Outcome, by: By, paying: Mapping[str, str]) -> str:
    """A job's group is known once it ended."""
    if by == "group":
        return paying.get(one.key, "none")
    return (one.function or "").partition(".")[0] if by == "namespace" else one.function or ""


def _summed(name: str, several: Sequence[Outcome]) -> Usage:
    words = [one.outcome for one in several]
    runs = [one.run for one in several if one.run is not None and one.outcome in JOB_ENDS]
    queued = sorted(run.started - run.queued for run in runs if run.started is not None)
    ran = sorted(run.wall for run in runs if run.started is not None)
    return Usage(
        name=name,
        events=sum(word in ("submitted", "invoked") for word in words),
        jobs=sum(word in JOB_ENDS for word in words),
        completed=words.count("completed"),
        failed=words.count("failed"),
        removed=words.count("removed") + words.count("expired"),
        wall_hours=sum(run.wall for run in runs) / 3600,
        core_hours=sum(run.wall * run.cpus for run in runs) / 3600,
        bytes_in=sum(one.bytes_in or 0 for one in several),
        bytes_out=sum(one.bytes_out or 0 for one in several),
        queued_median=percentile(queued, 50),
        queued_p95=percentile(queued, 95),
        ran_median=percentile(ran, 50),
        ran_p95=percentile(ran, 95),
    )


def percentile(ordered: Sequence[float], percent: int) -> float | None:
    """The nearest-rank percentile of ordered values."""
    if not ordered:
        return None
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
