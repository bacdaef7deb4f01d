"""The registry of functions: OpenWhisk itself.

A function is an action `<functions namespace>/<package>/<name>` whose annotation `faas` holds its spec, `faas-push`
what was pushed and `faas-state` whether it is paused. There is no second registry. A snapshot is kept in a warm
container and read again only when something may have changed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Protocol

import msgspec

from eventflow import function
from eventflow.batch import Registered
from eventflow.errors import FaasError, ItemError
from eventflow.function import Function
from eventflow.index import Index

SPEC = "faas"
PUSH = "faas-push"
STATE = "faas-state"

IN_FORCE_MS = 2000
"""A push is in force for every record produced this long after it returned."""

FRESH_MS = 5000
"""The longest that a snapshot is used without a look whether it still holds: what is delivered again, such as the
events of a function that was paused, is old itself and must see what has changed meanwhile."""

CLOCK_SKEW_MS = 1000
"""How far the clocks of Kafka's producers and of this machine may be apart."""


class Source(Protocol):
    """Where the registry's rows come from: `eventflow.clients.openwhisk.OpenWhisk`."""

    def get(self, collection: str, name: str = "", /, **query: str | int) -> Any:
        """One entity or one page of a list."""

    def pages(self, collection: str) -> Iterable[dict[str, Any]]:
        """Every row of a list."""


class Snapshot(msgspec.Struct, frozen=True):
    """The registry as it was at ``read_at`` (ms): functions by full name, and the index over them."""

    functions: dict[str, Registered]
    index: Index
    read_at: int
    probe: tuple[int, int]


class Registry:
    """A snapshot that is new enough for the records at hand.

    Any failure to read is an outage (`ItemError`, ``unavailable``, retryable), never an empty list.
    """

    def __init__(self, source: Source, now_ms: Callable[[], int]) -> None:
        self._source = source
        self._now_ms = now_ms
        self._snapshot: Snapshot | None = None

    def snapshot(self, newest_record_ms: int) -> Snapshot:
        """A snapshot in which every push is in force that must be for a record of that time (ms)."""
        held, read_at = self._snapshot, self._now_ms()
        if (
            held is not None
            and newest_record_ms <= held.read_at + IN_FORCE_MS - CLOCK_SKEW_MS
            and read_at <= held.read_at + FRESH_MS
        ):
            return held
        try:
            probe = self._probe()
            if held is not None and probe == held.probe:
                self._snapshot = msgspec.structs.replace(held, read_at=read_at)
            else:
                self._snapshot = read(self._source.pages("actions"), read_at, probe)
        except FaasError as error:
            raise ItemError(
                f"the registry cannot be read: {error}",
                code="unavailable",
                retryable=True,
                destination="registry",
            ) from None
        return self._snapshot

    def current(self) -> Snapshot:
        """A snapshot as of now, for records that come again: much may have changed since they were written."""
        return self.snapshot(self._now_ms())

    def _probe(self) -> tuple[int, int]:
        """Count and newest `updated`: OpenWhisk lists newest first, so two small answers tell of any change."""
        count = int(self._source.get("actions", count="true")["actions"])
        newest = self._source.get("actions", limit=1)
        return count, int(newest[0]["updated"]) if newest else 0


def read(rows: Iterable[Mapping[str, Any]], read_at: int, probe: tuple[int, int]) -> Snapshot:
    """Build a snapshot from a list of actions; what is no function, or no valid one, is left out and said."""
    functions: dict[str, Registered] = {}
    specs: list[Function] = []
    for row in rows:
        try:
            found = registered(row)
        except FaasError as error:
            print(f"registry: {row.get('namespace')}/{row.get('name')} is left out: {error}", file=sys.stderr)
            continue
        if found is not None:
            spec, entry = found
            functions[spec.full_name] = entry
            specs.append(spec)
    return Snapshot(functions=functions, index=Index(specs), read_at=read_at, probe=probe)


def registered(row: Mapping[str, Any]) -> tuple[Function, Registered] | None:
    """The function that an action's row holds, or ``None`` for an action that is none.

    Raises `FaasError` when the spec is not valid, or stands under another name than it says: whoever can write an
    action must not be able to speak for another function.
    """
    annotations = {entry["key"]: entry.get("value") for entry in row.get("annotations", ())}
    if SPEC not in annotations:
        return None
    spec = function.decode(annotations[SPEC])
    package = str(row["namespace"]).partition("/")[2]
    if (spec.namespace, spec.name) != (package, row["name"]):
        raise FaasError(f"the spec is of {spec.full_name}, the action is {package}/{row['name']}")
    push = annotations.get(PUSH)
    code = push.get("code") if isinstance(push, dict) else None
    if not isinstance(code, str):
        raise FaasError(f"the annotation {PUSH} names no code")
    entry = Registered(spec=annotations[SPEC], version=str(row["version"]), code=code, paused=paused(row))
    return spec, entry


def paused(row: Mapping[str, Any]) -> Literal["park", "drop"] | None:
    """Whether the function of an action's row is paused, and what becomes of its events meanwhile.

    A state that cannot be understood parks: nothing is lost by that.
    """
    for annotation in row.get("annotations", ()):
        if annotation["key"] == STATE:
            value = annotation.get("value")
            how = value.get("paused") if isinstance(value, dict) else "park"
            return "drop" if how == "drop" else None if how is None else "park"
    return None
