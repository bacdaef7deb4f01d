"""Decoding and matching: records a second, and what thousands of functions add to the cost of an event."""

from __future__ import annotations

import gzip
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from eventflow import dcache
from eventflow.errors import ItemError
from eventflow.event import Event
from eventflow.function import Function
from eventflow.index import Index
from tests.bench.result import Result, against
from tests.unit.functions import make, written

RECORDS = Path(__file__).resolve().parents[1] / "data" / "dcache" / "dcache_events_HEAD.jsonl.gz"
ROUNDS = 15


def functions(count: int) -> list[Function]:
    """Functions of many groups, ten in each, with a condition on the size."""
    return [
        make(
            f"/data/group{i // 10}/kind{i % 10}/{{run}}/{{name}}.root",
            name=f"f{i}",
            when={"where": {"size": [{"numeric": [">", 0]}]}},
        )
        for i in range(count)
    ]


def events(count: int) -> list[Event]:
    """A thousand events of which each fires one of the first ``count`` functions."""
    chosen = [i * 7919 % count for i in range(1000)]
    return [written(f"/data/group{i // 10}/kind{i % 10}/r{i}/f{i}.root", size=1 + i) for i in chosen]


def per_event_us(index: Index, batch: Sequence[Event]) -> float:
    """The best of several rounds, in microseconds for one event."""
    best = float("inf")
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        for event in batch:
            index.match(event)
        best = min(best, time.perf_counter() - begin)
    return best / len(batch) * 1e6


def records_per_second(index: Index) -> float:
    """Recorded dCache billing records, as they come from Kafka, decoded and matched on one core."""
    with gzip.open(RECORDS, "rt", encoding="utf-8") as lines:
        raw = [msgspec.json.encode(msgspec.json.decode(line)["record"]) for line in lines]
    best = float("inf")
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        for record in raw:
            try:
                event = dcache.decode(record, "bench")
            except ItemError:  # some of the recorded paths are not to be had
                continue
            if isinstance(event, Event):
                index.match(event)
        best = min(best, time.perf_counter() - begin)
    return len(raw) / best


def measure() -> dict[str, Result]:
    """Cost per event with 10 and 10,000 functions, and records a second with 100.

    ``match.cost_10000_vs_10``: where events fire ten of 10,000 functions, the cost is the index's. Where they fire all
    of them (``match.cost_10000_busy_vs_10``) it is also the memory's, since nothing of them is in the CPU's cache.
    """
    ten, hundred, many = (Index(functions(count)) for count in (10, 100, 10_000))
    yardstick = per_event_us(ten, events(10))
    return {
        "match.cost_10000_vs_10": against(per_event_us(many, events(10)), "us/event", yardstick),
        "match.cost_10000_busy_vs_10": against(per_event_us(many, events(10_000)), "us/event", yardstick),
        "match.records_per_s_100": Result(round(records_per_second(hundred)), "records/s"),
    }
