"""A trigger that is fed, and the lifecycle contract of OpenWhisk's feeds (docs/feeds.md).

The feed action is called with `lifecycleEvent`, `triggerName` and `authKey`; everything else is the feed's own.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal, Protocol

import msgspec

from eventflow.errors import FaasError
from eventflow.seal import seal

RESERVED = frozenset({"lifecycleEvent", "triggerName", "authKey"})


class FeedError(FaasError):
    """The feed action was called with something that it cannot do."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a trigger's owner may choose. ``batch_bytes`` bounds the records' text in one firing."""

    topics: tuple[str, ...]
    start: Literal["earliest", "latest"] = "earliest"
    batch_records: int = msgspec.field(default=500)
    batch_bytes: int = msgspec.field(default=500_000)
    max_attempts: int = msgspec.field(default=5)


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """A fed trigger: its full name (``/namespace/name``, also the consumer group), and its sealed key."""

    trigger: str
    auth: str
    settings: Settings


class Registrations(Protocol):
    """Where registrations are kept."""

    def get(self, trigger: str) -> Registration | None:
        """One registration."""

    def put(self, registration: Registration) -> None:
        """Add or replace one, durably."""

    def delete(self, trigger: str) -> None:
        """Remove one; a missing one is fine."""

    def all(self) -> list[Registration]:
        """Every registration, as it is now."""


def handle(
    args: Mapping[str, Any],
    *,
    store: Registrations,
    allowed_topics: Collection[str],
    namespace: str,
    may_read: Callable[[str, str], bool],
    seal_key: bytes,
) -> dict[str, Any]:
    """Do what a lifecycle event asks for; the result is the feed action's.

    ``namespace`` stands in for ``_`` in the trigger's name; ``may_read(trigger, auth)`` tells whether a key can
    read the trigger: only who holds such a key may feed it. Raises `FeedError`.
    """
    event, trigger, auth = args.get("lifecycleEvent"), args.get("triggerName"), args.get("authKey")
    if not isinstance(trigger, str) or not trigger.startswith("/") or trigger.count("/") != 2:
        raise FeedError(f"triggerName {trigger!r} is not /namespace/name")
    trigger = trigger.replace("/_/", f"/{namespace}/", 1)
    if not isinstance(auth, str) or not may_read(trigger, auth):
        raise FeedError(f"the key cannot read the trigger {trigger}", hint="authKey must be the trigger's owner's")
    held = store.get(trigger)
    if event == "CREATE" or (event == "UPDATE" and held is not None):
        given = {name: value for name, value in args.items() if name not in RESERVED and not name.startswith("__ow_")}
        base = msgspec.to_builtins(held.settings) if event == "UPDATE" and held is not None else {}
        settings = decode_settings({**base, **given}, allowed_topics)
        store.put(Registration(trigger=trigger, auth=seal(auth, name=trigger, key=seal_key), settings=settings))
        return {"trigger": trigger, "config": msgspec.to_builtins(settings)}
    if event == "DELETE":
        store.delete(trigger)
        return {"trigger": trigger}
    if held is None:
        raise FeedError(f"the trigger {trigger} is not fed", hint="create it with lifecycleEvent CREATE")
    if event == "READ":
        return {"trigger": trigger, "config": msgspec.to_builtins(held.settings)}
    raise FeedError(f"unsupported lifecycleEvent {event!r}")


def decode_settings(given: Mapping[str, Any], allowed_topics: Collection[str]) -> Settings:
    """Strictly decode a caller's parameters; raises `FeedError` that names the parameter."""
    known = Settings.__struct_fields__
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise FeedError(f"unknown parameter {name!r}", hint=f"did you mean {near[0]!r}?" if near else "")
    topics = given.get("topics")
    if isinstance(topics, str):
        given = {**given, "topics": [topic.strip() for topic in topics.split(",")]}
    try:
        settings = msgspec.convert(given, Settings)
    except msgspec.ValidationError as error:
        raise FeedError(str(error)) from None
    if not settings.topics:
        raise FeedError("topics is empty")
    if unknown := [topic for topic in settings.topics if topic not in allowed_topics]:
        raise FeedError(
            f"the environment has no topic {', '.join(unknown)}", hint=f"it has: {', '.join(sorted(allowed_topics))}"
        )
    for name, low, high in (("batch_records", 1, 10_000), ("batch_bytes", 1_000, 700_000), ("max_attempts", 1, 100)):
        if not low <= getattr(settings, name) <= high:
            raise FeedError(f"{name} must be {low} to {high}")
    return settings
