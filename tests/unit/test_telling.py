"""What the watcher tells of one look at a schedd: each end once, and nothing before its time."""

from __future__ import annotations

from typing import Any

import msgspec

from eventflow.batch import Origin, job_key, key_parts
from eventflow.watching import Watched
from faasfeeds import outcomes
from faasfeeds.condor import telling
from faasfeeds.condor.budget import Budget
from faasfeeds.condor.ledger import Jobs
from faasfeeds.outcomes import Outcome

NOW = 1_800_000_000.0


def row(id: str = "1.0", **changes: Any) -> Watched:
    described: dict[str, Any] = {
        "schedd": "one",
        "id": id,
        "key": f"event-{id}/ns.f",
        "function": "ns.f",
        "version": "0.0.1",
        "origin": "billing/0/17",
        "state": "completed",
        "since": NOW - 10,
        "entered": int(NOW) - 130,  # the schedd's clock is two minutes off
        "exit": 0,
    }
    return Watched(**(described | changes))


def submitted(id: str = "1.0", at: float = NOW - 100) -> Outcome:
    return Outcome(
        key=f"event-{id}/ns.f",
        outcome="submitted",
        time=outcomes.utc(at),
        trigger="/faas/events",
        origin=Origin(topic="billing", partition=0, offset=17),
        rule="process",
        activation="abc",
        destination="one",
        job=id,
    )


def jobs(*known: Outcome) -> Jobs:
    found = Jobs()
    for one in known:
        found.add(one)
    return found


def test_an_end_is_told_once_also_when_the_outcomes_are_read_anew() -> None:
    known = jobs(submitted())
    (one,) = telling.tell([row(exit=20)], known, NOW)
    assert (one.outcome, one.code, one.why) == ("failed", "exit_20", "exit 20: the function failed")
    assert (one.trigger, one.activation, one.time) == ("/faas/events", "abc", outcomes.utc(NOW - 10))
    known.add(one)
    assert telling.tell([row(exit=20)], known, NOW) == []
    again = jobs(one, submitted())  # partitions are read in any order
    assert telling.tell([row(exit=20)], again, NOW) == []
    assert again.pending("one") == {}


def test_what_waits_or_runs_is_not_told() -> None:
    assert telling.tell([row(state="idle"), row(state="running")], jobs(submitted()), NOW) == []


def test_each_hold_of_a_job_is_told_once() -> None:
    known = jobs(submitted())
    first = row(state="held", reason="disk full", entered=1)
    (one,) = telling.tell([first], known, NOW)
    assert (one.outcome, one.why) == ("held", "disk full")
    known.add(one)
    assert telling.tell([first], known, NOW) == []
    assert len(telling.tell([row(state="held", entered=2)], known, NOW)) == 1
    assert not telling.is_dead(one)


def test_an_unknown_job_is_told_after_a_while() -> None:
    assert telling.tell([row(since=NOW - 10)], jobs(), NOW) == []
    (one,) = telling.tell([row(since=NOW - 61, origin="odd")], jobs(), NOW)
    assert (one.trigger, one.origin.topic) == ("", "odd")


def test_a_job_that_nobody_knows_is_lost_after_a_while_and_no_dead_letter_before() -> None:
    known = jobs(submitted("1.0", at=NOW - 1000), submitted("2.0", at=NOW - 10), submitted("3.0"))
    pending = known.pending("one")
    gone = telling.missing(pending, [row("3.0")])
    assert gone == ["1.0", "2.0"]
    (one,) = telling.lost(pending, gone, NOW)
    assert (one.job, one.outcome, one.code) == ("1.0", "removed", "lost")
    assert telling.is_dead(one)


def test_who_is_removed_by_a_person_is_no_dead_letter_and_who_expired_is() -> None:
    removed, expired = telling.tell(
        [row("1.0", state="removed", reason="cancelled", since=NOW - 20), row("2.0", state="removed", expired=True)],
        jobs(submitted("1.0"), submitted("2.0")),
        NOW,
    )
    assert (removed.outcome, removed.why, telling.is_dead(removed)) == ("removed", "cancelled", False)
    assert (expired.outcome, telling.is_dead(expired)) == ("expired", True)


def test_who_expired_is_renewed_but_not_for_ever() -> None:
    (expired,) = telling.tell([row("2.0", state="removed", expired=True)], jobs(submitted("2.0")), NOW)
    last = msgspec.structs.replace(expired, key=f"{expired.key}#{telling.MOST_RENEWALS}")

    assert telling.may_be_renewed(expired)
    assert not telling.is_dead(telling.renewed(expired))
    assert not telling.may_be_renewed(last)
    assert telling.is_dead(last)


def test_a_budget_counts_failures_in_a_row_by_version() -> None:
    def ended(word: str, version: str = "1") -> Outcome:
        return outcomes.of_job(row(version=version, exit=0 if word == "completed" else 20), word, None, now=NOW)  # type: ignore[arg-type]

    budget = Budget({"ns": 3, "never": 0}, default=20)
    assert budget.spend([ended("failed"), ended("failed"), ended("completed"), ended("failed")]) == []
    assert budget.spend([ended("failed", "2"), ended("expired"), ended("failed")]) == []
    assert budget.spend([ended("failed"), ended("failed")]) == [("ns.f", "1", 3)]
    assert budget.spend([ended("failed")]) == []


def test_inputs_that_are_gone_cost_no_function_its_budget() -> None:
    gone = outcomes.of_job(row(exit=13), "failed", None, now=NOW)

    assert Budget({}, default=2).spend([gone] * 5) == []


def test_a_key_of_a_second_run_is_another() -> None:
    assert job_key("a/b", "ns.f") == "a/b/ns.f"
    assert key_parts(job_key("a/b", "ns.f", 2)) == ("a/b", "ns.f", 2)
    assert key_parts("a/b/ns.f") == ("a/b", "ns.f", 0)
