"""The format of the topic `outcomes`: what became of every item, one record each. Pure.

It is the one source of books, audit, trace, usage, and of duplicates beyond the schedd's queue. A record's key is the
job key (``<event id>/<function>``), or for a record of Kafka that became no event its place there; the value is JSON.
An item may have several records: ``parked`` ones while it waits, ``duplicate`` ones when it came again. Each batch's
are written before its offsets are committed, so after a crash some may be there twice.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from eventflow import watching
from eventflow.batch import Done, Failure, Message, Origin, job_key, key_parts
from eventflow.errors import FaasError
from eventflow.watching import Watched

Word = Literal["submitted", "invoked", "duplicate", "dead-lettered", "parked"] | watching.Word
"""What became of an item in the feed, and of its job in its pool."""

JOB: frozenset[str] = frozenset({"submitted", "invoked", "duplicate"})
"""The words that say that the item was done."""

SETTINGS = {"cleanup.policy": "delete", "retention.ms": str(90 * 86_400_000)}
"""Settings of the topic when it is made."""


JOB_ENDS: frozenset[str] = frozenset({"completed", "failed", "removed", "expired"})
"""The words that say that a job is over."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """How a job ran, by its pool: unix seconds when it was queued, last started, and came to what is told (``entered``,
    which tells two holds of one job apart); ``wall`` seconds of all its starts together; its cores, its accounting
    group, its exit code."""

    entered: int
    queued: float
    started: float | None = None
    wall: float = 0.0
    cpus: int = 1
    starts: int = 0
    exit: int | None = None
    group: str | None = None


class BadOutcome(FaasError):
    """A record on the topic of outcomes that is none."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one item.

    ``time`` is when it became so, RFC 3339 in UTC; ``written`` when its record was written to Kafka (unix ms);
    ``origin`` that record's place. ``activation`` is the sequence's in OpenWhisk; ``destination`` and ``job`` tell
    which job of which schedd the item became. ``code``, ``stage`` and ``why`` say what was the matter with it, and
    ``attempts`` how often it was tried;
    ``run`` is there when its job is told of. ``bytes_in`` and ``bytes_out`` are what the function read from the storage
    and wrote there, once it ran and where that is known.
    """

    key: str
    outcome: Word
    time: str
    trigger: str
    origin: Origin
    written: int = 0
    id: str | None = None
    function: str | None = None
    version: str | None = None
    rule: str | None = None
    activation: str | None = None
    destination: str | None = None
    job: str | None = None
    code: str | None = None
    stage: str | None = None
    why: str | None = None
    attempts: int = 1
    run: Run | None = None
    bytes_in: int | None = None
    bytes_out: int | None = None

    @property
    def is_final(self) -> bool:
        """Whether the feed has nothing more to do for it by itself."""
        return self.outcome in JOB or self.outcome == "dead-lettered"

    @property
    def about(self) -> dict[str, str | None]:
        """What a line of a log names that is about it."""
        return {
            "trigger": self.trigger,
            "event": self.id,
            "function": self.function,
            "topic": self.origin.topic,
            "schedd": self.destination,
            "job": self.job,
            "code": self.code,
        }

    @property
    def time_ms(self) -> int:
        """``time`` as unix milliseconds."""
        return int(datetime.fromisoformat(self.time).timestamp() * 1000)


def of_done(done: Done, message: Message, *, trigger: str, rule: str | None, activation: str, now: float) -> Outcome:
    """The outcome of an item that the sequence reported as done."""
    return Outcome(
        key=done.key,
        outcome=done.outcome,
        time=utc(now),
        trigger=trigger,
        origin=done.origin,
        written=message.timestamp,
        id=key_parts(done.key)[0],
        function=done.function,
        version=done.version,
        rule=rule,
        activation=activation or None,
        destination=done.destination,
        job=done.job,
        attempts=message.attempt,
        bytes_in=done.bytes_in,
        bytes_out=done.bytes_out,
    )


def of_failure(
    failure: Failure,
    message: Message,
    outcome: Literal["dead-lettered", "parked"],
    *,
    trigger: str,
    rule: str | None,
    activation: str,
    now: float,
) -> Outcome:
    """The outcome of an item, or a whole record, that could not be done."""
    known = failure.id and failure.function
    key = job_key(failure.id or "", failure.function or "", message.run) if known else str(message.origin)
    return Outcome(
        key=key,
        outcome=outcome,
        time=utc(now),
        trigger=trigger,
        origin=message.origin,
        written=message.timestamp,
        id=failure.id,
        function=failure.function,
        rule=rule,
        activation=activation or None,
        destination=failure.destination,
        code=failure.code,
        stage=failure.stage,
        why=failure.message,
        attempts=message.attempt,
    )


def of_job(row: Watched, word: Word, submitted: Outcome | None, *, now: float) -> Outcome:
    """The outcome of a job that ended or is held; ``submitted`` tells where it came from, as far as that is known."""
    known = submitted or Outcome(
        key=row.key, outcome=word, time="", trigger="", origin=_origin(row.origin), function=row.function
    )
    return msgspec.structs.replace(
        known,
        key=row.key,
        outcome=word,
        time=utc(min(now, row.since)),
        id=key_parts(row.key)[0],
        function=row.function,
        version=row.version,
        destination=row.schedd,
        job=row.id,
        stage="job",
        code=f"exit_{row.exit}" if word == "failed" else None if word == "completed" else word,
        why=row.why,
        bytes_in=row.bytes_in,
        bytes_out=row.bytes_out,
        run=Run(
            entered=row.entered,
            queued=row.queued,
            started=row.started,
            wall=row.wall,
            cpus=row.cpus,
            starts=row.starts,
            exit=row.exit,
            group=row.group,
        ),
    )


def _origin(text: str) -> Origin:
    parts = text.rsplit("/", 2)
    try:
        return Origin(topic=parts[0], partition=int(parts[1]), offset=int(parts[2]))
    except (IndexError, ValueError):
        return Origin(topic=text, partition=-1, offset=-1)


def decode(record: Any) -> Outcome:
    """The outcome that a record of Kafka holds; raises `BadOutcome`. Unknown fields are ignored."""
    try:
        found = msgspec.json.decode(record.value or b"", type=Outcome)
        datetime.fromisoformat(found.time)
        return found
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors, too
        place = f"{record.topic}/{record.partition}/{record.offset}"
        raise BadOutcome(f"is no outcome: {error}", where=place) from None


def utc(seconds: float) -> str:
    """A point in time as RFC 3339, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
