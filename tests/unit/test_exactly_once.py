"""One job per key, under every interleaving of submitters, and wherever they die."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventflow.exactly_once import (
    SPOOL_DEADLINE,
    Job,
    Pool,
    PoolRefused,
    PoolUnavailable,
    QueuedJob,
    State,
    Submitted,
    home,
    id_order,
    submit_at_home,
    submit_exactly_once,
)
from eventflow.function import Limits

T = TypeVar("T")


def job(key: str, function: str = "ns.f", max_idle: int = 1000) -> Job:
    return Job(
        key=key,
        function=function,
        namespace="ns",
        version="0.0.1",
        code="sha256:00",
        origin="billing/0/1",
        expires=1e12,
        files={"events.jsonl": b"{}", "runner.py": b""},
        limits=Limits(max_idle=max_idle),
    )


class MemoryPool:
    """The port on a dict; ``started`` counts how many jobs of a key ever got their input."""

    def __init__(self, clock: Callable[[], float] = lambda: 1000.0) -> None:
        self.clock = clock
        self.rows: dict[str, QueuedJob] = {}
        self.started: dict[str, int] = {}
        self.submits = 0
        self._clusters = iter(range(1, 10_000))

    def lookup(self, keys: Sequence[str], idle_of: Sequence[str] = ()) -> list[QueuedJob]:
        return [
            row
            for row in self.rows.values()
            if row.key in keys or (row.function in idle_of and row.state in ("idle", "spooling"))
        ]

    def submit(self, jobs: Sequence[Job]) -> list[str]:
        self.submits += 1
        cluster = next(self._clusters)
        ids = [f"{cluster}.{proc}" for proc in range(len(jobs))]
        for id, new in zip(ids, jobs, strict=True):
            self.put(id, new.key, "spooling", new.function)
        return ids

    def spool(self, jobs: Mapping[str, Job]) -> list[str]:
        taken = [id for id in jobs if id in self.rows and self.rows[id].state == "spooling"]
        for id in taken:
            self.put(id, self.rows[id].key, "idle", self.rows[id].function)
            self.started[self.rows[id].key] = self.started.get(self.rows[id].key, 0) + 1
        return taken

    def withdraw(self, ids: Sequence[str], reason: str) -> None:
        for id in ids:
            if id in self.rows and self.rows[id].state == "spooling":
                del self.rows[id]

    def remove(self, ids: Sequence[str], reason: str) -> None:
        raise AssertionError("submission cancels no jobs")

    def put(self, id: str, key: str, state: State, function: str = "ns.f", since: float | None = None) -> None:
        since = self.clock() if since is None else since
        self.rows[id] = QueuedJob(schedd="s", id=id, key=key, function=function, state=state, since=since)


def outcomes(results: Sequence[Submitted]) -> list[str]:
    return [result.outcome for result in results]


def test_new_keys_are_submitted_in_one_bulk() -> None:
    pool = MemoryPool()
    results = submit_exactly_once(pool, [job("a"), job("b")], now=1000.0)
    assert outcomes(results) == ["submitted", "submitted"]
    assert [result.id for result in results] == ["1.0", "1.1"]
    assert pool.submits == 1
    assert pool.started == {"a": 1, "b": 1}


@pytest.mark.parametrize("state", ["idle", "running", "held", "completed", "removed"])
def test_a_key_in_the_queue_is_a_duplicate(state: State) -> None:
    pool = MemoryPool()
    pool.put("7.0", "a", state)
    assert submit_exactly_once(pool, [job("a")], now=1e6) == [
        Submitted(key="a", outcome="duplicate", schedd="s", id="7.0")
    ]
    assert pool.started == {}


def test_a_key_that_another_submitter_is_spooling_is_in_progress() -> None:
    pool = MemoryPool()
    pool.put("7.0", "a", "spooling")
    assert outcomes(submit_exactly_once(pool, [job("a")], now=1000.0 + SPOOL_DEADLINE)) == ["in_progress"]


def test_a_key_left_behind_while_spooling_is_redone() -> None:
    pool = MemoryPool()
    pool.put("7.0", "a", "spooling", since=1000.0 - SPOOL_DEADLINE - 1)
    assert outcomes(submit_exactly_once(pool, [job("a")], now=1000.0)) == ["submitted"]
    assert "7.0" not in pool.rows


def test_a_slow_submitter_that_spools_before_it_is_withdrawn_keeps_its_job() -> None:
    class Slow(MemoryPool):
        def withdraw(self, ids: Sequence[str], reason: str) -> None:
            if "7.0" in ids:
                self.spool({"7.0": job("a")})
            super().withdraw(ids, reason)

    pool = Slow()
    pool.put("7.0", "a", "spooling", since=0.0)
    assert outcomes(submit_exactly_once(pool, [job("a")], now=1000.0)) == ["duplicate"]
    assert pool.started == {"a": 1}
    assert list(pool.rows) == ["7.0"]


def test_a_function_over_its_limit_waits_and_the_others_go_on() -> None:
    pool = MemoryPool()
    pool.put("1.0", "x", "idle")
    results = submit_exactly_once(pool, [job("a", max_idle=2), job("b", max_idle=2), job("c", "ns.g")], now=1000.0)
    assert outcomes(results) == ["submitted", "over_limit", "submitted"]
    assert results[1].reason == "ns.f has 2 waiting jobs, its max_idle is 2"


def test_what_dead_submitters_left_behind_does_not_fill_the_limit() -> None:
    pool = MemoryPool()
    for number in range(3):
        pool.put(f"{number + 7}.0", f"left-{number}", "spooling", since=0.0)
    assert outcomes(submit_exactly_once(pool, [job("a", max_idle=1)], now=1000.0)) == ["submitted"]
    assert [row.key for row in pool.rows.values()] == ["a"]


def test_a_refused_function_does_not_stop_the_others() -> None:
    class Strict(MemoryPool):
        def submit(self, jobs: Sequence[Job]) -> list[str]:
            if jobs[0].function == "ns.big":
                raise PoolRefused("at most 1 cpu")
            return super().submit(jobs)

    results = submit_exactly_once(Strict(), [job("a", "ns.big"), job("b")], now=1000.0)
    assert outcomes(results) == ["refused", "submitted"]
    assert results[0].reason == "at most 1 cpu"


def test_a_key_given_twice_is_one_job() -> None:
    pool = MemoryPool()
    assert outcomes(submit_exactly_once(pool, [job("a"), job("a")], now=1000.0)) == ["submitted"]
    assert pool.started == {"a": 1}


def test_ids_are_ordered_as_numbers() -> None:
    assert id_order("9.0") < id_order("10.0") < id_order("10.2") < id_order("10.10")


def test_a_further_schedd_takes_keys_and_moves_no_other() -> None:
    keys = [f"key-{n}" for n in range(300)]
    before = {key: home(key, ["a", "b"]) for key in keys}
    after = {key: home(key, ["c", "b", "a"]) for key in keys}
    assert {after[key] for key in keys if after[key] != before[key]} == {"c"}
    assert all(60 < list(after.values()).count(name) < 140 for name in "abc")


def test_a_schedd_that_is_away_stops_no_other() -> None:
    class Away(MemoryPool):
        def lookup(self, keys: Sequence[str], idle_of: Sequence[str] = ()) -> list[QueuedJob]:
            raise PoolUnavailable("no route", where="schedd b")

    here, keys = MemoryPool(), [f"key-{n}" for n in range(20)]
    results = submit_at_home({"a": here, "b": Away()}, [job(key) for key in keys], now=1000.0)
    assert [result.key for result in results] == keys
    for result in results:
        at_a = home(result.key, ["a", "b"]) == "a"
        assert result.outcome == ("submitted" if at_a else "unavailable")
        assert (result.reason is None) == at_a
    assert set(here.started) == {key for key in keys if home(key, ["a", "b"]) == "a"}


def test_a_job_does_not_show_its_tokens() -> None:
    with_token = msgspec.structs.replace(job("a"), files={"events.jsonl": b"MDAx-token"})
    assert "MDAx" not in repr(with_token)


class Died(BaseException):
    """The submitter's process is gone."""


class Turn:
    """A submitter that moves only when told to: one operation on the pool at a time, or its death."""

    def __init__(self, pool: MemoryPool, jobs: Sequence[Job]) -> None:
        self.pool = pool
        self.results: list[Submitted] = []
        self.over = False
        self._go = threading.Semaphore(0)
        self._done = threading.Semaphore(0)
        self._dies: str | None = None
        self._thread = threading.Thread(target=self._run, args=(jobs,), daemon=True)
        self._thread.start()
        self._done.acquire()

    def step(self, dies: str | None = None) -> None:
        """Let it do its next operation; ``dies`` kills it ``before`` or ``after`` that."""
        if not self.over:
            self._dies = dies
            self._go.release()
            self._done.acquire()

    def _run(self, jobs: Sequence[Job]) -> None:
        proxy: Pool = Stepwise(self)
        try:
            self.results = submit_exactly_once(proxy, jobs, now=self.pool.clock())
        except Died:
            pass
        finally:
            self.over = True
            self._done.release()

    def operation(self, do: Callable[[], T]) -> T:
        self._done.release()
        self._go.acquire()
        if self._dies == "before":
            raise Died
        value = do()
        if self._dies == "after":
            raise Died
        return value


class Stepwise:
    """The pool as one submitter sees it: every operation waits for its turn."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._pool = turn.pool

    def lookup(self, keys: Sequence[str], idle_of: Sequence[str] = ()) -> list[QueuedJob]:
        return self._turn.operation(lambda: self._pool.lookup(keys, idle_of))

    def submit(self, jobs: Sequence[Job]) -> list[str]:
        return self._turn.operation(lambda: self._pool.submit(jobs))

    def spool(self, jobs: Mapping[str, Job]) -> list[str]:
        taken: list[str] = []
        for id, one in jobs.items():
            taken += self._turn.operation(partial(self._pool.spool, {id: one}))
        return taken

    def withdraw(self, ids: Sequence[str], reason: str) -> None:
        self._turn.operation(lambda: self._pool.withdraw(ids, reason))

    def remove(self, ids: Sequence[str], reason: str) -> None:
        self._turn.operation(lambda: self._pool.remove(ids, reason))


steps = st.tuples(
    st.integers(0, 3),
    st.sampled_from([None] * 6 + ["before", "after"]),
    st.sampled_from([0.0, 0.0, 0.0, 1.0, SPOOL_DEADLINE + 1]),
)
batches = st.lists(st.sets(st.sampled_from("abc"), min_size=1), min_size=2, max_size=4)


@settings(max_examples=400, deadline=None)
@given(batches=batches, schedule=st.lists(steps, max_size=60))
def test_no_interleaving_and_no_death_makes_two_jobs_or_none(
    batches: list[set[str]], schedule: list[tuple[int, str | None, float]]
) -> None:
    """Whatever happened, redelivering the batches in the end leaves exactly one started job per key."""
    now = [1000.0]
    pool = MemoryPool(lambda: now[0])
    turns = [Turn(pool, [job(key) for key in sorted(batch)]) for batch in batches]
    for number, dies, passes in schedule:
        now[0] += passes
        turns[number % len(turns)].step(dies)
    for turn in turns:  # the slow ones finish late
        while not turn.over:
            turn.step()
    said = [result.key for turn in turns for result in turn.results if result.outcome == "submitted"]
    assert len(said) == len(set(said))

    keys = sorted(set().union(*batches))
    now[0] += SPOOL_DEADLINE + 1
    final = submit_exactly_once(pool, [job(key) for key in keys], now=now[0])
    assert pool.started == dict.fromkeys(keys, 1)
    assert {result.outcome for result in final} <= {"submitted", "duplicate"}
    assert all(row.state == "idle" for row in pool.rows.values())
