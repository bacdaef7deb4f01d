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


def test_a_tombstone_and_broken_base64_are_unparsable() -> None:
    tombstone = Message(topic="t", partition=0, offset=0, timestamp=0)
    for broken in (tombstone, msgspec.structs.replace(tombstone, value_b64="*")):
        with pytest.raises(ItemError) as refused:
            broken.content()
        assert refused.value.code == "unparsable"
