"""The first step: records become events, events find their functions.

Every record is accounted for: filtered with a reason, a duplicate within the batch, matched, or failed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import msgspec

from eventflow import cloudevents, dcache
from eventflow.batch import SCHEMA, Batch, Delivery, Failure, Item, Message, Report, failure
from eventflow.dcache import Filtered
from eventflow.errors import ItemError
from eventflow.event import Event
from eventflow.registry import Registry, Snapshot

Decode = Callable[[bytes, str], Event | Filtered]
FORMATS: Mapping[str, Decode] = {"dcache": dcache.decode, "cloudevents": cloudevents.decode}
BY_HAND = "@by-hand"
"""The topic of events that were handed in by hand, as CloudEvents; no topic of Kafka can have such a name."""

PAUSED = ItemError("the function is paused", code="paused", retryable=True)
"""Why an event of a paused function waits; the feed parks it and counts no attempt."""


class Topic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a topic carries: records of ``format`` (dcache, cloudevents) about the storage ``instance``."""

    instance: str
    format: str


def run(
    delivery: Delivery, topics: Mapping[str, Topic], registry: Registry, platform_identities: frozenset[str]
) -> Batch:
    """Decode, de-duplicate and match a delivery.

    ``platform_identities`` are the storage user names under which the platform's own jobs write: their files
    fire only functions with ``chained: true``, so that no output starts its own processing by accident.
    """
    report = Counter[str]()
    filtered: Counter[str] = Counter()
    failed: list[Failure] = []
    events: dict[str, tuple[Message, Event]] = {}
    for message in delivery.messages:
        try:
            event = decode(message, topics)
        except ItemError as error:
            failed.append(_record_failure(message, error))
            continue
        if isinstance(event, Filtered):
            filtered[event.reason] += 1
        elif event.id in events:
            report["duplicate"] += 1
        else:
            events[event.id] = (message, event)

    items: list[Item] = []
    functions = {}
    if events:
        try:
            again = any(message.only is not None or message.attempt > 1 for message, _ in events.values())
            newest = max(message.timestamp for message, _ in events.values())
            snapshot = registry.current() if again else registry.snapshot(newest)
        except ItemError as error:
            failed += [_record_failure(message, error, event.id) for message, event in events.values()]
            events = {}
    for message, event in events.values():
        matches = match(event, snapshot, platform_identities)
        if message.only is None:
            wanted = {name: captures for name, captures in matches.items() if snapshot.functions[name].paused != "drop"}
            unwanted = {}
        else:
            wanted = {name: captures for name, captures in matches.items() if name in message.only}
            wanted = {name: captures for name, captures in wanted.items() if snapshot.functions[name].paused != "drop"}
            unwanted = {name: _unwanted(name, snapshot, matches) for name in message.only if name not in wanted}
        if not wanted and not unwanted:
            filtered["paused" if matches else "no_match"] += 1
            continue
        report["matched"] += 1
        report["items"] += len(wanted) + len(unwanted)
        for name, captures in wanted.items():
            item = Item(
                origin=message.origin,
                event=event,
                function=name,
                captures=captures,
                attempt=message.attempt,
                run=message.run,
            )
            if snapshot.functions[name].paused:
                failed.append(failure(item, "filter", PAUSED))
                continue
            functions[name] = snapshot.functions[name]
            items.append(item)
        for name, why in unwanted.items():
            item = Item(origin=message.origin, event=event, function=name, attempt=message.attempt, run=message.run)
            failed.append(failure(item, "filter", why))
    return Batch(
        schema=SCHEMA,
        deadline=delivery.deadline,
        functions=functions,
        work=tuple(items),
        report=Report(
            received=len(delivery.messages),
            filtered=dict(filtered),
            duplicate=report["duplicate"],
            matched=report["matched"],
            items=report["items"],
            failed=tuple(failed),
        ),
    )


def _unwanted(name: str, snapshot: Snapshot, matches: Mapping[str, object]) -> ItemError:
    """Why a function does not get an event that waited for it: it is never dropped without a word."""
    if name not in snapshot.functions:
        return ItemError(f"{name} is registered no more", code="gone")
    if name not in matches:
        return ItemError(f"{name} does not want the event any more", code="unwanted")
    return ItemError(f"{name} is paused, and its events are dropped", code="dropped")


def decode(message: Message, topics: Mapping[str, Topic]) -> Event | Filtered:
    """The event that a message tells of; raises `ItemError` (``unknown_topic`` and what the formats raise)."""
    topic = Topic(instance=BY_HAND, format="cloudevents") if message.topic == BY_HAND else topics.get(message.topic)
    if topic is None:
        raise ItemError(
            f"the environment has no topic {message.topic!r}",
            code="unknown_topic",
            hint=f"it has: {', '.join(sorted(topics)) or 'none'}",
        )
    return FORMATS[topic.format](message.content(), topic.instance)


def match(event: Event, snapshot: Snapshot, platform_identities: frozenset[str]) -> dict[str, dict[str, str]]:
    """The functions that an event fires, by full name, each with what its pattern captured."""
    own = (event.data.principal or {}).get("username") in platform_identities
    return {
        found.function.full_name: found.captures
        for found in snapshot.index.match(event)
        if found.function.chained or not own
    }


def _record_failure(message: Message, error: ItemError, event_id: str | None = None) -> Failure:
    return Failure(
        origin=message.origin,
        id=event_id,
        stage="filter",
        code=error.code,
        message=str(error)[:500],
        retryable=error.retryable,
        destination=error.destination,
    )


__all__ = ["FORMATS", "Topic", "decode", "failure", "match", "run"]
