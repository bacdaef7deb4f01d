"""What is final already, from the topic of outcomes: read once at the start, then followed, so that every replica
knows what the others did."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from typing import Any

from kafka import TopicPartition

from faasfeeds import outcomes
from faasfeeds.kafka.cluster import Cluster
from faasfeeds.kafka.finals import DAY_MS, WINDOW_DAYS, Finals, Kind
from faasfeeds.outcomes import JOB, BadOutcome, Outcome

log = logging.getLogger(__name__)


class Memory:
    """Final keys; safe for several threads."""

    def __init__(self, cluster: Cluster, topic: str) -> None:
        self._cluster = cluster
        self._topic = topic
        self._finals = Finals()
        self._lock = threading.Lock()
        self._whole = threading.Event()

    def add(self, several: Iterable[Outcome]) -> None:
        """Remember what became final."""
        with self._lock:
            for one in several:
                if one.outcome in JOB:
                    self._finals.add(one.key, "job", one.time_ms)
                elif one.is_final:
                    self._finals.add(one.key, "dead", one.time_ms)

    def has(self, key: str, kinds: Iterable[Kind] = ("job", "dead")) -> bool:
        """Whether a key is known to be final in one of these ways."""
        with self._lock:
            return self._finals.has(key, kinds)

    @property
    def is_whole(self) -> bool:
        """Whether everything was read that was there at the start; before that, nothing may be fired."""
        return self._whole.is_set()

    def follow(self, stop: threading.Event) -> None:
        """Read the topic until ``stop`` is set; brokers that go away are waited for."""
        while not stop.is_set():
            try:
                self._follow(stop)
            except Exception as error:  # of many kinds; the reader is made anew, and reads the window again
                log.warning("the outcomes cannot be read: %s", error)
                stop.wait(5.0)

    def _follow(self, stop: threading.Event) -> None:
        reader = self._cluster.reader()
        try:
            partitions = [TopicPartition(self._topic, n) for n in reader.partitions_for_topic(self._topic) or (0,)]
            reader.assign(partitions)
            since = int(time.time() * 1000) - WINDOW_DAYS * DAY_MS
            found = reader.offsets_for_times(dict.fromkeys(partitions, since))
            ends = reader.end_offsets(partitions)
            for partition in partitions:
                start = found.get(partition)
                reader.seek(partition, start.offset if start is not None else ends[partition])
            while not stop.is_set():
                for records in reader.poll(timeout_ms=200).values():
                    self.add(outcome for record in records if (outcome := _decoded(record)) is not None)
                if not self.is_whole and all(reader.position(one) >= end for one, end in ends.items()):
                    self._whole.set()
        finally:
            reader.close()


def _decoded(record: Any) -> Outcome | None:
    try:
        return outcomes.decode(record)
    except BadOutcome as error:
        log.warning("%s", error)
        return None
