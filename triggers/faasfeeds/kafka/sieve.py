"""The coarse prefilter: what no function could want is not fired, and each event's id is known before it is.

It reads records with the very code of the first action, against a snapshot of the registry that is newer than the
record. The first action still decides: the sieve only spares it what certainly comes to nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import msgspec

from eventflow import dcache
from eventflow.batch import Failure, Message, Origin
from eventflow.dcache import Filtered
from eventflow.errors import FaasError, ItemError
from eventflow.event import Event
from eventflow.filtering import FORMATS, Topic, match
from eventflow.registry import Registry, Snapshot
from faasfeeds.kafka.records import ConsumerRecord

log = logging.getLogger(__name__)


class RegistryAway(FaasError):
    """The registry of functions cannot be read: records wait."""


class Wanted(msgspec.Struct, frozen=True):
    """An event and the functions that it would fire."""

    id: str
    functions: tuple[str, ...]


class Sieve:
    """Sifts records. ``topics`` and ``identities`` are the environment's, as `filter_event` has them.

    Without ``prefilter`` events that match nothing are wanted too.
    """

    def __init__(
        self, topics: Mapping[str, Topic], registry: Registry, identities: frozenset[str], *, prefilter: bool = True
    ) -> None:
        self._formats = {name: (FORMATS[topic.format], topic.instance) for name, topic in topics.items()}
        self._registry = registry
        self._identities = identities
        self._snapshot: Snapshot | None = None
        self.prefilter = prefilter

    def refresh(self, newest_ms: int) -> None:
        """Make sure that the snapshot is newer than a record of that time; raises `RegistryAway`."""
        try:
            self._snapshot = self._registry.snapshot(newest_ms)
        except ItemError as error:
            raise RegistryAway(error.why, hint="is the OpenWhisk host up?") from None

    def sift(self, record: ConsumerRecord) -> Wanted | Failure | str:
        """What a record is: wanted, a dead letter, or filtered for a reason."""
        assert self._snapshot is not None
        try:
            decode, instance = self._formats[record.topic]
            if record.value is None:
                raise ItemError("the record has no value", code="unparsable")
            if self.prefilter and decode is dcache.decode:
                event = dcache.decode_wanted(record.value, instance, self._snapshot.index.wants)
            else:
                event = decode(record.value, instance)
        except ItemError as error:
            return _failure(record, error)
        except Exception as error:  # a bug: one record that nobody thought of must not stop all behind it for ever
            log.exception("%s/%d/%d: could not be read", record.topic, record.partition, record.offset)
            return _failure(record, ItemError(f"{type(error).__name__}: {error}", code="internal"))
        if isinstance(event, Filtered):
            return event.reason
        return self._matched(event)

    def event_id(self, message: Message) -> str:
        """The claim of a message that came back: its event's id, or its place when it cannot be read."""
        try:
            decode, instance = self._formats[message.topic]
            event = decode(message.content(), instance)
        except (ItemError, KeyError):
            return str(message.origin)
        return event.id if isinstance(event, Event) else str(message.origin)

    def _matched(self, event: Event) -> Wanted | str:
        assert self._snapshot is not None
        found = match(event, self._snapshot, self._identities)
        if not found and self.prefilter:
            return "no_match"
        return Wanted(event.id, tuple(found))


def _failure(record: ConsumerRecord, error: ItemError) -> Failure:
    place = Origin(topic=record.topic, partition=record.partition, offset=record.offset)
    return Failure(origin=place, stage="filter", code=error.code, message=str(error)[:500], retryable=False)
