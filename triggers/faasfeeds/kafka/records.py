"""Kafka records as messages. Pure."""

from __future__ import annotations

from typing import Any, Protocol

from eventflow.batch import Message
from faasfeeds.kafka.letters import texts


class ConsumerRecord(Protocol):
    """The fields of kafka-python's `ConsumerRecord` that are used."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Any


def message(record: ConsumerRecord, only: tuple[str, ...] | None = None) -> Message:
    """A record as it is delivered: text when it is UTF-8, base64 when not; a tombstone has no value."""
    text, encoded = texts(record.value)
    key = record.key.decode("utf-8", "replace") if record.key is not None else None
    headers = [(name, (value or b"").decode("utf-8", "replace")) for name, value in record.headers or ()]
    return Message(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp=record.timestamp,
        key=key,
        value=text,
        value_b64=encoded,
        headers=headers or None,
        only=only,
    )
