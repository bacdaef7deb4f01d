"""Who used how much, and how things stand with an event: sums and words of what the outcomes tell."""

from __future__ import annotations

from typing import Any

from eventflow.batch import Origin
from faasctl.tracing import Seen, state
from faasctl.usage import percentile, usage
from faasfeeds.outcomes import Outcome, Run

PLACE = Origin(topic="billing", partition=0, offset=1)


def outcome(word: str, key: str = "e/ns.f", run: Run | None = None, **more: Any) -> Outcome:
    function = key.rpartition("/")[2]
    described = {"outcome": word, "time": "2026-11-21T10:00:00Z", "trigger": "/faas/t", "origin": PLACE, "id": "e"}
    return Outcome(**{**described, "key": key, "function": function, "run": run, **more})


def run(wall: float, waited: float = 1.0, **more: Any) -> Run:
    return Run(entered=0, queued=100.0, started=100.0 + waited, wall=wall, **more)


def test_what_was_used_is_summed_up_once() -> None:
    told = [outcome("submitted", f"{n}/ns.f") for n in range(4)]
    told += [
        outcome("completed", f"{n}/ns.f", run(3600, cpus=2, group="g"), bytes_in=10, bytes_out=n) for n in range(3)
    ]
    told += [outcome("failed", "3/ns.f", run(1800, waited=9.0)), *told[-1:], outcome("parked"), outcome("held")]
    (one,) = usage(told, "function")
    assert (one.name, one.events, one.jobs, one.completed, one.failed) == ("ns.f", 4, 4, 3, 1)
    assert (one.wall_hours, one.core_hours, one.success) == (3.5, 6.5, 0.75)
    assert (one.bytes_in, one.bytes_out) == (30, 3)
    assert (one.queued_median, one.queued_p95, one.ran_median) == (1.0, 9.0, 3600)
    assert [(one.name, one.events) for one in usage(told, "group")] == [("g", 3), ("none", 1)]
    assert [one.name for one in usage(told, "namespace")] == ["ns"]


def test_a_job_that_never_ran_spoils_no_times() -> None:
    (one,) = usage([outcome("expired", run=Run(entered=0, queued=100.0))], "function")
    assert (one.removed, one.queued_median, one.success) == (1, None, None)


def test_percentiles_are_values_that_were_there() -> None:
    assert [percentile([1.0, 2.0, 3.0], percent) for percent in (0, 50, 95)] == [1.0, 2.0, 3.0]
    assert percentile([], 50) is None


def test_how_things_stand() -> None:
    seen = [Seen(origin=PLACE, at=0)]
    assert state([Seen(origin=PLACE, at=0, why="no_path")], [], [], True) == "filtered: no_path"
    assert state(seen, [], [], True) == "filtered: no function waited for it"
    assert state(seen, [], [], False) == "still on its way: in the feed"
    assert state(seen, [outcome("parked")], [], False) == "ns.f: parked"
    twice = [outcome("submitted"), outcome("duplicate"), outcome("completed", "e/ns.g")]
    assert state(seen, twice, [], True) == "ns.f: submitted, ns.g: completed"
