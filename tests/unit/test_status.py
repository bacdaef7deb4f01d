"""What `faasctl status` counts, and what of it needs a person."""

from __future__ import annotations

from typing import Any

from eventflow.batch import Origin
from eventflow.exactly_once import State
from eventflow.watching import Watched
from faasctl import status
from faasctl.environment.ends import End
from faasctl.status import Feed, FunctionState, Schedd, Status
from faasfeeds.outcomes import Outcome, utc

NOW = 1_800_000_000.0
QUIET = Status(environment="test", at=utc(NOW))


def outcome(word: str, age: float, function: str = "ns.f", **more: Any) -> Outcome:
    place = Origin(topic="billing", partition=0, offset=1)
    described = {"key": "k", "trigger": "/faas/t", "origin": place, "function": function}
    return Outcome(outcome=word, time=utc(NOW - age), **described, **more)  # type: ignore[arg-type]


def test_outcomes_are_counted_by_function_for_the_hour_and_the_day() -> None:
    told = [outcome("submitted", 60), outcome("completed", 30), outcome("failed", 7200), outcome("failed", 100_000)]
    one, other = status.functions(told, {"ns.f": ("0.0.2", None), "ns.idle": ("0.0.1", "park")}, NOW)
    assert (one.version, one.hour, one.day) == (
        "0.0.2",
        {"submitted": 1, "completed": 1},
        {"submitted": 1, "completed": 1, "failed": 1},
    )
    assert (other.paused, other.day) == ("park", {})


def test_jobs_and_dead_letters_are_counted() -> None:
    states: tuple[State, ...] = ("idle", "idle", "running", "held")
    rows = [
        Watched(
            schedd="one", id=f"{n}.0", key="k", function="f", version="", origin="", state=state, since=0, entered=0
        )
        for n, state in enumerate(states)
    ]
    counted = status.schedd("one", rows)
    assert (counted.idle, counted.running, counted.held) == (2, 1, 1)
    told = [outcome("failed", 1, code="exit_20"), outcome("failed", 1, code="exit_20"), outcome("removed", 1)]
    assert status.dead([*told, outcome("dead-lettered", 1, code="policy")]) == {"exit_20": 2, "policy": 1}


def test_nothing_needs_a_person_when_all_is_well() -> None:
    ends = [End(name="pool", kind="idtoken", at=NOW + 30 * 86400)]
    found = status.finished(QUIET, ends, NOW)
    assert found.needs == ()
    assert list(status.lines(found))[-1] == "nothing needs a person"


def test_each_thing_that_needs_a_person_says_what_to_do() -> None:
    found = Status(
        environment="test",
        at=utc(NOW),
        feeds=(Feed(trigger="/faas/t", topics=("billing",), records={"lost": 3}, imbalance=(1, 0)),),
        schedds=(Schedd(name="one", held=2), Schedd(name="two", away="no answer")),
        functions=(
            FunctionState(name="ns.f", paused="park", day={"failed": 20}),
            FunctionState(name="ns.calm", paused="park"),
        ),
        dead={"exit_20": 4},
        outages=("registry: no answer",),
    )
    needs = status.finished(found, [End(name="pool", kind="idtoken", at=NOW - 1)], NOW).needs
    expected = (
        "registry: no answer (faasctl doctor)",
        "/faas/t: the books do not balance",
        "/faas/t: 3 records ended before they were read",
        "schedd one: 2 jobs are held",
        "schedd two is away",
        "4 dead letters since yesterday: faasctl dlq list",
        "ns.f is paused after 20 failures: mend it, then faasctl fn resume ns.f",
        "pool (idtoken) ended at",
    )
    assert [need.startswith(text) for need, text in zip(needs, expected, strict=True)] == [True] * len(expected)
    assert list(status.lines(status.finished(found, [], NOW)))
