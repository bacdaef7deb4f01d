"""What became of every item, and what could not be done: two topics, written before any offset is committed."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import msgspec

from eventflow.batch import Done, Failure, Message
from eventflow.errors import FaasError
from faasfeeds.kafka.cluster import Cluster

ACKNOWLEDGED_S = 30.0
"""Seconds within which the broker must have taken a record."""


class NotWritten(FaasError):
    """The broker did not take an outcome; nothing may be committed that depends on it."""


class Outcomes:
    """Writes outcome records (key: the job key) and dead letters (the original record, with headers)."""

    def __init__(self, cluster: Cluster, outcomes: str, dead_letters: str) -> None:
        self._cluster = cluster
        self._outcomes = outcomes
        self._dead_letters = dead_letters
        self._producer: Any = None

    def write(self, done: Iterable[Done], dead: Iterable[tuple[Message, Failure]], *, activation: str, at: str) -> None:
        """Write and wait until the broker has everything; raises `NotWritten`."""
        if self._producer is None:
            self._producer = self._cluster.producer()
        try:
            futures = [
                self._producer.send(
                    self._outcomes,
                    key=entry.key.encode(),
                    value=msgspec.json.encode({**msgspec.to_builtins(entry), "activation": activation, "time": at}),
                )
                for entry in done
            ]
            for message, failure in dead:
                futures += self._dead(message, failure, activation, at)
            for future in futures:
                future.get(timeout=ACKNOWLEDGED_S)
        except Exception as error:  # kafka-python raises many kinds; a refused record kills an idempotent producer
            self.close()
            raise NotWritten(f"the broker did not take an outcome: {type(error).__name__}: {error}") from None

    def _dead(self, message: Message, failure: Failure, activation: str, at: str) -> list[Any]:
        key = f"{failure.id}/{failure.function}" if failure.id and failure.function else str(failure.origin)
        headers = {
            "faaserrordest": failure.destination or "",
            "faaserrorcode": failure.code,
            "faaserrordata": failure.message,
            "faaserrorstage": failure.stage,
            "faasattempts": str(message.attempt),
            "faasfunction": failure.function or "",
            "faasorigin": str(failure.origin),
        }
        value = message.value.encode() if message.value is not None else None
        if message.value_b64 is not None:
            value = base64.b64decode(message.value_b64)
        outcome = {
            "key": key,
            "outcome": "dead-lettered",
            "reason": failure.code,
            "function": failure.function,
            "origin": msgspec.to_builtins(failure.origin),
            "activation": activation,
            "time": at,
        }
        return [
            self._producer.send(
                self._dead_letters,
                key=key.encode(),
                value=value,
                headers=[(name, text.encode()) for name, text in headers.items()],
            ),
            self._producer.send(self._outcomes, key=key.encode(), value=msgspec.json.encode(outcome)),
        ]

    def close(self) -> None:
        """Let the producer go."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            producer.close(timeout=5)
