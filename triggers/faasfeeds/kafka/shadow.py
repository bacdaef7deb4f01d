"""The feed as a shadow: it reads and matches what production writes, fires nothing, commits nothing, and counts."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec
from kafka import TopicPartition

from eventflow.batch import Failure
from faasfeeds.kafka.cluster import Cluster
from faasfeeds.kafka.finals import Finals
from faasfeeds.kafka.sieve import RegistryAway, Sieve, Wanted

POLL_MS = 200
AWAY_S = 1.0


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen: ``received`` records, ``matched`` events, and for each function the jobs it would have got;
    ``filtered`` by reason, ``dead`` by code. ``duplicate`` are events that came again."""

    received: int
    matched: int
    duplicate: int
    functions: dict[str, int]
    filtered: dict[str, int]
    dead: dict[str, int]


class Shadow:
    """Counts what the feed would do with some topics."""

    def __init__(self, cluster: Cluster, sieve: Sieve, topics: Sequence[str]) -> None:
        self._cluster = cluster
        self._sieve = sieve
        self._topics = tuple(topics)
        self._seen = Finals()
        self._counts: Counter[str] = Counter()
        self._functions: Counter[str] = Counter()
        self._filtered: Counter[str] = Counter()
        self._dead: Counter[str] = Counter()

    def tally(self) -> Tally:
        """What was seen so far."""
        return Tally(
            received=self._counts["received"],
            matched=self._counts["matched"],
            duplicate=self._counts["duplicate"],
            functions=dict(self._functions.most_common()),
            filtered=dict(self._filtered.most_common()),
            dead=dict(self._dead.most_common()),
        )

    def run(self, stop: threading.Event, *, earliest: bool, every_s: float, tell: Callable[[Tally], None]) -> None:
        """Count until ``stop`` is set, from now or from the ``earliest`` record that the brokers hold; tell every so
        many seconds and at the end."""
        reader = self._cluster.reader()
        try:
            partitions = [
                TopicPartition(topic, number)
                for topic in self._topics
                for number in sorted(reader.partitions_for_topic(topic) or ())
            ]
            reader.assign(partitions)
            (reader.seek_to_beginning if earliest else reader.seek_to_end)(*partitions)
            due = time.monotonic() + every_s
            while not stop.is_set():
                for records in reader.poll(timeout_ms=POLL_MS).values():
                    self._refresh(max(record.timestamp for record in records), stop)
                    for record in records:
                        self._count(self._sieve.sift(record))
                if time.monotonic() > due:
                    tell(self.tally())
                    due = time.monotonic() + every_s
        finally:
            reader.close()
            tell(self.tally())

    def _refresh(self, newest_ms: int, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                self._sieve.refresh(newest_ms)
            except RegistryAway:
                stop.wait(AWAY_S)
            else:
                return

    def _count(self, found: Wanted | Failure | str) -> None:
        self._counts["received"] += 1
        if isinstance(found, str):
            self._filtered[found] += 1
        elif isinstance(found, Failure):
            self._dead[found.code] += 1
        elif self._seen.has(found.id):
            self._counts["duplicate"] += 1
        else:
            self._seen.add(found.id, "job", int(time.time() * 1000))
            self._counts["matched"] += 1
            self._functions.update(found.functions)
