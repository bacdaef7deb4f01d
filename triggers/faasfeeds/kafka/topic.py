"""Registrations in a compacted topic: all replicas of the provider and the feed action see the same, without a
database."""

from __future__ import annotations

import logging
import time
from typing import Any

import msgspec
from kafka import TopicPartition
from kafka.errors import KafkaTimeoutError

from eventflow.errors import FaasError
from faasfeeds.kafka.cluster import Cluster
from faasfeeds.kafka.registration import Registration

log = logging.getLogger(__name__)

COMPACTED = {"cleanup.policy": "compact"}
"""Settings of the topic when it is made."""

PATIENCE_S = 5.0


class RegistrationsAway(FaasError):
    """The topic of registrations cannot be read or written now, for another reason than `Unreachable` tells."""


class TopicRegistrations:
    """The newest record of each trigger counts; one without a value removes the trigger.

    The topic is read from its beginning once, then followed. Not safe for several threads at once.
    """

    def __init__(self, cluster: Cluster, topic: str) -> None:
        self._cluster = cluster
        self._topic = topic
        self._reader: Any = None
        self._known: dict[str, Registration] = {}

    def get(self, trigger: str) -> Registration | None:
        """One registration, as it is now."""
        self._read_to_end()
        return self._known.get(trigger)

    def put(self, registration: Registration) -> None:
        """Add or replace one, durably."""
        self._write(registration.trigger, msgspec.json.encode(registration))

    def delete(self, trigger: str) -> None:
        """Remove one; a missing one is fine."""
        self._write(trigger, None)

    def all(self) -> list[Registration]:
        """Every registration, as it is now, by trigger."""
        self._read_to_end()
        return [self._known[trigger] for trigger in sorted(self._known)]

    def close(self) -> None:
        """Let the connection go."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _write(self, trigger: str, value: bytes | None) -> None:
        self._cluster.ensure_topics({self._topic: COMPACTED})
        producer = self._cluster.producer()
        try:
            with self._cluster.explained():
                producer.send(self._topic, key=trigger.encode(), value=value).get(timeout=PATIENCE_S)
        except FaasError:
            raise
        except Exception as error:  # kafka-python's errors have no common root that would leave out bugs
            raise RegistrationsAway(f"{type(error).__name__}: {error}", where=f"topic {self._topic}") from None
        finally:
            producer.close(timeout=2)

    def _read_to_end(self) -> None:
        try:
            with self._cluster.explained():
                reader = self._open()
                partitions = list(reader.assignment())
                ends = reader.end_offsets(partitions, timeout_ms=PATIENCE_S * 1000)
                until = time.monotonic() + PATIENCE_S
                while any(reader.position(partition) < end for partition, end in ends.items()):
                    for records in reader.poll(timeout_ms=100).values():
                        for record in records:
                            self._take(record)
                    if time.monotonic() > until:
                        raise KafkaTimeoutError(f"the end of {self._topic} was not reached in time")
        except FaasError:
            raise
        except Exception as error:
            raise RegistrationsAway(f"{type(error).__name__}: {error}", where=f"topic {self._topic}") from None

    def _open(self) -> Any:
        if self._reader is None:
            self._cluster.ensure_topics({self._topic: COMPACTED})
            reader = self._cluster.reader()
            try:
                partitions = [TopicPartition(self._topic, n) for n in reader.partitions_for_topic(self._topic) or (0,)]
                reader.assign(partitions)
                reader.seek_to_beginning(*partitions)
            except Exception:
                reader.close()
                raise
            self._reader = reader
        return self._reader

    def _take(self, record: Any) -> None:
        trigger = (record.key or b"").decode(errors="replace")
        self._known.pop(trigger, None)
        if record.value is not None:
            try:
                self._known[trigger] = msgspec.json.decode(record.value, type=Registration)
            except (ValueError, RecursionError) as error:  # not ours, or of times to come
                log.warning("topic %s: what is said of %s is no registration: %s", self._topic, trigger, error)
