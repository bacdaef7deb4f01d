"""Kafka records as messages, and messages as batches under the limits. Pure."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import msgspec

from eventflow.batch import Message


class ConsumerRecord(Protocol):
    """The fields of kafka-python's `ConsumerRecord` that are used."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Any


def message(record: ConsumerRecord) -> Message:
    """A record as it is delivered: text when it is UTF-8, base64 when not; a tombstone has no value."""
    text, encoded = _text(record.value)
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
    )


def batches(messages: Iterable[Message], *, records: int, size: int) -> Iterator[list[Message]]:
    """Cut messages into batches of at most ``records`` and about ``size`` bytes of JSON, in order.

    A message that is too large alone comes alone: what becomes of it is decided where it is delivered.
    """
    batch: list[Message] = []
    used = 0
    for one in messages:
        length = len(msgspec.json.encode(one))
        if batch and (len(batch) >= records or used + length > size):
            yield batch
            batch, used = [], 0
        batch.append(one)
        used += length
    if batch:
        yield batch


def _text(value: bytes | None) -> tuple[str | None, str | None]:
    if value is None:
        return None, None
    try:
        return value.decode(), None
    except UnicodeDecodeError:
        return None, base64.b64encode(value).decode()
