"""The lifecycle contract of OpenWhisk's feeds (docs/feeds.md), with the parameters of the stock Kafka feed.

The feed action is called with `lifecycleEvent`, `triggerName` and `authKey`; everything else is the feed's own.
"""

from __future__ import annotations

import difflib
import hmac
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec

from eventflow.seal import SealError, seal, unseal
from faasfeeds.kafka.registration import FeedError, Registration, Registrations, Settings

RESERVED = frozenset({"lifecycleEvent", "triggerName", "authKey", "endpoint"})

_FROM_ENVIRONMENT = frozenset({"kafka_brokers_sasl", "kafka_admin_url", "user", "username", "password", "mechanism"})
_TEXT_OR_BASE64 = frozenset({"isJSONData", "isBinaryValue", "isBinaryKey"})
"""The stock feed's words for how values are encoded. Here each record says it itself: text comes as text, other bytes
as base64, and JSON is read by the first action."""


class Site(msgspec.Struct, frozen=True):
    """What the environment decides and no caller can: its topics and brokers, and the keys that seal triggers' keys
    (the first does, the second is the one before it).

    ``namespace`` stands in for ``_`` in a trigger's name.
    """

    topics: Collection[str]
    brokers: Collection[str]
    namespace: str
    seal_keys: tuple[bytes, ...]


def handle(
    args: Mapping[str, Any], *, store: Registrations, site: Site, may_read: Callable[[str, str], bool]
) -> dict[str, Any]:
    """Do what a lifecycle event asks for; the result is the feed action's.

    ``may_read(trigger, auth)`` tells whether a key can read the trigger: only who holds such a key may feed it. A
    trigger that is gone may still be let go of, with the key that it was registered with. Raises `FeedError`.
    """
    event, trigger, auth = args.get("lifecycleEvent"), args.get("triggerName"), args.get("authKey")
    if not isinstance(trigger, str) or not re.fullmatch(r"/[^/]+/[^/]+", trigger):
        raise FeedError(f"triggerName {trigger!r} is not /namespace/name")
    trigger = trigger.replace("/_/", f"/{site.namespace}/", 1)
    if not isinstance(auth, str) or not auth.isascii() or ":" not in auth:
        raise FeedError("authKey is not uuid:key", hint="it is the key of the trigger's owner")
    held = store.get(trigger)
    if not (may_read(trigger, auth) or (event == "DELETE" and _registered_with(held, auth, site.seal_keys))):
        raise FeedError(f"the key cannot read the trigger {trigger}", hint="authKey must be the trigger's owner's")
    if event == "DELETE":
        store.delete(trigger)
        return {"trigger": trigger}
    if event == "CREATE" or (event == "UPDATE" and held is not None):
        old = held if event == "UPDATE" else None
        base = msgspec.to_builtins(old.settings) if old is not None else {}
        settings = decode_settings({**base, **_own(args)}, site)
        paused = old is not None and old.paused
        held = Registration(trigger=trigger, auth=_sealed(auth, trigger, held, site), settings=settings, paused=paused)
        store.put(held)
    elif held is None:
        raise FeedError(f"the trigger {trigger} is not fed", hint="create it with lifecycleEvent CREATE")
    elif event in ("PAUSE", "UNPAUSE"):
        held = msgspec.structs.replace(held, paused=event == "PAUSE")
        store.put(held)
    elif event != "READ":
        raise FeedError(f"unsupported lifecycleEvent {event!r}")
    return {
        "trigger": trigger,
        "config": msgspec.to_builtins(held.settings),
        "status": {"active": not held.paused},
    }


def decode_settings(given: Mapping[str, Any], site: Site) -> Settings:
    """Strictly decode a caller's parameters; raises `FeedError` that names the parameter."""
    plain = _stock_names(given, site)
    known = Settings.__struct_fields__
    for name in plain:
        if name in _FROM_ENVIRONMENT:
            raise FeedError(f"{name} comes from the environment", hint="leave it out")
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise FeedError(f"unknown parameter {name!r}", hint=f"did you mean {near[0]!r}?" if near else "")
    if isinstance(topics := plain.get("topics"), str):
        plain["topics"] = [topic.strip() for topic in topics.split(",") if topic.strip()]
    try:
        settings = msgspec.convert(plain, Settings)
    except msgspec.ValidationError as error:
        raise FeedError(str(error)) from None
    if unknown := [topic for topic in settings.topics if topic not in site.topics]:
        raise FeedError(
            f"the environment has no topic {', '.join(unknown)}", hint=f"it has: {', '.join(sorted(site.topics))}"
        )
    return settings


def _stock_names(given: Mapping[str, Any], site: Site) -> dict[str, Any]:
    """The parameters in this feed's words; those of the stock feed are understood, so that triggers move over."""
    plain = {name: value for name, value in given.items() if name not in _TEXT_OR_BASE64}
    if "topic" in plain:
        plain["topics"] = [plain.pop("topic")]
    if (brokers := plain.pop("brokers", None)) is not None:
        named = brokers.split(",") if isinstance(brokers, str) else brokers
        if not isinstance(named, list) or not {str(one).strip() for one in named} <= set(site.brokers):
            raise FeedError("brokers names brokers that are not the environment's", hint="leave it out")
    return plain


def _own(args: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in args.items() if name not in RESERVED and not name.startswith("__ow_")}


def _sealed(auth: str, trigger: str, held: Registration | None, site: Site) -> str:
    """The key as it is written down: as before if it is the same, so that whoever feeds the trigger need not reopen."""
    newest = site.seal_keys[:1]
    if held is not None and _registered_with(held, auth, newest):
        return held.auth
    return seal(auth, name=trigger, key=newest[0])


def _registered_with(held: Registration | None, auth: str, seal_keys: Sequence[bytes]) -> bool:
    if held is None:
        return True
    try:
        known = unseal(held.auth, name=held.trigger, keys=seal_keys)
    except SealError:
        return False
    return hmac.compare_digest(str(known).encode(), auth.encode())
