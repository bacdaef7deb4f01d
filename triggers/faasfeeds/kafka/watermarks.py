"""Where partitions end, asked for every few seconds: for the lag, and for whether Kafka answers at all.

What a consumer learns by the way will not do: a partition that is paused, as under an outage, is not fetched, and would
seem to end where it was read last.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing

from kafka import TopicPartition

from faasfeeds.kafka.cluster import Cluster

log = logging.getLogger(__name__)

ASK_S = 2.0
PATIENCE_MS = 5_000

SILENT_S = 10.0
"""Seconds without an answer after which Kafka counts as away."""


class Watermarks:
    """The ``ends`` of partitions, for any thread to read; ``answered`` is when the brokers last told (unix seconds)."""

    def __init__(self, cluster: Cluster, partitions: Callable[[], Iterable[TopicPartition]]) -> None:
        self._cluster = cluster
        self._partitions = partitions
        self.ends: Mapping[TopicPartition, int] = {}
        self.answered: float | None = None

    def follow(self, stop: threading.Event) -> None:
        """Ask until ``stop`` is set; brokers that go away are asked again."""
        while not stop.is_set():
            try:
                with closing(self._cluster.reader()) as reader:
                    while not stop.is_set():
                        wanted = sorted(set(self._partitions()))
                        self.ends = reader.end_offsets(wanted, timeout_ms=PATIENCE_MS)
                        self.answered = time.time()
                        stop.wait(ASK_S)
            except Exception as error:  # of many kinds; the reader is made anew
                log.debug("the ends of partitions cannot be had: %s: %s", type(error).__name__, error)
                stop.wait(1.0)

    def silent(self, now: float) -> bool:
        """Whether Kafka is away."""
        return self.answered is None or now - self.answered > SILENT_S
