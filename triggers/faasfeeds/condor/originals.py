"""The records of Kafka that jobs go back to, for their dead letters."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from kafka import TopicPartition

from eventflow.batch import Message, Origin
from faasfeeds.kafka import records
from faasfeeds.kafka.cluster import Cluster

PATIENCE_S = 10.0


class Originals:
    """Reads single records by their place. Not safe for several threads at once."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._reader: Any = None

    def fetch(self, origins: Iterable[Origin]) -> dict[Origin, Message]:
        """The records that are still there; raises what the client raises when the brokers are away."""
        found: dict[Origin, Message] = {}
        for origin in sorted(set(origins)):
            message = self._one(origin)
            if message is not None:
                found[origin] = message
        return found

    def close(self) -> None:
        """Let the connection go."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _one(self, origin: Origin) -> Message | None:
        if self._reader is None:
            self._reader = self._cluster.reader()
        partition = TopicPartition(origin.topic, origin.partition)
        if origin.partition not in (self._reader.partitions_for_topic(origin.topic) or ()):
            return None
        self._reader.assign([partition])
        first, end = self._reader.beginning_offsets([partition])[partition], self._reader.end_offsets([partition])
        if not first <= origin.offset < end[partition]:
            return None
        self._reader.seek(partition, origin.offset)
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            for several in self._reader.poll(timeout_ms=200, max_records=1).values():
                record = several[0]
                return records.message(record) if record.offset == origin.offset else None
        raise TimeoutError(f"{origin} was not read in time")
