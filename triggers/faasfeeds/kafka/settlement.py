"""What becomes of each record after its batch came back: final, again, or dead. Pure decisions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from eventflow.batch import DEFERRED, Failure, Message, Report

UNCOUNTED = frozenset({"unavailable", "throttled", "in_progress", "over_limit", "deadline", DEFERRED})
"""Failures that are an outage or a matter of turn, never the record's own: no attempt is counted for them."""


class Verdict(msgspec.Struct, frozen=True):
    """What happens with one record next: it is delivered ``again``, in ``delay`` seconds; ``dead`` failures are for
    the dead-letter topic. With neither, the record is final."""

    message: Message
    again: Message | None = None
    delay: float = 0.0
    dead: tuple[Failure, ...] = ()


def settle(messages: Iterable[Message], report: Report, *, max_attempts: int) -> list[Verdict]:
    """Judge every record of a delivered batch by the batch's report."""
    failures: dict[tuple[str, int, int], list[Failure]] = {}
    for failure in report.failed:
        origin = failure.origin
        failures.setdefault((origin.topic, origin.partition, origin.offset), []).append(failure)
    return [
        _verdict(message, failures.get((message.topic, message.partition, message.offset), []), max_attempts)
        for message in messages
    ]


def settle_failed(messages: Sequence[Message], why: str, *, max_attempts: int) -> list[list[Verdict]]:
    """Judge a batch that came to nothing as a whole, as the batches to deliver next.

    A batch of many is cut in half, until the one record that spoils it stands alone; only alone it uses up attempts.
    """
    if len(messages) > 1:
        half = len(messages) // 2
        return [[Verdict(message, again=message) for message in part] for part in (messages[:half], messages[half:])]
    message = messages[0]
    failure = Failure(origin=message.origin, stage="filter", code="sequence_failed", message=why, retryable=True)
    return [[_verdict(message, [failure], max_attempts)]]


def _verdict(message: Message, failures: list[Failure], max_attempts: int) -> Verdict:
    exhausted = message.attempt >= max_attempts
    counted = [failure for failure in failures if failure.retryable and failure.code not in UNCOUNTED]
    patient = [failure for failure in failures if failure.retryable and failure.code in UNCOUNTED]
    dead = [failure for failure in failures if not failure.retryable] + (counted if exhausted else [])
    retry = patient + ([] if exhausted else counted)
    if not retry:
        return Verdict(message, dead=tuple(dead))
    functions = tuple(failure.function for failure in retry if failure.function is not None)
    attempt = message.attempt + (1 if counted and not exhausted else 0)
    again = msgspec.structs.replace(message, only=functions or message.only, attempt=attempt)
    urgent = all(failure.code == DEFERRED for failure in retry)
    delay = 0.0 if urgent else min(60.0, 0.5 * 2.0**message.attempt)
    return Verdict(message, again=again, delay=delay, dead=tuple(dead))
