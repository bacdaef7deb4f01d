"""What happened to an event: put together from its record, the outcomes, the activations and the queue.

The outcomes say what is final; the record when it began; the activation how long each step took; the queue where a
job is that has not ended.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from kafka import TopicPartition

from eventflow.batch import Origin, key_parts
from eventflow.dcache import Filtered
from eventflow.errors import FaasError, ItemError
from eventflow.event import Event
from eventflow.filtering import Topic, decode
from eventflow.watching import Watch, Watched
from faasctl import history
from faasctl.doctor.openwhisk import client
from faasctl.environment import Environment
from faasctl.functions.site import pools
from faasctl.kafka import cluster
from faasfeeds.condor.originals import Originals
from faasfeeds.kafka import records
from faasfeeds.outcomes import JOB_ENDS, Outcome, utc

TRIGGER = "storage-events"


class NotFound(FaasError):
    """Nothing is known of an event."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A record on a topic of events: its place, when it was written (unix s), the event that it tells of, or why it
    tells of none."""

    origin: Origin
    at: float
    event: Event | None = None
    why: str | None = None


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened: when (unix s), what, to which function, and what there is to say of it."""

    at: float
    what: str
    function: str | None = None
    note: str = ""

    @property
    def time(self) -> str:
        """RFC 3339."""
        return utc(self.at)


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """An event's steps in order; ``state`` says in a few words how things stand."""

    event: str
    subject: str | None
    state: str
    steps: tuple[Step, ...]


def trace(env: Environment, wanted: str, since: float) -> list[Trace]:
    """The traces of an event (its id or a job key), a path, or a job (``cluster.proc``), newest last.

    Raises `NotFound` when neither the topics nor the outcomes since then tell of it.
    """
    told = list(history.read(env, since))
    if wanted.startswith("/"):
        seen = [one for one in _records(env, since) if one.event is not None and one.event.subject == wanted]
    else:
        chosen = [one for one in told if wanted in (one.id, one.key, one.job)]
        seen = _of_places(env, sorted({one.origin for one in chosen}))
        if not seen:
            seen = [one for one in _records(env, since) if one.event is not None and one.event.id == wanted]
    by_event: dict[str, list[Seen]] = {}
    for one in seen:
        by_event.setdefault(one.event.id if one.event is not None else str(one.origin), []).append(one)
    if not by_event:
        hint = "give an earlier --since; faasctl event match says what a record would fire"
        raise NotFound(f"neither the topics nor the outcomes since {utc(since)} tell of {wanted}", hint=hint)
    settled = _committed(env, [one.origin for one in seen])
    queues = pools(env)
    return [
        _trace(env, event, several, [one for one in told if _is_of(one, event, several)], settled, queues)
        for event, several in by_event.items()
    ]


def _trace(
    env: Environment,
    event: str,
    seen: Sequence[Seen],
    told: Sequence[Outcome],
    settled: Mapping[Origin, bool],
    queues: Mapping[str, Watch],
) -> Trace:
    told = sorted(told, key=lambda one: one.time)
    rows = list(_in_queue(told, queues))
    steps = [
        Step(at=one.at, what="written", note=f"{one.event.type if one.event else one.why}  {one.origin}")
        for one in seen
    ]
    steps += [
        step
        for activation in dict.fromkeys(one.activation for one in told if one.activation)
        for step in _activation(env, activation)
    ]
    steps += [Step(at=one.time_ms / 1000, what=one.outcome, function=one.function, note=_note(one)) for one in told]
    steps += [
        Step(at=row.since, what=f"job {row.state}", function=row.function, note=f"{row.schedd} {row.id}")
        for row in rows
        if row.word is None
    ]
    subject = next((one.event.subject for one in seen if one.event is not None), None)
    is_settled = all(settled.get(one.origin, False) for one in seen)
    return Trace(
        event=event,
        subject=subject,
        state=state(seen, told, rows, is_settled),
        steps=tuple(sorted(steps, key=lambda step: step.at)),
    )


def state(seen: Sequence[Seen], told: Sequence[Outcome], rows: Iterable[Watched], is_settled: bool) -> str:
    """How things stand, in a few words; pure. ``is_settled`` says that the feed is done with all the records."""
    why = next((one.why for one in seen if one.why is not None), None)
    if why is not None:
        return f"filtered: {why}"
    if not told:
        return "filtered: no function waited for it" if is_settled else "still on its way: in the feed"
    live = {row.key: row.state for row in rows if row.word is None}
    last: dict[str, Outcome] = {}
    for one in told:
        if one.outcome != "duplicate" or one.key not in last:
            last[one.key] = one
    return ", ".join(
        f"{key_parts(key)[1] or 'record'}: {live.get(key, one.outcome)}" for key, one in sorted(last.items())
    )


def _note(one: Outcome) -> str:
    parts = [
        f"{one.destination} {one.job}" if one.job else one.destination,
        f"{one.code}: {one.why}" if one.code and one.run is None else one.why,
        f"attempt {one.attempts}" if one.attempts > 1 and one.run is None else None,
        f"ran {one.run.wall:.1f} s, start {one.run.starts}" if one.run is not None and one.run.started else None,
    ]
    return "  ".join(part for part in parts if part)


def _is_of(one: Outcome, event: str, seen: Sequence[Seen]) -> bool:
    return one.id == event or (one.id is None and one.origin in {record.origin for record in seen})


def _records(env: Environment, since: float) -> Iterator[Seen]:
    topics = _topics(env)
    for record in history.records(cluster(env), tuple(topics), since):
        yield _seen(records.message(record), topics)


def _of_places(env: Environment, origins: Iterable[Origin]) -> list[Seen]:
    originals = Originals(cluster(env))
    try:
        return [_seen(message, _topics(env)) for message in originals.fetch(origins).values()]
    finally:
        originals.close()


def _seen(message: Any, topics: Mapping[str, Topic]) -> Seen:
    at = message.timestamp / 1000
    try:
        found = decode(message, topics)
    except ItemError as error:
        return Seen(origin=message.origin, at=at, why=str(error))
    if isinstance(found, Filtered):
        return Seen(origin=message.origin, at=at, why=found.reason)
    return Seen(origin=message.origin, at=at, event=found)


def _topics(env: Environment) -> dict[str, Topic]:
    return {name: Topic(instance=one.instance, format=one.format) for name, one in env.kafka.topics.items()}


def _committed(env: Environment, origins: Iterable[Origin]) -> dict[Origin, bool]:
    """Whether the feed's group has committed beyond each place."""
    consumer = cluster(env).consumer(f"/{env.openwhisk.platform.namespace}/{TRIGGER}")  # it never joins
    try:
        return {
            origin: (consumer.committed(TopicPartition(origin.topic, origin.partition)) or 0) > origin.offset
            for origin in set(origins)
        }
    finally:
        consumer.close()


def _activation(env: Environment, id: str) -> Iterator[Step]:
    """The steps of a sequence's activation, as long as OpenWhisk keeps it; its logs are the steps' ids."""
    openwhisk = client(env)
    try:
        sequence = openwhisk.activation(id)
        for part in (sequence or {}).get("logs", ()):
            record = openwhisk.activation(str(part))
            if record is not None:
                failed = "" if record["response"].get("success") else "  failed"
                note = f"{record.get('duration', 0)} ms  activation {part}{failed}"
                yield Step(at=record["start"] / 1000, what=str(record["name"]), note=note)
    except FaasError as error:
        yield Step(at=time.time(), what="activation", note=f"{id} cannot be read: {error}")


def _in_queue(told: Sequence[Outcome], queues: Mapping[str, Watch]) -> Iterator[Watched]:
    """The jobs whose end was not told, as their schedd knows them now."""
    ended = {(one.destination, one.job) for one in told if one.outcome in JOB_ENDS}
    asked: dict[str, list[str]] = {}
    for one in told:
        if one.job and one.destination in queues and (one.destination, one.job) not in ended:
            asked.setdefault(one.destination or "", []).append(one.job)
    for schedd, ids in asked.items():
        yield from queues[schedd].recall(list(dict.fromkeys(ids)))
