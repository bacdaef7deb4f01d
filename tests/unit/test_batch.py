"""Batches add up, whatever is in them, and are never larger than OpenWhisk takes."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventflow import batch
from eventflow.batch import Batch, BatchError, Delivery, Item, Message, Origin, Report
from eventflow.errors import ItemError
from eventflow.event import Data, Event
from faasfeeds.kafka.progress import Progress
from faasfeeds.kafka.records import batches
from faasfeeds.kafka.settlement import settle, settle_failed


def item(offset: int, size: int = 10) -> Item:
    event = Event(id=f"e{offset}", source="s", type="t", subject="/p", time="2026-01-01T00:00:00Z", data=Data())
    return Item(origin=Origin("t", 0, offset), event=event, function="n.f", captures={"x": "y" * size})


def with_work(*items: Item) -> Batch:
    report = Report(received=len(items), matched=len(items), items=len(items))
    return Batch(schema=1, deadline=0, functions={}, work=items, report=report)


@given(st.lists(st.integers(0, 3), max_size=30))
def test_items_that_fail_are_reported_and_the_others_go_on(fates: list[int]) -> None:
    def step(one: Item) -> Item:
        if fates[one.origin.offset] == 0:
            raise ItemError("no", code="policy")
        return one

    after = batch.each(with_work(*map(item, range(len(fates)))), "mint", step)
    assert [one.origin.offset for one in after.work] == [i for i, fate in enumerate(fates) if fate]
    assert [(one.origin.offset, one.code) for one in after.report.failed] == [
        (i, "policy") for i, fate in enumerate(fates) if not fate
    ]
    settled = batch.settle(after, work=(), done=[_done(one) for one in after.work])
    assert settled.report.imbalance() == (0, 0)


def _done(one: Item) -> batch.Done:
    return batch.Done(origin=one.origin, key=one.key, function=one.function, version="0.0.1", outcome="submitted")


def test_a_batch_that_grew_too_large_defers_its_end() -> None:
    grown = batch.result(with_work(*(item(i, size=1000) for i in range(100))), "mint", limit=50_000)
    assert len(json.dumps(grown, separators=(",", ":"))) <= 50_000
    kept, deferred = grown["work"], grown["report"]["failed"]
    assert len(kept) + len(deferred) == 100
    assert [one["origin"]["offset"] for one in kept] == list(range(len(kept)))
    assert {one["code"] for one in deferred} == {"deferred"}
    assert all(one["retryable"] for one in deferred)


def test_arguments_are_read_without_the_callers_headers() -> None:
    delivery = {"schema": 1, "deadline": 5, "messages": [{"topic": "t", "partition": 0, "offset": 1, "timestamp": 9}]}
    read = batch.read({**delivery, "__ow_headers": {"authorization": "Basic c2VjcmV0"}}, Delivery)
    assert b"c2VjcmV0" not in msgspec.json.encode(read)


@pytest.mark.parametrize("args", [{}, {"schema": 2}, {"schema": 1, "messages": 3}])
def test_an_unknown_schema_fails_the_delivery_and_not_the_events(args: dict[str, Any]) -> None:
    with pytest.raises(BatchError):
        batch.read(args, Delivery)


def message(offset: int, *, partition: int = 0, attempt: int = 1, value: str = "v") -> Message:
    return Message(topic="t", partition=partition, offset=offset, timestamp=0, value=value, attempt=attempt)


def test_a_tombstone_and_broken_base64_are_unparsable() -> None:
    tombstone = Message(topic="t", partition=0, offset=0, timestamp=0)
    for broken in (tombstone, msgspec.structs.replace(tombstone, value_b64="*")):
        with pytest.raises(ItemError) as refused:
            broken.content()
        assert refused.value.code == "unparsable"


@given(st.lists(st.integers(1, 200), max_size=50), st.integers(1, 10), st.integers(100, 600))
def test_batches_keep_every_message_in_order_and_their_limits(sizes: list[int], records: int, size: int) -> None:
    messages = [message(i, value="x" * length) for i, length in enumerate(sizes)]
    cut = list(batches(messages, records=records, size=size))
    assert [one for part in cut for one in part] == messages
    for part in cut:
        assert len(part) <= records
        assert len(part) == 1 or sum(len(msgspec.json.encode(one)) for one in part) <= size


@given(st.permutations(range(12)), st.integers(0, 12))
def test_nothing_is_committed_past_a_record_in_flight(order: list[int], until: int) -> None:
    progress = Progress()
    for offset in range(12):
        progress.received(Origin("t", 0, offset))
    settled = set(order[:until])
    for offset in settled:
        progress.settled(Origin("t", 0, offset))
    first_open = min(set(range(12)) - settled, default=12)
    assert progress.committable() == {("t", 0): first_open} or first_open == 0
    assert progress.in_flight() == 12 - len(settled)


def failed(offset: int, code: str, *, retryable: bool, function: str | None = "n.f") -> batch.Failure:
    return batch.Failure(
        origin=Origin("t", 0, offset), stage="mint", code=code, message="", retryable=retryable, function=function
    )


def test_each_record_is_final_again_or_dead() -> None:
    report = Report(
        received=5,
        failed=(
            failed(1, "code_changed", retryable=True),
            failed(2, "policy", retryable=False),
            failed(3, "unavailable", retryable=True),
            failed(4, "policy", retryable=False),
            failed(4, "unavailable", retryable=True, function="n.g"),
        ),
    )
    done, again, dead, outage, both = settle([message(i) for i in range(5)], report, max_attempts=3)
    assert (done.again, done.dead) == (None, ())
    assert again.again is not None
    assert (again.again.attempt, again.again.only) == (2, ("n.f",))
    assert dead.again is None
    assert [one.code for one in dead.dead] == ["policy"]
    assert outage.again is not None
    assert outage.again.attempt == 1  # an outage is nobody's fault
    assert both.again is not None
    assert (both.again.only, [one.function for one in both.dead]) == (("n.g",), ["n.f"])


def test_attempts_end() -> None:
    report = Report(received=1, failed=(failed(0, "code_changed", retryable=True),))
    (verdict,) = settle([message(0, attempt=3)], report, max_attempts=3)
    assert verdict.again is None
    assert [one.code for one in verdict.dead] == ["code_changed"]


def test_a_poison_record_is_cornered_in_a_bounded_number_of_deliveries() -> None:
    """A batch of 500 with one record that makes every sequence fail: 499 go through, one is dead."""
    poison, deliveries, fine, dead = 137, 0, set(), []
    waiting = [[message(i) for i in range(500)]]
    while waiting:
        part = waiting.pop()
        deliveries += 1
        if all(one.offset != poison for one in part):
            fine |= {one.offset for one in part}
            continue
        for group in settle_failed(part, "boom", max_attempts=5):
            dead += [failure for verdict in group for failure in verdict.dead]
            if again := [verdict.again for verdict in group if verdict.again is not None]:
                waiting.append(again)
    assert fine == set(range(500)) - {poison}
    assert [failure.origin.offset for failure in dead] == [poison]
    assert deliveries <= 2 * 9 + 5
