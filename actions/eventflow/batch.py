"""What travels through the sequence: a batch in, a batch out, and a report that adds up.

A batch carries work items (one event for one function each) and the report of everything that is settled. A step
that cannot do an item moves it to `report.failed` and goes on with the others. Every message that came in ends as
exactly one of filtered, duplicate, matched or failed; every item as exactly one of done or failed.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeVar

import msgspec

from eventflow.errors import FaasError, ItemError
from eventflow.event import Event

SCHEMA = 1
RESULT_LIMIT = 900_000
"""Bytes that a step's result may have; OpenWhisk cuts results at 1 MiB, the rest is room for its own record."""

DEFERRED = "deferred"
"""The code of an item that was surplus in a batch grown too large: no failure, it is delivered again at once."""

Stage = Literal["filter", "mint", "augment", "submit"]
Outcome = Literal["submitted", "invoked", "duplicate"]


class BatchError(FaasError):
    """The whole batch is not what this step reads; the feed delivers it again."""


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A Kafka record as the feed delivers it: text as ``value``, other bytes as ``value_b64``, a tombstone as neither.

    ``timestamp`` is in milliseconds; ``attempt`` counts deliveries from 1; ``only`` names the functions that a
    redelivery is for. ``run`` counts the deliberate second runs: of an event whose job failed for good, say.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: str | None = None
    value: str | None = None
    value_b64: str | None = None
    headers: list[tuple[str, str]] | None = None
    attempt: int = 1
    only: tuple[str, ...] | None = None
    run: int = 0

    @property
    def origin(self) -> Origin:
        """Where the record stands in Kafka."""
        return Origin(topic=self.topic, partition=self.partition, offset=self.offset)

    def content(self) -> bytes:
        """The record's value; raises `ItemError` (``unparsable``) for a tombstone or broken base64."""
        if self.value is not None:
            return self.value.encode("utf-8", "surrogatepass")
        if self.value_b64 is None:
            raise ItemError("the record has no value", code="unparsable")
        try:
            return base64.b64decode(self.value_b64, validate=True)
        except ValueError:
            raise ItemError("value_b64 is not base64", code="unparsable") from None


class Origin(msgspec.Struct, frozen=True, order=True):
    """A record's place in Kafka."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """What the feed fires the trigger with. ``deadline`` (ms): after it, nothing of the batch is submitted."""

    schema: int
    deadline: int
    messages: tuple[Message, ...]


class Registered(msgspec.Struct, frozen=True, omit_defaults=True):
    """A function as the registry holds it: its spec as JSON, its version, and the hash of its code.

    ``paused`` says that it is, and whether its events are parked or dropped meanwhile.
    """

    spec: dict[str, Any]
    version: str
    code: str
    paused: Literal["park", "drop"] | None = None


class Item(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event for one function.

    ``tokens`` is the sealed text of `mint_tokens`; ``envelope`` the self-sufficient event of `augment_event`, still
    without its tokens.
    """

    origin: Origin
    event: Event
    function: str
    captures: dict[str, str] = {}
    attempt: int = 1
    run: int = 0
    tokens: str | None = None
    envelope: dict[str, Any] | None = None

    @property
    def key(self) -> str:
        """The job key: it has no version, so that neither a push nor a restart changes it."""
        return job_key(self.event.id, self.function, self.run)


def job_key(event: str, function: str, run: int = 0) -> str:
    """The key of an event's job for a function; a deliberate second run has one of its own."""
    return f"{event}/{function}#{run}" if run else f"{event}/{function}"


def key_parts(key: str) -> tuple[str, str, int]:
    """Event, function and run of a job key."""
    event, _, rest = key.rpartition("/")
    function, _, run = rest.partition("#")
    return event, function, int(run) if run.isdecimal() else 0


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What could not be done, where and why. ``function`` is absent when the record itself is at fault."""

    origin: Origin
    stage: Stage
    code: str
    message: str
    retryable: bool
    id: str | None = None
    function: str | None = None
    destination: str | None = None


class Done(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An item that is settled; ``job`` and ``destination`` tell which job of which schedd it became, ``bytes_in`` and
    ``bytes_out`` what a function that was done in place read and wrote."""

    origin: Origin
    key: str
    function: str
    version: str
    outcome: Outcome
    destination: str | None = None
    job: str | None = None
    bytes_in: int | None = None
    bytes_out: int | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The books of one batch; `imbalance` tells whether they balance. ``minted`` counts the storage tokens made."""

    received: int = 0
    filtered: dict[str, int] = {}
    duplicate: int = 0
    matched: int = 0
    items: int = 0
    minted: int = 0
    done: tuple[Done, ...] = ()
    failed: tuple[Failure, ...] = ()

    def imbalance(self) -> tuple[int, int]:
        """Records and items that are not accounted for: (0, 0) when the books balance."""
        records = sum(1 for failure in self.failed if failure.function is None)
        settled = sum(self.filtered.values()) + self.duplicate + self.matched + records
        return self.received - settled, self.items - len(self.done) - (len(self.failed) - records)


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """The form in which work travels from step to step. ``functions`` holds each item's function once."""

    schema: int
    deadline: int
    functions: dict[str, Registered]
    work: tuple[Item, ...]
    report: Report


T = TypeVar("T", Delivery, Batch)


def read(args: Mapping[str, Any], kind: type[T]) -> T:
    """Read an action's arguments. `__ow_headers` is never looked at: it holds the caller's key.

    Raises `BatchError` for another schema or shape: a deploy under load may pair an old step with a new one, and
    the delivery is then simply made again.
    """
    if args.get("schema") != SCHEMA:
        raise BatchError(f"schema {args.get('schema')!r} is not {SCHEMA}", hint="all steps must be of one deploy")
    try:
        return msgspec.convert(args, kind)
    except msgspec.ValidationError as error:
        raise BatchError(f"not a {kind.__name__.lower()}: {error}") from None


def failure(item: Item, stage: Stage, error: ItemError) -> Failure:
    """The failure of one item."""
    return Failure(
        origin=item.origin,
        id=item.event.id,
        function=item.function,
        stage=stage,
        code=error.code,
        message=str(error)[:500],
        retryable=error.retryable,
        destination=error.destination,
    )


def each(batch: Batch, stage: Stage, step: Callable[[Item], Item]) -> Batch:
    """Apply a step to every item; those that raise `ItemError` move to the report, the others go on."""
    work: list[Item] = []
    failed: list[Failure] = []
    for item in batch.work:
        try:
            work.append(step(item))
        except ItemError as error:
            failed.append(failure(item, stage, error))
    return settle(batch, work=work, failed=failed)


def settle(
    batch: Batch, *, work: Iterable[Item] = (), failed: Iterable[Failure] = (), done: Iterable[Done] = ()
) -> Batch:
    """The batch with what is left to do, and with more entries in its report."""
    report = msgspec.structs.replace(
        batch.report, failed=(*batch.report.failed, *failed), done=(*batch.report.done, *done)
    )
    return msgspec.structs.replace(batch, work=tuple(work), report=report)


def result(batch: Batch, stage: Stage, *, limit: int = RESULT_LIMIT) -> dict[str, Any]:
    """The action's result: plain JSON types, and never above ``limit`` bytes.

    Surplus items are moved to the report as deferred, from the end, so that the first of a batch are never starved.
    """
    surplus = len(msgspec.json.encode(batch)) - limit
    work = list(batch.work)
    deferred: list[Failure] = []
    while surplus > 0 and work:
        item = work.pop()
        late = failure(item, stage, ItemError("the batch grew too large", code=DEFERRED, retryable=True))
        surplus += len(msgspec.json.encode(late)) - len(msgspec.json.encode(item))
        deferred.append(late)
    if deferred:
        batch = settle(batch, work=work, failed=deferred)
    if not work:
        batch = msgspec.structs.replace(batch, functions={})
    plain = msgspec.to_builtins(batch)
    assert isinstance(plain, dict)
    return plain
