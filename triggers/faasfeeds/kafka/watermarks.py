"""Where partitions end, asked for every few seconds: for the lag, and for whether Kafka answers at all.

What a consumer learns by the way will not do: a partition that is paused, as under an outage, is not fetched, and would
seem to end where it was read last.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from itertools import groupby
from typing import Any

from kafka import TopicPartition

from faasfeeds.kafka.cluster import Cluster

log = logging.getLogger(__name__)

ASK_S = 2.0
PATIENCE_MS = 5_000

SILENT_S = 10.0
"""Seconds without an answer after which Kafka counts as away."""


class Watermarks:
    """The ``ends`` of partitions, for any thread to read; ``answered`` is when Kafka last told of ``topic``, which is
    the platform's own (unix seconds)."""

    def __init__(
        self, cluster: Cluster, topic: str, partitions: Callable[[], Iterable[TopicPartition]] = tuple
    ) -> None:
        self._cluster = cluster
        self._own = TopicPartition(topic, 0)
        self._partitions = partitions
        self.ends: Mapping[TopicPartition, int] = {}
        self.answered: float | None = None

    def follow(self, stop: threading.Event) -> None:
        """Ask until ``stop`` is set; brokers that go away are asked again."""
        while not stop.is_set():
            try:
                with closing(self._cluster.reader()) as reader:
                    while not stop.is_set():
                        reader.end_offsets([self._own], timeout_ms=PATIENCE_MS)
                        self.answered = time.time()
                        self.ends = dict(self._ask(reader))
                        stop.wait(ASK_S)
            except Exception as error:  # of many kinds; the reader is made anew
                log.debug("Kafka does not tell its ends: %s: %s", type(error).__name__, error)
                stop.wait(1.0)

    def _ask(self, reader: Any) -> Iterator[tuple[TopicPartition, int]]:
        """Topic by topic, since one that was deleted must not hide the others."""
        for topic, several in groupby(sorted(set(self._partitions())), key=lambda one: one.topic):
            try:
                yield from reader.end_offsets(list(several), timeout_ms=PATIENCE_MS).items()
            except Exception as error:
                log.debug("the ends of %s cannot be had: %s: %s", topic, type(error).__name__, error)

    def silent(self, now: float) -> bool:
        """Whether Kafka is away."""
        return self.answered is None or now - self.answered > SILENT_S
