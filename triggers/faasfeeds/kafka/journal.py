"""Writes what the feed must not forget: outcomes, dead letters and parked items, before any offset is committed.

Letters come first, then the outcomes that tell of them: a crash in between writes a letter twice, with the same key,
and never loses one. Dead letters have a producer of their own, so that a record that a broker refuses delays nothing
else.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from kafka.errors import InvalidRecordError, MessageSizeTooLargeError

from eventflow.errors import FaasError
from faasfeeds.kafka import letters
from faasfeeds.kafka.cluster import Cluster
from faasfeeds.kafka.letters import Letter
from faasfeeds.outcomes import Outcome

log = logging.getLogger(__name__)

ACKNOWLEDGED_S = 30.0
"""Seconds within which the brokers must have taken a record."""


class NotWritten(FaasError):
    """The brokers did not take a record; nothing may be committed that depends on it."""


class Topics(msgspec.Struct, frozen=True):
    """The feed's own topics."""

    outcomes: str
    dead_letters: str
    parked: str


class Journal:
    """Writes to the feed's own topics; safe for several threads. Every method waits until the brokers have it.

    ``written`` is called, from whichever thread, with the outcomes and the dead letters that the brokers have.
    """

    def __init__(
        self,
        cluster: Cluster,
        topics: Topics,
        written: Callable[[Sequence[Outcome], Sequence[Letter]], None] = lambda outcomes, dead: None,
    ) -> None:
        self._cluster = cluster
        self._topics = topics
        self._written = written
        self._producers: dict[str, Any] = {}
        self._lock = threading.Lock()

    def write(self, outcomes: Sequence[Outcome], *, dead: Sequence[Letter] = (), parked: Sequence[Letter] = ()) -> None:
        """Write letters, then outcomes; raises `NotWritten`."""
        self._letters(self._topics.parked, parked)
        self._letters(self._topics.dead_letters, dead)
        records = [(one.key.encode(), msgspec.json.encode(one)) for one in outcomes]
        topic = self._topics.outcomes
        futures = [self._send(topic, key=key, value=value) for key, value in records]
        for future in futures:
            self._taken(topic, future)
        self._written(outcomes, dead)
        for one in outcomes:
            if one.outcome == "dead-lettered":
                log.warning("%s: %s is a dead letter: %s: %s", one.trigger, one.key, one.code, one.why, extra=one.about)

    def close(self) -> None:
        """Let the producers go."""
        for topic in list(self._producers):
            self._drop(topic)

    def _letters(self, topic: str, several: Sequence[Letter]) -> None:
        """Write letters; one that is too large for the topic is shortened to its beginning and its hash."""
        sent = [(one, self._letter(topic, one)) for one in several]
        for one, future in sent:
            try:
                self._taken(topic, future)
            except _TooLarge:  # or only its neighbours were
                try:
                    self._taken(topic, self._letter(topic, one))
                except _TooLarge:
                    self._taken(topic, self._letter(topic, letters.shortened(one)))

    def _letter(self, topic: str, one: Letter) -> Any:
        value, headers = letters.encode(one)
        return self._send(topic, key=one.key.encode(errors="replace"), value=value, headers=headers)

    def _send(self, topic: str, **record: Any) -> Any:
        try:
            with self._lock:
                if topic not in self._producers:
                    self._producers[topic] = self._cluster.producer()
                producer = self._producers[topic]
            return producer.send(topic, **record)
        except MessageSizeTooLargeError as error:
            return error
        except Exception as error:  # kafka-python raises many kinds, with no common root that leaves out bugs
            self._drop(topic)
            raise NotWritten(f"{type(error).__name__}: {error}", where=f"topic {topic}") from None

    def _taken(self, topic: str, future: Any) -> None:
        try:
            if isinstance(future, Exception):
                raise future
            future.get(timeout=ACKNOWLEDGED_S)
        except (MessageSizeTooLargeError, InvalidRecordError):
            raise _TooLarge("is too large", where=f"topic {topic}") from None
        except Exception as error:
            self._drop(topic)
            raise NotWritten(f"{type(error).__name__}: {error}", where=f"topic {topic}") from None

    def _drop(self, topic: str) -> None:
        with self._lock:
            producer = self._producers.pop(topic, None)
        if producer is not None:
            producer.close(timeout=2)


class _TooLarge(NotWritten):
    pass
